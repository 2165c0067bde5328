"""Places of users, and what a fix of several sweeps is compared with."""

import math

import pytest

from bs_controller.places import midway, point_m


def test_midway_is_the_mean_of_points_not_of_coordinates() -> None:
    # 3 m ahead and 4 m aside: the means of ranges and angles would be 3.5 m at 45 degrees
    found = midway([(3.0, 0.0), (4.0, math.pi / 2)])
    assert found is not None
    assert point_m(*found) == pytest.approx((1.5, 2.0))


def test_midway_of_somebody_at_rest_is_where_it_is_to_the_last_bit() -> None:
    assert midway([(17.1, 0.3)] * 3) == (17.1, 0.3)


@pytest.mark.parametrize("positions", [[], [(3.0, 0.0), None]])
def test_midway_is_unknown_where_one_position_is(positions: list[tuple[float, float] | None]) -> None:
    assert midway(positions) is None
