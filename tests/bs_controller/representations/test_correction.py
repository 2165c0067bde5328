"""Positions and a network's outputs: there and back, about the middle of the sub-arrays that see the user."""

import math

import numpy as np
import pytest

from bs_controller.representations.correction import Correction, angle_from, angle_slopes, sine_from


def corrected_from(middle_m: float) -> Correction:
    return Correction(range_m=7.0, angle_rad=-0.9, middle_m=middle_m, range_scale_m=0.1, sine_scale=1e-3)


@pytest.mark.parametrize("middle_m", [0.0, -0.29, 0.19])
def test_place_on_the_array_sees_points_where_geometry_puts_them(middle_m: float) -> None:
    x_m, y_m = 4.0 * math.cos(0.3), 4.0 * math.sin(0.3)
    assert sine_from(4.0, 0.3, middle_m) == pytest.approx(math.sin(math.atan2(y_m - middle_m, x_m)), abs=1e-15)
    assert angle_from(4.0, sine_from(4.0, 0.3, middle_m), middle_m) == pytest.approx(0.3, abs=1e-13)


@pytest.mark.parametrize("middle_m", [0.0, -0.29])
def test_outputs_of_a_position_correct_to_it(middle_m: float) -> None:
    correction = corrected_from(middle_m)
    range_m, angle_rad = correction.position(*correction.units(7.3, -0.87))
    assert [range_m, angle_rad] == pytest.approx([7.3, -0.87], abs=1e-12)
    assert list(correction.position(0.0, 0.0)) == pytest.approx([7.0, -0.9], abs=1e-12)


def test_correction_of_the_range_leaves_the_direction_from_the_middle() -> None:
    correction = corrected_from(-0.29)
    range_m, angle_rad = correction.position(5.0, 0.0)
    assert range_m == pytest.approx(7.5)
    assert sine_from(range_m, angle_rad, -0.29) == pytest.approx(sine_from(7.0, -0.9, -0.29), abs=1e-14)
    assert abs(angle_rad + 0.9) > 1e-4  # seen from the centre it is another


def test_slopes_are_the_differences_of_the_angle() -> None:
    step = 1e-6
    by_range, by_sine = angle_slopes(7.0, -0.8, 0.29)
    over_range = (angle_from(7.0 + step, -0.8, 0.29) - angle_from(7.0 - step, -0.8, 0.29)) / (2 * step)
    over_sine = (angle_from(7.0, -0.8 + step, 0.29) - angle_from(7.0, -0.8 - step, 0.29)) / (2 * step)
    # central differences leave step^2 of the third derivative, of order one, and rounding over the step, 1e-10
    assert [by_range, by_sine] == pytest.approx([over_range, over_sine], abs=1e-9)


def test_covariance_is_that_of_positions_with_independent_outputs() -> None:
    correction, rng, count = corrected_from(-0.29), np.random.default_rng(1), 20_000
    drawn = rng.normal((0.4, -0.2), (0.3, 0.5), size=(count, 2))
    range_m, angle_rad = np.array([correction.position(*row) for row in drawn.tolist()]).T
    expected, stated = np.cov(range_m, angle_rad), correction.covariance(0.4, -0.2, 0.3, 0.5)
    # five deviations of a sample variance, sqrt(2 / n); the position bends by less than a hundredth of that here
    tolerance = 5 * math.sqrt(2 / count)
    assert stated.range_m2 == pytest.approx(expected[0, 0], rel=tolerance)
    assert stated.angle_rad2 == pytest.approx(expected[1, 1], rel=tolerance)
    both = math.sqrt(stated.range_m2 * stated.angle_rad2)
    assert stated.range_angle_m_rad == pytest.approx(expected[0, 1], abs=tolerance * both)


def test_corrections_end_in_front_of_the_array() -> None:
    range_m, angle_rad = corrected_from(0.29).position(-1e6, 1e6)
    assert 0 < range_m < 1
    assert abs(angle_rad) < math.pi / 2
