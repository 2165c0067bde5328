"""Which lobe of the likelihood over the range: a matched filter over sweeps, each with a gain of its own.

The likelihood over the range is a ridge with lobes ``c / bandwidth`` apart, 5 cm for 6 GHz, on which Newton's method would
stop at the next one. Within half a metre a user farther away is one whose samples are delayed, so that the response at
one range serves all others.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bs_controller.estimation.masks import log_likelihood

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
        product = response.conj() * received
        block = max(1, int(BLOCK_CYCLES_PER_M / cycles))
        while product.size % block:
            block -= 1
        sums = (product.reshape(-1, block) @ np.ones(block)) @ _turns(product.size // block, block * cycles)
        power = sums.real**2 + sums.imag**2
        energy = float(np.vdot(received, received).real * np.vdot(response, response).real)
        likelihood += log_likelihood(power[np.newaxis] / energy, product.size)
    inner = np.flatnonzero((likelihood[1:-1] >= likelihood[:-2]) & (likelihood[1:-1] >= likelihood[2:])) + 1
    if not inner.size:
        inner = np.array([likelihood.argmax()])
    best = inner[np.argsort(-likelihood[inner])][:MOST_LOBES].tolist()
    return [
        Lobe(shift_m=(lobe - likelihood.size // 2) * STEP_M, log_likelihood=float(likelihood[lobe]))
        for lobe in best
        if likelihood[lobe] > likelihood[best[0]] - NATS
    ]


@functools.lru_cache(maxsize=8)
def _turns(count: int, cycles_per_m: float) -> ComplexArray:
    """Return the factors that undo each shift, ``(block, shift)``; read-only."""
    shift_m = STEP_M * np.arange(-round(REACH_M / STEP_M), round(REACH_M / STEP_M) + 1)
    turns = np.exp(-2j * np.pi * cycles_per_m * np.outer(np.arange(count), shift_m))
    turns.flags.writeable = False
    return turns
