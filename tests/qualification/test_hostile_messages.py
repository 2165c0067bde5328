"""Strangers and peers that break the protocol in the middle of a run: each is refused with its clause, and the rest goes on."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import msgpack
import msgspec
import numpy as np
import pytest

from protocol import messages as msg
from protocol.codec import MAX_HEADER_BYTES, Envelope, encode
from protocol.messages import Message, PeakReport, Refusal
from protocol.testbed import TestbedFacts
from tests.qualification.conftest import LabFactory
from tests.qualification.processes import Lab, Process, Record, counters_of, fixes, of_kind
from tests.qualification.raw_peers import RawPeer, header_of, hello

pytestmark = pytest.mark.requirement("whatever a peer sends, the others are located")

ROUNDS = 100
GARBAGE = 30_000
BEAT = msg.Heartbeat(progress=0)
REPORT = PeakReport(epoch=1, subcarrier=1)
SAMPLES = msg.ComplexReport(epoch=1, samples=np.ones(128, np.complex64))

#: What a stranger sends, and the clause by which it is refused.
STRANGE: Mapping[str, tuple[tuple[bytes, ...], str]] = {
    "garbage": ((b"GET / HTTP/1.1\r\n",), "3.1"),
    "empty frame": ((b"",), "3.1"),
    "six frames": ((header_of(BEAT), *[b"x"] * 5), "3.1"),
    "truncated header": ((header_of(BEAT)[:-3],), "3.1"),
    "list for a map": ((bytes(msgpack.packb([1, 2])),), "3.1|3.4"),
    "key said twice": ((b"\x82\xa1v\x01\xa1v\x01",), "3.1"),
    "wrong version": ((header_of(BEAT, v=2),), "3.2"),
    "unknown type": ((header_of(BEAT, type="format_disk"),), "3.3"),
    "unknown field": ((header_of(BEAT, fields={"progress": 0, "extra": 1}),), "3.4"),
    "unknown header entry": ((header_of(BEAT, extra=1),), "3.4"),
    "number that is none": ((header_of(BEAT, fields={"progress": float("nan")}),), "3.5"),
    "negative count": ((header_of(BEAT, fields={"progress": -1}),), "3.4"),
    "array that is missing": ((header_of(SAMPLES),), "3.6"),
    "truncated array": ((header_of(SAMPLES), b"\0" * 1016), "3.7"),
    "array of another type": ((header_of(SAMPLES, arrays=[("samples", "<f8", (128,))]), b"\0" * 1024), "3.8"),
    "array that is not finite": ((header_of(SAMPLES), b"\xff" * 1024), "3.9"),
    "work without a session": ((header_of(REPORT),), "4.12"),
}


class Attack(NamedTuple):
    """What came of a run under attack."""

    controller: Process
    strangers: dict[str, Refusal]
    peers: dict[str, list[Refusal]]
    records: list[Record]


@pytest.fixture(scope="module")
def attack(module_lab_of: LabFactory) -> Attack:
    """Let one UE be located while a stranger and another UE do all they must not do."""
    lab = module_lab_of(controller={"rounds": ROUNDS, "gather_s": 0.5, "rejoin_s": 4.0})
    lab.emulator()
    lab.ue("ue-1")
    controller = lab.controller()
    controller.told(lambda records: len(fixes(records, "ue-1")) > 3, "the first fixes")
    with RawPeer(lab.control) as stranger:
        strangers = {name: _refusal(stranger, *frames) for name, (frames, _) in STRANGE.items()}
    _oversized(lab)
    peers = _misbehaved(lab)
    under_attack = len(fixes(controller.records, "ue-1"))
    assert under_attack < 3 * ROUNDS, "the attack lasted no longer than the run"
    assert controller.ended() == 0, controller.errors
    return Attack(controller, strangers, peers, controller.records)


def _refusal(peer: RawPeer, *frames: bytes) -> Refusal:
    peer.say_frames(*frames)
    return peer.hears(Refusal)


def _oversized(lab: Lab) -> None:
    """Send frames beyond the limit, and see that the connection is served again afterwards."""
    with RawPeer(lab.control) as stranger:
        stranger.say_frames(b"x" * (MAX_HEADER_BYTES + 1))
        stranger.say_frames(header_of(BEAT), b"x" * 50_000_000)
    with RawPeer(lab.control) as stranger:
        assert _refusal(stranger, header_of(BEAT)).clause == "4.12"


def _misbehaved(lab: Lab) -> dict[str, list[Refusal]]:
    """Break, one by one, the rules of an open session, and leave."""
    answers: dict[str, list[Refusal]] = {}
    for name, deed in DEEDS.items():
        with RawPeer(lab.control).open_as(lab.facts, "ue-2") as peer:
            deed(peer)
            answers[name] = [peer.hears(Refusal)]
            answers[name] += [peer.hears(Refusal)] if name == "out of order" else []
            peer.say(msg.Bye(reason="enough"))
    return answers


def _twice(peer: RawPeer) -> None:
    sequence = peer.say(REPORT)
    for _ in range(3):
        peer.say(REPORT, sequence=sequence)


def _out_of_order(peer: RawPeer) -> None:
    peer.say(PeakReport(epoch=1_000_002, subcarrier=1), sequence=2)
    peer.say(PeakReport(epoch=1_000_001, subcarrier=1), sequence=1)


def _old_session(peer: RawPeer) -> None:
    peer.session -= 1
    peer.say(REPORT)


DEEDS: Mapping[str, Callable[[RawPeer], object]] = {
    "stale": lambda peer: peer.say(REPORT),
    "future": lambda peer: peer.say(PeakReport(epoch=1_000_000, subcarrier=1)),
    "twice": _twice,
    "out of order": _out_of_order,
    "role of another": lambda peer: peer.say(
        msg.Ready(epoch=1, pilots=1, phase_deviation_cycles=0, delay_deviation_s=0)
    ),
    "word of the controller": lambda peer: peer.say(msg.Measure(epoch=1, kind=msg.FeedbackKind.PEAK, groups=1)),
    "other session": _old_session,
    "truncated array": lambda peer: peer.say_frames(header_of(SAMPLES, session=peer.session, seq=1), b"\0" * 8),
    "endless faults": lambda peer: peer.say_frames_often(100, b"?"),
}


@pytest.mark.parametrize("name", STRANGE)
def test_stranger_is_refused_by_the_clause_it_broke(attack: Attack, name: str) -> None:
    assert attack.strangers[name].clause in STRANGE[name][1].split("|"), attack.strangers[name].text


@pytest.mark.parametrize(
    ("name", "clause"),
    [
        ("stale", "5.3"),
        ("future", "5.3"),
        ("twice", "5.3"),
        ("role of another", "4.14"),
        ("word of the controller", "4.14"),
        ("other session", "4.12"),
        ("truncated array", "3.7"),
        ("endless faults", "3.4"),
    ],
)
def test_peer_with_a_session_is_refused_by_the_clause_it_broke(attack: Attack, name: str, clause: str) -> None:
    assert [refusal.clause for refusal in attack.peers[name]] == [clause]


def test_messages_out_of_order_are_heard_in_order(attack: Attack) -> None:
    epochs = [refusal.text.split()[4] for refusal in attack.peers["out of order"]]
    assert epochs == ["1000001", "1000002"]


def test_message_said_twice_is_heard_once_and_counted(attack: Attack) -> None:
    assert counters_of(attack.records)["duplicates"] >= 3


def test_peer_that_breaks_the_protocol_without_end_is_shown_the_door(attack: Attack) -> None:
    assert "ue-2 left: broke the protocol" in attack.controller.errors


def test_what_was_refused_is_counted_by_clause(attack: Attack) -> None:
    counters = counters_of(attack.records)
    assert counters["refused_malformed"] >= len(STRANGE) - 1
    assert counters["refused_stale"] >= 5
    assert {
        f"refused_spec_{clause}" for clause in ("3.1", "3.2", "3.3", "3.4", "3.7", "4.12", "4.14")
    } <= counters.keys()


def test_the_other_ue_gets_every_fix_under_attack(attack: Attack) -> None:
    assert len(fixes(attack.records, "ue-1", recorded=True)) == 3 * ROUNDS


def test_nothing_fails_but_the_peer_that_misbehaved(attack: Attack) -> None:
    assert {failure["ue"] for failure in of_kind(attack.records, "failure")} == {"ue-2"}


def test_controller_meets_no_error_of_its_own(attack: Attack) -> None:
    assert "Traceback" not in attack.controller.errors


def refused(lab: Lab, greeting: msg.Hello) -> Refusal:
    """Return how a controller answers a hello."""
    with RawPeer(lab.control) as peer:
        peer.say(greeting)
        return peer.hears(Refusal)


def other_facts(facts: TestbedFacts) -> TestbedFacts:
    """Return facts with another number of subcarriers."""
    downlink = facts.downlink
    grid = type(downlink.grid)(first_hz=downlink.grid.first_hz, spacing_hz=downlink.grid.spacing_hz, count=64)
    changed = type(downlink)(grid=grid, array=downlink.array)
    return msgspec.structs.replace(facts, downlink=changed)


def test_hello_is_refused_for_good_by_what_does_not_fit(lab_of: LabFactory) -> None:
    lab = lab_of()
    lab.controller()
    facts = lab.facts
    answers = [
        refused(lab, hello(facts, "ue-9")),
        refused(lab, hello(facts, "ue-1", versions=(2, 3))),
        refused(lab, hello(other_facts(facts), "ue-1")),
    ]
    assert [(answer.clause, answer.final) for answer in answers] == [("4.3", True), ("4.2", True), ("4.4", True)]
    assert "ue-9" in answers[0].text
    assert "protocol version 1 here, (2, 3) there" in answers[1].text
    assert "downlink.grid.count: 128 here, 64 there" in answers[2].text


@pytest.mark.requirement("both ends agree on the facts")
def test_ue_with_another_fact_ends_and_names_it_while_the_others_are_located(lab_of: LabFactory) -> None:
    lab = lab_of(controller={"gather_s": 0.5, "rejoin_s": 3.0})
    other = lab.write("other.yaml", {**lab.values, "downlink": {**_mapping(lab.values["downlink"]), "subcarriers": 64}})
    lab.emulator()
    lab.ue("ue-1")
    stray = lab.ue("ue-2", other)
    controller = lab.controller()
    assert stray.ended() == 1
    assert "downlink.grid.count: 128 here, 64 there" in stray.errors
    assert controller.ended() == 0, controller.errors
    assert len(fixes(controller.records, "ue-1")) == 3


@pytest.mark.requirement("both ends agree on the facts")
def test_ue_of_another_name_ends_and_names_it(lab_of: LabFactory) -> None:
    lab = lab_of()
    lab.controller()
    stray = lab.ue("ue-9")
    assert stray.ended() == 1
    assert "no ue named ue-9 in this testbed (known: ue-1, ue-2)" in stray.errors


def _mapping(value: object) -> dict[str, object]:
    assert isinstance(value, dict)
    return value


#: A router whose loop is busy for longer than the transport takes to notice that a connection is dead.
BUSY = """
import asyncio, sys, time
from protocol.transport import Router

async def main():
    router = Router(sys.argv[1], lambda route, frames: time.sleep(0 if done else done.append(True) or 3.0),
                    lambda route: None, max_frame_bytes=8192)
    print("listening", file=sys.stderr, flush=True)
    while not done:
        await asyncio.sleep(0.01)
    router.close()

done = []
asyncio.run(main())
"""


@pytest.mark.requirement("a flood costs the others time, not fixes")
def test_router_with_a_busy_loop_outlives_a_peer_that_floods_and_goes(lab_of: LabFactory) -> None:
    lab = lab_of()
    router = lab.start("-c", BUSY, lab.control)
    router.said("listening")
    with RawPeer(lab.control) as stranger:
        stranger.say_frames_often(500, b"?")
    assert router.ended() == 0, router.errors


@pytest.fixture(scope="module")
def flooded(module_lab_of: LabFactory) -> Process:
    """Flood the controller with garbage in a run that cannot end before all is said, and return it when it has ended."""
    lab = module_lab_of(controller={"rounds": 20, "gather_s": 0.1, "rejoin_s": 60.0})
    lab.emulator()
    first, last = lab.ues
    lab.ue(first)
    controller = lab.controller()
    with RawPeer(lab.control) as stranger:
        controller.told(fixes, "the first fix")
        stranger.say_frames_often(GARBAGE, b"?")
        lab.ue(last)
    assert controller.ended() == 0, controller.errors[-2000:]
    return controller


@pytest.mark.requirement("a flood costs the others time, not fixes")
def test_flood_of_garbage_leaves_every_fix_on_disk(flooded: Process) -> None:
    assert len(fixes(flooded.records, recorded=True)) == 2 * 3 * 20


@pytest.mark.requirement("a flood costs the others time, not fixes")
def test_flood_of_garbage_fills_neither_journal_nor_log(flooded: Process) -> None:
    refused = [record for record in of_kind(flooded.records, "peer") if record["event"] == "refused"]
    assert len(refused) < GARBAGE / 10
    assert flooded.errors.count("refused from stranger") < GARBAGE / 10
    assert counters_of(flooded.records)["refused_malformed"] > GARBAGE / 10, "what is not told one by one is counted"


def test_frames_of_a_message_are_those_of_the_codec() -> None:
    """Guard the test's own tool: what `header_of` leaves alone is what the product sends."""
    message: Message = BEAT
    assert header_of(message) == bytes(encode(Envelope(session=1, message=message))[0])
