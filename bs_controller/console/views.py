"""From a user's samples to the curves and images of the page (kernels).

Powers are in dBm of received power per subcarrier; images are scaled to a byte over `IMAGE_SPAN_DB` below their peak.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bs_controller.beams import fitted, focus_of_subcarrier, setting_from_focus
from bs_controller.features import Dechirper
from bs_controller.imaging import Imager
from bs_controller.sweeps import GroupFoci, Trajectory
from protocol.testbed import FrontEndLimits, TestbedFacts, group_slices

Floats = npt.NDArray[np.float64]
Float32s = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]
Samples = npt.NDArray[np.complex64] | npt.NDArray[np.float64]

IMAGE_SPAN_DB = 30.0
IMAGE_RANGES = 160
_FLOOR = 1e-30  # W; a subcarrier without power is at -270 dBm, not at minus infinity


def power_dbm(samples: Samples) -> Float32s:
    """Return received powers of complex samples (square roots of W) or powers (W), ``(subcarrier,)``."""
    power_w = np.abs(samples) ** 2 if np.iscomplexobj(samples) else np.asarray(samples)
    dbm: Float32s = (10 * np.log10(np.maximum(power_w, _FLOOR)) + 30).astype(np.float32)
    return dbm


def focus_of_each_subcarrier(focus: Trajectory | GroupFoci, facts: TestbedFacts) -> tuple[Float32s, Float32s]:
    """Return range (m, infinite where a beam does not converge) and angle (rad) that each subcarrier looks at."""
    if isinstance(focus, Trajectory):
        range_m, angle_rad = focus_of_subcarrier(focus, facts)
        return range_m.astype(np.float32), angle_rad.astype(np.float32)
    groups = group_slices(facts.downlink.grid.count, len(focus.range_m))
    size = groups[0].stop - groups[0].start
    return np.repeat(focus.range_m, size).astype(np.float32), np.repeat(focus.angle_rad, size).astype(np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """A backprojected image in bytes, and where its peak lies."""

    level: Bytes  # (range, angle)
    range_m: Float32s
    angle_rad: Float32s
    peak_range_m: float
    peak_angle_rad: float


class Views:
    """Images and element-domain views of one testbed, planned once."""

    def __init__(self, facts: TestbedFacts) -> None:
        self._facts = facts
        self._imager: Imager | None = None
        self._dechirper: Dechirper | None = None

    def image(self, samples: Samples) -> Image:
        """Return the uplink image of a snapshot, ``(element, subcarrier)``."""
        imager = self._imager = self._imager or Imager(
            self._facts.uplink, self._image_range_m(), self._facts.speed_of_light_m_s
        )
        power = np.abs(imager.image(samples.astype(np.complex64))) ** 2
        peak = float(power.max()) or 1.0
        level_db = 10 * np.log10(np.maximum(power / peak, 10 ** (-IMAGE_SPAN_DB / 10)))
        row, column = np.unravel_index(int(power.argmax()), power.shape)
        return Image(
            level=np.rint(255 * (1 + level_db / IMAGE_SPAN_DB)).astype(np.uint8),
            range_m=imager.range_m.astype(np.float32),
            angle_rad=imager.angle_rad.astype(np.float32),
            peak_range_m=float(imager.range_m[row]),
            peak_angle_rad=float(imager.angle_rad[column]),
        )

    def _image_range_m(self) -> Floats:
        region, radius_m = self._facts.region, self._facts.uplink.array.radius_m
        return np.linspace(max(0.5 * region.range_min_m, 1.5 * radius_m), region.range_max_m, IMAGE_RANGES)

    def elements_db(
        self,
        samples: Samples,
        focus: Trajectory,
        limits: FrontEndLimits | None,
        place: tuple[float, float],
    ) -> tuple[Float32s, Float32s]:
        """Return with which level (dB below the strongest) and phase (rad) each element is heard, ``(element,)``.

        Parameters
        ----------
        samples
            ``(subcarrier,)`` of one sweep.
        focus, limits
            Its foci, and the steps of the front end that held them, if known.
        place
            Range (m) and angle (rad) of the user: its own tones are undone.
        """
        dechirper = self._dechirper = self._dechirper or Dechirper(self._facts)
        setting = setting_from_focus(focus, self._facts)
        applied = fitted(setting, limits) if limits is not None else setting
        elements = dechirper.elements(samples.astype(np.complex128), applied, *place)
        level = np.abs(elements)
        level_db = 20 * np.log10(np.maximum(level / (float(level.max()) or 1.0), 1e-6))
        return level_db.astype(np.float32), np.angle(elements).astype(np.float32)
