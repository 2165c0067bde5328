"""From starts to hypotheses with evidence, the most believable first: which are rivals, and what error the choice may cost.

Starts are compared with all sweeps on the best lobes of their delays, those that are not far behind climb, and what they end
on is believed in by its evidence: the likelihood over all ranges and delays that the prior allows. Pure functions.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bs_controller.estimation.lobes import NATS
from bs_controller.estimation.unsynchronised.delayed import (
    CURVATURE,
    DIRECTION,
    FIRST_PATH,
    Delayed,
    Expansion,
    along_ridge,
    climbed,
    expanded,
    remasked,
    ridge_from_place,
)
from bs_controller.estimation.unsynchronised.lobes import Lobed, on_lobes, towards_high_lobes
from bs_controller.estimation.unsynchronised.posterior import Moments, Prior, curvature_limits_per_m, moments
from bs_controller.estimation.unsynchronised.ridge import Start

Floats = npt.NDArray[np.float64]

MOST_STARTS = 4
MOST_CLIMBS = 4
# The share of the best's log-likelihood from which on a start is refined: what the scan's steps leave of its height.
START_SHARE = 0.7
MASK_SHARE = 0.95  # and from which on the lobes of a mask climb: what is left of that
# A rival this close in evidence makes a fix suspect, being true once in e^4 + 1 times, about 2 %, if it is elsewhere: farther
# off than so many standard deviations. A neighbouring lobe of the delay at the same place is no rival.
RIVAL_NATS = 4.0
RIVAL_DEVIATIONS = 3.0
# Starts so near to a maximum along the ridge and in their paths, less than half of two lobes' distance, would end on it.
SAME_MAXIMUM_DEVIATIONS = 3.0
SAME_LOBE_M = 0.02
_REMASKINGS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Hypothesis:
    """A maximum of the likelihood and what to believe of range and angle if it is the right one."""

    expansion: Expansion
    moments: Moments


def hypotheses(model: Delayed, starts: Sequence[Start], prior: Prior, quarter_beam_sine: float) -> list[Hypothesis]:
    """Return what the starts converge to, the most believable first.

    Parameters
    ----------
    model
        The sweeps.
    starts
        At least one, with as many delays as the model has.
    prior
        Ranges and delays that are possible.
    quarter_beam_sine
        How far from the right direction a start may be.

    Raises
    ------
    UnresolvableError
        If the sweeps determine neither direction nor paths.
    """
    lobed = _near([(start, one) for start in starts for one in on_lobes(model, start.place, start.mask)])
    if model.together:
        refined = [one for _, one in lobed]
    else:
        refined = [one for start in _best_of_each_mask(lobed) for one in _relobed(model, start, quarter_beam_sine)]
    found = list[Hypothesis]()
    for start in _worth_climbing(refined):
        if len(found) < MOST_CLIMBS and not any(_leads_to(model, start, one.expansion) for one in found):
            found.append(_converged(model, start, prior))
    found.sort(key=_evidence, reverse=True)
    return _distinct([_with_best_mask(model, found[0], prior), *found[1:]])


def is_rival(one: Hypothesis, best: Hypothesis) -> bool:
    """Return whether a hypothesis puts the user elsewhere and is not much less believable than the best."""
    apart = one.moments.mean - best.moments.mean
    elsewhere = float(apart @ np.linalg.solve(best.moments.covariance, apart)) > RIVAL_DEVIATIONS**2
    return elsewhere and one.moments.log_evidence > best.moments.log_evidence - RIVAL_NATS


def _relobed(model: Delayed, start: Start, quarter_beam_sine: float) -> list[Lobed]:
    """Return a start on lobes of the directions around it where they are high.

    Its own lobes will not do: in a wrong direction they may be farther from the right ones than lobes are looked for.
    """
    reach_rad = quarter_beam_sine / float(np.cos(start.place.angle_rad))
    places = towards_high_lobes(model, start.place, start.mask, reach_rad)
    return [one for place in places for one in on_lobes(model, place, start.mask)]


def _leads_to(model: Delayed, start: Lobed, reached: Expansion) -> bool:
    """Return whether a start is on the lobe of a maximum, and along the ridge within its reach, so that it need not climb."""
    if (start.mask != reached.mask).any():
        return False
    apart = ridge_from_place(start.place, model.centre_x_m(start.mask)) - reached.ridge
    near = apart[CURVATURE] ** 2 * along_ridge(reached).precision < SAME_MAXIMUM_DEVIATIONS**2
    return bool(near and (np.abs(apart[FIRST_PATH:]) < SAME_LOBE_M).all())


def _converged(model: Delayed, start: Lobed, prior: Prior) -> Hypothesis:
    centre_x_m = model.centre_x_m(start.mask)
    expansion = expanded(model, ridge_from_place(start.place, centre_x_m), start.mask)
    return _climbed(model, expansion, prior)


def _climbed(model: Delayed, expansion: Expansion, prior: Prior) -> Hypothesis:
    ridge = expansion.ridge
    limits = curvature_limits_per_m(ridge[FIRST_PATH:], float(ridge[DIRECTION]), expansion.centre_x_m, prior)
    if limits[0] >= limits[1]:
        limits = (float(ridge[CURVATURE]), float(ridge[CURVATURE]))
    expansion = climbed(model, expansion, limits)
    return Hypothesis(expansion=expansion, moments=moments(expansion, prior))


def _with_best_mask(model: Delayed, hypothesis: Hypothesis, prior: Prior) -> Hypothesis:
    """Return the hypothesis with the mask that is most likely at its place, climbed on from there."""
    for _ in range(_REMASKINGS):
        moved = remasked(model, hypothesis.expansion)
        if moved is hypothesis.expansion:
            break
        hypothesis = _climbed(model, moved, prior)
    return hypothesis


def _evidence(one: Hypothesis) -> float:
    return one.moments.log_evidence


def _near(lobed: Sequence[tuple[Start, Lobed]]) -> list[tuple[Start, Lobed]]:
    """Return the starts that are not far less likely than the best, best first."""
    ranked = sorted(lobed, key=lambda item: -item[1].log_likelihood)
    return [item for item in ranked if item[1].log_likelihood >= START_SHARE * ranked[0][1].log_likelihood]


def _best_of_each_mask(ranked: Sequence[tuple[Start, Lobed]]) -> list[Start]:
    """Return the first of each mask, best first, as many as are worth a search."""
    first = dict[tuple[float, ...], Start]()
    for start, _ in ranked:
        first.setdefault(tuple(start.mask.tolist()), start)
    return list(first.values())[:MOST_STARTS]


def _worth_climbing(lobed: Sequence[Lobed]) -> list[Lobed]:
    """Return the best of each mask, best first, then what is within the noise of it.

    Masks differ before they climb by how near the scan came to their maxima, lobes of one mask by noise alone.
    """
    ranked = sorted(lobed, key=lambda one: -one.log_likelihood)
    tops = dict[tuple[float, ...], float]()
    first, others = list[Lobed](), list[Lobed]()
    for one in ranked:
        top = tops.setdefault(tuple(one.mask.tolist()), one.log_likelihood)
        if top < MASK_SHARE * ranked[0].log_likelihood:
            continue
        if top == one.log_likelihood:
            first.append(one)
        elif one.log_likelihood > top - NATS:
            others.append(one)
    return first + others


def _distinct(ranked: Sequence[Hypothesis]) -> list[Hypothesis]:
    """Return hypotheses without those that are the same maximum as a better one."""
    kept = list[Hypothesis]()
    for one in ranked:
        if not any(_same(one.expansion, other.expansion) for other in kept):
            kept.append(one)
    return kept


def _same(one: Expansion, other: Expansion) -> bool:
    """Return whether two climbs ended within a standard deviation of each other."""
    if (one.mask != other.mask).any():
        return False
    apart = one.ridge - other.ridge
    return float(apart @ other.information @ apart) < 1.0
