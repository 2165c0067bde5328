"""From a start to the most likely position: Gauss-Newton with one complex gain per sweep projected out.

The objective is the likelihood of all sweeps at their best gains and noise powers (`masks`). Close to its maximum the
expected second derivative is the Fisher information at the estimated noise, which is also where the covariance comes from.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from bs_controller.estimation.masks import SMALLEST_RESIDUAL, all_masks, explained_share, log_likelihood

Floats = npt.NDArray[np.float64]
ComplexArray = npt.NDArray[np.complex128]

_STEPS = 12
_HALVINGS = 4
_REMASKINGS = 3
# A step whose predicted gain of likelihood is below this is the last: a thirtieth of a standard deviation is left by it.
_SMALL_GAIN = 0.05


class Seen(Protocol):
    """A sweep's response and its derivatives, each ``(subcarrier,)``."""

    @property
    def value(self) -> ComplexArray:
        """Return the response."""

    @property
    def by_range_m(self) -> ComplexArray:
        """Return its derivative by range."""

    @property
    def by_angle_rad(self) -> ComplexArray:
        """Return its derivative by angle."""


class Response(Protocol):
    """A sweep's noise-free samples as a function of position, up to one gain."""

    def value(self, range_m: float, angle_rad: float) -> ComplexArray:
        """Return the response of each sub-array, ``(subarray, subcarrier)``."""

    def seen_with_derivatives(self, range_m: float, angle_rad: float, visible: Sequence[int]) -> Seen:
        """Return what a user sees of some sub-arrays together, and its derivatives."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """Samples of one sweep, ``(subcarrier,)``, and the model of exactly these samples."""

    samples: ComplexArray
    response: Response


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """The most likely position and mask, and what was left of the samples there."""

    range_m: float
    angle_rad: float
    mask: Floats  # (subarray,)
    log_likelihood: float
    information: Floats  # (2, 2) Fisher information of range, m, and angle, rad, at the estimated noise
    residuals: tuple[ComplexArray, ...]  # one (subcarrier,) per observation
    evaluations: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Point:
    """One evaluation with one mask."""

    position: Floats  # (2,) range, m, and angle, rad
    mask: Floats  # (subarray,)
    log_likelihood: float
    gradient: Floats  # (2,) of the log-likelihood
    information: Floats  # (2, 2)
    residuals: tuple[ComplexArray, ...]


class UnresolvableError(RuntimeError):
    """The sweeps do not determine a position: the Fisher information is singular."""


def most_likely(
    observations: Sequence[Observation], range_m: float, angle_rad: float, mask: Floats, *, mask_is_clear: bool = False
) -> Estimate:
    """Return the most likely position and mask, starting from a position within the main lobe.

    Parameters
    ----------
    observations
        The sweeps.
    range_m, angle_rad
        The start; the likelihood has one maximum around it within about half a resolution cell.
    mask
        ``(subarray,)`` to start with; all others are compared at the converged point, and the search goes on with the best.
    mask_is_clear
        Whether no other mask comes close, so that comparing them, a quarter of the time, is saved.

    Raises
    ------
    UnresolvableError
        If the information is singular.
    """
    point = _evaluated(observations, np.array([range_m, angle_rad]), mask)
    evaluations = 1
    for _ in range(_REMASKINGS):
        point, step, used = _converged(observations, point)
        evaluations += used
        if mask_is_clear:
            break
        best = _best_mask(observations, point)
        if (best == point.mask).all():
            break
        point, step = _evaluated(observations, point.position, best), np.zeros(2)
        evaluations += 1
    position = point.position + step
    return Estimate(
        range_m=float(position[0]),
        angle_rad=float(position[1]),
        mask=point.mask,
        log_likelihood=point.log_likelihood,
        information=point.information,
        residuals=point.residuals,
        evaluations=evaluations,
    )


def _best_mask(observations: Sequence[Observation], point: _Point) -> Floats:
    """Return the most likely of all masks at a point, by correlations and Gram matrices there."""
    masks, shares = all_masks(point.mask.size), []
    for observation in observations:
        value, y = observation.response.value(float(point.position[0]), float(point.position[1])), observation.samples
        conjugate, energy = value.conj(), np.array([np.vdot(y, y).real])
        correlation, gram = conjugate @ y, conjugate @ value.T
        shares.append(explained_share(masks, correlation[np.newaxis], gram[np.newaxis], energy)[0])
    best: Floats = masks[int(log_likelihood(np.stack(shares), observations[0].samples.size).argmax())]
    return best


def _converged(observations: Sequence[Observation], point: _Point) -> tuple[_Point, Floats, int]:
    """Return the last point evaluated with this mask, the small step that is left to take, and how many evaluations."""
    used = 0
    for _ in range(_STEPS):
        step = _step(point)
        if float(step @ point.gradient) < 2 * _SMALL_GAIN:  # half of it is the predicted gain
            break
        for _ in range(_HALVINGS):
            trial = _evaluated(observations, _inside(point.position + step), point.mask)
            used += 1
            if trial.log_likelihood > point.log_likelihood:
                break
            step = step / 4
        else:
            return point, np.zeros(2), used  # rounding decides, or the start was on a ridge
        point = trial
    return point, _step(point), used


def _step(point: _Point) -> Floats:
    try:
        step = np.linalg.solve(point.information, point.gradient)
    except np.linalg.LinAlgError as error:
        raise UnresolvableError("the Fisher information is singular") from error
    return step.astype(np.float64)


def _inside(position: Floats) -> Floats:
    """Return the position moved in front of the array, where responses are defined."""
    return np.array([max(position[0], 0.1), np.clip(position[1], -1.57, 1.57)])


def _evaluated(observations: Sequence[Observation], position: Floats, mask: Floats) -> _Point:
    visible = np.flatnonzero(mask).tolist()
    gradient, information, residuals = np.zeros(2), np.zeros((2, 2)), []
    for observation in observations:
        seen = observation.response.seen_with_derivatives(float(position[0]), float(position[1]), visible)
        slope, curvature, residual = _projected(observation.samples, seen)
        gradient, information = gradient + slope, information + curvature
        residuals.append(residual)
    pairs = zip(residuals, observations, strict=True)
    left = np.array([np.vdot(e, e).real / np.vdot(one.samples, one.samples).real for e, one in pairs])
    return _Point(
        position=position,
        mask=mask,
        log_likelihood=float(log_likelihood(1 - left, observations[0].samples.size)),
        gradient=gradient,
        information=information,
        residuals=tuple(residuals),
    )


def _projected(y: ComplexArray, seen: Seen) -> tuple[Floats, Floats, ComplexArray]:
    """Return slope and Fisher information of one sweep with its gain projected out, and its residual.

    ``F = (2 / sigma^2) Re{J^H P J}``, where ``P`` removes the direction of the response itself [CBS, eqs. (12)-(25)] with
    the gain unknown, and ``sigma^2`` is the mean residual power.
    """
    value, jacobian = seen.value, np.stack([seen.by_range_m, seen.by_angle_rad])
    norm = np.vdot(value, value).real
    gain = np.vdot(value, y) / norm
    residual: ComplexArray = y - gain * value
    sigma2 = max(np.vdot(residual, residual).real, SMALLEST_RESIDUAL * np.vdot(y, y).real) / y.size
    conjugate = jacobian.conj()
    along = conjugate @ value
    inner = conjugate @ jacobian.T - np.outer(along, along.conj()) / norm
    information: Floats = 2 / sigma2 * np.abs(gain) ** 2 * inner.real
    gradient: Floats = 2 / sigma2 * (np.conj(gain) * (conjugate @ residual)).real
    return gradient, information, residual
