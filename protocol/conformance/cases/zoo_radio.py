"""How radios end sessions: what only a radio of one certain fault does."""

from protocol.conformance.case import case
from protocol.conformance.drivers.radio import RadioUnderTest


@case("radio/session/answer-of-a-slow-radio", clause="5.1.3", expect="no answer of the earlier session")
def answer_of_a_slow_radio(radio: RadioUnderTest) -> None:
    """A setting is asked for, the session ends, and in the next one nothing is asked for until a slow radio had answered."""
    radio.open_session()
    radio.configure(*radio.setting(), epoch=7)
    radio.is_open = False
    radio.refuse("4.12")
    radio.expect_new_session()
    radio.open_session()
    radio.silence_for(radio.front_end["settle_s"] + 0.8)
