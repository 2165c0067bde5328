"""From an uplink snapshot to points: peaks of the backprojected image, refined off the grid.

After [SUCA, Algorithm 1], which takes angle peaks of one image and searches the range at each. Three things differ, because
the published steps mislead below about 5 m, near the sector's edges, and for scatterers:

- the angle profile is the maximum over range, not the sum: close to the array the focus is a few centimetres deep, so most
  terms of the sum are defocused (a user at 2.3 m, 52 deg appears 25 cells away in the sum, in its own cell in the maximum);
- side lobes reach -1.4 dB of the peak, so no threshold tells them from targets. Instead each point's wave is taken out of
  the snapshot before the next one is looked for. Two points at one angle may therefore be reported as one, which
  `companion.py` tells;
- a scatterer's path is longer than its distance by an excess unknown to the array, which at 28 GHz moves or splits its peak
  (curvature tells one range, delay another), so the excess is a third coordinate of every point but the first, the user.

Positions are maxima of the exact objective ``|s|^2``, not grid points. Pure functions, no random numbers.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from bs_controller.imaging import AnyComplex, Imager
from bs_controller.objective import LocalObjective, paths_m, waves

Floats = npt.NDArray[np.float64]
ComplexArray = npt.NDArray[np.complex128]
AngleProfile = Literal["max", "sum"]

_SCAN_POINTS = 17
_SCAN_REACH_M = 1.5  # half a cell off in angle moves the best range by up to 1.2 m
LARGEST_GRID_LOSS = 4.0  # power of a point over that of its best cell; 3.0 measured at critical spacing
_IMAGES_AT_ONCE = 8
_NEWTON_STEPS = 30
_HALVINGS = 12
_CONVERGED_CELLS = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Detection:
    """A point that radiates or reflects.

    `excess_m` is what its path is longer than its distance; `power_w` is what one element receives of it on one subcarrier.
    """

    range_m: float
    angle_rad: float
    excess_m: float
    power_w: float


def detect(
    imager: Imager,
    samples: ComplexArray,
    *,
    threshold_db: float = -15.0,
    max_targets: int = 4,
    excess_max_m: float = 20.0,
    angle_profile: AngleProfile = "max",
) -> list[Detection]:
    """Return the points that one snapshot shows: the user, then scatterers.

    Parameters
    ----------
    imager
        The planned image.
    samples
        ``(element, subcarrier)``.
    threshold_db
        Power, relative to the user, below which the search ends. Keep it above what hardware errors leave of a point
        that was taken out: about -20 dB for 10 % of gain and phase error.
    max_targets
        Most points to report, the user among them.
    excess_max_m
        Longest excess of a scatterer's path.
    angle_profile
        How ranges are put together before the angle is chosen: ``sum`` is as published, ``max`` also works close by.

    Returns
    -------
    detections
        The user first, whose path is the strongest of those without excess, then scatterers by power; empty if the
        snapshot is zero.
    """
    found: list[Detection] = []
    waves: list[ComplexArray] = []
    residual = samples.astype(np.complex128)
    while len(found) < max_targets:
        floor_w = 10 ** (threshold_db / 10) * max((point.power_w for point in found), default=0.0)
        start = strongest_cell(imager, residual, excess_max_m if found else 0.0, angle_profile)
        if LARGEST_GRID_LOSS * start.power_w <= floor_w:
            break
        point = refined(imager, residual, start, search_excess=bool(found))
        if point.power_w <= floor_w:
            break
        found.append(point)
        waves.append(_wave_of(imager, residual, point))
        residual = residual - waves[-1]
    if len(found) > 1:
        found = _polished(imager, residual, found, waves)
    return [*found[:1], *sorted(found[1:], key=lambda point: -point.power_w)]


def refined(imager: Imager, samples: ComplexArray, start: Detection, *, search_excess: bool) -> Detection:
    """Return the maximum of the exact objective near a cell of the image.

    Scans bring the start onto the main lobe's ridge; Newton's method with analytic derivatives then climbs it. The result
    stays within two cells in angle and within the image's ranges.

    Parameters
    ----------
    imager
        The planned image.
    samples
        ``(element, subcarrier)``.
    start
        The cell to start from.
    search_excess
        Whether the excess of the path is searched too, or kept.

    Returns
    -------
    detection
        Position and power.
    """
    cell = _cell(imager) * np.array([1, 1, float(search_excess)])
    # the objective is not smooth at the array itself
    nearest_m = max(imager.range_m.min() - cell[0], 1.001 * imager.uplink.array.radius_m)
    point = np.array([start.range_m, start.angle_rad, start.excess_m])
    farthest_m, reach_rad = imager.range_m.max() + cell[0], 2 * cell[1]
    box = np.array([[nearest_m, start.angle_rad - reach_rad, 0.0], [farthest_m, start.angle_rad + reach_rad, np.inf]])
    objective = LocalObjective(imager, samples, _SCAN_REACH_M + cell[2])
    reaches = ((1, cell[1]), (0, _SCAN_REACH_M), (2, cell[2]), (1, cell[1] / 2), (0, _SCAN_REACH_M / 4))
    for axis, reach in reaches:
        if reach:
            point = _scanned(objective, _line(point, axis, reach, box))
    point, power = _climbed(objective, point, box, cell)
    range_m, angle_rad, excess_m = point.tolist()
    return Detection(range_m=range_m, angle_rad=angle_rad, excess_m=excess_m, power_w=power / samples.size**2)


def _polished(
    imager: Imager, residual: ComplexArray, found: list[Detection], waves: list[ComplexArray]
) -> list[Detection]:
    """Return the points refined once more, each with all others taken out."""
    polished = []
    for index, (point, wave) in enumerate(zip(found, waves, strict=True)):
        alone = residual + wave
        polished.append(refined(imager, alone, point, search_excess=index > 0))
        residual = alone - _wave_of(imager, alone, polished[-1])
    return polished


def strongest_cell(
    imager: Imager, samples: ComplexArray, excess_max_m: float, angle_profile: AngleProfile
) -> Detection:
    """Return the best cell of the images for excesses in steps of half a delay cell.

    Parameters
    ----------
    imager
        The planned image.
    samples
        ``(element, subcarrier)``.
    excess_max_m
        Longest excess; zero searches the paths without excess alone.
    angle_profile
        As for `detect`.

    Returns
    -------
    cell
        Where `refined` should start; its power is up to `LARGEST_GRID_LOSS` below that of the point.
    """
    excess_m = np.arange(0.0, excess_max_m + 1e-9, _cell(imager)[2])
    best = Detection(range_m=1.0, angle_rad=0.0, excess_m=0.0, power_w=-1.0)
    for first in range(0, excess_m.size, _IMAGES_AT_ONCE):
        some_m = excess_m[first : first + _IMAGES_AT_ONCE]
        for excess, image in zip(some_m.tolist(), imager.excess_images(samples, some_m), strict=True):
            cell = _best_of_image(imager, image, angle_profile)
            if cell[2] > best.power_w:
                best = Detection(range_m=cell[0], angle_rad=cell[1], excess_m=excess, power_w=cell[2])
    return best


def _best_of_image(imager: Imager, image: AnyComplex, angle_profile: AngleProfile) -> tuple[float, float, float]:
    """Return range, angle and power of the strongest range at the strongest angle."""
    power = image.real.astype(np.float64) ** 2 + image.imag.astype(np.float64) ** 2
    profile = power.max(axis=0) if angle_profile == "max" else power.sum(axis=0)
    column = int(profile.argmax())
    row = int(power[:, column].argmax())
    samples = imager.uplink.array.elements * imager.uplink.grid.count
    return float(imager.range_m[row]), float(imager.angle_rad[column]), float(power[row, column]) / samples**2


def _cell(imager: Imager) -> Floats:
    """Return steps in range, angle and excess, ``(3,)``; the last is half the delay resolution ``c / (M spacing)``."""
    ranges, grid = imager.range_m, imager.uplink.grid
    step_m = (ranges.max() - ranges.min()) / max(ranges.size - 1, 1) or 0.1
    return np.array(
        [step_m, imager.angle_rad[1] - imager.angle_rad[0], imager.c_m_s / (2 * grid.count * grid.spacing_hz)]
    )


def _line(point: Floats, axis: int, reach: float, box: Floats) -> Floats:
    """Return points around one along an axis and within a box, ``(point, 3)``."""
    points = np.tile(point, (_SCAN_POINTS, 1))
    points[:, axis] += np.linspace(-reach, reach, _SCAN_POINTS)
    return np.clip(points, *box)


def _scanned(objective: LocalObjective, points: Floats) -> Floats:
    """Return the point with the largest objective, ``(3,)``."""
    best: Floats = points[int(objective.powers(points).argmax())]
    return best


def _climbed(objective: LocalObjective, point: Floats, box: Floats, cell: Floats) -> tuple[Floats, float]:
    """Return the maximum by Newton's method in units of cells, steps halved until the objective grows."""
    power, gradient, hessian = objective.expanded(point)
    for _ in range(_NEWTON_STEPS):
        step = _uphill_cells(power, gradient * cell, hessian * np.outer(cell, cell))
        for _ in range(_HALVINGS):
            candidate = np.clip(point + step * cell, *box)
            trial = objective.expanded(candidate)
            if trial[0] >= power:
                break
            step = step / 2
        else:
            break
        point, (power, gradient, hessian) = candidate, trial
        if np.abs(step).max() < _CONVERGED_CELLS:
            break
    return point, power


def _uphill_cells(power: float, gradient: Floats, hessian: Floats) -> Floats:
    """Return Newton's step made uphill along every axis, also where the objective is not concave; two cells at most."""
    curvature, direction = np.linalg.eigh(hessian)
    floor = max(1e-12 * power, 1e-300)
    step: Floats = direction @ ((direction.T @ gradient) / np.maximum(np.abs(curvature), floor))
    return step * min(1.0, 2.0 / max(float(np.abs(step).max()), 1e-300))


def _wave_of(imager: Imager, samples: ComplexArray, point: Detection) -> ComplexArray:
    """Return the part of a snapshot that came from one point, the gain of each subcarrier free, ``(element, subcarrier)``.

    Free gains take the excess in, and what little the position of one point is wrong while others are still there.
    """
    wave = waves(imager, paths_m(imager, np.array([[point.range_m, point.angle_rad, point.excess_m]]))[0])
    gain = np.mean(samples * wave, axis=0)  # least squares: all entries of the wave have unit modulus
    part: ComplexArray = gain * wave.conj()
    return part
