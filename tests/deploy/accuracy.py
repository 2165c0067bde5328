"""Errors of `likelihood` over drawn users, beside their bounds and what the fixes state: for the tests of all its models.

Users are uniform over the region, every fiftieth on its edge in angle; masks are of uniform size and then random. The ratio of
root-mean-square error to root-mean bound over n users has a standard deviation of ``1 / sqrt(2 n')``, where
``n' = (sum b^2)^2 / sum b^4`` is smaller than n because users with large bounds weigh most: of 200 users about 100 count if
all elements are visible, 40 with random masks.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from bs_controller.scheme_bounds import unknown_of
from bs_controller.schemes import LikelihoodOptions, scheme_from_options
from bs_controller.sweeps import Covariance, Fix, Scheme, Visibility
from deploy.results import error_m
from deploy.simulation import SimulatedRadio, User
from deploy.study_bounds import BoundModel
from emulator.config import SweepMean
from protocol.testbed import default_facts

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Offsets = Callable[[np.random.Generator], Floats]

FACTS = default_facts()


@dataclass(frozen=True, kw_only=True)
class Errors:
    """One cell: errors of range, m, and angle, rad, ``(user, 2)``, covariances ``(user, 2, 2)``, all else ``(user,)``."""

    error: Floats
    position_m: Floats
    bound: Floats
    stated: Floats
    subarrays: npt.NDArray[np.int64]
    wrong_mask: Flags

    def of(self, chosen: Flags) -> "Errors":
        return Errors(**{name: getattr(self, name)[chosen] for name in self.__dataclass_fields__})

    def ratios(self) -> Floats:
        """Root-mean-square error over root-mean bound, ``(2,)``."""
        ratios: Floats = np.sqrt((self.error**2).mean(axis=0) / self._bound2().mean(axis=0))
        return ratios

    def deviations(self) -> Floats:
        """Standard deviations of the ratios, ``(2,)``."""
        deviations: Floats = np.sqrt((self._bound2() ** 2).sum(axis=0) / 2) / self._bound2().sum(axis=0)
        return deviations

    def by_bound(self) -> Floats:
        """Squared errors in standard deviations of the bound, ``(user,)``."""
        return _squares(self.error, self.bound)

    def by_stated(self) -> Floats:
        """And of the covariances that the fixes state, ``(user,)``."""
        return _squares(self.error, self.stated)

    def _bound2(self) -> Floats:
        return np.diagonal(self.bound, axis1=1, axis2=2)


def _squares(error: Floats, covariance: Floats) -> Floats:
    squares: Floats = np.einsum("ni,nij,nj->n", error, np.linalg.inv(covariance), error)
    return squares


def drawn_user(rng: np.random.Generator, number: int, masks: str) -> User:
    subarrays = tuple(sorted(rng.permutation(4)[: rng.integers(1, 5)].tolist()))
    angle_rad = float(rng.uniform(-np.pi / 3, np.pi / 3))
    return User(
        range_m=float(rng.uniform(5, 50)),
        angle_rad=float(np.copysign(np.pi / 3, angle_rad)) if number % 50 == 0 else angle_rad,
        visible_subarrays=(0, 1, 2, 3) if masks == "full" else subarrays,
    )


def on_time(_rng: np.random.Generator) -> Floats:
    return np.zeros(2)


def errors_of(
    options: LikelihoodOptions, masks: str, snr_db: float, *, n_user: int, seed: int, offsets: Offsets = on_time
) -> Errors:
    """Locate users, with flat noise against each sweep's mean power; ``offsets`` draws how late the clock is in each sweep."""
    rng, scheme, model = np.random.default_rng(seed), scheme_from_options(options, FACTS), BoundModel(FACTS)
    radio, rows = SimulatedRadio(FACTS, rng=rng, downlink_noise=SweepMean(snr_db=snr_db)), []
    for number in range(n_user):
        user = drawn_user(rng, number, masks)
        fix = located(scheme, radio, user, offsets(rng).tolist())
        bound = model.bound(radio.heard, user, unknown_of(options))
        assert bound is not None
        own = fix.covariance
        assert isinstance(own, Covariance)
        rows.append(
            (
                (fix.range_m - user.range_m, fix.angle_rad - user.angle_rad),
                error_m(fix.range_m, fix.angle_rad, user.range_m, user.angle_rad),
                bound.covariance,
                ((own.range_m2, own.range_angle_m_rad), (own.range_angle_m_rad, own.angle_rad2)),
                len(user.visible_subarrays),
                fix.visibility != Visibility(subarrays=user.visible_subarrays),
            )
        )
    error, position_m, bounds, stated, subarrays, wrong = (np.array(column) for column in zip(*rows, strict=True))
    return Errors(
        error=error, position_m=position_m, bound=bounds, stated=stated, subarrays=subarrays, wrong_mask=wrong
    )


def located(scheme: Scheme, radio: SimulatedRadio, user: User, offset_s: list[float]) -> Fix:
    """Run a scheme for a user whose clock is late by another time in each sweep."""
    radio.heard.clear()
    localization, late = scheme.locate(), iter(offset_s)
    request = next(localization)
    while True:
        try:
            request = localization.send(radio.answer(request, replace(user, timing_offset_s=next(late))))
        except StopIteration as end:
            fix: Fix = end.value
            return fix
