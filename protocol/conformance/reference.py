"""Slow and obvious reference maths of SPEC 6.2 and 7.2-7.5, in float64, independent of agent and emulator."""

import cmath
import math

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
ComplexArray = npt.NDArray[np.complex128]


def strongest(samples: ComplexArray) -> int:
    """Return the index of the largest amplitude, the lowest of equals (SPEC 7.2); `samples` is ``(subcarrier,)``."""
    best = 0
    for index, sample in enumerate(samples):
        if abs(complex(sample)) > abs(complex(samples[best])):
            best = index
    return best


def strongest_group(samples: ComplexArray, groups: int) -> int:
    """Return the group with the largest sum of amplitudes, the lowest of equals (SPEC 7.3)."""
    size = len(samples) // groups
    sums = [
        math.fsum(abs(complex(sample)) for sample in samples[group * size : (group + 1) * size])
        for group in range(groups)
    ]
    return sums.index(max(sums))


def powers_w(samples: ComplexArray) -> Floats:
    """Return the power of every subcarrier (SPEC 7.4), ``(subcarrier,)``."""
    return np.array([float(sample.real) ** 2 + float(sample.imag) ** 2 for sample in samples])


def rounded(samples: ComplexArray) -> npt.NDArray[np.complex64]:
    """Return samples as float32 rounds each part (SPEC 7.5), ``(subcarrier,)``."""
    parts = np.empty(len(samples), dtype=np.complex64)
    parts.real = [np.float32(sample.real) for sample in samples]
    parts.imag = [np.float32(sample.imag) for sample in samples]
    return parts


def weights(phase_cycles: Floats, delay_s: Floats, *, count: int, spacing_hz: float) -> ComplexArray:
    """Return ``w[n, m]`` of SPEC 6.2, ``(element, subcarrier)``, of a setting ``(group, element)``."""
    groups, elements = phase_cycles.shape
    found = np.empty((elements, count), dtype=np.complex128)
    for element in range(elements):
        for subcarrier in range(count):
            group = subcarrier * groups // count
            cycles = phase_cycles[group, element] + subcarrier * spacing_hz * delay_s[group, element]
            found[element, subcarrier] = cmath.exp(-2j * math.pi * cycles) / math.sqrt(elements)
    return found


def line_of_sight(
    position_m: tuple[float, float], element_x_m: Floats, frequency_hz: Floats, speed_m_s: float
) -> ComplexArray:
    """Return ``h[n, m]`` of SPEC 6.2 of one user, amplitude 1, ``(element, subcarrier)``.

    Parameters
    ----------
    position_m
        Along broadside and along the array, seen from its centre.
    """
    along_broadside_m, along_array_m = position_m
    found = np.empty((len(element_x_m), len(frequency_hz)), dtype=np.complex128)
    for element, x_m in enumerate(element_x_m):
        delay_s = math.hypot(along_broadside_m, along_array_m - x_m) / speed_m_s
        for subcarrier, frequency in enumerate(frequency_hz):
            found[element, subcarrier] = cmath.exp(-2j * math.pi * frequency * delay_s)
    return found


def received(channel: ComplexArray, weight: ComplexArray) -> ComplexArray:
    """Return ``y[m] = sum_n conj(h[n, m]) w[n, m]`` (SPEC 6.2), ``(subcarrier,)``."""
    return np.array([sum(np.conj(channel[:, m]) * weight[:, m]) for m in range(channel.shape[1])])
