"""How controllers refuse, and when they have had enough (SPEC 9)."""

from collections.abc import Callable

from protocol.conformance.case import NonconformityError, case
from protocol.conformance.drivers.controller import ControllerUnderTest, KitPeer
from protocol.conformance.headers import NO_CLAUSE, frames_of
from protocol.conformance.sockets import now_s

MOST_FAULTS = 64
MOST_STRANGERS_HZ = 50


def _opened(controller: ControllerUnderTest) -> KitPeer:
    ue = controller.ue()
    ue.open_session()
    return ue


def _refusal(ue: KitPeer, **changes: object) -> list[bytes]:
    fields = {"clause": "4.14", "text": "the kit refuses", "final": False}
    return frames_of(ue.header("refusal", fields) | changes, {})


@case("controller/session/refusal-is-not-answered", clause="9.2.1", expect="nothing but the controller's own beat")
def refusal_is_not_answered(controller: ControllerUnderTest) -> None:
    """A UE says refusals by clauses of every section."""
    ue = _opened(controller)
    for clause in ("2.4", "3.1", "4.12", "5.3", "7.1", "9.2", NO_CLAUSE):
        ue.say("refusal", {"clause": clause, "text": "the kit refuses"})
    ue.silence_for(0.2)
    ue.expect_goes_on()


#: what may be wrong with a refusal: how its frames are made
WRONG_REFUSALS: dict[str, Callable[[KitPeer], list[bytes]]] = {
    "with-a-number": lambda ue: _refusal(ue, seq=1),
    "with-an-unknown-field": lambda ue: _refusal(ue, fields={"clause": "4.14", "text": "x", "final": False, "more": 1}),
    "without-its-clause": lambda ue: _refusal(ue, fields={"text": "x"}),
    "with-a-frame-too-many": lambda ue: [*_refusal(ue), b"\0"],
    "with-an-unknown-key": lambda ue: _refusal(ue, prio=1),
    "of-no-session": lambda ue: _refusal(ue, session=ue.session - 1),
    "with-a-clause-that-is-none": lambda ue: _refusal(ue, fields={"clause": "x", "text": "x"}),
}


@case(
    "controller/session/wrong-refusals-are-not-answered", clause="9.2.1", expect="nothing but the controller's own beat"
)
def wrong_refusals_are_not_answered(controller: ControllerUnderTest) -> None:
    """A UE says refusals that break rules themselves: numbers, fields, frames, keys and sessions that are not right."""
    ue = _opened(controller)
    for what, frames in WRONG_REFUSALS.items():
        ue.say_frames(frames(ue))
        try:
            ue.silence_for(0.06)
        except NonconformityError as error:
            raise NonconformityError(f"a refusal {what.replace('-', ' ')}: {error.text}") from error
    ue.silence_for(0.15)
    ue.expect_goes_on()


@case("controller/session/refusal-from-a-stranger", clause="9.2.1", expect="nothing")
def refusal_from_a_stranger(controller: ControllerUnderTest) -> None:
    """A connection without a session says refusal."""
    ue = controller.ue()
    ue.say("refusal", {"clause": "4.12", "text": "the kit refuses"})
    ue.silence_for(0.25, but=frozenset())
    ue.open_session()


@case(
    "controller/session/refusals-name-their-clause",
    clause="9.1.1",
    expect="refusals, none final; the session goes on",
)
def refusals_name_their_clause(controller: ControllerUnderTest) -> None:
    """A UE breaks a rule of framing, of schema, of numbers, of the table and of epochs, one after the other."""
    ue = _opened(controller)
    ue.say_frames([b"\x93\x01\x02\x03"])
    _expect_mild(ue, "3.1", "3.4")
    ue.say_frames(frames_of(ue.header("heartbeat", {"progress": -1}), {}))
    _expect_mild(ue, "3.4")
    ue.say_frames(frames_of(ue.header("heartbeat", {"progress": 1}, sequence=9), {}))
    _expect_mild(ue, "4.6")
    ue.say("silence", {"epoch": 1, "text": "nothing"})
    _expect_mild(ue, "4.14")
    ue.decline()
    _expect_mild(ue, "5.3")
    ue.expect_goes_on()


def _expect_mild(ue: KitPeer, *clauses: str) -> None:
    refusal = ue.expect_refusal(*clauses)
    if refusal.fields.get("final", False):
        raise NonconformityError(f"expected a refusal that is not final, got {refusal.fields}")


@case("controller/session/stranger-who-cannot-speak", clause="9.1.1", expect="a refusal by 3.1 in session 0")
def stranger_who_cannot_speak(controller: ControllerUnderTest) -> None:
    """A connection without a session says what is no message."""
    stranger = controller.ue()
    stranger.say_frames([b"GET / HTTP/1.1\r\n\r\n"])
    refusal = stranger.expect_refusal("3.1")
    if refusal.session:
        raise NonconformityError(f"expected session 0 in the refusal, got {refusal.session}", "3.4.1")
    stranger.open_session()


@case("controller/hostile/as-many-faults-as-may-be", clause="9.3.1", expect="64 refusals, and the session goes on")
def as_many_faults_as_may_be(controller: ControllerUnderTest) -> None:
    """A UE breaks the table 64 times."""
    ue = _opened(controller)
    _break_the_table(ue, MOST_FAULTS)
    ue.silence_for(0.15)
    ue.say("heartbeat", {"progress": 1})
    ue.silence_for(0.1)


@case("controller/hostile/one-fault-too-many", clause="9.3.1", expect="65 refusals, and the session is closed")
def one_fault_too_many(controller: ControllerUnderTest) -> None:
    """A UE breaks the table 65 times, and comes back with a larger number."""
    ue = _opened(controller)
    _break_the_table(ue, MOST_FAULTS + 1)
    ue.expect_closed()
    ue.renew()
    ue.open_session()
    ue.expect_goes_on()


@case("controller/hostile/garbage-in-a-session", clause="9.3.1", expect="the session is closed after 65 refusals")
def garbage_in_a_session(controller: ControllerUnderTest) -> None:
    """A UE says 65 times what is no message; another goes on."""
    ue, other = _opened(controller), controller.ue("ue-2")
    other.open_session()
    for _ in range(MOST_FAULTS + 1):
        ue.say_frames([b"\xc1"])
    for _ in range(MOST_FAULTS + 1):
        ue.expect_refusal("3.1")
    ue.expect_closed()
    other.expect_goes_on()


def _break_the_table(ue: KitPeer, times: int) -> None:
    for _ in range(times):
        ue.say("silence", {"epoch": 1, "text": "nothing"})
    for _ in range(times):
        ue.expect_refusal("4.14")


@case(
    "controller/hostile/refusals-to-strangers-are-rationed",
    clause="9.3.2",
    expect="50 refusals a second; sessions go on",
)
def refusals_to_strangers_are_rationed(controller: ControllerUnderTest) -> None:
    """Four connections without a session say 100 heartbeats each."""
    ue = _opened(controller)
    controller.let_strangers_be_answered()
    strangers = [controller.ue("ue-2") for _ in range(4)]
    began_s = now_s()
    for _ in range(100):
        for stranger in strangers:
            stranger.say("heartbeat", {"progress": 1})
        controller.pump_for(0.0)
    controller.pump_for(0.5)
    refused_s = [at_s for stranger in strangers for at_s in stranger.heard_at_s.get("refusal", [])]
    if not refused_s:
        raise NonconformityError("expected some refusals, got none", "9.1.1")
    # whichever way seconds are counted, these touch no more than one beyond those that begin in them
    most = MOST_STRANGERS_HZ * (2 + int(max(refused_s) - began_s))
    if len(refused_s) > most:
        took_s = max(refused_s) - began_s
        raise NonconformityError(f"expected at most {most} refusals in {took_s:.2f} s, got {len(refused_s)}")
    ue.expect_goes_on()
    controller.let_strangers_be_answered()
