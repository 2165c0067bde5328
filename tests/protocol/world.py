"""A controller, its peers and the link between them, in memory: no socket, no sleep, time is a number.

Every envelope passes the codec, as on the wire. A peer is known to the world by the route that the transport gave it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from protocol import messages as msg
from protocol.codec import Envelope, decode, encode
from protocol.hub import Admission, HubOutcome, SessionTable
from protocol.messages import Message, Role
from protocol.session import Closed, Event, Heard, PeerOutcome, PeerSession, State
from tests.protocol.examples import FACTS, hello

STEP_S = 0.05
ROUTE, OTHER_ROUTE = b"\x01", b"\x02"
NAMES = {Role.RADIO: frozenset({"radio"}), Role.UE: frozenset({"ue-1", "ue-2"})}


def over_the_wire(envelope: Envelope) -> Envelope:
    return decode([bytes(frame) for frame in encode(envelope)])


@dataclass
class World:
    """A controller, its peers, and a link whose losses `lose` decides."""

    now_s: float = 100.0
    lose: Callable[[Envelope], bool] = lambda _: False
    table: SessionTable = field(default_factory=lambda: SessionTable(Admission(facts=FACTS, names=NAMES)))
    peers: dict[bytes, PeerSession] = field(default_factory=dict)
    heard_by_hub: list[Event] = field(default_factory=list)
    heard_by_peer: dict[bytes, list[Event]] = field(default_factory=dict)
    said_by_hub: list[Message] = field(default_factory=list)
    said_by_peers: list[Message] = field(default_factory=list)

    def join(self, greeting: msg.Hello, session: int = 10, route: bytes = ROUTE) -> PeerSession:
        """Return a new peer's session; it says hello with the next step."""
        self.peers[route] = PeerSession(greeting, session, self.now_s)
        self.heard_by_peer[route] = []
        return self.peers[route]

    def opened(self, greeting: msg.Hello | None = None, session: int = 10, route: bytes = ROUTE) -> PeerSession:
        """Return the session of a new peer after hello and welcome."""
        peer = self.join(greeting or hello(), session, route)
        self.step()
        assert peer.state is State.OPEN
        return peer

    def step(self, seconds: float = STEP_S) -> None:
        """Let time pass, in the steps of the timers."""
        for _ in range(max(1, round(seconds / STEP_S))):
            self.now_s += STEP_S
            for route, peer in self.peers.items():
                self.from_peer(route, peer.tick(self.now_s))
            self.from_hub(self.table.tick(self.now_s))

    def from_hub(self, outcome: HubOutcome) -> None:
        self.heard_by_hub += outcome.events
        for route, envelope in outcome.send:
            self.said_by_hub.append(envelope.message)
            if route in self.peers and not self.lose(envelope):
                self.from_peer(route, self.peers[route].receive(over_the_wire(envelope), self.now_s))

    def from_peer(self, route: bytes, outcome: PeerOutcome) -> None:
        self.heard_by_peer[route] += outcome.events
        for envelope in outcome.send:
            self.said_by_peers.append(envelope.message)
            if not self.lose(envelope):
                self.to_hub(envelope, route)

    def to_hub(self, envelope: Envelope, route: bytes = ROUTE) -> HubOutcome:
        outcome = self.table.receive(route, over_the_wire(envelope), self.now_s)
        self.from_hub(outcome)
        return outcome

    def peer_says(self, message: Message, route: bytes = ROUTE) -> HubOutcome:
        return self.to_hub(self.peers[route].seal(message, self.now_s), route)

    def hub_says(self, name: str, message: Message) -> None:
        self.from_hub(HubOutcome(send=[self.table.seal(name, message, self.now_s)]))

    def refusals(self) -> list[msg.Refusal]:
        return [message for message in self.said_by_hub if isinstance(message, msg.Refusal)]

    def closed(self, route: bytes = ROUTE) -> list[Closed]:
        return [event for event in self.heard_by_peer[route] if isinstance(event, Closed)]

    def hub_closed(self) -> list[str]:
        return [event.name for event in self.heard_by_hub if isinstance(event, Closed)]


def epochs(events: list[Event]) -> list[int]:
    """Return the epochs of the work among the events."""
    work = [event.message for event in events if isinstance(event, Heard)]
    return [int(message.epoch) for message in work if isinstance(message, msg.PeakReport | msg.Configure | msg.Measure)]


def measure(epoch: int) -> msg.Measure:
    return msg.Measure(epoch=epoch, kind=msg.FeedbackKind.PEAK, groups=1)


def losing_first(kind: type[Message], count: int = 1) -> Callable[[Envelope], bool]:
    """Return a link that loses the first messages of a type."""
    left = [count]

    def lose(envelope: Envelope) -> bool:
        if not isinstance(envelope.message, kind) or left[0] == 0:
            return False
        left[0] -= 1
        return True

    return lose
