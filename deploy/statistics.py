"""What a set of location errors amounts to: RMSE with bootstrap intervals, quantiles, and rates of outliers.

Pure kernels: arrays and an explicit ``rng`` in, numbers out. Errors of one cell and scheme are taken as independent draws.
Intervals are two-sided. The RMSE's is a percentile bootstrap, because location errors have tails for which the
chi-square interval of Gaussian errors is far too narrow; with fewer than some 20 errors, or outliers that the sample
has only one or two of, it is too narrow as well.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

Floats = npt.NDArray[np.float64]

CONFIDENCE = 0.95
RESAMPLES = 1000
OUTLIER_M = 0.1
_DRAWS_AT_ONCE = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A two-sided confidence interval."""

    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorSummary:
    """The errors of one cell and scheme; without a single fix all but the counts and rates are None.

    ``n`` counts users, ``failures`` those without a fix. A failure is an outlier, and no part of the other figures.
    """

    n: int
    failures: int
    angle_rmse_rad: float | None = None
    angle_rmse_interval_rad: Interval | None = None
    range_rmse_m: float | None = None
    range_rmse_interval_m: Interval | None = None
    error_rmse_m: float | None = None
    error_rmse_interval_m: Interval | None = None
    angle_median_rad: float | None = None
    angle_p99_rad: float | None = None
    range_median_m: float | None = None
    range_p99_m: float | None = None
    error_median_m: float | None = None
    error_p99_m: float | None = None
    outlier_rate: float
    outlier_rate_interval: Interval
    sweeps_mean: float | None = None


def summary_from_errors(
    angle_error_rad: Floats, range_error_m: Floats, error_m: Floats, sweeps: Floats, rng: np.random.Generator
) -> ErrorSummary:
    """Return what the errors of one cell and scheme amount to.

    Parameters
    ----------
    angle_error_rad, range_error_m
        ``(user,)`` signed errors, not a number where there is no fix.
    error_m
        ``(user,)`` distances between fix and truth, in the plane.
    sweeps
        ``(user,)`` pilots that each fix took.
    rng
        Draws the resamples.

    Raises
    ------
    ValueError
        If there is no user.
    """
    n = error_m.size
    errors = np.stack([angle_error_rad, range_error_m, error_m], axis=1)[np.isfinite(error_m)]
    failures = n - len(errors)
    outliers = failures + int(np.count_nonzero(errors[:, 2] > OUTLIER_M))
    rate_interval = wilson_interval(outliers, n)
    if failures == n:
        return ErrorSummary(n=n, failures=failures, outlier_rate=outliers / n, outlier_rate_interval=rate_interval)
    (angle_rms, range_rms, error_rms), medians, p99s = rmse(errors), *np.quantile(np.abs(errors), (0.5, 0.99), axis=0)
    intervals = [Interval(low=low, high=high) for low, high in bootstrap_rmse_interval(errors, rng).T.tolist()]
    return ErrorSummary(
        n=n,
        failures=failures,
        angle_rmse_rad=float(angle_rms),
        angle_rmse_interval_rad=intervals[0],
        range_rmse_m=float(range_rms),
        range_rmse_interval_m=intervals[1],
        error_rmse_m=float(error_rms),
        error_rmse_interval_m=intervals[2],
        angle_median_rad=float(medians[0]),
        angle_p99_rad=float(p99s[0]),
        range_median_m=float(medians[1]),
        range_p99_m=float(p99s[1]),
        error_median_m=float(medians[2]),
        error_p99_m=float(p99s[2]),
        outlier_rate=outliers / n,
        outlier_rate_interval=rate_interval,
        sweeps_mean=float(np.nanmean(sweeps)),
    )


def rmse(errors: Floats) -> Floats:
    """Return the root of the mean square over users: ``(user, ...)`` to ``(...)``."""
    mean: Floats = np.mean(np.square(errors), axis=0)
    return np.sqrt(mean)


def bootstrap_rmse_interval(
    errors: Floats, rng: np.random.Generator, *, confidence: float = CONFIDENCE, resamples: int = RESAMPLES
) -> Floats:
    """Return the percentile bootstrap interval of the RMSE of each metric.

    Users are drawn with all their metrics, so that the intervals of a user set are of the same resamples.

    Parameters
    ----------
    errors
        ``(user, metric)``.

    Returns
    -------
    interval
        ``(2, metric)``, low and high.
    """
    mean_squares = resampled_means(np.square(errors), rng, resamples=resamples)
    tail = (1 - confidence) / 2
    interval: Floats = np.sqrt(np.quantile(mean_squares, (tail, 1 - tail), axis=0))
    return interval


def resampled_means(values: Floats, rng: np.random.Generator, *, resamples: int = RESAMPLES) -> Floats:
    """Return means over users drawn with replacement, each with all its values.

    Parameters
    ----------
    values
        ``(user, value)``.

    Returns
    -------
    means
        ``(resample, value)``.
    """
    n = len(values)
    means = np.empty((resamples, values.shape[1]))
    block = max(1, _DRAWS_AT_ONCE // n)  # bounds memory, whatever the number of users
    for start in range(0, resamples, block):
        drawn = rng.integers(n, size=(min(block, resamples - start), n))
        for column in range(values.shape[1]):
            means[start : start + len(drawn), column] = values[:, column][drawn].mean(axis=1)
    return means


def wilson_interval(hits: int, n: int, *, confidence: float = CONFIDENCE) -> Interval:
    """Return Wilson's score interval of a rate, which keeps its coverage near 0 and 1.

    Raises
    ------
    ValueError
        Unless ``0 <= hits <= n`` and ``n >= 1``.
    """
    if not (n >= 1 and 0 <= hits <= n):
        raise ValueError(f"expected 0 <= hits <= n and n >= 1, got {hits} of {n}")
    z, rate = float(ndtri((1 + confidence) / 2)), hits / n
    centre = (rate + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * float(np.sqrt(rate * (1 - rate) / n + z**2 / (4 * n**2)))
    # at a rate of 0 or 1 one end is exact, and rounding must not push it out
    return Interval(low=0.0 if hits == 0 else centre - half, high=1.0 if hits == n else centre + half)
