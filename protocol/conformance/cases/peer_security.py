"""Keys, as radios and UEs have them: the kit is a controller whose key they know, or one that is not."""

from collections.abc import Callable

from protocol.conformance.case import NonconformityError, UnsupportedError, case
from protocol.conformance.curve import Door, new_pair
from protocol.conformance.drivers.peer import PeerUnderTest
from protocol.conformance.headers import frames_of
from protocol.conformance.sockets import now_s
from protocol.conformance.strangers import require_curve_alone

COMES_WITHIN_S = 8.0  # 3 s without welcome, the longest pause, and a handshake
ENDS_WITHIN_S = 15.0  # a process that starts and refuses


def wait_until(peer: PeerUnderTest, holds: Callable[[], bool], what: str, within_s: float = COMES_WITHIN_S) -> None:
    """Wait for something that the testee does."""
    until_s = now_s() + within_s
    while not holds():
        if now_s() >= until_s:
            raise NonconformityError(f"expected {what} within {within_s:g} s, got nothing")
        peer.pump.step(until_s)


def control_door(peer: PeerUnderTest) -> Door:
    """Return the door of the control link, at which the testee has knocked."""
    assert peer.door is not None  # noqa: S101 - in the variant with keys
    return peer.door


@case("peer/security/own-key", clause="10.2.1", variant="keys", expect="hello on a connection of its own key")
def own_key(peer: PeerUnderTest) -> None:
    """The kit lets in the key alone that is the testee's, and opens a session."""
    peer.expect_service()
    strangers = set(control_door(peer).knocks) - control_door(peer).admitted
    if strangers:
        raise NonconformityError(f"expected the key of {peer.rig.keys.own} alone, got {strangers} as well")


@case(
    "peer/security/null-is-not-spoken",
    clause="10.2.1",
    variant="keys",
    expect="a greeting with the mechanism CURVE; no READY, no message after one with NULL",
)
def null_is_not_spoken(peer: PeerUnderTest) -> None:
    """The connection is greeted with the mechanism NULL, as by a controller without keys."""
    with peer.raw_listener() as listener:
        require_curve_alone(listener.accept(COMES_WITHIN_S))


@case(
    "peer/security/other-controller",
    clause="10.2.2",
    variant="keys",
    expect="no hello to another key; hello when the right one is back",
)
def other_controller(peer: PeerUnderTest) -> None:
    """Somebody with another key is at the controller's endpoint, and would let everybody in."""
    known = peer.session
    door = Door(pair=new_pair(), admitted=control_door(peer).admitted)
    peer.vanish()
    peer.come_back(door)
    try:
        wait_until(peer, lambda: door.failures > 0, "a handshake that fails")
        if door.knocks or peer.session > known:
            raise NonconformityError("expected no handshake with another key than the controller's, got one")
    finally:
        peer.vanish()
        peer.come_back()
    wait_until(peer, lambda: peer.session > known, "hello to the controller's own key")


@case(
    "peer/security/longest-frame",
    clause="10.2.3",
    also=("10.6.2",),
    variant="keys",
    expect="a refusal of the frame, no drop of the connection; a drop for one byte more",
)
def longest_frame(peer: PeerUnderTest) -> None:
    """A frame as large as is legal follows a heartbeat, which has none; then one that has a byte more."""
    peer.open_session()
    (header,) = frames_of(peer.header("heartbeat", {"progress": 1}), {})
    peer.say_frames([header, bytes(peer.rig.largest_frame_bytes)])
    peer.expect_refusal("3.6")
    peer.say_frames([header, bytes(peer.rig.largest_frame_bytes + 1)])
    wait_until(peer, lambda: not peer.is_connected(), "that the connection is dropped", within_s=2.0)
    peer.expect_new_session(within_s=COMES_WITHIN_S)


@case(
    "peer/security/kept-out-and-let-in",
    clause="10.5.2",
    also=("4.1.6",),
    variant="keys",
    expect="it knocks again, and says hello once it is let in",
)
def kept_out_and_let_in(peer: PeerUnderTest) -> None:
    """The controller does not know the key until it was shown once; no socket of libzmq shows it a second time by itself."""
    known, door = peer.session, control_door(peer)
    admitted, before = door.admitted, len(door.knocks)
    door.admitted = set()
    peer.vanish()
    peer.come_back()
    try:
        wait_until(peer, lambda: len(door.knocks) > before, "somebody who knocks")
        if peer.session > known:
            raise NonconformityError("expected no hello of one that is kept out, got one", "10.2.1")
    finally:
        door.admitted = admitted
    wait_until(peer, lambda: peer.session > known, "hello of one that is let in")
    peer.open_session()


@case(
    "peer/security/secret-that-others-read",
    clause="10.2.5",
    variant="keys",
    expect="the process ends, and does not connect",
)
def secret_that_others_read(peer: PeerUnderTest) -> None:
    """The process is started with a secret key in a file of mode 0644, then of mode 0602."""
    for mode in (0o644, 0o602):
        with peer.rig.keys.mode_of_secret(mode):
            _require_no_start(peer)


def _require_no_start(peer: PeerUnderTest) -> None:
    door = control_door(peer)
    testee = peer.rig.testee
    testee.close()
    door.knocks.clear()
    if not testee.restart():
        raise UnsupportedError("the kit has not started the process")
    wait_until(peer, lambda: testee.ended() is not None or bool(door.knocks), "that the process ends", ENDS_WITHIN_S)
    if door.knocks:
        raise NonconformityError("expected that the process refuses to start, got a connection")
    if testee.ended() == 0:
        raise NonconformityError("expected an exit status that says so, got 0")
