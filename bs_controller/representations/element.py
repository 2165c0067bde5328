"""An angle sweep by what each element is heard with, and a range sweep by blocks of subcarriers: where they look alike.

A position is supposed first: the most likely one near the arrival of the range sweep, for a perfect front end, a line of
sight and clocks that are right. There the elements' tones and the range sweep's response are undone: all that a network
sees of a user is how phases that should be equal are not.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from bs_controller.beams import setting_from_focus
from bs_controller.estimation.candidates import AngleSweep, Candidate, Searcher
from bs_controller.estimation.earlier import NEAREST_M, earlier_arrival_m, explained_nats, without
from bs_controller.estimation.newton import Estimate, Observation
from bs_controller.estimation.observed import Observer, Swept
from bs_controller.features import (
    NETWORK_PLACES,
    Dechirper,
    neighbours_together,
    network_channels,
)
from bs_controller.representations.contract import HeardSweep, NetworkInput
from bs_controller.representations.frame import (
    LARGEST_DELAY_S,
    MARGIN_DEG,
    arrival_offset_m,
    input_in_frame,
    moved,
    subarray_middle_m,
    supposed,
)
from bs_controller.sweeps import Trajectory
from bs_controller.trajectories import range_trajectory, require_room, wide_trajectory
from protocol.testbed import TestbedFacts

# About how far off supposed positions are: root mean square over 300 users at 10 dB 0.18 mm and 1.1e-5 of the sine if all
# sub-arrays see them, 0.20 mm and 2.4e-5 if some do, 0.7 mm and 1.3e-4 with a wrong model.
RANGE_SCALE_M = 5e-4
# By how much an earlier path must raise the log-likelihood of the range sweep, where chance reaches half of it, and which
# share of the angle sweep's energy it must have. One sub-array of four has a fifth beside an echo as strong on each element;
# what wrong settings scatter is 4 % in all, and no one direction has much of it.
LEAST_NATS, LEAST_SHARE = 25.0, 0.04


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
        self._middle_m = subarray_middle_m(facts.downlink.array)
        self._cycles_per_m = facts.downlink.grid.spacing_hz / facts.speed_of_light_m_s

    def first(self) -> Trajectory:
        """Return the sweep over all angles."""
        return self._first

    def second(self, first: HeardSweep) -> Trajectory:
        """Return the sweep over the range in the likeliest direction."""
        return range_trajectory(self._facts, self._searcher.from_angle_sweeps((self._angle_sweep(first),))[0].angle_rad)

    def of(self, first: HeardSweep, second: HeardSweep, timing_rms_m: float) -> NetworkInput:
        """Return the input of an angle sweep and of a range sweep; see `Representation`."""
        view = self._viewed(first, second, second.focus.start_angle_rad)
        view = self._earlier(view) or view
        found, visible = view.found, np.flatnonzero(view.found.mask)
        blocks = view.observations[1]
        undone = blocks.samples * blocks.response.seen_value(found.range_m, found.angle_rad, visible).conj()
        elements = self._dechirper.elements(view.angle.samples, view.angle.setting, found.range_m, found.angle_rad)
        parts = [neighbours_together(elements), undone]
        return input_in_frame(found, parts, self._facts, timing_rms_m, range_scale_m=RANGE_SCALE_M)

    def _viewed(self, first: HeardSweep, second: HeardSweep, aim_rad: float, near_m: float | None = None) -> "_View":
        """Return the most likely position of both sweeps, near a range or else near the strongest arrival."""
        angle, swept = self._angle_sweep(first), (second.samples, second.setting)
        start = self._start(angle, swept, aim_rad, near_m)
        observations = self._observer.angle_and_range(
            (angle.samples, angle.setting), angle.lit, swept, start.range_m, start.angle_rad
        )
        return _View(
            first=first, second=second, angle=angle, observations=observations, found=supposed(observations, start)
        )

    def _earlier(self, view: "_View") -> "_View | None":
        """Return the view of what a fit leaves, if a path of it arrives before the fitted one and both sweeps have it."""
        found, blocks = view.found, view.observations[1]
        if not isinstance(found, Estimate):
            return None
        visible = np.flatnonzero(found.mask)
        expected = blocks.response.seen_value(found.range_m, found.angle_rad, visible)
        earlier_m = earlier_arrival_m(found.residuals[1], expected, blocks.block * self._cycles_per_m)
        if earlier_m is None:
            return None
        left = self._left(view.first, found), self._left(view.second, found)
        other = self._viewed(*left, found.angle_rad, found.range_m - earlier_m)
        if not isinstance(other.found, Estimate):
            return None
        again = [self._left(sweep, other.found) for sweep in left]
        share = (_energy(left[0]) - _energy(again[0])) / _energy(view.first)
        agreed = share > LEAST_SHARE and explained_nats(left[1].samples, again[1].samples) > LEAST_NATS
        return other if agreed and other.found.range_m < found.range_m - NEAREST_M / 2 else None

    def _left(self, sweep: HeardSweep, found: Estimate) -> HeardSweep:
        """Return what a fit leaves of a sweep."""
        response = self._observer.whole(sweep.setting)
        seen = response.seen_value(found.range_m, found.angle_rad, np.flatnonzero(found.mask))
        return replace(sweep, samples=without(sweep.samples, seen))

    def _angle_sweep(self, sweep: HeardSweep) -> AngleSweep:
        return self._searcher.angle_sweep(sweep.samples, sweep.focus, sweep.setting)

    def _start(self, angle: AngleSweep, swept: Swept, aim_rad: float, near_m: float | None) -> Candidate:
        """Return the likeliest direction and sub-arrays at a range or at the strongest arrival, moved to its peak."""
        arrival_m = self._searcher.arrivals_m(*swept, aim_rad)[0] if near_m is None else near_m
        start = self._searcher.at_range(angle, arrival_m, aim_rad)
        blocks = self._observer.reducer.blocks(*swept, start.range_m, start.angle_rad)
        expected = blocks.response.seen_value(start.range_m, start.angle_rad, np.flatnonzero(start.mask))
        offset_m = arrival_offset_m([blocks.samples * expected.conj()], blocks.block * self._cycles_per_m)
        return moved(start, offset_m, self._middle_m, self._facts.region.range_min_m / 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class _View:
    """Both sweeps, and the most likely position for them."""

    first: HeardSweep
    second: HeardSweep
    angle: AngleSweep
    observations: Sequence[Observation]
    found: Estimate | Candidate


def _energy(sweep: HeardSweep) -> float:
    return float(np.vdot(sweep.samples, sweep.samples).real)
