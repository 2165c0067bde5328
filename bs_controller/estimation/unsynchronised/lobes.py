"""Which lobe of each unknown delay, and the direction that goes with it.

In an angle sweep a delay by as much as lies between neighbouring elements looks like the array shifted by one element: lobes
of nearly equal height, each with a direction of its own, as the lines hold a curvature that the user's wavefront has not.
Climbing from a wrong direction ends on one of its neighbours, so the direction is searched for first, at the best delays of
each. Pure functions.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from bs_controller.estimation.lobes import NATS, Lobe, lobes
from bs_controller.estimation.unsynchronised.delayed import (
    DIRECTION,
    Delayed,
    Place,
    place_from_ridge,
    ridge_from_place,
)

Floats = npt.NDArray[np.float64]

# On either side, and once more half of one: down to 1 / 64 of a beam. Neighbouring lobes are up to 1 / 30 of a beam apart.
STEPS = 8
MOST_DIRECTIONS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Lobed:
    """A place whose delays are on lobes, for one mask, and how likely it is."""

    place: Place
    mask: Floats  # (subarray,)
    log_likelihood: float


def on_lobes(model: Delayed, place: Place, mask: Floats) -> list[Lobed]:
    """Return the place with its delays moved to each combination of high lobes, best first."""
    choices = _choices(model, place, mask, range(len(model.observations)))
    found = [
        Lobed(
            place=replace(place, delay_m=place.delay_m + np.array([lobe.shift_m for lobe in choice])),
            mask=mask,
            log_likelihood=sum(lobe.log_likelihood for lobe in choice),
        )
        for choice in choices
    ]
    found.sort(key=lambda one: -one.log_likelihood)
    return [one for one in found if one.log_likelihood > found[0].log_likelihood - NATS]


def towards_high_lobes(model: Delayed, place: Place, mask: Floats, reach_rad: float) -> list[Place]:
    """Return the place seen in the directions, within reach, at whose best delays angle sweeps are most likely, best first.

    Parameters
    ----------
    model, place, mask
        Where to start.
    reach_rad
        How far to look on either side, half a beam or less.
    """
    centre_x_m = model.centre_x_m(mask)
    ridge = ridge_from_place(place, centre_x_m)

    def turned(off_rad: float) -> Place:
        moved = ridge.copy()
        moved[DIRECTION] += off_rad
        return place_from_ridge(moved, centre_x_m)

    def height(off_rad: float) -> float:
        choices = _choices(model, turned(off_rad), mask, range(model.angle_sweeps))
        return max(sum(lobe.log_likelihood for lobe in choice) for choice in choices)

    step = reach_rad / STEPS
    heights = np.array([height(step * k) for k in range(-STEPS, STEPS + 1)])
    padded = np.concatenate([[-np.inf], heights, [-np.inf]])
    peaks = np.flatnonzero((heights >= padded[:-2]) & (heights >= padded[2:]) & (heights > heights.max() - NATS))
    found = []
    for peak in peaks[np.argsort(-heights[peaks])][:MOST_DIRECTIONS]:
        aside = [step * (int(peak) - STEPS + half) for half in (-0.5, 0.0, 0.5)]
        found.append(turned(max(aside, key=height)))
    return found


def _choices(model: Delayed, place: Place, mask: Floats, sweeps: Sequence[int]) -> list[tuple[Lobe, ...]]:
    """Return combinations of lobes, one of each unknown delay of these sweeps."""
    visible = np.flatnonzero(mask).tolist()
    cycles_per_m = float(model.turn_rad_m[1] - model.turn_rad_m[0]) / (2 * np.pi)
    received, expected = [], []
    for sweep in sweeps:
        one, late_m = model.observations[sweep], place.delay_m[0 if model.together else sweep]
        received.append(one.samples * np.exp(-1j * late_m * model.turn_rad_m))
        expected.append(one.response.seen_value(place.range_m, place.angle_rad, visible))
    if model.together:
        return [(lobe,) for lobe in lobes(received, expected, [cycles_per_m] * len(received))]
    return list(itertools.product(*(lobes([y], [u], [cycles_per_m]) for y, u in zip(received, expected, strict=True))))
