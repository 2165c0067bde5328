"""Ways of straight legs: where a user is and how fast at any time, and which ways are refused."""

import math

import numpy as np
import pytest

from emulator.config import Repeat, WaypointSection, WaypointsSection
from emulator.motion import Straight, Way, point_m, way_from_track, way_from_waypoints
from protocol.testbed import Region

REGION = Region(range_min_m=5.0, range_max_m=50.0, angle_min_rad=math.radians(-60), angle_max_rad=math.radians(60))
# A few roundings of metres.
ROUNDING = 1e-12

# Right-angled: 4 m along x at 2 m/s, then 3 m along y at 1 m/s, and 5 m back.
TRACK = np.array([[10.0, 0.0], [14.0, 0.0], [14.0, 3.0]])


def way(repeat: Repeat = "once") -> Way:
    return way_from_track(np.array([0.0, 2.0, 5.0]), TRACK, repeat)


def waypoints(*points: WaypointSection, repeat: Repeat = "once") -> Way:
    return way_from_waypoints(WaypointsSection(points=points, repeat=repeat), REGION)


@pytest.mark.parametrize(
    ("repeat", "time_s", "position_m", "velocity_m_s"),
    [
        ("once", 0.0, (10.0, 0.0), (2.0, 0.0)),
        ("once", 1.0, (12.0, 0.0), (2.0, 0.0)),
        ("once", 2.0, (14.0, 0.0), (0.0, 1.0)),
        ("once", 3.5, (14.0, 1.5), (0.0, 1.0)),
        ("once", 5.0, (14.0, 3.0), (0.0, 0.0)),
        ("once", 1e9, (14.0, 3.0), (0.0, 0.0)),
        ("back_and_forth", 5.0, (14.0, 3.0), (0.0, -1.0)),
        ("back_and_forth", 6.0, (14.0, 2.0), (0.0, -1.0)),
        ("back_and_forth", 8.0, (14.0, 0.0), (-2.0, 0.0)),
        ("back_and_forth", 9.0, (12.0, 0.0), (-2.0, 0.0)),
        ("back_and_forth", 1000.5, (11.0, 0.0), (2.0, 0.0)),
        # 7 m in 5 s are 1.4 m/s: the way back of 5 m takes 25/7 s
        ("loop", 5.0 + 25 / 14, (12.0, 1.5), (-1.12, -0.84)),
        ("loop", 7 * (5 + 25 / 7) + 1.0, (12.0, 0.0), (2.0, 0.0)),
    ],
)
def test_track_is_followed_to_its_end_and_then_as_the_file_says(
    repeat: Repeat, time_s: float, position_m: tuple[float, float], velocity_m_s: tuple[float, float]
) -> None:
    assert way(repeat).position_m(time_s) == pytest.approx(position_m, abs=ROUNDING * 100)
    assert way(repeat).velocity_m_s(time_s) == pytest.approx(velocity_m_s, abs=ROUNDING)


@pytest.mark.parametrize("repeat", ["once", "loop", "back_and_forth"])
def test_velocity_of_a_way_is_the_slope_of_its_position(repeat: Repeat) -> None:
    followed, step_s = way(repeat), 1e-6
    times_s = np.random.default_rng(3).uniform(0, 40, 200)
    before, after = (np.array([followed.position_m(t) for t in times_s + d]) for d in (-step_s, step_s))
    slope = (after - before) / (2 * step_s)
    at = np.array([followed.velocity_m_s(t) for t in times_s])
    # rounding of 20 m over 2e-6 s; none of the times drawn is that near to a corner
    np.testing.assert_allclose(at, slope, atol=1e-7)


def test_track_begins_with_its_first_row() -> None:
    late = way_from_track(np.array([100.0, 102.0, 105.0]), TRACK, "once")
    assert late.position_m(1.0) == pytest.approx((12.0, 0.0), abs=ROUNDING)


def test_track_that_stands_still_may_loop() -> None:
    still = way_from_track(np.array([0.0, 1.0]), np.array([[9.0, 1.0], [9.0, 1.0]]), "loop")
    assert still.position_m(3.7) == (9.0, 1.0)
    assert still.velocity_m_s(3.7) == (0.0, 0.0)


def test_legs_of_waypoints_last_as_their_speeds_and_times_say() -> None:
    followed = waypoints(
        WaypointSection(range_m=10.0, angle_deg=0.0, speed_m_s=4.0),
        WaypointSection(range_m=20.0, angle_deg=0.0, speed_m_s=2.0),
        WaypointSection(range_m=20.0, angle_deg=0.0, at_s=8.0),  # waits for three seconds
        WaypointSection(range_m=30.0, angle_deg=0.0, at_s=10.0),
        repeat="loop",
    )
    np.testing.assert_allclose(followed.time_s, [0, 5, 8, 10, 15], rtol=ROUNDING)
    assert followed.velocity_m_s(6.0) == (0.0, 0.0)
    assert followed.velocity_m_s(9.0) == pytest.approx((5.0, 0.0))
    assert followed.velocity_m_s(15.0 + 11.0) == pytest.approx((-4.0, 0.0))


def test_legs_are_straight_in_the_plane_and_not_in_range_and_angle() -> None:
    ends = [(20.0, -30.0), (20.0, 30.0)]
    followed = waypoints(
        WaypointSection(range_m=20.0, angle_deg=-30.0), WaypointSection(range_m=20.0, angle_deg=30.0, at_s=2.0)
    )
    middle = np.mean([point_m(r, math.radians(th)) for r, th in ends], axis=0)
    assert followed.position_m(1.0) == pytest.approx(tuple(middle), rel=ROUNDING)


@pytest.mark.parametrize(
    ("points", "said"),
    [
        ([(10.0, 0.0, 0.0), (4.0, 0.0, 1.0)], r"points\[1\]: expected a place within 5 \.\. 50 m and -60 \.\. 60 deg"),
        ([(10.0, 0.0, 0.0), (10.0, 61.0, 1.0)], r"points\[1\]: .*, got 10 m at 61 deg"),
        ([(6.0, -55.0, 0.0), (6.0, 55.0, 1.0)], r"points\[1\]: expected a straight way from points\[0\] .* at 3\.44"),
        ([(10.0, 0.0, 0.0), (20.0, 0.0, 2.0), (30.0, 0.0, 2.0)], r"points\[2\]: expected at_s after 2 s"),
    ],
)
def test_way_that_leaves_the_region_or_time_is_refused(points: list[tuple[float, float, float]], said: str) -> None:
    stops = [WaypointSection(range_m=r, angle_deg=th, at_s=at_s or None) for r, th, at_s in points]
    with pytest.raises(ValueError, match=said):
        waypoints(*stops)


def test_way_along_the_borders_of_the_region_is_none_that_leaves_it() -> None:
    corners = [(5.0, -60.0), (50.0, -60.0), (50.0, 60.0), (5.0, 60.0)]
    waypoints(*(WaypointSection(range_m=r, angle_deg=th, at_s=index or None) for index, (r, th) in enumerate(corners)))


def test_place_that_is_the_one_before_needs_a_time() -> None:
    with pytest.raises(ValueError, match=r"points\[1\]: expected at_s for a place that is the one before"):
        waypoints(
            WaypointSection(range_m=10.0, angle_deg=0.0), WaypointSection(range_m=10.0, angle_deg=0.0, speed_m_s=1.0)
        )


def test_user_on_a_straight_line_goes_on_for_ever() -> None:
    straight = Straight(start_m=(10.0, 1.0), speed_m_s=(1.0, -0.5))
    assert straight.position_m(100.0) == (110.0, -49.0)
    assert straight.velocity_m_s(100.0) == (1.0, -0.5)
