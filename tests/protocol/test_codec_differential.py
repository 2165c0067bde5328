"""The decoder agrees with a second one that shares no code with it: accepted and equal, or refused by a broken clause."""

import json
import tracemalloc
from collections import Counter
from dataclasses import replace
from itertools import islice
from pathlib import Path

import msgspec
import pytest

from protocol import codec
from protocol.codec import Envelope
from protocol.errors import PeerFaultError
from protocol.messages import MESSAGE_TYPES, type_name
from tests.protocol.hostile_frames import VALID, Frames, hostile_frames
from tests.protocol.reference_decoder import Accepted, Verdict, verdict

CORPUS = sorted((Path(__file__).parent / "corpus").glob("*.json"))
CASES = [case for path in CORPUS for case in json.loads(path.read_text())]
CLAUSES = {"3.1", "3.2", "3.3", "3.4", "3.5", "3.6", "3.7", "3.8", "3.9", "4.6"}
SEED = 20_260_801


def said(envelope: Envelope) -> Accepted:
    """Return what a decoded message says, in the terms of the other decoder."""
    message = envelope.message
    scalars = {name: getattr(message, name) for name in message.__struct_fields__ if name not in message.FRAMES}
    arrays = {name: getattr(message, name) for name in message.FRAMES}
    return Accepted(
        type_name(message),
        (envelope.session, envelope.sequence, envelope.acknowledged),
        msgspec.to_builtins(scalars),
        {name: (array.dtype.str, array.shape, array.tobytes()) for name, array in arrays.items()},
    )


def exact(found: Accepted) -> Accepted:
    """Return the same such that 1 and 1.0, or 0.0 and -0.0, differ."""
    return replace(found, fields=msgspec.json.encode(found.fields, order="sorted"))


def outcome(frames: Frames) -> Accepted | str:
    """Return what both ways through the decoder come to, which is one and the same."""
    try:
        joint: Accepted | str = exact(said(codec.decode(frames)))
    except PeerFaultError as fault:
        joint = fault.clause
    if codec._decode_canonical(frames) is not None:  # else the joint decoder is the strict one
        assert exact(said(codec._decode_strictly(frames))) == joint, frames
    return joint


def agrees(found: Accepted | str, wanted: Verdict) -> bool:
    if isinstance(wanted, Accepted):
        return found == exact(wanted)
    return isinstance(found, str) and found in wanted


def disagreements(seed: int, count: int) -> tuple[Counter[str], list[list[str]]]:
    """Return how often each outcome came, and as hex what the decoders do not agree on."""
    outcomes: Counter[str] = Counter()
    differing: list[list[str]] = []
    for frames in hostile_frames(seed, count):
        found = outcome(frames)
        outcomes[found if isinstance(found, str) else found.type] += 1
        if not agrees(found, verdict(frames)):
            differing.append([frame.hex() for frame in frames])
    return outcomes, differing


@pytest.mark.clause("3.1")
def test_decoders_agree_on_fifty_thousand_hostile_messages() -> None:
    outcomes, differing = disagreements(SEED, 50_000)
    assert differing == []
    # A generator that reaches no acceptance of a type, or no refusal by a clause, would agree about nothing.
    assert {name for name, count in outcomes.items() if count >= 10} >= CLAUSES | set(MESSAGE_TYPES)


@pytest.mark.long
@pytest.mark.timeout(1800)  # two minutes of work; shared machines take several times that
@pytest.mark.parametrize("seed", range(4))
def test_decoders_agree_on_a_million_hostile_messages(seed: int) -> None:
    assert disagreements(SEED + 1 + seed, 250_000)[1] == []


@pytest.mark.parametrize("frames", VALID, ids=list(MESSAGE_TYPES))
def test_decoders_agree_on_a_valid_message_of_every_type(frames: Frames) -> None:
    assert outcome(frames) == exact(as_accepted(verdict(frames)))


def as_accepted(found: Verdict) -> Accepted:
    assert isinstance(found, Accepted), f"refused by {sorted(found)}"
    return found


@pytest.mark.parametrize("case", CASES, ids=[case["about"] for case in CASES])
def test_corpus_is_decoded_or_refused_as_written(case: dict[str, object]) -> None:
    frames = [bytes.fromhex(frame) for frame in case["frames"]]  # type: ignore[attr-defined]
    found, wanted = outcome(frames), verdict(frames)
    assert agrees(found, wanted)
    assert case["outcome"] == ("accepted" if isinstance(wanted, Accepted) else sorted(wanted))


def test_corpus_breaks_every_clause_that_the_decoder_knows_alone() -> None:
    assert {case["outcome"][0] for case in CASES if len(case["outcome"]) == 1} == CLAUSES


@pytest.mark.clause("10.3")
def test_no_message_costs_much_more_memory_than_its_bytes() -> None:
    frames = [
        *islice(hostile_frames(SEED, 10**9), 3000),
        *([bytes.fromhex(each) for each in case["frames"]] for case in CASES),
    ]
    peaks = []
    tracemalloc.start()
    try:
        for message in frames:
            tracemalloc.reset_peak()
            before, _ = tracemalloc.get_traced_memory()
            outcome(message)
            peaks.append(tracemalloc.get_traced_memory()[1] - before - 64 * sum(map(len, message)))
    finally:
        tracemalloc.stop()
    # One byte of msgpack is at most one object of some 60 bytes; errors and their text take a few KiB more.
    assert max(peaks) < 256 * 1024
