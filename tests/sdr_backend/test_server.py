"""What the radio process answers, and what it has done before it does."""

import dataclasses

import numpy as np
import pytest

from protocol import messages as msg
from sdr_backend.front_end import PilotSetting
from sdr_backend.server import REMEMBERED_ANSWERS, Apply, Hear, RadioServer
from tests.sdr_backend.settings import FACTS, LIMITS, configure


@pytest.fixture
def server() -> RadioServer:
    return RadioServer(FACTS, LIMITS)


def to_apply(server: RadioServer, message: msg.Message) -> Apply:
    command = server.hear(message)
    assert isinstance(command, Apply)
    return command


def answers(server: RadioServer, message: msg.Message) -> list[msg.Message]:
    """Return the answers to a setting that the front end takes as it is."""
    command = to_apply(server, message)
    return server.applied(command, command.pilots)


@pytest.mark.clause("6.2")
def test_groups_go_into_as_many_pilots_as_the_front_end_needs(server: RadioServer) -> None:
    command = to_apply(server, configure(1, groups=4))
    assert [(pilot.first_group, len(pilot.delay_s), pilot.groups) for pilot in command.pilots] == [(0, 2, 4), (2, 2, 4)]
    assert [pilot.subcarriers(64) for pilot in command.pilots] == [slice(0, 32), slice(32, 64)]


@pytest.mark.clause("6.2")
def test_ready_tells_the_largest_deviations_of_all_pilots_modulo_whole_cycles(server: RadioServer) -> None:
    command = to_apply(server, configure(1, groups=4))
    off = [
        PilotSetting(phase_cycles=p.phase_cycles + 3, delay_s=p.delay_s, first_group=0, groups=4)
        for p in command.pilots
    ]
    off[1].phase_cycles[1, 2] -= 0.125  # binary fractions, hence exact
    off[0] = dataclasses.replace(off[0], delay_s=off[0].delay_s + 2.0**-40)
    (ready,) = server.applied(command, off)
    assert isinstance(ready, msg.Ready)
    assert (ready.epoch, ready.pilots, ready.phase_deviation_cycles) == (1, 2, 0.125)
    assert ready.delay_deviation_s == pytest.approx(2.0**-40, rel=1e-3)  # 1e-9 s is no binary fraction


@pytest.mark.clause("5.2")
def test_setting_asked_for_again_gets_the_same_answer_and_is_not_applied_again(server: RadioServer) -> None:
    (ready,) = answers(server, configure(3))
    assert server.hear(configure(3)) is ready
    assert server.counters["repeated"] == 1


@pytest.mark.clause("5.2")
def test_setting_asked_for_again_before_it_is_on_the_air_is_answered_as_often_as_asked_for(server: RadioServer) -> None:
    command = to_apply(server, configure(3))
    assert server.hear(configure(3)) is None
    assert len(server.applied(command, command.pilots)) == 2


@pytest.mark.clause("5.3")
def test_older_epoch_is_declined_unless_its_answer_is_remembered(server: RadioServer) -> None:
    first = answers(server, configure(2))[0]
    for epoch in range(4, 3 + REMEMBERED_ANSWERS):
        answers(server, configure(epoch))
    assert server.hear(configure(2)) is first
    declined = server.hear(configure(3))
    assert isinstance(declined, msg.Declined)
    assert declined.clause == "5.3"


@pytest.mark.clause("5.2")
def test_answer_is_forgotten_after_sixteen_others(server: RadioServer) -> None:
    for epoch in range(1, REMEMBERED_ANSWERS + 2):
        answers(server, configure(epoch))
    assert isinstance(server.hear(configure(1)), msg.Declined)
    assert isinstance(server.hear(configure(2)), msg.Ready)


@pytest.mark.clause("5.1")
def test_setting_of_the_session_before_is_not_answered_in_the_next_one_with_the_same_epoch(server: RadioServer) -> None:
    old = to_apply(server, configure(1))
    server.reset()
    new = to_apply(server, configure(1, phase=0.5))
    assert server.applied(old, old.pilots) == []
    assert len(server.applied(new, new.pilots)) == 1


@pytest.mark.clause("5.1")
def test_answers_of_the_session_before_are_forgotten(server: RadioServer) -> None:
    answers(server, configure(1))
    server.reset()
    assert isinstance(server.hear(configure(1)), Apply)


@pytest.mark.clause("6.3")
@pytest.mark.parametrize(
    ("message", "text"),
    [
        (configure(1, elements=9), "8 elements, got 9"),
        (configure(1, groups=3), "64 subcarriers cannot be cut into 3"),
        (configure(1, delay_s=3e-9), "0 .. 2 ns, got 3 .. 3 ns"),
        (configure(1, delay_s=-1e-12), "got -0.001"),
    ],
)
def test_setting_that_the_front_end_cannot_have_is_declined(
    server: RadioServer, message: msg.Configure, text: str
) -> None:
    declined = server.hear(message)
    assert isinstance(declined, msg.Declined)
    assert declined.clause == "6.3"
    assert text in declined.text


@pytest.mark.clause("6.3")
def test_delays_on_the_ends_of_the_span_may_be_off_by_rounding(server: RadioServer) -> None:
    assert isinstance(server.hear(configure(1, delay_s=2e-9 + 5e-16)), Apply)


@pytest.mark.clause("6.4")
def test_capture_is_declined_since_there_is_no_uplink_receiver(server: RadioServer) -> None:
    declined = server.hear(msg.Capture(epoch=1, ue="ue-1"))
    assert isinstance(declined, msg.Declined)
    assert declined.clause == "6.4"
    assert server.hear(msg.Capture(epoch=1, ue="ue-1")) is declined


SNAPSHOT = np.full((392, 6), 0.5 + 2j)


@pytest.fixture
def hearing() -> RadioServer:
    return RadioServer(FACTS, LIMITS, ("ue-1", "ue-2"))


def to_hear(server: RadioServer, epoch: int) -> Hear:
    command = server.hear(msg.Capture(epoch=epoch, ue="ue-2"))
    assert command == Hear(epoch=epoch, ue="ue-2")
    assert isinstance(command, Hear)
    return command


@pytest.mark.clause("6.4")
def test_capture_is_answered_with_what_was_heard_as_often_as_it_was_asked_for(hearing: RadioServer) -> None:
    command = to_hear(hearing, 3)
    assert hearing.hear(msg.Capture(epoch=3, ue="ue-2")) is None
    first, second = hearing.heard(command, SNAPSHOT)
    assert isinstance(first, msg.Snapshot)
    assert first.epoch == 3
    assert first.samples.dtype == np.complex64
    np.testing.assert_array_equal(first.samples, SNAPSHOT)
    assert hearing.hear(msg.Capture(epoch=3, ue="ue-2")) is first is second


@pytest.mark.clause("6.4")
def test_capture_of_a_ue_that_does_not_sound_or_is_not_heard_is_declined(hearing: RadioServer) -> None:
    unknown = hearing.hear(msg.Capture(epoch=1, ue="ue-3"))
    (unheard,) = hearing.heard(to_hear(hearing, 2), "heard nothing")
    assert isinstance(unknown, msg.Declined)
    assert isinstance(unheard, msg.Declined)
    assert (unknown.clause, unheard.clause, unheard.text) == ("6.4", "6.4", "heard nothing")
    assert "ue-1, ue-2" in unknown.text
    assert "ue-3" in unknown.text


@pytest.mark.clause("5.1")
def test_sounding_that_the_session_before_asked_for_is_not_answered(hearing: RadioServer) -> None:
    command = to_hear(hearing, 1)
    hearing.reset()
    to_hear(hearing, 1)
    assert hearing.heard(command, SNAPSHOT) == []


@pytest.mark.clause("6.4")
def test_setting_that_settles_and_sounding_that_is_heard_do_not_wait_for_each_other(hearing: RadioServer) -> None:
    setting = to_apply(hearing, configure(1))
    sounding = to_hear(hearing, 2)
    assert len(hearing.heard(sounding, SNAPSHOT)) == 1
    assert len(hearing.applied(setting, setting.pilots)) == 1


def test_pilots_put_together_are_the_setting_that_was_asked_for(server: RadioServer) -> None:
    asked = configure(1, groups=4)
    command = to_apply(server, asked)
    got = np.concatenate([pilot.delay_s for pilot in command.pilots])
    np.testing.assert_array_equal(got, asked.delay_s)
