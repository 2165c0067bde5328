"""What to believe of range and angle where the range is known badly: moments over the ranges that the prior allows.

Far away or with few sub-arrays the bound on the range exceeds the region. There the likelihood is about Gaussian in the
curvature, and its maximum may lie beyond the region; the mean over a prior that is flat in the range, within the region and
within the span of the delay, has the least squared error, and its second moments are honest. Where the range is known
well, they are those of maximum likelihood. Pure functions.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bs_controller.estimation.unsynchronised.delayed import (
    DIRECTION,
    Expansion,
    Profile,
    along_ridge,
    place_derivatives,
)

Floats = npt.NDArray[np.float64]

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(48)
# Beyond so many standard deviations of the curvature nothing is left that could be seen.
_REACH = 7.0
# The prior is contradicted where all it allows is more than so many standard deviations off.
_CONTRADICTION = 5.0
# Evidence of a hypothesis that the prior excludes, per metre by which its delay is beyond the span: chosen only if all are.
_NATS_PER_M_BEYOND = 1e3


@dataclass(frozen=True, slots=True, kw_only=True)
class Prior:
    """Ranges of the region, and the largest delay, as metres of path, on either side of none."""

    range_min_m: float
    range_max_m: float
    delay_span_m: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Moments:
    """Mean and covariance of range, m, and angle, rad, and the log-evidence up to a constant of all hypotheses."""

    mean: Floats  # (2,)
    covariance: Floats  # (2, 2)
    log_evidence: float
    delay_m: Floats  # (delay,) means
    allowed: bool  # whether the prior holds any of it within a few deviations


def curvature_limits_per_m(
    paths_m: Floats, direction_rad: float, centre_x_m: float, prior: Prior
) -> tuple[float, float]:
    """Return least and largest curvature that region and delays allow; the first exceeds the second if none is.

    Parameters
    ----------
    paths_m
        ``(delay,)`` distances from the centre plus delays.
    direction_rad, centre_x_m
        The ridge: where the user is seen from which point of the array.
    prior
        What is allowed.
    """
    across_m = centre_x_m * np.sin(direction_rad)
    near_m, far_m = (
        float(np.sqrt(limit_m**2 - (centre_x_m * np.cos(direction_rad)) ** 2) - across_m)
        for limit_m in (prior.range_min_m, prior.range_max_m)
    )
    near_m = max(near_m, float(paths_m.max()) - prior.delay_span_m)
    far_m = min(far_m, float(paths_m.min()) + prior.delay_span_m)
    return (1 / far_m if far_m > 0 else np.inf), 1 / near_m


def moments(expansion: Expansion, prior: Prior) -> Moments:
    """Return the posterior moments of one hypothesis, with all else integrated out of the expansion.

    Raises
    ------
    UnresolvableError
        If the sweeps determine neither direction nor paths.
    """
    profile, centre_x_m = along_ridge(expansion), expansion.centre_x_m
    low, high, beyond_m = _limits(profile.best, centre_x_m, prior)
    low, high = _interval(profile, low, high)
    curvature = (low + high) / 2 + (high - low) / 2 * _NODES
    off = curvature - profile.curvature_per_m
    rest = profile.best + np.outer(off, profile.slope)  # (node, 1 + delay)
    range_m, angle_rad, stretch = _positions(curvature, rest[:, 0], centre_x_m)
    # the prior is flat in the range, not in the curvature
    log_density = profile.gain(off) + np.log(stretch * _WEIGHTS * (high - low) / 2)
    top = float(log_density.max())
    weight = np.exp(log_density - top)
    evidence = profile.log_evidence + top + float(np.log(weight.sum())) - _NATS_PER_M_BEYOND * beyond_m
    weight /= weight.sum()
    middle = np.concatenate([[weight @ curvature], weight @ rest])
    by_direction = place_derivatives(middle, centre_x_m)[:2, DIRECTION]
    mean, spread = _mean_and_covariance(np.stack([range_m, angle_rad]), weight)
    return Moments(
        mean=mean,
        covariance=spread + profile.covariance[0, 0] * np.outer(by_direction, by_direction),
        log_evidence=evidence,
        delay_m=weight @ (rest[:, 1:] - 1 / curvature[:, np.newaxis]),
        allowed=beyond_m <= 0 and _distance(profile, low, high) < _CONTRADICTION,
    )


def second_moments_about(chosen: Moments, others: Sequence[Moments]) -> Floats:
    """Return the mean squared error of a hypothesis's mean if any of several may be true, ``(2, 2)``.

    Parameters
    ----------
    chosen
        The hypothesis whose mean is reported, one of...
    others
        ...all that are believed in as far as their evidence goes.
    """
    evidence = np.array([one.log_evidence for one in others])
    weight = np.exp(evidence - evidence.max())
    weight /= weight.sum()
    total = np.zeros((2, 2))
    for share, one in zip(weight, others, strict=True):
        apart = one.mean - chosen.mean
        total += share * (one.covariance + np.outer(apart, apart))
    return total


def _limits(best: Floats, centre_x_m: float, prior: Prior) -> tuple[float, float, float]:
    """Return limits of the curvature, and by how many metres the prior had to give way for there to be any."""
    low, high = curvature_limits_per_m(best[1:], float(best[0]), centre_x_m, prior)
    if low < high:
        return low, high, 0.0
    beyond_m = 1 / high - (1 / low if np.isfinite(low) else 0.0)
    wider = Prior(range_min_m=prior.range_min_m, range_max_m=prior.range_max_m, delay_span_m=np.inf)
    return *curvature_limits_per_m(best[1:], float(best[0]), centre_x_m, wider), beyond_m + 1e-3


def _distance(profile: Profile, low: float, high: float) -> float:
    """Return how many standard deviations the most likely curvature is outside limits."""
    best = profile.curvature_per_m + profile.push / profile.precision
    return abs(min(max(best, low), high) - best) * float(np.sqrt(profile.precision))


def _interval(profile: Profile, low: float, high: float) -> tuple[float, float]:
    """Return the part of the limits where a Gaussian is above ``exp(-_REACH**2 / 2)`` of its largest value there."""
    best = profile.curvature_per_m + profile.push / profile.precision
    nearest = min(max(best, low), high)
    reach = float(np.sqrt((nearest - best) ** 2 + _REACH**2 / profile.precision))
    return max(low, best - reach), min(high, best + reach)


def _mean_and_covariance(values: Floats, weight: Floats) -> tuple[Floats, Floats]:
    """Return moments of ``(value, node)`` under weights that add up to one."""
    mean: Floats = values @ weight
    off = values - mean[:, np.newaxis]
    return mean, (off * weight) @ off.T


def _positions(curvature: Floats, direction_rad: Floats, centre_x_m: float) -> tuple[Floats, Floats, Floats]:
    """Return ranges, angles and metres of range per unit of curvature, each ``(node,)``."""
    cos, sin = np.cos(direction_rad), np.sin(direction_rad)
    along_m, across_m = cos / curvature, sin / curvature + centre_x_m
    range_m = np.hypot(along_m, across_m)
    return range_m, np.arctan2(across_m, along_m), (along_m * cos + across_m * sin) / range_m / curvature**2
