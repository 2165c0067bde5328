"""Whether a point found in a snapshot may be two at one angle, which merge in the image of a small array or a narrow band.

Turned back by its own wave, the snapshot of a single point is the same on all elements and subcarriers; of two it beats.
What a fit of one wave moves is taken out first: the amplitude, and of the phase its mean and what range and angle turn. In
the rest a second wave is looked for at the same angle, of any range, which bends it over the elements, and any path, which
turns it over the subcarriers: the likelihood ratio of two waves against one. Bend and turn are taken apart, which neglects
0.05 rad for 48 MHz on a radius of 1 m. Pure functions, no random numbers.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bs_controller.detection import Detection, detect
from bs_controller.imaging import Imager
from bs_controller.objective import path_derivatives, paths_m, waves
from bs_controller.resolution import angle_lobe_rad

Floats = npt.NDArray[np.float64]
ComplexArray = npt.NDArray[np.complex128]

#: Lone users stay below 28 in 999 of 1000 snapshots; of noise alone, each 2 more leave a share of 1/e.
SIGNIFICANT = 36.0
_WEAK_DB = -30.0  # points this far below the user, and elsewhere, still show at its angle by their side lobes
_WEAK_POINTS = 4
_CURVATURES = 50  # ranges tried, uniform like the image's
_LEAST_SHARE = 1e-6  # of a second wave's energy that one wave cannot take in; below, rounding decides
_UNKNOWNS = 6  # gain, range and angle of the one wave, gain of the other


def may_be_two(imager: Imager, samples: ComplexArray, found: Sequence[Detection], *, excess_max_m: float) -> bool:
    """Return whether the user may be two points at one angle, whose fix then lies at neither.

    Points too weak to be reported show at the user's angle by their side lobes. They are looked for, and taken out if they
    are elsewhere, where the user is in doubt at first.

    Parameters
    ----------
    imager
        The planned image.
    samples
        ``(element, subcarrier)``.
    found
        What `detect` found in them, at least one point, the user first.
    excess_max_m
        As for `detect`.
    """
    if companion_significance(imager, samples, found) <= SIGNIFICANT:
        return False
    points = len(found) + _WEAK_POINTS
    weak = detect(imager, samples, threshold_db=_WEAK_DB, max_targets=points, excess_max_m=excess_max_m)
    user, lobe_rad = found[0], _lobe_rad(imager)
    beside = [point for point in found[1:] if abs(point.angle_rad - user.angle_rad) <= lobe_rad]
    elsewhere = [point for point in weak[1:] if abs(point.angle_rad - user.angle_rad) > lobe_rad]
    return companion_significance(imager, samples, [user, *beside, *elsewhere]) > SIGNIFICANT


def companion_significance(imager: Imager, samples: ComplexArray, found: Sequence[Detection]) -> float:
    """Return how much better two waves at the user's angle explain a snapshot than one.

    Parameters
    ----------
    imager
        Array, subcarriers, ranges and speed of light.
    samples
        ``(element, subcarrier)``.
    found
        At least one point, the user first; the waves of the others are taken out.

    Returns
    -------
    significance
        Energy that the likeliest second wave explains, over the noise in one real number. The noise is the largest of what
        is left in all samples, in the means over subcarriers and in those over elements, so that gain and phase errors
        of elements or subcarriers count as noise.
    """
    turned = _turned_back(imager, samples, found)
    own = _OneWave.of(imager, found[0])
    alone = own.taken_out_of(turned)
    bend, turn = _second_waves(imager, found[0])
    gain, explained = _fitted_gains(own, bend.conj() @ alone @ turn.conj(), bend, turn)
    best = np.unravel_index(explained.argmax(), explained.shape)
    second = gain[best] * np.outer(bend[best[0]], turn[:, best[1]])
    return float(explained[best] / _noise(alone - own.taken_out_of(second)))


@dataclass(frozen=True, slots=True, kw_only=True)
class _OneWave:
    """What the fit of one wave moves of its phases: an orthonormal basis, each term a sum of products."""

    by_element: Floats  # (3, element)
    by_subcarrier: Floats  # (3, subcarrier)
    mixing: Floats  # (term, product)

    @classmethod
    def of(cls, imager: Imager, point: Detection) -> "_OneWave":
        first = path_derivatives(imager, np.array([point.range_m, point.angle_rad, point.excess_m]))[0]
        frequency = imager.uplink.grid.frequency_hz / imager.uplink.grid.frequency_hz.mean()
        by_element = np.stack([np.ones(first.shape[1]), first[0], first[1]])
        by_subcarrier = np.stack([np.ones(frequency.size), frequency, frequency])
        gram = (by_element @ by_element.T) * (by_subcarrier @ by_subcarrier.T)
        mixing = np.linalg.inv(np.linalg.cholesky(gram))
        return cls(by_element=by_element, by_subcarrier=by_subcarrier, mixing=mixing)

    def taken_out_of(self, turned: ComplexArray) -> ComplexArray:
        """Return ``(element, subcarrier)`` without amplitude, phase, range and angle of one wave."""
        products = ((self.by_element @ turned.imag) * self.by_subcarrier).sum(axis=1)
        weight = self.mixing.T @ (self.mixing @ products)
        phase = (self.by_element.T * weight) @ self.by_subcarrier
        rest: ComplexArray = turned - turned.real.mean() - 1j * phase
        return rest

    def overlaps(self, bend: ComplexArray, turn: ComplexArray) -> ComplexArray:
        """Return inner products of the basis with second waves, ``(term, bend, turn)``."""
        by_product = (bend @ self.by_element.T).T[:, :, np.newaxis] * (self.by_subcarrier @ turn)[:, np.newaxis, :]
        overlaps: ComplexArray = np.tensordot(self.mixing, by_product, axes=1)
        return overlaps


def _lobe_rad(imager: Imager) -> float:
    array, grid = imager.uplink.array, imager.uplink.grid
    return angle_lobe_rad(min(array.half_sector_rad, math.pi / 2), array.radius_m, grid.first_hz, imager.c_m_s)


def _turned_back(imager: Imager, samples: ComplexArray, found: Sequence[Detection]) -> ComplexArray:
    """Return the snapshot without the other points, times the conjugate of the user's wave, which becomes one."""
    places = np.array([[point.range_m, point.angle_rad, point.excess_m] for point in found])
    conjugates = [waves(imager, path) for path in paths_m(imager, places)]
    rows = np.array([wave.ravel() for wave in conjugates])
    gains = np.linalg.lstsq((rows.conj() @ rows.T).conj(), rows @ samples.ravel(), rcond=None)[0]
    others = sum((gain * wave.conj() for gain, wave in zip(gains[1:], conjugates[1:], strict=True)), np.zeros(1))
    turned: ComplexArray = (samples - others) * conjugates[0] / gains[0]
    return turned


def _second_waves(imager: Imager, point: Detection) -> tuple[ComplexArray, ComplexArray]:
    """Return bends ``(range, element)`` and turns ``(subcarrier, path)`` of waves at the point's angle, relative to its own."""
    grid, ranges_m = imager.uplink.grid, imager.range_m
    tried_m = np.linspace(ranges_m.min(), ranges_m.max(), _CURVATURES)
    places = np.stack([tried_m, np.full_like(tried_m, point.angle_rad), np.zeros_like(tried_m)], axis=1)
    own_m = paths_m(imager, np.array([[point.range_m, point.angle_rad, 0.0]]))
    bent_m = paths_m(imager, places) - own_m - (tried_m - point.range_m)[:, np.newaxis]
    wavenumber = 2 * np.pi / imager.c_m_s * grid.frequency_hz
    half_cell_m, span_m = imager.c_m_s / (2 * grid.count * grid.spacing_hz), float(np.ptp(ranges_m))
    count = int(np.ceil(span_m / half_cell_m))
    longer_m = half_cell_m * np.arange(-count, count + 1)
    middle = wavenumber.mean()
    return np.exp(-1j * middle * bent_m), np.exp(-1j * np.outer(wavenumber - middle, longer_m))


def _fitted_gains(
    own: _OneWave, matched: ComplexArray, bend: ComplexArray, turn: ComplexArray
) -> tuple[ComplexArray, Floats]:
    """Return gain and explained energy of each second wave beside one wave that gives way, both ``(range, path)``.

    Gains are found in real numbers, because the one wave takes in real amplitudes and imaginary phases alone.
    """
    overlap, samples = own.overlaps(bend, turn), bend.shape[1] * turn.shape[0]
    real = samples - overlap[0].real ** 2 - (overlap.imag**2).sum(axis=0)
    imaginary = samples - overlap[0].imag ** 2 - (overlap.real**2).sum(axis=0)
    mixed = -(overlap[1:].imag * overlap[1:].real).sum(axis=0)
    determinant = real * imaginary - mixed**2
    # the smaller eigenvalue is above determinant / trace
    usable = determinant > _LEAST_SHARE * samples * (real + imaginary)
    scale = np.where(usable, 1 / np.where(usable, determinant, 1.0), 0.0)
    gain = scale * (imaginary * matched.real - mixed * matched.imag + 1j * (real * matched.imag - mixed * matched.real))
    explained: Floats = gain.real * matched.real + gain.imag * matched.imag
    return gain, explained


def _noise(rest: ComplexArray) -> float:
    """Return the noise in one real number, ``(element, subcarrier)`` of which are left."""
    elements, subcarriers = rest.shape
    energies: tuple[float, ...] = (
        float(np.linalg.norm(rest) ** 2) / (2 * rest.size - _UNKNOWNS),
        subcarriers * float(np.linalg.norm(rest.mean(axis=1)) ** 2) / max(2 * elements - _UNKNOWNS, 1),
        elements * float(np.linalg.norm(rest.mean(axis=0)) ** 2) / max(2 * subcarriers - _UNKNOWNS, 1),
    )
    return max((*energies, 1e-18))  # rounding, of a snapshot without noise
