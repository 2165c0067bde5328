"""The tone along the subcarriers with which each element is heard at a point: what a nonuniform transform adds up.

Element ``n`` at distance ``r_n`` is heard on subcarrier ``m`` with the phase ``2 pi (f_m r_n / c - phi_n - (f_m - f_0) t_n)``
[CBS, eqs. (1), (7)], which is linear in ``m``. Compiled; shapes are the callers' affair.
"""

import math

import numpy as np
import numpy.typing as npt

from bs_controller.compiled import compiled

Floats = npt.NDArray[np.float64]
ComplexArray = npt.NDArray[np.complex128]
Indices = npt.NDArray[np.intp]

KINDS = 3  # value, derivative by range, derivative by angle

_TURN = 2 * math.pi
# Below this step a Dirichlet kernel is its limit to double precision.
_STANDING_CYCLES = 1e-10
# Taylor's series of cos(pi x) and sin(pi x) / x in x^2, which leave 1e-17 for |x| <= 1/2.
_COS = [(-1) ** k * math.pi ** (2 * k) / math.factorial(2 * k) for k in range(11)]
_SIN = [(-1) ** k * math.pi ** (2 * k + 1) / math.factorial(2 * k + 1) for k in range(11)]
_C0, _C1, _C2, _C3, _C4, _C5, _C6, _C7, _C8, _C9, _C10 = _COS
_S0, _S1, _S2, _S3, _S4, _S5, _S6, _S7, _S8, _S9, _S10 = _SIN


@compiled
def phasor(cycles: float) -> tuple[float, float]:
    """Return ``cos(2 pi x), sin(2 pi x)`` to double precision.

    Polynomials, unlike the library's functions, are computed for four elements at a time.
    """
    x = cycles - np.rint(cycles)
    q = x * x
    cosine = _C6 + q * (_C7 + q * (_C8 + q * (_C9 + q * _C10)))
    cosine = _C0 + q * (_C1 + q * (_C2 + q * (_C3 + q * (_C4 + q * (_C5 + q * cosine)))))
    sine = _S6 + q * (_S7 + q * (_S8 + q * (_S9 + q * _S10)))
    sine = x * (_S0 + q * (_S1 + q * (_S2 + q * (_S3 + q * (_S4 + q * (_S5 + q * sine))))))
    return 1.0 - 2.0 * sine * sine, 2.0 * sine * cosine


@compiled
def element_tones(  # noqa: PLR0917 (compiled code takes arguments by position)
    range_m: float,
    angle_rad: float,
    visible: Indices,
    x_m: Floats,
    delay_s: Floats,
    cycles: Floats,
    c_m_s: float,
    start_hz: float,
    spacing_hz: float,
    block: int,
    kinds: int,
) -> tuple[Floats, ComplexArray]:
    """Return the tones that the elements of visible sub-arrays are heard with at a point, and their slopes.

    Parameters
    ----------
    range_m, angle_rad
        The point.
    visible
        Sub-arrays that see it.
    x_m, delay_s, cycles
        ``(subarray, element)`` places, delay lines, and the phase that phase shifter and delay line take at `start_hz`.
    c_m_s, start_hz, spacing_hz
        Speed of light, the frequency that tones are counted from, and the spacing of subcarriers.
    block
        How many neighbouring subcarriers a sample adds up, over its root; `start_hz` is then the middle of a block.
    kinds
        1 for the tones alone, 3 to have their slopes by range and angle too.

    Returns
    -------
    step_rad
        ``(tone,)`` phase from one sample to the next.
    strength
        ``(kind, tone)`` at `start_hz`; slopes are over ``j 2 pi f``.
    """
    sine, cosine, per = math.sin(angle_rad), math.cos(angle_rad), x_m.shape[1]
    path_s, step = np.empty(visible.size * per), np.empty(visible.size * per)
    real, imag = np.empty(path_s.size), np.empty(path_s.size)
    for index in range(visible.size):
        subarray, first = visible[index], index * per
        for n in range(per):
            # along and across the line from the origin: the law of cosines without its cancellation
            along_m, across_m = range_m - x_m[subarray, n] * sine, x_m[subarray, n] * cosine
            path_s[first + n] = math.sqrt(along_m * along_m + across_m * across_m) / c_m_s
        for n in range(per):
            step[first + n] = spacing_hz * (path_s[first + n] - delay_s[subarray, n])
            real[first + n], imag[first + n] = phasor(start_hz * path_s[first + n] - cycles[subarray, n])
    if block > 1:
        _add_up(step, real, imag, block)
    strength = np.empty((kinds, path_s.size), dtype=np.complex128)
    for n in range(path_s.size):
        step[n] *= _TURN
        strength[0, n] = complex(real[n], imag[n])
    if kinds == KINDS:
        for index in range(visible.size):
            for n in range(per):
                place_m, tone = x_m[visible[index], n], index * per + n
                slope = 1 / (path_s[tone] * c_m_s * c_m_s)
                strength[1, tone] = strength[0, tone] * (slope * (range_m - place_m * sine))
                strength[2, tone] = strength[0, tone] * (-slope * range_m * place_m * cosine)
    return step, strength


@compiled
def _add_up(step: Floats, real: Floats, imag: Floats, block: int) -> None:
    """Make of tones ``(tone,)`` their sums over blocks of neighbouring subcarriers, over the root, about the same start.

    A block adds up to the tone at its middle times a Dirichlet kernel, whose slope is left out of the derivatives: 1e-5 of
    theirs where the block turns by a tenth of a cycle.
    """
    for n in range(step.size):
        half = max(abs(step[n]) / 2, _STANDING_CYCLES)
        gain = phasor(block * half)[1] / (math.sqrt(block) * phasor(half)[1])
        step[n] *= block
        real[n] *= gain
        imag[n] *= gain


@compiled
def scaled(sums: ComplexArray, scale: Floats, frequency_hz: Floats) -> ComplexArray:
    """Return sums ``(kind, sample)`` times a scale, and those of slopes times ``j 2 pi f`` too: derivatives."""
    rows = np.empty_like(sums)
    for sample in range(sums.shape[1]):
        rows[0, sample] = scale[sample] * sums[0, sample]
    for kind in range(1, sums.shape[0]):
        for sample in range(sums.shape[1]):
            turn = _TURN * frequency_hz[sample] * scale[sample]
            rows[kind, sample] = complex(-turn * sums[kind, sample].imag, turn * sums[kind, sample].real)
    return rows
