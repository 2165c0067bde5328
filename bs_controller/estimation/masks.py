"""Which sub-arrays see the user: the likelihood of every mask from correlations and the exact Gram matrix.

All masks have the same parameters, a position and one complex gain per sweep, so the most likely one needs no penalty for
its size. The gain is projected out and the noise power of each sweep is at its own most likely value, so that nothing
need be known of either. Pure functions.
"""

import functools

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
ComplexArray = npt.NDArray[np.complex128]

#: up to so many sub-arrays every subset is tried, beyond only contiguous runs [CBS, eq. (6)]
SUBSETS_UP_TO = 6
# Residual over received energy below which samples are free of noise: complex64 leaves 1e-15.
SMALLEST_RESIDUAL = 1e-16


@functools.cache
def all_masks(subarrays: int) -> Floats:
    """Return the non-empty masks, ones and zeros, ``(mask, subarray)``; read-only."""
    if subarrays <= SUBSETS_UP_TO:
        rows = [[(subset >> index) & 1 for index in range(subarrays)] for subset in range(1, 2**subarrays)]
    else:
        runs = [(first, last) for first in range(subarrays) for last in range(first, subarrays)]
        rows = [[int(first <= index <= last) for index in range(subarrays)] for first, last in runs]
    masks = np.array(rows, dtype=np.float64)
    masks.flags.writeable = False
    return masks


def explained_share(masks: Floats, correlation: ComplexArray, gram: ComplexArray, energy: Floats) -> Floats:
    """Return the share of each sweep's energy that each mask explains with its best gain.

    Parameters
    ----------
    masks
        ``(mask, subarray)``.
    correlation
        ``(sweep, ..., subarray)``, the response's inner product with the samples, ``u_i^H y``.
    gram
        ``(sweep, subarray, subarray)``, inner products of the sub-arrays' responses.
    energy
        ``(sweep,)`` of the samples.

    Returns
    -------
    share
        ``(sweep, ..., mask)``, ``|1^T c|^2 / (1^T G 1 |y|^2)``.
    """
    power = np.abs(correlation @ masks.T) ** 2
    norm = np.einsum("ki,sij,kj->sk", masks, gram.real, masks) * energy[:, np.newaxis]
    extra = (1,) * (power.ndim - 2)
    share: Floats = power / norm.reshape(norm.shape[0], *extra, norm.shape[1])
    return share


def log_likelihood(share: Floats, samples: int) -> Floats:
    """Return the log-likelihood at the best gains and noise powers, less that of pure noise, ``(..., )``.

    Parameters
    ----------
    share
        ``(sweep, ...)`` explained shares.
    samples
        How many independent samples each sweep has.
    """
    likelihood: Floats = -samples * np.log(np.maximum(1 - share, SMALLEST_RESIDUAL)).sum(axis=0)
    return likelihood
