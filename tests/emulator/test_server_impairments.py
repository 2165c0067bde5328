"""What the emulated radio does with impairments: repeatable, in the right order, and none of the controller's business."""

import math

import msgspec
import numpy as np
import numpy.typing as npt
import pytest

from emulator.config import (
    ClocksSection,
    ElementErrorsSection,
    EmulatorSection,
    FrontEndErrorsSection,
    FrontEndSection,
    LinkBudget,
    NoNoise,
    PathSection,
    UserSection,
)
from emulator.hardware import FrontEndErrors
from emulator.scene import Position, Scene
from emulator.server import RadioServer
from protocol import messages as msg
from protocol.testbed import Setting, default_facts
from tests.oracles import linear_distance_m, setting_weight

Floats = npt.NDArray[np.float64]
ComplexArray = npt.NDArray[np.complex128]

FACTS = default_facts(subcarriers=64, elements=16, uplink_subcarriers=6)
C_M_S, GRID = FACTS.speed_of_light_m_s, FACTS.downlink.grid
ERRORS = FrontEndErrorsSection(gain_rms_db=2.0, phase_rms_deg=30.0, dead_fraction=0.25, delay_rms_s=50e-12)
UNSTEADY = ClocksSection(phase_noise_rms_deg=20.0, timing_jitter_rms_s=100e-12)
USERS = {
    "ue-a": UserSection(range_m=12.0, angle_deg=20.0, paths="mixed", timing_offset_s=1e-9, carrier_offset_hz=1e3),
    "ue-b": UserSection(range_m=8.0, angle_deg=-30.0, visible_subarrays=(1, 2)),
}
BARE = {"ue-a": UserSection(range_m=12.0, angle_deg=20.0)}
EVERYTHING = EmulatorSection(
    users=USERS,
    front_end=FrontEndSection(phase_bits=3, delay_step_s=4e-12, errors=ERRORS),
    uplink_errors=ElementErrorsSection(gain_rms_db=1.0, phase_rms_deg=10.0, dead_fraction=0.1),
    clocks=UNSTEADY,
)
THERMAL = LinkBudget(transmit_power_dbm=-30.0, noise_figure_db=10.0)
# The emulator's transform is asked for 1e-10, and errors add up over the bins.
SWEEP_ERROR = 1e-8
# A few roundings of single precision, in which snapshots travel.
SINGLE = 1e-6


def server(section: EmulatorSection) -> RadioServer:
    return RadioServer(FACTS, section, Scene.from_section(section, FACTS))


def section(**changes: object) -> EmulatorSection:
    return msgspec.structs.replace(
        EmulatorSection(users=BARE, downlink_noise=NoNoise(), uplink_noise=NoNoise()), **changes
    )


def configure(epoch: int) -> msg.Configure:
    """The same setting whatever the epoch."""
    rng = np.random.default_rng(1)
    return msg.Configure(
        epoch=epoch, groups_per_pilot=1, phase_cycles=rng.random((1, 16)), delay_s=rng.uniform(0, 5e-9, (1, 16))
    )


def setting() -> Setting:
    asked = configure(1)
    return Setting(phase_cycles=np.asarray(asked.phase_cycles), delay_s=np.asarray(asked.delay_s))


def heard(radio: RadioServer, ue: str = "ue-a", epoch: int = 1, now_s: float = 0.0) -> ComplexArray:
    radio.hear(configure(epoch), now_s)
    answer = radio.listen(msg.Listen(ue=ue, epoch=epoch))
    assert isinstance(answer, msg.Grid)
    return np.asarray(answer.samples, dtype=np.complex128)


def captured(radio: RadioServer, epoch: int = 1) -> ComplexArray:
    answer = radio.hear(msg.Capture(epoch=epoch, ue="ue-a"), 0.0)
    assert isinstance(answer, msg.Snapshot)
    return np.asarray(answer.samples, dtype=np.complex128)


def closeness(one: ComplexArray, other: ComplexArray) -> float:
    return float(np.linalg.norm(one - other) / np.linalg.norm(other))


# --- repeatable ------------------------------------------------------------------------------------------------------


@pytest.mark.clause("5.2")
def test_epoch_asked_for_again_gives_the_same_answer_with_every_impairment() -> None:
    radio = server(EVERYTHING)
    first = heard(radio, epoch=1)
    np.testing.assert_array_equal(heard(radio, epoch=1, now_s=1.0), first)


def test_run_of_the_same_file_is_the_same_with_every_impairment_whatever_the_order_of_users() -> None:
    one, two = server(EVERYTHING), server(EVERYTHING)
    forward = {ue: heard(one, ue) for ue in ("ue-a", "ue-b")}
    backward = {ue: heard(two, ue) for ue in ("ue-b", "ue-a")}
    for ue, grid in forward.items():
        np.testing.assert_array_equal(grid, backward[ue])  # exact: the same random numbers


def test_errors_of_the_hardware_and_paths_stay_from_epoch_to_epoch() -> None:
    radio = server(msgspec.structs.replace(EVERYTHING, downlink_noise=NoNoise(), clocks=ClocksSection()))
    np.testing.assert_array_equal(heard(radio, epoch=1), heard(radio, epoch=2))


@pytest.mark.parametrize("clocks", [ClocksSection(phase_noise_rms_deg=20.0), ClocksSection(timing_jitter_rms_s=1e-10)])
def test_unsteady_clock_is_another_at_the_next_epoch_and_for_the_next_user(clocks: ClocksSection) -> None:
    steady, unsteady = section(users=USERS), section(users=USERS, clocks=clocks)
    quiet, radio = server(steady), server(unsteady)
    sweeps = [("ue-a", 1), ("ue-a", 2), ("ue-b", 2)]
    # the last subcarrier shows both effects: the ratio to the steady clock is the clock alone
    turns = [(heard(radio, *sweep) / heard(quiet, *sweep))[-1] for sweep in sweeps]
    assert min(abs(turns[i] - turns[j]) for i, j in ((0, 1), (0, 2), (1, 2))) > 1e-3


# --- each where it belongs -------------------------------------------------------------------------------------------


def test_grid_is_the_dense_sum_of_erring_elements_seen_by_the_users_clock() -> None:
    user = UserSection(range_m=12.0, angle_deg=20.0, timing_offset_s=0.7e-9, carrier_offset_hz=1e3)
    radio = server(section(users={"ue-a": user}, front_end=FrontEndSection(errors=ERRORS)))
    errors: FrontEndErrors = radio._front_end_errors
    weight = setting_weight(FACTS.downlink, setting())
    weight *= (errors.element.amplitude * np.exp(1j * errors.element.phase_rad))[:, np.newaxis]
    weight *= np.exp(-2j * np.pi * np.outer(errors.delay_s, GRID.offset_hz))
    distance_m = linear_distance_m(FACTS.downlink.array.element_x_m, 12.0, math.radians(20.0))
    channel = np.exp(-2j * np.pi * np.outer(distance_m, GRID.frequency_hz) / C_M_S)
    beta = C_M_S / (4 * np.pi * GRID.frequency_hz * 12.0)
    expected = beta * np.sum(channel.conj() * weight, axis=0)
    expected *= np.exp(2j * np.pi * (1e3 * 0.125e-3 + GRID.offset_hz * 0.7e-9))
    heard(radio)  # which is when time begins
    assert closeness(heard(radio, epoch=2, now_s=0.125e-3), expected) <= SWEEP_ERROR


def test_errors_come_after_the_resolution_of_the_front_end() -> None:
    """With steps far coarser than the errors, errors before rounding would be gone."""
    coarse = FrontEndSection(phase_bits=1, delay_step_s=1e-9)
    errors = FrontEndErrorsSection(phase_rms_deg=1.0, delay_rms_s=1e-12)
    plain = heard(server(section(front_end=coarse)))
    erring = heard(server(section(front_end=msgspec.structs.replace(coarse, errors=errors))))
    assert 1e-3 < closeness(erring, plain) < 0.2  # a degree is 0.017, and fading may amplify it


def test_noise_is_added_after_the_clock_and_is_the_same_with_and_without_it() -> None:
    """Noise is what is left of a grid when the noise-free one is taken off; with a link budget it is known to be flat."""
    noises = []
    for clocks in (ClocksSection(), UNSTEADY):
        quiet = heard(
            server(section(clocks=clocks, downlink_noise=msgspec.structs.replace(THERMAL, temperature_k=1e-9)))
        )
        noises.append(heard(server(section(clocks=clocks, downlink_noise=THERMAL))) - quiet)
    assert closeness(noises[1], noises[0]) <= 1e-4  # the quiet grid has noise too, 5e-6 of it


def test_paths_reach_the_user_that_has_them() -> None:
    bare, mixed = section(), section(users={"ue-a": UserSection(range_m=12.0, angle_deg=20.0, paths="mixed")})
    assert closeness(heard(server(mixed)), heard(server(bare))) > 1e-3


def test_errors_of_the_circular_array_weigh_the_rows_of_every_snapshot_alike() -> None:
    errors = ElementErrorsSection(gain_rms_db=1.0, phase_rms_deg=10.0, dead_fraction=0.25)
    plain, erring = server(section()), server(section(uplink_errors=errors))
    ratios = [captured(erring, epoch) / captured(plain, epoch) for epoch in (1, 2)]
    np.testing.assert_allclose(ratios[0], np.repeat(ratios[0][:, :1], 6, axis=1), atol=SINGLE)
    np.testing.assert_allclose(ratios[0], ratios[1], atol=SINGLE)
    assert np.count_nonzero(ratios[0][:, 0] == 0) == 98  # a quarter of 392


# --- what the controller and the truth file are told -----------------------------------------------------------------


@pytest.mark.clause("6.2")
def test_ready_tells_of_the_resolution_and_nothing_of_the_errors() -> None:
    coarse = FrontEndSection(phase_bits=3, delay_step_s=4e-12)
    plain, erring = server(section(front_end=coarse)), server(EVERYTHING)
    assert msgspec.to_builtins(plain.hear(configure(1), 0.0)) == msgspec.to_builtins(erring.hear(configure(1), 0.0))
    assert plain.limits == erring.limits


def test_truth_of_a_sweep_has_the_users_paths_and_that_of_a_sounding_has_none() -> None:
    radio = server(EVERYTHING)
    heard(radio)
    captured(radio, epoch=2)
    downlink, uplink = radio.truth
    assert [path.kind for path in downlink.paths] == ["reflected", "diffracted"]
    assert uplink.paths == ()


def test_truth_of_a_path_is_its_scatterer_and_its_gain_against_the_line_of_sight() -> None:
    paths = (PathSection(kind="reflected", range_m=9.0, angle_deg=-10.0, gain_db=-6.0, visible_subarrays=(0,)),)
    radio = server(section(users={"ue-a": UserSection(range_m=12.0, angle_deg=20.0, paths=paths)}))
    heard(radio)
    ((truth,),) = (line.paths for line in radio.truth)
    assert truth.scatterer == Position(range_m=9.0, angle_rad=math.radians(-10.0))
    # a quarter of the elements brings a quarter of the line of sight's power: the gain is 1 within 0.02 dB of 6.02
    assert abs(truth.gain) == pytest.approx(1.0, abs=0.005)
    assert np.count_nonzero(truth.weight) == 4
