"""Who may say what when: one transition table per role, sessions and their fencing, liveness (SPEC 4).

Rules of residence: envelopes and `now_s` come in, envelopes and events go out. No socket, no clock, no log. `PeerSession` is
the side of a radio or UE; the controller's side of all sessions is in hub.py, and obeys the tables here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from protocol import messages as msg
from protocol.codec import Envelope
from protocol.delivery import Delivery
from protocol.errors import OurFaultError, PeerFaultError, ProtocolError
from protocol.messages import Message, Role

HELLO_AGAIN_S = 0.5


class State(Enum):
    """Where a session stands, seen from either end."""

    NEW = "new"
    OPEN = "open"
    CLOSED = "closed"


Table = dict[tuple[State, type[Message]], State]


def _table(opening: type[Message], *while_open: type[Message]) -> Table:
    table: Table = {
        (State.NEW, opening): State.OPEN,
        (State.OPEN, opening): State.OPEN,  # said again because our answer was lost
        (State.OPEN, msg.Bye): State.CLOSED,
    }
    either: tuple[type[Message], ...] = (msg.Heartbeat, msg.Acknowledge, msg.Refusal)
    return table | {(State.OPEN, kind): State.OPEN for kind in (*while_open, *either)}


#: What the controller hears, by the role of the peer.
CONTROLLER_HEARS: Mapping[Role, Table] = {
    Role.RADIO: _table(msg.Hello, msg.Ready, msg.Snapshot, msg.Declined),
    Role.UE: _table(msg.Hello, msg.PeakReport, msg.GroupReport, msg.PowerReport, msg.ComplexReport, msg.Declined),
}
#: What a peer hears from the controller, by its own role; a refusal may come before the session is open.
PEER_HEARS: Mapping[Role, Table] = {
    Role.RADIO: _table(msg.Welcome, msg.Configure, msg.Capture) | {(State.NEW, msg.Refusal): State.NEW},
    Role.UE: _table(msg.Welcome, msg.Measure) | {(State.NEW, msg.Refusal): State.NEW},
}


def advanced(table: Table, state: State, message: Message) -> State:
    """Return the state after hearing `message`.

    Raises
    ------
    PeerFaultError
        If the table does not allow the message in this state (SPEC 4.14).
    """
    try:
        return table[state, type(message)]
    except KeyError:
        raise PeerFaultError("4.14", f"{msg.type_name(message)} is not allowed in state {state.value}") from None


# --- events ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A session is open; at the controller `hello` says with whom, at a peer it is what the peer said itself."""

    name: str
    hello: msg.Hello


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """The peer said something that work depends on."""

    name: str
    message: Message


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """The session has ended; `final` means that trying again with the same `Hello` is useless."""

    name: str
    reason: str
    final: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Faulted:
    """Something was refused, by either end; `ours` tells whose rule-break the other end sees."""

    name: str
    clause: str
    text: str
    ours: bool = False


Event = Opened | Heard | Closed | Faulted


@dataclass(slots=True)
class PeerOutcome:
    """What a peer must send, and what happened."""

    send: list[Envelope] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)


class PeerSession:
    """A radio's or UE's side of its session with the controller."""

    def __init__(self, hello: msg.Hello, session: int, now_s: float) -> None:
        self.state = State.NEW
        self.heartbeat_s, self.liveness_s = 1.0, 3.0
        self.progress = 0
        self._hello = hello
        self._table = PEER_HEARS[hello.role]
        self._delivery = Delivery(session)
        self._heard_s = now_s
        self._said_s = float("-inf")

    @property
    def session(self) -> int:
        """Return the number of the session."""
        return self._delivery.session

    @property
    def resent(self) -> int:
        """Return how many messages were sent again."""
        return self._delivery.resent

    @property
    def duplicates(self) -> int:
        """Return how many messages came a second time."""
        return self._delivery.duplicates

    def seal(self, message: Message, now_s: float) -> Envelope:
        """Return the envelope of a message to the controller.

        Raises
        ------
        OurFaultError
            If the session is not open.
        """
        if self.state is not State.OPEN:
            raise OurFaultError("4.1", f"{msg.type_name(message)} before the session is open")
        self._said_s = now_s
        return self._delivery.seal(message, now_s)

    def hello_not_sent(self) -> None:
        """Take note that the last hello found no connection, so that the next one need not wait."""
        self._said_s = float("-inf")

    def receive(self, envelope: Envelope, now_s: float) -> PeerOutcome:
        """Take what came from the controller."""
        outcome = PeerOutcome()
        if self.state is State.CLOSED:
            return outcome  # it was under way when we gave up
        if isinstance(envelope.message, msg.Refusal):
            if self.state is State.OPEN and envelope.session == self.session:
                self._heard_s = now_s
                self._delivery.accept(envelope, now_s)  # its header acknowledges, as every header does
            self._refused(envelope, outcome)
            return outcome
        if envelope.session != self.session:
            return outcome  # an answer to an earlier session of ours
        if self.state is State.NEW and not isinstance(envelope.message, msg.Welcome):
            return outcome  # it overtook the welcome; unacknowledged, work comes again
        self._heard_s = now_s
        for message in self._delivery.accept(envelope, now_s):
            try:
                self._check_version(message)
                self.state = advanced(self._table, self.state, message)
            except PeerFaultError as fault:
                outcome.events.append(faulted("controller", fault))
                refusal = msg.Refusal(clause=fault.clause, text=fault.text[:1024])
                outcome.send.append(self._delivery.seal(refusal, now_s))
                continue
            self._hear(message, outcome)
        return outcome

    def _check_version(self, message: Message) -> None:
        if isinstance(message, msg.Welcome) and message.version not in self._hello.versions:
            raise PeerFaultError("4.2", f"welcome to version {message.version}, offered {self._hello.versions}")

    def _hear(self, message: Message, outcome: PeerOutcome) -> None:
        match message:
            case msg.Welcome():
                self.heartbeat_s, self.liveness_s = message.heartbeat_s, message.liveness_s
                outcome.events.append(Opened(name="controller", hello=self._hello))
            case msg.Bye():
                outcome.events.append(Closed(name="controller", reason=message.reason))
            case msg.Heartbeat() | msg.Acknowledge():
                pass
            case _:
                outcome.events.append(Heard(name="controller", message=message))

    def _refused(self, envelope: Envelope, outcome: PeerOutcome) -> None:
        refusal = envelope.message
        assert isinstance(refusal, msg.Refusal)  # noqa: S101 - told apart by the caller
        name = "controller"
        if refusal.final:
            self.state = State.CLOSED
            outcome.events.append(Closed(name=name, reason=f"{refusal.text} (SPEC {refusal.clause})", final=True))
        elif refusal.clause == "4.5" and self.state is State.NEW and envelope.session >= self.session:
            # A newer number of our name is known, e.g. because the clock jumped: go above it and say hello again.
            self._delivery = Delivery(envelope.session + 1)
            self._said_s = float("-inf")
        elif refusal.clause == "4.12" and self.state is State.OPEN and envelope.session == self.session:
            self.state = State.CLOSED
            outcome.events.append(Closed(name=name, reason="the controller does not know this session"))
        elif refusal.clause.startswith("3.") and self.state is State.OPEN:
            # What was refused was never numbered there, and would be sent again for ever.
            self.state = State.CLOSED
            outcome.events.append(Closed(name=name, reason=f"{refusal.text} (SPEC {refusal.clause})"))
        else:
            outcome.events.append(Faulted(name=name, clause=refusal.clause, text=refusal.text, ours=True))

    def tick(self, now_s: float) -> PeerOutcome:
        """Send what is due by now: hello, heartbeat, resends; notice that the controller has fallen silent."""
        outcome = PeerOutcome()
        if self.state is State.CLOSED:
            return outcome
        if now_s - self._heard_s > self.liveness_s:
            self.state = State.CLOSED
            outcome.events.append(Closed(name="controller", reason=f"nothing heard for {self.liveness_s:g} s"))
        elif self.state is State.NEW and now_s - self._said_s >= HELLO_AGAIN_S:
            outcome.send.append(self._delivery.seal(self._hello, now_s))
            self._said_s = now_s
        elif self.state is State.OPEN:
            outcome.send.extend(self._delivery.due(now_s))
            if not outcome.send and now_s - self._said_s >= self.heartbeat_s:
                outcome.send.append(self.seal(msg.Heartbeat(progress=self.progress), now_s))
        return outcome


def faulted(name: str, fault: ProtocolError) -> Faulted:
    """Return the event of a broken rule."""
    return Faulted(name=name, clause=fault.clause, text=fault.text)
