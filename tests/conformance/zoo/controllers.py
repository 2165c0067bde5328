"""Controllers that admit, ask and refuse wrongly."""

from collections.abc import Callable
from typing import Any

import msgspec
import zmq

from bs_controller import answers, run, transmission
from bs_controller.commands import Send
from bs_controller.run import Run
from protocol import hub, transport
from protocol import messages as msg
from protocol.codec import Envelope
from protocol.errors import PeerFaultError
from protocol.hub import HubOutcome, SessionTable
from protocol.testbed import TestbedFacts
from protocol.transport import Router
from tests.conformance.zoo.registry import around, broken, constant


def _admitting(clause: str) -> None:
    def admit(original: Any, self: SessionTable, hello: msg.Hello) -> None:
        try:
            original(self, hello)
        except PeerFaultError as fault:
            if fault.clause != clause:
                raise

    around(SessionTable, "_admit", admit)


@broken("controller-welcomes-anybody", {})
def welcomes_anybody() -> None:
    """Welcomes names that the testbed does not have."""
    _admitting("4.3")


@broken("controller-welcomes-any-facts", {})
def welcomes_any_facts() -> None:
    """Does not look at digests."""
    _admitting("4.4")


@broken("controller-welcomes-any-version", {})
def welcomes_any_version() -> None:
    """Welcomes peers that do not speak its version."""
    _admitting("4.2")


@broken("controller-names-no-facts", {})
def names_no_facts() -> None:
    """Does not say which facts differ."""
    around(TestbedFacts, "differences", lambda original, self, other: [])


@broken("controller-names-one-fact", {})
def names_one_fact() -> None:
    """Says of the first fact that differs alone."""
    around(TestbedFacts, "differences", lambda original, self, other: original(self, other)[:1])


def _refusing(change: Callable[[msg.Refusal], msg.Refusal]) -> None:
    """Change refusals before they are sent."""

    def refuse(original: Any, self: SessionTable, *given: Any) -> None:
        outcome: HubOutcome = given[-1]
        before = len(outcome.send)
        original(self, *given)
        for at in range(before, len(outcome.send)):
            place, said = outcome.send[at]
            if isinstance(said.message, msg.Refusal):
                outcome.send[at] = (place, msgspec.structs.replace(said, message=change(said.message)))

    around(SessionTable, "_refuse", refuse)


@broken("controller-refuses-finally", {})
def refuses_finally() -> None:
    """Refuses everything finally."""
    _refusing(lambda refusal: msgspec.structs.replace(refusal, final=True))


@broken("controller-refuses-strangers-for-now", {})
def refuses_strangers_for_now() -> None:
    """Refuses nothing finally."""
    _refusing(lambda refusal: msgspec.structs.replace(refusal, final=False))


@broken("controller-names-another-clause", {})
def names_another_clause() -> None:
    """Names the same clause in all refusals."""
    _refusing(lambda refusal: msgspec.structs.replace(refusal, clause="9.1"))


@broken("controller-refuses-nothing", {})
def refuses_nothing() -> None:
    """Drops without a word what it cannot take."""
    around(SessionTable, "malformed", lambda original, self, *given: HubOutcome())


@broken("controller-keeps-the-older-session", {})
def keeps_the_older_session() -> None:
    """Refuses a hello by 4.5 as long as the name has an open session."""

    def newest(original: Any, self: SessionTable, name: str, now_s: float) -> int:
        return 2**63 - 1 if name in self._by_name else int(original(self, name, now_s))

    around(SessionTable, "_newest", newest)


@broken("controller-keeps-both-sessions", {})
def keeps_both_sessions() -> None:
    """Leaves the older session open beside a newer one."""

    def close(original: Any, self: SessionTable, peer: Any, reason: str, outcome: HubOutcome) -> None:
        if reason == "a newer session of the same peer":
            del self._by_name[peer.name]
        else:
            original(self, peer, reason, outcome)

    around(SessionTable, "_close", close)


@broken("controller-takes-smaller-numbers", {})
def takes_smaller_numbers() -> None:
    """Lets any other number begin a session."""
    around(SessionTable, "_newest", lambda original, self, name, now_s: 0)


@broken("controller-forgets-ended-sessions", {})
def forgets_ended_sessions() -> None:
    """Lets a hello come again after its session."""
    constant(hub, "REMEMBERED_S", 0.0)


@broken("controller-knows-every-session", {})
def knows_every_session() -> None:
    """Hears messages of a connection whatever their session's number is."""

    def receive(original: Any, self: SessionTable, route: bytes, envelope: Envelope, now_s: float) -> Any:
        peer = self._by_route.get(route)
        if peer is not None and not isinstance(envelope.message, msg.Hello):
            envelope = msgspec.structs.replace(envelope, session=peer.delivery.session)
        return original(self, route, envelope, now_s)

    around(SessionTable, "receive", receive)


@broken("controller-ignores-hello-again", {})
def ignores_hello_again() -> None:
    """Says nothing to a hello that comes again."""

    def greet(original: Any, self: SessionTable, route: bytes, envelope: Envelope, *given: Any) -> None:
        peer = self._by_route.get(route)
        if peer is None or peer.delivery.session != envelope.session:
            original(self, route, envelope, *given)

    around(SessionTable, "_greet", greet)


@broken("controller-opens-anew-at-hello-again", {})
def opens_anew_at_hello_again() -> None:
    """Opens the session anew at a hello that comes again."""

    def greet(original: Any, self: SessionTable, route: bytes, envelope: Any, *given: Any) -> None:
        peer = self._by_route.get(route)
        if peer is not None and peer.delivery.session == envelope.session:
            self._close(peer, "it says hello", given[-1])
            self._ended.clear()
        original(self, route, envelope, *given)

    around(SessionTable, "_greet", greet)


@broken("controller-never-gives-up", {})
def never_gives_up() -> None:
    """Keeps sessions of peers that have fallen silent."""

    def close(original: Any, self: SessionTable, peer: Any, reason: str, outcome: HubOutcome) -> None:
        if not reason.startswith("nothing heard"):
            original(self, peer, reason, outcome)

    around(SessionTable, "_close", close)


@broken("controller-closes-after-a-stall", {})
def closes_after_a_stall() -> None:
    """Counts its own absence as the silence of its peers."""
    constant(hub, "STALL_S", float("inf"))


@broken("controller-never-beats", {})
def never_beats() -> None:
    """Says nothing if it has nothing to say."""

    def tick(original: Any, self: SessionTable, now_s: float) -> HubOutcome:
        outcome: HubOutcome = original(self, now_s)
        outcome.send = [(route, said) for route, said in outcome.send if not isinstance(said.message, msg.Heartbeat)]
        return outcome

    around(SessionTable, "tick", tick)


def _welcoming(change: Callable[[Envelope], Envelope]) -> None:
    def welcome(original: Any, self: SessionTable, peer: Any, now_s: float, outcome: HubOutcome) -> None:
        original(self, peer, now_s, outcome)
        route, said = outcome.send[-1]
        outcome.send[-1] = (route, change(said))

    around(SessionTable, "_welcome", welcome)


@broken("controller-says-other-times", {})
def says_other_times() -> None:
    """Beats five times as seldom as its welcome says."""

    def change(said: Envelope) -> Envelope:
        welcome: Any = said.message
        shorter = msgspec.structs.replace(welcome, heartbeat_s=welcome.heartbeat_s / 5)
        return msgspec.structs.replace(said, message=shorter)

    _welcoming(change)


@broken("controller-welcomes-in-session-0", {})
def welcomes_in_session_0() -> None:
    """Leaves the session's number out of welcome."""
    _welcoming(lambda said: msgspec.structs.replace(said, session=0))


def _replying(kind: type[msg.Message], reply: msg.Message) -> None:
    def hear(original: Any, self: SessionTable, peer: Any, envelope: Envelope, *given: Any) -> None:
        original(self, peer, envelope, *given)
        now_s, outcome = given
        if isinstance(envelope.message, kind):
            outcome.send.append((peer.route, peer.delivery.seal(reply, now_s)))

    around(SessionTable, "_hear", hear)


@broken("controller-refuses-refusals", {})
def refuses_refusals() -> None:
    """Answers a refusal with a refusal."""
    _replying(msg.Refusal, msg.Refusal(clause="9.2", text="I refuse that"))


@broken("controller-answers-bye", {})
def answers_bye() -> None:
    """Answers a bye with a bye."""
    _replying(msg.Bye, msg.Bye(reason="bye, then"))


@broken("controller-takes-what-has-no-place", {})
def takes_what_has_no_place() -> None:
    """Refuses no message by 4.14."""
    around(hub, "advanced", lambda original, table, state, message: table.get((state, type(message)), state))


@broken("controller-refuses-for-ever", {})
def refuses_for_ever() -> None:
    """Keeps peers that break rules again and again."""
    constant(hub, "MAX_FAULTS", 10**9)


@broken("controller-loses-patience", {})
def loses_patience() -> None:
    """Closes a session at the first fault."""
    constant(hub, "MAX_FAULTS", 0)


@broken("controller-answers-all-strangers", {})
def answers_all_strangers() -> None:
    """Answers any number of connections without a session."""
    constant(hub, "MAX_STRANGER_REFUSALS_HZ", 10**9)


@broken("controller-hears-floods", {})
def hears_floods() -> None:
    """Hears a peer whatever it says in a second."""
    constant(hub, "MAX_RATE_HZ", float("inf"))


@broken("controller-takes-any-frame", {})
def takes_any_frame() -> None:
    """Takes frames of any length."""
    around(transport, "_common_options", lambda original, limit: original(-1))


@broken("controller-beats-by-zmtp", {})
def beats_by_zmtp() -> None:
    """Sends ZMTP heartbeats."""

    def begin(original: Any, self: Router, *given: Any, **named: Any) -> None:
        around(transport, "_common_options", lambda options, limit: [*options(limit), (zmq.HEARTBEAT_IVL, 100)])
        original(self, *given, **named)

    around(Router, "__init__", begin)


@broken("controller-reuses-epochs", {})
def reuses_epochs() -> None:
    """Gives every request the same epoch."""

    def transmit(original: Any, self: Run, *given: Any) -> None:
        self._epoch = 0
        original(self, *given)

    around(Run, "_transmit", transmit)


@broken("controller-counts-epochs-down", {})
def counts_epochs_down() -> None:
    """Gives each request a smaller epoch."""

    def transmit(original: Any, self: Run, *given: Any) -> None:
        self._epoch = (self._epoch or 10**9) - 2
        original(self, *given)

    around(Run, "_transmit", transmit)


@broken("controller-asks-for-any-kind", {})
def asks_for_any_kind() -> None:
    """Asks for kinds that the UE does not advertise."""

    def stepped(original: Any, self: Run, ue: str, *given: Any) -> None:
        self._kinds[ue] = tuple(msg.FeedbackKind)
        original(self, ue, *given)

    around(Run, "stepped", stepped)


@broken("controller-takes-any-index", {})
def takes_any_index() -> None:
    """Takes indices that no subcarrier and no group has."""
    around(answers, "_require_below", lambda original, *given: None)


@broken("controller-takes-any-shape", {})
def takes_any_shape() -> None:
    """Takes snapshots and reports of any shape."""
    around(answers, "_require_shape", lambda original, *given: None)


@broken("controller-takes-what-nobody-awaits", {})
def takes_what_nobody_awaits() -> None:
    """Says nothing of answers that it cannot use."""

    def heard(original: Any, self: Run, *given: Any) -> None:
        original(self, *given)
        said = self._commands
        self._commands = [c for c in said if not isinstance(c, Send) or not isinstance(c.message, msg.Refusal)]

    around(Run, "heard", heard)


@broken("controller-ends-at-a-stale-answer", {})
def ends_at_a_stale_answer() -> None:
    """Ends the session of a peer whose answer nobody awaits."""

    def heard(original: Any, self: Run, name: str, *given: Any) -> None:
        original(self, name, *given)
        if any(isinstance(c, Send) and isinstance(c.message, msg.Refusal) for c in self._commands):
            self._commands.append(Send(name=name, message=msg.Bye(reason="a stale answer")))

    around(Run, "heard", heard)


@broken("controller-asks-for-too-long-delays", {})
def asks_for_too_long_delays() -> None:
    """Asks for delays that the front end does not have."""

    def message_for(original: Any, *given: Any) -> Any:
        message = original(*given)
        if isinstance(message, msg.Configure):
            return msgspec.structs.replace(message, delay_s=message.delay_s + given[-1].delay_span_s)
        return message

    around(run, "message_for", message_for)


@broken("controller-asks-for-too-few-elements", {})
def asks_for_too_few_elements() -> None:
    """Asks for a setting of half the elements."""

    def message_for(original: Any, *given: Any) -> Any:
        message = original(*given)
        if isinstance(message, msg.Configure):
            half = message.delay_s.shape[1] // 2
            arrays = {"delay_s": message.delay_s[:, :half], "phase_cycles": message.phase_cycles[:, :half]}
            return msgspec.structs.replace(message, **arrays)
        return message

    around(run, "message_for", message_for)


@broken("controller-ignores-the-front-end", {})
def ignores_the_front_end() -> None:
    """Asks every front end for the same setting."""
    around(transmission, "fitted", lambda original, setting, limits: setting)


@broken("controller-measures-the-next-epoch", {})
def measures_the_next_epoch() -> None:
    """Asks UEs for another epoch than the one on the air."""

    def measure(original: Any, *, epoch: int, **others: Any) -> Any:
        return original(epoch=epoch + 1, **others)

    around(msg, "Measure", measure)
