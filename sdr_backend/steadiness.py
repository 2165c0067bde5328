"""Whether all symbols of a burst passed one channel, or the beam, the samples or the sender changed half-way.

A burst that was cut in two or filtered by two settings can keep a readable tag. Its symbols then fall into earlier and later
ones of different means, by more than their scatter explains: an analysis of variance, which needs no knowledge of the noise.
What scatters on a few subcarriers, as a tone in the band does, tells of few independent numbers: only so many are counted.
"""

import functools

import numpy as np
import numpy.typing as npt
from scipy.stats import f as f_distribution

ComplexArray = npt.NDArray[np.complex128]
Floats = npt.NDArray[np.float64]

FALSE_ALARM = 1e-9  # of a burst in white noise
# Below it a change is not told from what paths beyond the prefix do. The mean of five symbols then errs by at most
# (2/5)^2 of it, 28 dB below the channel.
LEAST_CHANGE = 1e-2


@functools.lru_cache(maxsize=4096)
def variance_ratio_limit(symbols: int, subcarriers: int, false_alarm: float) -> float:
    """Return what the ratio of the variance between two groups of symbols to that within them exceeds this rarely."""
    return float(f_distribution.isf(false_alarm, 2 * subcarriers, 2 * subcarriers * (symbols - 2)))


def changes(symbols: ComplexArray) -> tuple[Floats, Floats]:
    """Return how much the mean changes at each place between two symbols, ``(symbol - 1,)``.

    Parameters
    ----------
    symbols
        ``(symbol, subcarrier)`` estimates of one channel with equal, white noise.

    Returns
    -------
    share
        Power of the change against that of the mean.
    ratio
        Variance between the groups on both sides to that within them, 1 on the average in noise.
    """
    count = symbols.shape[0]
    before = np.arange(1, count)
    sums = np.cumsum(symbols, axis=0)
    steps = (sums[-1] - sums[:-1]) / (count - before)[:, np.newaxis] - sums[:-1] / before[:, np.newaxis]
    change = np.sum(steps.real**2 + steps.imag**2, axis=1)
    between = before * (count - before) / count * change
    mean_power = float(np.linalg.norm(sums[-1] / count) ** 2)
    power = float(np.linalg.norm(symbols) ** 2)
    # what rounding leaves of it; anything but 0 where there is nothing at all
    rounding = max(np.finfo(np.float64).eps * power, np.finfo(np.float64).tiny / np.finfo(np.float64).eps)
    within = np.maximum((power - count * mean_power - between) / (count - 2), rounding)
    return change / max(mean_power, rounding), between / within


def scattering_subcarriers(symbols: ComplexArray) -> int:
    """Return over how many subcarriers the scatter between symbols, ``(symbol, subcarrier)``, is spread.

    The squared sum of its power over the sum of squares, which is that number for equal ones; all of them in white noise.
    """
    away = symbols - symbols.mean(axis=0)
    power: Floats = np.sum(away.real**2 + away.imag**2, axis=0)
    squares = float(power @ power)
    if squares == 0:
        return power.size
    drawn = len(symbols) / (len(symbols) - 1)  # squares of chi-squared powers of so many degrees are larger by it
    return max(1, min(power.size, int(drawn * float(power.sum()) ** 2 / squares)))


def is_one_channel(symbols: ComplexArray) -> bool:
    """Return whether nothing speaks against one channel for all symbols, ``(symbol, subcarrier)``."""
    share, ratio = changes(symbols)
    limit = variance_ratio_limit(len(symbols), scattering_subcarriers(symbols), FALSE_ALARM)
    return not bool(np.any((share > LEAST_CHANGE) & (ratio > limit)))
