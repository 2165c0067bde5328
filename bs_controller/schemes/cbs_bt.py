"""Beam training on top of controllable beam squint: groups of subcarriers, each focused without squint [CBS, Algorithm 1].

Stage one is the angle sweep of `cbs`; stage two refines the angle with groups on angles close to it; stage three
shrinks an interval of ranges round by round. Differences from the printed algorithm: group ``l`` holds subcarriers
``l M/L .. (l+1) M/L - 1`` (the printed limits of the sums do not partition the band), and a round of stage three keeps the
winner's two neighbours as the text says, where the algorithm box keeps the winner and one of them.

As printed, stage two focuses at the nearest range whatever the user's, so farther away the sums of the groups are flat and
the angle may get worse even without noise. ``stage2_range: region_middle`` focuses where the curvature of the wavefront is
halfway between those of the nearest and the farthest range instead, which halves the largest defocus.
"""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Meta

from bs_controller.schemes.answers import group_from
from bs_controller.schemes.cbs import BeamCount, estimated_angle
from bs_controller.sweeps import Answer, Fix, GroupFoci, Localization, Sweep
from protocol.messages import FeedbackKind
from protocol.testbed import TestbedFacts, group_slices

Floats = npt.NDArray[np.float64]
PairCount = Annotated[int, Meta(ge=2, le=4096)]


class CbsBtOptions(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="cbs_bt", tag_field="scheme"
):
    """Sizes of the three stages.

    ``groups`` says what the front end is taken for: ``ideal`` holds all groups in one pilot, as the paper assumes;
    ``realizable`` sends each in a pilot of its own, because one phase and one delay per element hold one point.
    """

    angle_groups: PairCount = 32
    range_groups: Annotated[int, Meta(ge=4, le=4096)] = 16  # three or fewer would not shrink the interval
    angle_beams: BeamCount = 1
    rounds: Annotated[int, Meta(ge=1, le=64)] = 5
    epsilon_m: Annotated[float, Meta(gt=0)] = 0.5
    angle_margin_deg: Annotated[float, Meta(gt=0, le=90)] = 1.0
    groups: Literal["ideal", "realizable"] = "ideal"
    stage2_range: Literal["nearest", "region_middle"] = "nearest"


@dataclass(frozen=True, slots=True, kw_only=True)
class CbsBt:
    """The scheme `cbs_bt`.

    Raises
    ------
    ValueError
        If the subcarriers cannot be cut into equal groups.
    """

    options: CbsBtOptions
    facts: TestbedFacts
    name: ClassVar[str] = "cbs_bt"
    heavy: ClassVar[bool] = False

    def __post_init__(self) -> None:
        for groups in (self.options.angle_groups, self.options.range_groups):
            group_slices(self.facts.downlink.grid.count, groups)

    def prepare(self) -> None:
        """Do nothing: there is nothing to plan."""

    def locate(self) -> Localization:
        """Return a fresh localization; see `Scheme`."""
        coarse_rad, pilots = yield from estimated_angle(self.facts, self.options.angle_beams)
        angle_rad, angle_pilots = yield from self._refined_angle(coarse_rad)
        range_m, range_pilots = yield from self.trained_range(angle_rad)
        return Fix(range_m=range_m, angle_rad=angle_rad, sweeps=pilots + angle_pilots + range_pilots)

    def _refined_angle(self, coarse_rad: float) -> Generator[Sweep, Answer, tuple[float, int]]:
        """Return the angle, rad, of the best group [CBS, Algorithm 1, lines 9-12], and the pilots it took."""
        region, margin_rad = self.facts.region, np.deg2rad(self.options.angle_margin_deg)
        largest = min(region.angle_max_rad, coarse_rad + margin_rad)
        smallest = max(region.angle_min_rad, coarse_rad - margin_rad)
        angles = np.linspace(largest, smallest, self.options.angle_groups)
        winner, pilots = yield from self._winner(np.full(angles.size, self._stage2_range_m()), angles)
        return float(angles[winner]), pilots

    def trained_range(self, angle_rad: float) -> Generator[Sweep, Answer, tuple[float, int]]:
        """Return the range, m, after shrinking rounds at an angle [CBS, Algorithm 1, lines 14-23], and the pilots they took."""
        region, options, pilots = self.facts.region, self.options, 0
        start, end, best = region.range_min_m, region.range_max_m, (region.range_min_m + region.range_max_m) / 2
        for _ in range(options.rounds):
            if end - start < options.epsilon_m:
                break
            ranges = np.linspace(start, end, options.range_groups)
            winner, round_pilots = yield from self._winner(ranges, np.full(ranges.size, angle_rad))
            best, pilots = float(ranges[winner]), pilots + round_pilots
            start, end = float(ranges[max(winner - 1, 0)]), float(ranges[min(winner + 1, ranges.size - 1)])
        return best, pilots

    def _winner(self, range_m: Floats, angle_rad: Floats) -> Generator[Sweep, Answer, tuple[int, int]]:
        """Return the best of the groups with these foci, and the pilots it took."""
        groups = len(range_m)
        focus = GroupFoci(
            range_m=tuple(range_m.tolist()),
            angle_rad=tuple(angle_rad.tolist()),
            groups_per_pilot=groups if self.options.groups == "ideal" else 1,
        )
        feedback = group_from((yield Sweep(focus=focus, kind=FeedbackKind.GROUP)), groups)
        return feedback.group, feedback.pilots

    def _stage2_range_m(self) -> float:
        region = self.facts.region
        if self.options.stage2_range == "nearest":
            return region.range_min_m
        return 2 / (1 / region.range_min_m + 1 / region.range_max_m)
