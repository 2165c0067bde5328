"""From samples of an angle and a range sweep to what a network is shown, and what it corrects; for run time and training."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.fft

from bs_controller.beams import setting_from_focus
from bs_controller.estimation.candidates import AngleSweep, Searcher
from bs_controller.estimation.reduced import Reducer
from bs_controller.features import Dechirper, network_features, squared
from bs_controller.sweeps import Trajectory
from protocol.testbed import Setting, TestbedFacts

ComplexArray = npt.NDArray[np.complex128]

# About how far off supposed positions are: root mean square over 400 users at 10 dB 0.21 mm and 2.8e-5 of the sine if all
# sub-arrays see them, 0.23 mm and 7e-5 if some do.
RANGE_SCALE_M = 5e-4
SINE_SCALE = 5e-5
_FINE = 8  # steps of the delay axis within a bin


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkInput:
    """Features in the frame of a supposed position, and the units of what a network adds to range and sine."""

    features: npt.NDArray[np.float32]  # (channel, place)
    range_m: float
    sine: float
    mask: npt.NDArray[np.float64]  # (subarray,) the sub-arrays that the position was found with
    range_scale_m: float
    sine_scale: float


class NetworkInputs:
    """Makes inputs of sweeps of one testbed; one thread at a time."""

    def __init__(self, facts: TestbedFacts, common: Trajectory) -> None:
        """Plan for one testbed and the sweep that all its users share."""
        self._facts, self._searcher, self._dechirper = facts, Searcher(facts), Dechirper(facts)
        self._reducer = Reducer(facts, setting_from_focus(common, facts))
        self._cycles_per_m = facts.downlink.grid.spacing_hz / facts.speed_of_light_m_s

    def angle_sweep(self, samples: ComplexArray, trajectory: Trajectory, setting: Setting) -> AngleSweep:
        """Return samples ``(subcarrier,)`` of the common sweep with what they say at once."""
        return self._searcher.angle_sweep(samples, trajectory, setting)

    def aim_rad(self, angle: AngleSweep) -> float:
        """Return where to send the range sweep."""
        return self._searcher.from_angle_sweeps((angle,))[0].angle_rad

    def of(
        self, angle: AngleSweep, samples: ComplexArray, setting: Setting, aim_rad: float, timing_rms_m: float
    ) -> NetworkInput:
        """Return the input of an angle sweep and of a range sweep.

        Parameters
        ----------
        angle
            See `angle_sweep`.
        samples, setting
            ``(subcarrier,)`` of the range sweep, and what was applied.
        aim_rad
            Where it was sent.
        timing_rms_m
            How far clocks are known to be off, as path.
        """
        arrival_m = self._searcher.arrivals_m(samples, setting, aim_rad)[0]
        start = self._searcher.at_range(angle, arrival_m, aim_rad)
        blocks = self._reducer.blocks(samples, setting, start.range_m, start.angle_rad)
        expected = blocks.response.seen_value(start.range_m, start.angle_rad, np.flatnonzero(start.mask))
        undone = blocks.samples * expected.conj()
        cycles_per_m = blocks.block * self._cycles_per_m
        offset_m = arrival_offset_m(undone, cycles_per_m)
        range_m = max(start.range_m + offset_m, self._facts.region.range_min_m / 2)
        undone *= np.exp(-2j * np.pi * cycles_per_m * (range_m - start.range_m) * np.arange(undone.size))
        sine = math.sin(start.angle_rad)
        elements = self._dechirper.elements(angle.samples, angle.setting, range_m, start.angle_rad)
        return NetworkInput(
            features=network_features(elements, undone, range_m / self._facts.region.range_max_m, sine, timing_rms_m),
            range_m=range_m,
            sine=sine,
            mask=start.mask,
            range_scale_m=math.hypot(RANGE_SCALE_M, timing_rms_m),
            sine_scale=SINE_SCALE,
        )


def arrival_offset_m(blocks: ComplexArray, cycles_per_m: float) -> float:
    """Return how much farther than supposed blocks of subcarriers arrive, by the peak of their delay axis.

    Parameters
    ----------
    blocks
        ``(block,)`` with the response at the supposed position undone.
    cycles_per_m
        By how much a metre turns one block against its neighbour.
    """
    power = squared(scipy.fft.fft(blocks, _FINE * blocks.size), 1.0)
    peak = int(power.argmax())
    before, at, after = float(power[peak - 1]), float(power[peak]), float(power[(peak + 1) % power.size])
    bend = before - 2 * at + after
    cycles = (peak + (0.5 * (before - after) / bend if bend < 0 else 0.0)) / power.size
    return (cycles - round(cycles)) / cycles_per_m
