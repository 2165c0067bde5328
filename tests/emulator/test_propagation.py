import numpy as np
import pytest

from emulator.propagation import free_space_gain, linear_element_delay_s, sector_element_delay_s, separation_m
from protocol.testbed import SPEED_OF_LIGHT_M_S, default_facts
from tests.oracles import linear_distance_m, sector_distance_m

C_M_S = SPEED_OF_LIGHT_M_S
# A few roundings of a double in another order of operations.
ROUNDING = 1e-14


@pytest.mark.parametrize(("range_m", "angle_rad"), [(5.0, -1.0), (50.0, 0.7), (2.0, 0.0)])
def test_delays_are_the_exact_distances(range_m: float, angle_rad: float) -> None:
    facts = default_facts()
    linear_m = linear_element_delay_s(facts.downlink.array, range_m, angle_rad, C_M_S) * C_M_S
    sector_m = sector_element_delay_s(facts.uplink.array, range_m, angle_rad, C_M_S) * C_M_S
    expected_m = linear_distance_m(facts.downlink.array.element_x_m, range_m, angle_rad)
    np.testing.assert_allclose(linear_m, expected_m, rtol=ROUNDING)
    np.testing.assert_allclose(sector_m, sector_distance_m(facts.uplink, range_m, angle_rad), rtol=ROUNDING)


def test_user_on_an_elements_side_is_nearer_to_it() -> None:
    delay_s = linear_element_delay_s(default_facts().downlink.array, 10.0, 0.5, C_M_S)
    assert (np.diff(delay_s) < 0).all()


def test_free_space_gain_of_100_ghz_at_10_m_is_92_4_db_of_loss() -> None:
    # 32.45 + 20 lg(100e3 MHz) + 20 lg(0.01 km) = 92.45 dB, the engineering formula, itself rounded to 0.01 dB
    gain = free_space_gain(np.array([100e9, 50e9]), 10.0, C_M_S)
    np.testing.assert_allclose(-20 * np.log10(gain), [92.45, 86.43], atol=0.01)


def test_separation_obeys_a_right_triangle() -> None:
    # 3 m at 0 and 4 m at 90 deg; a few roundings
    assert separation_m(3.0, 0.0, 4.0, np.pi / 2) == pytest.approx(5.0, rel=ROUNDING)
