"""The exact backprojection objective near a point, cheap enough for scans and Newton steps of one snapshot.

``|s|^2`` of [SUCA, eq. (4)] at (range, angle, excess) needs each element's sum over subcarriers at one path length. Close
to a centre that sum is a carrier times a function that turns slowly, so a Chebyshev series per element says all of it: one
pass over the snapshot gives the series, and each further point costs a dozen or two terms an element. Points out of reach
move the centre. The series ends where double precision does, so nothing is approximated.
"""

import numpy as np
import numpy.typing as npt
from numpy.polynomial import chebyshev

from bs_controller.imaging import Imager, chebyshev_terms

Floats = npt.NDArray[np.float64]
ComplexArray = npt.NDArray[np.complex128]


class LocalObjective:
    """``|s|^2`` around a centre that follows where it is asked for.

    Parameters
    ----------
    imager
        Array, subcarriers and speed of light.
    samples
        ``(element, subcarrier)``.
    reach_m
        Path lengths that one series covers, on either side of its centre's.
    """

    def __init__(self, imager: Imager, samples: ComplexArray, reach_m: float) -> None:
        self._imager, self._samples, self._reach_m = imager, samples, reach_m
        grid = imager.uplink.grid
        self._carrier_rad_m = np.pi / imager.c_m_s * (grid.first_hz + grid.last_hz)
        offset_rad_m = 2 * np.pi / imager.c_m_s * (grid.frequency_hz - (grid.first_hz + grid.last_hz) / 2)
        terms = chebyshev_terms(float(offset_rad_m[-1]) * reach_m)
        nodes = np.cos(np.pi * (np.arange(terms) + 0.5) / terms)
        ramps = np.exp(1j * reach_m * np.outer(offset_rad_m, nodes))  # (subcarrier, node)
        self._series_from_samples = ramps @ (chebyshev.chebvander(nodes, terms - 1) * 2 / terms)
        self._series_from_samples[:, 0] /= 2
        self._centre_m = np.full(samples.shape[0], np.inf)
        self._series: list[ComplexArray] = []

    def powers(self, points: Floats) -> Floats:
        """Return the objective at points.

        Parameters
        ----------
        points
            ``(point, 3)`` range, angle and excess.

        Returns
        -------
        powers
            ``(point,)``; a path of unit gain peaks at the square of elements x subcarriers.
        """
        path_m = paths_m(self._imager, points)
        total = self._element_sums(path_m, derivatives=0)[0].sum(axis=1)
        power: Floats = total.real**2 + total.imag**2
        return power

    def expanded(self, point: Floats) -> tuple[float, Floats, Floats]:
        """Return the objective at a point ``(3,)``, its gradient ``(3,)`` and its Hessian ``(3, 3)``."""
        path_m = paths_m(self._imager, point[np.newaxis])
        first, second = path_derivatives(self._imager, point)
        s, s_d, s_dd = (sums[0] for sums in self._element_sums(path_m, derivatives=2))
        total = s.sum()
        slope = first @ s_d
        bend = (first * s_dd) @ first.T + second @ s_d
        gradient = 2 * (total.conj() * slope).real
        hessian = 2 * (np.outer(slope.conj(), slope) + total.conj() * bend).real
        return float(abs(total) ** 2), gradient, hessian

    def _element_sums(self, path_m: Floats, derivatives: int) -> list[ComplexArray]:
        """Return each element's sum over subcarriers and its derivatives by path length, ``(point, element)`` each."""
        offset_m = self._offset_m(path_m)
        polynomials = chebyshev.chebvander(offset_m / self._reach_m, self._series[0].shape[1] - 1)
        carrier, wavenumber = np.exp(1j * self._carrier_rad_m * offset_m), self._carrier_rad_m
        slow = [
            np.einsum("pnk,nk->pn", polynomials[..., : series.shape[1]], series)
            for series in self._series[: derivatives + 1]
        ]
        sums = [carrier * slow[0]]
        if derivatives:
            sums.append(carrier * (1j * wavenumber * slow[0] + slow[1]))
            sums.append(carrier * (2j * wavenumber * slow[1] + slow[2] - wavenumber**2 * slow[0]))
        return sums

    def _offset_m(self, path_m: Floats) -> Floats:
        """Return path lengths relative to the centre's, which moves if they are out of its reach."""
        offset_m: Floats = path_m - self._centre_m
        if np.abs(offset_m).max() > self._reach_m:
            self._centre_on((path_m.min(axis=0) + path_m.max(axis=0)) / 2)
            offset_m = path_m - self._centre_m
        return offset_m

    def _centre_on(self, path_m: Floats) -> None:
        """Expand each element's sum around a path length, ``(element,)``, and derive the series twice."""
        self._centre_m = path_m
        series: ComplexArray = (self._samples * waves(self._imager, path_m)) @ self._series_from_samples
        self._series = [series]  # (element, term), and one term less for each derivative
        for _ in range(2):
            slope = chebyshev.chebder(self._series[-1], axis=1) / self._reach_m
            self._series.append(slope.astype(np.complex128, copy=False))


def paths_m(imager: Imager, points: Floats) -> Floats:
    """Return exact distances [SUCA, eq. (3)] plus excesses of ``(point, 3)``, ``(point, element)``."""
    array = imager.uplink.array
    r, lag = points[:, :1], points[:, 1:2] - array.element_angle_rad
    path: Floats = np.sqrt(r**2 + array.radius_m**2 - 2 * r * array.radius_m * np.cos(lag)) + points[:, 2:]
    return path


def path_derivatives(imager: Imager, point: Floats) -> tuple[Floats, Floats]:
    """Return first ``(3, element)`` and second ``(3, 3, element)`` derivatives of the path by (range, angle, excess)."""
    array = imager.uplink.array
    r, radius, lag = point[0], array.radius_m, point[1] - array.element_angle_rad
    d = paths_m(imager, np.array([[r, point[1], 0.0]]))[0]
    first, second = np.ones((3, d.size)), np.zeros((3, 3, d.size))
    first[0], first[1] = (r - radius * np.cos(lag)) / d, r * radius * np.sin(lag) / d
    second[0, 0] = (1 - first[0] ** 2) / d
    second[0, 1] = second[1, 0] = (radius * np.sin(lag) - first[0] * first[1]) / d
    second[1, 1] = (r * radius * np.cos(lag) - first[1] ** 2) / d
    return first, second


def waves(imager: Imager, path_m: Floats) -> ComplexArray:
    """Return ``exp(+j 2 pi f_m d / c)`` of paths ``(element,)``, ``(element, subcarrier)``.

    Phases are linear in the subcarrier, so powers of one phasor are doubled up instead of taking an exponential each;
    the error grows with the logarithm of the count only.
    """
    grid = imager.uplink.grid
    wave = np.empty((path_m.size, grid.count), dtype=np.complex128)
    wave[:, 0] = np.exp(2j * np.pi / imager.c_m_s * grid.first_hz * path_m)
    power = np.exp(2j * np.pi / imager.c_m_s * grid.spacing_hz * path_m)
    done = 1
    while done < grid.count:
        more = min(done, grid.count - done)
        wave[:, done : done + more] = wave[:, :more] * power[:, np.newaxis]
        power, done = power * power, done + more
    return wave
