"""How errors compare with the Cramer-Rao bound, and with what the fixes say of their own errors (pure kernels).

Each figure is over the users that have what it takes, which its count tells; where there are none it is None. Ratios are
of root means over the same users, so that users with large bounds weigh most. Intervals are those of `deploy.statistics`:
percentile bootstrap, which draws a user with its error and its bound, and Wilson's for rates.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from deploy.statistics import CONFIDENCE, Interval, resampled_means, wilson_interval

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

# Squared Mahalanobis distance of two coordinates; honest Gaussian errors are beyond it once in 270 000 fixes, exp(-25 / 2),
# where one coordinate is beyond five standard deviations once in 1.7 million.
FAR_NEES = 25.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """Errors against bounds and against the fixes' own covariance, mask and integrity, of one cell and scheme.

    ``nees`` is the mean of the normalised error squared ``e^T C^-1 e`` over its two coordinates, 1 if covariances are
    honest. ``far_rate`` is the share of those with ``e^T C^-1 e > 25``.
    """

    bounded: int = 0
    range_ratio: float | None = None
    range_ratio_interval: Interval | None = None
    angle_ratio: float | None = None
    angle_ratio_interval: Interval | None = None
    error_ratio: float | None = None
    error_ratio_interval: Interval | None = None
    with_covariance: int = 0
    nees: float | None = None
    nees_interval: Interval | None = None
    far_rate: float | None = None
    far_rate_interval: Interval | None = None
    with_mask: int = 0
    wrong_mask_rate: float | None = None
    wrong_mask_rate_interval: Interval | None = None
    with_integrity: int = 0
    flagged_rate: float | None = None
    flagged_rate_interval: Interval | None = None


def calibration(
    errors: Floats, bounds: Floats, rng: np.random.Generator, *, normalised: Floats, wrong_mask: Flags, flagged: Flags
) -> Calibration:
    """Return how well the fixes of one cell and scheme did, and how well they knew it.

    Parameters
    ----------
    errors, bounds
        ``(user, 3)`` errors and root-mean-square bounds of range, angle and place; not a number where there is none.
    rng
        Draws the resamples.
    normalised
        ``(user,)`` normalised errors squared, see `normalised_error_squared`; not a number where there is none.
    wrong_mask, flagged
        One for each user whose fix says which sub-arrays see it, or whether it may be relied upon: ``(known,)``.
    """
    both = np.isfinite(errors).all(axis=1) & np.isfinite(bounds).all(axis=1)
    ratios, intervals = _ratios_and_intervals(errors[both], bounds[both], rng)
    known = normalised[np.isfinite(normalised)]
    nees, nees_interval = _mean_and_interval(known / 2, rng)
    far = known > FAR_NEES
    return Calibration(
        bounded=int(np.count_nonzero(both)),
        range_ratio=ratios[0],
        range_ratio_interval=intervals[0],
        angle_ratio=ratios[1],
        angle_ratio_interval=intervals[1],
        error_ratio=ratios[2],
        error_ratio_interval=intervals[2],
        with_covariance=known.size,
        nees=nees,
        nees_interval=nees_interval,
        far_rate=_rate(far),
        far_rate_interval=_rate_interval(far),
        with_mask=wrong_mask.size,
        wrong_mask_rate=_rate(wrong_mask),
        wrong_mask_rate_interval=_rate_interval(wrong_mask),
        with_integrity=flagged.size,
        flagged_rate=_rate(flagged),
        flagged_rate_interval=_rate_interval(flagged),
    )


def normalised_error_squared(errors: Floats, covariance: Floats) -> Floats:
    """Return ``e^T C^-1 e``: chi-square distributed with two degrees if errors are Gaussian with this covariance.

    Parameters
    ----------
    errors
        ``(user, 2)`` errors of range and angle.
    covariance
        ``(user, 3)``: range variance, covariance, angle variance.

    Returns
    -------
    normalised
        ``(user,)``, not a number where one is missing or a covariance is not positive definite.
    """
    range_error, angle_error = errors.T
    range2, mixed, angle2 = covariance.T
    # in units of the standard deviations: range and angle differ by powers of ten
    with np.errstate(divide="ignore", invalid="ignore"):
        x, y = range_error / np.sqrt(range2), angle_error / np.sqrt(angle2)
        correlation = mixed / np.sqrt(range2 * angle2)
        squared = (x**2 - 2 * correlation * x * y + y**2) / (1 - correlation**2)
    definite = (range2 > 0) & (angle2 > 0) & (np.abs(correlation) < 1)
    result: Floats = np.where(definite, squared, np.nan)
    return result


def _ratios_and_intervals(
    errors: Floats, bounds: Floats, rng: np.random.Generator
) -> tuple[list[float | None], list[Interval | None]]:
    """Return ratios of root means, one for each metric, and their intervals."""
    if not len(errors):
        return [None] * errors.shape[1], [None] * errors.shape[1]
    squares = np.hstack([np.square(errors), np.square(bounds)])
    tail = (1 - CONFIDENCE) / 2
    ends = np.quantile(_ratio(resampled_means(squares, rng)), (tail, 1 - tail), axis=0)
    return _ratio(squares.mean(axis=0)).tolist(), [Interval(low=low, high=high) for low, high in ends.T.tolist()]


def _ratio(means: Floats) -> Floats:
    """Return roots of mean squared errors over mean squared bounds, ``(..., 2 metric)`` to ``(..., metric)``."""
    half = means.shape[-1] // 2
    ratio: Floats = np.sqrt(means[..., :half] / means[..., half:])
    return ratio


def _mean_and_interval(values: Floats, rng: np.random.Generator) -> tuple[float | None, Interval | None]:
    if not values.size:
        return None, None
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(resampled_means(values[:, np.newaxis], rng)[:, 0], (tail, 1 - tail)).tolist()
    return float(values.mean()), Interval(low=low, high=high)


def _rate(hits: Flags) -> float | None:
    return float(hits.mean()) if hits.size else None


def _rate_interval(hits: Flags) -> Interval | None:
    return wilson_interval(int(np.count_nonzero(hits)), hits.size) if hits.size else None
