"""Which direction and which sub-arrays: what the elements hear, added up towards directions. Compiled."""

import math

import numpy as np
import numpy.typing as npt

from bs_controller.compiled import compiled

Floats = npt.NDArray[np.float64]
ComplexArray = npt.NDArray[np.complex128]

LARGEST_COARSE_SHARE = 0.99  # a coarse share is right to a per cent, and may exceed one


@compiled
def direction_shares(elements: ComplexArray, ramps: Floats, masks: Floats, each: float) -> Floats:
    """Return the share of the energy that each mask explains in each direction, ``(direction, mask)``.

    Parameters
    ----------
    elements
        ``(element,)`` dechirped.
    ramps
        ``(2, subarray, element, direction)`` real and imaginary part of what undoes a direction.
    masks
        ``(mask, subarray)``.
    each
        What an element would have to be squared for all energy to be explained, per element.
    """
    _, subarrays, per, directions = ramps.shape
    heard = np.zeros((2, subarrays, directions))
    for subarray in range(subarrays):
        for n in range(per):
            real, imag = elements[subarray * per + n].real, elements[subarray * per + n].imag
            for at in range(directions):
                heard[0, subarray, at] += real * ramps[0, subarray, n, at] - imag * ramps[1, subarray, n, at]
                heard[1, subarray, at] += real * ramps[1, subarray, n, at] + imag * ramps[0, subarray, n, at]
    shares = np.empty((directions, masks.shape[0]))
    for mask in range(masks.shape[0]):
        seen = per * masks[mask].sum()
        for at in range(directions):
            real, imag = 0.0, 0.0
            for subarray in range(subarrays):
                real += masks[mask, subarray] * heard[0, subarray, at]
                imag += masks[mask, subarray] * heard[1, subarray, at]
            shares[at, mask] = (real * real + imag * imag) / (seen * each)
    return shares


@compiled
def likeliest_direction(shares: Floats, samples: int) -> tuple[int, int, float, float, float, float]:
    """Return the likeliest direction and mask, and what else is to be known of it.

    Parameters
    ----------
    shares
        ``(sweep, direction, mask)`` of the energy that are explained.
    samples
        Of a sweep.

    Returns
    -------
    direction, mask
        Indices.
    log_likelihood
        At the best gains and noise powers, see `masks.log_likelihood`.
    aside
        By how many steps of direction the maximum is beside it.
    share, next_share
        Of the energy that this mask explains in this direction, and the most that another does; means over sweeps.
    """
    sweeps, directions, masks = shares.shape
    likelihood = np.empty((directions, masks))
    direction, best = 0, 0
    for at in range(directions):
        for mask in range(masks):
            left = 1.0
            for sweep in range(sweeps):
                left *= 1 - min(shares[sweep, at, mask], LARGEST_COARSE_SHARE)
            likelihood[at, mask] = -samples * math.log(left)
            rise = likelihood[at, mask] - likelihood[direction, best]
            if rise > 0 or (rise == 0 and shares[:, at, mask].sum() > shares[:, direction, best].sum()):
                direction, best = at, mask
    aside = 0.0
    if (
        0 < direction < directions - 1
    ):  # the parabola through the neighbours' shares, whose logarithms end at the largest
        before, at_peak = shares[:, direction - 1, best].mean(), shares[:, direction, best].mean()
        after = shares[:, direction + 1, best].mean()
        bend = before - 2 * at_peak + after
        aside = 0.5 * (before - after) / bend if bend < 0 else 0.0
    next_share = 0.0
    for mask in range(masks):
        if mask != best:
            next_share = max(next_share, shares[:, direction, mask].mean())
    return direction, best, likelihood[direction, best], aside, shares[:, direction, best].mean(), next_share


@compiled
def likeliest_apart(shares: Floats, samples: int) -> tuple[int, float, float, float]:
    """Return the likeliest mask of a user who was in a direction of its own in each sweep.

    Parameters
    ----------
    shares, samples
        See `likeliest_direction`.

    Returns
    -------
    mask
        Index.
    log_likelihood
        At the best direction of each sweep, see `likeliest_direction`.
    share, next_share
        Of the energy that this mask explains, and the most that another does; means over sweeps.
    """
    sweeps, directions, masks = shares.shape
    best, height, share, next_share = 0, -np.inf, 0.0, 0.0
    for mask in range(masks):
        left, explained = 1.0, 0.0
        for sweep in range(sweeps):
            most = 0.0
            for at in range(directions):
                most = max(most, shares[sweep, at, mask])
            left *= 1 - min(most, LARGEST_COARSE_SHARE)
            explained += most / sweeps
        likelihood = -samples * math.log(left)
        if likelihood > height or (likelihood == height and explained > share):
            best, height, share, next_share = mask, likelihood, explained, max(next_share, share)
        else:
            next_share = max(next_share, explained)
    return best, height, share, next_share
