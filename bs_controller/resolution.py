"""What a sectored circular array resolves: minimum element counts, lobe widths and reconstruction patterns. Pure functions.

A pattern is what backprojection makes of a single target without noise, over the target's own peak [SUCA, section IV].
Angle patterns belong to one frequency. Their path differences are exact at a finite target range; at infinity, the default,
they are those of [SUCA, eq. (5)] as printed.
"""

import math

import numpy as np
import numpy.typing as npt
from scipy import special

from protocol.testbed import SectorArray, SubcarrierGrid

Floats = npt.NDArray[np.float64]
ComplexArray = npt.NDArray[np.complex128]


def minimum_elements(half_sector_rad: float, radius_m: float, carrier_hz: float, c_m_s: float) -> int:
    """Return the fewest elements of a sectored circular array without grating lobes [SUCA, eqs. (14)-(15)].

    Neighbours may differ by half a cycle at most. Seen from within the sector, the steepest delay along the circle lies
    at a right angle, which sectors of half-width pi/4 or more contain; narrower ones reach ``sin(2 alpha)`` of it.

    Raises
    ------
    ValueError
        If the sector is not within (0, pi/2], where the equations hold.
    """
    if not 0 < half_sector_rad <= math.pi / 2:
        raise ValueError(f"half_sector_rad must be within (0, pi/2], got {half_sector_rad:g} rad")
    alpha, wavelength_m = half_sector_rad, c_m_s / carrier_hz
    steepest = 1.0 if alpha >= math.pi / 4 else math.sin(2 * alpha)
    # a count that is whole in exact arithmetic must not grow by one through rounding
    return math.ceil(4 * alpha * radius_m * steepest / wavelength_m - 1e-9)


def angle_lobe_rad(half_sector_rad: float, radius_m: float, carrier_hz: float, c_m_s: float) -> float:
    """Return the estimated angle between adjacent extrema of the pattern, ``lambda / (2 R sin alpha)`` [SUCA, eq. (10)].

    The main lobe reaches about that far on either side of its peak. Where the printed phase is no longer monotonic over the
    sector, beyond pi/2, the estimate does not hold.

    Raises
    ------
    ValueError
        If the half-sector is not within (0, pi/2].
    """
    if not 0 < half_sector_rad <= math.pi / 2:
        raise ValueError(f"half_sector_rad must be within (0, pi/2], got {half_sector_rad:g} rad")
    return c_m_s / carrier_hz / (2 * radius_m * math.sin(half_sector_rad))


def angle_pattern(
    array: SectorArray,
    frequency_hz: float,
    c_m_s: float,
    angle_rad: Floats,
    *,
    target_angle_rad: float = 0.0,
    target_range_m: float = math.inf,
) -> ComplexArray:
    """Return the pattern over angle of the array's elements at the target's range [SUCA, eq. (6)].

    Parameters
    ----------
    angle_rad
        ``(angle,)``.

    Returns
    -------
    pattern
        ``(angle,)`` complex128, one at the target's angle.
    """
    psi_rad = array.element_angle_rad
    weights = np.full(array.elements, 1 / array.elements)
    extra_m = _path_difference_m(psi_rad, array.radius_m, angle_rad, target_angle_rad, target_range_m)
    pattern: ComplexArray = np.exp(2j * np.pi * frequency_hz / c_m_s * extra_m) @ weights
    return pattern


def angle_pattern_of_continuum(
    array: SectorArray,
    frequency_hz: float,
    c_m_s: float,
    angle_rad: Floats,
    *,
    target_angle_rad: float = 0.0,
    target_range_m: float = math.inf,
) -> ComplexArray:
    """Return the limit of `angle_pattern` for ever more elements, the integral over the sector [SUCA, eqs. (8)-(9)].

    Returns
    -------
    pattern
        ``(angle,)`` complex128, one at the target's angle.
    """
    # path differences change by 2 R per radian at most, or the phase by `turn` from the sector's middle to its edge; the
    # quadrature converges from half as many nodes on
    turn = 4 * math.pi * frequency_hz / c_m_s * array.radius_m * array.half_sector_rad
    nodes, weights = special.roots_legendre(math.ceil(turn) + 32)
    psi_rad = array.half_sector_rad * nodes
    extra_m = _path_difference_m(psi_rad, array.radius_m, angle_rad, target_angle_rad, target_range_m)
    pattern: ComplexArray = np.exp(2j * np.pi * frequency_hz / c_m_s * extra_m) @ (weights / 2)
    return pattern


def range_lobe_m(grid: SubcarrierGrid, c_m_s: float) -> float:
    """Return the width of the main lobe over range between its first zeros, ``2 c / (M spacing)`` [SUCA, eq. (12)]."""
    return 2 * c_m_s / (grid.count * grid.spacing_hz)


def range_pattern(grid: SubcarrierGrid, c_m_s: float, offset_m: Floats) -> Floats:
    """Return the pattern over range at the target's angle, a Dirichlet kernel [SUCA, eq. (12)].

    One subcarrier alone would give a constant [SUCA, eq. (11)]. That is the approximation of [SUCA, eq. (5)], under which
    all elements see the same difference of range; at 28 GHz the wavefront's curvature resolves range too.

    Parameters
    ----------
    offset_m
        ``(range,)`` range relative to the target's.

    Returns
    -------
    pattern
        ``(range,)``, one at the target; its phase, that of the band's middle frequency, is left out.
    """
    pattern: Floats = special.diric(2 * np.pi * grid.spacing_hz * np.asarray(offset_m) / c_m_s, grid.count)
    return pattern


def _path_difference_m(
    psi_rad: Floats, radius_m: float, angle_rad: Floats, target_angle_rad: float, target_range_m: float
) -> Floats:
    """Return how much farther a point than the target is from places on the circle, both at one range, ``(angle, place)``."""
    angle_rad = angle_rad[:, np.newaxis]
    # cos(target - psi) - cos(angle - psi), and the distances' difference from that of their squares: nothing cancels
    middle_rad, half_rad = (angle_rad + target_angle_rad) / 2, (angle_rad - target_angle_rad) / 2
    difference_m: Floats = 2 * radius_m * np.sin(middle_rad - psi_rad) * np.sin(half_rad)
    if math.isinf(target_range_m):
        return difference_m
    share = radius_m / target_range_m
    far = np.hypot(1 - share * np.cos(angle_rad - psi_rad), share * np.sin(angle_rad - psi_rad))
    near = np.hypot(1 - share * np.cos(target_angle_rad - psi_rad), share * np.sin(target_angle_rad - psi_rad))
    exact_m: Floats = 2 * difference_m / (far + near)
    return exact_m
