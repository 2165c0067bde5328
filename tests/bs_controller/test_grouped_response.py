import numpy as np
import numpy.typing as npt
import pytest

from bs_controller.beams import setting_from_focus
from bs_controller.grouped_response import GroupedResponse
from bs_controller.sweeps import GroupFoci
from protocol.testbed import Setting, default_facts

Indices = npt.NDArray[np.intp]
ComplexArray = npt.NDArray[np.complex128]

FACTS = default_facts()
RANGE_M, ANGLE_RAD = 11.0, 0.31


def setting(groups: int, nearest_m: float = 6.0) -> Setting:
    ranges_m = tuple(np.linspace(nearest_m, 20, groups).tolist())
    foci = GroupFoci(range_m=ranges_m, angle_rad=(0.3,) * groups, groups_per_pilot=groups)
    return setting_from_focus(foci, FACTS)


def test_derivatives_are_those_of_differences() -> None:
    response, visible = GroupedResponse(FACTS, setting(4)), (0, 2, 3)
    at = response.seen_with_derivatives(RANGE_M, ANGLE_RAD, visible)
    for step, slope in (((1e-5, 0.0), at.by_range_m), ((0.0, 1e-7), at.by_angle_rad)):
        ahead, behind = (
            response.seen_with_derivatives(RANGE_M + sign * step[0], ANGLE_RAD + sign * step[1], visible).value
            for sign in (1, -1)
        )
        difference = (ahead - behind) / (2 * max(step))
        # steps of 1/50 rad of carrier phase err by its square, 1e-4; the transforms' 1e-9 over the steps by less
        assert np.linalg.norm(difference - slope) < 3e-4 * np.linalg.norm(slope)


def dense_rows(joined: Setting, subcarriers: Indices, group: int, visible: tuple[int, ...]) -> ComplexArray:
    """Value and slopes as sums over elements written out, ``(kind, subcarrier)``."""
    grid, array, c_m_s = FACTS.downlink.grid, FACTS.downlink.array, FACTS.speed_of_light_m_s
    x_m, f_hz = array.element_x_m, grid.frequency_hz[subcarriers, np.newaxis]
    r_m = np.sqrt(RANGE_M**2 + x_m**2 - 2 * RANGE_M * x_m * np.sin(ANGLE_RAD))
    by_range, by_angle = (RANGE_M - x_m * np.sin(ANGLE_RAD)) / r_m, -RANGE_M * x_m * np.cos(ANGLE_RAD) / r_m
    cycles = f_hz * r_m / c_m_s - joined.phase_cycles[group] - (f_hz - grid.first_hz) * joined.delay_s[group]
    seen = np.isin(array.element_subarray, visible)
    tones = seen * np.exp(2j * np.pi * cycles) * grid.first_hz / (f_hz * np.sqrt(x_m.size))
    turn_m = 2j * np.pi * f_hz / c_m_s
    rows: ComplexArray = np.stack([tones, turn_m * by_range * tones, turn_m * by_angle * tones]).sum(axis=-1)
    return rows


@pytest.mark.parametrize("groups", [1, 2, 32, 1024])
@pytest.mark.parametrize("visible", [(0, 1, 2, 3), (1, 3)])
def test_each_group_is_the_sum_over_elements_of_its_own_setting(groups: int, visible: tuple[int, ...]) -> None:
    joined, size = setting(groups), FACTS.downlink.grid.count // groups
    rows = GroupedResponse(FACTS, joined).seen_with_derivatives(RANGE_M, ANGLE_RAD, visible).rows
    for group in sorted({0, groups // 3, groups - 1}):
        own = np.arange(group * size, (group + 1) * size)
        expected = dense_rows(joined, own, group, visible)
        error = np.linalg.norm(rows[:, own] - expected, axis=1) / np.linalg.norm(expected, axis=1)
        # phases of up to 1e5 rad are rounded to 1e-11
        assert error.max() < 1e-10


def test_response_steered_to_another_setting_is_that_setting_s_own() -> None:
    steered = GroupedResponse(FACTS, setting(8, 7.0)).steered(setting(8))
    fresh = GroupedResponse(FACTS, setting(8))
    values = [one.seen_with_derivatives(RANGE_M, ANGLE_RAD, (1,)).value for one in (steered, fresh)]
    np.testing.assert_array_equal(values[0], values[1])


def test_setting_of_other_groups_is_refused() -> None:
    thirds = np.zeros((3, 512))
    with pytest.raises(ValueError, match="cut into 3 equal groups"):
        GroupedResponse(FACTS, Setting(phase_cycles=thirds, delay_s=thirds, groups_per_pilot=1))
    with pytest.raises(ValueError, match="4 groups expected, got 8"):
        GroupedResponse(FACTS, setting(4)).steered(setting(8))
