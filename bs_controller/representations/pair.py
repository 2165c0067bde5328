"""Two angle sweeps in opposite directions, the same for all users: elements of each, and blocks of subcarriers of each.

Elements tell the direction and the curvature; the range is in how the phases of the lit bands, blocks of subcarriers with
the response undone, turn over the band.
"""

import math
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from bs_controller.beams import setting_from_focus
from bs_controller.estimation.candidates import AngleSweep, Candidate, Searcher
from bs_controller.features import (
    NETWORK_PLACES,
    Dechirper,
    neighbours_together,
    network_channels,
    network_features,
)
from bs_controller.representations.contract import HeardSweep, NetworkInput
from bs_controller.representations.correction import Correction, angle_from, sine_from
from bs_controller.representations.element import (
    LARGEST_DELAY_S,
    MARGIN_DEG,
    SINE_SCALE,
    arrival_offset_m,
)
from bs_controller.response import DownlinkResponse
from bs_controller.sweeps import Trajectory
from bs_controller.trajectories import require_room, wide_trajectory
from protocol.testbed import TestbedFacts

ComplexArray = npt.NDArray[np.complex128]

_PARTS = 4
# Two angle sweeps tell a range less well than one over the range: supposed ranges are 1.2 mm off, rms, at 10 dB.
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
        self._response = DownlinkResponse(facts, setting_from_focus(self._forward, facts))
        self._middle_m = facts.downlink.array.element_x_m.reshape(facts.downlink.array.subarrays, -1).mean(axis=1)
        self._block = facts.downlink.grid.count // NETWORK_PLACES
        self._cycles_per_m = self._block * facts.downlink.grid.spacing_hz / facts.speed_of_light_m_s

    def first(self) -> Trajectory:
        """Return the sweep over all angles, forward."""
        return self._forward

    def second(self, first: HeardSweep) -> Trajectory:
        """Return the sweep over all angles, backward."""
        return self._backward

    def of(self, first: HeardSweep, second: HeardSweep, timing_rms_m: float) -> NetworkInput:
        """Return the input of a forward and of a backward sweep; see `Representation`."""
        sweeps = [self._searcher.angle_sweep(sweep.samples, sweep.focus, sweep.setting) for sweep in (first, second)]
        start = self._searcher.from_angle_sweeps(sweeps)[0]
        undone = [self._undone(sweep, start) for sweep in sweeps]
        offset_m = arrival_offset_m(undone, self._cycles_per_m)
        back = np.exp(-2j * np.pi * self._cycles_per_m * offset_m * np.arange(NETWORK_PLACES))
        range_m = max(start.range_m + offset_m, self._facts.region.range_min_m / 2)
        middle_m = float(start.mask @ self._middle_m / start.mask.sum())
        angle_rad = angle_from(range_m, sine_from(start.range_m, start.angle_rad, middle_m), middle_m)
        elements = [self._dechirper.elements(sweep.samples, sweep.setting, range_m, angle_rad) for sweep in sweeps]
        parts = [*(neighbours_together(one) for one in elements), *(back * blocks for blocks in undone)]
        range_share = range_m / self._facts.region.range_max_m
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

    def _undone(self, sweep: AngleSweep, start: Candidate) -> ComplexArray:
        """Return blocks of a sweep with the response at a start undone, ``(block,)``."""
        response = self._response.steered(sweep.setting)
        expected = response.seen_value(start.range_m, start.angle_rad, np.flatnonzero(start.mask))
        return neighbours_together(sweep.samples * expected.conj())
