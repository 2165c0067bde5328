"""The controller's forward model against the dense sum, and its derivatives against finite differences of that sum."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from bs_controller.beams import setting_from_focus
from bs_controller.response import DownlinkResponse, Window
from bs_controller.sweeps import GroupFoci, Trajectory
from protocol.testbed import Setting, TestbedFacts, default_facts
from tests.bs_controller.oracles_of_bounds import slopes
from tests.oracles import dense_sweep

Floats = npt.NDArray[np.float64]
ComplexArray = npt.NDArray[np.complex128]

FULL = default_facts()
SMALL = default_facts(subcarriers=96, elements=64)
POINTS = [(15.0, 0.0), (5.0, 1.04), (50.0, -1.0), (7.3, 0.31)]
# the transforms promise 1e-9 of the largest sample; sub-arrays whose beams miss the point see less than that sample
TOLERANCE = 1e-8


def angle_sweep(facts: TestbedFacts) -> Setting:
    edge_rad = float(np.deg2rad(62))
    sweep = Trajectory(start_range_m=5.0, start_angle_rad=edge_rad, end_range_m=5.0, end_angle_rad=-edge_rad)
    return setting_from_focus(sweep, facts)


def range_sweep(facts: TestbedFacts) -> Setting:
    sweep = Trajectory(start_range_m=50.0, start_angle_rad=0.3, end_range_m=5.0, end_angle_rad=0.3)
    return setting_from_focus(sweep, facts)


def dense(facts: TestbedFacts, setting: Setting, range_m: float, angle_rad: float) -> ComplexArray:
    """The oracle's sweep of each sub-array without the gain, ``(subarray, subcarrier)``."""
    downlink, c = facts.downlink, facts.speed_of_light_m_s
    gain = c / (4 * np.pi * downlink.grid.first_hz * range_m)
    masks = [(downlink.array.element_subarray == index).astype(float) for index in range(downlink.array.subarrays)]
    return np.stack([dense_sweep(downlink, setting, range_m, angle_rad, mask, c) / gain for mask in masks])


def relative(ours: ComplexArray, reference: ComplexArray) -> float:
    return float(np.linalg.norm(ours - reference) / np.linalg.norm(reference))


@pytest.mark.parametrize(("range_m", "angle_rad"), POINTS[:2])
def test_full_size_response_is_the_dense_sum(range_m: float, angle_rad: float) -> None:
    setting = angle_sweep(FULL)
    ours = DownlinkResponse(FULL, setting).value(range_m, angle_rad)
    assert relative(ours, dense(FULL, setting, range_m, angle_rad)) < TOLERANCE


@pytest.mark.parametrize("of", [angle_sweep, range_sweep])
@pytest.mark.parametrize(("range_m", "angle_rad"), POINTS)
def test_derivatives_are_the_slopes_of_the_dense_sum(
    of: Callable[[TestbedFacts], Setting], range_m: float, angle_rad: float
) -> None:
    setting = of(SMALL)
    ours = DownlinkResponse(SMALL, setting).with_derivatives(range_m, angle_rad)
    by_range, by_angle = slopes(
        lambda at: dense(SMALL, setting, float(at[0]), float(at[1])), np.array([range_m, angle_rad]), np.full(2, 4e-6)
    )
    # phases of 1e5 rad round to 1e-11, over differences of 8e-3 rad; the fourth-order rule leaves 1e-10
    assert relative(ours.by_range_m, by_range) < 1e-7
    # an aperture 16 times shorter than the range turns the phase that much less per radian
    assert relative(ours.by_angle_rad, by_angle) < 1e-6


def test_value_is_the_same_with_and_without_derivatives() -> None:
    response = DownlinkResponse(SMALL, angle_sweep(SMALL))
    assert relative(response.with_derivatives(9.0, 0.2).value, response.value(9.0, 0.2)) < 1e-12  # rounding


@pytest.mark.parametrize(("first", "count"), [(700, 512), (2047, 1), (0, 33)])
def test_window_of_subcarriers_is_a_part_of_all(first: int, count: int) -> None:
    setting, window = angle_sweep(FULL), Window(first=first, count=count)
    whole = DownlinkResponse(FULL, setting).with_derivatives(15.0, 0.1)
    moved = DownlinkResponse(FULL, setting, window=Window(first=0, count=count)).steered(setting, first)
    for part in (DownlinkResponse(FULL, setting, window=window), moved):
        seen = part.with_derivatives(15.0, 0.1)
        # far from the lit band samples are a thousandth of the largest, to which the transforms' tolerance refers
        largest, slope = np.abs(whole.value).max(), np.abs(whole.by_range_m).max()
        np.testing.assert_allclose(seen.value, window.of(whole.value.T).T, rtol=0, atol=TOLERANCE * largest)
        np.testing.assert_allclose(seen.by_range_m, window.of(whole.by_range_m.T).T, rtol=0, atol=TOLERANCE * slope)


def test_blocks_are_sums_over_neighbouring_subcarriers() -> None:
    sweep, window, everyone = range_sweep(FULL), Window(first=0, count=128, block=16), (0, 1, 2, 3)
    whole = DownlinkResponse(FULL, sweep).seen_value(15.0, 0.1, everyone)
    # first the delay of the middle element is taken off, as an estimator does
    path_s = np.sqrt(15.0**2 - 0.0) / FULL.speed_of_light_m_s
    common_s = path_s - float(sweep.delay_s[0, 256])
    undone = np.exp(-2j * np.pi * FULL.downlink.grid.offset_hz * common_s)
    delayed = Setting(phase_cycles=sweep.phase_cycles, delay_s=sweep.delay_s + common_s)
    ours = DownlinkResponse(FULL, delayed, window=window).seen_value(15.0, 0.1, everyone)
    # within a block the gain falls by 5e-4; taking it for constant leaves a quarter of that at the ends
    assert relative(ours, window.of(whole * undone)) < 2e-4


@pytest.mark.parametrize("visible", [(0, 1, 2, 3), (1, 2), (3,), ()])
def test_what_a_user_sees_is_the_sum_over_its_subarrays(visible: tuple[int, ...]) -> None:
    response = DownlinkResponse(SMALL, angle_sweep(SMALL))
    apart = response.with_derivatives(9.0, 0.2)
    seen = response.seen_with_derivatives(9.0, 0.2, visible)
    for together, each in (
        (response.seen_value(9.0, 0.2, visible), apart.value),
        (seen.value, apart.value),
        (seen.by_range_m, apart.by_range_m),
        (seen.by_angle_rad, apart.by_angle_rad),
    ):
        np.testing.assert_allclose(
            together, each[list(visible)].sum(axis=0), rtol=0, atol=TOLERANCE * np.abs(each).max()
        )


def test_earlier_results_survive_later_calls() -> None:
    response = DownlinkResponse(SMALL, angle_sweep(SMALL))
    first, seen = response.with_derivatives(9.0, 0.2), response.seen_with_derivatives(9.0, 0.2, (1,))
    kept = first.value.copy(), first.by_angle_rad.copy(), seen.by_range_m.copy()
    response.with_derivatives(30.0, -0.7)
    response.seen_with_derivatives(30.0, -0.7, (1,))
    assert all(
        np.array_equal(before, now)
        for before, now in zip(kept, (first.value, first.by_angle_rad, seen.by_range_m), strict=True)
    )


def test_several_points_are_one_after_the_other() -> None:
    response = DownlinkResponse(SMALL, angle_sweep(SMALL))
    range_m, angle_rad = np.array([5.0, 20.0, 50.0]), np.array([0.1, -0.5, 1.0])
    each = [response.value(float(r), float(theta)) for r, theta in zip(range_m, angle_rad, strict=True)]
    assert np.array_equal(response.values(range_m, angle_rad), np.stack(each))


def test_flat_gain_leaves_out_the_fall_with_frequency() -> None:
    setting, frequency_hz = angle_sweep(SMALL), SMALL.downlink.grid.frequency_hz
    falling = DownlinkResponse(SMALL, setting).with_derivatives(9.0, 0.2)
    flat = DownlinkResponse(SMALL, setting, falls_with_frequency=False).with_derivatives(9.0, 0.2)
    rise = frequency_hz / frequency_hz[0]
    assert relative(flat.value, falling.value * rise) < 1e-12  # rounding
    assert relative(flat.by_angle_rad, falling.by_angle_rad * rise) < 1e-12


def test_steered_response_is_that_of_the_new_setting_and_leaves_the_old() -> None:
    angle, in_range = angle_sweep(SMALL), range_sweep(SMALL)
    response = DownlinkResponse(SMALL, angle)
    before = response.value(9.0, 0.2)
    steered = response.steered(in_range).value(9.0, 0.2)
    assert np.array_equal(steered, DownlinkResponse(SMALL, in_range).value(9.0, 0.2))
    assert np.array_equal(response.value(9.0, 0.2), before)


def test_setting_of_several_groups_is_refused() -> None:
    groups = setting_from_focus(GroupFoci(range_m=(5.0, 9.0), angle_rad=(0.1, 0.1), groups_per_pilot=2), SMALL)
    with pytest.raises(ValueError, match=r"one group and 64 elements expected, got \(2, 64\)"):
        DownlinkResponse(SMALL, groups)


def test_setting_of_another_array_is_refused() -> None:
    with pytest.raises(ValueError, match=r"512 elements expected, got \(1, 64\)"):
        DownlinkResponse(FULL, angle_sweep(SMALL))


@pytest.mark.parametrize(
    "window", [Window(first=90, count=7), Window(first=0, count=0), Window(first=0, count=25, block=4)]
)
def test_window_beyond_the_subcarriers_is_refused(window: Window) -> None:
    with pytest.raises(ValueError, match="a window within 96 subcarriers expected"):
        DownlinkResponse(SMALL, angle_sweep(SMALL), window=window)


@pytest.mark.parametrize("point", [(0.0, 0.1), (-3.0, 0.1), (np.inf, 0.1), (np.nan, 0.1), (9.0, np.nan)])
def test_point_without_a_positive_finite_range_is_refused(point: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="positive finite range expected"):
        DownlinkResponse(SMALL, angle_sweep(SMALL)).value(*point)
