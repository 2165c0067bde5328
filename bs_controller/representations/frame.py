"""The frame that networks answer in: the most likely position for a perfect front end, one path and clocks that are right.

What the representations of whole sweeps share; none is here.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import scipy.fft

from bs_controller.estimation.candidates import Candidate
from bs_controller.estimation.newton import Estimate, Observation, UnresolvableError, most_likely
from bs_controller.features import network_features, squared
from bs_controller.representations.contract import NetworkInput
from bs_controller.representations.correction import Correction, angle_from, sine_from
from protocol.testbed import LinearArray, TestbedFacts

ComplexArray = npt.NDArray[np.complex128]
Floats = npt.NDArray[np.float64]

MARGIN_DEG = 2.0
# Clocks are off by a few of the largest rms that networks are trained with, 3 ns, at most.
LARGEST_DELAY_S = 10e-9
SINE_SCALE = 5e-5
_FINE = 8  # steps of the delay axis within a bin


def subarray_middle_m(array: LinearArray) -> Floats:
    """Return where along the array the middle of each sub-array is, ``(subarray,)``."""
    middle_m: Floats = array.element_x_m.reshape(array.subarrays, -1).mean(axis=1)
    return middle_m


def input_in_frame(
    found: Estimate | Candidate,
    parts: Sequence[ComplexArray],
    facts: TestbedFacts,
    timing_rms_m: float,
    *,
    range_scale_m: float,
) -> NetworkInput:
    """Return the input of parts, ``(128,)`` each, seen from a position; `range_scale_m` is that of clocks that are right."""
    middle_m = subarray_middle_m(facts.downlink.array)
    return NetworkInput(
        features=network_features(
            parts, found.range_m / facts.region.range_max_m, math.sin(found.angle_rad), timing_rms_m
        ),
        correction=Correction(
            range_m=found.range_m,
            angle_rad=found.angle_rad,
            middle_m=float(found.mask @ middle_m / found.mask.sum()),
            range_scale_m=math.hypot(range_scale_m, timing_rms_m),
            sine_scale=SINE_SCALE,
        ),
        mask=found.mask,
    )


def supposed(observations: Sequence[Observation], start: Candidate) -> Estimate | Candidate:
    """Return the most likely position and sub-arrays near a start, or the start where the sweeps determine none."""
    try:
        return most_likely(observations, start.range_m, start.angle_rad, start.mask, mask_is_clear=start.mask_is_clear)
    except UnresolvableError:
        return start


def moved(start: Candidate, offset_m: float, middle_m: Floats, nearest_m: float) -> Candidate:
    """Return a candidate farther away by an offset, in the same direction from the middle of its sub-arrays.

    `middle_m` is that of each sub-array, ``(subarray,)``; nothing comes nearer than `nearest_m`.
    """
    own_m = float(start.mask @ middle_m / start.mask.sum())
    range_m = max(start.range_m + offset_m, nearest_m)
    sine = sine_from(start.range_m, start.angle_rad, own_m)
    return replace(start, range_m=range_m, angle_rad=angle_from(range_m, sine, own_m))


def arrival_offset_m(sweeps: Sequence[ComplexArray], cycles_per_m: float) -> float:
    """Return how much farther than supposed sweeps arrive, by the peak of their delay axes together.

    Parameters
    ----------
    sweeps
        ``(block,)`` each, blocks of subcarriers with the response at the supposed position undone.
    cycles_per_m
        By how much a metre turns one block against its neighbour.
    """
    spectra = [squared(scipy.fft.fft(blocks, _FINE * blocks.size), 1.0) for blocks in sweeps]
    power: Floats = np.sum(spectra, axis=0)
    peak = int(power.argmax())
    before, at, after = float(power[peak - 1]), float(power[peak]), float(power[(peak + 1) % power.size])
    bend = before - 2 * at + after
    cycles = (peak + (0.5 * (before - after) / bend if bend < 0 else 0.0)) / power.size
    return (cycles - round(cycles)) / cycles_per_m
