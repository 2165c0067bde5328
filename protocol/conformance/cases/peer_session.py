"""Sessions, as radios and UEs open and leave them."""

import time

from protocol.conformance.case import NonconformityError, case
from protocol.conformance.conversation import BACKGROUND
from protocol.conformance.drivers.peer import PeerUnderTest
from protocol.conformance.sockets import now_s

HELLO_AGAIN_S = 0.6
CLOCKS_DIFFER_S = 60.0  # by which a session's number may be off Unix time


@case("peer/session/hello-is-repeated", clause="4.1.5", also=("4.1.4",), expect="the same hello again within 0.6 s")
def hello_is_repeated(peer: PeerUnderTest) -> None:
    """No welcome comes."""
    first_s = peer.heard_at_s["hello"][0]
    again = peer.expect("hello", within_s=2.0)
    peer.rig.meter.require(again.at_s - first_s, HELLO_AGAIN_S, "hello again")


@case("peer/session/routing-id-is-not-set", clause="2.1.1", expect="a connection without an identity of its own")
def routing_id_is_not_set(peer: PeerUnderTest) -> None:
    """The routing id by which a ROUTER knows the peer is looked at."""
    if len(peer.route) != 5 or peer.route[0] != 0:  # what a ROUTER gives itself: a zero byte and a number
        raise NonconformityError(f"expected a routing id that the ROUTER has chosen, got {peer.route!r}")


@case("peer/session/hello-states-the-facts", clause="4.4.1", expect="the testbed's facts and their digest in hello")
def hello_states_the_facts(peer: PeerUnderTest) -> None:
    """Hello is read and compared with the facts of the testbed."""
    assert peer.hello is not None  # noqa: S101 - a case begins with it
    if peer.hello.fields["digest"] != peer.rig.digest:
        raise NonconformityError(f"expected digest {peer.rig.digest}, got {peer.hello.fields['digest']}")
    if peer.hello.fields["facts"] != peer.rig.facts:
        raise NonconformityError(f"expected facts {peer.rig.facts}, got {peer.hello.fields['facts']}")


@case("peer/session/hello-offers-version-1", clause="4.2.4", also=("4.2.2",), expect="1 among the versions of hello")
def hello_offers_version_1(peer: PeerUnderTest) -> None:
    """The versions in hello are read."""
    assert peer.hello is not None  # noqa: S101 - a case begins with it
    versions = peer.hello.fields["versions"]
    if not isinstance(versions, list) or 1 not in versions:
        raise NonconformityError(f"expected 1 among the versions, got {versions}")


@case("peer/session/number-is-unix-time", clause="4.1.2", expect="a session number near Unix time in microseconds")
def number_is_unix_time(peer: PeerUnderTest) -> None:
    """The number of a session that has just begun is compared with the clock."""
    off_s = peer.session * 1e-6 - time.time()
    if abs(off_s) > CLOCKS_DIFFER_S:
        raise NonconformityError(f"expected Unix time in microseconds, got {peer.session}, {off_s:.0f} s away")


@case("peer/session/number-grows-over-a-restart", clause="4.1.1", expect="a larger number than before")
def number_grows_over_a_restart(peer: PeerUnderTest) -> None:
    """The process is killed in an open session and started again."""
    process = peer.process()
    peer.open_session()
    before = peer.session
    peer.is_open = False
    process.restart()
    hello = peer.expect_new_session(within_s=20.0)
    if hello.session <= before:
        raise NonconformityError(f"expected a number above {before}, got {hello.session}")


@case("peer/session/late-welcome", clause="4.1.5", expect="hello until the welcome, then an open session")
def late_welcome(peer: PeerUnderTest) -> None:
    """The first two hellos stay without an answer."""
    peer.expect("hello")
    peer.expect("hello")
    peer.expect_service()


@case("peer/session/hello-ends-with-welcome", clause="4.1.5", expect="no further hello")
def hello_ends_with_welcome(peer: PeerUnderTest) -> None:
    """The session is open for longer than a hello would take to come again."""
    peer.open_session()
    peer.silence_for(1.0)  # a hello that crosses the welcome is passed over


@case(
    "peer/session/nothing-but-hello-before-welcome",
    clause="4.1.4",
    also=("4.9.2", "4.14.1"),
    expect="nothing but the same hello",
)
def nothing_but_hello_before_welcome(peer: PeerUnderTest) -> None:
    """Before welcome the controller says heartbeat, acknowledge, bye, hello, a request and what is no message at all."""
    assert peer.hello is not None  # noqa: S101 - a case begins with it
    peer.say("heartbeat", {"progress": 1})
    peer.say("acknowledge")
    peer.say("bye", {"reason": "before welcome"})
    peer.say("hello", peer.hello.fields)
    peer.request(1, sequence=1)
    peer.say_frames([b"\xc1garbage"])
    peer.say_frames([b""])
    peer.silence_for(0.4, but=frozenset({"hello"}))
    peer.expect("hello")


@case(
    "peer/session/work-before-welcome-is-dropped",
    clause="4.9.2",
    expect="no acknowledgement and no answer, until it comes again after welcome",
)
def work_before_welcome_is_dropped(peer: PeerUnderTest) -> None:
    """A request overtakes the welcome, and comes again 0.3 s after it."""
    peer.request(1, sequence=1)
    peer.wait(0.1)
    peer.open_session()
    peer.silence_for(0.3, but=BACKGROUND | {"hello"})
    if peer.watch.acknowledged:
        raise NonconformityError("expected that nothing is acknowledged that came before welcome, got ack 1")
    peer.request(1, sequence=1)
    peer.expect_reply(1)
    peer.expect_acknowledged(1)


@case("peer/session/welcome-to-another-version", clause="4.2.4", expect="a refusal by 4.2, and hello goes on")
def welcome_to_another_version(peer: PeerUnderTest) -> None:
    """Welcome names a version that hello did not offer; a right one comes after the next hello."""
    peer.welcome(version=9)
    peer.is_open = False
    peer.expect_refusal("4.2")
    at_s = now_s()
    while peer.expect("hello").at_s < at_s + 0.1:
        pass
    peer.expect_service()


@case("peer/session/welcome-again", clause="4.9.1", expect="the session as it was, its numbers going on")
def welcome_again(peer: PeerUnderTest) -> None:
    """Welcome is said again in an open session, as after a hello that crossed it."""
    peer.expect_service()
    peer.welcome()
    peer.request(2)
    peer.expect_reply(2)
    peer.expect_acknowledged(2)


@case(
    "peer/session/unknown-session-is-reopened",
    clause="4.12.2",
    also=("4.1.1",),
    expect="hello with a larger number on a new connection",
)
def unknown_session_is_reopened(peer: PeerUnderTest) -> None:
    """The controller refuses the open session by 4.12."""
    peer.open_session()
    before = peer.route
    peer.is_open = False
    peer.refuse("4.12")
    peer.expect_new_session()
    if peer.route == before:
        raise NonconformityError("expected a new socket, got a hello on the connection of the session before")


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
    said_s = now_s()
    hello = peer.expect_new_session(within_s=2.0)
    if hello.session <= other:
        raise NonconformityError(f"expected a number above {other}, got {hello.session}")
    peer.rig.meter.require(hello.at_s - said_s, 0.3, "hello at once")  # a timer and a way


@case("peer/session/larger-number-after-4.5-of-its-own", clause="4.5.4", expect="hello with a larger number")
def larger_number_after_its_own(peer: PeerUnderTest) -> None:
    """A hello is refused by 4.5, with its own number: it is open on another connection."""
    peer.refuse("4.5")
    peer.expect_new_session(within_s=2.0)


@case("peer/session/same-hello-after-4.5-below", clause="4.1.5", expect="the same hello again")
def same_hello_after_refusal_below(peer: PeerUnderTest) -> None:
    """A refusal by 4.5 names a number below that of hello: it answers a hello of long ago."""
    number = peer.session
    peer.say("refusal", {"clause": "4.5", "text": "an older number"}, session=number - 5)
    hello = peer.expect("hello")
    if hello.session != number:
        raise NonconformityError(f"expected hello {number} again, got {hello.session}")


@case("peer/session/refused-by-2.5-and-welcomed", clause="4.1.5", expect="the same hello until it is welcomed")
def refused_and_welcomed(peer: PeerUnderTest) -> None:
    """A full controller refuses hello by 2.5, which is not final, others by 4.12 and 9.3, and then there is room."""
    number = peer.session
    for clause in ("2.5", "4.12", "9.3"):
        peer.refuse(clause)
    hello = peer.expect("hello")
    if hello.session != number:
        raise NonconformityError(f"expected hello {number} again, got {hello.session}")
    peer.expect_service()
