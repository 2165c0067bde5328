"""What the emulated radio answers: the same for the same epoch, noise included, and never of an older one."""

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from emulator.config import EmulatorSection, FrontEndSection, Noise, NoNoise, ScattererSection, UserSection
from emulator.scene import Scene
from emulator.server import REMEMBERED_ANSWERS, RadioServer, Truth
from protocol import messages as msg
from protocol.testbed import Setting, default_facts
from tests.oracles import dense_snapshot, dense_sweep

Floats = npt.NDArray[np.float64]
ComplexArray = npt.NDArray[np.complex128]

FACTS = default_facts(subcarriers=64, elements=16, uplink_subcarriers=6)
C_M_S = FACTS.speed_of_light_m_s
USERS = {
    "ue-a": UserSection(range_m=12.0, angle_deg=20.0),
    "ue-b": UserSection(range_m=8.0, angle_deg=-30.0, visible_subarrays=(1, 2)),
    "ue-c": UserSection(range_m=10.0, angle_deg=0.0, velocity_m_s=(0.0, 1.0)),
    "ue-d": UserSection(range_m=6.0, angle_deg=0.0, velocity_m_s=(-1.0, 0.0)),  # walks into the array
}
NOISE_DB = EmulatorSection(users=USERS).downlink_noise


def server(
    *,
    noise: Noise = NOISE_DB,
    front_end: FrontEndSection | None = None,
    scatterers: tuple[ScattererSection, ...] = (),
    seed: int = 1,
) -> RadioServer:
    section = EmulatorSection(
        users=USERS,
        seed=seed,
        front_end=front_end or FrontEndSection(),
        downlink_noise=noise,
        uplink_noise=noise,
        scatterers=scatterers,
    )
    return RadioServer(FACTS, section, Scene.from_section(section, FACTS))


def configure(epoch: int, *, groups: int = 1, elements: int = 16, span_s: float = 1e-9) -> msg.Configure:
    """A setting whose delays grow from zero to the span; each epoch has phases of its own."""
    phase_cycles = np.random.default_rng(epoch).random((groups, elements))
    delay_s = np.tile(np.linspace(0.0, span_s, elements), (groups, 1))
    return msg.Configure(epoch=epoch, groups_per_pilot=groups, phase_cycles=phase_cycles, delay_s=delay_s)


def listened(radio: RadioServer, ue: str, epoch: int = 1) -> msg.Grid:
    answer = radio.listen(msg.Listen(ue=ue, epoch=epoch))
    assert isinstance(answer, msg.Grid)
    return answer


def grid_samples(radio: RadioServer, ue: str) -> ComplexArray:
    return np.asarray(listened(radio, ue).samples, dtype=np.complex128)


def captured(radio: RadioServer, ue: str, epoch: int = 1, now_s: float = 0.0) -> msg.Snapshot:
    answer = radio.hear(msg.Capture(epoch=epoch, ue=ue), now_s)
    assert isinstance(answer, msg.Snapshot)
    return answer


def ready(radio: RadioServer, request: msg.Configure, now_s: float = 0.0) -> msg.Ready:
    answer = radio.hear(request, now_s)
    assert isinstance(answer, msg.Ready)
    return answer


def declined(radio: RadioServer, request: msg.Message, now_s: float = 0.0) -> msg.Declined:
    answer = radio.hear(request, now_s)
    assert isinstance(answer, msg.Declined)
    return answer


def silence(radio: RadioServer, ue: str) -> msg.Silence:
    answer = radio.listen(msg.Listen(ue=ue, epoch=1))
    assert isinstance(answer, msg.Silence)
    return answer


def on_air(radio: RadioServer, epoch: int = 1, now_s: float = 0.0) -> RadioServer:
    ready(radio, configure(epoch), now_s)
    return radio


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


# --- truth -----------------------------------------------------------------------------------------------------------


def truth_of(ask: Callable[[RadioServer], object]) -> list[Truth]:
    radio = on_air(server(), epoch=1)
    ask(radio)
    return radio.truth


def test_truth_of_a_sweep_is_where_the_user_was_when_the_setting_came_on_the_air() -> None:
    (truth,) = truth_of(lambda radio: listened(on_air(radio, epoch=2, now_s=3.0), "ue-c", epoch=2))
    assert (truth.epoch, truth.ue, truth.link) == (2, "ue-c", "downlink")
    # ten metres ahead and three aside; two roundings of double precision
    assert truth.position.range_m == pytest.approx(math.hypot(10.0, 3.0), rel=1e-15 * 4)
    assert truth.position.angle_rad == pytest.approx(math.atan2(3.0, 10.0), rel=1e-15 * 4)
    assert (truth.scene_s, truth.velocity_m_s) == (3.0, (0.0, 1.0))


def test_truth_of_a_sounding_names_the_uplink_and_its_epoch() -> None:
    (truth,) = truth_of(lambda radio: captured(radio, "ue-a", epoch=2))
    assert (truth.epoch, truth.ue, truth.link) == (2, "ue-a", "uplink")


def test_truth_is_told_once_for_a_grid_asked_for_twice() -> None:
    assert len(truth_of(lambda radio: (listened(radio, "ue-a"), listened(radio, "ue-a")))) == 1


def test_truth_is_told_once_for_a_sounding_asked_for_twice() -> None:
    assert len(truth_of(lambda radio: (captured(radio, "ue-a", 2), captured(radio, "ue-a", 2)))) == 1


@pytest.mark.parametrize("first", [configure(1), msg.Capture(epoch=1, ue="ue-a")])
def test_users_stay_where_the_file_puts_them_until_a_controllers_first_request(first: msg.Message) -> None:
    radio = server()
    silence(radio, "ue-c")  # while the controller compiles
    radio.hear(first, 100.0)
    radio.reset()  # a later session finds them where they have got to
    captured(radio, "ue-c", epoch=1, now_s=103.0)
    assert radio.truth[-1].position.range_m == pytest.approx(math.hypot(10.0, 3.0), rel=1e-15 * 4)  # two roundings


def test_setting_that_takes_time_to_settle_is_heard_where_the_user_is_by_then() -> None:
    radio = on_air(server(front_end=FrontEndSection(settle_s=2.0)))
    listened(radio, "ue-c")
    assert radio.truth[-1].scene_s == 2.0


def test_users_who_ask_one_after_another_hear_one_sweep_at_one_time() -> None:
    radio = on_air(on_air(server()), epoch=2, now_s=3.0)
    for ue in ("ue-a", "ue-c"):
        listened(radio, ue, epoch=2)
    assert {truth.scene_s for truth in radio.truth} == {3.0}
