"""Random walks: the same at any time and in any order, at constant speed, within the region, with the turns asked for."""

import math

import numpy as np
import numpy.typing as npt
import pytest

from emulator.random_walk import BLOCK_STEPS, STEP_S, RandomWalk
from protocol.testbed import Region

Floats = npt.NDArray[np.float64]

REGION = Region(range_min_m=5.0, range_max_m=50.0, angle_min_rad=math.radians(-60), angle_max_rad=math.radians(60))
WIDE = Region(range_min_m=5.0, range_max_m=2e4, angle_min_rad=math.radians(-80), angle_max_rad=math.radians(80))
BLOCK_S = BLOCK_STEPS * STEP_S


def walk(
    number: int = 1,
    *,
    region: Region = REGION,
    start_m: tuple[float, float] = (20.0, 3.0),
    speed_m_s: float = 1.4,
    turn_rms_deg_s: float = 20.0,
    turn_time_s: float = 2.0,
) -> RandomWalk:
    return RandomWalk(
        start_m=start_m,
        speed_m_s=speed_m_s,
        turn_rms_rad_s=math.radians(turn_rms_deg_s),
        turn_time_s=turn_time_s,
        region=region,
        seed=(1, 2, number),
    )


def places(walked: RandomWalk, times_s: Floats) -> Floats:
    return np.array([(*walked.position_m(time_s), *walked.velocity_m_s(time_s)) for time_s in times_s.tolist()])


def test_walk_is_the_same_whatever_the_times_and_their_order() -> None:
    times_s = np.linspace(0, 6 * BLOCK_S, 500)
    in_order = places(walk(), times_s)
    shuffled = np.random.default_rng(1).permutation(times_s.size)
    np.testing.assert_array_equal(places(walk(), times_s[shuffled]), in_order[shuffled])
    np.testing.assert_array_equal(places(walk(), times_s[-1:]), in_order[-1:])  # at once


def test_walk_begins_where_it_is_told_to_and_others_go_elsewhere() -> None:
    assert walk().position_m(0.0) == (20.0, 3.0)
    assert math.dist(walk(1).position_m(60.0), walk(2).position_m(60.0)) > 1.0


@pytest.mark.parametrize("speed_m_s", [0.3, 1.4, 8.0])
@pytest.mark.parametrize("turn_rms_deg_s", [0.0, 20.0, 90.0])
@pytest.mark.parametrize("start_m", [(20.0, 3.0), (5.0, 0.0), (2.5, 2.5 * math.sqrt(3) - 1e-9)])
def test_walker_keeps_its_speed_and_never_leaves_the_region(
    speed_m_s: float, turn_rms_deg_s: float, start_m: tuple[float, float]
) -> None:
    walked = walk(speed_m_s=speed_m_s, turn_rms_deg_s=turn_rms_deg_s, start_m=start_m)
    x_m, y_m, vx_m_s, vy_m_s = places(walked, np.arange(0, 600, 0.037)).T
    range_m, angle_rad = np.hypot(x_m, y_m), np.arctan2(y_m, x_m)
    assert REGION.range_min_m - 1e-9 <= range_m.min() <= range_m.max() <= REGION.range_max_m
    assert REGION.angle_min_rad <= angle_rad.min() <= angle_rad.max() <= REGION.angle_max_rad + 1e-9
    # a cubic through an arc of half a radian at most is slower or faster by its fourth order
    np.testing.assert_allclose(np.hypot(vx_m_s, vy_m_s), speed_m_s, rtol=2e-3)


def test_velocity_is_the_slope_of_the_position_and_has_no_jumps() -> None:
    step_s = 1e-3
    times_s = np.arange(0, 3 * BLOCK_S, step_s)
    walked = places(walk(turn_rms_deg_s=60.0), times_s)
    position_m, velocity_m_s = walked[:, :2], walked[:, 2:]
    slope_m_s = (position_m[2:] - position_m[:-2]) / (2 * step_s)
    largest_m_s2 = 1.4 * 4.5 * math.radians(120)  # at twice the rms turned from borders, else by chance: 4.5 of its rms
    np.testing.assert_allclose(velocity_m_s[1:-1], slope_m_s, atol=largest_m_s2 * step_s)
    assert np.abs(np.diff(velocity_m_s, axis=0)).max() < largest_m_s2 * step_s


def test_turn_rates_have_the_rms_and_the_memory_asked_for() -> None:
    rms_rad_s, turn_time_s = math.radians(20.0), 2.0
    headings = []
    for number in range(20):
        far = walk(number, region=WIDE, start_m=(9e3, 0.0))  # no border is near
        velocity_m_s = places(far, STEP_S * np.arange(3000.0))[:, 2:]
        headings.append(np.unwrap(np.arctan2(velocity_m_s[:, 1], velocity_m_s[:, 0])))
    turns = np.diff(np.array(headings), axis=1) / STEP_S
    # 20 walks of 300 s have 3000 turns or so: 1.3 % by chance, and five times that
    assert np.sqrt((turns**2).mean()) == pytest.approx(rms_rad_s, rel=0.065)
    lag = round(turn_time_s / STEP_S)
    correlation = (turns[:, lag:] * turns[:, :-lag]).mean() / (turns**2).mean()
    assert correlation == pytest.approx(math.exp(-1), abs=0.09)  # five times what chance makes of 3000 turns


def test_walker_who_does_not_turn_goes_straight_on_until_a_border_is_near() -> None:
    straight = walk(turn_rms_deg_s=0.0, start_m=(27.0, 0.0))
    times_s = np.arange(0, 10, 0.1)
    x_m, y_m, vx_m_s, vy_m_s = places(straight, times_s).T
    np.testing.assert_allclose(x_m, 27.0 + times_s * vx_m_s[0], atol=1e-12)  # rounding of a hundred steps
    np.testing.assert_allclose(y_m, times_s * vy_m_s[0], atol=1e-12)
    later = places(straight, np.arange(0, 120, 0.1))[:, 2:]
    assert (later @ later[0] < 0).any(), "a border turns it round"


def test_walk_that_begins_outside_the_region_is_refused() -> None:
    with pytest.raises(ValueError, match=r"random_walk: expected a place within 5 \.\. 50 m .*, got 60 m at 0 deg"):
        walk(start_m=(60.0, 0.0))


def test_region_too_narrow_for_the_speed_is_refused() -> None:
    # 5 m times 120 deg are 10.5 m, of which a walker needs twelve steps
    with pytest.raises(ValueError, match=r"speed_m_s: expected at most 8\.72\d* in a region 10\.47\d* m wide, got 9"):
        walk(speed_m_s=9.0)
