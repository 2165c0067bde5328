"""Limits of the transport: ZMTP itself, frames that are too long, floods, sessions without number, endpoints (SPEC 2)."""

import socket
import time
from itertools import islice

from protocol.codec import largest_frame_bytes
from protocol.conformance.case import InconclusiveError, NonconformityError, UnsupportedError, case
from protocol.conformance.drivers.controller import ControllerUnderTest, KitPeer, hello_fields
from protocol.conformance.headers import frames_of, header, parsed
from protocol.conformance.raw_zmtp import HANDSHAKE, MORE, GoneError, RawZmtp, frame, frame_header, listens, message
from protocol.conformance.sockets import now_s

PEERS_BEAT_S = 3.0  # the interval of 2.1.3, that a controller may have taken for its own
MOST_SESSIONS = 1024
MOST_RATE_HZ = 20_000
REFUSED_WITHIN_S = 8.0
LONG_ENOUGH_S = 60.0
BLOCK = 128  # sessions that are opened at once


def _opened(controller: ControllerUnderTest, name: str = "ue-1") -> KitPeer:
    ue = controller.ue(name)
    ue.open_session()
    return ue


@case("controller/timing/no-zmtp-heartbeats", clause="2.1.2", expect="no PING in 3.3 s")
def no_zmtp_heartbeats(controller: ControllerUnderTest) -> None:
    """A peer that writes ZMTP itself looks for commands on an idle connection."""
    connection = controller.raw()
    connection.shake_hands()
    until_s = now_s() + PEERS_BEAT_S + 0.3
    while (found := connection.next_frame(max(0.0, until_s - now_s()))) is not None:
        if found.command is not None:
            raise NonconformityError(f"expected no command of ZMTP, got {found.command!r}")


def _largest(controller: ControllerUnderTest) -> int:
    return largest_frame_bytes(controller.rig.shared)


@case("controller/hostile/frame-too-long", clause="2.4.2", expect="the connection is dropped; others go on")
def frame_too_long(controller: ControllerUnderTest) -> None:
    """A frame is one byte longer than the largest legal one."""
    ue = _opened(controller)
    _expect_dropped(controller.raw(), frame(bytes(_largest(controller) + 1)))
    ue.expect_goes_on()


@case("controller/hostile/array-too-long", clause="2.4.2", expect="the connection is dropped; others go on")
def array_too_long(controller: ControllerUnderTest) -> None:
    """The second frame of a message is one byte longer than the largest legal one."""
    ue = _opened(controller)
    head = frames_of(header("snapshot", {"epoch": 1}, session=1, sequence=1), {})[0]
    _expect_dropped(controller.raw(), frame(head, MORE) + frame(bytes(_largest(controller) + 1)))
    ue.expect_goes_on()


@case("controller/hostile/endless-frame", clause="2.4.2", expect="the connection is dropped before the frame has come")
def endless_frame(controller: ControllerUnderTest) -> None:
    """A frame claims to have 2^62 bytes, of which a few come."""
    ue = _opened(controller)
    _expect_dropped(controller.raw(), frame_header(2**62) + bytes(64))
    ue.expect_goes_on()


def _expect_dropped(connection: RawZmtp, data: bytes) -> None:
    connection.shake_hands()
    try:
        connection.write(data)
    except GoneError:
        return
    if not connection.is_closed_within(2.0):
        raise NonconformityError("expected that the connection is dropped, it stays")


@case("controller/hostile/largest-frame", clause="3.1.2", expect="a refusal by 3.1, the connection stays")
def largest_frame(controller: ControllerUnderTest) -> None:
    """A frame is as long as the largest legal one, and holds no message."""
    connection = controller.raw()
    connection.shake_hands()
    connection.say([bytes(_largest(controller))])
    refusal = connection.next_message(2.0)
    if refusal is None or parsed(refusal, at_s=now_s()).fields.get("clause") != "3.1":
        raise NonconformityError(f"expected a refusal by 3.1, got {refusal}")


@case("controller/hostile/not-zmtp", clause="4.10.1", expect="others do not notice")
def not_zmtp(controller: ControllerUnderTest) -> None:
    """Connections say HTTP, half a greeting, a greeting of another mechanism, and nothing."""
    ue = _opened(controller)
    half = HANDSHAKE[:30]
    foreign = HANDSHAKE.replace(b"NULL\0", b"PLAIN", 1)
    for data in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" + bytes(64), half, foreign, b""):
        controller.raw().write(data)
    ue.wait(0.2)
    ue.expect_goes_on()
    _opened(controller, "ue-2").expect_goes_on()


@case(
    "controller/hostile/message-without-end",
    clause="3.1.2",
    expect="others do not notice; a refusal by 3.1 when it ends",
)
def message_without_end(controller: ControllerUnderTest) -> None:
    """A message has 500 frames."""
    ue = _opened(controller)
    connection = controller.raw()
    connection.shake_hands()
    connection.write(frame(b"\x80", MORE) * 499)
    ue.expect_goes_on()
    connection.write(frame(b"\x80"))
    refusal = connection.next_message(2.0)
    if refusal is None or parsed(refusal, at_s=now_s()).fields.get("clause") != "3.1":
        raise NonconformityError(f"expected a refusal by 3.1, got {refusal}")


# --- floods ----------------------------------------------------------------------------------------------------------


@case("controller/hostile/flood", clause="2.6.2", expect="a refusal by 2.6, and the session is closed; others go on")
def flood(controller: ControllerUnderTest) -> None:
    """A UE says heartbeat as often as it is taken, for up to 2.5 s."""
    other, ue = _opened(controller, "ue-2"), controller.ue()
    connection = controller.raw()
    connection.shake_hands()
    connection.say(frames_of(header("hello", ue.hello_fields(), session=ue.session), {}))
    if _clause_of(connection, 2.0) != "welcome":
        raise NonconformityError("expected welcome on a connection that writes ZMTP itself", "4.2.2")
    clauses, said, took_s = _flooded(controller, connection, ue.session)
    if "2.6" not in clauses:
        if said <= 3 * MOST_RATE_HZ or took_s > 2.6:  # in 2 s, however a second is counted
            raise InconclusiveError(f"only {said} messages were taken in {took_s:.1f} s, which breaks no rule")
        raise NonconformityError(f"expected a refusal by 2.6 after {said} messages in {took_s:.1f} s, got {clauses}")
    if "4.12" not in clauses:
        connection.say(frames_of(header("heartbeat", {"progress": 1}, session=ue.session), {}))
        if _clause_of(connection, REFUSED_WITHIN_S) != "4.12":
            raise NonconformityError("expected that the session is closed after a refusal by 2.6")
    connection.close()
    controller.let_strangers_be_answered()
    other.expect_goes_on()


def _flooded(controller: ControllerUnderTest, connection: RawZmtp, session: int) -> tuple[set[str], int, float]:
    """Flood, and return by which clauses it was refused, how many messages were taken, and how long it took."""
    one = message(frames_of(header("heartbeat", {"progress": 1}, session=session), {}))
    block = memoryview(one * 500)
    clauses: set[str] = set()
    began_s, written, rest = now_s(), 0, block
    while now_s() - began_s < 2.5 and "2.6" not in clauses:
        try:
            taken = connection.write_some(rest)
        except GoneError:
            break
        written += taken
        rest = rest[taken:] or block
        clauses |= {clause for clause in iter(lambda: _clause_of(connection, 0.0), "") if clause}
        controller.pump.step(0.0)  # others beat
    took_s = now_s() - began_s
    if rest is not block:
        connection.write(bytes(rest))  # to the end of a message
    until_s = now_s() + REFUSED_WITHIN_S
    while "2.6" not in clauses and now_s() < until_s and (clause := _clause_of(connection, 0.5)):
        clauses.add(clause)
    return clauses, written // len(one), took_s


def _clause_of(connection: RawZmtp, within_s: float) -> str:
    """Return the clause of the next message if it is a refusal, its type if not, nothing if none comes."""
    frames = connection.next_message(within_s)
    if frames is None:
        return ""
    said = parsed(frames, at_s=now_s())
    return said.text("clause") if said.type == "refusal" else said.type


# --- sessions --------------------------------------------------------------------------------------------------------


@case(
    "controller/faults/too-many-sessions",
    clause="2.5.1",
    expect="a refusal by 2.5, not final; welcome when one leaves",
)
def too_many_sessions(controller: ControllerUnderTest) -> None:
    """1024 UEs open sessions, then one more; then one of them leaves."""
    names = [f"ue-{number}" for number in range(1, MOST_SESSIONS + 2)]
    beats = {"heartbeat_s": 20.0, "liveness_s": 100.0}
    section = {"ues": names, "schemes": [{"scheme": "cbs"}], "rounds": 1, **beats}
    with controller.variant("many-ues", {"controller": section}) as crowded:
        connections = _crowd(crowded, names[:MOST_SESSIONS])
        last = crowded.ue(names[-1])
        last.greet()
        refusal = last.expect_refusal("2.5")
        if refusal.fields.get("final", False):
            raise NonconformityError(f"expected a refusal that is not final, got {refusal.fields}")
        first, session = connections[0]
        first.say(frames_of(header("bye", {"reason": "room for another"}, session=session), {}))
        crowded.pump_for(0.2)
        last.open_session()


def _crowd(controller: ControllerUnderTest, names: list[str]) -> list[tuple[RawZmtp, int]]:
    """Open a session for each name, on plain sockets, many at a time."""
    crowd: list[tuple[RawZmtp, int]] = []
    rest = iter(names)
    while block := list(islice(rest, BLOCK)):
        connections = [_connection(controller) for _ in block]
        for connection in connections:
            connection.read_greeting()
        sessions = [_greet(controller, *pair) for pair in zip(connections, block, strict=True)]
        for connection in connections:
            _expect_long_session(connection)
        crowd += zip(connections, sessions, strict=True)
    return crowd


def _connection(controller: ControllerUnderTest) -> RawZmtp:
    """Return a connection on which greeting and READY were said, and no answer waited for."""
    try:
        connection = controller.raw()
    except OSError as error:
        raise InconclusiveError(f"no more sockets for the kit: {error}") from error
    connection.write(HANDSHAKE)
    return connection


def _greet(controller: ControllerUnderTest, connection: RawZmtp, name: str) -> int:
    """Say hello and return the number of the session."""
    fields = hello_fields(controller.rig, name, {"role": "ue", "feedback_kinds": ["peak"]})
    session = time.time_ns() // 1000
    connection.write(message(frames_of(header("hello", fields, session=session), {})))
    return session


def _expect_long_session(connection: RawZmtp) -> None:
    """Wait for a welcome to a session that lasts until all others are open."""
    frames = connection.next_message(REFUSED_WITHIN_S)
    said = parsed(frames, at_s=now_s()) if frames is not None else None
    if said is None or said.type != "welcome":
        raise NonconformityError(
            f"expected welcome for each of {MOST_SESSIONS} UEs, got {said and said.fields}", "4.2.2"
        )
    if float(str(said.fields["liveness_s"])) < LONG_ENOUGH_S:
        raise UnsupportedError(f"liveness_s is {said.fields['liveness_s']} s, too short to open so many sessions")


# --- endpoints -------------------------------------------------------------------------------------------------------


@case("controller/hostile/abstract-endpoint", clause="2.2.2", expect="nothing listens there")
def abstract_endpoint(controller: ControllerUnderTest) -> None:
    """A controller is told to bind an abstract socket."""
    name = f"nftestbed-conform-{controller.rig.random.getrandbits(64):016x}"
    _expect_nothing_listens(controller, f"ipc://@{name}")


@case("controller/hostile/open-endpoint", clause="2.3.1", expect="nothing listens there")
def open_endpoint(controller: ControllerUnderTest) -> None:
    """A controller is told to bind TCP on all interfaces, and not that this is insecure."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    _expect_nothing_listens(controller, f"tcp://0.0.0.0:{port}")


def _expect_nothing_listens(controller: ControllerUnderTest, endpoint: str) -> None:
    with controller.rig.elsewhere(endpoint) as testee:
        until_s = now_s() + REFUSED_WITHIN_S
        while testee.ended() is None and now_s() < until_s:
            if listens(endpoint):
                raise NonconformityError(f"expected that the controller refuses {endpoint}, it listens there")
            controller.pump_for(0.05)
