"""From candidates to the maxima that are worth comparing: all climb a few steps, the higher ones climb on."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from bs_controller.estimation.newton import UnresolvableError
from bs_controller.estimation.power.candidates import PowerCandidate
from bs_controller.estimation.power.posterior import distinct
from bs_controller.estimation.power.scoring import SEARCH_NOISE_SHARE, PowerEstimate, PowerObservation, climbed, started

Start = TypeVar("Start", PowerCandidate, PowerEstimate)

# How many steps each round makes, how many estimates it leaves, and how far below the highest they may be: early on, heights
# still rise by what the steps of the table cost.
ROUNDS = ((2, 5, 200.0), (4, 4, 30.0))
FINAL_NATS = 12.0


def maxima(
    observations: Sequence[PowerObservation],
    candidates: Sequence[PowerCandidate],
    sigma2_w: Sequence[float],
    range_limits_m: tuple[float, float],
) -> list[PowerEstimate]:
    """Return distinct maxima of the likelihood, most likely first.

    Parameters
    ----------
    observations
        The sweeps.
    candidates
        Where to start, at least one.
    sigma2_w
        Noise power of each sweep to start with, ``(sweep,)``.
    range_limits_m
        The nearest and the farthest range.

    Raises
    ------
    UnresolvableError
        If no candidate has information on the position.
    """
    live = _each(candidates, lambda one: started(observations, one.range_m, one.angle_rad, one.mask, sigma2_w))
    for steps, most, nats in ROUNDS:
        climb = partial(
            climbed, observations, range_limits_m=range_limits_m, steps=steps, noise_share=SEARCH_NOISE_SHARE
        )
        live = _best(_each(live, climb), most, nats)
    tops = _each(live, partial(climbed, observations, range_limits_m=range_limits_m))
    return _best(tops, len(tops), FINAL_NATS)


def _each(starts: Sequence[Start], work: Callable[[Start], PowerEstimate]) -> list[PowerEstimate]:
    """Return what becomes of each start that has information on the position."""
    done, failure = [], UnresolvableError("no candidate to start from")
    for start in starts:
        try:
            done.append(work(start))
        except UnresolvableError as error:
            failure = error
    if not done:
        raise failure
    return done


def _best(estimates: Sequence[PowerEstimate], most: int, nats: float) -> list[PowerEstimate]:
    kept = distinct(estimates)[:most]
    return [one for one in kept if one.log_likelihood > kept[0].log_likelihood - nats]
