"""Maximum likelihood of an uplink snapshot, path after path, and the covariance of the user's place.

The model is [SUCA, eqs. (1)-(2)] with white noise of unknown power: each path has a range, an angle, a complex gain and,
but for the user, an excess. The strongest cell of the image starts the first path, and of what the fit leaves each further
one; Gauss-Newton steps on all paths together, gains solved anew at each, end on the maximum. Unlike `detection.detect`,
which frees the gain of every subcarrier to take a point out, this tells two paths at one angle apart by their delays.

The normal matrix is the Fisher information, so its inverse is the Cramer-Rao bound at the place found, with the noise power
that the residual shows.

Inner products of the model's derivatives are sums over elements of three moments over subcarriers, so that no array of
elements x subcarriers x unknowns is ever formed. Pure functions, no random numbers.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from bs_controller.detection import LARGEST_GRID_LOSS, Detection, refined, strongest_cell
from bs_controller.imaging import Imager
from bs_controller.objective import path_derivatives, paths_m, waves

Floats = npt.NDArray[np.float64]
ComplexArray = npt.NDArray[np.complex128]

_STEPS = 20
_HALVINGS = 12
_SIGNIFICANT = 30.0  # energy over noise power; noise alone exceeds it in one of 1e13 independent cells
_CONVERGED = 1e-9  # of the noise in one sample, as a decrease of the residual's energy


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotFit:
    """Points at the likelihood's maximum, the user first, and how well its place is known."""

    points: tuple[Detection, ...]
    covariance: Floats  # (2, 2) of the user's range and angle
    noise_w: float  # of one element on one subcarrier
    residual: ComplexArray  # (element, subcarrier), what the points leave of the snapshot


@dataclass(frozen=True, slots=True)
class _State:
    places: Floats  # (path, 3)
    gains: ComplexArray  # (path,)
    residual: ComplexArray  # (element, subcarrier)

    @property
    def energy(self) -> float:
        return float(np.linalg.norm(self.residual) ** 2)


def likeliest(
    imager: Imager,
    samples: ComplexArray,
    *,
    threshold_db: float = -15.0,
    max_targets: int = 4,
    excess_max_m: float = 20.0,
) -> SnapshotFit | None:
    """Return the paths of one snapshot, each looked for in what the fit of those before it leaves.

    Parameters
    ----------
    imager
        The planned image.
    samples
        ``(element, subcarrier)``.
    threshold_db
        Power, relative to the user, below which the search ends; it also ends at what noise alone may show.
    max_targets
        Most points to report, the user among them.
    excess_max_m
        Longest excess of a scatterer's path at the start of its fit.

    Returns
    -------
    fit
        Paths in the order found; none if the snapshot is zero.
    """
    if not samples.any():
        return None
    start = strongest_cell(imager, samples, 0.0, "max")
    fit = fitted(imager, samples, [refined(imager, samples, start, search_excess=False)])
    while len(fit.points) < max_targets:
        shown_by_noise_w = _SIGNIFICANT * fit.noise_w / samples.size
        floor_w = max(10 ** (threshold_db / 10) * fit.points[0].power_w, shown_by_noise_w)
        start = strongest_cell(imager, fit.residual, excess_max_m, "max")
        if LARGEST_GRID_LOSS * start.power_w <= floor_w:
            break
        point = refined(imager, fit.residual, start, search_excess=True)
        if point.power_w <= floor_w:
            break
        fit = fitted(imager, samples, [*fit.points, point])
    return fit


def fitted(imager: Imager, samples: ComplexArray, found: Sequence[Detection]) -> SnapshotFit:
    """Return the points moved to the maximum of their joint likelihood.

    Parameters
    ----------
    imager
        Array, subcarriers and speed of light.
    samples
        ``(element, subcarrier)``.
    found
        At least one point near the maximum, the user first, whose excess stays zero.

    Returns
    -------
    fit
        Points in the same order; `power_w` of each is that of its gain.
    """
    state = _solved(imager, samples, np.array([[point.range_m, point.angle_rad, point.excess_m] for point in found]))
    for _ in range(_STEPS):
        normal, slope = _normal_equations(imager, state)
        step = _solution(normal, slope)
        if float(step @ slope) <= _CONVERGED * state.energy / samples.size:
            break
        better = _stepped(imager, samples, state, _by_place(step, len(found)))
        if better is None:
            break
        state = better
    return _fit_from_state(imager, state, found)


def _solved(imager: Imager, samples: ComplexArray, places: Floats) -> _State:
    """Return places with the gains that fit best, and what they leave."""
    path_m = paths_m(imager, places)
    parts = np.array([waves(imager, path).ravel() for path in path_m])  # conjugates of the model's waves
    gram = parts.conj() @ parts.T
    gains: ComplexArray = np.linalg.lstsq(gram.conj(), parts @ samples.ravel(), rcond=None)[0].astype(np.complex128)
    residual: ComplexArray = samples - (gains @ parts.conj()).reshape(samples.shape)
    return _State(places, gains, residual)


def _stepped(imager: Imager, samples: ComplexArray, state: _State, step: Floats) -> _State | None:
    """Return the state after a step, halved until less is left; none if nothing helps any more."""
    nearest = np.array([1.001 * imager.uplink.array.radius_m, -np.inf, 0.0])
    for _ in range(_HALVINGS):
        candidate = _solved(imager, samples, np.maximum(state.places + step, nearest))
        if candidate.energy < state.energy:
            return candidate
        step = step / 2
    return None


def _normal_equations(imager: Imager, state: _State) -> tuple[Floats, Floats]:
    """Return ``Re J^H J`` and ``Re J^H residual`` of all unknowns, ``(unknown, unknown)`` and ``(unknown,)``.

    The unknowns of a path follow one another: range, angle, excess (not of the first), real and imaginary gain.
    """
    path_m = paths_m(imager, state.places)
    shapes = [_derivative_shapes(imager, state, path) for path in range(len(path_m))]
    blocks = [
        [_inner_products(imager, first, second, shapes[i], shapes[j]) for j, second in enumerate(path_m)]
        for i, first in enumerate(path_m)
    ]
    slopes = []
    for path, (powers, shape) in zip(path_m, shapes, strict=True):
        moments = (state.residual * waves(imager, path)) @ _wavenumber_powers(imager)  # (element, power)
        slopes.append(np.einsum("in,ni->i", shape.conj(), moments[:, powers]).real)
    return np.block(blocks), np.concatenate(slopes)


def _derivative_shapes(imager: Imager, state: _State, path: int) -> tuple[npt.NDArray[np.intp], ComplexArray]:
    """Return each derivative of one path as a power of the wavenumber and a factor per element.

    Times the path's wave these are the columns of J; ``(unknown,)`` and ``(unknown, element)``.
    """
    first = path_derivatives(imager, state.places[path])[0][: 3 if path else 2]
    flat = np.ones(first.shape[1])
    shapes = np.concatenate([-1j * state.gains[path] * first, [flat, 1j * flat]])
    return np.array([1] * len(first) + [0, 0], dtype=np.intp), shapes


def _inner_products(
    imager: Imager,
    first_m: Floats,
    second_m: Floats,
    first: tuple[npt.NDArray[np.intp], ComplexArray],
    second: tuple[npt.NDArray[np.intp], ComplexArray],
) -> Floats:
    """Return the real inner products of two paths' derivatives, ``(unknown, unknown)``."""
    moments = waves(imager, first_m - second_m) @ _wavenumber_powers(imager)  # (element, power)
    by_pair = moments.T[first[0][:, np.newaxis] + second[0]]  # (unknown, unknown, element)
    products: Floats = np.einsum("in,jn,ijn->ij", first[1].conj(), second[1], by_pair).real
    return products


def _wavenumber_powers(imager: Imager) -> Floats:
    """Return the wavenumber to the powers 0, 1 and 2, ``(subcarrier, power)``."""
    wavenumber = 2 * np.pi / imager.c_m_s * imager.uplink.grid.frequency_hz
    return np.stack([np.ones_like(wavenumber), wavenumber, wavenumber**2], axis=1)


def _solution(normal: Floats, slope: Floats) -> Floats:
    """Return the solution of normal equations of unknowns in unlike units."""
    scale = 1 / np.sqrt(np.diag(normal))
    solution: Floats = scale * np.linalg.lstsq(normal * np.outer(scale, scale), scale * slope, rcond=None)[0]
    return solution


def _by_place(step: Floats, paths: int) -> Floats:
    """Return the places' part of a step, ``(path, 3)``; gains are solved anew."""
    places = np.zeros((paths, 3))
    places[0, :2] = step[:2]
    places[1:] = step[4:].reshape(paths - 1, 5)[:, :3]
    return places


def _fit_from_state(imager: Imager, state: _State, found: Sequence[Detection]) -> SnapshotFit:
    normal = _normal_equations(imager, state)[0]
    noise_w = state.energy / max(state.residual.size - len(normal) / 2, 1.0)
    user = np.stack([_solution(normal, unit) for unit in np.eye(len(normal))[:2]])[:, :2]
    points = tuple(
        replace(point, range_m=place[0], angle_rad=place[1], excess_m=place[2], power_w=float(abs(gain) ** 2))
        for point, place, gain in zip(found, state.places.tolist(), state.gains, strict=True)
    )
    return SnapshotFit(points=points, covariance=noise_w / 2 * user, noise_w=noise_w, residual=state.residual)
