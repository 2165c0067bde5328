"""Maximum likelihood of an uplink snapshot: one sounding, all paths fitted together, and how far off the user may be.

The fix carries the covariance that the Fisher information gives at the maximum. This file holds no formula; see
`snapshot_fit.py`.
"""

from dataclasses import dataclass, field
from typing import Annotated, ClassVar

import msgspec
import numpy as np
from msgspec import Meta

from bs_controller.imaging import Imager
from bs_controller.schemes.answers import snapshot_from
from bs_controller.schemes.backprojection import NothingDetectedError
from bs_controller.schemes.planning import PlanOnce, range_limits_m
from bs_controller.snapshot_fit import SnapshotFit, likeliest
from bs_controller.sweeps import Covariance, Fix, GoodnessOfFit, Localization, NotEstimated, Sounding, Target
from protocol.testbed import NonNegative, Positive, TestbedFacts


class UplinkLikelihoodOptions(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="uplink_likelihood", tag_field="scheme"
):
    """The ranges searched, by default from 1 m to 20 m outside the array's circle, and how points are looked for.

    A path is fitted beside the user's down to `threshold_db` of its power, if it is longer than its distance by
    `excess_max_m` at most.
    """

    range_points: Annotated[int, Meta(ge=2, le=65536)] = 200
    range_min_m: Positive | None = None
    range_max_m: Positive | None = None
    threshold_db: Annotated[float, Meta(lt=0, ge=-120)] = -15.0
    max_targets: Annotated[int, Meta(ge=1, le=64)] = 4
    excess_max_m: NonNegative = 20.0


_NOISE_FROM_RESIDUAL: GoodnessOfFit | NotEstimated = NotEstimated(
    reason="the noise power is taken from the residual itself"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class UplinkLikelihood:
    """The scheme `uplink_likelihood`; its localizations share one planned image.

    Raises
    ------
    ValueError
        If the ranges do not grow or reach into the array's circle.
    """

    options: UplinkLikelihoodOptions
    facts: TestbedFacts
    name: ClassVar[str] = "uplink_likelihood"
    heavy: ClassVar[bool] = True
    _plan: PlanOnce[Imager] = field(default_factory=PlanOnce, compare=False, repr=False)

    def __post_init__(self) -> None:
        range_limits_m(self.facts.uplink.array, self.options.range_min_m, self.options.range_max_m)

    def prepare(self) -> None:
        """Plan the image, which takes about a tenth of a second and 10 MB at full size."""
        self._imager()

    def locate(self) -> Localization:
        """Return a fresh localization; see `Scheme`."""
        snapshot, options, imager = snapshot_from((yield Sounding())), self.options, self._imager()
        fit = likeliest(
            imager,
            snapshot.samples,
            threshold_db=options.threshold_db,
            max_targets=options.max_targets,
            excess_max_m=options.excess_max_m,
        )
        if fit is None:
            raise NothingDetectedError("the snapshot is zero throughout, so there is no user to locate")
        return _fix_from_fit(fit, snapshot.pilots)

    def _imager(self) -> Imager:
        return self._plan.get(self._new_imager)

    def _new_imager(self) -> Imager:
        uplink, options = self.facts.uplink, self.options
        limits_m = range_limits_m(uplink.array, options.range_min_m, options.range_max_m)
        return Imager(uplink, np.linspace(*limits_m, options.range_points), self.facts.speed_of_light_m_s)


def _fix_from_fit(fit: SnapshotFit, pilots: int) -> Fix:
    user, *others = fit.points
    others.sort(key=lambda point: -point.power_w)
    targets = (
        Target(range_m=point.range_m, angle_rad=point.angle_rad, power=point.power_w / user.power_w) for point in others
    )
    (range_m2, range_angle_m_rad), (_, angle_rad2) = fit.covariance.tolist()
    return Fix(
        range_m=user.range_m,
        angle_rad=user.angle_rad,
        sweeps=pilots,
        targets=tuple(targets),
        covariance=Covariance(range_m2=range_m2, range_angle_m_rad=range_angle_m_rad, angle_rad2=angle_rad2),
        fit=_NOISE_FROM_RESIDUAL,
    )
