"""Slow and obvious reference implementations: one formula of the papers each, written for reading, never for speed.

Nothing of the product's numerics is imported here; only the facts (grids, arrays, what a setting means).
"""

import numpy as np
import numpy.typing as npt

from protocol.testbed import Downlink, Setting, Uplink

Floats = npt.NDArray[np.float64]
ComplexArray = npt.NDArray[np.complex128]


def linear_distance_m(element_x_m: Floats, range_m: float, angle_rad: float) -> Floats:
    """Exact distance from a point to each element, through Cartesian coordinates, ``(element,)``."""
    x, y = range_m * np.cos(angle_rad), range_m * np.sin(angle_rad)
    distance_m: Floats = np.hypot(x, y - element_x_m)
    return distance_m


def setting_weight(downlink: Downlink, setting: Setting) -> ComplexArray:
    """Weights ``w[n, m]`` of [CBS, eq. (7)], each group with its own phases and delays, ``(element, subcarrier)``."""
    n_element, grid = downlink.array.elements, downlink.grid
    weight = np.empty((n_element, grid.count), dtype=np.complex128)
    group_size = grid.count // setting.groups
    for m in range(grid.count):
        group = m // group_size
        cycles = setting.phase_cycles[group] + m * grid.spacing_hz * setting.delay_s[group]
        weight[:, m] = np.exp(-2j * np.pi * cycles) / np.sqrt(n_element)
    return weight


def dense_sweep(
    downlink: Downlink, setting: Setting, range_m: float, angle_rad: float, visible: Floats, c_m_s: float
) -> ComplexArray:
    """Noise-free pilot ``h^H w`` of every subcarrier [CBS, eqs. (1), (4), (10)], ``(subcarrier,)``."""
    distance_m = linear_distance_m(downlink.array.element_x_m, range_m, angle_rad)
    weight = setting_weight(downlink, setting)
    received = np.empty(downlink.grid.count, dtype=np.complex128)
    for m, f_hz in enumerate(downlink.grid.frequency_hz):
        beta = c_m_s / (4 * np.pi * f_hz * range_m)
        channel = beta * visible * np.exp(-2j * np.pi * f_hz * distance_m / c_m_s)
        received[m] = np.vdot(channel, weight[:, m])
    return received


def sector_distance_m(uplink: Uplink, range_m: float, angle_rad: float) -> Floats:
    """Exact distance from a point to each element of the circular array [SUCA, eq. (3)], ``(element,)``."""
    psi, radius_m = uplink.array.element_angle_rad, uplink.array.radius_m
    dx = range_m * np.cos(angle_rad) - radius_m * np.cos(psi)
    dy = range_m * np.sin(angle_rad) - radius_m * np.sin(psi)
    distance_m: Floats = np.hypot(dx, dy)
    return distance_m


def dense_snapshot(uplink: Uplink, paths: list[tuple[complex, float, float, float]], c_m_s: float) -> ComplexArray:
    """Noise-free snapshot of paths ``(gain, range_m, angle_rad, extra_m)`` [SUCA, eqs. (1)-(2)], ``(element, subcarrier)``."""
    frequency_hz = uplink.grid.frequency_hz
    snapshot = np.zeros((uplink.array.elements, uplink.grid.count), dtype=np.complex128)
    for gain, range_m, angle_rad, extra_m in paths:
        distance_m = sector_distance_m(uplink, range_m, angle_rad) + extra_m
        snapshot += gain * np.exp(-2j * np.pi * np.outer(distance_m, frequency_hz) / c_m_s)
    return snapshot


def direct_backprojection(
    uplink: Uplink, samples: ComplexArray, range_m: Floats, angle_rad: Floats, c_m_s: float
) -> ComplexArray:
    """Backprojected image as the double sum of [SUCA, eq. (4)], ``(range, angle)``."""
    image = np.zeros((range_m.size, angle_rad.size), dtype=np.complex128)
    for i, r in enumerate(range_m):
        for j, theta in enumerate(angle_rad):
            distance_m = sector_distance_m(uplink, float(r), float(theta))
            phase = 2 * np.pi * np.outer(distance_m, uplink.grid.frequency_hz) / c_m_s
            image[i, j] = np.sum(samples * np.exp(1j * phase))
    return image
