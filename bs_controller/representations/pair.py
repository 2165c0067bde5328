"""Two angle sweeps in opposite directions, the same for all users: elements of each, and blocks of subcarriers of each.

Elements tell the direction and the curvature; the range is in how the phases of the lit bands, blocks of subcarriers with
the response undone, turn over the band.
"""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from bs_controller.beams import setting_from_focus
from bs_controller.estimation.candidates import Candidate, Searcher
from bs_controller.estimation.newton import Estimate, Observation
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
        sweeps = [self._searcher.angle_sweep(sweep.samples, sweep.focus, sweep.setting) for sweep in (first, second)]
        observations = self._observer.pair(*((sweep.samples, sweep.setting) for sweep in sweeps))
        start = self._searcher.from_angle_sweeps(sweeps)[0]
        offset_m = arrival_offset_m(self._undone(observations, start), self._cycles_per_m)
        start = moved(start, offset_m, self._middle_m, self._facts.region.range_min_m / 2)
        found = supposed(observations, start)
        elements = [
            self._dechirper.elements(sweep.samples, sweep.setting, found.range_m, found.angle_rad) for sweep in sweeps
        ]
        parts = [*(neighbours_together(one) for one in elements), *self._undone(observations, found)]
        return input_in_frame(found, parts, self._facts, timing_rms_m, range_scale_m=RANGE_SCALE_M)

    def _undone(self, observations: Sequence[Observation], at: Candidate | Estimate) -> list[ComplexArray]:
        """Return blocks of each sweep with the response at a position undone, ``(block,)``."""
        visible = np.flatnonzero(at.mask)
        return [
            neighbours_together(one.samples * one.response.seen_value(at.range_m, at.angle_rad, visible).conj())
            for one in observations
        ]
