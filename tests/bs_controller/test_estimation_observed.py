"""A search that must improve on where it starts."""

import numpy as np
import pytest

from bs_controller.estimation.newton import Observation, log_likelihood_at, most_likely
from bs_controller.estimation.observed import improved
from tests.bs_controller.hearing import BACKWARD, FORWARD, heard, noise, response_of

RANGE_M, ANGLE_RAD = 17.0, 0.35
SEEN = np.array([1.0, 0.0, 1.0, 1.0])


def observations() -> list[Observation]:
    rng, made = np.random.default_rng(3), []
    for focus in (FORWARD, BACKWARD):
        clean = heard(focus, RANGE_M, ANGLE_RAD, (0, 2, 3))
        made.append(Observation.of(clean + noise(clean, 10, rng), response_of(focus)))
    return made


def test_start_beside_the_maximum_is_left_for_it() -> None:
    found = improved(observations(), RANGE_M + 0.01, ANGLE_RAD + 2e-4, SEEN)
    assert found is not None
    # the bound is 1.3 mm and 7e-6 rad here: five of each
    assert found.range_m == pytest.approx(RANGE_M, abs=6.5e-3)
    assert found.angle_rad == pytest.approx(ANGLE_RAD, abs=3.5e-5)


def test_start_at_the_maximum_stands() -> None:
    best = most_likely(observations(), RANGE_M, ANGLE_RAD, SEEN)
    assert improved(observations(), best.range_m, best.angle_rad, best.mask) is None


def test_start_stands_where_its_mask_alone_was_wrong() -> None:
    best = most_likely(observations(), RANGE_M, ANGLE_RAD, SEEN)
    everyone = np.ones(4)
    assert best.log_likelihood > log_likelihood_at(observations(), best.range_m, best.angle_rad, everyone) + 100
    # the search ends with the right mask, under which the position is as likely as any
    assert improved(observations(), best.range_m, best.angle_rad, everyone) is None


def test_start_stands_where_sweeps_determine_nothing() -> None:
    silent = [Observation.of(np.zeros(2048, dtype=np.complex128), response_of(focus)) for focus in (FORWARD, BACKWARD)]
    heard_nothing = [Observation(samples=one.samples, response=one.response, energy=1.0, count=2048) for one in silent]
    assert improved(heard_nothing, RANGE_M, ANGLE_RAD, SEEN) is None
