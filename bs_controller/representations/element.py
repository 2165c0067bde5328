"""An angle sweep by what each element is heard with, and a range sweep by blocks of subcarriers: where they look alike.

A position is supposed first: the most likely one near the arrival of the range sweep, for a perfect front end, a line of
sight and clocks that are right. There the elements' tones and the range sweep's response are undone: all that a network
sees of a user is how phases that should be equal are not.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import scipy.fft

from bs_controller.beams import setting_from_focus
from bs_controller.estimation.candidates import AngleSweep, Candidate, Searcher
from bs_controller.estimation.newton import Estimate, Observation, UnresolvableError, most_likely
from bs_controller.estimation.observed import Observer
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
# About how far off supposed positions are: root mean square over 300 users at 10 dB 0.18 mm and 1.1e-5 of the sine if all
# sub-arrays see them, 0.20 mm and 2.4e-5 if some do, 0.7 mm and 1.3e-4 with a wrong model.
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
        self._observer = Observer(facts, setting_from_focus(self._first, facts))
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
        angle = self._angle_sweep(first)
        over_range = (second.samples, second.setting)
        start = self._start(angle, second)
        observations = self._observer.angle_and_range(
            (angle.samples, angle.setting), angle.lit, over_range, start.range_m, start.angle_rad
        )
        found = supposed(observations, start)
        blocks, visible = observations[1], np.flatnonzero(found.mask)
        undone = blocks.samples * blocks.response.seen_value(found.range_m, found.angle_rad, visible).conj()
        elements = self._dechirper.elements(angle.samples, angle.setting, found.range_m, found.angle_rad)
        parts, range_share = [neighbours_together(elements), undone], found.range_m / self._facts.region.range_max_m
        return NetworkInput(
            features=network_features(parts, range_share, math.sin(found.angle_rad), timing_rms_m),
            correction=Correction(
                range_m=found.range_m,
                angle_rad=found.angle_rad,
                middle_m=float(found.mask @ self._middle_m / found.mask.sum()),
                range_scale_m=math.hypot(RANGE_SCALE_M, timing_rms_m),
                sine_scale=SINE_SCALE,
            ),
            mask=found.mask,
        )

    def _angle_sweep(self, sweep: HeardSweep) -> AngleSweep:
        return self._searcher.angle_sweep(sweep.samples, sweep.focus, sweep.setting)

    def _start(self, angle: AngleSweep, over_range: HeardSweep) -> Candidate:
        """Return the likeliest direction and sub-arrays at the range of the strongest arrival, which is moved to its peak."""
        aim_rad = over_range.focus.start_angle_rad
        arrival_m = self._searcher.arrivals_m(over_range.samples, over_range.setting, aim_rad)[0]
        start = self._searcher.at_range(angle, arrival_m, aim_rad)
        swept = (over_range.samples, over_range.setting)
        blocks = self._observer.reducer.blocks(*swept, start.range_m, start.angle_rad)
        expected = blocks.response.seen_value(start.range_m, start.angle_rad, np.flatnonzero(start.mask))
        offset_m = arrival_offset_m([blocks.samples * expected.conj()], blocks.block * self._cycles_per_m)
        return moved(start, offset_m, self._middle_m, self._facts.region.range_min_m / 2)


def supposed(observations: Sequence[Observation], start: Candidate) -> Estimate | Candidate:
    """Return the most likely position and sub-arrays near a start, or the start where the sweeps determine none."""
    try:
        return most_likely(observations, start.range_m, start.angle_rad, start.mask, mask_is_clear=start.mask_is_clear)
    except UnresolvableError:
        return start


def moved(start: Candidate, offset_m: float, middle_m: Floats, nearest_m: float) -> Candidate:
    """Return a candidate farther away by an offset, in the same direction from the middle of its sub-arrays.

    `middle_m` is that of each sub-array, ``(subarray,)``; nothing comes nearer than `nearest_m`.
    """
    own_m = float(start.mask @ middle_m / start.mask.sum())
    range_m = max(start.range_m + offset_m, nearest_m)
    sine = sine_from(start.range_m, start.angle_rad, own_m)
    return replace(start, range_m=range_m, angle_rad=angle_from(range_m, sine, own_m))


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
