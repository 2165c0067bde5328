"""What the emulated radio answers: the same for the same epoch, noise included, and never of an older one."""

import math

import numpy as np
import pytest

from emulator.config import EmulatorSection, FrontEndSection, NoNoise, ScattererSection
from emulator.scene import Scene
from emulator.server import REMEMBERED_ANSWERS, RadioServer
from protocol import messages as msg
from protocol.testbed import Setting, default_facts
from tests.emulator.serving import (
    C_M_S,
    FACTS,
    USERS,
    ComplexArray,
    captured,
    configure,
    declined,
    grid_samples,
    listened,
    on_air,
    ready,
    server,
    silence,
)
from tests.oracles import dense_snapshot, dense_sweep

# --- epochs ----------------------------------------------------------------------------------------------------------


@pytest.mark.clause("5.2")
@pytest.mark.parametrize("request_", [configure(1), configure(1, elements=8), msg.Capture(epoch=1, ue="ue-a")])
def test_request_repeated_in_the_same_epoch_gets_the_same_answer(request_: msg.Message) -> None:
    radio = server()
    assert radio.hear(request_, 0.0) is radio.hear(request_, 1.0)


@pytest.mark.clause("5.3")
def test_request_of_an_epoch_that_was_skipped_is_declined() -> None:
    answer = declined(on_air(server(), epoch=5), configure(4))
    assert (answer.epoch, answer.clause) == (4, "5.3")


@pytest.mark.clause("5.3")
def test_stale_setting_leaves_the_one_on_the_air() -> None:
    radio = on_air(server(), epoch=5)
    radio.hear(configure(4), 0.0)
    assert listened(radio, "ue-a").epoch == 5


def test_answer_is_remembered_while_few_have_followed_and_declined_as_stale_afterwards() -> None:
    radio = server()
    first = radio.hear(configure(1), 0.0)
    for epoch in range(2, REMEMBERED_ANSWERS + 1):
        radio.hear(configure(epoch), 0.0)
    assert radio.hear(configure(1), 0.0) is first
    radio.hear(configure(REMEMBERED_ANSWERS + 1), 0.0)
    assert declined(radio, configure(1)).clause == "5.3"


def test_reset_counts_epochs_anew() -> None:
    radio = on_air(server(), epoch=5)
    radio.reset()
    assert ready(radio, configure(1)).epoch == 1


def test_reset_takes_the_setting_off_the_air() -> None:
    radio = on_air(server())
    radio.reset()
    assert "nothing is on the air" in silence(radio, "ue-a").text


def test_reset_forgets_the_answers() -> None:
    radio = server()
    first = captured(radio, "ue-a")
    radio.reset()
    assert captured(radio, "ue-b", epoch=1) is not first


def test_other_messages_are_not_answered() -> None:
    assert server().hear(msg.Measure(epoch=1, kind=msg.FeedbackKind.PEAK, groups=1), 0.0) is None


# --- settings --------------------------------------------------------------------------------------------------------


@pytest.mark.clause("6.3")
@pytest.mark.parametrize(
    ("request_", "numbers"),
    [
        (configure(1, elements=8), "16 elements, got 8"),
        (configure(1, span_s=20e-9), "0 .. 15 ns, got 0 .. 20 ns"),
        (configure(1, groups=7), "64 subcarriers cannot be cut into 7 equal groups"),
    ],
    ids=["elements", "span", "groups"],
)
def test_setting_that_the_front_end_cannot_apply_is_declined_with_the_numbers(
    request_: msg.Configure, numbers: str
) -> None:
    answer = declined(server(front_end=FrontEndSection(delay_span_s=15e-9)), request_)
    assert answer.clause == "6.3"
    assert numbers in answer.text


@pytest.mark.clause("6.3")
def test_negative_delay_is_declined() -> None:
    request = configure(1, span_s=-1e-9)
    assert "got -1 .. 0 ns" in declined(server(), request).text


@pytest.mark.clause("6.3")
def test_delay_within_a_femtosecond_of_the_span_is_applied() -> None:
    radio = server(front_end=FrontEndSection(delay_span_s=15e-9))
    assert ready(radio, configure(1, span_s=15e-9 + 0.5e-15)).epoch == 1


@pytest.mark.clause("6.3")
def test_more_groups_than_the_protocol_allows_are_declined() -> None:
    facts = default_facts(subcarriers=8192, elements=16, uplink_subcarriers=6)
    section = EmulatorSection(users=USERS)
    radio = RadioServer(facts, section, Scene.from_section(section, facts))
    assert declined(radio, configure(1, groups=8192)).clause == "6.3"


def test_phases_and_delays_of_different_shapes_are_declined() -> None:
    request = msg.Configure(epoch=1, groups_per_pilot=1, phase_cycles=np.zeros((1, 16)), delay_s=np.zeros((2, 16)))
    assert declined(server(), request).clause == "6.3"


def test_declined_setting_leaves_the_one_on_the_air() -> None:
    radio = on_air(server(), epoch=1)
    declined(radio, configure(2, elements=8))
    assert listened(radio, "ue-a").epoch == 1


@pytest.mark.clause("6.2")
@pytest.mark.parametrize(("held", "pilots"), [(1, 32), (5, 7), (32, 1), (4096, 1)])
def test_ready_counts_one_pilot_per_batch_of_groups_that_the_front_end_holds(held: int, pilots: int) -> None:
    radio = server(front_end=FrontEndSection(groups=held))
    assert ready(radio, configure(1, groups=32)).pilots == pilots


def test_continuous_front_end_deviates_from_no_setting() -> None:
    answer = ready(server(), configure(1))
    assert (answer.phase_deviation_cycles, answer.delay_deviation_s) == (0.0, 0.0)


def test_deviation_of_a_coarse_front_end_is_at_most_half_a_step() -> None:
    radio = server(front_end=FrontEndSection(phase_bits=3, delay_step_s=4e-12, delay_span_s=15e-9))
    answer = ready(radio, configure(1))
    assert 0 < answer.phase_deviation_cycles <= 0.5 / 2**3
    # one rounding of a nanosecond in double precision is 1e-25 s
    assert 0 < answer.delay_deviation_s <= 2e-12 + 1e-24


# --- what UEs hear ---------------------------------------------------------------------------------------------------


@pytest.mark.clause("8.3")
def test_nothing_is_heard_before_the_first_setting() -> None:
    assert "nothing is on the air" in silence(server(), "ue-a").text


@pytest.mark.clause("8.2")
@pytest.mark.parametrize("hoped_for", [1, 3, 9])
def test_grid_carries_the_epoch_on_the_air_whatever_was_hoped_for(hoped_for: int) -> None:
    assert listened(on_air(server(), epoch=3), "ue-a", hoped_for).epoch == 3


def test_ue_that_is_enrolled_hears_nothing_of_the_others() -> None:
    radio, listen = on_air(server()), msg.Listen(epoch=1, ue="ue-a")
    assert isinstance(radio.listen(listen, "ue-a"), msg.Grid)
    told = radio.listen(listen, "ue-b")
    assert isinstance(told, msg.Silence)
    assert told.text == "this key is enrolled for ue-b, not for ue-a"


def test_grid_without_noise_is_the_dense_sum_over_the_visible_elements() -> None:
    radio, request = server(noise=NoNoise()), configure(1)
    radio.hear(request, 0.0)
    setting = Setting(
        phase_cycles=np.asarray(request.phase_cycles, dtype=np.float64),
        delay_s=np.asarray(request.delay_s, dtype=np.float64),
    )
    visible = np.isin(FACTS.downlink.array.element_subarray, [1, 2]).astype(np.float64)
    dense = dense_sweep(FACTS.downlink, setting, 8.0, math.radians(-30.0), visible, C_M_S)
    error = np.linalg.norm(grid_samples(radio, "ue-b") - dense) / np.linalg.norm(dense)
    assert error <= 1e-8  # the emulator's transform is asked for 1e-10, and errors add up over the bins


def test_grid_asked_for_again_is_the_same_noise_included() -> None:
    radio = on_air(server())
    assert listened(radio, "ue-a") is listened(radio, "ue-a")


def test_same_setting_in_another_epoch_has_other_noise() -> None:
    radio, request = on_air(server()), configure(1)
    first = listened(radio, "ue-a").samples
    again = msg.Configure(epoch=2, groups_per_pilot=1, phase_cycles=request.phase_cycles, delay_s=request.delay_s)
    radio.hear(again, 0.0)
    assert not np.isclose(listened(radio, "ue-a").samples, first).any()


def all_grids(order: list[str]) -> dict[str, ComplexArray]:
    radio, grids = server(), {}
    for epoch in (1, 2):
        on_air(radio, epoch)
        for ue in order:
            grids[f"{ue} {epoch}"] = grid_samples(radio, ue)
    return grids


def test_grids_do_not_depend_on_the_order_in_which_users_are_served() -> None:
    forward, backward = all_grids(["ue-a", "ue-b", "ue-c"]), all_grids(["ue-c", "ue-b", "ue-a"])
    for name, grid in forward.items():
        np.testing.assert_array_equal(grid, backward[name])  # exact: the same random numbers


def test_soundings_between_sweeps_leave_the_noise_of_the_sweeps() -> None:
    quiet, busy = server(), server()
    captured(busy, "ue-a", epoch=1)
    for radio in (quiet, busy):
        on_air(radio, epoch=2)
    np.testing.assert_array_equal(listened(quiet, "ue-a").samples, listened(busy, "ue-a").samples)


def test_another_seed_is_other_noise() -> None:
    one, two = (listened(on_air(server(seed=seed)), "ue-a").samples for seed in (1, 2))
    assert not np.isclose(one, two).any()


def test_noise_of_two_users_differs() -> None:
    """Both users' noise is what is left of their grids when the noise-free ones are taken off."""
    noisy, clean = on_air(server()), on_air(server(noise=NoNoise()))
    left = {}
    for ue in ("ue-a", "ue-c"):
        noise = grid_samples(noisy, ue) - grid_samples(clean, ue)
        left[ue] = noise / np.linalg.norm(noise)
    overlap = abs(np.vdot(left["ue-a"], left["ue-c"]))
    assert overlap < 0.5  # independent noise on 64 subcarriers overlaps by 1/8; equal noise by 1


@pytest.mark.clause("8.3")
def test_user_that_the_scene_does_not_have_hears_nothing_and_why() -> None:
    assert "no user ue-x" in silence(on_air(server()), "ue-x").text


def test_user_that_has_left_the_front_of_the_array_hears_nothing_and_why() -> None:
    assert "in front of the array" in silence(on_air(on_air(server()), epoch=2, now_s=7.0), "ue-d").text


# --- what the uplink array receives ----------------------------------------------------------------------------------


def test_snapshot_without_noise_is_the_double_sum_over_user_and_scatterers() -> None:
    scatterer = ScattererSection(range_m=15.0, angle_deg=-20.0, gain_db=-6.0, phase_deg=90.0)
    samples = captured(server(noise=NoNoise(), scatterers=(scatterer,)), "ue-a").samples
    user = complex(12.0 * np.exp(1j * math.radians(20.0)))
    other = complex(15.0 * np.exp(1j * math.radians(-20.0)))
    beta = C_M_S / (4 * math.pi * FACTS.uplink.grid.first_hz * 12.0)
    paths = [
        (beta + 0j, 12.0, math.radians(20.0), 0.0),
        (beta * 10 ** (-6 / 20) * 1j, 15.0, math.radians(-20.0), abs(user - other)),
    ]
    dense = dense_snapshot(FACTS.uplink, paths, C_M_S)
    assert np.linalg.norm(samples.astype(np.complex128) - dense) <= 1e-7 * np.linalg.norm(
        dense
    )  # sent in single precision, 6e-8


@pytest.mark.clause("6.4")
def test_snapshot_is_single_precision_of_elements_by_subcarriers() -> None:
    samples = captured(server(), "ue-a").samples
    assert (samples.dtype, samples.shape) == (np.dtype(np.complex64), (392, 6))


def test_soundings_of_two_epochs_have_different_noise() -> None:
    radio = server()
    first, second = (captured(radio, "ue-a", epoch).samples for epoch in (1, 2))
    assert not np.isclose(first, second).any()


@pytest.mark.clause("6.4")
@pytest.mark.parametrize(("ue", "reason"), [("ue-x", "no user ue-x"), ("ue-d", "in front of the array")])
def test_sounding_of_a_user_that_is_not_there_is_declined(ue: str, reason: str) -> None:
    answer = declined(on_air(server()), msg.Capture(epoch=2, ue=ue), now_s=7.0)
    assert answer.clause == "6.4"
    assert reason in answer.text


def test_sounding_leaves_the_setting_on_the_air() -> None:
    radio = on_air(server(), epoch=1)
    captured(radio, "ue-a", epoch=2)
    assert listened(radio, "ue-a").epoch == 1
