"""An angle sweep by what each element is heard with, and a range sweep by blocks of subcarriers: where they look alike.

A position is supposed first, from the arrival of the range sweep and the likeliest direction and sub-arrays at that range,
as `likelihood` starts. There the elements' tones and the range sweep's response are undone: all that a network sees of a
user is how phases that should be equal are not.
"""

import math
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import scipy.fft

from bs_controller.beams import setting_from_focus
from bs_controller.estimation.candidates import AngleSweep, Candidate, Searcher
from bs_controller.estimation.reduced import Reducer
from bs_controller.features import (
    NETWORK_PLACES,
    Dechirper,
    neighbours_together,
    network_channels,
    network_features,
    squared,
)
from bs_controller.representations.contract import HeardSweep, NetworkInput
from bs_controller.representations.correction import Correction, angle_from, sine_from
from bs_controller.sweeps import Trajectory
from bs_controller.trajectories import range_trajectory, require_room, wide_trajectory
from protocol.testbed import TestbedFacts

ComplexArray = npt.NDArray[np.complex128]
Floats = npt.NDArray[np.float64]

MARGIN_DEG = 2.0
# Clocks are off by a few of the largest rms that networks are trained with, 3 ns, at most.
LARGEST_DELAY_S = 10e-9
# About how far off supposed positions are: root mean square over 400 users at 10 dB 0.21 mm and 2.8e-5 of the sine if all
# sub-arrays see them, 0.23 mm and 7e-5 if some do.
RANGE_SCALE_M = 5e-4
SINE_SCALE = 5e-5
_FINE = 8  # steps of the delay axis within a bin


class ElementRepresentation:
    """The representation `element`; see `Representation`.

    Raises
    ------
    ValueError
        If region and margin reach 90 degrees, or subcarriers are too far apart for its ranges and for clocks that are off.
    """

    name: ClassVar[str] = "element"
    version: ClassVar[int] = 1
    shape: ClassVar[tuple[int, ...]] = (network_channels(2), NETWORK_PLACES)

    def __init__(self, facts: TestbedFacts) -> None:
        require_room(facts, MARGIN_DEG, LARGEST_DELAY_S)
        self._facts, self._first = facts, wide_trajectory(facts, MARGIN_DEG, forward=True)
        self._searcher = Searcher(facts, beyond_m=LARGEST_DELAY_S * facts.speed_of_light_m_s)
        self._dechirper = Dechirper(facts)
        self._reducer = Reducer(facts, setting_from_focus(self._first, facts))
        self._middle_m = facts.downlink.array.element_x_m.reshape(facts.downlink.array.subarrays, -1).mean(axis=1)
        self._cycles_per_m = facts.downlink.grid.spacing_hz / facts.speed_of_light_m_s

    def first(self) -> Trajectory:
        """Return the sweep over all angles."""
        return self._first

    def second(self, first: HeardSweep) -> Trajectory:
        """Return the sweep over the range in the likeliest direction."""
        return range_trajectory(self._facts, self._searcher.from_angle_sweeps((self._angle_sweep(first),))[0].angle_rad)

    def of(self, first: HeardSweep, second: HeardSweep, timing_rms_m: float) -> NetworkInput:
        """Return the input of an angle sweep and of a range sweep; see `Representation`."""
        angle, aim_rad = self._angle_sweep(first), second.focus.start_angle_rad
        arrival_m = self._searcher.arrivals_m(second.samples, second.setting, aim_rad)[0]
        start = self._searcher.at_range(angle, arrival_m, aim_rad)
        undone, offset_m = self._undone(second, start)
        range_m = max(start.range_m + offset_m, self._facts.region.range_min_m / 2)
        middle_m = float(start.mask @ self._middle_m / start.mask.sum())
        angle_rad = angle_from(range_m, sine_from(start.range_m, start.angle_rad, middle_m), middle_m)
        elements = self._dechirper.elements(angle.samples, angle.setting, range_m, angle_rad)
        parts, range_share = [neighbours_together(elements), undone], range_m / self._facts.region.range_max_m
        return NetworkInput(
            features=network_features(parts, range_share, math.sin(angle_rad), timing_rms_m),
            correction=Correction(
                range_m=range_m,
                angle_rad=angle_rad,
                middle_m=middle_m,
                range_scale_m=math.hypot(RANGE_SCALE_M, timing_rms_m),
                sine_scale=SINE_SCALE,
            ),
            mask=start.mask,
        )

    def _angle_sweep(self, sweep: HeardSweep) -> AngleSweep:
        return self._searcher.angle_sweep(sweep.samples, sweep.focus, sweep.setting)

    def _undone(self, sweep: HeardSweep, start: Candidate) -> tuple[ComplexArray, float]:
        """Return blocks of a range sweep with the response undone, ``(block,)``, and how much farther they arrive."""
        blocks = self._reducer.blocks(sweep.samples, sweep.setting, start.range_m, start.angle_rad)
        expected = blocks.response.seen_value(start.range_m, start.angle_rad, np.flatnonzero(start.mask))
        undone = blocks.samples * expected.conj()
        cycles_per_m = blocks.block * self._cycles_per_m
        offset_m = arrival_offset_m([undone], cycles_per_m)
        undone *= np.exp(-2j * np.pi * cycles_per_m * offset_m * np.arange(undone.size))
        return undone, offset_m


def arrival_offset_m(sweeps: Sequence[ComplexArray], cycles_per_m: float) -> float:
    """Return how much farther than supposed sweeps arrive, by the peak of their delay axes together.

    Parameters
    ----------
    sweeps
        ``(block,)`` each, blocks of subcarriers with the response at the supposed position undone.
    cycles_per_m
        By how much a metre turns one block against its neighbour.
    """
    spectra = [squared(scipy.fft.fft(blocks, _FINE * blocks.size), 1.0) for blocks in sweeps]
    power: Floats = np.sum(spectra, axis=0)
    peak = int(power.argmax())
    before, at, after = float(power[peak - 1]), float(power[peak]), float(power[(peak + 1) % power.size])
    bend = before - 2 * at + after
    cycles = (peak + (0.5 * (before - after) / bend if bend < 0 else 0.0)) / power.size
    return (cycles - round(cycles)) / cycles_per_m
