"""Lobes of unknown delays, and which hypotheses are left of several starts."""

from dataclasses import replace

import numpy as np
import pytest

from bs_controller.estimation.unsynchronised.delayed import Place
from bs_controller.estimation.unsynchronised.hypotheses import Hypothesis, hypotheses, is_rival
from bs_controller.estimation.unsynchronised.lobes import on_lobes, towards_high_lobes
from bs_controller.estimation.unsynchronised.posterior import Prior
from bs_controller.estimation.unsynchronised.ridge import Start
from tests.bs_controller.hearing import ALL
from tests.bs_controller.test_unsynchronised_delayed import delayed, mask_of

PRIOR = Prior(range_min_m=5.0, range_max_m=50.0, delay_span_m=3.0)
QUARTER_BEAM = 1 / 1024
TRUE = Place(range_m=14.0, angle_rad=0.9, delay_m=np.array([1.5, -2.0]))


@pytest.mark.parametrize("off_m", [0.3, -0.25])
def test_delays_are_put_on_their_lobes(off_m: float) -> None:
    model = delayed(TRUE, ALL, 10, seed=1)
    best = on_lobes(model, replace(TRUE, delay_m=TRUE.delay_m + off_m), mask_of(ALL))[0]
    # a step of 6.25 mm, since sums over blocks pull towards the start; a climb needs half a lobe, 25 mm
    assert best.place.delay_m == pytest.approx(TRUE.delay_m, abs=0.007)


def test_direction_is_found_in_spite_of_lobes() -> None:
    model = delayed(TRUE, ALL, 10, seed=2)
    off_rad = 0.8 * QUARTER_BEAM / np.cos(TRUE.angle_rad)
    start = replace(TRUE, angle_rad=TRUE.angle_rad + off_rad, delay_m=TRUE.delay_m + np.array([0.1, -0.1]))
    best = towards_high_lobes(model, start, mask_of(ALL), QUARTER_BEAM / float(np.cos(TRUE.angle_rad)))[0]
    # half of the last step, 1 / 32 of a quarter of a beam, and as much for what the wrong curvature moves
    assert abs(best.angle_rad - TRUE.angle_rad) < off_rad / 8


def found_from(*starts: tuple[Place, tuple[int, ...]]) -> list[Hypothesis]:
    model = delayed(TRUE, (1, 2), 10, seed=3)
    return hypotheses(
        model,
        [Start(place=place, mask=mask_of(visible), log_likelihood=0.0) for place, visible in starts],
        PRIOR,
        QUARTER_BEAM,
    )


def test_hypothesis_of_a_start_nearby_is_the_user() -> None:
    found = found_from((replace(TRUE, range_m=14.3, delay_m=TRUE.delay_m - 0.3), (1, 2)))
    moments = found[0].moments
    error = moments.mean - [TRUE.range_m, TRUE.angle_rad]
    assert error @ np.linalg.solve(moments.covariance, error) < 14  # once in a thousand
    assert moments.allowed


def test_mask_that_no_start_has_is_found_at_the_place() -> None:
    found = found_from((TRUE, (1, 2, 3)))
    assert np.flatnonzero(found[0].expansion.mask).tolist() == [1, 2]


def test_equal_starts_are_one_hypothesis() -> None:
    found = found_from((TRUE, (1, 2)), (replace(TRUE, range_m=14.1, delay_m=TRUE.delay_m - 0.1), (1, 2)))
    assert len({tuple(one.moments.mean.round(3)) for one in found}) == len(found)


def test_rival_is_likely_and_elsewhere() -> None:
    best = found_from((TRUE, (1, 2)))[0]

    def other(off_deviations: float, nats: float) -> Hypothesis:
        off = off_deviations * np.array([np.sqrt(best.moments.covariance[0, 0]), 0.0])
        moments = replace(best.moments, mean=best.moments.mean + off, log_evidence=best.moments.log_evidence - nats)
        return replace(best, moments=moments)

    assert is_rival(other(20.0, 2.0), best)
    assert not is_rival(other(20.0, 6.0), best)
    assert not is_rival(other(0.01, 2.0), best)
