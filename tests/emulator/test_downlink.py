import numpy as np
import numpy.typing as npt
import pytest

from emulator.downlink import SMALL_GROUP_SUBCARRIERS, DownlinkEmulator
from emulator.scene import Position
from protocol.testbed import SPEED_OF_LIGHT_M_S, Downlink, Setting, default_facts
from tests.oracles import dense_sweep, linear_distance_m

Floats = npt.NDArray[np.float64]

# What the emulator promises: its transform is asked for 1e-10, and errors add up over a group's bins.
SWEEP_ERROR = 1e-8
C_M_S = SPEED_OF_LIGHT_M_S


def trajectory(downlink: Downlink, start: tuple[float, float], end: tuple[float, float]) -> tuple[Floats, Floats]:
    """Phases and delays of one sweep between two points, range in m and angle in rad [CBS, eq. (7)]."""
    grid, x_m = downlink.grid, downlink.array.element_x_m
    start_m, end_m = linear_distance_m(x_m, *start), linear_distance_m(x_m, *end)
    delay_s = (grid.last_hz * end_m - grid.first_hz * start_m) / (C_M_S * (grid.last_hz - grid.first_hz))
    return grid.first_hz * start_m / C_M_S, delay_s - delay_s.min()


def angle_sweep(downlink: Downlink) -> Setting:
    phase_cycles, delay_s = trajectory(downlink, (5.0, np.pi / 3), (5.0, -np.pi / 3))
    return Setting(phase_cycles=phase_cycles[np.newaxis], delay_s=delay_s[np.newaxis])


def focused_groups(downlink: Downlink, groups: int) -> Setting:
    foci = [(5.0, angle_rad) for angle_rad in np.linspace(0.2, 0.24, groups)]
    distance_m = np.array([linear_distance_m(downlink.array.element_x_m, *focus) for focus in foci])
    return Setting(
        phase_cycles=downlink.grid.first_hz * distance_m / C_M_S, delay_s=distance_m / C_M_S, groups_per_pilot=groups
    )


def relative_error(downlink: Downlink, setting: Setting, range_m: float, angle_rad: float, visible: Floats) -> float:
    emulator = DownlinkEmulator(downlink, C_M_S)
    ours = emulator.received(setting, Position(range_m=range_m, angle_rad=angle_rad), visible)
    dense = dense_sweep(downlink, setting, range_m, angle_rad, visible, C_M_S)
    return float(np.linalg.norm(ours - dense) / np.linalg.norm(dense))


@pytest.mark.parametrize(("range_m", "angle_rad"), [(5.0, np.pi / 3), (15.0, 0.1), (50.0, -1.0)])
@pytest.mark.parametrize("subarrays", [(0, 1, 2, 3), (2,), (0, 3)])
def test_full_size_sweep_is_the_dense_sum(range_m: float, angle_rad: float, subarrays: tuple[int, ...]) -> None:
    downlink = default_facts().downlink
    visible = np.isin(downlink.array.element_subarray, subarrays).astype(np.float64)
    assert relative_error(downlink, angle_sweep(downlink), range_m, angle_rad, visible) <= SWEEP_ERROR


@pytest.mark.parametrize("groups", [2, 8, 32, 64, 2048])
def test_sweep_of_many_groups_is_the_dense_sum(groups: int) -> None:
    downlink = default_facts().downlink
    setting = focused_groups(downlink, groups)
    assert relative_error(downlink, setting, 12.0, 0.22, np.ones(512)) <= SWEEP_ERROR


def test_both_ways_of_adding_up_groups_are_tried_above() -> None:
    sizes = [2048 // groups for groups in (2, 8, 32, 64, 2048)]
    assert min(sizes) <= SMALL_GROUP_SUBCARRIERS < max(sizes)


def test_odd_number_of_subcarriers_and_fractional_mask_are_the_dense_sum() -> None:
    downlink = default_facts(subcarriers=405, elements=64).downlink
    visible = np.random.default_rng(5).random(64)
    assert relative_error(downlink, angle_sweep(downlink), 6.0, -0.4, visible) <= SWEEP_ERROR
    assert relative_error(downlink, focused_groups(downlink, 3), 6.0, 0.2, visible) <= SWEEP_ERROR


def test_reused_emulator_gives_the_same_sweep_again() -> None:
    downlink = default_facts().downlink
    emulator, near, far = DownlinkEmulator(downlink, C_M_S), (5.0, 0.1), (40.0, -0.7)
    setting, visible = angle_sweep(downlink), np.ones(512)
    sweeps = [
        emulator.received(setting, Position(range_m=range_m, angle_rad=angle_rad), visible)
        for range_m, angle_rad in (near, far, near)
    ]
    np.testing.assert_array_equal(sweeps[0], sweeps[2])  # exact: the same arithmetic on the same numbers
    assert not np.allclose(sweeps[0], sweeps[1])


def test_hidden_user_receives_nothing() -> None:
    downlink = default_facts().downlink
    emulator = DownlinkEmulator(downlink, C_M_S)
    samples = emulator.received(angle_sweep(downlink), Position(range_m=9.0, angle_rad=0.0), np.zeros(512))
    assert not samples.any()


def test_setting_for_another_array_is_refused() -> None:
    downlink = default_facts().downlink
    setting = angle_sweep(default_facts(elements=256).downlink)
    with pytest.raises(ValueError, match="512 elements expected"):
        DownlinkEmulator(downlink, C_M_S).received(setting, Position(range_m=9.0, angle_rad=0.0), np.ones(512))


def test_groups_that_do_not_divide_the_grid_are_refused() -> None:
    downlink = default_facts().downlink
    with pytest.raises(ValueError, match="cannot be cut into 3"):
        relative_error(downlink, focused_groups(downlink, 3), 9.0, 0.0, np.ones(512))
