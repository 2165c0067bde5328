"""Gauss-Newton where delays are unknown too: along the ridge that a user's range and its clock's delay make.

A user farther away by as much as its clock is early looks the same but for the wavefront's curvature. The coordinates of a
user are therefore seen from the centre of its visible sub-arrays: curvature (one over the distance), direction, and one or
several path lengths, distance plus delay. Along the ridge only the curvature changes, of which the log-likelihood is nearly
quadratic; the path stays known to a fraction of the ridge's width. Gains and noise powers are projected out as in `newton`.
Pure functions.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bs_controller.estimation.masks import SMALLEST_RESIDUAL, all_masks, explained_share, log_likelihood
from bs_controller.estimation.newton import Response, UnresolvableError

Floats = npt.NDArray[np.float64]
ComplexArray = npt.NDArray[np.complex128]

CURVATURE, DIRECTION, FIRST_PATH = 0, 1, 2  # places in a vector of ridge coordinates
_STEPS = 16
_HALVINGS = 5
# A step whose predicted gain of likelihood is below this is the last: a thirtieth of a standard deviation is left by it.
_SMALL_GAIN = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class DelayedObservation:
    """Samples of one sweep, ``(subcarrier,)``, and the model of exactly these samples if no clock were late."""

    samples: ComplexArray
    response: Response


@dataclass(frozen=True, slots=True, kw_only=True)
class Delayed:
    """Sweeps with delays unknown: one common to all, or one each.

    ``turn_rad_m`` says how a metre of delay turns each subcarrier against the middle of the band, ``(subcarrier,)``, and
    ``carrier_rad_m`` how a metre of path turns the middle.
    """

    observations: tuple[DelayedObservation, ...]
    angle_sweeps: int  # the first so many are sweeps over the angle
    together: bool
    turn_rad_m: Floats
    carrier_rad_m: float
    subarray_x_m: Floats  # (subarray,) centres

    @property
    def delays(self) -> int:
        """Return how many delays are unknown."""
        return 1 if self.together else len(self.observations)

    def centre_x_m(self, mask: Floats) -> float:
        """Return the centre of the visible sub-arrays."""
        return float(mask @ self.subarray_x_m / mask.sum())


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A position seen from the array's centre, and how much longer than it the paths look, ``(delay,)``."""

    range_m: float
    angle_rad: float
    delay_m: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Expansion:
    """The log-likelihood to second order around ridge coordinates, ``(2 + delay,)``, for one mask."""

    ridge: Floats
    mask: Floats  # (subarray,)
    centre_x_m: float
    log_likelihood: float
    gradient: Floats
    information: Floats  # Fisher information at the estimated noise
    residuals: tuple[ComplexArray, ...]  # one (subcarrier,) per sweep


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """The log-likelihood to second order along the ridge, direction and paths being at their best for each curvature."""

    curvature_per_m: float  # where it was expanded
    push: float  # first derivative there
    precision: float  # less the second derivative
    best: Floats  # (1 + delay,) direction and paths there
    slope: Floats  # (1 + delay,) how they move per unit of curvature
    covariance: Floats  # (1 + delay, 1 + delay) of them at a given curvature
    log_evidence: float  # at this curvature, direction and paths integrated out, up to a constant of all masks

    def gain(self, off_per_m: Floats) -> Floats:
        """Return what curvatures farther on have more of the log-likelihood, ``(curvature,)``."""
        gain: Floats = self.push * off_per_m - self.precision * off_per_m**2 / 2
        return gain


def ridge_from_place(place: Place, centre_x_m: float) -> Floats:
    """Return ridge coordinates: curvature, direction and paths seen from a point on the array, ``(2 + delay,)``."""
    along_m = place.range_m * np.cos(place.angle_rad)
    across_m = place.range_m * np.sin(place.angle_rad) - centre_x_m
    distance_m = np.hypot(along_m, across_m)
    return np.concatenate([[1 / distance_m, np.arctan2(across_m, along_m)], distance_m + place.delay_m])


def place_from_ridge(ridge: Floats, centre_x_m: float) -> Place:
    """Return the position and delays of ridge coordinates."""
    distance_m, direction_rad = 1 / ridge[CURVATURE], ridge[DIRECTION]
    along_m, across_m = distance_m * np.cos(direction_rad), distance_m * np.sin(direction_rad) + centre_x_m
    return Place(
        range_m=float(np.hypot(along_m, across_m)),
        angle_rad=float(np.arctan2(across_m, along_m)),
        delay_m=ridge[FIRST_PATH:] - distance_m,
    )


def place_derivatives(ridge: Floats, centre_x_m: float) -> Floats:
    """Return derivatives of (range, angle, delay) by (curvature, direction, path), ``(3, 3)``; all delays have the same."""
    distance_m, direction_rad = 1 / ridge[CURVATURE], ridge[DIRECTION]
    cos, sin = np.cos(direction_rad), np.sin(direction_rad)
    along_m, across_m = distance_m * cos, distance_m * sin + centre_x_m
    range_m = np.hypot(along_m, across_m)
    moved = np.array([[-(distance_m**2) * cos, -distance_m * sin], [-(distance_m**2) * sin, distance_m * cos]])
    polar = np.array([[along_m / range_m, across_m / range_m], [-across_m / range_m**2, along_m / range_m**2]])
    derivatives = np.zeros((3, 3))
    derivatives[:2, :2] = polar @ moved
    derivatives[2] = [distance_m**2, 0.0, 1.0]
    return derivatives


def expanded(model: Delayed, ridge: Floats, mask: Floats) -> Expansion:
    """Return the log-likelihood at its best gains and noise powers, its gradient and the Fisher information."""
    centre_x_m = model.centre_x_m(mask)
    place, chain = place_from_ridge(ridge, centre_x_m), place_derivatives(ridge, centre_x_m)
    visible = np.flatnonzero(mask).tolist()
    gradient, information = np.zeros(ridge.size), np.zeros((ridge.size, ridge.size))
    shares, residuals = [], []
    for sweep, one in enumerate(model.observations):
        delay = 0 if model.together else sweep
        value, by_range_m, by_angle_rad = one.response.seen_with_derivatives(
            place.range_m, place.angle_rad, visible
        ).rows
        late = np.exp(1j * place.delay_m[delay] * model.turn_rad_m)
        # a delay turns the carrier too, which the gain undoes: with it the slope along the ridge is small as written
        by_delay = 1j * (model.turn_rad_m + model.carrier_rad_m) * value
        slopes = _chained(chain, (by_range_m, by_angle_rad, by_delay))
        term = _projected(one.samples * late.conj(), value, slopes)
        touched = [CURVATURE, DIRECTION, FIRST_PATH + delay]
        gradient[touched] += term.gradient
        information[np.ix_(touched, touched)] += term.information
        shares.append(term.share)
        residuals.append(term.residual * late)
    return Expansion(
        ridge=ridge,
        mask=mask,
        centre_x_m=centre_x_m,
        log_likelihood=float(log_likelihood(np.array(shares), model.turn_rad_m.size)),
        gradient=gradient,
        information=information,
        residuals=tuple(residuals),
    )


def climbed(model: Delayed, point: Expansion, curvature_limits_per_m: tuple[float, float]) -> Expansion:
    """Return the expansion at the most likely point with this mask, but for a step that gains less than a twentieth of a nat.

    Parameters
    ----------
    model
        The sweeps.
    point
        Where to start: paths within a lobe, the direction within half a beam.
    curvature_limits_per_m
        Least and largest curvature; a start beyond them is moved onto them. The expansion at a limit tells what is beyond.

    Raises
    ------
    UnresolvableError
        If the sweeps determine neither direction nor path.
    """
    low, high = curvature_limits_per_m
    if not low <= point.ridge[CURVATURE] <= high:
        point = expanded(model, point.ridge + _step(point, curvature_limits_per_m), point.mask)
    for _ in range(_STEPS):
        step = _step(point, curvature_limits_per_m)
        # what the quadratic that the expansion is gains
        if float(step @ point.gradient - step @ point.information @ step / 2) < _SMALL_GAIN:
            break
        for _ in range(_HALVINGS):
            trial = expanded(model, point.ridge + step, point.mask)
            if trial.log_likelihood > point.log_likelihood:
                break
            step = step / 4
        else:
            break  # rounding decides
        point = trial
    return point


def remasked(model: Delayed, point: Expansion) -> Expansion:
    """Return the expansion at the same place with the most likely of all masks there; itself if that is the mask."""
    place, masks, shares = place_from_ridge(point.ridge, point.centre_x_m), all_masks(point.mask.size), []
    for sweep, one in enumerate(model.observations):
        value = one.response.value(place.range_m, place.angle_rad)
        late = np.exp(1j * place.delay_m[0 if model.together else sweep] * model.turn_rad_m)
        conjugate, energy = value.conj(), np.array([np.vdot(one.samples, one.samples).real])
        correlation, gram = conjugate @ (one.samples * late.conj()), conjugate @ value.T
        shares.append(explained_share(masks, correlation[np.newaxis], gram[np.newaxis], energy)[0])
    best = masks[int(log_likelihood(np.stack(shares), model.turn_rad_m.size).argmax())]
    if (best == point.mask).all():
        return point
    return expanded(model, ridge_from_place(place, model.centre_x_m(best)), best)


def along_ridge(expansion: Expansion) -> Profile:
    """Return the expansion along the ridge.

    Raises
    ------
    UnresolvableError
        If the information on direction and paths, or on the curvature beside them, is singular.
    """
    information, gradient = expansion.information, expansion.gradient
    try:
        covariance: Floats = np.linalg.inv(information[1:, 1:]).astype(np.float64)
    except np.linalg.LinAlgError as error:
        raise UnresolvableError("the Fisher information of direction and paths is singular") from error
    slope = -covariance @ information[1:, CURVATURE]
    along = np.concatenate([[1.0], slope])
    precision, shift = float(along @ information @ along), covariance @ gradient[1:]
    if not precision > 0:
        raise UnresolvableError("the Fisher information of the curvature is singular")
    evidence = expansion.log_likelihood + float(gradient[1:] @ shift) / 2 + float(np.linalg.slogdet(covariance)[1]) / 2
    return Profile(
        curvature_per_m=float(expansion.ridge[CURVATURE]),
        push=float(along @ gradient),
        precision=precision,
        best=expansion.ridge[1:] + shift,
        slope=slope,
        covariance=covariance,
        log_evidence=evidence,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Term:
    """What one sweep says with its gain projected out."""

    gradient: Floats  # (coordinate,)
    information: Floats  # (coordinate, coordinate)
    share: float
    residual: ComplexArray  # (subcarrier,)


def _chained(chain: Floats, slopes: Sequence[ComplexArray]) -> ComplexArray:
    """Return slopes by ridge coordinates from those by range, angle and delay, ``(3, subcarrier)``."""
    by_range, by_angle, by_delay = slopes
    chained = np.empty((3, by_range.size), dtype=np.complex128)
    chained[CURVATURE] = chain[0, 0] * by_range + chain[1, 0] * by_angle + chain[2, 0] * by_delay
    chained[DIRECTION] = chain[0, 1] * by_range + chain[1, 1] * by_angle
    chained[FIRST_PATH] = by_delay
    return chained


def _projected(y: ComplexArray, value: ComplexArray, slopes: ComplexArray) -> _Term:
    """Return ``(2 / sigma^2) Re{J^H P J}`` and its gradient, ``P`` removing the response's own direction [CBS, eq. (12)]."""
    norm, energy = np.vdot(value, value).real, np.vdot(y, y).real
    gain = np.vdot(value, y) / norm
    residual: ComplexArray = y - gain * value
    left = np.vdot(residual, residual).real
    weight = 2 * y.size / max(left, SMALLEST_RESIDUAL * energy)
    conjugate = slopes.conj()
    along = conjugate @ value
    inner = conjugate @ slopes.T - np.outer(along, along.conj()) / norm
    gradient: Floats = weight * (np.conj(gain) * (conjugate @ residual)).real
    information: Floats = weight * abs(gain) ** 2 * inner.real
    return _Term(gradient=gradient, information=information, share=float(1 - left / energy), residual=residual)


def _step(point: Expansion, limits: tuple[float, float]) -> Floats:
    """Return the step to the maximum of the quadratic within limits of the curvature."""
    profile = along_ridge(point)
    best = profile.curvature_per_m + profile.push / profile.precision
    off = min(max(best, limits[0]), limits[1]) - profile.curvature_per_m
    return np.concatenate([[off], profile.best + off * profile.slope - point.ridge[1:]])
