"""Sessions gone wrong at the side of radios and UEs."""

import itertools
import time
from dataclasses import replace
from typing import Any

import msgspec
import zmq

from protocol import messages as msg
from protocol import session
from protocol.codec import Envelope, decode
from protocol.errors import PeerFaultError
from protocol.links import PeerLink
from protocol.session import Closed, Event, PeerOutcome, PeerSession, State
from protocol.testbed import TestbedFacts
from protocol.transport import _Socket
from tests.conformance.zoo.registry import around, broken, constant


def _after_welcome(change: Any) -> None:
    def hear(original: Any, self: PeerSession, message: msg.Message, outcome: PeerOutcome) -> None:
        original(self, message, outcome)
        if isinstance(message, msg.Welcome):
            change(self)

    around(PeerSession, "_hear", hear)


@broken("radio-beats-late", {})
@broken("ue-beats-late", {})
def beats_late() -> None:
    """Beats three times as seldom as the controller asks for."""
    _after_welcome(lambda self: setattr(self, "heartbeat_s", 3 * self.heartbeat_s))


@broken("ue-never-beats", {})
def never_beats() -> None:
    """Says nothing if it has nothing to say."""
    _after_welcome(lambda self: setattr(self, "heartbeat_s", float("inf")))


@broken("radio-never-gives-up", {})
@broken("ue-never-gives-up", {})
def never_gives_up() -> None:
    """Keeps a session in which nothing comes."""
    _after_welcome(lambda self: setattr(self, "liveness_s", float("inf")))


def _numbering(number: Any) -> None:
    def begin(original: Any, self: PeerSession, hello: msg.Hello, _: int, now_s: float) -> None:
        original(self, hello, number(), now_s)

    around(PeerSession, "__init__", begin)


@broken("ue-same-session-again", {})
def same_session_again() -> None:
    """Gives all its sessions the same number."""
    began = time.time_ns() // 1000
    _numbering(lambda: began)


@broken("ue-smaller-session", {})
def smaller_session() -> None:
    """Gives each session a smaller number than the one before."""
    numbers = itertools.count(time.time_ns() // 1000, -1)
    _numbering(lambda: next(numbers))


@broken("radio-speaks-before-welcome", {})
@broken("ue-speaks-before-welcome", {})
def speaks_before_welcome() -> None:
    """Beats before it is welcome."""

    def tick(original: Any, self: PeerSession, now_s: float) -> PeerOutcome:
        outcome: PeerOutcome = original(self, now_s)
        if self.state is State.NEW and outcome.send:
            outcome.send.append(self._delivery.seal(msg.Heartbeat(progress=0), now_s))
        return outcome

    around(PeerSession, "tick", tick)


@broken("ue-says-hello-once", {})
def says_hello_once() -> None:
    """Says hello only once."""
    constant(session, "HELLO_AGAIN_S", 100.0)


@broken("ue-says-another-hello", {})
def says_another_hello() -> None:
    """Says something else in each hello of a session."""
    counter = itertools.count()

    def tick(original: Any, self: PeerSession, now_s: float) -> PeerOutcome:
        self._hello = msgspec.structs.replace(self._hello, software=f"try {next(counter)}")
        outcome: PeerOutcome = original(self, now_s)
        return outcome

    around(PeerSession, "tick", tick)


@broken("ue-states-another-digest", {})
def states_another_digest() -> None:
    """States a digest that is not that of its facts."""
    around(TestbedFacts, "digest", lambda original, self: original(self)[::-1])


def _replying(kind: type[msg.Message], reply: msg.Message) -> None:
    """Answer a type of message in an open session."""

    def receive(original: Any, self: PeerSession, envelope: Envelope, now_s: float) -> PeerOutcome:
        opened = self.state is State.OPEN
        outcome: PeerOutcome = original(self, envelope, now_s)
        if opened and isinstance(envelope.message, kind):
            outcome.send.append(self._delivery.seal(reply, now_s))
        return outcome

    around(PeerSession, "receive", receive)


@broken("ue-refuses-refusals", {})
def refuses_refusals() -> None:
    """Answers a refusal with a refusal."""
    _replying(msg.Refusal, msg.Refusal(clause="9.2", text="I refuse that"))


@broken("ue-answers-bye", {})
def answers_bye() -> None:
    """Answers a bye with a bye."""
    _replying(msg.Bye, msg.Bye(reason="bye, then"))


@broken("ue-ignores-bye", {})
def ignores_bye() -> None:
    """Goes on with a session after a bye."""

    def react(original: Any, self: PeerLink, event: Event) -> None:
        if not isinstance(event, Closed) or event.reason.startswith("nothing heard"):
            original(self, event)

    around(PeerLink, "_react", react)
    constant(session, "PEER_HEARS", _without(msg.Bye))


def _without(kind: type[msg.Message]) -> Any:
    return {
        role: {key: State.OPEN if key[1] is kind else state for key, state in table.items()}
        for role, table in session.PEER_HEARS.items()
    }


@broken("ue-tries-again-after-a-final-refusal", {})
def tries_again() -> None:
    """Says the same hello again after a final refusal."""

    def react(original: Any, self: PeerLink, event: Event) -> None:
        original(self, replace(event, final=False) if isinstance(event, Closed) else event)

    around(PeerLink, "_react", react)


@broken("ue-sets-a-routing-id", {})
def sets_a_routing_id() -> None:
    """Names its connections itself."""
    counter = itertools.count()

    def begin(original: Any, self: _Socket, kind: int, *args: Any) -> None:
        original(self, kind, *args)
        if kind == zmq.DEALER:
            self._socket.setsockopt(zmq.IDENTITY, b"ue-1-%d" % next(counter))

    around(_Socket, "__init__", begin)


@broken("radio-hears-any-session", {})
@broken("ue-hears-any-session", {})
def hears_any_session() -> None:
    """Acts on messages whatever their session's number is."""

    def receive(original: Any, self: PeerSession, envelope: Envelope, now_s: float) -> Any:
        return original(self, msgspec.structs.replace(envelope, session=self.session), now_s)

    around(PeerSession, "receive", receive)


def _deaf_to(clause: str) -> None:
    def refused(original: Any, self: PeerSession, envelope: Any, outcome: PeerOutcome) -> None:
        if envelope.message.clause != clause:
            original(self, envelope, outcome)

    around(PeerSession, "_refused", refused)


@broken("ue-keeps-a-session-that-nobody-knows", {})
def keeps_an_unknown_session() -> None:
    """Goes on with a session that is refused by 4.12."""
    _deaf_to("4.12")


@broken("ue-stays-below-the-number", {})
def stays_below_the_number() -> None:
    """Says the same hello again after a refusal by 4.5."""
    _deaf_to("4.5")


@broken("ue-takes-any-version", {})
def takes_any_version() -> None:
    """Takes a welcome to a version that it did not offer."""
    around(PeerSession, "_check_version", lambda original, self, message: None)


@broken("ue-refuses-nothing", {})
def refuses_nothing() -> None:
    """Drops without a word what it cannot take."""

    def on_frames(original: Any, self: PeerLink, route: bytes, frames: list[bytes]) -> None:
        try:
            decode(frames)
        except PeerFaultError:
            return
        original(self, route, frames)

    around(PeerLink, "_on_frames", on_frames)


@broken("ue-takes-what-has-no-place", {})
def takes_what_has_no_place() -> None:
    """Refuses no message by 4.14."""
    around(session, "advanced", lambda original, table, state, message: table.get((state, type(message)), state))


@broken("ue-closes-at-a-fault", {})
def closes_at_a_fault() -> None:
    """Closes its session when it refuses something by 4.14."""

    def receive(original: Any, self: PeerSession, envelope: Envelope, now_s: float) -> PeerOutcome:
        outcome: PeerOutcome = original(self, envelope, now_s)
        if any(isinstance(said.message, msg.Refusal) for said in outcome.send):
            self.state = State.CLOSED
            outcome.events.append(Closed(name="controller", reason="it broke a rule"))
        return outcome

    around(PeerSession, "receive", receive)


@broken("ue-keeps-numbers-in-a-new-session", {})
def keeps_numbers() -> None:
    """Goes on counting its messages when a new session begins."""
    counter = itertools.count(1)

    def begin(original: Any, self: PeerSession, hello: msg.Hello, number: int, now_s: float) -> None:
        original(self, hello, number, now_s)
        self._delivery._last_sent = next(counter)

    around(PeerSession, "__init__", begin)
