import math

import numpy as np
import pytest

from emulator.config import EmulatorSection, ScattererSection, UserSection
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
