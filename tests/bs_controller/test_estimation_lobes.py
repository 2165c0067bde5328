"""Lobes of the likelihood over the range against responses computed at each range."""

import numpy as np
import pytest

from bs_controller.estimation.lobes import REACH_M, STEP_M, lobes
from bs_controller.estimation.masks import log_likelihood
from tests.bs_controller.hearing import BACKWARD, FACTS, FORWARD, heard, noise

CYCLES_PER_M = FACTS.downlink.grid.spacing_hz / FACTS.speed_of_light_m_s


@pytest.mark.parametrize("shift_m", [-0.3, 0.0, 0.1125])
def test_best_lobe_is_where_the_user_is(shift_m: float) -> None:
    rng = np.random.default_rng(4)
    clean = [heard(sweep, 20 + shift_m, 0.2) for sweep in (FORWARD, BACKWARD)]
    samples = [one + noise(one, 10, rng) for one in clean]
    found = lobes(samples, [heard(sweep, 20.0, 0.2) for sweep in (FORWARD, BACKWARD)], 2 * [CYCLES_PER_M])
    assert found[0].shift_m == pytest.approx(shift_m, abs=2 * STEP_M)  # two steps: 2.3 mm of noise, and curvature


def test_likelihood_of_a_lobe_is_that_of_the_response_there() -> None:
    rng = np.random.default_rng(5)
    samples = heard(FORWARD, 30.05, -0.5)
    samples += noise(samples, 10, rng)
    best = lobes([samples], [heard(FORWARD, 30.0, -0.5)], [CYCLES_PER_M])[0]
    there = heard(FORWARD, 30.0 + best.shift_m, -0.5)
    share = abs(np.vdot(there, samples)) ** 2 / np.vdot(there, there).real / np.vdot(samples, samples).real
    # a block of 16 subcarriers at the reach loses 1 % of the share, at a few centimetres nothing that counts
    assert best.log_likelihood == pytest.approx(float(log_likelihood(np.array([share]), 2048)), rel=2e-3)


def test_shift_beyond_the_reach_gives_lobes_within_it() -> None:
    found = lobes([heard(FORWARD, 21.0, 0.2)], [heard(FORWARD, 20.0, 0.2)], [CYCLES_PER_M])
    assert found
    assert all(abs(lobe.shift_m) <= REACH_M for lobe in found)
