"""Near-field MUSIC as a scheme: one sounding, the strongest path of the pseudo-spectrum is the user.

The baseline of [SUCA, section VI]; its kernels are in `music.py`, this file holds no formula.
"""

from dataclasses import dataclass, field
from typing import Annotated, ClassVar

import msgspec
import numpy as np
from msgspec import Meta

from bs_controller.music import MusicPlan, locate_paths
from bs_controller.schemes.answers import snapshot_from
from bs_controller.schemes.backprojection import NothingDetectedError
from bs_controller.schemes.planning import PlanOnce, range_limits_m
from bs_controller.sweeps import Fix, Localization, Sounding, Target
from protocol.testbed import Positive, TestbedFacts


class MusicOptions(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="music", tag_field="scheme"
):
    """The grid's ranges, by default from 1 m to 20 m outside the array's circle, and how many paths there are.

    MUSIC cannot find out how many paths a snapshot holds; `paths` tells it. The angles are those of the elements, as in
    the paper. Points beside the user are reported down to `threshold_db` of its power.
    """

    range_points: Annotated[int, Meta(ge=2, le=65536)] = 200
    range_min_m: Positive | None = None
    range_max_m: Positive | None = None
    paths: Annotated[int, Meta(ge=1, le=64)] = 1
    threshold_db: Annotated[float, Meta(lt=0, ge=-120)] = -15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Music:
    """The scheme `music`; its localizations share one plan.

    Raises
    ------
    ValueError
        If the grid's ranges do not grow or reach into the array's circle, or the snapshot is too small for the paths.
    """

    options: MusicOptions
    facts: TestbedFacts
    name: ClassVar[str] = "music"
    heavy: ClassVar[bool] = True
    _plan: PlanOnce[MusicPlan] = field(default_factory=PlanOnce, compare=False, repr=False)

    def __post_init__(self) -> None:
        uplink = self.facts.uplink
        range_limits_m(uplink.array, self.options.range_min_m, self.options.range_max_m)
        most = min(uplink.array.elements, uplink.grid.count) - 1
        if self.options.paths > most:
            raise ValueError(f"paths must be at most {most} for this uplink, got {self.options.paths}")

    def prepare(self) -> None:
        """Plan the grid, which takes a few hundredths of a second at full size."""
        self._planned()

    def locate(self) -> Localization:
        """Return a fresh localization; see `Scheme`."""
        snapshot = snapshot_from((yield Sounding()))
        found = locate_paths(self._planned(), snapshot.samples, self.options.paths)
        if not found:
            raise NothingDetectedError("the snapshot is zero throughout, so there is no user to locate")
        user, *others = found
        floor_w = user.power_w * 10 ** (self.options.threshold_db / 10)
        targets = tuple(
            Target(range_m=point.range_m, angle_rad=point.angle_rad, power=point.power_w / user.power_w)
            for point in others
            if point.power_w > floor_w
        )
        return Fix(range_m=user.range_m, angle_rad=user.angle_rad, sweeps=snapshot.pilots, targets=targets)

    def _planned(self) -> MusicPlan:
        return self._plan.get(self._new_plan)

    def _new_plan(self) -> MusicPlan:
        uplink, options = self.facts.uplink, self.options
        limits_m = range_limits_m(uplink.array, options.range_min_m, options.range_max_m)
        return MusicPlan(uplink, np.linspace(*limits_m, options.range_points), self.facts.speed_of_light_m_s)
