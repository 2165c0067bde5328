"""The controller's forward model and the emulator's channel, written apart, say the same."""

import numpy as np
import pytest

from bs_controller.beams import fitted, setting_from_focus
from bs_controller.grouped_response import GroupedResponse
from bs_controller.response import DownlinkResponse
from bs_controller.sweeps import GroupFoci, Trajectory
from emulator.downlink import DownlinkEmulator
from emulator.scene import Position
from protocol.testbed import FrontEndLimits, Setting, default_facts

FACTS = default_facts()
FORWARD = Trajectory(start_range_m=5.0, start_angle_rad=1.08, end_range_m=5.0, end_angle_rad=-1.08)
REVERSE = Trajectory(start_range_m=5.0, start_angle_rad=-1.08, end_range_m=5.0, end_angle_rad=1.08)
IN_RANGE = Trajectory(start_range_m=50.0, start_angle_rad=0.31, end_range_m=5.0, end_angle_rad=0.31)
COARSE = FrontEndLimits(elements=512, groups=1, phase_bits=4, delay_step_s=3e-12, delay_span_s=100e-9, settle_s=0.0)
# The transforms promise 1e-9 and 1e-10 of the tones they add up. A sweep that lights the user brings at
# least what they are without any alignment; one that misses it leaves 3 % of that, and the error with it.
TOLERANCE = 1e-8


def relative_difference(setting: Setting, range_m: float, angle_rad: float, visible: tuple[int, ...]) -> float:
    array = FACTS.downlink.array
    mask = np.isin(array.element_subarray, visible).astype(np.float64)
    emulator = DownlinkEmulator(FACTS.downlink, FACTS.speed_of_light_m_s)
    theirs = emulator.received(setting, Position(range_m=range_m, angle_rad=angle_rad), mask)
    response = DownlinkResponse(FACTS, setting)
    ours = response.gain(range_m) * response.value(range_m, angle_rad)[list(visible)].sum(axis=0)
    unaligned = response.gain(range_m) * np.sqrt(mask.mean() * theirs.size)
    return float(np.linalg.norm(ours - theirs) / max(np.linalg.norm(theirs), unaligned))


@pytest.mark.parametrize("sweep", [FORWARD, REVERSE, IN_RANGE])
@pytest.mark.parametrize(("range_m", "angle_rad"), [(5.0, 1.04), (15.0, 0.31), (50.0, -1.0)])
def test_response_times_gain_is_what_the_emulator_receives(sweep: Trajectory, range_m: float, angle_rad: float) -> None:
    setting = setting_from_focus(sweep, FACTS)
    assert relative_difference(setting, range_m, angle_rad, (0, 1, 2, 3)) < TOLERANCE


@pytest.mark.parametrize("visible", [(0,), (1, 3), (1, 2, 3)])
def test_both_hide_the_same_subarrays(visible: tuple[int, ...]) -> None:
    assert relative_difference(setting_from_focus(FORWARD, FACTS), 12.0, -0.4, visible) < TOLERANCE


def test_both_mean_the_same_by_a_rounded_setting() -> None:
    setting = fitted(setting_from_focus(FORWARD, FACTS), COARSE)
    assert relative_difference(setting, 12.0, -0.4, (0, 1, 2, 3)) < TOLERANCE


def test_both_join_groups_of_subcarriers_to_the_same_sweep() -> None:
    ranges_m = tuple(np.linspace(6, 20, 16).tolist())
    setting = setting_from_focus(GroupFoci(range_m=ranges_m, angle_rad=(0.3,) * 16, groups_per_pilot=1), FACTS)
    mask = np.isin(FACTS.downlink.array.element_subarray, (0, 2, 3)).astype(np.float64)
    emulator = DownlinkEmulator(FACTS.downlink, FACTS.speed_of_light_m_s)
    theirs = emulator.received(setting, Position(range_m=11.0, angle_rad=0.31), mask)
    response = GroupedResponse(FACTS, setting)
    ours = response.gain(11.0) * response.seen_with_derivatives(11.0, 0.31, (0, 2, 3)).value
    assert np.linalg.norm(ours - theirs) < TOLERANCE * np.linalg.norm(theirs)
