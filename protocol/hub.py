"""The controller's side of every session: admission, fencing, liveness, refusals (SPEC 4): rules, no sockets, no clock.

A peer is known by its name, or on a link with keys by its key, which stands for one name; its newest session wins. Whatever a
peer does, the outcome is an answer, an event and a counter; nothing that it sends can raise out of here.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from protocol import messages as msg
from protocol.codec import Envelope
from protocol.delivery import Delivery
from protocol.errors import OurFaultError, PeerFaultError
from protocol.keys import Identity
from protocol.messages import Message, Role
from protocol.session import CONTROLLER_HEARS, Closed, Event, Faulted, Heard, Opened, State, advanced, faulted
from protocol.testbed import TestbedFacts

MAX_SESSIONS = 1024
MAX_FAULTS = 64
FAULT_WINDOW_S = 10.0
MAX_RATE_HZ = 20_000.0
STALL_S = 0.5
MAX_STRANGER_REFUSALS_HZ = 50
REMEMBERED_S = 60.0  # longer than a connection holds on to what was said on it
FINAL_CLAUSES = frozenset({"4.2", "4.3", "4.4", "10.3"})

Route = bytes


@dataclass(slots=True)
class HubOutcome:
    """What the controller must send on which route, and what happened."""

    send: list[tuple[Route, Envelope]] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)


@dataclass(slots=True)
class _Conduct:
    """What a peer has on its account; a new session in the place of an open one takes it over."""

    rate_from_s: float = 0.0
    rate_count: int = 0
    faults: list[float] = field(default_factory=list)


@dataclass(slots=True)
class _Peer:
    name: str
    route: Route
    role: Role
    delivery: Delivery
    heard_s: float
    sender: Identity | None
    state: State = State.OPEN
    said_s: float = float("-inf")
    conduct: _Conduct = field(default_factory=_Conduct)


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """Whom the controller lets in, and how often both sides beat."""

    facts: TestbedFacts
    names: Mapping[Role, frozenset[str]]
    heartbeat_s: float = 0.5
    liveness_s: float = 2.0


class SessionTable:
    """The controller's side of every session; a peer is known by its name, and its newest session wins (SPEC 4.5).

    On a link with keys (`keyed`) every message comes with its sender, None for a key that is not enrolled.
    """

    def __init__(self, admission: Admission, *, keyed: bool = False) -> None:
        self.counters: Counter[str] = Counter()
        self.progress = 0
        self._admission, self._keyed = admission, keyed
        self._digest = admission.facts.digest()
        self._by_route: dict[Route, _Peer] = {}
        self._by_name: dict[str, _Peer] = {}
        self._ended: dict[str, tuple[int, float]] = {}  # name: number of its last session, when it was heard last
        self._ticked_s = float("inf")
        self._strangers_from_s = float("-inf")
        self._strangers_answered = 0

    def is_open(self, name: str) -> bool:
        """Return whether a peer of that name has an open session."""
        return name in self._by_name

    def open_by_role(self) -> Counter[Role]:
        """Return how many peers of each role have an open session."""
        return Counter(peer.role for peer in self._by_name.values())

    @property
    def unacknowledged(self) -> int:
        """Return how many messages all peers together have not acknowledged."""
        return sum(peer.delivery.unacknowledged for peer in self._by_name.values())

    def seal(self, name: str, message: Message, now_s: float) -> tuple[Route, Envelope]:
        """Return route and envelope of a message to the peer of that name.

        Raises
        ------
        OurFaultError
            If there is no such session, or the peer acknowledges nothing.
        """
        peer = self._by_name.get(name)
        if peer is None:
            raise OurFaultError("4.1", f"no session with {name}")
        peer.said_s = now_s
        return peer.route, peer.delivery.seal(message, now_s)

    def receive(self, route: Route, envelope: Envelope, now_s: float, sender: Identity | None = None) -> HubOutcome:
        """Take what came on a route."""
        outcome = HubOutcome()
        if self._keyed:
            self._require_same_key(route, sender, outcome)
        peer = self._by_route.get(route)
        try:
            if isinstance(envelope.message, msg.Hello):
                self._greet(route, envelope, now_s, outcome, sender)
            elif peer is None or peer.delivery.session != envelope.session:
                raise PeerFaultError("4.12", "this session is not open; say hello")
            else:
                self._hear(peer, envelope, now_s, outcome)
        except PeerFaultError as fault:
            self._refuse(route, envelope, fault, now_s, outcome)
        return outcome

    def left_behind(self, route: Route, outcome: HubOutcome) -> HubOutcome:
        """Return what a message comes to whose answer has found its connection gone (SPEC 4.12).

        While a controller does not listen, peers begin again on new connections (SPEC 4.1), and what they said on those
        before is still read. They are not there and break no rule; what their hello closed was over before.
        """
        others: list[Event] = []
        for event in outcome.events:
            match event:
                case Opened():
                    del self._by_route[route], self._by_name[event.name]
                case Faulted(clause="4.5" | "4.12") if route not in self._by_route:
                    self.counters[f"refused_{event.clause}"] -= 1
                    self._strangers_answered -= 1  # nobody was
                case _:
                    others.append(event)
        self.counters["left_behind"] += len(outcome.events) - len(others)
        return HubOutcome(events=others)

    def malformed(
        self, route: Route, fault: PeerFaultError, now_s: float, sender: Identity | None = None
    ) -> HubOutcome:
        """Take note that something undecodable came on a route."""
        outcome = HubOutcome()
        if self._keyed:
            self._require_same_key(route, sender, outcome)
        self.counters["malformed"] += 1
        self._refuse(route, None, fault, now_s, outcome)
        return outcome

    def retain(self, enrolled: Callable[[Identity], bool]) -> HubOutcome:
        """Close the sessions whose key is enrolled no more, or for something else by now (SPEC 10.4)."""
        outcome = HubOutcome()
        for peer in list(self._by_name.values()):
            if peer.sender is None or not enrolled(peer.sender):
                self._close(peer, "its key is enrolled no more", outcome)
        return outcome

    def _require_same_key(self, route: Route, sender: Identity | None, outcome: HubOutcome) -> None:
        """Close the session of a route on which another key speaks than at its hello, or one that is revoked (SPEC 10.4)."""
        peer = self._by_route.get(route)
        if peer is not None and (sender is None or peer.sender != sender):
            self._close(peer, "its key is enrolled no more" if sender is None else "another key speaks for it", outcome)

    @staticmethod
    def _require_key_of(hello: msg.Hello, sender: Identity | None) -> None:
        if sender is None:
            raise PeerFaultError("10.4", "this key is not enrolled")
        if (hello.name, hello.role) != (sender.name, sender.role):
            ours, theirs = f"{sender.role} {sender.name}", f"{hello.role} {hello.name}"
            raise PeerFaultError("10.3", f"this key is enrolled for {ours}, the hello says {theirs}")

    def _hear(self, peer: _Peer, envelope: Envelope, now_s: float, outcome: HubOutcome) -> None:
        peer.heard_s = now_s
        self._meter(peer, now_s)
        before = peer.delivery.duplicates
        for message in peer.delivery.accept(envelope, now_s):
            if self._by_route.get(peer.route) is not peer:
                break  # a fault before this message closed the session
            try:
                peer.state = advanced(CONTROLLER_HEARS[peer.role], peer.state, message)
            except PeerFaultError as fault:
                self._refuse(peer.route, envelope, fault, now_s, outcome)
                continue
            if isinstance(message, msg.Bye):
                self._close(peer, f"said bye: {message.reason}", outcome)
            elif isinstance(message, msg.Refusal):
                self.counters["refusals"] += 1
                text = message.text
                outcome.events.append(Faulted(name=peer.name, clause=message.clause, text=text, ours=True))
            elif message.SEQUENCED:
                outcome.events.append(Heard(name=peer.name, message=message))
        self.counters["duplicates"] += peer.delivery.duplicates - before

    def _meter(self, peer: _Peer, now_s: float) -> None:
        conduct = peer.conduct
        if now_s - conduct.rate_from_s >= 1.0:
            conduct.rate_from_s, conduct.rate_count = now_s, 0
        conduct.rate_count += 1
        if conduct.rate_count > MAX_RATE_HZ:
            raise PeerFaultError("2.6", f"more than {MAX_RATE_HZ:g} messages in a second")

    def _greet(
        self, route: Route, envelope: Envelope, now_s: float, outcome: HubOutcome, sender: Identity | None
    ) -> None:
        hello = envelope.message
        assert isinstance(hello, msg.Hello)  # noqa: S101 - told apart by the caller
        if self._keyed:
            self._require_key_of(hello, sender)
        known = self._by_name.get(hello.name)
        if known is not None and known.route == route and known.delivery.session == envelope.session:
            self._meter(known, now_s)
            self._welcome(known, now_s, outcome)
            return
        self._admit(hello)
        if envelope.session <= (newest := self._newest(hello.name, now_s)):
            raise PeerFaultError("4.5", f"session {envelope.session} of {hello.name} is not newer than {newest}")
        if known is not None:
            self._meter(known, now_s)
            self._close(known, "a newer session of the same peer", outcome)
        if len(self._by_name) >= MAX_SESSIONS:
            raise PeerFaultError("2.5", f"{MAX_SESSIONS} sessions are open")
        previous = self._by_route.get(route)
        if previous is not None:
            self._close(previous, "its connection speaks for another peer now", outcome)
        peer = _Peer(hello.name, route, hello.role, Delivery(envelope.session), now_s, sender)
        if known is not None:
            peer.conduct = known.conduct
        self._by_route[route] = self._by_name[hello.name] = peer
        self._welcome(peer, now_s, outcome)
        outcome.events.append(Opened(name=hello.name, hello=hello))

    def _newest(self, name: str, now_s: float) -> int:
        """Return the number that a new session must exceed: a hello may come again after its session has ended."""
        known = self._by_name.get(name)
        if known is not None:
            return known.delivery.session
        number, heard_s = self._ended.get(name, (0, now_s))
        return number if now_s - heard_s < REMEMBERED_S else 0

    def _admit(self, hello: msg.Hello) -> None:
        if msg.PROTOCOL_VERSION not in hello.versions:
            raise PeerFaultError("4.2", f"protocol version {msg.PROTOCOL_VERSION} here, {hello.versions} there")
        if hello.name not in self._admission.names[hello.role]:
            allowed = ", ".join(sorted(self._admission.names[hello.role])) or "none"
            raise PeerFaultError("4.3", f"no {hello.role} named {hello.name} in this testbed (known: {allowed[:256]})")
        if hello.digest != self._digest:
            differing = self._admission.facts.differences(hello.facts)
            what = "; ".join(differing)[:512] or "the digest is not that of the facts sent with it"
            raise PeerFaultError("4.4", f"the facts differ: {what}")

    def _welcome(self, peer: _Peer, now_s: float, outcome: HubOutcome) -> None:
        beats = self._admission
        welcome = msg.Welcome(version=msg.PROTOCOL_VERSION, heartbeat_s=beats.heartbeat_s, liveness_s=beats.liveness_s)
        peer.heard_s = peer.said_s = now_s
        outcome.send.append((peer.route, peer.delivery.seal(welcome, now_s)))

    def _refuse(
        self, route: Route, envelope: Envelope | None, fault: PeerFaultError, now_s: float, outcome: HubOutcome
    ) -> None:
        self.counters[f"refused_{fault.clause}"] += 1
        peer = self._by_route.get(route)
        if peer is None and not self._worth_an_answer(now_s):
            self.counters["unanswered"] += 1
            return
        name = peer.name if peer else "stranger"
        session = envelope.session if envelope else 0
        if envelope is not None and isinstance(envelope.message, msg.Hello) and not fault.clause.startswith("10."):
            name = envelope.message.name  # unless it is not the sender's
            session = self._newest(name, now_s) if fault.clause == "4.5" else session
        outcome.events.append(faulted(name, fault))
        refusal_came = envelope is not None and isinstance(envelope.message, msg.Refusal)
        if fault.answerable and not refusal_came:  # two peers must not refuse for ever
            refusal = msg.Refusal(clause=fault.clause, text=fault.text[:1024], final=fault.clause in FINAL_CLAUSES)
            outcome.send.append((route, Envelope(session=session, message=refusal)))
        if peer is not None:
            self._count_fault(peer, fault, now_s, outcome)

    def _worth_an_answer(self, now_s: float) -> bool:
        """Return whether a stranger is answered still; all of them share what one second allows (SPEC 9.3)."""
        if now_s - self._strangers_from_s >= 1.0:
            self._strangers_from_s, self._strangers_answered = now_s, 0
        self._strangers_answered += 1
        return self._strangers_answered <= MAX_STRANGER_REFUSALS_HZ

    def _count_fault(self, peer: _Peer, fault: PeerFaultError, now_s: float, outcome: HubOutcome) -> None:
        faults = peer.conduct.faults = [at_s for at_s in peer.conduct.faults if now_s - at_s < FAULT_WINDOW_S] + [now_s]
        if len(faults) > MAX_FAULTS or fault.clause == "2.6":
            self._close(peer, f"broke the protocol {len(faults)} times in {FAULT_WINDOW_S:g} s", outcome)

    def _close(self, peer: _Peer, reason: str, outcome: HubOutcome) -> None:
        self.counters["sessions_closed"] += 1
        self.counters["resent"] += peer.delivery.resent
        del self._by_route[peer.route], self._by_name[peer.name]
        self._ended[peer.name] = (peer.delivery.session, peer.heard_s)
        outcome.events.append(Closed(name=peer.name, reason=reason))

    def lost_route(self, route: Route) -> HubOutcome:
        """Take note that the transport no longer reaches a route."""
        outcome = HubOutcome()
        peer = self._by_route.get(route)
        if peer is not None:
            self._close(peer, "its connection is gone", outcome)
        return outcome

    def farewell(self, reason: str, now_s: float) -> HubOutcome:
        """Say bye to every peer."""
        outcome = HubOutcome()
        for name in list(self._by_name):
            outcome.send.append(self.seal(name, msg.Bye(reason=reason), now_s))
        return outcome

    def tick(self, now_s: float) -> HubOutcome:
        """Send what is due by now: heartbeats, resends; notice peers that have fallen silent."""
        outcome = HubOutcome()
        stalled_s = now_s - self._ticked_s
        self._ticked_s = now_s
        for peer in list(self._by_name.values()):
            if stalled_s >= STALL_S:
                # we were not listening; what was said meanwhile is still queued, or read just now
                peer.heard_s = min(peer.heard_s + stalled_s, now_s)
            if now_s - peer.heard_s > self._admission.liveness_s:
                self._close(peer, f"nothing heard for {self._admission.liveness_s:g} s", outcome)
                continue
            due = peer.delivery.due(now_s)
            if not due and now_s - peer.said_s >= self._admission.heartbeat_s:
                peer.said_s = now_s
                due = [peer.delivery.seal(msg.Heartbeat(progress=self.progress), now_s)]
            outcome.send.extend((peer.route, envelope) for envelope in due)
        return outcome

    @property
    def resent(self) -> int:
        """Return how many messages were sent again, over all sessions so far."""
        return self.counters["resent"] + sum(peer.delivery.resent for peer in self._by_name.values())
