"""What goes wrong around radios and UEs: controllers that vanish, processes that are stopped, connections that are cut."""

import signal

from protocol.conformance.case import NonconformityError, case
from protocol.conformance.drivers.peer import PeerUnderTest
from protocol.conformance.sockets import now_s

BACK_WITHIN_S = 6.0  # liveness, two pauses, and libzmq's own attempts to connect


def _open(peer: PeerUnderTest, *, heartbeat_s: float, liveness_s: float) -> None:
    """Open a session and see that the peer knows it."""
    peer.open_session(heartbeat_s=heartbeat_s, liveness_s=liveness_s)
    peer.request(1)
    peer.expect_reply(1)
    peer.wait(0.1)  # until it has heard that its answer arrived


@case("peer/faults/controller-crashes", clause="4.11.1", also=("4.1.1",), expect="hello with a larger number")
def controller_crashes(peer: PeerUnderTest) -> None:
    """The controller's endpoint vanishes in an open session for longer than liveness_s, and comes back."""
    _open(peer, heartbeat_s=0.1, liveness_s=0.5)
    peer.vanish()
    peer.wait(1.0)
    peer.come_back()
    peer.expect_new_session(within_s=BACK_WITHIN_S)
    peer.expect_service()


def _refuse_until_a_new_session(peer: PeerUnderTest, number: int) -> None:
    """Refuse by 4.12 whatever is said of a session that the controller does not know any more."""
    until_s = now_s() + BACK_WITHIN_S
    while peer.session == number:
        if now_s() >= until_s:
            raise NonconformityError(f"expected a new session within {BACK_WITHIN_S:g} s, got none")
        said = peer.next_within(0.1)
        if said is not None and said.session == number:
            peer.route = said.route  # it has connected anew
            peer.refuse("4.12")


@case("peer/faults/controller-restarts", clause="4.12.2", expect="hello with a larger number")
def controller_restarts(peer: PeerUnderTest) -> None:
    """The controller's endpoint is gone for a moment; then it knows no session and refuses by 4.12 what it hears."""
    _open(peer, heartbeat_s=0.1, liveness_s=10.0)
    number = peer.session
    peer.vanish()
    peer.come_back()
    _refuse_until_a_new_session(peer, number)
    peer.expect_service()


@case("peer/faults/controller-vanishes-before-welcome", clause="4.1.5", expect="hello when it is back")
def controller_vanishes_before_welcome(peer: PeerUnderTest) -> None:
    """The controller's endpoint vanishes before it has welcomed anybody, for 0.8 s."""
    number = peer.session
    peer.vanish()
    peer.wait(0.8)
    peer.come_back()
    peer.inbox.clear()
    hello = peer.expect("hello", within_s=BACK_WITHIN_S)
    if hello.session < number:
        raise NonconformityError(f"expected hello {number} or a larger number, got {hello.session}", "4.1.1")
    peer.expect_service()


@case("peer/faults/stopped-for-a-moment", clause="4.9.1", expect="the session as it was, and one answer")
def stopped_for_a_moment(peer: PeerUnderTest) -> None:
    """The process is stopped for 0.4 s in a session with liveness_s of 5 s; a request comes meanwhile, three times."""
    process = peer.process()
    _open(peer, heartbeat_s=0.2, liveness_s=5.0)
    number = peer.session
    process.signal(signal.SIGSTOP)
    try:
        for _ in range(3):
            peer.request(2, sequence=2)
            peer.wait(0.13)
    finally:
        process.signal(signal.SIGCONT)
    peer.expect_reply(2)
    peer.silence_for(0.3)
    if peer.session != number:
        raise NonconformityError("expected that the session goes on, got a new one")


@case("peer/faults/stopped-for-long", clause="4.12.2", also=("4.11.1",), expect="a new session")
def stopped_for_long(peer: PeerUnderTest) -> None:
    """The process is stopped for twice liveness_s; the controller has closed the session and refuses by 4.12."""
    process = peer.process()
    _open(peer, heartbeat_s=0.1, liveness_s=0.5)
    number = peer.session
    process.signal(signal.SIGSTOP)
    try:
        peer.beats = False
        peer.wait(1.0)
    finally:
        process.signal(signal.SIGCONT)
    _refuse_until_a_new_session(peer, number)
    peer.beats = True
    peer.expect_service()


@case("peer/faults/stopped-process-is-silent", clause="4.10.2", expect="silence while the process is stopped")
def stopped_process_is_silent(peer: PeerUnderTest) -> None:
    """The process is stopped for 0.5 s, so that whatever still beats is not what does the work."""
    process = peer.process()
    _open(peer, heartbeat_s=0.1, liveness_s=5.0)
    peer.wait(0.3)  # until it has heard what acknowledges it
    process.signal(signal.SIGSTOP)
    try:
        peer.wait(0.1)  # what was under way
        peer.inbox.clear()
        peer.wait(0.5)
        if peer.inbox:
            raise NonconformityError(f"expected silence of a stopped process, got {peer.inbox[0].type}")
    finally:
        process.signal(signal.SIGCONT)
    peer.request(2)
    peer.expect_reply(2)


@case("peer/faults/killed-and-started", clause="4.1.1", expect="a new session with a larger number that works")
def killed_and_started(peer: PeerUnderTest) -> None:
    """The process is killed while it has work to do, and started again."""
    process = peer.process()
    peer.open_session()
    number = peer.session
    peer.request(1)
    peer.is_open = False
    process.restart()
    hello = peer.expect_new_session(within_s=20.0)
    if hello.session <= number:
        raise NonconformityError(f"expected a number above {number}, got {hello.session}")
    peer.expect_service()


@case(
    "peer/faults/three-sessions-in-a-row", clause="4.1.1", also=("4.12.2",), expect="larger numbers, and work in each"
)
def three_sessions_in_a_row(peer: PeerUnderTest) -> None:
    """Each session is closed by 4.12 as soon as it has answered."""
    numbers = []
    for _ in range(3):
        peer.expect_service()
        numbers.append(peer.session)
        peer.is_open = False
        peer.refuse("4.12")
        peer.expect_new_session()
    if sorted(set(numbers)) != numbers:
        raise NonconformityError(f"expected numbers that grow, got {numbers}")


@case("peer/faults/controller-says-bye-and-crashes", clause="4.13.1", expect="hello when it is back")
def controller_says_bye_and_crashes(peer: PeerUnderTest) -> None:
    """The controller says bye, is gone for 0.5 s and comes back."""
    _open(peer, heartbeat_s=0.2, liveness_s=1.0)
    peer.say("bye", {"reason": "the controller ends"})
    peer.wait(0.05)
    peer.vanish()
    peer.wait(0.5)
    peer.come_back()
    peer.expect_new_session(within_s=BACK_WITHIN_S)
