"""Refusals, as radios and UEs say and hear them (SPEC 9)."""

from protocol.conformance.case import NonconformityError, case
from protocol.conformance.conversation import BACKGROUND
from protocol.conformance.drivers.peer import PeerUnderTest
from protocol.conformance.headers import NO_CLAUSE, Said, frames_of, packed
from protocol.conformance.sockets import now_s

QUIET_S = 1.3  # two hellos' time, and some


@case("peer/session/final-refusal-of-hello", clause="9.1.3", expect="never the same hello again")
def final_refusal_of_hello(peer: PeerUnderTest) -> None:
    """Hello is refused by 4.4, finally."""
    peer.process()
    peer.refuse("4.4", "downlink.grid.count: 64 here, 128 there", final=True)
    _never_the_same_hello(peer)


@case("peer/session/final-refusal-of-an-open-session", clause="9.1.3", expect="the end of the session, no hello")
def final_refusal_of_an_open_session(peer: PeerUnderTest) -> None:
    """An open session is refused finally by 4.3."""
    peer.process()
    peer.open_session()
    peer.is_open = False
    peer.refuse("4.3", final=True)
    _never_the_same_hello(peer)


def _never_the_same_hello(peer: PeerUnderTest) -> None:
    assert peer.hello is not None  # noqa: S101 - a case begins with it
    refused, refused_s = peer.hello.fields, now_s()
    until_s = refused_s + QUIET_S
    while (said := peer.next_within(max(0.0, until_s - now_s()))) is not None:
        late = said.at_s > refused_s + 0.3  # what was under way
        if late and (said.type != "hello" or said.fields == refused):
            raise NonconformityError(f"expected nothing after a final refusal, got {said.type} {said.fields}")


@case("peer/session/refusals-are-heard", clause="9.2.1", expect="nothing, and the session goes on")
def refusals_are_heard(peer: PeerUnderTest) -> None:
    """Refusals by many clauses come in an open session, some of which the text does not have."""
    peer.open_session()
    for clause in ("2.5", "4.5", "4.7", "4.14", "5.3", "6.2", "7.1", "9.3", "10.1", NO_CLAUSE):
        peer.refuse(clause)
    peer.silence_for(0.3)
    peer.request(1)
    peer.expect_reply(1)


def _broken_refusals(peer: PeerUnderTest) -> list[list[bytes]]:
    sound: dict[str, object] = {"clause": "4.14", "text": "broken"}
    fields: list[dict[str, object]] = [
        {**sound, "unknown": 1},
        {"clause": "4.14"},
        {**sound, "clause": "four"},
        {**sound, "text": 7},
        {**sound, "text": "x" * 2000},
        {**sound, "final": 0},
        {**sound, "text": float("nan")},
    ]
    headers = [peer.header("refusal", changed) for changed in fields]
    headers += [{**peer.header("refusal", sound), "unknown": 1}, peer.header("refusal", sound, sequence=3)]
    return [*(frames_of(values, {}) for values in headers), [packed(peer.header("refusal", sound)), bytes(8)]]


@case(
    "peer/session/broken-refusals-are-not-refused", clause="9.2.1", expect="no refusal, and no message but background"
)
def broken_refusals_are_not_refused(peer: PeerUnderTest) -> None:
    """Refusals come with fields that are missing, unknown, of another type or too long, with a number, with a frame more."""
    peer.open_session()
    for frames in _broken_refusals(peer):
        peer.say_frames(frames)
    peer.silence_for(0.4)
    peer.request(1)
    peer.expect_reply(1)


@case("peer/session/refused-by-section-3", clause="9.1.5", expect="a new session")
def refused_by_section_3(peer: PeerUnderTest) -> None:
    """The controller says that what the peer said was no message, by 3.4."""
    peer.open_session()
    peer.is_open = False
    peer.refuse("3.4")
    peer.expect_new_session()


@case(
    "peer/session/broken-request-is-not-acknowledged",
    clause="9.1.4",
    also=("3.4.2", "9.1.2"),
    expect="a refusal by 3.4, no acknowledgement; the number stays free",
)
def broken_request_is_not_acknowledged(peer: PeerUnderTest) -> None:
    """A request has an unknown field; then a sound one comes with the same number."""
    peer.open_session()
    kind, fields = _request_of(peer)
    peer.say_frames(frames_of(peer.header(kind, {**fields, "unknown": 1}, sequence=1), {}))
    peer.expect_refusal("3.4")
    peer.silence_for(0.3)
    if peer.watch.acknowledged:
        raise NonconformityError("expected no acknowledgement of what was refused by section 3, got ack 1")
    peer.request(2, sequence=1)
    peer.expect_reply(2)


def _request_of(peer: PeerUnderTest) -> tuple[str, dict[str, object]]:
    if "measure" in _hears(peer):
        return "measure", {"epoch": 1, "kind": "peak", "groups": 1}
    return "capture", {"epoch": 1, "ue": peer.rig.target.name}


def _hears(peer: PeerUnderTest) -> tuple[str, ...]:
    return ("measure",) if "peak_report" in peer.answers else ("configure", "capture")


@case("peer/session/request-without-a-number", clause="4.6.2", expect="a refusal by 4.6, no answer")
def request_without_a_number(peer: PeerUnderTest) -> None:
    """A request has the sequence number 0."""
    peer.open_session()
    peer.request(1, sequence=0)
    peer.expect_refusal("4.6")
    peer.silence_for(0.2)
    peer.request(2)
    peer.expect_reply(2)


@case("peer/session/heartbeat-with-a-number", clause="4.6.2", expect="a refusal by 4.6, no acknowledgement")
def heartbeat_with_a_number(peer: PeerUnderTest) -> None:
    """A heartbeat has the sequence number that is next; then a request has it."""
    peer.open_session()
    peer.say_frames(frames_of(peer.header("heartbeat", {"progress": 1}, sequence=1), {}))
    peer.expect_refusal("4.6")
    peer.request(1, sequence=1)
    peer.expect_reply(1)


@case("peer/session/refusal-names-what-came", clause="9.1.2", expect="a refusal of each, none final, in one session")
def refusal_names_what_came(peer: PeerUnderTest) -> None:
    """Five rules are broken, one after the other."""
    peer.open_session()
    beat = peer.header("heartbeat", {"progress": 1})
    damaged: list[tuple[dict[str, object], str]] = [
        ({**beat, "v": 2}, "3.2"),
        ({**beat, "type": "no_such_type"}, "3.3"),
        ({**beat, "fields": {"progress": -1}}, "3.4"),
        ({**beat, "fields": {"progress": float("inf")}}, "3.5"),
        ({**beat, "seq": 9}, "4.6"),
    ]
    for values, clause in damaged:
        peer.say_frames([packed(values)])
        _require_not_final(peer.expect_refusal(*{clause, "3.4" if clause == "3.5" else clause}))
    peer.silence_for(0.1, but=BACKGROUND)


def _require_not_final(refusal: Said) -> None:
    if refusal.fields.get("final", False):
        raise NonconformityError(f"expected that a peer's refusal is not final, got {refusal.fields}")
