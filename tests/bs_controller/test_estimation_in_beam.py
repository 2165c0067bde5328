"""How far an echo in the line of sight's own beam pulls a fix, by what the elements hear."""

import numpy as np
import numpy.typing as npt
import pytest

from bs_controller.estimation.candidates import Searcher
from bs_controller.estimation.in_beam import elements_of, explained_by_pairs, in_beam_pull_m, pull_step_m
from bs_controller.features import Dechirper
from tests.bs_controller.hearing import FACTS, FORWARD, heard, setting_of

ComplexArray = npt.NDArray[np.complex128]
Floats = npt.NDArray[np.float64]

CYCLES_PER_M = 333.6  # 100 GHz
NEAREST_M = 5.0
X_M: Floats = FACTS.downlink.array.element_x_m
BEAM_SINE = 1 / (CYCLES_PER_M * float(np.ptp(X_M)))


def wave(sine: float, curvature_per_m: float = 0.0, x_m: Floats = X_M) -> ComplexArray:
    """Waves that come by a sine beside the fix, and so much more curved."""
    path_m = -x_m * sine + x_m**2 * curvature_per_m / 2
    turned: ComplexArray = np.exp(2j * np.pi * CYCLES_PER_M * path_m)
    return turned


def test_pairs_explain_what_least_squares_does() -> None:
    rng = np.random.default_rng(41)
    elements = rng.standard_normal(48).view(np.complex128)
    sights, echoes = (np.exp(2j * np.pi * rng.random((24, count))) for count in (5, 9))
    echoes[:, 0] = sights[:, 0]  # the same wave
    expected = np.empty((5, 9))
    for i in range(5):
        for j in range(9):
            both = np.stack([sights[:, i], echoes[:, j]], axis=1)
            gains, *_ = np.linalg.lstsq(both, elements, rcond=None)
            allowed = abs(gains[1]) < abs(gains[0]) and (i, j) != (0, 0)
            alone = both[:, :1] @ [np.vdot(both[:, 0], elements) / 24]
            expected[i, j] = np.linalg.norm(both @ gains if allowed else alone) ** 2
    assert explained_by_pairs(elements, sights, echoes) == pytest.approx(expected)


@pytest.mark.parametrize("pull_beams", [-0.75, 0.0, 0.5])
@pytest.mark.parametrize("curvature_per_m", [0.0, 0.05])
def test_pull_is_where_the_stronger_of_two_waves_is(pull_beams: float, curvature_per_m: float) -> None:
    elements = wave(pull_beams * BEAM_SINE) + 0.5j * wave((pull_beams + 1.4) * BEAM_SINE, curvature_per_m)
    pull_m = in_beam_pull_m(elements, X_M, CYCLES_PER_M, (40.0, 0.6), NEAREST_M)
    # an eighth of a beam is a step
    assert pull_m == pytest.approx(40.0 * abs(pull_beams) * BEAM_SINE / np.cos(0.6), abs=40.0 * BEAM_SINE / 8)


def test_one_wave_is_not_pulled_and_no_echo_is_nearer_than_a_near_fix() -> None:
    for range_m in (5.0, 40.0):
        assert in_beam_pull_m(wave(0.0), X_M, CYCLES_PER_M, (range_m, 0.0), NEAREST_M) == 0.0


def test_elements_of_a_perfect_fit_are_equal_and_those_of_an_echo_are_its_waves() -> None:
    searcher, dechirper, visible = Searcher(FACTS), Dechirper(FACTS), np.ones(X_M.size, dtype=bool)
    user, echo = heard(FORWARD, 30.0, 0.3), 0.5 * heard(FORWARD, 30.0, 0.3 + 2 * BEAM_SINE / np.cos(0.3))
    alone = searcher.angle_sweep(user, FORWARD, setting_of(FORWARD))
    clean = elements_of(dechirper, alone, 0 * user, (30.0, 0.3), visible)
    assert np.ptp(np.abs(clean)) == 0.0
    both = searcher.angle_sweep(user + echo, FORWARD, setting_of(FORWARD))
    waves = elements_of(dechirper, both, echo, (30.0, 0.3), visible) - clean
    expected = wave(2 * BEAM_SINE)
    match = abs(np.vdot(expected, waves)) / np.linalg.norm(expected) / np.linalg.norm(waves)
    assert match > 0.95  # the rounding of the echo's ends costs some


def test_pulls_are_told_apart_to_an_eighth_of_the_visible_elements_beam() -> None:
    assert pull_step_m(X_M, CYCLES_PER_M, 40.0) == pytest.approx(40 * BEAM_SINE / 8)
    assert pull_step_m(X_M[:128], CYCLES_PER_M, 40.0) == pytest.approx(4 * 40 * BEAM_SINE / 8, rel=0.01)
