"""Hostile controllers and strangers on the port: radios and UEs survive, stay within limits and go on."""

import time
from contextlib import suppress

from protocol.conformance.case import NonconformityError, UnsupportedError, case
from protocol.conformance.drivers.peer import PeerUnderTest
from protocol.conformance.headers import packed
from protocol.conformance.raw_zmtp import MORE, GoneError, frame, frame_header
from protocol.conformance.sockets import now_s

BACK_WITHIN_S = 15.0  # 3 s without welcome, the longest pause, and a process that starts again
RATE_HZ = 20000


def _garbage(peer: PeerUnderTest, longest_bytes: int = 64) -> list[bytes]:
    random = peer.rig.random
    return [random.randbytes(random.randrange(longest_bytes)) for _ in range(random.randrange(1, 7))]


@case("peer/hostile/garbage", clause="9.1.2", also=("3.1.2",), expect="refusals, and the session goes on")
def garbage(peer: PeerUnderTest) -> None:
    """Five hundred messages of random bytes come in an open session."""
    peer.open_session()
    for _ in range(500):
        peer.say_frames(_garbage(peer))
    peer.expect_refusal("3.1", "3.2", "3.4")
    _works(peer)


@case("peer/hostile/garbage-before-welcome", clause="4.1.4", expect="nothing but hello")
def garbage_before_welcome(peer: PeerUnderTest) -> None:
    """Five hundred messages of random bytes come before welcome."""
    for _ in range(500):
        peer.say_frames(_garbage(peer))
    peer.silence_for(0.3, but=frozenset({"hello"}))
    peer.expect_service()


@case("peer/hostile/damaged-messages", clause="9.1.2", expect="refusals or nothing, and the session goes on")
def damaged_messages(peer: PeerUnderTest) -> None:
    """A sound heartbeat comes two hundred times with one byte changed, cut or doubled."""
    peer.open_session()
    sound = packed(peer.header("heartbeat", {"progress": 5}, session=peer.session))
    for _ in range(200):
        place, value = peer.rig.random.randrange(len(sound)), peer.rig.random.randbytes(1)
        tail = sound[place + peer.rig.random.randrange(2) :]
        peer.say_frames([sound[:place] + peer.rig.random.choice((value, b"", value * 2)) + tail])
    _works(peer)


def _works(peer: PeerUnderTest) -> None:
    """Check that the session answers, whatever refusals are still under way."""
    number = peer.session
    peer.request(2**40)
    while peer.expect("refusal", *peer.answers).type == "refusal":
        pass
    if peer.session != number:
        raise NonconformityError("expected that the session goes on, got a new one")


@case(
    "peer/hostile/flood-of-heartbeats", clause="2.6.1", expect="no more than 20000 messages in a second; work goes on"
)
def flood_of_heartbeats(peer: PeerUnderTest) -> None:
    """Five thousand heartbeats come as fast as they go."""
    peer.open_session(heartbeat_s=0.2, liveness_s=10.0)
    for _ in range(5000):
        peer.say("heartbeat", {"progress": 1})
    _works(peer)
    _require_rate(peer)


@case("peer/hostile/flood-of-duplicates", clause="4.9.1", also=("2.6.1",), expect="one answer")
def flood_of_duplicates(peer: PeerUnderTest) -> None:
    """One request comes two thousand times with its number."""
    peer.open_session(heartbeat_s=0.2, liveness_s=10.0)
    for _ in range(2000):
        peer.request(1, sequence=1)
    peer.expect_reply(1)
    peer.silence_for(0.3)
    _works(peer)
    _require_rate(peer)


def _require_rate(peer: PeerUnderTest) -> None:
    times_s = sorted(at_s for all_of_type in peer.heard_at_s.values() for at_s in all_of_type)
    for first_s, later_s in zip(times_s, times_s[RATE_HZ:], strict=False):
        if later_s - first_s < 1.0:
            raise NonconformityError(f"expected at most {RATE_HZ} messages in a second", "2.6.1")


@case("peer/hostile/frame-too-large", clause="2.4.2", expect="the end of the connection, and a new session on another")
def frame_too_large(peer: PeerUnderTest) -> None:
    """A frame is one byte longer than the largest legal one of the testbed, at a radio with 4096 groups."""
    peer.open_session(heartbeat_s=0.1, liveness_s=1.0)
    route, until_s = peer.route, now_s() + 3.0
    peer.say_frames([bytes(peer.rig.largest_frame_bytes + 1)])
    while peer.say_to(route, [b"\xc1"]):
        if now_s() >= until_s:
            raise NonconformityError("expected that the connection is dropped, but it is there after 3 s")
        peer.pump.step(now_s() + 0.02)
        time.sleep(0.01)
    peer.is_open = False
    peer.expect_new_session(within_s=BACK_WITHIN_S)
    peer.expect_service()


@case("peer/hostile/largest-frame-is-taken", clause="2.4.2", expect="a refusal, and the session goes on")
def largest_frame_is_taken(peer: PeerUnderTest) -> None:
    """A frame of the largest legal size comes, full of zeros."""
    peer.open_session(heartbeat_s=0.2, liveness_s=5.0)
    peer.say_frames([bytes(peer.rig.largest_frame_bytes)])
    peer.expect_refusal("3.1")
    _works(peer)


@case("peer/hostile/unfinished-message", clause="4.11.1", also=("10.6.2",), expect="a new session after liveness_s")
def unfinished_message(peer: PeerUnderTest) -> None:
    """A message begins in an open session, its frames go on and it never ends; nothing else is heard any more."""
    with peer.raw_listener() as listener:
        connection = peer.welcomed(listener, heartbeat_s=0.1, liveness_s=0.5)
        with suppress(GoneError):
            for _ in range(1000):
                connection.write(frame(bytes(100), MORE))
        listener.accept(within_s=BACK_WITHIN_S)
    _is_back(peer)


@case("peer/hostile/frame-that-claims-too-much", clause="2.4.2", also=("10.6.2",), expect="the end of the connection")
def frame_that_claims_too_much(peer: PeerUnderTest) -> None:
    """A frame says that 2^62 bytes follow, in an open session."""
    with peer.raw_session(heartbeat_s=0.2, liveness_s=3.0) as connection:
        connection.write(frame_header(1 << 62) + bytes(1000))
        if not connection.is_closed_within(1.5):
            raise NonconformityError("expected that the connection is dropped, but it is there after 1.5 s")
    _is_back(peer)


@case("peer/hostile/stranger-on-the-port", clause="4.1.6", expect="hello when the controller is back")
def stranger_on_the_port(peer: PeerUnderTest) -> None:
    """Something else listens at the controller's endpoint and answers as a web server would; then it is gone."""
    with peer.raw_listener() as listener:
        connection = listener.accept(within_s=10.0)
        connection.write(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
        connection.is_closed_within(0.5)
    _is_back(peer)


@case("peer/hostile/handshake-that-never-ends", clause="4.1.6", expect="a new connection")
def handshake_that_never_ends(peer: PeerUnderTest) -> None:
    """Something accepts the connection and says nothing at all."""
    with peer.raw_listener() as listener:
        listener.accept(within_s=10.0)
        listener.accept(within_s=BACK_WITHIN_S)
    _is_back(peer)


def _is_back(peer: PeerUnderTest) -> None:
    peer.expect_new_session(within_s=BACK_WITHIN_S)
    peer.expect_service()


@case("peer/hostile/abstract-socket", clause="2.2.2", expect="no connection")
def abstract_socket(peer: PeerUnderTest) -> None:
    """A second process is told a controller at an abstract socket, which the kit has bound."""
    _require_no_hello(peer, f"ipc://@nftestbed-conform-{peer.rig.random.randrange(1 << 60):x}", "{}")


@case("peer/hostile/address-that-is-no-loopback", clause="2.3.1", expect="no connection")
def address_that_is_no_loopback(peer: PeerUnderTest) -> None:
    """A second process is told a controller at 0.0.0.0, which leads to this machine and is no loopback address."""
    _require_no_hello(peer, "tcp://127.0.0.1:*", "tcp://0.0.0.0:{}")


def _require_no_hello(peer: PeerUnderTest, bound: str, told: str) -> None:
    def hear(_route: bytes, frames: list[bytes], _at_s: float) -> None:
        raise NonconformityError(f"expected that {endpoint} is refused, got a message of {len(frames)} frames")

    socket = peer.pump.bound(bound, "elsewhere", hear)
    endpoint = told.format(socket.endpoint.rpartition(":")[2]) if told != "{}" else bound
    try:
        with peer.rig.elsewhere(endpoint) as testee:
            until_s = now_s() + 5.0
            while testee.ended() is None and now_s() < until_s:
                peer.pump.step(until_s)
            if testee.ended() == 127:
                raise UnsupportedError(f"the testee ended with status 127 for {endpoint}")
    finally:
        peer.pump.drop(socket)
