"""Where a user was in each sweep by itself: users who are followed with one sweep, and who move between two of them.

One angle sweep tells direction and range of a user whose range is known to some decimetres, and whose sub-arrays are known.
A user who moves by centimetres between two sweeps is at no one place that explains both; the mean of its places is where it
was in the middle, and as well known as if it had stood still, for each sweep has a gain of its own in either case.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from bs_controller.estimation.candidates import Candidate
from bs_controller.estimation.lobes import NATS, lobes
from bs_controller.estimation.newton import Estimate, Observation, log_likelihood_at, most_likely
from bs_controller.estimation.quality import goodness_of_fit
from protocol.testbed import TestbedFacts

Floats = npt.NDArray[np.float64]

MOST_MOVES = 3  # from one lobe of the range, 5 cm, to the next
SMALL_RISE = 0.5  # of log-likelihood; less is where the same lobe is found again
# The fit of an honest model of 2048 samples is 1 with a standard deviation of 0.023: four of them.
POOR_FIT = 1.1
# How much likelier a lobe must be to be believed that is nowhere near what was supposed: so that a track on the wrong lobe,
# which supposes that lobe again, leaves it as soon as a sweep speaks for the right one.
SURPRISE_NATS = 6.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Supposed:
    """What is known of a range before a sweep is heard."""

    range_m: float
    variance_m2: float

    def log_weight(self, range_m: float) -> float:
        """Return the logarithm of a normal density over its maximum, with a floor under it."""
        squared = (range_m - self.range_m) ** 2 / self.variance_m2
        return float(np.logaddexp(-squared / 2, -SURPRISE_NATS))


def most_likely_apart(observations: Sequence[Observation], candidate: Candidate, facts: TestbedFacts) -> list[Estimate]:
    """Return the most likely place in each sweep, all with the same sub-arrays.

    Parameters
    ----------
    observations
        All samples of angle sweeps, in the order of the candidate's directions.
    candidate
        Of a search for users who move.
    facts
        The testbed.
    """

    def located(candidate: Candidate) -> list[Estimate]:
        return [most_likely_of_one(one, candidate.in_sweep(k), facts) for k, one in enumerate(observations)]

    found = located(candidate)
    masks = {tuple(estimate.mask.tolist()): estimate.mask for estimate in found}
    if len(masks) == 1:
        return found
    agreeing = [located(replace(candidate, mask=mask, mask_is_clear=True)) for mask in masks.values()]
    return max(agreeing, key=lambda estimates: sum(estimate.log_likelihood for estimate in estimates))


def most_likely_of_one(
    observation: Observation, candidate: Candidate, facts: TestbedFacts, supposed: Supposed | None = None
) -> Estimate:
    """Return the most likely estimate of one sweep: of the lobes of the range that come into question, and of those beside.

    The step of directions from which lobes are compared hides the right one in 3 of 100 users, by one place. What is
    `supposed` of the range chooses between lobes, and changes nothing of the estimate on one.
    """
    visible = np.flatnonzero(candidate.mask).tolist()
    expected = observation.response.seen_value(candidate.range_m, candidate.angle_rad, visible)
    grid = facts.downlink.grid
    found = lobes([observation.samples], [expected], [grid.spacing_hz / facts.speed_of_light_m_s])
    estimates = [
        most_likely(
            [observation],
            candidate.range_m + lobe.shift_m,
            candidate.angle_rad,
            candidate.mask,
            mask_is_clear=candidate.mask_is_clear,
        )
        for lobe in found
        if lobe.log_likelihood > found[0].log_likelihood - NATS
    ]

    def height(estimate: Estimate) -> float:
        favour = 0.0 if supposed is None else supposed.log_weight(estimate.range_m)
        return estimate.log_likelihood + favour

    best = max(estimates, key=height)
    lobe_m = facts.speed_of_light_m_s / (grid.count * grid.spacing_hz)
    for _ in range(MOST_MOVES):
        likelier = max([best, *_beside(observation, best, lobe_m)], key=height)
        if height(likelier) < height(best) + SMALL_RISE:
            break
        best = likelier
    return best


def _beside(observation: Observation, estimate: Estimate, lobe_m: float) -> list[Estimate]:
    """Return the estimates on lobes beside that may be as likely, from the direction that goes with their range.

    Where the fit is poor, the search may have ended in a direction that belongs to no lobe: then both are tried.
    """
    is_poor = goodness_of_fit(estimate.residuals).statistic > POOR_FIT
    (_, of_both), (_, of_angle) = estimate.information.tolist()
    starts = [(estimate.range_m, estimate.angle_rad)] if estimate.is_unfinished else []
    for shift_m in (-lobe_m, lobe_m):
        start = estimate.range_m + shift_m, estimate.angle_rad - shift_m * of_both / of_angle
        if is_poor or log_likelihood_at([observation], *start, estimate.mask) > estimate.log_likelihood - NATS:
            starts.append(start)
    return [most_likely([observation], *start, estimate.mask, mask_is_clear=True) for start in starts]


def midway(estimates: Sequence[Estimate]) -> Estimate:
    """Return the mean of a user's places in sweeps, with the information of independent errors, and all residuals."""
    place = sum(one.range_m * np.exp(1j * one.angle_rad) for one in estimates) / len(estimates)
    covariance: Floats = np.sum([np.linalg.inv(one.information) for one in estimates], axis=0) / len(estimates) ** 2
    return Estimate(
        range_m=float(abs(place)),
        angle_rad=math.atan2(place.imag, place.real),
        mask=estimates[0].mask,
        log_likelihood=sum(one.log_likelihood for one in estimates),
        information=np.asarray(np.linalg.inv(covariance), dtype=np.float64),
        residuals=tuple(residual for one in estimates for residual in one.residuals),
        evaluations=sum(one.evaluations for one in estimates),
    )
