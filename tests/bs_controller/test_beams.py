"""Settings from foci, foci from settings, and what a front end makes of a setting."""

import msgspec
import numpy as np
import pytest

from bs_controller.beams import (
    SettingDoesNotFitError,
    common_delay_s,
    fitted,
    focus_of_subcarrier,
    setting_from_focus,
    squinted_focus_of_subcarrier,
)
from bs_controller.sweeps import GroupFoci, Trajectory
from protocol.testbed import FrontEndLimits, Setting, TestbedFacts, default_facts
from tests.bs_controller.driving import facts_of_the_figures, swept_samples
from tests.oracles import dense_sweep, linear_distance_m, setting_weight

SMALL = default_facts(subcarriers=24, elements=64)
SWEEP = Trajectory(start_range_m=5.0, start_angle_rad=np.pi / 3, end_range_m=5.0, end_angle_rad=-np.pi / 3)
FOCI = GroupFoci(range_m=(5.0, 12.0, 40.0), angle_rad=(0.5, -0.2, 1.0), groups_per_pilot=3)
LIMITS = FrontEndLimits(elements=64, groups=1, phase_bits=0, delay_step_s=0.0, delay_span_s=1e-7, settle_s=0.0)


def gain_at(setting: Setting, facts: TestbedFacts, subcarrier: int, range_m: float, angle_rad: float) -> float:
    """Amplitude per unit path, divided by that of a perfect focus."""
    f_hz, x_m = facts.downlink.grid.frequency_hz[subcarrier], facts.downlink.array.element_x_m
    wave = np.exp(2j * np.pi * f_hz * linear_distance_m(x_m, range_m, angle_rad) / facts.speed_of_light_m_s)
    return float(abs(wave @ setting_weight(facts.downlink, setting)[:, subcarrier]) / np.sqrt(x_m.size))


@pytest.mark.parametrize(("subcarrier", "range_m", "angle_rad"), [(0, 5.0, np.pi / 3), (23, 5.0, -np.pi / 3)])
def test_trajectory_focuses_its_first_and_last_subcarrier_on_its_ends(
    subcarrier: int, range_m: float, angle_rad: float
) -> None:
    # 1e-9: phases of 1e4 rad in double precision, averaged over the elements
    assert gain_at(setting_from_focus(SWEEP, SMALL), SMALL, subcarrier, range_m, angle_rad) == pytest.approx(
        1, abs=1e-9
    )


def test_every_subcarrier_of_a_group_focuses_on_the_point_of_the_group() -> None:
    setting = setting_from_focus(FOCI, SMALL)
    for subcarrier in range(24):
        group = subcarrier // 8
        gain = gain_at(setting, SMALL, subcarrier, FOCI.range_m[group], FOCI.angle_rad[group])
        assert gain == pytest.approx(1, abs=1e-9)  # as above


def test_phases_are_within_one_cycle_and_delays_start_at_zero() -> None:
    for focus in (SWEEP, FOCI):
        setting = setting_from_focus(focus, SMALL)
        assert ((setting.phase_cycles >= 0) & (setting.phase_cycles < 1)).all()
        assert (setting.delay_s.min(axis=1) == 0).all()


def test_removed_delay_plus_setting_is_the_delay_of_the_paper() -> None:
    setting, common_s = setting_from_focus(FOCI, SMALL), common_delay_s(FOCI, SMALL)
    distance_m = linear_distance_m(SMALL.downlink.array.element_x_m, 12.0, -0.2)
    np.testing.assert_allclose(
        setting.delay_s[1] + common_s[1], distance_m / SMALL.speed_of_light_m_s, rtol=1e-14
    )  # two roundings


def test_groups_per_pilot_is_passed_on() -> None:
    assert setting_from_focus(FOCI, SMALL).groups_per_pilot == 3
    assert setting_from_focus(SWEEP, SMALL).groups_per_pilot == 1


def test_groups_that_do_not_divide_the_subcarriers_are_refused() -> None:
    with pytest.raises(ValueError, match="24 subcarriers cannot be cut into 5"):
        setting_from_focus(GroupFoci(range_m=(5.0,) * 5, angle_rad=(0.0,) * 5, groups_per_pilot=1), SMALL)


def test_focus_at_no_range_is_refused() -> None:
    with pytest.raises(ValueError, match="positive finite ranges, got 0 to 0 m"):
        setting_from_focus(GroupFoci(range_m=(0.0,), angle_rad=(0.0,), groups_per_pilot=1), SMALL)


def test_figure_3_foci_of_trajectory_2_are_those_printed() -> None:
    trajectory = Trajectory(start_range_m=20.0, start_angle_rad=np.pi / 3, end_range_m=20.0, end_angle_rad=0.0)
    range_m, angle_rad = focus_of_subcarrier(trajectory, facts_of_the_figures(20))
    # half a unit of the last digit of [CBS, Fig. 3]
    np.testing.assert_allclose(range_m[[4, 15]], [26.21, 22.83], atol=0.005)
    np.testing.assert_allclose(np.rad2deg(angle_rad[[4, 15]]), [42.45, 10.01], atol=0.005)


def test_figure_3_last_focus_of_phase_shifters_alone_is_the_one_printed() -> None:
    range_m, angle_rad = squinted_focus_of_subcarrier(10.0, np.deg2rad(75), facts_of_the_figures(20))
    assert (range_m[0], angle_rad[0]) == pytest.approx((10.0, np.deg2rad(75)))
    # half a unit of the last digit of [CBS, section II-B]
    assert (range_m[-1], np.rad2deg(angle_rad[-1])) == pytest.approx((27.29, 65.48), abs=0.005)


def test_exact_gain_peaks_where_the_inverse_says() -> None:
    # 512 elements, so that the beam is narrow; 20 m, where the second-order inverse is good to a few millimetres
    facts = default_facts(subcarriers=8)
    trajectory = Trajectory(start_range_m=20.0, start_angle_rad=0.9, end_range_m=15.0, end_angle_rad=-0.3)
    setting, (range_m, angle_rad) = setting_from_focus(trajectory, facts), focus_of_subcarrier(trajectory, facts)
    for subcarrier in range(8):
        gain = gain_at(setting, facts, subcarrier, float(range_m[subcarrier]), float(angle_rad[subcarrier]))
        assert gain > 0.99  # the expansion's cubic term costs less than 1 %


def test_beam_that_does_not_converge_focuses_at_infinity() -> None:
    trajectory = Trajectory(start_range_m=np.inf, start_angle_rad=0.3, end_range_m=np.inf, end_angle_rad=-0.3)
    assert np.isinf(focus_of_subcarrier(trajectory, SMALL)[0]).all()


def test_angles_of_a_trajectory_run_from_end_to_end_even_at_the_arrays_axis() -> None:
    trajectory = Trajectory(start_range_m=5.0, start_angle_rad=np.pi / 2, end_range_m=5.0, end_angle_rad=-np.pi / 2)
    angle_rad = focus_of_subcarrier(trajectory, SMALL)[1]
    assert (np.diff(angle_rad) < 0).all()
    assert (angle_rad[0], angle_rad[-1]) == pytest.approx((np.pi / 2, -np.pi / 2))


def test_synthesis_used_by_these_tests_agrees_with_the_oracle() -> None:
    for focus in (SWEEP, FOCI):
        setting = setting_from_focus(focus, SMALL)
        c = SMALL.speed_of_light_m_s
        dense = dense_sweep(SMALL.downlink, setting, 7.0, 0.3, np.ones(64), c)
        beta = c / (4 * np.pi * SMALL.downlink.grid.frequency_hz * 7.0)
        fast = swept_samples(setting, SMALL, 7.0, 0.3)
        np.testing.assert_allclose(fast, dense / beta, atol=1e-8)  # the transform asks for 1e-12 of a sum of 8


def test_continuous_front_end_applies_the_setting_unchanged() -> None:
    setting = setting_from_focus(SWEEP, SMALL)
    applied = fitted(setting, LIMITS)
    np.testing.assert_array_equal(applied.phase_cycles, setting.phase_cycles)
    np.testing.assert_array_equal(applied.delay_s, setting.delay_s)


def test_quantised_setting_lies_on_the_steps_and_within_half_of_one() -> None:
    setting = setting_from_focus(SWEEP, SMALL)
    applied = fitted(setting, msgspec.structs.replace(LIMITS, phase_bits=3, delay_step_s=3e-12))
    deviation = (applied.phase_cycles - setting.phase_cycles + 0.5) % 1 - 0.5
    assert np.abs(deviation).max() <= 1 / 16
    assert ((applied.phase_cycles >= 0) & (applied.phase_cycles < 1)).all()
    np.testing.assert_array_equal(applied.phase_cycles * 8 % 1, 0)
    assert np.abs(applied.delay_s - setting.delay_s).max() <= 1.5e-12 * (1 + 1e-9)  # rounding of the product


def test_rounding_a_delay_never_leaves_the_span() -> None:
    setting = Setting(phase_cycles=np.zeros((1, 64)), delay_s=np.linspace(0, 9.9e-9, 64)[np.newaxis])
    limits = msgspec.structs.replace(LIMITS, delay_step_s=2e-9, delay_span_s=9.9e-9)
    assert fitted(setting, limits).delay_s.max() == pytest.approx(8e-9)


def test_span_of_one_full_sweep_is_refused_by_a_practical_front_end() -> None:
    facts = default_facts()
    limits = msgspec.structs.replace(LIMITS, elements=512, delay_span_s=15e-9)
    with pytest.raises(
        SettingDoesNotFitError, match=r"delay span of 7\.37\S+ s, the front end has 1\.5e-08 s"
    ) as raised:
        fitted(setting_from_focus(SWEEP, facts), limits)
    # 511 half wavelengths times 2 sin(60 deg) times fc/B: 74 ns
    assert raised.value.value == pytest.approx(74e-9, rel=0.01)
    assert (raised.value.limit, raised.value.unit) == (15e-9, "s")


def test_setting_for_another_array_is_refused() -> None:
    with pytest.raises(SettingDoesNotFitError, match="64 elements, the front end has 32 elements"):
        fitted(setting_from_focus(SWEEP, SMALL), msgspec.structs.replace(LIMITS, elements=32))


def test_negative_delay_is_refused() -> None:
    setting = Setting(phase_cycles=np.zeros((1, 64)), delay_s=np.full((1, 64), -1e-9))
    with pytest.raises(SettingDoesNotFitError, match="smallest delay of -1e-09 s"):
        fitted(setting, LIMITS)
