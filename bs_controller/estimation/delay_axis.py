"""Which sub-arrays at which range: blocks of bright bins on the delay axis of angle sweeps. Compiled.

A visible sub-array at a range brightens the bins of its elements' delays. Energies of noise, and of tones that share no
bins, are exponentially distributed, so that a hypothesis is two levels: one mean within its bins and a smaller one outside.
"""

import math

import numpy as np
import numpy.typing as npt

from bs_controller.compiled import compiled

Floats = npt.NDArray[np.float64]
Bins = npt.NDArray[np.intp]

# Added to all delay energies, of their mean: the noise of 10 dB. With less, the skirts of a block weigh more than the block,
# and 2 % of the users that one sub-array sees at 20 dB were put half a metre off.
FLOOR_SHARE = 0.1


@compiled
def summed_twice(energy: Floats) -> Floats:
    """Return the sums of all energies before each bin, twice around the axis, ``(2 bin + 1,)``."""
    count, summed, total = energy.size, np.empty(2 * energy.size + 1), 0.0
    for index in range(count):
        summed[index] = total
        total += energy[index]
    for index in range(count + 1):
        summed[count + index] = summed[index] + total
    return summed


@compiled
def held_energy(masks: Floats, summed: Floats, first: Floats, width: Floats, range_bin: Bins) -> Floats:
    """Return the energy in the bins of each mask's sub-arrays at each range, ``(mask, range)``.

    Parameters
    ----------
    masks
        ``(mask, subarray)``.
    summed
        See `summed_twice`.
    first, width
        ``(subarray,)`` first bin at range zero, and number of bins.
    range_bin
        ``(range,)``.
    """
    size = summed.size // 2
    inside = np.empty((first.size, range_bin.size))
    for subarray in range(first.size):
        for index in range(range_bin.size):
            start = (int(first[subarray]) + range_bin[index]) % size
            inside[subarray, index] = summed[start + int(width[subarray])] - summed[start]
    held = np.zeros((masks.shape[0], range_bin.size))
    for mask in range(masks.shape[0]):
        for subarray in range(first.size):
            if masks[mask, subarray] > 0:
                for index in range(range_bin.size):
                    held[mask, index] += inside[subarray, index]
    return held


@compiled
def two_level(held: float, bins: float, total: float, count: int) -> float:
    """Return the log-likelihood that some bins of exponential energies have one mean and all others a smaller one.

    It grows with the energy held. Minus infinity where the bins are darker than the others.

    Parameters
    ----------
    held, bins
        Energy in the bins, and how many they are.
    total, count
        The same of all.
    """
    floor = FLOOR_SHARE * total / count
    inside, outside = held / bins + floor, (total - held) / (count - bins) + floor
    return -bins * math.log(inside) - (count - bins) * math.log(outside) if inside > outside else -np.inf


@compiled
def two_level_likelihood(held: Floats, bins: Floats, energy: Floats) -> Floats:
    """Return `two_level` of ``(mask, range)`` energies held in ``(mask,)`` bins each, of all energies ``(delay,)``."""
    likelihood, total = np.empty_like(held), energy.sum()
    for mask in range(held.shape[0]):
        for index in range(held.shape[1]):
            likelihood[mask, index] = two_level(held[mask, index], bins[mask], total, energy.size)
    return likelihood


@compiled
def likeliest_ranges(held: Floats, bins: Floats, total: Floats, count: int) -> tuple[Floats, Bins]:
    """Return each mask's highest sum of `two_level` over sweeps, and at which range, ``(mask,)`` each.

    Parameters
    ----------
    held
        ``(sweep, mask, range)`` energies.
    bins
        ``(sweep, mask)`` how many bins hold them.
    total
        ``(sweep,)`` energy of all bins.
    count
        How many these are.
    """
    sweeps, masks, ranges = held.shape
    height, best = np.full(masks, -np.inf), np.zeros(masks, dtype=np.intp)
    for mask in range(masks):
        if sweeps == 1:  # the brightest is the likeliest
            best[mask] = held[0, mask].argmax()
            height[mask] = two_level(held[0, mask, best[mask]], bins[0, mask], total[0], count)
            continue
        brightest = np.full(sweeps, -1.0)
        for index in range(ranges):
            # a range where no sweep holds more than at the best so far cannot be likelier
            brighter = False
            for sweep in range(sweeps):
                brighter = brighter or held[sweep, mask, index] > brightest[sweep]
            if brighter:
                likelihood = 0.0
                for sweep in range(sweeps):
                    likelihood += two_level(held[sweep, mask, index], bins[sweep, mask], total[sweep], count)
                if likelihood > height[mask]:
                    height[mask], best[mask] = likelihood, index
                    brightest[:] = held[:, mask, index]
    return height, best
