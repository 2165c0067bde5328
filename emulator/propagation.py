"""Spherical-wave propagation between a point and each element, with exact distances and free-space gain.

Pure functions: no I/O, no state, no random numbers. The controller has a forward model of its own and shares nothing
with this one, so that a mistake in either shows as a disagreement. Elements do not couple and radiate alike.
"""

import math

import numpy as np
import numpy.typing as npt

from protocol.testbed import LinearArray, SectorArray

Floats = npt.NDArray[np.float64]

# The drawn gain of a scattered path has a pole at the scatterer: nearer than this a user gains nothing more.
NEAREST_SCATTERER_M = 1.0


def linear_element_delay_s(array: LinearArray, range_m: float, angle_rad: float, c_m_s: float) -> Floats:
    """Return the exact delay from a point to each element of the linear array [CBS, eq. (1)].

    The expansion of [CBS, eq. (2)] is not used: at 5 m this array is inside its Fresnel distance.

    Returns
    -------
    delay_s
        ``(element,)``.
    """
    x_m, y_m = range_m * math.cos(angle_rad), range_m * math.sin(angle_rad)
    # Cartesian, because the law of cosines cancels for a point close to an element
    distance_m: Floats = np.hypot(x_m, array.element_x_m - y_m)
    return distance_m / c_m_s


def sector_element_delay_s(array: SectorArray, range_m: float, angle_rad: float, c_m_s: float) -> Floats:
    """Return the exact delay from a point to each element of the sectored circular array [SUCA, eq. (3)].

    Returns
    -------
    delay_s
        ``(element,)``.
    """
    psi_rad, radius_m = array.element_angle_rad, array.radius_m
    # (r - R)^2 + 4 r R sin^2(./2) is [SUCA, eq. (3)] without its cancellation
    chord_m = 2 * math.sqrt(range_m * radius_m) * np.sin((angle_rad - psi_rad) / 2)
    distance_m: Floats = np.hypot(range_m - radius_m, chord_m)
    return distance_m / c_m_s


def free_space_gain(frequency_hz: Floats, range_m: float, c_m_s: float) -> Floats:
    """Return the amplitude ``beta = c / (4 pi f r)`` of the line of sight on each subcarrier [CBS, eq. (1)].

    The range is that of the array's centre for every element, as in [CBS]; phases are per element.

    Returns
    -------
    gain
        ``(subcarrier,)``.
    """
    return c_m_s / (4 * np.pi * range_m * frequency_hz)


def separation_m(range_m: float, angle_rad: float, other_range_m: float, other_angle_rad: float) -> float:
    """Return the distance between two points in polar coordinates around the same origin."""
    chord_m = 2 * math.sqrt(range_m * other_range_m) * math.sin((angle_rad - other_angle_rad) / 2)
    return math.hypot(range_m - other_range_m, chord_m)


def scattered_gain(coefficient: complex, range_m: float, scatterer_range_m: float, separation_m: float) -> complex:
    """Return the gain of a path over a scatterer relative to a line of sight of the same wavelength.

    The path has ``coefficient / (r_s d_su)`` where the line of sight has ``1 / r``, lengths in metres: the factor
    ``c / (4 pi f)`` of [CBS, eq. (1)] is common to both, and the scatterer is one metre in size. [CBS] leaves the
    reflected and diffracted paths of its Table I to a reference; this is its authors' reading of it.

    Parameters
    ----------
    coefficient
        Strength of the scatterer, 0.5 CN(0,1) where it is drawn.
    range_m, scatterer_range_m
        From the array's centre to user and scatterer.
    separation_m
        From scatterer to user; below `NEAREST_SCATTERER_M` it counts as that.

    Returns
    -------
    gain
        One complex number for all elements and subcarriers.
    """
    return coefficient * range_m / (scatterer_range_m * max(separation_m, NEAREST_SCATTERER_M))
