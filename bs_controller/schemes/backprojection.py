"""Uplink backprojection: one sounding, the strongest point of its image is the user [SUCA, Algorithm 1].

How points are found, and where that differs from the paper, is in `detection.py`; a user that may be two at one angle,
which is in `companion.py`, is suspect. This file holds no formula.
"""

from dataclasses import dataclass, field
from typing import Annotated, ClassVar

import msgspec
import numpy as np
from msgspec import Meta

from bs_controller.companion import may_be_two
from bs_controller.detection import AngleProfile, detect
from bs_controller.imaging import Imager
from bs_controller.schemes.answers import snapshot_from
from bs_controller.schemes.planning import PlanOnce, range_limits_m
from bs_controller.sweeps import Fix, Integrity, Localization, Sounding, Target
from protocol.testbed import NonNegative, Positive, TestbedFacts


class NothingDetectedError(RuntimeError):
    """A snapshot holds no point at all."""


class BackprojectionOptions(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="backprojection", tag_field="scheme"
):
    """The image's ranges, by default from 1 m to 20 m outside the array's circle, and how points are looked for.

    A point beside the user is reported down to `threshold_db` of the user's power, if its path is longer than its
    distance by `excess_max_m` at most. ``angle_profile: sum`` is as published and fails for users close to the array.
    """

    range_points: Annotated[int, Meta(ge=2, le=65536)] = 200
    range_min_m: Positive | None = None
    range_max_m: Positive | None = None
    threshold_db: Annotated[float, Meta(lt=0, ge=-120)] = -15.0
    max_targets: Annotated[int, Meta(ge=1, le=64)] = 4
    excess_max_m: NonNegative = 20.0
    angle_profile: AngleProfile = "max"


@dataclass(frozen=True, slots=True, kw_only=True)
class Backprojection:
    """The scheme `backprojection`; its localizations share one planned image.

    Raises
    ------
    ValueError
        If the image's ranges do not grow or reach into the array's circle.
    """

    options: BackprojectionOptions
    facts: TestbedFacts
    name: ClassVar[str] = "backprojection"
    heavy: ClassVar[bool] = True
    _plan: PlanOnce[Imager] = field(default_factory=PlanOnce, compare=False, repr=False)

    def __post_init__(self) -> None:
        self._range_limits_m()

    def prepare(self) -> None:
        """Plan the image, which takes about 0.1 s and 10 MB at full size."""
        self._imager()

    def locate(self) -> Localization:
        """Return a fresh localization; see `Scheme`."""
        options = self.options
        snapshot = snapshot_from((yield Sounding()))
        found = detect(
            self._imager(),
            snapshot.samples,
            threshold_db=options.threshold_db,
            max_targets=options.max_targets,
            excess_max_m=options.excess_max_m,
            angle_profile=options.angle_profile,
        )
        if not found:
            raise NothingDetectedError("the snapshot is zero throughout, so there is no user to locate")
        user, *others = found
        targets = [
            Target(range_m=point.range_m, angle_rad=point.angle_rad, power=point.power_w / user.power_w)
            for point in others
        ]
        merged = may_be_two(self._imager(), snapshot.samples, found, excess_max_m=options.excess_max_m)
        return Fix(
            range_m=user.range_m,
            angle_rad=user.angle_rad,
            sweeps=snapshot.pilots,
            targets=tuple(targets),
            integrity=Integrity.SUSPECT if merged else Integrity.TRUSTED,
        )

    def _imager(self) -> Imager:
        return self._plan.get(self._planned)

    def _planned(self) -> Imager:
        range_m = np.linspace(*self._range_limits_m(), self.options.range_points)
        return Imager(self.facts.uplink, range_m, self.facts.speed_of_light_m_s)

    def _range_limits_m(self) -> tuple[float, float]:
        return range_limits_m(self.facts.uplink.array, self.options.range_min_m, self.options.range_max_m)
