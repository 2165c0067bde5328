"""Which of several estimates from powers to believe, where in its surroundings the user is, and how wrong that may be.

The prior is flat in the range over the region. Where the range is known to a few per cent the likelihood is taken as normal in
curvature and angle; where it is not, it is computed at steps of the curvature, each at its best angle, gains and noise powers:
with one sub-array it may be flat, or have two maxima about the curvature that is in focus. Pure functions.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from bs_controller.estimation.newton import UnresolvableError
from bs_controller.estimation.power.scoring import PowerEstimate, PowerObservation, climbed

Floats = npt.NDArray[np.float64]

RANGES = 257
_WIDTHS = 6.0  # standard deviations of the curvature that are looked at
# Standard deviation of the curvature, relative, from which on the likelihood is computed instead of taken as normal.
BROAD = 0.04
SCAN_STEP = 0.7  # standard deviations of the curvature
SHORTEST_SCAN_STEP = 1 / 60  # of the region's curvatures
LONGEST_SCAN_STEP = 1 / 12
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
    """The likelihood along the curvature, everything else at its best, ``(step,)``, ranges ascending."""

    range_m: Floats
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
    found: list[Posterior] = []
    for one in estimates:
        if any(_covers(other, one) for other in found):
            continue
        _, information, _ = _beside_angle(one)
        broad = information * (BROAD * one.curvature_per_m) ** 2 < 1
        curve = _scanned(observations, one, range_limits_m) if broad else _normal(one, range_limits_m)
        found.append(_integrated(curve, one))
    return sorted(found, key=lambda posterior: -posterior.log_evidence)


def _covers(posterior: Posterior, estimate: PowerEstimate) -> bool:
    low, high = posterior.curvatures_per_m
    return bool((posterior.estimate.mask == estimate.mask).all() and low <= estimate.curvature_per_m <= high)


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


def _normal(estimate: PowerEstimate, limits_m: tuple[float, float]) -> _Curve:
    slope, information, turn = _beside_angle(estimate)
    top, width = estimate.curvature_per_m + slope / information, _WIDTHS / float(np.sqrt(information))
    low, high = 1 / limits_m[1], 1 / limits_m[0]
    first, last = float(np.clip(top - width, low, high)), float(np.clip(top + width, low, high))
    if last - first < width / 4:  # the top is beyond a limit: what is near that limit counts
        reach = min(width, high - low)
        first, last = (low, low + reach) if top < low else (high - reach, high)
    range_m = 1 / np.linspace(last, first, RANGES)
    off = 1 / range_m - estimate.curvature_per_m
    best_rad = estimate.angle_rad + float(estimate.slope[1] / estimate.information[1, 1])
    return _Curve(
        range_m=range_m,
        angle_rad=best_rad + turn * off,
        angle_variance_rad2=np.full(RANGES, 1 / estimate.information[1, 1]),
        log_likelihood=estimate.log_likelihood + slope * off - information * off**2 / 2,
    )


def _scanned(
    observations: Sequence[PowerObservation], estimate: PowerEstimate, limits_m: tuple[float, float]
) -> _Curve:
    """Return the curve from a maximum towards both ends, with steps as wide as its standard deviation allows."""
    low, high = 1 / limits_m[1], 1 / limits_m[0]
    points = [estimate]
    for end in (low, high):
        at = estimate
        while at.curvature_per_m != end and at.log_likelihood > estimate.log_likelihood - SCAN_NATS:
            step = np.clip(SCAN_STEP / np.sqrt(_beside_angle(at)[1]), *_scan_steps(high - low))
            nearest, farthest = sorted((at.curvature_per_m, end))
            curvature_per_m = float(
                np.clip(at.curvature_per_m + np.copysign(step, end - at.curvature_per_m), nearest, farthest)
            )
            at = climbed(observations, _moved(at, curvature_per_m), range_limits_m=(1 / curvature_per_m,) * 2, steps=2)
            points.append(at)
    points.sort(key=lambda point: -point.curvature_per_m)
    return _Curve(
        range_m=np.array([1 / point.curvature_per_m for point in points]),
        angle_rad=np.array([point.angle_rad for point in points]),
        angle_variance_rad2=np.array([1 / point.information[1, 1] for point in points]),
        log_likelihood=np.array([point.log_likelihood for point in points]),
    )


def _scan_steps(span_per_m: float) -> tuple[float, float]:
    return span_per_m * SHORTEST_SCAN_STEP, span_per_m * LONGEST_SCAN_STEP


def _moved(estimate: PowerEstimate, curvature_per_m: float) -> PowerEstimate:
    """Return the start of a climb at another curvature: along the ridge."""
    turned_rad = _beside_angle(estimate)[2] * (curvature_per_m - estimate.curvature_per_m)
    return replace(estimate, curvature_per_m=curvature_per_m, angle_rad=estimate.angle_rad + turned_rad)


def _integrated(curve: _Curve, estimate: PowerEstimate) -> Posterior:
    """Return moments and evidence of a curve over the range, which is refined by straight lines of the log-likelihood."""
    range_m = 1 / np.linspace(1 / curve.range_m[0], 1 / curve.range_m[-1], RANGES)
    at = [
        np.interp(range_m, curve.range_m, values)
        for values in (curve.log_likelihood + np.log(curve.angle_variance_rad2) / 2, curve.angle_rad)
    ]
    weight = np.exp(at[0] - at[0].max()) * np.gradient(range_m)
    points, total = np.stack([range_m, at[1]]), float(weight.sum())
    mean = points @ weight / total
    apart = points - mean[:, np.newaxis]
    own_rad2 = np.interp(range_m, curve.range_m, curve.angle_variance_rad2) @ weight / total
    return Posterior(
        mean=mean,
        covariance=(apart * weight) @ apart.T / total + np.diag([0.0, own_rad2]),
        log_evidence=float(at[0].max() + np.log(total)),
        estimate=estimate,
        curvatures_per_m=(1 / float(curve.range_m[-1]), 1 / float(curve.range_m[0])),
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
