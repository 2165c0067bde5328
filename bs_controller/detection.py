"""From an uplink snapshot to points: peaks of the backprojected image, refined off the grid.

After [SUCA, Algorithm 1], which takes angle peaks of one image and searches the range at each. Two things differ, because
the published steps mislead below about 5 m and near the sector's edges:

- the angle profile is the maximum over range, not the sum: close to the array the focus is a few centimetres deep, so most
  terms of the sum are defocused (a user at 2.3 m, 52 deg appears 25 cells away in the sum, in its own cell in the maximum);
- side lobes reach -1.4 dB of the peak, so no threshold tells them from targets. Instead each point's wave is taken out of
  the snapshot before the next one is looked for, with a free gain per subcarrier, because a scatterer's path is longer than
  its distance by an unknown delay [SUCA, eq. (1)]. Two points at one angle are therefore reported as one.

Positions are maxima of the exact objective ``|s(r, theta)|^2``, not grid points. Pure functions, no random numbers.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from bs_controller.imaging import AnyComplex, Imager

Floats = npt.NDArray[np.float64]
ComplexArray = npt.NDArray[np.complex128]
AngleProfile = Literal["max", "sum"]

_SCAN_POINTS = 17
_SCAN_REACH_M = 1.5  # half a cell off in angle moves the best range by up to 1.2 m
_LARGEST_GRID_LOSS = 4.0  # power of a point over that of its best cell; 3.0 measured at critical spacing
_NEWTON_STEPS = 30
_CONVERGED_CELLS = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Detection:
    """A point that radiates or reflects; `power_w` is what one element receives of it on one subcarrier."""

    range_m: float
    angle_rad: float
    power_w: float


def detect(
    imager: Imager,
    samples: ComplexArray,
    *,
    threshold_db: float = -15.0,
    max_targets: int = 4,
    angle_profile: AngleProfile = "max",
) -> list[Detection]:
    """Return the points that one snapshot shows, strongest first.

    Parameters
    ----------
    imager
        The planned image.
    samples
        ``(element, subcarrier)``.
    threshold_db
        Power, relative to the strongest point, below which the search ends. Keep it above what hardware errors leave of
        a point that was taken out: about -20 dB for 10 % of gain and phase error.
    max_targets
        Most points to report.
    angle_profile
        How ranges are put together before the angle is chosen: ``sum`` is as published, ``max`` also works close by.

    Returns
    -------
    detections
        Sorted by power; empty if the snapshot is zero.
    """
    found: list[Detection] = []
    residual = samples.astype(np.complex128)
    while len(found) < max_targets:
        floor_w = 10 ** (threshold_db / 10) * max((point.power_w for point in found), default=0.0)
        range_m, angle_rad, cell_power_w = _strongest_cell(imager, imager.image(residual), angle_profile)
        if _LARGEST_GRID_LOSS * cell_power_w <= floor_w:
            break
        detection = refined(imager, residual, range_m, angle_rad)
        if detection.power_w <= floor_w:
            break
        found.append(detection)
        residual = _without(imager, residual, detection)
    return sorted(found, key=lambda point: -point.power_w)


def refined(imager: Imager, samples: ComplexArray, range_m: float, angle_rad: float) -> Detection:
    """Return the maximum of the exact objective near a cell of the image.

    Scans in angle and range bring the start onto the main lobe's ridge; Newton's method with analytic derivatives then
    climbs it. The result stays within two cells in angle and within the image's ranges.

    Parameters
    ----------
    imager
        The planned image.
    samples
        ``(element, subcarrier)``.
    range_m, angle_rad
        The cell to start from.

    Returns
    -------
    detection
        Position and power.
    """
    cell = _cell(imager)
    # the objective is not smooth at the array itself
    nearest_m = max(imager.range_m.min() - cell[0], 1.001 * imager.uplink.array.radius_m)
    farthest_m = imager.range_m.max() + cell[0]
    box = np.array([[nearest_m, angle_rad - 2 * cell[1]], [farthest_m, angle_rad + 2 * cell[1]]])
    point = np.array([range_m, angle_rad])
    for axis, reach in ((1, cell[1]), (0, _SCAN_REACH_M), (1, cell[1] / 2), (0, _SCAN_REACH_M / 4)):
        point = _scanned(imager, samples, _line(point, axis, reach, box))
    point, power = _climbed(imager, samples, point, box)
    return Detection(range_m=float(point[0]), angle_rad=float(point[1]), power_w=power / samples.size**2)


def _strongest_cell(imager: Imager, image: AnyComplex, angle_profile: AngleProfile) -> tuple[float, float, float]:
    power = image.real.astype(np.float64) ** 2 + image.imag.astype(np.float64) ** 2
    profile = power.max(axis=0) if angle_profile == "max" else power.sum(axis=0)
    column = int(profile.argmax())
    row = int(power[:, column].argmax())
    samples = imager.uplink.array.elements * imager.uplink.grid.count
    return float(imager.range_m[row]), float(imager.angle_rad[column]), float(power[row, column]) / samples**2


def _cell(imager: Imager) -> Floats:
    """Return the image's steps in range and angle, ``(2,)``."""
    ranges = imager.range_m
    step_m = (ranges.max() - ranges.min()) / max(ranges.size - 1, 1) or 0.1
    return np.array([step_m, imager.angle_rad[1] - imager.angle_rad[0]])


def _line(point: Floats, axis: int, reach: float, box: Floats) -> Floats:
    """Return points around one along an axis and within a box, ``(point, 2)``."""
    points = np.tile(point, (_SCAN_POINTS, 1))
    points[:, axis] += np.linspace(-reach, reach, _SCAN_POINTS)
    return np.clip(points, *box)


def _scanned(imager: Imager, samples: ComplexArray, points: Floats) -> Floats:
    """Return the point with the largest objective, ``(2,)``."""
    waves = _waves(imager, _distance_m(imager, points))
    best: Floats = points[int(np.abs(np.einsum("pnm,nm->p", waves, samples)).argmax())]
    return best


def _climbed(imager: Imager, samples: ComplexArray, point: Floats, box: Floats) -> tuple[Floats, float]:
    """Return the maximum by Newton's method in units of cells, steps halved until the objective grows."""
    cell = _cell(imager)
    power, gradient, hessian = _objective(imager, samples, point)
    for _ in range(_NEWTON_STEPS):
        curvature, direction = np.linalg.eigh(hessian * np.outer(cell, cell))
        # uphill along every axis, also where the objective is not concave yet; at most two cells at once
        ascent = direction @ ((direction.T @ (gradient * cell)) / np.maximum(np.abs(curvature), 1e-12 * power))
        step = ascent * min(1.0, 2.0 / max(float(np.abs(ascent).max()), 1e-300))
        for _ in range(12):
            candidate = np.clip(point + step * cell, *box)
            trial = _objective(imager, samples, candidate)
            if trial[0] >= power:
                break
            step = step / 2
        else:
            break
        point, (power, gradient, hessian) = candidate, trial
        if np.abs(step).max() < _CONVERGED_CELLS:
            break
    return point, power


def _objective(imager: Imager, samples: ComplexArray, point: Floats) -> tuple[float, Floats, Floats]:
    """Return ``|s|^2`` of [SUCA, eq. (4)] at a point, its gradient ``(2,)`` and its Hessian ``(2, 2)`` in (m, rad)."""
    array = imager.uplink.array
    r, radius, lag = point[0], array.radius_m, point[1] - array.element_angle_rad
    d = _distance_m(imager, point[np.newaxis])[0]
    d_r, d_t = (r - radius * np.cos(lag)) / d, r * radius * np.sin(lag) / d
    first = np.stack([d_r, d_t])  # (2, element)
    cross = (radius * np.sin(lag) - d_r * d_t) / d
    second = np.stack([(1 - d_r**2) / d, cross, cross, (r * radius * np.cos(lag) - d_t**2) / d]).reshape(2, 2, -1)
    wavenumber = 2 * np.pi / imager.c_m_s * imager.uplink.grid.frequency_hz
    powers = np.stack([np.ones_like(wavenumber), wavenumber, wavenumber**2], axis=1)
    moments = (_waves(imager, d[np.newaxis])[0] * samples) @ powers  # (element, 3)
    s, s_d, s_dd = moments[:, 0].sum(), 1j * moments[:, 1], -moments[:, 2]
    slope = first @ s_d
    bend = np.einsum("an,bn,n->ab", first, first, s_dd) + second @ s_d
    gradient = 2 * (s.conj() * slope).real
    hessian = 2 * (np.outer(slope.conj(), slope) + s.conj() * bend).real
    return float(abs(s) ** 2), gradient, hessian


def _distance_m(imager: Imager, points: Floats) -> Floats:
    """Return exact distances [SUCA, eq. (3)], ``(point, element)``."""
    array = imager.uplink.array
    r, lag = points[:, :1], points[:, 1:] - array.element_angle_rad
    distance: Floats = np.sqrt(r**2 + array.radius_m**2 - 2 * r * array.radius_m * np.cos(lag))
    return distance


def _waves(imager: Imager, distance_m: Floats) -> ComplexArray:
    """Return ``exp(+j 2 pi f_m d / c)``, ``(point, element, subcarrier)``.

    Phases are linear in the subcarrier, so powers of one phasor are doubled up instead of taking an exponential each;
    the error grows with the logarithm of the count only.
    """
    grid = imager.uplink.grid
    waves = np.empty((*distance_m.shape, grid.count), dtype=np.complex128)
    waves[..., 0] = np.exp(2j * np.pi / imager.c_m_s * grid.first_hz * distance_m)
    power = np.exp(2j * np.pi / imager.c_m_s * grid.spacing_hz * distance_m)
    done = 1
    while done < grid.count:
        more = min(done, grid.count - done)
        waves[..., done : done + more] = waves[..., :more] * power[..., np.newaxis]
        power, done = power * power, done + more
    return waves


def _without(imager: Imager, samples: ComplexArray, detection: Detection) -> ComplexArray:
    """Return the snapshot less the wave from one point, with the gain of each subcarrier free, ``(element, subcarrier)``."""
    point = np.array([[detection.range_m, detection.angle_rad]])
    wave = _waves(imager, _distance_m(imager, point))[0]
    gain = np.mean(samples * wave, axis=0)  # least squares: all entries of the wave have unit modulus
    remaining: ComplexArray = samples - gain * wave.conj()
    return remaining
