"""Cramer-Rao bounds on a user's range and angle: what no unbiased estimator beats, given what else is unknown.

Bounds hold at one point for one visibility mask. They say nothing of ambiguity, of a prior that is narrower than they
are, or of multipath. Noise is circular with variance ``sigma2_w``, which does not depend on the position; pilots have
1 W per subcarrier. Derivatives are those of exact distances, where [CBS, eqs. (12)-(25)] expand them. Pure functions.

What is unknown besides range and angle decides between micrometres and decimetres, so that no bound goes without it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Protocol

import numpy as np
import numpy.typing as npt
from scipy import special

from bs_controller.response import Derivatives
from protocol.testbed import TestbedFacts

Floats = npt.NDArray[np.float64]
ComplexArray = npt.NDArray[np.complex128]

# From this amplitude on, in standard deviations of a real part, the asymptotic Rician information is good to 2e-5.
LARGEST_TABULATED_AMPLITUDE = 12.0
# Range and angle whose slopes are closer than this squared sine, or one of which has less than this share of the other's
# information per metre, differ by rounding alone.
SMALLEST_SINE2 = 1e-12
SMALLEST_SHARE = 1e-18


class Unknown(StrEnum):
    """What the receiver does not know besides range and angle."""

    NOTHING = "carrier_phase"  # the paper's; out of reach, since a step by one wavelength looks almost the same
    GAIN = "coherent"  # one complex gain per sweep
    GAIN_AND_DELAY = "unsynchronised"  # one complex gain and one delay per sweep
    GAIN_AND_SHARED_DELAY = "unsynchronised_together"  # one complex gain per sweep, one delay common to all sweeps
    PHASES_AND_GAIN = "power"  # one amplitude per sweep and the phase of every subcarrier: only powers are reported
    PHASES = "power_calibrated"  # the phase of every subcarrier; transmit power and receiver gain are known


class UnobservableError(ValueError):
    """What was measured does not tell range and angle apart, however little noise there is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """A lower bound on the covariance of range and angle errors, ``(2, 2)`` in m^2, m rad and rad^2."""

    covariance: Floats

    @property
    def range_rms_m(self) -> float:
        """Return the bound on the root-mean-square range error."""
        return float(np.sqrt(self.covariance[0, 0]))

    @property
    def angle_rms_rad(self) -> float:
        """Return the bound on the root-mean-square angle error."""
        return float(np.sqrt(self.covariance[1, 1]))

    def position_rms_m(self, range_m: float) -> float:
        """Return the bound on the root-mean-square distance between the estimate and a user at this range."""
        return float(np.sqrt(self.covariance[0, 0] + range_m**2 * self.covariance[1, 1]))


class Response(Protocol):
    """What a bound needs of a sweep's response: `DownlinkResponse`, or `GroupedResponse` for several groups."""

    @property
    def frequency_hz(self) -> Floats:
        """Return the subcarriers, ``(subcarrier,)``."""

    def gain(self, range_m: float) -> float:
        """Return the free-space gain."""

    def seen_with_derivatives(self, range_m: float, angle_rad: float, visible: Sequence[int]) -> Derivatives:
        """Return what a user sees of these sub-arrays together, ``(subcarrier,)``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredSweep:
    """A sweep as measured: its response and the noise power of each sample."""

    response: Response
    sigma2_w: float

    def __post_init__(self) -> None:
        _require_positive(self.sigma2_w)


def sweep_mean_sigma2_w(
    response: Response, range_m: float, angle_rad: float, visible: Sequence[int], snr_db: float
) -> float:
    """Return the flat noise power to which the mean power of the response's subcarriers has this ratio."""
    samples, _ = _samples_and_jacobian(response, range_m, angle_rad, visible)
    return float(np.mean(np.abs(samples) ** 2) / 10 ** (snr_db / 10))


def downlink_bound(
    sweeps: Sequence[MeasuredSweep], range_m: float, angle_rad: float, visible: Sequence[int], unknown: Unknown
) -> Bound:
    """Return the bound from all sweeps together [CBS, eqs. (12)-(25)].

    The information is ``(2 / sigma^2) Re{J^H J}`` of what is left of the derivatives beside the unknown. [CBS, eq. (23)]
    has a slip: its range term is ``xi^H xi``.

    Parameters
    ----------
    sweeps
        What was measured, at least one sweep.
    range_m, angle_rad
        Where the user is.
    visible
        The sub-arrays that see it.
    unknown
        What else the receiver does not know.

    Returns
    -------
    bound
        Its covariance is ``(2, 2)``.

    Raises
    ------
    UnobservableError
        If the sweeps do not tell range and angle apart.
    """
    slopes, nuisances = [], []
    for sweep in sweeps:
        samples, jacobian = _samples_and_jacobian(sweep.response, range_m, angle_rad, visible)
        if unknown in {Unknown.PHASES, Unknown.PHASES_AND_GAIN}:
            powers = np.vstack([jacobian, samples[np.newaxis]]) * np.conj(samples)
            rows = powers.real * np.sqrt(rician_information(samples, sweep.sigma2_w))
            nuisance = rows[2:] if unknown is Unknown.PHASES_AND_GAIN else rows[:0]
        else:
            moved = _moved_by_unknown(samples, sweep.response.frequency_hz, unknown)
            rows = _as_real(np.vstack([jacobian, moved])) * np.sqrt(2 / sweep.sigma2_w)
            nuisance = rows[2:]
        slopes.append(rows[:2])
        nuisances.append(nuisance)
    if unknown is Unknown.GAIN_AND_SHARED_DELAY:
        left = _left_beside(np.hstack(slopes), _side_by_side(nuisances))
    else:
        left = np.hstack([_left_beside(*rows) for rows in zip(slopes, nuisances, strict=True)])
    return _bound_from_information(left @ left.T, range_m)


def uplink_bound(
    facts: TestbedFacts, range_m: float, angle_rad: float, sigma2_w: float, unknown: Unknown = Unknown.GAIN
) -> Bound:
    """Return the bound of one user's line of sight from one snapshot of the circular array.

    Samples have equal amplitudes and their phases turn by ``2 pi f_m d tau_n``, so that all sums over elements and
    subcarriers factor. An unknown delay takes as much as an unknown phase on every subcarrier: what is left is the
    curvature of the wavefront.

    Parameters
    ----------
    facts
        The testbed; the gain is that of free space at the uplink's first frequency.
    range_m, angle_rad
        Where the user is, seen from the circle's centre.
    sigma2_w
        Noise power of each sample.
    unknown
        `NOTHING`, `GAIN` or `GAIN_AND_DELAY`.

    Returns
    -------
    bound
        Its covariance is ``(2, 2)``.

    Raises
    ------
    UnobservableError
        If the snapshot does not tell range and angle apart.
    """
    _require_positive(sigma2_w)
    grid, slope = facts.uplink.grid, _sector_delay_slope(facts, range_m, angle_rad)
    elements, omega = facts.uplink.array.elements, 2 * np.pi * grid.frequency_hz
    power_w = (facts.speed_of_light_m_s / (4 * np.pi * grid.first_hz * range_m)) ** 2
    common = np.outer(slope.sum(axis=1), slope.sum(axis=1)) / elements
    information = np.sum(omega**2) * (slope @ slope.T - common)
    match unknown:
        case Unknown.NOTHING:
            information += np.sum(omega**2) * common
            information[0, 0] += elements * grid.count / range_m**2  # the gain's own fall with range
        case Unknown.GAIN:
            # the spread of the frequencies, not the difference of large sums
            information += np.sum((omega - omega.mean()) ** 2) * common
        case Unknown.GAIN_AND_DELAY:
            pass
        case _:
            raise ValueError(f"the uplink's unknown must be nothing, gain or gain and delay, got {unknown}")
    return _bound_from_information(2 * power_w / sigma2_w * information, range_m)


def rician_information(samples: ComplexArray, sigma2_w: float) -> Floats:
    """Return the Fisher information that a reported power carries, over the true power.

    The magnitude of a noisy sample is Rician. With ``i`` the value returned, ``i Re(u* du)^2`` is the information on a
    parameter that moves the sample by ``du``; it stays finite where ``u`` is zero.

    Returns
    -------
    information
        The shape of ``samples``, in 1/W^2.
    """
    part_w = sigma2_w / 2
    ratio = np.abs(samples) / np.sqrt(part_w)
    amplitudes, table = _rician_table()
    beyond = np.maximum(ratio, LARGEST_TABULATED_AMPLITUDE)
    asymptote = (1 - 1 / (2 * beyond**2)) / beyond**2
    normalised = np.where(ratio < LARGEST_TABULATED_AMPLITUDE, np.interp(ratio, amplitudes, table), asymptote)
    information: Floats = normalised / part_w**2
    return information


@cache
def _rician_table() -> tuple[Floats, Floats]:
    """Return amplitudes ``a`` and ``(E[(x I1(a x) / I0(a x))^2] - a^2) / a^2`` for noise of unit variance per part."""
    a = np.linspace(0, LARGEST_TABULATED_AMPLITUDE, 1201)[1:, np.newaxis]
    nodes, weights = np.polynomial.legendre.leggauss(128)
    low, high = np.maximum(a - 9, 0), a + 9
    x = low + (high - low) * (nodes + 1) / 2
    density = x * np.exp(-((x - a) ** 2) / 2) * special.i0e(a * x) * weights * (high - low) / 2
    # the mean of x I1 / I0 is a, so this is the variance without its cancellation
    spread = (x * special.i1e(a * x) / special.i0e(a * x) - a) ** 2
    information = (density * spread).sum(axis=1) / a[:, 0] ** 2
    return np.concatenate([[0.0], a[:, 0]]), np.concatenate([[1.0], information])


def _samples_and_jacobian(
    response: Response, range_m: float, angle_rad: float, visible: Sequence[int]
) -> tuple[ComplexArray, ComplexArray]:
    """Return samples ``(subcarrier,)`` and their slopes by range and angle, ``(2, subcarrier)``, gain included."""
    at, gain = response.seen_with_derivatives(range_m, angle_rad, visible), response.gain(range_m)
    samples = gain * at.value
    return samples, np.stack([gain * at.by_range_m - samples / range_m, gain * at.by_angle_rad])


def _moved_by_unknown(samples: ComplexArray, frequency_hz: Floats, unknown: Unknown) -> ComplexArray:
    """Return how the samples move with each unknown real number, the delay last, ``(unknown, subcarrier)``."""
    if unknown is Unknown.NOTHING:
        return np.empty((0, samples.size), dtype=np.complex128)
    moved = [samples, 1j * samples]
    if unknown in {Unknown.GAIN_AND_DELAY, Unknown.GAIN_AND_SHARED_DELAY}:
        # in units that keep the projection well conditioned; the carrier's part is the gain's phase
        moved.append(1j * samples * (frequency_hz / frequency_hz.mean() - 1))
    return np.stack(moved)


def _as_real(rows: ComplexArray) -> Floats:
    """Return complex rows as real ones of twice the length."""
    return np.hstack([rows.real, rows.imag])


def _side_by_side(nuisances: list[Floats]) -> Floats:
    """Return the nuisances of all sweeps over the rows of all, the last of each being one and the same."""
    own = [nuisance[:-1] for nuisance in nuisances]
    counts, sizes = [len(rows) for rows in own], [rows.shape[1] for rows in own]
    joined = np.zeros((sum(counts), sum(sizes)))
    for rows, bottom, right in zip(own, np.cumsum(counts), np.cumsum(sizes), strict=True):
        joined[bottom - len(rows) : bottom, right - rows.shape[1] : right] = rows
    return np.vstack([joined, np.hstack([nuisance[-1] for nuisance in nuisances])])


def _left_beside(slopes: Floats, nuisances: Floats) -> Floats:
    """Return what nuisances ``(nuisance, row)`` cannot explain of slopes ``(2, row)``; both are whitened."""
    scales = np.linalg.norm(nuisances, axis=1, keepdims=True)
    if not (scales > 0).all():
        raise UnobservableError("nothing was received")
    basis, _ = np.linalg.qr((nuisances / scales).T)
    left: Floats = slopes - (slopes @ basis) @ basis.T
    # once more: the first pass leaves rounding of what it took off, which may be a million times what is left
    left -= (left @ basis) @ basis.T
    return left


def _bound_from_information(information: Floats, range_m: float) -> Bound:
    """Return the inverse of an information matrix, ``(2, 2)``."""
    scale = np.sqrt(np.diag(information))
    per_metre = scale**2 / [1.0, range_m**2]
    with np.errstate(divide="ignore", invalid="ignore"):
        cosine = information[0, 1] / (scale[0] * scale[1])
    if not (1 - cosine**2 > SMALLEST_SINE2 and per_metre.min() > SMALLEST_SHARE * per_metre.max()):
        raise UnobservableError("range and angle cannot be told apart by what was measured")
    normalised = np.array([[1.0, -cosine], [-cosine, 1.0]]) / (1 - cosine**2)
    return Bound(covariance=normalised / np.outer(scale, scale))


def _sector_delay_slope(facts: TestbedFacts, range_m: float, angle_rad: float) -> Floats:
    """Return the derivatives of the delays by range and angle [SUCA, eq. (3)], ``(2, element)``."""
    array, c_m_s = facts.uplink.array, facts.speed_of_light_m_s
    apart_rad = angle_rad - array.element_angle_rad
    along_m, across_m = range_m - array.radius_m * np.cos(apart_rad), array.radius_m * np.sin(apart_rad)
    distance_m = np.hypot(along_m, across_m)
    return np.stack([along_m, range_m * across_m]) / (distance_m * c_m_s)


def _require_positive(sigma2_w: float) -> None:
    if not sigma2_w > 0:
        raise ValueError(f"sigma2_w must be positive, got {sigma2_w:g} W")
