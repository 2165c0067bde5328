import numpy as np
import pytest
from scipy import stats

from deploy.statistics import Interval, bootstrap_rmse_interval, rmse, summary_from_errors, wilson_interval


def test_rmse_is_the_root_of_the_mean_square_of_each_metric() -> None:
    np.testing.assert_array_equal(rmse(np.array([[3.0, 0.0], [-4.0, 2.0]])), [np.sqrt(12.5), np.sqrt(2.0)])


def test_rmse_of_gaussian_errors_tends_to_their_standard_deviation() -> None:
    errors = np.random.default_rng(1).normal(scale=2.0, size=100_000)
    # the relative standard error of an rmse is 1/sqrt(2 n) = 0.22 %; four of them
    assert float(rmse(errors)) == pytest.approx(2.0, rel=0.009)


def test_bootstrap_interval_of_gaussian_errors_is_the_chi_square_interval() -> None:
    n, rng = 2000, np.random.default_rng(2)
    errors = rng.normal(size=(n, 1))
    low, high = bootstrap_rmse_interval(errors, rng, resamples=4000)[:, 0]
    mean_square = float(np.mean(errors**2))
    closed = np.sqrt(n * mean_square / stats.chi2.ppf((0.975, 0.025), n))
    # ends lie 3 % off the rmse; kurtosis of 2000 errors is off by 10 %, thus the ends by 5 % of those 3 %, and the
    # quantiles of 4000 resamples by 3 % of them: 4 standard deviations are 0.7 %
    assert (low, high) == pytest.approx(tuple(closed), rel=0.007)


def test_bootstrap_interval_covers_the_true_rmse_as_often_as_it_says() -> None:
    rng = np.random.default_rng(3)
    trials = [bootstrap_rmse_interval(rng.normal(size=(200, 1)), rng, resamples=400)[:, 0] for _ in range(500)]
    covered = sum(low <= 1.0 <= high for low, high in trials)
    # 95 % nominal; the percentile bootstrap of 200 errors loses about one point; 500 trials have a sigma of 1 %
    assert 0.90 <= covered / 500 <= 0.98


def test_bootstrap_equals_resampling_one_user_at_a_time() -> None:
    errors = np.random.default_rng(4).normal(size=(7, 2))
    fast = bootstrap_rmse_interval(errors, np.random.default_rng(5), resamples=50)
    drawn = np.random.default_rng(5).integers(7, size=(50, 7))
    slow = [[np.sqrt(sum(errors[user, metric] ** 2 for user in row) / 7) for metric in range(2)] for row in drawn]
    # quantiles are taken of squares there and of roots here: equal but between neighbours, which they interpolate
    np.testing.assert_allclose(fast, np.quantile(slow, (0.025, 0.975), axis=0), rtol=5e-3)


def test_bootstrap_of_many_users_goes_in_blocks_and_has_one_interval_per_metric() -> None:
    errors = np.tile([[1.0, -2.0]], (600_000, 1))  # more than half of what is drawn at once: one resample a block
    interval = bootstrap_rmse_interval(errors, np.random.default_rng(6), resamples=3)
    np.testing.assert_allclose(interval, [[1.0, 2.0], [1.0, 2.0]], rtol=1e-12)  # rounding of means


@pytest.mark.parametrize(("hits", "n"), [(0, 50), (1, 50), (25, 50), (50, 50)])
def test_wilson_interval_is_the_one_of_scipy(hits: int, n: int) -> None:
    expected = stats.binomtest(hits, n).proportion_ci(method="wilson")
    ours = wilson_interval(hits, n)
    assert (ours.low, ours.high) == pytest.approx((expected.low, expected.high), abs=1e-12)  # rounding


def test_rate_outside_its_count_is_refused() -> None:
    with pytest.raises(ValueError, match=r"5 of 4"):
        wilson_interval(5, 4)


def test_summary_has_medians_percentiles_and_outliers_of_known_errors() -> None:
    error_m = np.arange(1, 101) / 500  # 2 mm to 20 cm: half of them above 10 cm
    summary = summary_from_errors(-error_m / 10, error_m, error_m, np.full(100, 3.0), np.random.default_rng(1))
    assert summary.error_median_m == pytest.approx(0.101)
    assert summary.angle_median_rad == pytest.approx(0.0101)  # of absolute values
    assert summary.error_p99_m == pytest.approx(np.quantile(error_m, 0.99))
    assert summary.outlier_rate == 0.5
    assert summary.sweeps_mean == 3.0
    assert (summary.n, summary.failures) == (100, 0)


def test_user_without_a_fix_is_an_outlier_and_no_part_of_the_rmse() -> None:
    error = np.array([0.03, -0.04, np.nan, np.nan])
    summary = summary_from_errors(error, error, np.abs(error), error, np.random.default_rng(1))
    assert summary.error_rmse_m == pytest.approx(np.sqrt(0.00125))
    assert (summary.n, summary.failures, summary.outlier_rate) == (4, 2, 0.5)


def test_summary_without_a_single_fix_has_rates_only() -> None:
    nothing = np.full(3, np.nan)
    summary = summary_from_errors(nothing, nothing, nothing, nothing, np.random.default_rng(1))
    assert summary.error_rmse_m is None
    assert summary.outlier_rate == 1.0
    assert isinstance(summary.outlier_rate_interval, Interval)
