"""Which lobe of the likelihood over the range: a matched filter over sweeps, each with a gain of its own.

The likelihood over the range is a ridge with lobes ``c / bandwidth`` apart, 5 cm for 6 GHz, on which Newton's method would
stop at the next one. Within half a metre a user farther away is one whose samples are delayed, so that the response at
one range serves all others.
"""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bs_controller.compiled import compiled
from bs_controller.estimation.masks import SMALLEST_RESIDUAL

Floats = npt.NDArray[np.float64]
ComplexArray = npt.NDArray[np.complex128]

REACH_M = 0.4
STEP_M = 0.00625  # an eighth of a lobe
BLOCK_CYCLES_PER_M = 0.16  # so far samples are summed first: within the reach they turn by 0.06 cycles
MOST_LOBES = 3
# How far below the highest another lobe may look and be tried: the noise of a difference, and what the steps of range and
# angle leave of a lobe's height.
NATS = 12.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Lobe:
    """A local maximum of the likelihood over the range: how much farther than supposed, and how likely."""

    shift_m: float
    log_likelihood: float


def lobes(
    samples: Sequence[ComplexArray], expected: Sequence[ComplexArray], cycles_per_m: Sequence[float]
) -> list[Lobe]:
    """Return the highest lobes, best first.

    Parameters
    ----------
    samples, expected
        ``(subcarrier,)`` each, one per sweep: what was received, and the noise-free response at a supposed position.
    cycles_per_m
        By how much a metre turns one sample against its neighbour, for each sweep: ``spacing_hz / c``.
    """
    likelihood = np.zeros(2 * round(REACH_M / STEP_M) + 1)
    for received, response, cycles in zip(samples, expected, cycles_per_m, strict=True):
        block = _block(received.size, cycles)
        add_likelihood(likelihood, received, response, block, _turns(received.size // block, block * cycles))
    return [
        Lobe(shift_m=(lobe - likelihood.size // 2) * STEP_M, log_likelihood=height)
        for lobe, height in peaks(likelihood)
    ]


@functools.lru_cache(maxsize=8)
def _block(samples: int, cycles_per_m: float) -> int:
    """Return how many samples, which turn by so much per metre against each other, can be summed first."""
    block = max(1, int(BLOCK_CYCLES_PER_M / cycles_per_m))
    while samples % block:
        block -= 1
    return block


@functools.lru_cache(maxsize=8)
def _turns(count: int, cycles_per_m: float) -> Floats:
    """Return the factors that undo each shift, ``(2, block, shift)`` of real and imaginary parts."""
    shift_m = STEP_M * np.arange(-round(REACH_M / STEP_M), round(REACH_M / STEP_M) + 1)
    turns = np.exp(-2j * np.pi * cycles_per_m * np.outer(np.arange(count), shift_m))
    return np.stack([turns.real, turns.imag])


@compiled
def add_likelihood(
    likelihood: Floats, received: ComplexArray, response: ComplexArray, block: int, turns: Floats
) -> None:
    """Add the log-likelihood of one sweep at its best gain and noise power at each shift, ``(shift,)``.

    Parameters
    ----------
    likelihood
        ``(shift,)``, added to.
    received, response
        ``(sample,)`` samples, and the response at the supposed position.
    block
        How many neighbours are summed first.
    turns
        ``(2, block, shift)`` what undoes each shift.
    """
    real, imag = np.zeros(likelihood.size), np.zeros(likelihood.size)
    received_energy, response_energy = 0.0, 0.0
    for index in range(turns.shape[1]):
        total = 0.0j
        for sample in range(index * block, (index + 1) * block):
            total += response[sample].conjugate() * received[sample]
            received_energy += received[sample].real ** 2 + received[sample].imag ** 2
            response_energy += response[sample].real ** 2 + response[sample].imag ** 2
        for shift in range(likelihood.size):
            real[shift] += total.real * turns[0, index, shift] - total.imag * turns[1, index, shift]
            imag[shift] += total.real * turns[1, index, shift] + total.imag * turns[0, index, shift]
    for shift in range(likelihood.size):
        share = (real[shift] ** 2 + imag[shift] ** 2) / (received_energy * response_energy)
        likelihood[shift] -= received.size * math.log(max(1 - share, SMALLEST_RESIDUAL))


def peaks(likelihood: Floats) -> list[tuple[int, float]]:
    """Return where the highest local maxima are that are not far below the highest, and how high, best first."""
    inner = np.flatnonzero((likelihood[1:-1] >= likelihood[:-2]) & (likelihood[1:-1] >= likelihood[2:])) + 1
    highest = (inner if inner.size else np.array([likelihood.argmax()])).tolist()
    found = sorted(((float(likelihood[lobe]), lobe) for lobe in highest), reverse=True)[:MOST_LOBES]
    return [(lobe, height) for height, lobe in found if height > found[0][0] - NATS]
