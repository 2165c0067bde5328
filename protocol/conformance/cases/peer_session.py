"""Sessions, as radios and UEs keep them."""

from protocol.conformance.case import NonconformityError, case
from protocol.conformance.drivers.peer import PeerUnderTest


@case("peer/session/hello-is-repeated", clause="4.1.5", also=("4.1.4",), expect="the same hello again within 0.6 s")
def hello_is_repeated(peer: PeerUnderTest) -> None:
    """No welcome comes."""
    first_s = peer.heard_at_s["hello"][0]
    again = peer.expect("hello", within_s=2.0)
    peer.rig.meter.require(again.at_s - first_s, 0.6, "hello again")


@case("peer/session/hello-states-the-facts", clause="4.4.1", expect="the testbed's facts and their digest in hello")
def hello_states_the_facts(peer: PeerUnderTest) -> None:
    """Hello is read and compared with the facts of the testbed."""
    assert peer.hello is not None  # noqa: S101 - a case begins with it
    if peer.hello.fields["digest"] != peer.rig.digest:
        raise NonconformityError(f"expected digest {peer.rig.digest}, got {peer.hello.fields['digest']}")
    if peer.hello.fields["facts"] != peer.rig.facts:
        raise NonconformityError(f"expected facts {peer.rig.facts}, got {peer.hello.fields['facts']}")


@case("peer/session/unknown-session-is-reopened", clause="4.12.2", also=("4.1.1",), expect="hello with a larger number")
def unknown_session_is_reopened(peer: PeerUnderTest) -> None:
    """The controller refuses the open session by 4.12."""
    peer.open_session()
    peer.is_open = False
    peer.refuse("4.12")
    peer.expect_new_session()


@case(
    "peer/session/bye-ends-the-session",
    clause="4.13.1",
    also=("4.13.2",),
    expect="hello with a larger number, nothing before",
)
def bye_ends_the_session(peer: PeerUnderTest) -> None:
    """The controller says bye."""
    peer.open_session()
    peer.wait(0.05)
    peer.inbox.clear()
    peer.is_open = False
    peer.say("bye", {"reason": "the kit tests bye"})
    peer.expect_new_session()


@case("peer/session/larger-number-after-4.5", clause="4.5.4", expect="hello with a number above the refusal's at once")
def larger_number_after_refusal(peer: PeerUnderTest) -> None:
    """A hello is refused by 4.5, with the number of another open session."""
    other = peer.session + 500_000  # as if the clock had been half a second ahead
    peer.say("refusal", {"clause": "4.5", "text": "an older number"}, session=other)
    hello = peer.expect_new_session(within_s=1.0)
    if hello.session <= other:
        raise NonconformityError(f"expected a number above {other}, got {hello.session}")


@case("peer/session/welcome-to-another-version", clause="4.2.4", expect="a refusal by 4.2")
def welcome_to_another_version(peer: PeerUnderTest) -> None:
    """Welcome names a version that hello did not offer."""
    peer.welcome(version=9)
    peer.is_open = False
    peer.expect_refusal("4.2")


@case(
    "peer/session/message-without-a-place",
    clause="4.14.1",
    also=("4.14.2", "9.1.2"),
    expect="a refusal by 4.14, and the session goes on",
)
def message_without_a_place(peer: PeerUnderTest) -> None:
    """The controller says hello in an open session."""
    peer.open_session()
    assert peer.hello is not None  # noqa: S101 - a case begins with it
    peer.say("hello", peer.hello.fields)
    peer.expect_refusal("4.14")
    peer.expect("heartbeat")
