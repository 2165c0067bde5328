"""Which of several estimates from powers to believe, where in its surroundings the user is, and how wrong that may be.

The prior is flat in the range over the region. Where the range is known to a few per cent, and the likelihood on either side
is as the information at the maximum says, it is taken as normal in curvature and angle; where not, it is computed at steps of
the curvature, each at its best angle, gains and noise powers: with one sub-array it may be flat, or have two maxima about the
curvature that is in focus. Pure functions.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.interpolate import CubicHermiteSpline

from bs_controller.estimation.newton import UnresolvableError
from bs_controller.estimation.power.scoring import PowerEstimate, PowerObservation, climbed

Floats = npt.NDArray[np.float64]

RANGES = 257
_WIDTHS = 6.0  # standard deviations of the curvature that are looked at
# Standard deviation of the curvature, relative, from which on the likelihood is computed instead of taken as normal.
BROAD = 0.04
# A narrower likelihood, if a scan's steps are no longer than it, is asked on either side, so many deviations off, whether it is
# normal, within so many nats: a normal one has fallen by 3.1 there.
PROBE_DEVIATIONS = 2.5
PROBE_NATS = 0.75
SCAN_STEP = 1.4  # standard deviations of the curvature
SHORTEST_SCAN_STEP_PER_M = 4e-4
LONGEST_SCAN_STEP_PER_M = 0.015
# How far below the maximum a scan goes on, so as to cross the dip between two maxima; what is beyond weighs e^-8.
SCAN_NATS = 8.0
# Two maxima of one mask this close, in standard deviations of the curvature, are one.
_SAME = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Posterior:
    """Where the user is if an estimate's mask and maximum are right, and how probable that is relative to others."""

    mean: Floats  # (2,) range, m, and angle, rad
    covariance: Floats  # (2, 2)
    log_evidence: float
    estimate: PowerEstimate
    curvatures_per_m: tuple[float, float]  # between which this maximum was integrated, and others of its mask with it


@dataclass(frozen=True, slots=True, kw_only=True)
class _Curve:
    """The likelihood along the curvature, ascending, everything else at its best, ``(step,)``."""

    curvature_per_m: Floats
    angle_rad: Floats
    angle_variance_rad2: Floats
    log_likelihood: Floats


def posteriors(
    observations: Sequence[PowerObservation], estimates: Sequence[PowerEstimate], range_limits_m: tuple[float, float]
) -> list[Posterior]:
    """Return what maxima of the likelihood amount to, the most probable first.

    Parameters
    ----------
    observations
        The sweeps.
    estimates
        Distinct maxima, most likely first, at least one.
    range_limits_m
        The nearest and the farthest range that there are.

    Raises
    ------
    UnresolvableError
        If the information at a maximum is singular.
    """
    region = 1 / range_limits_m[1], 1 / range_limits_m[0]
    found: list[Posterior] = []
    for one in estimates:
        taken = [other.curvatures_per_m for other in found if (other.estimate.mask == one.mask).all()]
        limits_per_m = _between(taken, one.curvature_per_m, region)
        if limits_per_m[0] >= limits_per_m[1]:
            continue
        normal = _is_normal(observations, one, limits_per_m)
        curve = _normal(one, limits_per_m) if normal else _scanned(observations, one, limits_per_m)
        found.append(_integrated(curve, one))
    return sorted(found, key=lambda posterior: -posterior.log_evidence)


def _between(
    taken: Sequence[tuple[float, float]], curvature_per_m: float, region: tuple[float, float]
) -> tuple[float, float]:
    """Return what is left of the region around a curvature by intervals that count already; nothing if it is in one."""
    low, high = region
    for first, last in taken:
        if curvature_per_m >= first:
            low = max(low, last)
        if curvature_per_m <= last:
            high = min(high, first)
    return low, high


def _beside_angle(estimate: PowerEstimate) -> tuple[float, float, float]:
    """Return slope and information of the curvature with the angle at its best, and how that angle turns with it."""
    info, slope = estimate.information, estimate.slope
    if not info[1, 1] > 0:
        raise UnresolvableError("the powers say nothing of the angle")
    turn = -float(info[0, 1] / info[1, 1])
    information = float(info[0, 0]) + turn * float(info[0, 1])
    if not information > 0:
        raise UnresolvableError("the powers say nothing of the range")
    return float(slope[0]) + turn * float(slope[1]), information, turn


def _is_normal(
    observations: Sequence[PowerObservation], estimate: PowerEstimate, limits_per_m: tuple[float, float]
) -> bool:
    """Return whether the likelihood on either side is, as far as one can see, what the estimate says of it."""
    slope, information, _ = _beside_angle(estimate)
    deviation_per_m = 1 / float(np.sqrt(information))
    if deviation_per_m > BROAD * estimate.curvature_per_m:
        return False
    if SCAN_STEP * deviation_per_m < SHORTEST_SCAN_STEP_PER_M:
        return True
    for side in (-PROBE_DEVIATIONS, PROBE_DEVIATIONS):
        towards = estimate.curvature_per_m + slope / information + side * deviation_per_m
        curvature_per_m = float(np.clip(towards, *limits_per_m))
        off = curvature_per_m - estimate.curvature_per_m
        expected = estimate.log_likelihood + slope * off - information * off**2 / 2
        if abs(_held_at(observations, estimate, curvature_per_m).log_likelihood - expected) > PROBE_NATS:
            return False
    return True


def _normal(estimate: PowerEstimate, limits_per_m: tuple[float, float]) -> _Curve:
    slope, information, turn = _beside_angle(estimate)
    top, width = estimate.curvature_per_m + slope / information, _WIDTHS / float(np.sqrt(information))
    low, high = limits_per_m
    first, last = float(np.clip(top - width, low, high)), float(np.clip(top + width, low, high))
    if last - first < width / 4:  # the top is beyond a limit: what is near that limit counts
        reach = min(width, high - low)
        first, last = (low, low + reach) if top < low else (high - reach, high)
    curvature_per_m = np.linspace(first, last, RANGES)
    off = curvature_per_m - estimate.curvature_per_m
    return _Curve(
        curvature_per_m=curvature_per_m,
        angle_rad=_best_angle_rad(estimate) + turn * off,
        angle_variance_rad2=np.full(RANGES, 1 / estimate.information[1, 1]),
        log_likelihood=estimate.log_likelihood + slope * off - information * off**2 / 2,
    )


def _best_angle_rad(estimate: PowerEstimate) -> float:
    return estimate.angle_rad + float(estimate.slope[1] / estimate.information[1, 1])


def _scanned(
    observations: Sequence[PowerObservation], estimate: PowerEstimate, limits_per_m: tuple[float, float]
) -> _Curve:
    """Return the curve from a maximum towards both limits, with steps as wide as its standard deviation allows."""
    points = [estimate]
    for end in limits_per_m:
        at, curvature_per_m = estimate, estimate.curvature_per_m
        while curvature_per_m != end and at.log_likelihood > estimate.log_likelihood - SCAN_NATS:
            step = np.clip(SCAN_STEP / np.sqrt(_beside_angle(at)[1]), SHORTEST_SCAN_STEP_PER_M, LONGEST_SCAN_STEP_PER_M)
            nearest, farthest = sorted((curvature_per_m, end))
            towards = curvature_per_m + np.copysign(step, end - curvature_per_m)
            curvature_per_m = float(np.clip(towards, nearest, farthest))
            at = _held_at(observations, at, curvature_per_m)
            points.append(at)
    return _refined(sorted(points, key=lambda point: point.curvature_per_m))


def _held_at(
    observations: Sequence[PowerObservation], estimate: PowerEstimate, curvature_per_m: float
) -> PowerEstimate:
    """Return what is most likely at another curvature, from along the ridge on."""
    turned_rad = _beside_angle(estimate)[2] * (curvature_per_m - estimate.curvature_per_m)
    start = replace(estimate, curvature_per_m=curvature_per_m, angle_rad=_best_angle_rad(estimate) + turned_rad)
    return climbed(observations, start, range_limits_m=(1 / curvature_per_m,) * 2, steps=1)


def _refined(points: Sequence[PowerEstimate]) -> _Curve:
    """Return the curve through points, between them by the cubics with their likelihoods and slopes."""
    at = np.array([point.curvature_per_m for point in points])
    curvature_per_m = np.linspace(at[0], at[-1], RANGES)
    # what the last step to the best angle is still to gain
    height = [point.log_likelihood + float(point.slope[1] ** 2 / point.information[1, 1]) / 2 for point in points]
    slope = [_beside_angle(point)[0] for point in points]
    return _Curve(
        curvature_per_m=curvature_per_m,
        angle_rad=np.interp(curvature_per_m, at, [_best_angle_rad(point) for point in points]),
        angle_variance_rad2=np.interp(curvature_per_m, at, [1 / point.information[1, 1] for point in points]),
        log_likelihood=CubicHermiteSpline(at, height, slope)(curvature_per_m),
    )


def _integrated(curve: _Curve, estimate: PowerEstimate) -> Posterior:
    """Return moments and evidence of a curve over the range."""
    range_m = 1 / curve.curvature_per_m
    log_weight = curve.log_likelihood + np.log(curve.angle_variance_rad2) / 2 + 2 * np.log(range_m)
    weight = np.exp(log_weight - log_weight.max())
    weight[[0, -1]] /= 2
    points, total = np.stack([range_m, curve.angle_rad]), float(weight.sum())
    mean = points @ weight / total
    apart = points - mean[:, np.newaxis]
    own_rad2 = float(curve.angle_variance_rad2 @ weight) / total
    step = float(curve.curvature_per_m[1] - curve.curvature_per_m[0])
    return Posterior(
        mean=mean,
        covariance=(apart * weight) @ apart.T / total + np.diag([0.0, own_rad2]),
        log_evidence=float(log_weight.max()) + float(np.log(total * step)),
        estimate=estimate,
        curvatures_per_m=(float(curve.curvature_per_m[0]), float(curve.curvature_per_m[-1])),
    )


def distinct(estimates: Sequence[PowerEstimate]) -> list[PowerEstimate]:
    """Return the estimates, most likely first, without those that are the same maximum as a more likely one."""
    kept: list[PowerEstimate] = []
    for one in sorted(estimates, key=lambda estimate: -estimate.log_likelihood):
        if not any(_same(one, other) for other in kept):
            kept.append(one)
    return kept


def _same(one: PowerEstimate, other: PowerEstimate) -> bool:
    apart = abs(one.curvature_per_m - other.curvature_per_m)
    info = other.information
    left = info[0, 0] - info[0, 1] ** 2 / info[1, 1]
    return bool((one.mask == other.mask).all() and apart * np.sqrt(max(left, 0.0)) < _SAME)


def covariance_about_best(posteriors: Sequence[Posterior]) -> Floats:
    """Return second moments of all hypotheses about the mean of the first, ``(2, 2)`` of range, m, and angle, rad."""
    evidence = np.array([one.log_evidence for one in posteriors])
    share = np.exp(evidence - evidence.max())
    share /= share.sum()
    total = np.zeros((2, 2))
    for weight, one in zip(share, posteriors, strict=True):
        apart = one.mean - posteriors[0].mean
        total += weight * (one.covariance + np.outer(apart, apart))
    return total
