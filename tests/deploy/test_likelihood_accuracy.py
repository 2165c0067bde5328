"""The scheme `likelihood` against the Cramer-Rao bound, with the emulator's physics; see `accuracy`."""

from typing import Literal

import numpy as np
import pytest
from scipy import stats

from bs_controller.schemes import LikelihoodOptions
from tests.deploy.accuracy import errors_of

Plan = Literal["angle_range", "pair"]


@pytest.mark.parametrize("plan", ["angle_range", "pair"])
@pytest.mark.parametrize("masks", ["full", "random"])
def test_errors_at_10_db_are_on_the_bound_and_none_is_gross(plan: Plan, masks: str) -> None:
    errors = errors_of(LikelihoodOptions(plan=plan), masks, 10, n_user=200, seed=2026)
    assert errors.position_m.max() < 0.1
    assert not errors.wrong_mask.any()
    assert errors.ratios().max() < 1.15  # two standard deviations of 200 users' ratio with all elements visible
    assert (errors.ratios() > 1 - 4 * errors.deviations()).all()  # below the bound, the bound would be wrong


@pytest.mark.long
@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    ("plan", "snr_db"), [("angle_range", 0), ("angle_range", 10), ("angle_range", 20), ("pair", 10), ("pair", 20)]
)
@pytest.mark.parametrize("masks", ["full", "random"])
def test_errors_of_many_users_are_on_the_bound_and_none_is_gross(plan: Plan, masks: str, snr_db: float) -> None:
    errors = errors_of(LikelihoodOptions(plan=plan), masks, snr_db, n_user=2000, seed=int(snr_db) + 1)
    assert errors.position_m.max() < 0.1
    assert errors.wrong_mask.sum() <= 2  # one in a thousand; none was seen in 1000
    assert (errors.ratios() < 1.05 + 3 * errors.deviations()).all()


@pytest.mark.long
@pytest.mark.timeout(180)
@pytest.mark.parametrize("masks", ["full", "random"])
def test_two_common_sweeps_at_0_db_leave_no_gross_error(masks: str) -> None:
    errors = errors_of(LikelihoodOptions(plan="pair"), masks, 0, n_user=2000, seed=7)
    assert errors.position_m.max() < 0.1
    assert errors.wrong_mask.sum() <= 2
    # neighbouring lobes of the range, 5 cm apart, are now and then as likely as the right one: beyond the bound's reach
    assert errors.ratios()[0] < 1.5
    assert errors.ratios()[1] < 1.05 + 3 * errors.deviations()[1]


@pytest.mark.long
@pytest.mark.timeout(180)
@pytest.mark.parametrize("plan", ["angle_range", "pair"])
def test_covariance_is_honest_to_the_shape_of_its_distribution(plan: Plan) -> None:
    normalised = errors_of(LikelihoodOptions(plan=plan), "random", 20, n_user=1000, seed=11).by_stated()
    # honest and Gaussian: chi-square with two degrees. 1 % level: of a fixed seed it either passes or not
    assert stats.kstest(normalised, stats.chi2(2).cdf).pvalue > 0.01
    # its mean, 2, has a standard deviation of 2 / sqrt(n)
    assert float(normalised.mean()) == pytest.approx(2.0, abs=4 * 2 / np.sqrt(1000))
    assert normalised.max() < 25  # exceeded with a probability of 0.4 %
