import numpy as np
import pytest
from scipy import stats

from deploy.error_calibration import Calibration, calibration, normalised_error_squared
from deploy.statistics import wilson_interval

NO_FLAGS = np.zeros(0, dtype=np.bool_)


def gaussian(n: int, covariance: np.ndarray, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).multivariate_normal(np.zeros(2), covariance, size=n)


def of(errors: np.ndarray, bounds: np.ndarray, normalised: np.ndarray | None = None) -> Calibration:
    nothing = np.full(len(errors), np.nan)
    normalised = nothing if normalised is None else normalised
    rng = np.random.default_rng(1)
    return calibration(errors, bounds, rng, normalised=normalised, wrong_mask=NO_FLAGS, flagged=NO_FLAGS)


def test_normalised_error_is_the_quadratic_form_with_the_inverse_covariance() -> None:
    errors = np.array([[1e-3, 2e-6], [-3e-3, 1e-6]])
    matrix = np.array([[4e-6, 1e-9], [1e-9, 1e-12]])
    rows = np.tile([matrix[0, 0], matrix[0, 1], matrix[1, 1]], (2, 1))
    expected = [error @ np.linalg.inv(matrix) @ error for error in errors]
    np.testing.assert_allclose(normalised_error_squared(errors, rows), expected, rtol=1e-9)  # condition 1e6 over 1e16


def test_normalised_errors_of_gaussians_are_chi_square_with_two_degrees() -> None:
    matrix = np.array([[4.0, 0.9], [0.9, 0.3]])
    rows = np.tile([4.0, 0.9, 0.3], (2000, 1))
    normalised = normalised_error_squared(gaussian(2000, matrix, 5), rows)
    assert stats.kstest(normalised, stats.chi2(2).cdf).pvalue > 0.01  # of a fixed seed it either passes or not


def test_missing_or_impossible_covariance_gives_no_number() -> None:
    rows = np.array([[1.0, np.nan, 1.0], [1.0, 2.0, 1.0], [-1.0, 0.0, 1.0]])
    assert np.isnan(normalised_error_squared(np.ones((3, 2)), rows)).all()


def test_ratio_is_of_root_means_over_users_with_both() -> None:
    errors = np.array([[3.0, 1.0, 3.0], [4.0, 1.0, 4.0], [100.0, 1.0, 9.0], [np.nan] * 3])
    bounds = np.array([[1.0, 1.0, 1.0], [2.0, 1.0, 2.0], [np.nan] * 3, [1.0] * 3])
    found = of(errors, bounds)
    assert found.bounded == 2
    assert found.range_ratio == pytest.approx(np.sqrt(25 / 5))
    assert found.angle_ratio == pytest.approx(1.0)


def test_interval_of_a_ratio_covers_one_as_often_as_it_says_for_errors_on_their_bounds() -> None:
    rng, covered = np.random.default_rng(6), 0
    for _ in range(100):
        bounds = rng.uniform(1, 3, size=(200, 3))
        interval = of(bounds * rng.normal(size=(200, 3)), bounds).range_ratio_interval
        assert interval is not None
        covered += interval.low <= 1 <= interval.high
    # 95 % nominal, of which the percentile bootstrap of 200 errors loses a point or two; sigma of 100 trials is 2.4 %
    assert covered >= 86


def test_users_are_resampled_with_their_bounds() -> None:
    bounds = np.random.default_rng(7).uniform(1, 100, size=(50, 3))
    interval = of(2 * bounds, bounds).error_ratio_interval
    assert interval is not None
    assert (interval.low, interval.high) == pytest.approx((2.0, 2.0))  # drawn apart, they would differ


def test_nees_is_the_mean_over_two_coordinates_and_far_is_beyond_25() -> None:
    found = of(np.ones((4, 3)), np.full((4, 3), np.nan), np.array([2.0, 4.0, 30.0, np.nan]))
    assert found.with_covariance == 3
    assert found.nees == pytest.approx(6.0)
    assert found.far_rate == pytest.approx(1 / 3)
    assert found.far_rate_interval == wilson_interval(1, 3)
    assert found.error_ratio is None


def test_rates_of_wrong_masks_and_flags_are_of_those_that_say_something() -> None:
    nothing = np.full((10, 3), np.nan)
    found = calibration(
        nothing,
        nothing,
        np.random.default_rng(1),
        normalised=nothing[:, 0],
        wrong_mask=np.array([True, False, False, False]),
        flagged=NO_FLAGS,
    )
    assert (found.with_mask, found.wrong_mask_rate, found.wrong_mask_rate_interval) == (4, 0.25, wilson_interval(1, 4))
    assert (found.with_integrity, found.flagged_rate, found.nees) == (0, None, None)
