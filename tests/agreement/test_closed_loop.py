"""The controller's settings through the emulator's air: what one side means is what the other side sends.

Controller and emulator share only the facts, so a sign or an offset wrong on one side shows here.
"""

import msgspec
import numpy as np
import numpy.typing as npt
import pytest

from bs_controller.beams import common_delay_s, fitted, focus_of_subcarrier, setting_from_focus
from bs_controller.sweeps import GroupFoci, Trajectory
from bs_controller.trajectories import angle_trajectory, range_trajectory
from emulator.downlink import DownlinkEmulator
from emulator.impairments import quantised
from emulator.scene import Position
from protocol.testbed import FrontEndLimits, Setting, SubcarrierGrid, TestbedFacts, default_facts
from ue_agent.measure import strongest_group, strongest_subcarrier

Floats = npt.NDArray[np.float64]
ComplexArray = npt.NDArray[np.complex128]

FACTS = default_facts()
EMULATOR = DownlinkEmulator(FACTS.downlink, FACTS.speed_of_light_m_s)
EVERY_ELEMENT = np.ones(FACTS.downlink.array.elements)
PROBED = [0, 1, 100, 500, 1000, 1023, 1500, 1900, 2046, 2047]
DIAGONAL = Trajectory(start_range_m=40.0, start_angle_rad=0.5, end_range_m=6.0, end_angle_rad=-0.3)


def received(setting: Setting, range_m: float, angle_rad: float) -> ComplexArray:
    """What a user receives, without the free-space gain's fall over the band, which moves flat maxima."""
    samples = EMULATOR.received(setting, Position(range_m=range_m, angle_rad=angle_rad), EVERY_ELEMENT)
    return samples * FACTS.downlink.grid.frequency_hz / FACTS.downlink.grid.first_hz


def offset_of_strongest(trajectory: Trajectory, subcarrier: int) -> int:
    """How many subcarriers the strongest is off at the focus of this one."""
    range_m, angle_rad = (float(focus[subcarrier]) for focus in focus_of_subcarrier(trajectory, FACTS))
    return strongest_subcarrier(received(setting_from_focus(trajectory, FACTS), range_m, angle_rad)) - subcarrier


@pytest.mark.parametrize("subcarrier", PROBED)
def test_strongest_subcarrier_of_the_angle_sweep_is_the_one_that_focuses_there(subcarrier: int) -> None:
    # exact: a beam of 2/512 rad is four subcarriers of 1 mrad wide, so its top stands out by 1e-2
    assert offset_of_strongest(angle_trajectory(FACTS), subcarrier) == 0


@pytest.mark.parametrize("angle_rad", [-0.9, 0.0, 0.3, 1.0])
@pytest.mark.parametrize("subcarrier", PROBED)
def test_strongest_subcarrier_of_the_range_sweep_is_the_one_that_focuses_there(
    subcarrier: int, angle_rad: float
) -> None:
    # The inverse holds to second order in the aperture; the third order, largest far off broadside, moves the flat
    # maximum by up to five subcarriers at 0.9 rad (7 cm at 15 m), the fourth by one at broadside.
    assert abs(offset_of_strongest(range_trajectory(FACTS, angle_rad), subcarrier)) <= 6


@pytest.mark.parametrize("subcarrier", PROBED)
def test_strongest_subcarrier_of_a_slanting_trajectory_is_the_one_that_focuses_there(subcarrier: int) -> None:
    # angles differ along it, so the maximum is sharper than a range sweep's; the same expansion is off by one
    assert abs(offset_of_strongest(DIAGONAL, subcarrier)) <= 1


def test_ends_of_a_trajectory_are_focused_without_any_phase_left() -> None:
    setting = setting_from_focus(DIAGONAL, FACTS)
    gain = FACTS.speed_of_light_m_s / (4 * np.pi * FACTS.downlink.grid.first_hz)
    whole = np.sqrt(FACTS.downlink.array.elements) * gain  # all elements add up
    first = abs(received(setting, 40.0, 0.5)[0]) * 40.0
    last = abs(received(setting, 6.0, -0.3)[-1]) * 6.0
    assert [first, last] == pytest.approx([whole, whole], rel=1e-8)  # the emulator's transform


def untouched(focus: Trajectory | GroupFoci) -> Setting:
    """The setting with the delays of [CBS, eq. (7)], nothing taken off."""
    setting = setting_from_focus(focus, FACTS)
    return with_delays(setting, setting.delay_s + common_delay_s(focus, FACTS)[:, np.newaxis])


def with_delays(setting: Setting, delay_s: Floats) -> Setting:
    return Setting(phase_cycles=setting.phase_cycles, delay_s=delay_s, groups_per_pilot=setting.groups_per_pilot)


def group_foci(range_m: Floats, angle_rad: Floats) -> GroupFoci:
    return GroupFoci(
        range_m=tuple(range_m.tolist()), angle_rad=tuple(angle_rad.tolist()), groups_per_pilot=range_m.size
    )


ANGLE_GROUPS = group_foci(np.full(32, 12.0), 0.2 + np.deg2rad(np.linspace(-1.0, 1.0, 32)))
# steps of equal curvature, 1/112 per metre: an aperture of 0.77 m tells apart about 1/37 per metre, so eight foci
RANGE_GROUPS = group_foci(1 / np.linspace(1 / 5, 1 / 14, 8), np.full(8, 0.2))


@pytest.mark.parametrize(
    "focus",
    [angle_trajectory(FACTS), range_trajectory(FACTS, -0.9), DIAGONAL, ANGLE_GROUPS],
    ids=["angle", "range", "slanting", "groups"],
)
def test_common_delay_taken_off_changes_no_amplitude(focus: Trajectory | GroupFoci) -> None:
    hardware = np.abs(received(setting_from_focus(focus, FACTS), 15.0, 0.1))
    paper = np.abs(received(untouched(focus), 15.0, 0.1))
    # the emulator's transform is off by 1e-10 of the sum over elements, and errors add up over the bins
    np.testing.assert_allclose(hardware, paper, rtol=0, atol=1e-8 * paper.max())


@pytest.mark.parametrize(
    "focus", [angle_trajectory(FACTS), DIAGONAL, ANGLE_GROUPS], ids=["angle", "slanting", "groups"]
)
def test_common_delay_put_back_gives_the_samples_of_the_paper(focus: Trajectory | GroupFoci) -> None:
    offset_hz = FACTS.downlink.grid.offset_hz.reshape(common_delay_s(focus, FACTS).size, -1)
    turn = np.exp(-2j * np.pi * offset_hz * common_delay_s(focus, FACTS)[:, np.newaxis]).reshape(-1)
    hardware = received(setting_from_focus(focus, FACTS), 15.0, 0.1)
    paper = received(untouched(focus), 15.0, 0.1)
    np.testing.assert_allclose(hardware * turn, paper, rtol=0, atol=1e-8 * np.abs(paper).max())  # as above


@pytest.mark.parametrize("group", range(32))
def test_group_focused_on_the_users_angle_has_the_largest_sum(group: int) -> None:
    setting = setting_from_focus(ANGLE_GROUPS, FACTS)
    samples = received(setting, ANGLE_GROUPS.range_m[group], ANGLE_GROUPS.angle_rad[group])
    assert strongest_group(samples, 32) == group


@pytest.mark.parametrize("group", range(8))
def test_group_focused_on_the_users_range_has_the_largest_sum(group: int) -> None:
    setting = setting_from_focus(RANGE_GROUPS, FACTS)
    samples = received(setting, RANGE_GROUPS.range_m[group], RANGE_GROUPS.angle_rad[group])
    assert strongest_group(samples, 8) == group


@pytest.mark.parametrize("group", [0, 13, 31])
def test_every_subcarrier_of_a_group_is_whole_at_its_focus(group: int) -> None:
    setting = setting_from_focus(ANGLE_GROUPS, FACTS)
    samples = received(setting, ANGLE_GROUPS.range_m[group], ANGLE_GROUPS.angle_rad[group])
    amplitude = np.abs(samples.reshape(32, -1)[group])
    gain = FACTS.speed_of_light_m_s / (4 * np.pi * FACTS.downlink.grid.first_hz * 12.0)
    np.testing.assert_allclose(amplitude, np.sqrt(512) * gain, rtol=1e-8)  # no squint; the emulator's transform


def with_grid(kind: str) -> TestbedFacts:
    """The testbed with another of the named grids."""
    grid: SubcarrierGrid = getattr(SubcarrierGrid, kind)(100e9, 6e9, 2048)
    return msgspec.structs.replace(FACTS, downlink=msgspec.structs.replace(FACTS.downlink, grid=grid))


@pytest.mark.parametrize("kind", ["edge", "centred", "authors"])
def test_both_sides_mean_the_same_by_each_named_grid(kind: str) -> None:
    facts, trajectory = with_grid(kind), angle_trajectory(FACTS)
    range_m, angle_rad = (float(focus[700]) for focus in focus_of_subcarrier(trajectory, facts))
    emulator = DownlinkEmulator(facts.downlink, facts.speed_of_light_m_s)
    position = Position(range_m=range_m, angle_rad=angle_rad)
    samples = emulator.received(setting_from_focus(trajectory, facts), position, EVERY_ELEMENT)
    assert strongest_subcarrier(samples) == 700  # exact, as for the angle sweep above


@pytest.mark.parametrize(("span_s", "step_s"), [(15e-9, 3e-12), (100e-9, 0.1e-9), (100e-9, 3e-12), (15e-9, 0.0)])
def test_both_sides_round_a_setting_alike_up_to_the_last_step(span_s: float, step_s: float) -> None:
    elements = FACTS.downlink.array.elements
    limits = FrontEndLimits(
        elements=elements, groups=1, phase_bits=4, delay_step_s=step_s, delay_span_s=span_s, settle_s=0.0
    )
    phase_cycles = np.random.default_rng(3).random((1, elements))
    wanted = Setting(phase_cycles=phase_cycles, delay_s=np.linspace(0.0, span_s, elements)[np.newaxis])
    ours, (theirs, _, _) = fitted(wanted, limits), quantised(wanted, limits)
    np.testing.assert_array_equal(ours.phase_cycles, theirs.phase_cycles)  # exact: multiples of 1/16
    np.testing.assert_allclose(ours.delay_s, theirs.delay_s, rtol=1e-15 * 4, atol=0)  # the same step, one product


@pytest.mark.parametrize("bits", [0, 3])
def test_radio_need_not_deviate_from_a_setting_that_the_controller_has_fitted(bits: int) -> None:
    limits = FrontEndLimits(
        elements=512, groups=1, phase_bits=bits, delay_step_s=3e-12, delay_span_s=100e-9, settle_s=0.0
    )
    sent = fitted(setting_from_focus(angle_trajectory(FACTS), FACTS), limits)
    _, phase_deviation_cycles, delay_deviation_s = quantised(sent, limits)
    assert phase_deviation_cycles == 0.0
    assert delay_deviation_s <= 1e-22  # one rounding of 100 ns in double precision is 1.3e-23 s
