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


# --- the waveform of real radios -------------------------------------------------------------------------------------


def zadoff_chu(root: int, count: int) -> ComplexArray:
    """Zadoff-Chu sequence by its definition, ``(count,)``."""
    m = np.arange(count)
    sequence: ComplexArray = np.exp(-1j * np.pi * root * m * (m + count % 2) / count)
    return sequence


def ofdm_symbol(spectrum: ComplexArray, prefix: int) -> ComplexArray:
    """Sum of the subcarriers' tones from ``prefix`` samples before the symbol on, ``(prefix + subcarrier,)``."""
    k, m = np.arange(-prefix, spectrum.size), np.arange(spectrum.size)
    tones = np.exp(2j * np.pi * np.outer(k, m) / spectrum.size)
    samples: ComplexArray = tones @ spectrum / np.sqrt(spectrum.size)
    return samples


def through_paths(samples: ComplexArray, paths: list[tuple[int, complex]], carrier_cycles: float) -> ComplexArray:
    """Samples over paths of ``(delay, gain)``, turned by a carrier that is off by so many cycles a sample."""
    received = np.zeros(samples.size + max(delay for delay, _ in paths), dtype=np.complex128)
    for delay, gain in paths:
        received[delay : delay + samples.size] += gain * samples
    received *= np.exp(2j * np.pi * carrier_cycles * np.arange(received.size))
    return received


def response_of_paths(paths: list[tuple[int, complex]], count: int) -> ComplexArray:
    """What paths of ``(delay, gain)`` do to each subcarrier, ``(subcarrier,)``."""
    m = np.arange(count)
    response: ComplexArray = np.sum([gain * np.exp(-2j * np.pi * m * delay / count) for delay, gain in paths], axis=0)
    return response


def repetition_coherence(samples: ComplexArray, place: int, symbol: int) -> float:
    """Squared correlation coefficient of one symbol's samples from a place on with those one symbol later."""
    first, second = samples[place : place + symbol], samples[place + symbol : place + 2 * symbol]
    energy = np.vdot(first, first).real * np.vdot(second, second).real
    return float(abs(np.vdot(first, second)) ** 2 / energy) if energy else 0.0


def filtered_round(snapshot: ComplexArray, samples: ComplexArray, delay_samples: int) -> ComplexArray:
    """What antennas hear of a round that is sent again and again, ``(antenna, sample)``: tap by tap of each inverse DFT.

    `snapshot` is ``(antenna, subcarrier)``. Taps stand from half a symbol before to half a symbol behind the delay.
    """
    count = snapshot.shape[1]
    heard = np.zeros((len(snapshot), samples.size), dtype=np.complex128)
    for place in range(-(count // 2), count - count // 2):
        tap = sum(snapshot[:, m] * np.exp(2j * np.pi * m * place / count) for m in range(count)) / count
        heard += np.outer(tap, np.roll(samples, delay_samples + place))
    return heard


def smoothed_last_state(
    places: npt.NDArray[np.float64],
    fix_rms_m: float,
    period_s: float,
    process_noise: npt.NDArray[np.float64],
    speed_rms_m_s: float,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the last of all states of constant velocity, and its covariance, by one weighted least-squares problem.

    Unknowns are all states; equations are the fixes, the motion between them, and the first velocity, which is 0 but for
    ``speed_rms_m_s``. State is position, then velocity; `places` is ``(step, axis)``.
    """
    steps = len(places)
    transition = np.eye(4) + period_s * np.eye(4, k=2)
    rows, values = [], []
    whiten = np.linalg.inv(np.linalg.cholesky(process_noise))
    for step in range(steps):
        row = np.zeros((2, 4 * steps))
        row[:, 4 * step : 4 * step + 2] = np.eye(2) / fix_rms_m
        rows.append(row)
        values.append(places[step] / fix_rms_m)
        if step:
            row = np.zeros((4, 4 * steps))
            row[:, 4 * step : 4 * step + 4], row[:, 4 * step - 4 : 4 * step] = whiten, -whiten @ transition
            rows.append(row)
            values.append(np.zeros(4))
    row = np.zeros((2, 4 * steps))
    row[:, 2:4] = np.eye(2) / speed_rms_m_s
    matrix, right = np.vstack([*rows, row]), np.concatenate([*values, np.zeros(2)])
    inverse: npt.NDArray[np.float64] = np.asarray(np.linalg.inv(matrix.T @ matrix), dtype=np.float64)
    return (inverse @ (matrix.T @ right))[-4:], inverse[-4:, -4:]
