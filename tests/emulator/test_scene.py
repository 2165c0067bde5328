import math

import numpy as np
import pytest

from emulator.config import (
    EmulatorSection,
    RandomWalkSection,
    RecordedSection,
    ScattererSection,
    UserSection,
    WaypointSection,
    WaypointsSection,
)
from emulator.motion import way_from_track
from emulator.scene import Position, Scene
from protocol.testbed import default_facts

# A few roundings of sine, cosine and square root.
ROUNDING = 1e-14


def scene(**users: UserSection) -> Scene:
    return Scene.from_section(EmulatorSection(users=users), default_facts())


def test_user_without_velocity_stays() -> None:
    still = scene(a=UserSection(range_m=15.0, angle_deg=30.0))
    assert still.position("a", 0.0) == still.position("a", 1e6)
    assert still.position("a", 0.0) == Position(range_m=15.0, angle_rad=math.radians(30.0))


def test_user_walks_straight_along_the_array() -> None:
    walker = scene(a=UserSection(range_m=4.0, angle_deg=0.0, velocity_m_s=(0.0, 1.5)))
    position = walker.position("a", 2.0)  # x = 4 m, y = 3 m
    assert position.range_m == pytest.approx(5.0, rel=ROUNDING)
    assert position.angle_rad == pytest.approx(math.atan2(3.0, 4.0), rel=ROUNDING)


def test_user_walks_outwards_along_broadside() -> None:
    walker = scene(a=UserSection(range_m=10.0, angle_deg=0.0, velocity_m_s=(2.0, 0.0)))
    assert walker.position("a", 3.0) == Position(range_m=16.0, angle_rad=0.0)


def test_user_that_walked_behind_the_array_is_refused() -> None:
    walker = scene(a=UserSection(range_m=10.0, angle_deg=0.0, velocity_m_s=(-2.0, 0.0)))
    with pytest.raises(ValueError, match="in front of the array"):
        walker.position("a", 5.0)


WALK = RandomWalkSection(speed_m_s=1.4)


def test_user_with_waypoints_is_where_its_way_leads() -> None:
    stops = (WaypointSection(range_m=10.0, angle_deg=0.0), WaypointSection(range_m=20.0, angle_deg=0.0, speed_m_s=5.0))
    walker = scene(a=UserSection(motion=WaypointsSection(points=stops, repeat="once")))
    assert walker.position("a", 1.0) == Position(range_m=15.0, angle_rad=0.0)
    assert walker.velocity_m_s("a", 1.0) == (5.0, 0.0)


def test_user_with_a_recorded_track_is_where_it_was_recorded() -> None:
    track = way_from_track(np.array([0.0, 2.0]), np.array([[10.0, 0.0], [10.0, 5.0]]), "once")
    section = EmulatorSection(users={"a": UserSection(motion=RecordedSection(file="track.csv"))})
    walker = Scene.from_section(section, default_facts(), {"a": track})
    assert walker.position("a", 2.0).range_m == pytest.approx(math.hypot(10.0, 5.0), rel=ROUNDING)
    with pytest.raises(ValueError, match=r"user 'a': file: expected the track track\.csv to be read"):
        Scene.from_section(section, default_facts())


def test_random_walk_begins_at_the_users_place_and_depends_on_its_name_and_the_seed_alone() -> None:
    user = UserSection(range_m=15.0, angle_deg=30.0, motion=WALK)
    alone, among = scene(a=user), scene(b=user, a=user, c=UserSection(range_m=5.0, angle_deg=0.0))
    assert alone.position("a", 0.0).range_m == pytest.approx(15.0, rel=ROUNDING)
    assert alone.position("a", 50.0) == among.position("a", 50.0) != among.position("b", 50.0)
    other = Scene.from_section(EmulatorSection(users={"a": user}, seed=2), default_facts())
    assert other.position("a", 50.0) != alone.position("a", 50.0)


@pytest.mark.parametrize("motion", [None, WALK])
def test_drawn_places_are_uniform_over_the_region(motion: RandomWalkSection | None) -> None:
    region = default_facts().region
    crowd = scene(**{f"u{k}": UserSection(range_m="drawn", angle_deg="drawn", motion=motion) for k in range(400)})
    found = [crowd.position(name, 0.0) for name in crowd.names]
    for values, low, high in (
        ([one.range_m for one in found], region.range_min_m, region.range_max_m),
        ([one.angle_rad for one in found], region.angle_min_rad, region.angle_max_rad),
    ):
        shares = (np.sort(values) - low) / (high - low)
        # Kolmogorov-Smirnov: 1.95 / sqrt(400) is exceeded once in a thousand
        assert np.abs(shares - np.arange(1, 401) / 401).max() < 0.0975


def test_fixed_range_leaves_the_angle_that_is_drawn() -> None:
    drawn = scene(a=UserSection(range_m="drawn", angle_deg="drawn")).position("a", 0.0)
    assert scene(a=UserSection(range_m=9.0, angle_deg="drawn")).position("a", 0.0) == Position(
        range_m=9.0, angle_rad=drawn.angle_rad
    )


def test_user_at_rest_has_no_velocity() -> None:
    assert scene(a=UserSection(range_m=9.0, angle_deg=0.0)).velocity_m_s("a", 3.0) == (0.0, 0.0)
    walker = scene(a=UserSection(range_m=9.0, angle_deg=0.0, velocity_m_s=(0.5, -1.0)))
    assert walker.velocity_m_s("a", 3.0) == (0.5, -1.0)


def test_names_keep_the_order_of_the_file_and_others_are_unknown() -> None:
    user = UserSection(range_m=10.0, angle_deg=0.0)
    assert scene(b=user, a=user).names == ("b", "a")
    with pytest.raises(KeyError):
        scene(a=user).position("c", 0.0)


def test_mask_is_one_on_the_visible_subarrays_only() -> None:
    mask = scene(a=UserSection(range_m=10.0, angle_deg=0.0, visible_subarrays=(1, 3))).visible("a")
    np.testing.assert_array_equal(mask, np.repeat([0.0, 1.0, 0.0, 1.0], 128))
    assert scene(a=UserSection(range_m=10.0, angle_deg=0.0)).visible("a").all()


def test_subarray_outside_the_array_is_refused() -> None:
    with pytest.raises(ValueError, match=r"user 'a': sub-arrays must lie in 0\.\.3, got \[4\]"):
        scene(a=UserSection(range_m=10.0, angle_deg=0.0, visible_subarrays=(0, 4)))


def test_position_that_is_not_in_front_of_the_array_is_refused() -> None:
    with pytest.raises(ValueError, match="positive and finite"):
        scene(a=UserSection(range_m=0.0, angle_deg=0.0))
    with pytest.raises(ValueError, match="in front of the array"):
        scene(a=UserSection(range_m=1.0, angle_deg=120.0))


@pytest.mark.parametrize("sign", [1, -1])
def test_carrier_offset_beyond_a_hundredth_of_the_spacing_is_refused(sign: int) -> None:
    spacing_hz = default_facts().downlink.grid.spacing_hz
    scene(a=UserSection(range_m=1.0, angle_deg=0.0, carrier_offset_hz=0.0099 * sign * spacing_hz))
    with pytest.raises(ValueError, match="user 'a': carrier_offset_hz must lie within"):
        scene(a=UserSection(range_m=1.0, angle_deg=0.0, carrier_offset_hz=0.0101 * sign * spacing_hz))


def test_scatterers_gain_is_in_decibels_of_power_with_a_phase() -> None:
    section = EmulatorSection(
        users={}, scatterers=(ScattererSection(range_m=8.0, angle_deg=-20.0, gain_db=-6.0, phase_deg=90.0),)
    )
    (scatterer,) = Scene.from_section(section, default_facts()).scatterers
    assert scatterer.position == Position(range_m=8.0, angle_rad=math.radians(-20.0))
    assert scatterer.gain == pytest.approx(1j * 10**-0.3, abs=ROUNDING)
