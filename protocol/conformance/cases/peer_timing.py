"""What radios and UEs must do in time: hello, heartbeats, liveness."""

import itertools

from protocol.conformance.case import NonconformityError, case
from protocol.conformance.drivers.peer import PeerUnderTest
from protocol.conformance.headers import frames_of, header, packed, parsed
from protocol.conformance.sockets import now_s
from protocol.conformance.zmtp import RawConnection, RawListener, listening

NO_WELCOME_S = 3.0
PAUSE_S = 2.0  # the longest, when there were attempts before


@case("peer/timing/heartbeats", clause="4.10.1", expect="something said every 0.1 s, plus 0.1 s for timers")
def heartbeats(peer: PeerUnderTest) -> None:
    """An open session with heartbeat_s of 0.1 s is watched for 1 s."""
    _watch_heartbeats(peer, heartbeat_s=0.1, watched_s=1.0)


@case("peer/timing/heartbeats-as-welcome-says", clause="4.10.1", expect="something said every 0.5 s, plus 0.1 s")
def heartbeats_as_welcome_says(peer: PeerUnderTest) -> None:
    """An open session with heartbeat_s of 0.5 s is watched for 1.5 s."""
    _watch_heartbeats(peer, heartbeat_s=0.5, watched_s=1.5)


def _watch_heartbeats(peer: PeerUnderTest, *, heartbeat_s: float, watched_s: float) -> None:
    peer.open_session(heartbeat_s=heartbeat_s, liveness_s=10 * heartbeat_s)
    heard_s, until_s = now_s(), now_s() + watched_s
    while now_s() < until_s:
        said = peer.expect("heartbeat", within_s=10 * heartbeat_s)
        peer.rig.meter.require(said.at_s - heard_s, heartbeat_s + 0.1, "a heartbeat")
        heard_s = said.at_s


@case("peer/timing/hello-cadence", clause="4.1.5", expect="hello every 0.5 s, plus 0.1 s for timers, and no flood")
def hello_cadence(peer: PeerUnderTest) -> None:
    """No welcome comes for 1.6 s."""
    peer.wait(1.6)
    times_s = peer.heard_at_s["hello"]
    for earlier_s, later_s in itertools.pairwise(times_s):
        peer.rig.meter.require(later_s - earlier_s, 0.6, "hello again")
    if not 3 <= len(times_s) <= 5:
        peer.rig.meter.require(0.6 * 3, 0.6 * len(times_s), "at least 3 hellos")
        raise NonconformityError(f"expected 3 to 5 hellos in 1.6 s, got {len(times_s)}")


@case("peer/timing/no-welcome", clause="4.1.6", also=("4.1.1",), expect="a new number on a new connection")
def no_welcome(peer: PeerUnderTest) -> None:
    """No welcome comes for as long as it takes."""
    began_s, route = peer.heard_at_s["hello"][0], peer.route
    hello = peer.expect_new_session(within_s=NO_WELCOME_S + PAUSE_S + 3.0)
    took_s = hello.at_s - began_s
    if took_s < 0.6 * NO_WELCOME_S:  # its 3 s began before its first hello could be sent
        raise NonconformityError(f"expected the same hello for {NO_WELCOME_S:g} s, got a new one after {took_s:.2f} s")
    peer.rig.meter.require(took_s, NO_WELCOME_S + PAUSE_S + 0.2, "hello with a new number")
    if hello.route == route:
        raise NonconformityError("expected a new socket, got a new number on the same connection")


@case("peer/timing/silent-controller", clause="4.11.1", expect="hello with a larger number")
def silent_controller(peer: PeerUnderTest) -> None:
    """The controller falls silent in a session with liveness_s of 0.5 s."""
    peer.open_session(heartbeat_s=0.1, liveness_s=0.5)
    peer.beats = peer.acknowledges = False
    began_s = now_s()
    hello = peer.expect_new_session(within_s=3.0)
    peer.rig.meter.require(hello.at_s - began_s, 0.5 + 0.1 + 0.3, "hello with a new number")  # pause and two timers


@case("peer/timing/rare-heartbeats", clause="4.11.1", expect="the session for as long as liveness_s is kept to")
def rare_heartbeats(peer: PeerUnderTest) -> None:
    """The controller beats every 0.5 s in a session with liveness_s of 1 s, for 2 s."""
    number = peer.session
    peer.open_session(heartbeat_s=0.2, liveness_s=1.0)
    peer.heartbeat_s = 0.5
    peer.wait(2.0)
    if peer.session != number:
        late_s = peer.rig.meter.worst_s
        peer.rig.meter.require(1.0 + late_s, 1.0, "a heartbeat every 0.5 s")  # it may be ours that came late
        raise NonconformityError("expected that the session stays open, got a new one")


@case("peer/timing/nothing-valid-is-silence", clause="4.11.1", expect="hello with a larger number")
def nothing_valid_is_silence(peer: PeerUnderTest) -> None:
    """Only garbage and heartbeats of another session come, ten in a second."""
    peer.open_session(heartbeat_s=0.1, liveness_s=0.5)
    peer.beats = peer.acknowledges = False
    number, route, until_s = peer.session, peer.route, now_s() + 3.0
    frames = packed(peer.header("heartbeat", {"progress": 1}, session=number - 1))
    while peer.session == number:
        if now_s() >= until_s:
            raise NonconformityError("expected a new session within 3 s, got none")
        peer.wait(0.1)
        for garbage in ([b"\xc1"], [frames]):
            peer.say_to(route, garbage)


@case("peer/timing/refusals-are-no-silence", clause="4.11.1", expect="the session goes on")
def refusals_are_no_silence(peer: PeerUnderTest) -> None:
    """The controller says nothing but refusals of the session, ten in a second, for twice liveness_s."""
    peer.open_session(heartbeat_s=0.1, liveness_s=0.6)
    peer.beats = peer.acknowledges = False
    number = peer.session
    for _ in range(12):
        if peer.session == number:
            peer.refuse("5.3")
        peer.wait(0.1)
    if peer.session != number:
        peer.rig.meter.require(0.6 + peer.rig.meter.worst_s, 0.6, "a refusal every 0.1 s")
        raise NonconformityError("expected that the session stays open, got a new one")


def opened_without_library(listener: RawListener, *, heartbeat_s: float, liveness_s: float) -> RawConnection:
    """Accept a connection, wait for its hello and say welcome."""
    connection = listener.accept(within_s=10.0)
    connection.handshake()
    hello = parsed(connection.message(within_s=5.0) or [b""], at_s=now_s())
    if hello.type != "hello":
        raise NonconformityError(f"expected hello, got {hello.type}", "4.1.4")
    fields = {"version": 1, "heartbeat_s": heartbeat_s, "liveness_s": liveness_s}
    connection.send(frames_of(header("welcome", fields, session=hello.session), {}))
    return connection


@case("peer/timing/zmtp-heartbeats", clause="2.1.3", also=("2.1.1",), expect="a PING of ZMTP every 3 s")
def zmtp_heartbeats(peer: PeerUnderTest) -> None:
    """The kit opens a session without libzmq, says nothing, and watches the connection for 4 s."""
    peer.vanish()
    try:
        with listening(peer.rig.control) as listener:
            connection = opened_without_library(listener, heartbeat_s=1.0, liveness_s=10.0)
            until_s = now_s() + 4.0
            while not connection.pings_at_s and now_s() < until_s:
                connection.message(until_s - now_s())
            if connection.properties.get("identity"):
                text = f"expected no routing id, got {connection.properties['identity']!r}"
                raise NonconformityError(text, "2.1.1")
            if not connection.pings_at_s:
                raise NonconformityError("expected a PING within 4 s, got none")
    finally:
        peer.come_back()
