"""Whether a fix stands on the first path: earlier paths in what it leaves, and the curvature of the waves it fits."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from bs_controller.estimation.candidates import AngleSweep, Searcher
from bs_controller.estimation.second_look import LARGEST_CURVATURE_GAIN, SecondLook, second_look
from tests.bs_controller.hearing import ALL, FACTS, FORWARD, heard, noise, response_of, setting_of

ComplexArray = npt.NDArray[np.complex128]

SEARCHER = Searcher(FACTS)


def swept(samples: ComplexArray) -> AngleSweep:
    return SEARCHER.angle_sweep(samples, FORWARD, setting_of(FORWARD))


def look(fitted: ComplexArray, left: ComplexArray, range_m: float, angle_rad: float) -> SecondLook:
    return second_look(SEARCHER, [swept(fitted + left)], [left], range_m, angle_rad)


def late(samples: ComplexArray, extra_m: float) -> ComplexArray:
    """The same waves after a longer way."""
    turned: ComplexArray = samples * np.exp(
        2j * np.pi * FACTS.downlink.grid.frequency_hz * extra_m / FACTS.speed_of_light_m_s
    )
    return turned


def densely_explained(left: ComplexArray, range_m: float, angle_rad: float) -> float:
    """The most energy that a line of sight seen by all sub-arrays explains around a place, by all points of a grid."""
    best = 0.0
    for r_m in np.arange(range_m - 0.6, range_m + 0.6, 0.05):
        for theta_rad in angle_rad + np.arange(-1.2e-3, 1.3e-3, 3e-4):
            expected = response_of(FORWARD).value(float(r_m), float(theta_rad)).sum(axis=0)
            best = max(best, float(abs(np.vdot(expected, left)) ** 2 / np.vdot(expected, expected).real))
    return best


def test_line_of_sight_left_beside_an_echo_is_an_earlier_path_of_its_power() -> None:
    fitted, left = heard(FORWARD, 30.0, -0.4), 0.9 * heard(FORWARD, 14.3, 0.6)
    expected = densely_explained(left, 14.3, 0.6) / np.vdot(fitted, fitted).real
    # steps of a metre lose no more than half, and of directions a few per cent
    assert 0.5 * expected < look(fitted, left, 30.0, -0.4).earlier_share < 1.1 * expected


def test_path_later_than_the_fix_is_no_earlier_path() -> None:
    fitted, left = heard(FORWARD, 14.3, 0.6), 0.9 * heard(FORWARD, 30.0, -0.4)
    later = look(fitted, left, 14.3, 0.6)
    # an earlier user that one sub-array sees may be as one of the echo's four, a quarter of its power
    assert later.earlier_share < 0.25 * 0.9**2 * 1.1
    assert later.curvature_gain < 1


def test_nothing_is_earlier_than_a_fix_at_the_near_edge_of_the_region() -> None:
    fitted, left = heard(FORWARD, 5.0, 0.1), heard(FORWARD, 30.0, -0.4)
    assert look(fitted, left, 5.0, 0.1).earlier_share == 0.0


def test_waves_curved_more_than_their_delay_says_are_explained_better_so() -> None:
    echo = late(heard(FORWARD, 11.0, 0.3), 9.0)
    own = SEARCHER.curvature_share([swept(echo)], 20.0, 0.3, 20.0)
    curved = SEARCHER.curvature_share([swept(echo)], 20.0, 0.3, 11.0)
    assert curved > 0.8  # steps of the directions lose some
    assert own < 0.6 * curved
    assert look(echo, 0 * echo, 20.0, 0.3).curvature_gain > LARGEST_CURVATURE_GAIN


@pytest.mark.parametrize("visible", [ALL, (1, 2), (3,)])
def test_line_of_sight_is_explained_no_better_by_another_curvature(visible: tuple[int, ...]) -> None:
    rng = np.random.default_rng(17)
    for range_m in (6.0, 17.0, 44.0):
        user = heard(FORWARD, range_m, 0.3, visible)
        left = noise(user, 10, rng)
        assert look(user, left, range_m, 0.3).curvature_gain < LARGEST_CURVATURE_GAIN


def test_second_look_does_not_depend_on_the_scale_of_samples() -> None:
    fitted, left = heard(FORWARD, 30.0, -0.4), 0.9 * heard(FORWARD, 14.3, 0.6)
    large = look(fitted, left, 30.0, -0.4)
    small = look(1e-3 * fitted, 1e-3 * left, 30.0, -0.4)
    assert (small.earlier_share, small.curvature_gain) == pytest.approx((large.earlier_share, large.curvature_gain))


def test_bright_bands_are_looked_at_in_all_ranges_asked_for() -> None:
    user = swept(heard(FORWARD, 14.0, 0.6))
    found = SEARCHER.towards_bright_bands([replace(user, lit_sine=0.0)], np.array([10.0, 14.0, 18.0]))
    assert {candidate.range_m for candidate in found} == {10.0, 14.0, 18.0}
    assert max(found, key=lambda candidate: candidate.share).range_m == 14.0
