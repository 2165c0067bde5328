import numpy as np
import pytest

from protocol.conformance.case import UnsupportedError
from protocol.conformance.reference_radio import deviations, likeness, nearest
from protocol.conformance.scene import places

FRONT_END = {"phase_bits": 2, "delay_step_s": 1e-9, "delay_span_s": 10.4e-9}
SCENE: dict[str, object] = {
    "users": {"ue-1": {"range_m": 2.0, "angle_deg": 30.0}},
    "downlink_noise": {"mode": "none"},
    "uplink_noise": {"mode": "sweep_mean", "snr_db": 60},
}


def test_nearest_setting_wraps_phases_and_ends_with_the_last_whole_step_of_the_span() -> None:
    setting = np.array([[0.3, 0.9, -0.2]]), np.array([[0.4e-9, 1.6e-9, 10.4e-9]])
    phase_cycles, delay_s = nearest(setting, FRONT_END)
    np.testing.assert_allclose(phase_cycles % 1, [[0.25, 0.0, 0.75]], rtol=0, atol=1e-15)
    np.testing.assert_allclose(delay_s, [[0.0, 2e-9, 10e-9]], rtol=1e-15)
    assert deviations(setting, FRONT_END) == pytest.approx((0.1, 0.4e-9))
    continuous = {**FRONT_END, "phase_bits": 0, "delay_step_s": 0.0}
    assert deviations(setting, continuous) == (0.0, 0.0)


def test_likeness_is_blind_to_a_factor_and_a_delay_and_sees_a_conjugate() -> None:
    rng = np.random.default_rng(1)
    wanted = rng.standard_normal(128) + 1j * rng.standard_normal(128)
    moved = 3e-4j * wanted * np.exp(2j * np.pi * 0.123 * np.arange(128))
    assert likeness(moved, wanted) > 1 - 2e-5  # the grid of delays costs 6e-6 where the delay lies between two
    assert likeness(np.conj(moved), wanted) < 0.5  # the largest of 128 independent sums over 128 samples is about 0.2


def test_place_of_a_user_is_seen_from_the_arrays() -> None:
    assert places(SCENE)["ue-1"].position_m == pytest.approx((np.sqrt(3), 1.0))


@pytest.mark.parametrize(
    "more",
    [
        {"uplink_noise": {"mode": "sweep_mean", "snr_db": 10.0}},
        {"front_end": {"errors": {"dead_fraction": 0.1}}},
        {"scatterers": []},
        {"users": {"ue-1": {"range_m": 2.0, "angle_deg": 30.0, "paths": "mixed"}}},
        {"users": {}},
    ],
)
def test_scene_with_more_than_users_in_line_of_sight_has_no_known_places(more: dict[str, object]) -> None:
    with pytest.raises(UnsupportedError):
        places(SCENE | more)
