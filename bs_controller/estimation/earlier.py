"""A path that arrives before the fitted one: where an echo is stronger than the line of sight, that is the line of sight.

No echo arrives before it. A scatterer beside the user that more sub-arrays see, or see better, is the strongest path, and
the fit is then its; what is left of the range sweep has the line of sight decimetres to metres earlier.
"""

import numpy as np
import numpy.typing as npt
import scipy.fft

from bs_controller.features import noise_level, squared

Floats = npt.NDArray[np.float64]
ComplexArray = npt.NDArray[np.complex128]

# The window's main lobe is two bins of 5 cm wide on either side; what a wrong model leaves of the fitted path is within.
NEAREST_M, FARTHEST_M = 0.2, 3.0
# Energy over the mean of noise, of 60 bins: by chance in one of 20 000 sweeps of noise, and the other sweep must agree.
LEAST_ENERGY = 14.0


def earlier_arrival_m(left: ComplexArray, expected: ComplexArray, cycles_per_m: float) -> float | None:
    """Return by how much a path arrives earlier than the fitted one, or None if none does.

    Parameters
    ----------
    left
        ``(block,)`` what a fit leaves of blocks of a range sweep.
    expected
        ``(block,)`` the response at the fitted position.
    cycles_per_m
        By how much a metre turns one block against its neighbour.

    Returns
    -------
    earlier_m
        Of the earliest peak that noise does not make; positive.
    """
    undone = left * expected.conj() * np.hanning(left.size + 2)[1:-1]  # side lobes of later paths would look earlier
    energy = squared(scipy.fft.fft(undone), 1.0)
    earlier_m = np.arange(energy.size) / (energy.size * cycles_per_m)  # bin -k, which is size - k
    backwards = np.roll(energy[::-1], 1)  # [k] is the energy at bin -k
    looked_at = (earlier_m >= NEAREST_M) & (earlier_m <= FARTHEST_M)
    strong = np.flatnonzero(looked_at & (backwards > LEAST_ENERGY * noise_level(energy)))
    if not strong.size:
        return None
    last = int(strong[-1])
    peak = max((last - 1, last), key=lambda bin_: float(backwards[bin_]))
    return float(earlier_m[peak])


def without(samples: ComplexArray, response: ComplexArray) -> ComplexArray:
    """Return samples less what a response explains of them with its best gain, ``(subcarrier,)``."""
    gain = np.vdot(response, samples) / np.vdot(response, response)
    left: ComplexArray = samples - gain * response
    return left


def explained_nats(samples: ComplexArray, left: ComplexArray) -> float:
    """Return by how much the log-likelihood of a sweep grows that leaves so much, at its best noise power."""
    return samples.size * float(np.log(np.vdot(samples, samples).real / np.vdot(left, left).real))
