"""Two angle sweeps in opposite directions, the same for all users: elements of each, and blocks of subcarriers of each.

Elements tell the direction and the curvature; the range is in how the phases of the lit bands, blocks of subcarriers with
the response undone, turn over the band.
"""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from bs_controller.beams import setting_from_focus
from bs_controller.estimation.apart import midway, most_likely_apart
from bs_controller.estimation.candidates import AngleSweep, Candidate, Searcher
from bs_controller.estimation.newton import Estimate, Observation, UnresolvableError
from bs_controller.estimation.observed import Observer
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
from bs_controller.trajectories import require_room, wide_trajectory
from protocol.testbed import TestbedFacts

ComplexArray = npt.NDArray[np.complex128]

_PARTS = 4
# Two angle sweeps tell a range less well than one over the range: supposed ranges are 1.8 mm off, rms, at 10 dB.
RANGE_SCALE_M = 2e-3


class PairRepresentation:
    """The representation `pair`; see `Representation`.

    Raises
    ------
    ValueError
        If region and margin reach 90 degrees, or subcarriers are too far apart for its ranges and for clocks that are off.
    """

    name: ClassVar[str] = "pair"
    version: ClassVar[int] = 1
    shape: ClassVar[tuple[int, ...]] = (network_channels(_PARTS), NETWORK_PLACES)

    def __init__(self, facts: TestbedFacts) -> None:
        require_room(facts, MARGIN_DEG, LARGEST_DELAY_S)
        self._facts = facts
        self._forward, self._backward = (wide_trajectory(facts, MARGIN_DEG, forward=way) for way in (True, False))
        self._searcher = Searcher(facts, beyond_m=LARGEST_DELAY_S * facts.speed_of_light_m_s)
        self._dechirper = Dechirper(facts)
        self._observer = Observer(facts, setting_from_focus(self._forward, facts))
        self._middle_m = subarray_middle_m(facts.downlink.array)
        block = facts.downlink.grid.count // NETWORK_PLACES
        self._cycles_per_m = block * facts.downlink.grid.spacing_hz / facts.speed_of_light_m_s

    def first(self) -> Trajectory:
        """Return the sweep over all angles, forward."""
        return self._forward

    def second(self, first: HeardSweep) -> Trajectory:
        """Return the sweep over all angles, backward."""
        return self._backward

    def of(self, first: HeardSweep, second: HeardSweep, timing_rms_m: float) -> NetworkInput:
        """Return the input of a forward and of a backward sweep; see `Representation`."""
        sweeps, observations = self._heard(first, second)
        start = self._searcher.from_angle_sweeps(sweeps)[0]
        offset_m = arrival_offset_m([_undone(one, start) for one in observations], self._cycles_per_m)
        start = moved(start, offset_m, self._middle_m, self._facts.region.range_min_m / 2)
        found = supposed(observations, start)
        return self._seen_from(found, [found, found], sweeps, observations, timing_rms_m)

    def of_moving(self, first: HeardSweep, second: HeardSweep, timing_rms_m: float) -> NetworkInput:
        """Return the input of a user who moved between the sweeps; see `MovingRepresentation`."""
        sweeps, observations = self._heard(first, second)
        candidate = self._searcher.from_angle_sweeps(sweeps, moving=True)[0]
        try:
            places = most_likely_apart(observations, candidate, self._facts)
        except UnresolvableError:
            return self.of(first, second, timing_rms_m)
        return self._seen_from(midway(places), places, sweeps, observations, timing_rms_m)

    def _heard(self, first: HeardSweep, second: HeardSweep) -> tuple[list[AngleSweep], list[Observation]]:
        sweeps = [self._searcher.angle_sweep(sweep.samples, sweep.focus, sweep.setting) for sweep in (first, second)]
        return sweeps, self._observer.pair(*((sweep.samples, sweep.setting) for sweep in sweeps))

    def _seen_from(
        self,
        found: Candidate | Estimate,
        places: Sequence[Candidate | Estimate],
        sweeps: Sequence[AngleSweep],
        observations: Sequence[Observation],
        timing_rms_m: float,
    ) -> NetworkInput:
        """Return the input in the frame of a position, each sweep as it is seen from a place of its own."""
        elements = [
            self._dechirper.elements(sweep.samples, sweep.setting, at.range_m, at.angle_rad)
            for sweep, at in zip(sweeps, places, strict=True)
        ]
        blocks = [_undone(one, at) for one, at in zip(observations, places, strict=True)]
        parts = [*(neighbours_together(one) for one in elements), *blocks]
        return input_in_frame(found, parts, self._facts, timing_rms_m, range_scale_m=RANGE_SCALE_M)


def _undone(observation: Observation, at: Candidate | Estimate) -> ComplexArray:
    """Return blocks of a sweep with the response at a position undone, ``(block,)``."""
    expected = observation.response.seen_value(at.range_m, at.angle_rad, np.flatnonzero(at.mask))
    return neighbours_together(observation.samples * expected.conj())
