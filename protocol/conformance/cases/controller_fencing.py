"""Whose session it is: a peer's newest one wins, and a hello may come again after its session (SPEC 4.5)."""

from protocol.conformance.case import NonconformityError, case
from protocol.conformance.drivers.controller import ControllerUnderTest, KitPeer

EARLIER = 5_000_000  # us


def _expect_older(peer: KitPeer, newest: int) -> None:
    """Wait for the refusal by 4.5 that carries the newest number."""
    refusal = peer.expect_refusal("4.5")
    if refusal.session != newest:
        raise NonconformityError(f"expected session {newest} in the refusal, got {refusal.session}", "4.5.2")
    if refusal.fields.get("final", False):
        raise NonconformityError(f"expected a refusal that is not final, got {refusal.fields}", "4.5.2")


@case("controller/session/larger-number-elsewhere", clause="4.5.1", expect="welcome, and the session before is closed")
def larger_number_elsewhere(controller: ControllerUnderTest) -> None:
    """A UE comes back with a larger number on another connection."""
    before, after = controller.ue(), controller.ue()
    before.open_session()
    after.renew(before.session + 1)
    after.open_session()
    before.expect_closed()
    after.expect_goes_on()


@case("controller/session/larger-number-on-the-same-connection", clause="4.5.1", expect="welcome to the larger number")
def larger_number_on_the_same_connection(controller: ControllerUnderTest) -> None:
    """A UE says hello with a larger number on the connection of its open session."""
    ue = controller.ue()
    ue.open_session()
    ue.expect_goes_on()
    before = ue.session
    ue.renew()
    ue.open_session()
    ue.expect_goes_on()  # its numbers begin with 1 again
    ue.say("heartbeat", {"progress": 1}, session=before)
    if ue.expect_refusal("4.12").session != before:
        raise NonconformityError("expected the number of the session before in the refusal", "4.12.1")


@case(
    "controller/session/radio-with-a-larger-number", clause="4.5.1", expect="welcome, and the session before is closed"
)
def radio_with_a_larger_number(controller: ControllerUnderTest) -> None:
    """A radio comes back with a larger number on another connection."""
    before, after = controller.radio(), controller.radio()
    before.open_session()
    after.renew(before.session + 1)
    after.open_session()
    before.expect_closed()
    after.expect_goes_on()


@case(
    "controller/session/smaller-number-elsewhere",
    clause="4.5.2",
    expect="a refusal by 4.5 with the open session's number",
)
def smaller_number_elsewhere(controller: ControllerUnderTest) -> None:
    """Another connection says hello as the same UE with a smaller number."""
    ue, other = controller.ue(), controller.ue()
    ue.open_session()
    other.renew(ue.session - EARLIER)
    other.greet()
    _expect_older(other, ue.session)
    ue.expect_goes_on()
    other.expect_closed()


@case(
    "controller/session/smaller-number-here", clause="4.5.2", expect="a refusal by 4.5 with the open session's number"
)
def smaller_number_here(controller: ControllerUnderTest) -> None:
    """A UE says hello with a smaller number on the connection of its open session."""
    ue = controller.ue()
    ue.open_session()
    ue.say("hello", ue.hello_fields(), session=ue.session - EARLIER)
    _expect_older(ue, ue.session)
    ue.expect_goes_on()


@case(
    "controller/session/same-number-elsewhere",
    clause="4.5.2",
    expect="a refusal by 4.5, and the session stays where it was",
)
def same_number_elsewhere(controller: ControllerUnderTest) -> None:
    """Another connection says the same hello."""
    ue, other = controller.ue(), controller.ue()
    ue.open_session()
    other.renew(ue.session)
    other.greet()
    _expect_older(other, ue.session)
    ue.expect_goes_on()


@case("controller/session/smaller-number-of-another-name", clause="4.2.2", expect="welcome: numbers are a name's own")
def smaller_number_of_another_name(controller: ControllerUnderTest) -> None:
    """While ue-1 has a session, ue-2 opens one with a smaller number."""
    two, one = controller.ue("ue-2"), controller.ue()
    if two.session >= one.session:
        one.renew(two.session + 1)
    one.open_session()
    two.open_session()
    one.expect_goes_on()
    two.expect_goes_on()


@case("controller/session/ended-session-again", clause="4.5.3", expect="a refusal by 4.5: the session is over")
def ended_session_again(controller: ControllerUnderTest) -> None:
    """After bye the same hello comes again, as one that was under way."""
    ue = controller.ue()
    ue.open_session()
    ue.say("bye", {"reason": "the kit tests 4.5"})
    ue.is_open = False
    ue.wait(0.05)
    ue.inbox.clear()
    ue.greet()
    _expect_older(ue, ue.session)
    ue.expect_closed()


@case(
    "controller/session/ended-session-elsewhere", clause="4.5.3", expect="a refusal by 4.5 with the number that is over"
)
def ended_session_elsewhere(controller: ControllerUnderTest) -> None:
    """After bye another connection says hello with a smaller number."""
    ue, other = controller.ue(), controller.ue()
    ue.open_session()
    number = ue.session
    ue.say("bye", {"reason": "the kit tests 4.5"})
    ue.is_open = False
    ue.wait(0.05)
    other.renew(number - EARLIER)
    other.greet()
    _expect_older(other, number)


@case("controller/session/replaced-session-again", clause="4.5.3", expect="a refusal by 4.5 with the newest number")
def replaced_session_again(controller: ControllerUnderTest) -> None:
    """The hello of a session that a newer one has closed comes again, after the newer one has ended too."""
    before, after = controller.ue(), controller.ue()
    before.open_session()
    after.renew(before.session + 1)
    after.open_session()
    newest = after.session
    after.say("bye", {"reason": "the kit tests 4.5"})
    after.is_open = before.is_open = False
    after.wait(0.05)
    before.inbox.clear()
    before.greet()
    _expect_older(before, newest)


@case("controller/session/larger-number-after-the-end", clause="4.2.2", expect="welcome at once")
def larger_number_after_the_end(controller: ControllerUnderTest) -> None:
    """After bye the next hello has a number that is larger by one."""
    ue, other = controller.ue(), controller.ue()
    ue.open_session()
    ue.say("bye", {"reason": "the kit tests 4.5"})
    ue.is_open = False
    ue.wait(0.05)
    other.renew(ue.session + 1)
    other.open_session()
    other.expect_goes_on()
