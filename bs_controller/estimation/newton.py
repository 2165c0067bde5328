"""From a start to the most likely position: Gauss-Newton with one complex gain per sweep projected out.

The objective is the likelihood of all sweeps at their best gains and noise powers (`masks`). Close to its maximum the
expected second derivative is the Fisher information at the estimated noise, which is also where the covariance comes from.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from bs_controller.compiled import compiled
from bs_controller.estimation.masks import SMALLEST_RESIDUAL, all_masks, explained_share, log_likelihood

Floats = npt.NDArray[np.float64]
Visible = Sequence[int] | npt.NDArray[np.intp]
ComplexArray = npt.NDArray[np.complex128]

_STEPS = 12
_HALVINGS = 4
_REMASKINGS = 3
# A step whose predicted gain of likelihood is below this is the last: a thirtieth of a standard deviation is left by it.
_SMALL_GAIN = 0.05


class Seen(Protocol):
    """A sweep's response and its derivatives by range and angle."""

    @property
    def rows(self) -> ComplexArray:
        """Return all three, ``(3, subcarrier)``."""


class Response(Protocol):
    """A sweep's noise-free samples as a function of position, up to one gain."""

    def value(self, range_m: float, angle_rad: float) -> ComplexArray:
        """Return the response of each sub-array, ``(subarray, subcarrier)``."""

    def seen_value(self, range_m: float, angle_rad: float, visible: Visible) -> ComplexArray:
        """Return what a user sees of some sub-arrays together, ``(subcarrier,)``."""

    def seen_with_derivatives(self, range_m: float, angle_rad: float, visible: Visible) -> Seen:
        """Return what a user sees of some sub-arrays together, and its derivatives."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """Samples of one sweep, ``(subcarrier,)``, and the model of exactly these samples.

    `energy` and `count` are of all samples that these stand for: sums over blocks of neighbours hold all that there is of the
    user, but a part of the noise, whose power is better known from all.
    """

    samples: ComplexArray
    response: Response
    energy: float
    count: int
    block: int = 1  # subcarriers from one sample to the next

    @classmethod
    def of(cls, samples: ComplexArray, response: Response) -> "Observation":
        """Return samples that stand for themselves alone."""
        return cls(samples=samples, response=response, energy=float(np.vdot(samples, samples).real), count=samples.size)


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

    @property
    def is_unfinished(self) -> bool:
        """Return whether the search may have ended for want of steps, as on the slope between two lobes."""
        return self.evaluations > _STEPS


@dataclass(frozen=True, slots=True, kw_only=True)
class _Point:
    """One evaluation with one mask; numbers, because arrays of two would cost more than all sums over subcarriers."""

    range_m: float
    angle_rad: float
    mask: Floats  # (subarray,)
    log_likelihood: float
    slope: tuple[float, float]  # of the log-likelihood, by range and angle
    curvature: tuple[float, float, float]  # information of range, of both, of angle
    fits: tuple[tuple[complex, ComplexArray], ...]  # gain and response (subcarrier,) of each observation

    def step(self) -> tuple[float, float]:
        """Return the Gauss-Newton step in range and angle."""
        (a, b, d), (x, y) = self.curvature, self.slope
        determinant = a * d - b * b
        if not determinant > 0:
            raise UnresolvableError("the Fisher information is singular")
        return (d * x - b * y) / determinant, (a * y - b * x) / determinant

    def promised(self) -> float:
        """Return twice the gain of log-likelihood that the step promises."""
        (dr, da), (x, y) = self.step(), self.slope
        return dr * x + da * y


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
    point = _evaluated(observations, range_m, angle_rad, mask)
    evaluations = 1
    for _ in range(_REMASKINGS):
        point, step, used = _converged(observations, point)
        evaluations += used
        if mask_is_clear:
            break
        best = _best_mask(observations, point)
        if (best == point.mask).all():
            break
        point, step = _evaluated(observations, point.range_m, point.angle_rad, best), (0.0, 0.0)
        evaluations += 1
    of_range, of_both, of_angle = point.curvature
    return Estimate(
        range_m=point.range_m + step[0],
        angle_rad=point.angle_rad + step[1],
        mask=point.mask,
        log_likelihood=point.log_likelihood,
        information=np.array([[of_range, of_both], [of_both, of_angle]]),
        residuals=tuple(
            one.samples - gain * value for one, (gain, value) in zip(observations, point.fits, strict=True)
        ),
        evaluations=evaluations,
    )


def log_likelihood_at(observations: Sequence[Observation], range_m: float, angle_rad: float, mask: Floats) -> float:
    """Return the log-likelihood of a position and a mask ``(subarray,)``, on the scale of `Estimate.log_likelihood`."""
    return _evaluated(observations, range_m, angle_rad, mask).log_likelihood


def _best_mask(observations: Sequence[Observation], point: _Point) -> Floats:
    """Return the most likely of all masks at a point, by correlations and Gram matrices there."""
    masks, shares = all_masks(point.mask.size), []
    for observation in observations:
        value, energy = observation.response.value(point.range_m, point.angle_rad), np.array([observation.energy])
        conjugate = value.conj()
        correlation, gram = conjugate @ observation.samples, conjugate @ value.T
        shares.append(explained_share(masks, correlation[np.newaxis], gram[np.newaxis], energy)[0])
    best: Floats = masks[int(log_likelihood(np.stack(shares), observations[0].count).argmax())]
    return best


def _converged(observations: Sequence[Observation], point: _Point) -> tuple[_Point, tuple[float, float], int]:
    """Return the last point evaluated with this mask, the small step that is left to take, and how many evaluations."""
    used = 0
    for _ in range(_STEPS):
        if point.promised() < 2 * _SMALL_GAIN:
            break
        dr, da = point.step()
        for _ in range(_HALVINGS):
            # in front of the array, where responses are defined
            range_m, angle_rad = max(point.range_m + dr, 0.1), min(max(point.angle_rad + da, -1.57), 1.57)
            trial = _evaluated(observations, range_m, angle_rad, point.mask)
            used += 1
            if trial.log_likelihood > point.log_likelihood:
                break
            dr, da = dr / 4, da / 4
        else:
            return point, (0.0, 0.0), used  # rounding decides, or the start was on a ridge
        point = trial
    return point, point.step(), used


def _evaluated(observations: Sequence[Observation], range_m: float, angle_rad: float, mask: Floats) -> _Point:
    """Return likelihood, slope and Fisher information at a position, each sweep's gain projected out.

    ``F = (2 / sigma^2) Re{J^H P J}``, where ``P`` removes the direction of the response itself [CBS, eqs. (12)-(25)] with
    the gain unknown, and ``sigma^2`` is the mean residual power.
    """
    visible = np.flatnonzero(mask)
    likelihood, by_range, by_angle, of_range, of_both, of_angle = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    fits = []
    for one in observations:
        rows = one.response.seen_with_derivatives(range_m, angle_rad, visible).rows
        gain, left, slopes, information = projected(rows, one.samples, one.energy)
        weight = 2 * one.count / (left * one.energy)
        by_range, by_angle = by_range + weight * slopes[0], by_angle + weight * slopes[1]
        of_range, of_both = of_range + weight * information[0], of_both + weight * information[1]
        of_angle += weight * information[2]
        likelihood -= one.count * math.log(left)
        fits.append((gain, rows[0]))
    return _Point(
        range_m=range_m,
        angle_rad=angle_rad,
        mask=mask,
        log_likelihood=likelihood,
        slope=(by_range, by_angle),
        curvature=(of_range, of_both, of_angle),
        fits=tuple(fits),
    )


@compiled
def projected(
    rows: ComplexArray, samples: ComplexArray, energy: float
) -> tuple[complex, float, tuple[float, float], tuple[float, float, float]]:
    """Return what one sweep says at a position with its most likely gain, for noise of power one.

    Parameters
    ----------
    rows
        ``(3, sample)`` response and its derivatives by range and angle.
    samples
        ``(sample,)``.
    energy
        Of all samples that these stand for.

    Returns
    -------
    gain
        ``u^H y / u^H u``.
    left
        Share of the energy that the response leaves.
    slopes
        ``Re{g^* J^H (y - g u)}`` by range and angle.
    information
        ``|g|^2 Re{J^H P J}`` of range, of both, of angle.
    """
    norm, heard, heard_r, heard_a, u_r, u_a = 0.0, 0.0j, 0.0j, 0.0j, 0.0j, 0.0j
    rr, ra, aa = 0.0, 0.0, 0.0
    for m in range(samples.size):
        y, u, r, a = samples[m], rows[0, m].conjugate(), rows[1, m], rows[2, m]
        norm += u.real * u.real + u.imag * u.imag
        heard += u * y
        heard_r += r.conjugate() * y
        heard_a += a.conjugate() * y
        u_r += u * r
        u_a += u * a
        rr += r.real * r.real + r.imag * r.imag
        ra += r.real * a.real + r.imag * a.imag
        aa += a.real * a.real + a.imag * a.imag
    gain = heard / norm
    power, back = abs(gain) ** 2, gain.conjugate()
    left = max(1 - power * norm / energy, SMALLEST_RESIDUAL)
    slopes = ((back * (heard_r - gain * u_r.conjugate())).real, (back * (heard_a - gain * u_a.conjugate())).real)
    both = ra - (u_r.conjugate() * u_a).real / norm
    return gain, left, slopes, (power * (rr - abs(u_r) ** 2 / norm), power * both, power * (aa - abs(u_a) ** 2 / norm))
