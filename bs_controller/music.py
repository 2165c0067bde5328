"""Near-field MUSIC on the sectored circular array: the baseline that [SUCA, section VI] compares against.

Subcarriers serve as the snapshots of one covariance, and steering vectors are spherical waves at the band's middle. A delay
common to all elements cancels in the covariance; what differs between elements, up to the array's radius, does not, and
spreads a path over more than one eigenvector as the band widens. So each point found is searched once more in a covariance
from which its own delays were removed.

Two things are cheaper than published without changing the spectrum: the noise subspace enters as what the signal subspace
leaves of the identity, and one range's steering vectors are shifts of one another on the elements' angles, so that a Fourier
transform correlates all of them at once, as in `imaging.py`. Pure functions, no random numbers.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.fft
import scipy.linalg
import scipy.ndimage
import scipy.optimize

from protocol.testbed import SubcarrierGrid, Uplink

Floats = npt.NDArray[np.float64]
ComplexArray = npt.NDArray[np.complex128]

_CANDIDATES = 12  # beyond the paths asked for; the true peak may lie between cells and a side lobe upon one
_SAME_PATH = 0.5  # squared correlation of two steering vectors above which they are one path
_SCAN_POINTS = 33
_SCAN_REACH_M = 1.5  # half a cell off in angle moves the best range by up to 1.2 m
_ROUNDING = 1e-15  # of a projection; keeps the pseudo-spectrum finite on a point that fits exactly


@dataclass(frozen=True, slots=True, kw_only=True)
class MusicPoint:
    """A path's origin; `power_w` is what one element receives of it on one subcarrier."""

    range_m: float
    angle_rad: float
    power_w: float


class MusicPlan:
    """Pseudo-spectra on a grid of these ranges and the elements' angles, planned once.

    Parameters
    ----------
    uplink
        Subcarriers and array.
    range_m
        ``(range,)`` ranges of the grid, ascending; all must lie outside the array's circle.
    c_m_s
        Speed of light.

    Raises
    ------
    ValueError
        If a range lies on or inside the array's circle.
    """

    def __init__(self, uplink: Uplink, range_m: Floats, c_m_s: float) -> None:
        if range_m.size == 0 or range_m.min() <= uplink.array.radius_m:
            raise ValueError(f"ranges must exceed the array's radius of {uplink.array.radius_m:g} m, got {range_m}")
        self.uplink, self.range_m, self.c_m_s = uplink, range_m, c_m_s
        self.angle_rad = uplink.array.element_angle_rad
        elements = uplink.array.elements
        lag_rad = np.arange(1 - elements, elements) * (self.angle_rad[1] - self.angle_rad[0])
        self._length = scipy.fft.next_fast_len(3 * elements - 2)
        kernel = steering(uplink, range_m[:, np.newaxis], lag_rad, 0.0, c_m_s)
        self._spectra: ComplexArray = scipy.fft.fft(kernel, self._length)

    def pseudo_spectrum(self, signal: ComplexArray) -> Floats:
        """Return ``N / |U_n^H a|^2`` of all grid points, 1 where a steering vector lies in the noise subspace.

        Parameters
        ----------
        signal
            ``(element, path)`` orthonormal basis of the signal subspace.

        Returns
        -------
        spectrum
            ``(range, angle)``.
        """
        elements = self.uplink.array.elements
        inside = np.zeros((self.range_m.size, elements))
        for vector in signal.T:
            product = scipy.fft.ifft(self._spectra * scipy.fft.fft(vector.conj(), self._length), overwrite_x=True)
            part = product[:, elements - 1 : 2 * elements - 1]
            inside += part.real**2 + part.imag**2
        spectrum: Floats = 1 / np.maximum(1 - inside / elements, _ROUNDING)
        return spectrum


def steering(
    uplink: Uplink, range_m: Floats | float, angle_rad: Floats | float, element_angle_rad: Floats | float, c_m_s: float
) -> ComplexArray:
    """Return the spherical wave ``exp(-j 2 pi f_mid r_n / c)`` at the band's middle [SUCA, eq. (2)]; arguments broadcast."""
    distance_m = _distance_m(uplink.array.radius_m, range_m, angle_rad, element_angle_rad)
    wave: ComplexArray = np.exp(-2j * np.pi / c_m_s * _middle_hz(uplink.grid) * distance_m)
    return wave


def covariance(uplink: Uplink, samples: ComplexArray, known_m: Floats, c_m_s: float) -> ComplexArray:
    """Return the covariance over subcarriers after known delays were removed.

    Only the phases relative to the band's middle are removed, so that steering vectors stay what they are.

    Parameters
    ----------
    uplink
        Subcarriers and array.
    samples
        ``(element, subcarrier)``.
    known_m
        ``(element,)`` path lengths to remove; zeros remove nothing.
    c_m_s
        Speed of light.

    Returns
    -------
    covariance
        ``(element, element)``, Hermitian.
    """
    offset_hz = uplink.grid.frequency_hz - _middle_hz(uplink.grid)
    aligned = samples * np.exp(2j * np.pi / c_m_s * np.outer(known_m, offset_hz))
    product: ComplexArray = aligned @ aligned.conj().T / uplink.grid.count
    return product


def signal_subspace(covariance: ComplexArray, paths: int) -> ComplexArray:
    """Return the eigenvectors of the largest eigenvalues, ``(element, path)``."""
    last = covariance.shape[0] - 1
    vectors: ComplexArray = scipy.linalg.eigh(covariance, subset_by_index=[last - paths + 1, last])[1]
    return vectors


def locate_paths(plan: MusicPlan, samples: ComplexArray, paths: int) -> list[MusicPoint]:
    """Return the points of the highest peaks of the pseudo-spectrum, refined off the grid, the strongest first.

    Parameters
    ----------
    plan
        The grid.
    samples
        ``(element, subcarrier)``.
    paths
        Dimension of the signal subspace and most points to return; MUSIC has to be told.

    Returns
    -------
    points
        At most `paths`, by power; empty if the snapshot is zero.

    Raises
    ------
    ValueError
        If the snapshot is of another shape or shows too few subcarriers or elements for so many paths.
    """
    expected = (plan.uplink.array.elements, plan.uplink.grid.count)
    if samples.shape != expected:
        raise ValueError(f"snapshot must be (element, subcarrier) = {expected}, got {samples.shape}")
    if not 1 <= paths < min(expected):
        raise ValueError(f"paths must be within 1..{min(expected) - 1}, got {paths}")
    if not samples.any():
        return []
    moments = covariance(plan.uplink, samples, np.zeros(expected[0]), plan.c_m_s)
    signal = signal_subspace(moments, paths)
    cells = _peak_cells(plan, plan.pseudo_spectrum(signal), paths + _CANDIDATES)
    places = _distinct(plan, signal, np.array([_scanned(plan, signal, cell) for cell in cells]), paths)
    focused = np.array([_refocused(plan, samples, place, paths) for place in places])
    # two starts may have climbed one peak
    return _with_powers(plan, moments, _distinct(plan, signal, focused, paths))


def _middle_hz(grid: SubcarrierGrid) -> float:
    return (grid.first_hz + grid.last_hz) / 2


def _distance_m(radius_m: float, r: Floats | float, theta: Floats | float, psi: Floats | float) -> Floats:
    """Return exact distances [SUCA, eq. (3)]; arguments broadcast."""
    # the half angle avoids the cancellation of a user close to an element
    distance: Floats = np.hypot(r - radius_m, 2 * np.sqrt(r * radius_m) * np.sin((theta - psi) / 2))
    return distance


def _steering_at(plan: MusicPlan, places: Floats) -> ComplexArray:
    """Return the steering vectors of places ``(place, 2)``, ``(place, element)``."""
    return steering(plan.uplink, places[:, :1], places[:, 1:], plan.angle_rad, plan.c_m_s)


def _fit(plan: MusicPlan, signal: ComplexArray, places: Floats) -> Floats:
    """Return the share of each place's steering vector that lies in the signal subspace, ``(place,)``."""
    inside = _steering_at(plan, places).conj() @ signal
    share: Floats = (inside.real**2 + inside.imag**2).sum(axis=1) / plan.angle_rad.size
    return share


def _peak_cells(plan: MusicPlan, spectrum: Floats, count: int) -> Floats:
    """Return the highest local maxima of a spectrum as places, ``(place, 2)``."""
    row, column = np.nonzero(spectrum == scipy.ndimage.maximum_filter(spectrum, size=3, mode="nearest"))
    highest = np.argsort(-spectrum[row, column])[:count]
    return np.stack([plan.range_m[row[highest]], plan.angle_rad[column[highest]]], axis=1)


def _cell(plan: MusicPlan) -> Floats:
    """Return the grid's steps in range and angle, ``(2,)``."""
    step_m = float(np.ptp(plan.range_m)) / max(plan.range_m.size - 1, 1) or 0.1
    return np.array([step_m, plan.angle_rad[1] - plan.angle_rad[0]])


def _box(plan: MusicPlan, start: Floats) -> Floats:
    """Return the lowest and highest places of a refinement: the grid's ranges, two cells in angle, ``(2, 2)``."""
    step_m, step_rad = _cell(plan)
    nearest_m = max(plan.range_m[0] - step_m, 1.001 * plan.uplink.array.radius_m)
    return np.array([[nearest_m, start[1] - 2 * step_rad], [plan.range_m[-1] + step_m, start[1] + 2 * step_rad]])


def _scanned(plan: MusicPlan, signal: ComplexArray, start: Floats) -> Floats:
    """Return the best fit on lines through a cell, ``(2,)``: along angle, range, and angle again."""
    place, box, step_rad = start, _box(plan, start), _cell(plan)[1]
    for axis, reach in ((1, step_rad), (0, _SCAN_REACH_M), (1, step_rad / 4)):
        line = np.tile(place, (_SCAN_POINTS, 1))
        line[:, axis] += np.linspace(-reach, reach, _SCAN_POINTS)
        line = np.clip(line, *box)
        place = line[int(_fit(plan, signal, line).argmax())]
    return place


def _climbed(plan: MusicPlan, signal: ComplexArray, start: Floats) -> Floats:
    """Return the maximum of the fit near a place, ``(2,)``, by a quasi-Newton climb in units of cells."""
    cell = _cell(plan)

    def misfit(cells: Floats) -> tuple[float, Floats]:
        value, slope = _misfit(plan, signal, start + cells * cell)
        return value, slope * cell

    bounds = ((_box(plan, start) - start) / cell).T
    options = {"ftol": 0.0, "gtol": 1e-10, "maxiter": 100}
    answer = scipy.optimize.minimize(misfit, np.zeros(2), jac=True, method="L-BFGS-B", bounds=bounds, options=options)
    place: Floats = start + answer.x * cell
    return place


def _misfit(plan: MusicPlan, signal: ComplexArray, place: Floats) -> tuple[float, Floats]:
    """Return the share of a steering vector outside the signal subspace, and its gradient ``(2,)``."""
    wavenumber = 2 * np.pi / plan.c_m_s * _middle_hz(plan.uplink.grid)
    radius_m, lag_rad, elements = plan.uplink.array.radius_m, place[1] - plan.angle_rad, plan.angle_rad.size
    d = _distance_m(radius_m, place[0], place[1], plan.angle_rad)
    slopes = np.stack([(place[0] - radius_m * np.cos(lag_rad)) / d, place[0] * radius_m * np.sin(lag_rad) / d])
    wave = _steering_at(plan, place[np.newaxis])[0].conj()
    inside = wave @ signal  # (path,)
    inside_slope = (1j * wavenumber * slopes * wave) @ signal  # (2, path)
    gradient: Floats = -2 / elements * (inside_slope @ inside.conj()).real
    return 1 - float(np.linalg.norm(inside) ** 2) / elements, gradient


def _distinct(plan: MusicPlan, signal: ComplexArray, places: Floats, count: int) -> Floats:
    """Return the best-fitting places that are not the same path twice, ``(place, 2)``."""
    waves, chosen = _steering_at(plan, places), np.empty(0, dtype=np.intp)
    for index in np.argsort(-_fit(plan, signal, places)):
        alike = np.abs(waves[chosen].conj() @ waves[index]) / plan.angle_rad.size
        if chosen.size < count and (alike**2 < _SAME_PATH).all():
            chosen = np.append(chosen, index)
    return places[chosen]


def _refocused(plan: MusicPlan, samples: ComplexArray, place: Floats, paths: int) -> Floats:
    """Return a place refined in the covariance from which its own delays were removed, ``(2,)``."""
    known_m = _distance_m(plan.uplink.array.radius_m, place[0], place[1], plan.angle_rad)
    signal = signal_subspace(covariance(plan.uplink, samples, known_m, plan.c_m_s), paths)
    return _climbed(plan, signal, _scanned(plan, signal, place))


def _with_powers(plan: MusicPlan, moments: ComplexArray, places: Floats) -> list[MusicPoint]:
    """Return points with the powers that least squares gives their waves together, the strongest first."""
    inverse = np.linalg.pinv(_steering_at(plan, places).T)  # (place, element)
    power_w = np.einsum("pn,nm,pm->p", inverse, moments, inverse.conj()).real
    points = [
        MusicPoint(range_m=float(place[0]), angle_rad=float(place[1]), power_w=float(power))
        for place, power in zip(places, power_w, strict=True)
    ]
    return sorted(points, key=lambda point: -point.power_w)
