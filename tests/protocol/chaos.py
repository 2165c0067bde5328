"""A controller and its peers on a link that does whatever a link may do, and a model of what must hold all the same.

No socket, no sleep, no codec: envelopes fly until someone decides what becomes of them. Work carries an epoch of its own, so
that whatever is delivered can be traced to who said it, in which session and after what.
"""

from collections import deque
from dataclasses import dataclass, field

from protocol import messages as msg
from protocol.codec import Envelope
from protocol.delivery import WINDOW, Delivery
from protocol.errors import OurFaultError, PeerFaultError
from protocol.hub import MAX_FAULTS, REMEMBERED_S, STALL_S, Admission, HubOutcome, Route, SessionTable
from protocol.messages import Message, Role
from protocol.session import Closed, Event, Heard, Opened, PeerOutcome, PeerSession, State
from tests.protocol.examples import FACTS, RADIO, UE, hello, peak
from tests.protocol.world import NAMES, measure

Key = tuple[str, str, int]  # who hears, name of the peer, number of the session
PEERS = {name: Role.RADIO if name == "radio" else Role.UE for name in ("radio", "ue-1", "ue-2")}
LONGEST_FLIGHT_S = 0.9 * REMEMBERED_S
LIVENESS_S = Admission(facts=FACTS, names=NAMES).liveness_s


@dataclass(slots=True)
class Stream:
    """What one side said in one session, in order: epochs, those that the rules forbid it to say, and how far they came."""

    sent: list[int] = field(default_factory=list)
    forbidden: set[int] = field(default_factory=set)
    delivered: int = 0

    def deliver(self, epoch: int) -> None:
        """Take note of a delivery: the next that is allowed, and nothing else."""
        while self.sent[self.delivered] in self.forbidden:
            self.delivered += 1
        assert self.sent[self.delivered] == epoch, f"{epoch} delivered, {self.sent[self.delivered]} is next"
        self.delivered += 1

    def missing(self, upto: int) -> list[int]:
        """Return what was not delivered of the first `upto`."""
        return [epoch for epoch in self.sent[self.delivered : upto] if epoch not in self.forbidden]


@dataclass(slots=True)
class Node:
    """A peer's process: its session, the connection that it speaks on, and what the model knows of it."""

    name: str
    route: Route
    session: PeerSession
    valid_s: float
    hung: bool = False
    gone: bool = False
    welcomed: int = 0  # number of the session that its welcome has opened
    highest: int = 0


@dataclass(frozen=True, slots=True)
class Flight:
    """An envelope under way on a connection."""

    to_hub: bool
    route: Route
    envelope: Envelope
    since_s: float


class Chaos:
    """Everything that can happen to a testbed's control link, one call each; each checks what it sees."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.table = SessionTable(Admission(facts=FACTS, names=NAMES))
        self.flying: list[Flight] = []
        self.past: deque[Flight] = deque(maxlen=256)
        self.nodes: dict[str, Node] = {}
        self._routes = 0
        self._epoch = 0
        self._connected: set[Route] = set()
        self._streams: dict[Key, Stream] = {}
        self._owner: dict[int, Key] = {}
        self._open: dict[str, int] = {}
        self._newest: dict[str, int] = {}
        self._hub_valid_s: dict[str, float] = {}
        self._hub_ticked_s = float("inf")
        for name in PEERS:
            self.nodes[name] = self._new_node(name, 10)

    # --- connections -------------------------------------------------------------------------------------------------

    def _new_route(self) -> Route:
        self._routes += 1
        route = self._routes.to_bytes(4, "big")
        self._connected.add(route)
        return route

    def _new_node(self, name: str, number: int, route: Route | None = None) -> Node:
        greeting = hello(name, RADIO if PEERS[name] is Role.RADIO else UE)
        session = PeerSession(greeting, number, self.now_s)
        return Node(name, route or self._new_route(), session, self.now_s, highest=number)

    def restart(self, name: str, step: int, *, linger: bool) -> None:
        """Let a process begin again with a number above or below its last, on a new connection."""
        old = self.nodes[name]
        if not linger:
            self._connected.discard(old.route)
        self.nodes[name] = self._new_node(name, max(1, old.session.session + step))

    def restart_here(self, name: str) -> None:
        """Let a process begin again on the connection that it has."""
        old = self.nodes[name]
        if not old.gone:
            self.nodes[name] = self._new_node(name, old.highest + 1, old.route)

    def move(self, name: str) -> None:
        """Let a connection break and be made again below a session that does not notice."""
        self._connected.discard(self.nodes[name].route)
        self.nodes[name].route = self._new_route()

    def crash(self, name: str, *, linger: bool) -> None:
        """End a process; its connection may seem to be there for a while."""
        self.nodes[name].gone = True
        if not linger:
            self._connected.discard(self.nodes[name].route)

    def hang(self, name: str, *, hung: bool) -> None:
        """Stop a process, or let it go on."""
        self.nodes[name].hung = hung

    def impersonate(self, name: str, other: str) -> None:
        """Let a peer say hello in the name of another."""
        greeting = hello(other, RADIO if PEERS[other] is Role.RADIO else UE)
        number = 1000 + max(node.highest for node in self.nodes.values())  # like times, never that of another name
        self._fly(self.nodes[name].route, [Envelope(session=number, message=greeting)])

    # --- the link ----------------------------------------------------------------------------------------------------

    def deliver(self, index: int, *, keep: bool = False) -> None:
        """Let an envelope arrive, whichever its turn was; `keep` lets a double of it fly on."""
        flight = self.flying[index] if keep else self.flying.pop(index)
        self.past.append(flight)
        self._arrive(flight)

    def replay(self, index: int) -> None:
        """Let an envelope arrive once more that arrived before."""
        self._arrive(self.past[index])

    def deliver_all(self, *, backwards: bool = False) -> None:
        """Let all arrive that flies by now."""
        flights, self.flying = self.flying, []
        for flight in reversed(flights) if backwards else flights:
            self.past.append(flight)
            self._arrive(flight)

    def _arrive(self, flight: Flight) -> None:
        if flight.to_hub:
            self._hub_receives(flight.route, flight.envelope)
            return
        for node in self.nodes.values():
            if node.route == flight.route and not node.hung and not node.gone:
                self._node_receives(node, flight.envelope)

    def _hub_receives(self, route: Route, envelope: Envelope) -> None:
        peer = self.table._by_route.get(route)
        name = envelope.message.name if isinstance(envelope.message, msg.Hello) else None
        if peer is not None and peer.delivery.session == envelope.session and name in {None, peer.name}:
            self._hub_valid_s[peer.name] = self.now_s
        outcome = self.table.receive(route, envelope, self.now_s)
        if any(to not in self._connected for to, _ in outcome.send):
            outcome = self.table.left_behind(route, outcome)
        self._hub_did(outcome, envelope)

    def _hub_did(self, outcome: HubOutcome, cause: Envelope | None = None) -> None:
        for event in outcome.events:
            self._judge_hub(event, cause)
        lost = {route for route, _ in outcome.send if route not in self._connected}
        for route, envelope in outcome.send:
            if route not in lost:
                self.flying.append(Flight(False, route, envelope, self.now_s))
        for route in lost:
            self._hub_did(self.table.lost_route(route))
        assert {name for name in PEERS if self.table.is_open(name)} == set(self._open)

    def _judge_hub(self, event: Event, cause: Envelope | None) -> None:
        match event:
            case Opened(name=name):
                assert cause is not None
                if self.now_s - self._hub_valid_s.get(name, self.now_s) < REMEMBERED_S:
                    assert cause.session > self._newest.get(name, 0), "an older session opened after a newer one"
                self._open[name] = self._newest[name] = cause.session
                self._hub_valid_s[name] = self.now_s
                for side in ("hub", "peer"):
                    self._streams.pop((side, name, cause.session), None)  # of one long ago, with the same number
            case Closed(name=name, reason=reason):
                del self._open[name]
                if reason.startswith("nothing heard"):
                    assert self.now_s - self._hub_valid_s[name] > LIVENESS_S, "closed a session that speaks"
            case Heard(name=name, message=message):
                self._heard(("hub", name, self._open[name]), message)

    def _node_receives(self, node: Node, envelope: Envelope) -> None:
        if envelope.session == node.session.session and node.session.state is State.OPEN:
            node.valid_s = self.now_s
        self._node_did(node, node.session.receive(envelope, self.now_s))

    def _node_did(self, node: Node, outcome: PeerOutcome) -> None:
        number = node.session.session
        assert number >= node.highest, "the number of a session went down"
        node.highest = number
        for event in outcome.events:
            match event:
                case Opened():
                    node.welcomed, node.valid_s = number, self.now_s
                case Closed(reason=reason, final=final):
                    assert not final
                    assert not reason.startswith("nothing heard") or self.now_s - node.valid_s > LIVENESS_S
                case Heard(message=message):
                    assert node.welcomed == number, "delivered before the welcome"
                    self._heard(("peer", node.name, number), message)
        for envelope in outcome.send:
            assert node.welcomed == number or isinstance(envelope.message, msg.Hello), "spoke before the welcome"
        self._fly(node.route, outcome.send)

    def _fly(self, route: Route, envelopes: list[Envelope]) -> None:
        self.flying += [Flight(True, route, envelope, self.now_s) for envelope in envelopes]

    def _heard(self, key: Key, message: Message) -> None:
        epoch = int(message.epoch)  # type: ignore[attr-defined]
        assert self._owner[epoch] == key, f"{key} was delivered what {self._owner[epoch]} was to hear"
        self._streams[key].deliver(epoch)

    # --- what both sides say -----------------------------------------------------------------------------------------

    def peer_says(self, name: str, *, allowed: bool = True) -> None:
        """Let a peer say work, or what only a controller may say."""
        node = self.nodes[name]
        if node.gone or node.hung:
            return
        self._epoch += 1
        work: Message = (
            peak(self._epoch) if PEERS[name] is Role.UE else msg.Declined(epoch=self._epoch, clause="6.3", text="")
        )
        try:
            envelope = node.session.seal(work if allowed else measure(self._epoch), self.now_s)
        except OurFaultError as error:
            full = node.session._delivery.unacknowledged == WINDOW
            self._excused(error, is_open=node.session.state is State.OPEN, full=full)
            return
        self._said(("hub", name, node.session.session), allowed=allowed)
        self._fly(node.route, [envelope])

    def hub_says(self, name: str, *, allowed: bool = True) -> None:
        """Let the controller say work, or what only a peer may say."""
        self._epoch += 1
        work = measure(self._epoch) if PEERS[name] is Role.UE else msg.Capture(epoch=self._epoch, ue="ue-1")
        try:
            route, envelope = self.table.seal(name, work if allowed else peak(self._epoch), self.now_s)
        except OurFaultError as error:
            known = self.table._by_name.get(name)
            self._excused(
                error, is_open=known is not None, full=known is not None and known.delivery.unacknowledged == WINDOW
            )
            return
        self._said(("peer", name, self._open[name]), allowed=allowed)
        self._hub_did(HubOutcome(send=[(route, envelope)]))

    @staticmethod
    def _excused(error: OurFaultError, *, is_open: bool, full: bool) -> None:
        assert error.clause == ("4.8" if is_open else "4.1")
        assert full or not is_open

    def _said(self, key: Key, *, allowed: bool) -> None:
        stream = self._streams.setdefault(key, Stream())
        stream.sent.append(self._epoch)
        self._owner[self._epoch] = key
        if not allowed:
            stream.forbidden.add(self._epoch)

    def hub_refuses(self, name: str) -> None:
        """Let the controller refuse an answer that nobody awaits, which leaves the session as it is."""
        if name in self._open:
            send = self.table.seal(name, msg.Refusal(clause="5.3", text="stale"), self.now_s)
            self._hub_did(HubOutcome(send=[send]))

    def peer_runs_ahead(self, name: str, step: int) -> None:
        """Let work of a peer arrive that lies beyond the window, however the numbers before it came."""
        node = self.nodes[name]
        if node.session.state is State.OPEN:
            number = node.session._delivery._last_sent + WINDOW + step
            self._hub_receives(node.route, Envelope(session=node.session.session, sequence=number, message=peak(2**62)))

    def malformed(self, name: str) -> None:
        """Let something arrive from a peer that cannot be decoded."""
        self._hub_did(self.table.malformed(self.nodes[name].route, PeerFaultError("3.7", "too short"), self.now_s))

    def bye(self, name: str) -> None:
        """Let a peer leave and end."""
        node = self.nodes[name]
        if node.session.state is State.OPEN and not node.gone and not node.hung:
            self._fly(node.route, [node.session.seal(msg.Bye(reason="ends"), self.now_s)])
            node.gone = True

    # --- time --------------------------------------------------------------------------------------------------------

    def tick(self, seconds: float, *, hub_hung: bool = False) -> None:
        """Let time pass and all timers run but those of who hangs; a closed session is followed by a new one."""
        self.now_s += seconds
        self.flying = [flight for flight in self.flying if self.now_s - flight.since_s < LONGEST_FLIGHT_S]
        self.past = deque(
            (flight for flight in self.past if self.now_s - flight.since_s < LONGEST_FLIGHT_S), maxlen=256
        )
        for node in list(self.nodes.values()):
            if not node.hung and not node.gone:
                self._node_ticks(node)
        if not hub_hung:
            self._hub_ticks()

    def _hub_ticks(self) -> None:
        stalled_s, self._hub_ticked_s = self.now_s - self._hub_ticked_s, self.now_s
        if stalled_s >= STALL_S:
            excused = {name: self._hub_valid_s[name] + stalled_s for name in self._open}
            self._hub_valid_s |= {name: min(valid_s, self.now_s) for name, valid_s in excused.items()}
        self._hub_did(self.table.tick(self.now_s))
        assert all(self.now_s - self._hub_valid_s[name] <= LIVENESS_S for name in self._open), "silence goes unnoticed"

    def _node_ticks(self, node: Node) -> None:
        if node.session.state is State.CLOSED:
            self._connected.discard(node.route)
            node = self.nodes[node.name] = self._new_node(node.name, node.highest + 1)
        self._node_did(node, node.session.tick(self.now_s))
        silent_s = self.now_s - node.valid_s
        assert node.session.state is State.CLOSED or silent_s <= node.session.liveness_s, "silence goes unnoticed"

    def settle(self) -> None:
        """Let all faults end: who is there opens a session, and all that was said in it arrives; who is not is closed."""
        for node in self.nodes.values():
            node.hung = False
        # Silence is noticed within 3 s, three openings at most follow one upon the other, the last resend within 2 s.
        for _ in range(120):
            self.tick(0.1)
            self.deliver_all()
            self.check()
        for name, node in self.nodes.items():
            if node.gone:
                assert name not in self._open, "a peer that is gone has a session"
                continue
            assert self._open.get(name) == node.session.session, f"{name} has no session"
            assert node.session.state is State.OPEN
            for side, delivery in self._ends(node):
                stream = self._streams.get((side, name, delivery.session), Stream())
                assert (delivery.unacknowledged, stream.missing(len(stream.sent))) == (0, [])

    def _ends(self, node: Node) -> list[tuple[str, Delivery]]:
        """Return both ends of a node's session, by who hears what the end says."""
        known = self.table._by_name.get(node.name)
        return [("hub", node.session._delivery)] + ([("peer", known.delivery)] if known else [])

    def check(self) -> None:
        """Check what holds at every moment."""
        assert len(self.table._by_route) == len(self.table._by_name) <= len(PEERS)
        assert len(self.table._ended) <= len(PEERS)
        assert all(len(peer.conduct.faults) <= MAX_FAULTS + 1 for peer in self.table._by_name.values())
        for node in self.nodes.values():
            for side, delivery in self._ends(node):
                assert delivery.unacknowledged <= WINDOW
                assert len(delivery._early) < WINDOW
                assert all(number > delivery._last_received for number in delivery._early)
                stream = self._streams.get((side, node.name, delivery.session), Stream())
                acknowledged = delivery._last_sent - delivery.unacknowledged
                assert stream.missing(acknowledged) == [], "acknowledged and not delivered"
