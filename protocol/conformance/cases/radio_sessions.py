"""What a radio forgets when a new session opens."""

from protocol.conformance.case import case
from protocol.conformance.drivers.radio import RadioUnderTest
from protocol.conformance.sockets import now_s


def _begin_anew(radio: RadioUnderTest) -> None:
    """End the session by a refusal and open the next one."""
    radio.is_open = False
    radio.refuse("4.12")
    radio.expect_new_session()
    radio.open_session()


@case("radio/session/epochs-count-anew", clause="5.1.3", expect="ready of epoch 1, not declined as stale")
def epochs_count_anew(radio: RadioUnderTest) -> None:
    """A setting of epoch 1000 is asked for, and in a new session one of epoch 1."""
    radio.open_session()
    radio.expect_answer("ready", radio.configure(*radio.setting(), epoch=1000))
    _begin_anew(radio)
    radio.expect_answer("ready", radio.configure(*radio.setting(), epoch=1))


@case("radio/session/answers-are-forgotten", clause="5.1.3", expect="ready, not the snapshot of the earlier session")
def answers_are_forgotten(radio: RadioUnderTest) -> None:
    """A snapshot of epoch 5 is asked for, and in a new session a setting of epoch 5."""
    radio.open_session()
    radio.expect_answer("snapshot", radio.capture(radio.ue, epoch=5))
    _begin_anew(radio)
    radio.expect_answer("ready", radio.configure(*radio.setting(), epoch=5))


@case("radio/session/no-late-answer", clause="5.1.3", expect="no ready of the earlier session")
def no_late_answer(radio: RadioUnderTest) -> None:
    """The session ends while a setting settles, and nothing is asked for in the next one until it had settled."""
    radio.open_session()
    radio.configure(*radio.setting(), epoch=7)
    asked_s = now_s()
    _begin_anew(radio)
    radio.silence_for(max(0.1, asked_s + radio.front_end["settle_s"] + 0.1 - now_s()))
