"""How controllers open sessions: versions, names and roles, facts, and hellos that come again."""

import re
from typing import Any

from protocol.conformance.case import NonconformityError, case
from protocol.conformance.drivers.controller import ControllerUnderTest, KitPeer
from protocol.conformance.facts import digest_of
from protocol.conformance.headers import Said, frames_of
from protocol.conformance.keyring import RADIO


@case("controller/session/hello-is-welcomed", clause="4.2.2", expect="welcome to version 1")
def hello_is_welcomed(controller: ControllerUnderTest) -> None:
    """A UE of the testbed says hello."""
    ue = controller.ue()
    ue.greet()
    welcome = ue.expect_welcome()
    if welcome.fields["version"] != 1 or welcome.session != ue.session:
        raise NonconformityError(f"expected version 1 and session {ue.session}, got {welcome.fields}")
    ue.expect_goes_on()


@case("controller/session/radio-is-welcomed", clause="4.2.2", expect="welcome to version 1")
def radio_is_welcomed(controller: ControllerUnderTest) -> None:
    """A radio says hello."""
    radio = controller.radio()
    radio.open_session()
    radio.expect_goes_on()


@case("controller/session/one-of-many-versions", clause="4.2.2", expect="welcome to version 1")
def one_of_many_versions(controller: ControllerUnderTest) -> None:
    """A UE speaks versions 9, 1 and 3."""
    ue = controller.ue()
    ue.greet(versions=[9, 1, 3])
    welcome = ue.expect_welcome()
    if welcome.fields["version"] != 1:
        raise NonconformityError(f"expected version 1, got {welcome.fields}")


@case(
    "controller/session/unknown-versions", clause="4.2.1", also=("9.1.1",), expect="a final refusal by 4.2, no session"
)
def unknown_versions(controller: ControllerUnderTest) -> None:
    """A UE speaks versions 2 and 3 alone."""
    ue = controller.ue()
    ue.greet(versions=[2, 3])
    _expect_final(ue, "4.2")
    ue.expect_closed()


@case("controller/session/stranger-is-refused", clause="4.3.1", expect="a final refusal by 4.3, no session")
def stranger_is_refused(controller: ControllerUnderTest) -> None:
    """A UE that the testbed does not have says hello."""
    stranger = controller.ue("nobody-9")
    stranger.greet()
    _expect_final(stranger, "4.3")
    stranger.expect_closed()


@case("controller/session/ue-as-radio", clause="4.3.1", expect="a final refusal by 4.3")
def ue_as_radio(controller: ControllerUnderTest) -> None:
    """A radio takes the name of a UE."""
    radio = controller.peer("ue-1", controller.radio().capabilities)
    radio.greet()
    _expect_final(radio, "4.3")


@case("controller/session/radio-as-ue", clause="4.3.1", expect="a final refusal by 4.3")
def radio_as_ue(controller: ControllerUnderTest) -> None:
    """A UE takes the name of the radio."""
    ue = controller.ue(RADIO)
    ue.greet()
    _expect_final(ue, "4.3")


@case(
    "controller/session/stranger-beside-a-session", clause="4.3.1", expect="a final refusal; the open session goes on"
)
def stranger_beside_a_session(controller: ControllerUnderTest) -> None:
    """While ue-1 is there, a stranger says hello on another connection."""
    ue, stranger = controller.ue(), controller.ue("nobody-9")
    ue.open_session()
    stranger.greet()
    _expect_final(stranger, "4.3")
    ue.expect_goes_on()


def _expect_final(peer: KitPeer, clause: str) -> Said:
    refusal = peer.expect_refusal(clause)
    if refusal.fields.get("final") is not True:
        raise NonconformityError(f"expected a final refusal, got {refusal.fields}", "9.1.1")
    if refusal.session != peer.session:
        raise NonconformityError(f"expected session {peer.session} in the refusal, got {refusal.session}", "4.1.3")
    return refusal


# --- facts -----------------------------------------------------------------------------------------------------------

#: path of a fact and another value that its type allows
OTHER_FACTS: dict[str, int | float] = {
    "downlink.grid.first_hz": 97.5e9,
    "downlink.grid.spacing_hz": 1e6,
    "downlink.grid.count": 256,
    "downlink.array.elements": 128,
    "downlink.array.spacing_m": 0.0025,
    "downlink.array.subarrays": 2,
    "uplink.grid.first_hz": 27e9,
    "uplink.grid.spacing_hz": 240e3,
    "uplink.grid.count": 16,
    "uplink.array.elements": 32,
    "uplink.array.radius_m": 0.5,
    "uplink.array.half_sector_rad": 0.5,
    "region.range_min_m": 4.0,
    "region.range_max_m": 51.5,
    "region.angle_min_rad": -0.5,
    "region.angle_max_rad": 0.5,
    "speed_of_light_m_s": 299792459.0,
}
_DIFFERENCE = re.compile(r"([a-z_.]+): (\S+) here, ([^\s;,]+) there")


@case("controller/session/differing-fact-is-named", clause="4.4.2", expect="final refusals by 4.4 that name the fact")
def differing_fact_is_named(controller: ControllerUnderTest) -> None:
    """UEs say hello with one other fact each, one after the other for each fact, and the digest of what they say."""
    for path in OTHER_FACTS:
        _greet_with_other_facts(controller, [path])


@case(
    "controller/session/differing-facts-are-all-named", clause="4.4.2", expect="a refusal by 4.4 that names all three"
)
def differing_facts_are_all_named(controller: ControllerUnderTest) -> None:
    """A UE says hello with three other facts."""
    _greet_with_other_facts(controller, ["downlink.array.elements", "region.range_min_m", "speed_of_light_m_s"])


def _greet_with_other_facts(controller: ControllerUnderTest, paths: list[str]) -> None:
    ue = controller.ue()
    changes = {path: OTHER_FACTS[path] for path in paths}
    ours = {path: _value(ue.rig.facts, path) for path in paths}
    for path in paths:
        if changes[path] == ours[path]:
            changes[path] = ours[path] // 2 if isinstance(ours[path], int) else ours[path] / 2
    facts = _changed(ue.rig.facts, changes)
    ue.greet(facts=facts, digest=digest_of(facts))
    refusal = _expect_final(ue, "4.4")
    named = {path: (here, there) for path, here, there in _DIFFERENCE.findall(refusal.text("text"))}
    wanted = {path: (float(ours[path]), float(changes[path])) for path in paths}
    try:
        got = {path: (float(here), float(there)) for path, (here, there) in named.items()}
    except ValueError:
        got = {}
    if got != wanted:
        text = "; ".join(f"{path}: {ours[path]} here, {changes[path]} there" for path in paths)
        raise NonconformityError(f"expected `{text}`, got {refusal.text('text')!r}")


def _value(facts: dict[str, Any], path: str) -> int | float:
    found: Any = facts
    for key in path.split("."):
        found = found[key]
    assert isinstance(found, int | float)  # noqa: S101 - the schema has it so
    return found


def _changed(facts: dict[str, Any], changes: dict[str, int | float], prefix: str = "") -> dict[str, Any]:
    return {
        key: _changed(value, changes, f"{prefix}{key}.")
        if isinstance(value, dict)
        else changes.get(f"{prefix}{key}", value)
        for key, value in facts.items()
    }


@case("controller/session/wrong-digest-of-right-facts", clause="4.4.2", expect="a final refusal by 4.4")
def wrong_digest_of_right_facts(controller: ControllerUnderTest) -> None:
    """A UE sends the right facts with a digest of others."""
    ue = controller.ue()
    ue.greet(digest="0" * 64)
    _expect_final(ue, "4.4")
    ue.expect_closed()


# --- again -----------------------------------------------------------------------------------------------------------


@case(
    "controller/session/hello-again",
    clause="4.2.3",
    expect="welcome again, and the numbers of the session as they were",
)
def hello_again(controller: ControllerUnderTest) -> None:
    """A UE says hello again in the midst of its session."""
    ue = controller.ue()
    ue.open_session()
    ue.expect_goes_on()
    ue.greet()
    again = ue.expect_welcome()
    if again.acknowledged != 1:
        raise NonconformityError(f"expected ack 1 as before, got {again.acknowledged}")
    ue.expect_goes_on()


@case("controller/session/hello-twice-at-once", clause="4.2.3", expect="two welcomes, and one session")
def hello_twice_at_once(controller: ControllerUnderTest) -> None:
    """A UE says hello twice before it hears of the first one."""
    ue = controller.ue()
    ue.greet()
    ue.greet()
    first, second = ue.expect_welcome(), ue.expect_welcome()
    if first.fields != second.fields:
        raise NonconformityError(f"expected the same welcome, got {first.fields} and {second.fields}")
    ue.expect_goes_on()


# --- the end of a session --------------------------------------------------------------------------------------------


@case("controller/session/bye", clause="4.13.1", also=("4.12.1",), expect="the session is closed: a refusal by 4.12")
def bye(controller: ControllerUnderTest) -> None:
    """A UE says bye, and then something else in the same session."""
    ue = controller.ue()
    ue.open_session()
    ue.say("bye", {"reason": "the kit tests bye"})
    ue.expect_closed()


@case("controller/session/bye-is-not-answered", clause="4.13.2", expect="nothing more, not even heartbeats")
def bye_is_not_answered(controller: ControllerUnderTest) -> None:
    """A UE says bye and listens."""
    ue = controller.ue()
    ue.open_session()
    ue.say("bye", {"reason": "the kit tests bye"})
    ue.is_open = False
    ue.silence_for(0.15)  # but for a heartbeat that was under way
    ue.silence_for(min(3 * ue.heartbeat_s, 1.0), but=frozenset())


@case(
    "controller/session/back-after-bye",
    clause="4.2.2",
    also=("4.13.1",),
    expect="welcome, and numbers that begin with 1",
)
def back_after_bye(controller: ControllerUnderTest) -> None:
    """A UE says bye and comes back with a larger number on the same connection."""
    ue = controller.ue()
    ue.open_session()
    ue.expect_goes_on()
    ue.say("bye", {"reason": "the kit tests bye"})
    ue.renew()
    ue.open_session()
    ue.expect_goes_on()


@case(
    "controller/session/before-hello",
    clause="4.12.1",
    also=("9.1.1",),
    expect="refusals by 4.12 with the session's number",
)
def before_hello(controller: ControllerUnderTest) -> None:
    """A peer says heartbeat, acknowledge, declined and a report before it has said hello."""
    ue = controller.ue()
    ue.say("heartbeat", {"progress": 1})
    ue.expect_no_session()
    ue.say("acknowledge")
    ue.expect_no_session()
    ue.decline(sequence=1)
    ue.expect_no_session()
    ue.say("peak_report", {"epoch": 1, "subcarrier": 0}, sequence=1)
    ue.expect_no_session()


@case("controller/session/number-of-another-session", clause="4.12.1", expect="a refusal by 4.12 with that number")
def number_of_another_session(controller: ControllerUnderTest) -> None:
    """A UE with an open session says something with another number in the header."""
    ue = controller.ue()
    ue.open_session()
    other = ue.session - 1000
    ue.say("heartbeat", {"progress": 1}, session=other)
    refusal = ue.expect_refusal("4.12")
    if refusal.session != other:
        raise NonconformityError(f"expected session {other} in the refusal, got {refusal.session}")
    ue.expect_goes_on()


@case(
    "controller/session/session-of-another-connection", clause="4.12.1", expect="a refusal by 4.12; the session goes on"
)
def session_of_another_connection(controller: ControllerUnderTest) -> None:
    """Another connection says bye with the number of an open session."""
    ue, other = controller.ue(), controller.ue("ue-2")
    ue.open_session()
    other.say("bye", {"reason": "not mine"}, session=ue.session)
    refusal = other.expect_refusal("4.12")
    if refusal.session != ue.session:
        raise NonconformityError(f"expected session {ue.session} in the refusal, got {refusal.session}")
    ue.expect_goes_on()


@case(
    "controller/session/sequenced-before-welcome", clause="4.9.2", expect="no delivery: number 1 is free in the session"
)
def sequenced_before_welcome(controller: ControllerUnderTest) -> None:
    """A UE says a sequenced message before hello, opens a session, and says another one with the same number."""
    ue = controller.ue()
    ue.say_frames(_declined_frames(ue))
    ue.expect_no_session()
    ue.greet()
    welcome = ue.expect_welcome()
    if welcome.acknowledged:
        raise NonconformityError(f"expected ack 0 in welcome, got {welcome.acknowledged}")
    ue.expect_goes_on()


def _declined_frames(ue: KitPeer) -> list[bytes]:
    fields = {"epoch": 7, "clause": "5.4", "text": "too early"}
    return frames_of(ue.header("declined", fields, sequence=1), {})
