import numpy as np
import pytest

from bs_controller.beams import setting_from_focus
from bs_controller.grouped_response import GroupedResponse
from bs_controller.sweeps import GroupFoci
from protocol.testbed import Setting, default_facts

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
