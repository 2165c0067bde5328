"""The scheme `likelihood` against the Cramer-Rao bound, with the emulator's physics.

Users are uniform over the region, every twentieth on its edge in angle; masks are of uniform size and then random. The ratio
of root-mean-square error to root-mean bound over n users has a standard deviation of ``1 / sqrt(2 n')``, where
``n' = (sum b^2)^2 / sum b^4`` is smaller than n because users with large bounds weigh most: of 200 users about 100 count
if all elements are visible, 40 with random masks.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from bs_controller.schemes import LikelihoodOptions, scheme_from_options
from bs_controller.sweeps import Covariance, Fix, Visibility
from deploy.calibration import normalised_error_squared
from deploy.results import error_m
from deploy.simulation import SimulatedRadio, User, locate
from deploy.study_bounds import BoundModel, unknown_of
from emulator.config import SweepMean
from protocol.testbed import default_facts

Floats = npt.NDArray[np.float64]
Plan = Literal["angle_range", "pair"]

FACTS = default_facts()


@dataclass(frozen=True, kw_only=True)
class Errors:
    """Errors and bounds of one cell, ``(user,)`` each."""

    range_m: Floats
    angle_rad: Floats
    position_m: Floats
    range_bound_m: Floats
    angle_bound_rad: Floats
    normalised: Floats
    wrong_masks: int

    def ratios(self) -> tuple[float, float]:
        """Root-mean-square error over root-mean bound, of range and angle."""
        pairs = ((self.range_m, self.range_bound_m), (self.angle_rad, self.angle_bound_rad))
        of_range, of_angle = (float(np.sqrt(np.mean(error**2) / np.mean(bound**2))) for error, bound in pairs)
        return of_range, of_angle

    def deviation(self) -> float:
        """Standard deviation of a ratio: the larger of both."""
        bounds2 = (self.range_bound_m**2, self.angle_bound_rad**2)
        return max(float(np.sqrt(np.sum(bound2**2) / 2) / np.sum(bound2)) for bound2 in bounds2)


def drawn_user(rng: np.random.Generator, number: int, masks: str) -> User:
    subarrays = tuple(sorted(rng.permutation(4)[: rng.integers(1, 5)].tolist()))
    angle_rad = float(rng.uniform(-np.pi / 3, np.pi / 3))
    return User(
        range_m=float(rng.uniform(5, 50)),
        angle_rad=float(np.copysign(np.pi / 3, angle_rad)) if number % 20 == 0 else angle_rad,
        visible_subarrays=(0, 1, 2, 3) if masks == "full" else subarrays,
    )


def errors_of(plan: Plan, masks: str, snr_db: float, n_user: int, seed: int) -> Errors:
    rng, options = np.random.default_rng(seed), LikelihoodOptions(plan=plan)
    radio, model = SimulatedRadio(FACTS, rng=rng, downlink_noise=SweepMean(snr_db=snr_db)), BoundModel(FACTS)
    scheme, rows, wrong = scheme_from_options(options, FACTS), [], 0
    for number in range(n_user):
        user = drawn_user(rng, number, masks)
        radio.heard.clear()
        fix = locate(scheme, radio, user)
        bound = model.bound(radio.heard, user, unknown_of(options))
        assert bound is not None
        wrong += fix.visibility != Visibility(subarrays=user.visible_subarrays)
        error = error_m(fix.range_m, fix.angle_rad, user.range_m, user.angle_rad)
        off = (fix.range_m - user.range_m, fix.angle_rad - user.angle_rad)
        rows.append((*off, error, bound.range_rms_m, bound.angle_rms_rad, normalised(fix, *off)))
    columns = np.array(rows).T
    return Errors(
        range_m=columns[0],
        angle_rad=columns[1],
        position_m=columns[2],
        range_bound_m=columns[3],
        angle_bound_rad=columns[4],
        normalised=columns[5],
        wrong_masks=wrong,
    )


def normalised(fix: Fix, range_m: float, angle_rad: float) -> float:
    own = fix.covariance
    assert isinstance(own, Covariance)
    covariance = np.array([[own.range_m2, own.range_angle_m_rad, own.angle_rad2]])
    return float(normalised_error_squared(np.array([[range_m, angle_rad]]), covariance)[0])


@pytest.mark.parametrize("plan", ["angle_range", "pair"])
@pytest.mark.parametrize("masks", ["full", "random"])
def test_errors_at_10_db_are_on_the_bound_and_none_is_gross(plan: Plan, masks: str) -> None:
    errors = errors_of(plan, masks, 10, n_user=200, seed=2026)
    assert errors.position_m.max() < 0.1
    assert errors.wrong_masks == 0
    assert max(errors.ratios()) < 1.15  # two standard deviations of 200 users' ratio with all elements visible
    assert min(errors.ratios()) > 1 - 4 * errors.deviation()  # below the bound, the bound would be wrong


@pytest.mark.long
@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    ("plan", "snr_db"), [("angle_range", 0), ("angle_range", 10), ("angle_range", 20), ("pair", 10), ("pair", 20)]
)
@pytest.mark.parametrize("masks", ["full", "random"])
def test_errors_of_many_users_are_on_the_bound_and_none_is_gross(plan: Plan, masks: str, snr_db: float) -> None:
    errors = errors_of(plan, masks, snr_db, n_user=2000, seed=int(snr_db) + 1)
    assert errors.position_m.max() < 0.1
    assert errors.wrong_masks <= 2  # one in a thousand; none was seen in 1000
    assert max(errors.ratios()) < 1.05 + 3 * errors.deviation()


@pytest.mark.long
@pytest.mark.timeout(180)
@pytest.mark.parametrize("masks", ["full", "random"])
def test_two_common_sweeps_at_0_db_leave_no_gross_error(masks: str) -> None:
    errors = errors_of("pair", masks, 0, n_user=2000, seed=7)
    assert errors.position_m.max() < 0.1
    assert errors.wrong_masks <= 2
    # neighbouring lobes of the range, 5 cm apart, are now and then as likely as the right one: beyond the bound's reach
    assert errors.ratios()[0] < 1.5
    assert errors.ratios()[1] < 1.05 + 3 * errors.deviation()


@pytest.mark.long
@pytest.mark.timeout(180)
@pytest.mark.parametrize("plan", ["angle_range", "pair"])
def test_covariance_is_honest_to_the_shape_of_its_distribution(plan: Plan) -> None:
    normalised = errors_of(plan, "random", 20, n_user=1000, seed=11).normalised
    # honest and Gaussian: chi-square with two degrees. 1 % level: of a fixed seed it either passes or not
    assert stats.kstest(normalised, stats.chi2(2).cdf).pvalue > 0.01
    # its mean, 2, has a standard deviation of 2 / sqrt(n)
    assert float(normalised.mean()) == pytest.approx(2.0, abs=4 * 2 / np.sqrt(1000))
    assert normalised.max() < 25  # exceeded with a probability of 0.4 %
