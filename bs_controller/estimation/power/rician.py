"""Powers of noisy samples: their likelihood, its slopes and its information, safe at any signal-to-noise ratio.

The amplitude of a sample with circular Gaussian noise is Rician. In units of the standard deviation of a real part it is
``x``, its noise-free value ``a``, and ``z = a x``. Exponentially scaled Bessel functions keep everything finite; they come from
tables, which take a fifth of the time, with the errors stated below. Pure functions.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
from scipy import special

from bs_controller.bounds import LARGEST_TABULATED_AMPLITUDE, rician_information

Floats = npt.NDArray[np.float64]

# Below this z, I1(z) / (z I0(z)) is 1/2 to rounding and not computed as 0 / 0.
_SMALLEST_ARGUMENT = 1e-6
_PER_UNIT = 32  # entries of the tables; cubics between them are good to 1e-9, their slopes to 1e-7
_LARGEST_ARGUMENT = 64  # beyond, four terms of the asymptotic series are good to 1e-9
_AMPLITUDES_PER_UNIT = 256  # straight lines between them are good to 1e-5, as is the tabulated information itself


@dataclass(frozen=True, slots=True, kw_only=True)
class RicianTerms:
    """The likelihood of powers and how it moves; ``d`` is a change of the noise-free power, in units of half the noise power.

    All but the first are ``(subcarrier,)``.
    """

    log_likelihood: float  # of all samples
    weight: Floats  # slope by d / 2, ``x I1 / (a I0) - 1``
    noise_slope: Floats  # slope by the logarithm of the noise power
    information: Floats  # on d / 2
    shared: Floats  # information that d / 2 and the logarithm of the noise power share
    noise_information: Floats  # on the logarithm of the noise power


def rician_terms(power_w: Floats, expected_w: Floats, sigma2_w: float) -> RicianTerms:
    """Return the likelihood of powers and its slopes and information.

    Parameters
    ----------
    power_w
        ``(subcarrier,)`` as reported.
    expected_w
        ``(subcarrier,)`` noise-free.
    sigma2_w
        Noise power of a sample.
    """
    part_w = sigma2_w / 2
    x2, a2 = power_w / part_w, expected_w / part_w
    x, a = np.sqrt(x2), np.sqrt(a2)
    z = x * a
    logarithm, ratio = scaled_bessel(z)
    off = (x - a) ** 2 / 2
    information = _information(a)
    # means of x^2 and of its products with the slopes are derivatives of the mean 2 + a^2: no other table is needed
    shared = 1 - a2 * information
    return RicianTerms(
        log_likelihood=float((logarithm - off).sum()) - x.size * float(np.log(sigma2_w)),
        weight=x2 * np.where(z > _SMALLEST_ARGUMENT, ratio / np.maximum(z, _SMALLEST_ARGUMENT), 0.5) - 1,
        noise_slope=off + z * (1 - ratio) - 1,
        information=information,
        shared=shared,
        noise_information=1 - a2 * shared,
    )


def scaled_bessel(z: Floats) -> tuple[Floats, Floats]:
    """Return ``log(I0(z)) - z`` and ``I1(z) / I0(z)`` for ``z >= 0``, both of the shape of ``z``, to 1e-9 and 1e-7."""
    place = np.minimum(z, _LARGEST_ARGUMENT) * _PER_UNIT
    index = np.minimum(place.astype(np.intp), _LARGEST_ARGUMENT * _PER_UNIT - 1)
    t = place - index
    cubic = _bessel_cubics()
    c0, c1, c2, c3 = (np.take(row, index) for row in cubic)
    logarithm = c0 + t * (c1 + t * (c2 + t * c3))
    ratio = 1 + _PER_UNIT * (c1 + t * (2 * c2 + 3 * t * c3))
    beyond = z > _LARGEST_ARGUMENT
    if beyond.any():
        far = z[beyond]
        inverse = 1 / far
        logarithm[beyond] = np.log1p(inverse * (1 / 8 + inverse * (9 / 128 + inverse * 75 / 1024))) - (
            np.log(2 * np.pi * far) / 2
        )
        ratio[beyond] = 1 - inverse * (1 / 2 + inverse * (1 / 8 + inverse * (1 / 8 + inverse * 25 / 128)))
    return logarithm, ratio


@cache
def _bessel_cubics() -> Floats:
    """Return coefficients of the cubics with the values and slopes of ``log(I0(z)) - z`` at both ends, ``(4, interval)``."""
    z = np.arange(_LARGEST_ARGUMENT * _PER_UNIT + 1) / _PER_UNIT
    value = np.log(special.i0e(z))
    slope = (special.i1e(z) / special.i0e(z) - 1) / _PER_UNIT
    rise, first, last = np.diff(value), slope[:-1], slope[1:]
    return np.stack([value[:-1], first, 3 * rise - 2 * first - last, first + last - 2 * rise])


def _information(amplitude: Floats) -> Floats:
    """Return `rician_information` for noise of unit variance per part by a table of its own, ``(subcarrier,)``."""
    table = _information_table()
    place = np.minimum(amplitude, LARGEST_TABULATED_AMPLITUDE) * _AMPLITUDES_PER_UNIT
    index = np.minimum(place.astype(np.intp), table.size - 2)
    low = np.take(table, index)
    information = low + (place - index) * (np.take(table, index + 1) - low)
    beyond = amplitude > LARGEST_TABULATED_AMPLITUDE
    if beyond.any():
        inverse = amplitude[beyond] ** -2
        information[beyond] = (1 - inverse / 2) * inverse
    return information


@cache
def _information_table() -> Floats:
    amplitudes = np.arange(round(LARGEST_TABULATED_AMPLITUDE * _AMPLITUDES_PER_UNIT) + 1) / _AMPLITUDES_PER_UNIT
    return rician_information(amplitudes.astype(np.complex128), 2.0)
