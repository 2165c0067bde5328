"""The sweeps of `cbs` as images, as [CBS, section III-C] shows them to its networks: raw samples, and what CBS makes of them.

Each sweep's ``(M, 2)`` real and imaginary parts are read row by row into the most nearly square image: of 2048 subcarriers
64 x 64, each row 32 neighbours. The paper prints ``M1 M2 = M`` and ``M1 > M2``, but its network halves 64 places per axis.
A sweep has the mean square one, so that neither transmitted power nor a receiver's gain matters; what the level says of
the range is given up with it, the phase is kept. A clock's error is not undone, and not told to the network.
"""

import math
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from bs_controller.beams import focus_of_subcarrier
from bs_controller.representations.contract import HeardSweep, NetworkInput
from bs_controller.representations.correction import Correction
from bs_controller.sweeps import Trajectory
from bs_controller.trajectories import angle_trajectory, range_trajectory
from protocol.testbed import TestbedFacts

ComplexArray = npt.NDArray[np.complex128]
Floats = npt.NDArray[np.float64]

SINE_SCALE = 7e-3  # root mean square error of the angle of CBS over the region, which is defocus and not noise
_RANGE_SCALES_IN_SPAN = 4  # ranges are uniform over the region: 3.5 standard deviations


class ImageRepresentation:
    """The representation `image`; see `Representation`.

    Channels are the angle sweep, the range sweep, the sine of the angle of CBS, and its range over the farthest. Several
    sweeps of one kind are seen as their mean, where the angle and the range of `cbs` are means over the sweeps.

    Raises
    ------
    ValueError
        If there are not as many subcarriers as fill the image.
    """

    name: ClassVar[str] = "image"
    version: ClassVar[int] = 1
    shape: ClassVar[tuple[int, ...]] = (4, 64, 64)

    def __init__(self, facts: TestbedFacts) -> None:
        subcarriers, rows, columns = facts.downlink.grid.count, *self.shape[1:]
        if 2 * subcarriers != rows * columns:
            expected = f"{rows * columns // 2} subcarriers, {rows} x {columns} numbers"
            raise ValueError(f"image: expected {expected}, got {subcarriers} subcarriers")
        self._facts = facts

    def first(self) -> Trajectory:
        """Return the sweep over all angles."""
        return angle_trajectory(self._facts)

    def second(self, first: HeardSweep) -> Trajectory:
        """Return the sweep over the range at the angle of the strongest subcarrier [CBS, eq. (8)]."""
        return range_trajectory(self._facts, self._strongest(first)[1])

    def of(self, first: HeardSweep, second: HeardSweep, timing_rms_m: float) -> NetworkInput:
        """Return the input of an angle sweep and of a range sweep; see `Representation`. `timing_rms_m` is not used.

        Corrections are those of the angle of CBS and of the middle of the region: the range of CBS, some 17 m off, is
        shown to the network and no frame.
        """
        angle_rad, range_m = self._strongest(first)[1], self._strongest(second)[0]
        features, region = np.empty(self.shape, dtype=np.float32), self._facts.region
        features[0], features[1] = _image(first.samples), _image(second.samples)
        features[2], features[3] = math.sin(angle_rad), range_m / region.range_max_m
        return NetworkInput(
            features=features,
            correction=Correction(
                range_m=(region.range_min_m + region.range_max_m) / 2,
                angle_rad=angle_rad,
                middle_m=0.0,
                range_scale_m=(region.range_max_m - region.range_min_m) / _RANGE_SCALES_IN_SPAN,
                sine_scale=SINE_SCALE,
            ),
            mask=None,
        )

    def _strongest(self, sweep: HeardSweep) -> tuple[float, float]:
        """Return the range, m, and the angle, rad, that the strongest subcarrier focuses on [CBS, eqs. (8)-(9)]."""
        range_m, angle_rad = focus_of_subcarrier(sweep.focus, self._facts)
        strongest = int(np.argmax(np.abs(sweep.samples)))
        return float(range_m[strongest]), float(angle_rad[strongest])


def _image(samples: ComplexArray) -> Floats:
    """Return samples of mean square one as ``(row, column)``, real and imaginary part next to each other; zeros of none."""
    numbers: Floats = np.stack([samples.real, samples.imag], axis=1).reshape(ImageRepresentation.shape[1:])
    rms = math.sqrt(float(np.mean(numbers**2)))
    return numbers / rms if rms > 0 else numbers
