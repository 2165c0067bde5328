import json
import socket
from pathlib import Path

import msgspec
import numpy as np
import pytest

from protocol.codec import decode
from protocol.conformance import raw_zmtp, reference
from protocol.conformance.case import (
    Case,
    InconclusiveError,
    Layer,
    NonconformityError,
    Outcome,
    Role,
    all_cases,
    case,
    selected,
)
from protocol.conformance.facts import canonical, digest_of, facts_of
from protocol.conformance.headers import frames_of, header, parsed
from protocol.conformance.referee import UE_SAYS, SessionWatch
from protocol.conformance.runner import Result, conforming, known_failures
from protocol.conformance.timing import EchoMeter
from protocol.conformance.wire_log import WireLog
from protocol.testbed import default_facts


def said(kind: str, sequence: int = 0, acknowledged: int = 0, at_s: float = 0.0, **fields: object):  # type: ignore[no-untyped-def]
    values = header(kind, fields, session=7, sequence=sequence, acknowledged=acknowledged)
    return parsed(frames_of(values, {}), at_s=at_s)


def test_ids_of_cases_name_role_and_layer_and_come_once() -> None:
    cases = all_cases()
    assert {found.role for found in cases} == set(Role)
    assert {found.layer for found in cases} <= set(Layer)
    with pytest.raises(ValueError, match="second"):
        case("ue/session/hello-is-repeated", clause="4.1.5", expect="")(lambda: None)
    assert [found.id for found in selected(Role.UE, ["*/hello-is-*"])] == ["ue/session/hello-is-repeated"]


def test_facts_are_written_as_the_specification_writes_them() -> None:
    known = facts_of(default_facts())
    # the digest that SPEC 4.4 prints for the full-size facts
    assert digest_of(known) == "822b238e1f113a4b4514341d4c4da77743cf7515b0f8c55c889f82c14fa5593e"
    assert [canonical(x) for x in (28e9, 1e-5, 1e-6, 1.5e16, 0.0, 123456.75)] == [
        *("28000000000.0", "0.00001", "1e-6", "1.5e16", "0.0", "123456.75")
    ]
    rng = np.random.default_rng(1)
    for value in rng.uniform(1, 10, 200) * 10.0 ** rng.integers(-30, 30, 200):
        assert canonical(float(value)) == msgspec.json.encode(float(value)).decode()


def test_kit_and_codec_read_the_same_from_what_the_kit_writes() -> None:
    samples = np.array([1 + 2j, -3e-7j])
    frames = frames_of(header("grid", {"epoch": 5}), {"samples": samples})
    assert decode(frames).message.samples.tolist() == samples.tolist()  # type: ignore[attr-defined]
    assert parsed(frames, at_s=0.0).arrays["samples"].tolist() == samples.tolist()


@pytest.mark.parametrize(
    ("frames", "clause"),
    [([b"\xc1"], "3.1.1"), ([b"\x80"], "3.4.1"), ([b"\x80"] * 6, "3.1.1"), ([b"\xff" * 9000], "3.1.1")],
)
def test_what_is_no_message_is_blamed_on_its_clause(frames: list[bytes], clause: str) -> None:
    with pytest.raises(NonconformityError) as caught:
        parsed(frames, at_s=0.0)
    assert caught.value.clause == clause


def watch_after(*sent: int) -> SessionWatch:
    watch = SessionWatch(session=7, may_say=UE_SAYS)
    for sequence in sent:
        watch.said(sequence)
    return watch


@pytest.mark.parametrize(
    ("message", "clause"),
    [
        (said("heartbeat", acknowledged=3, progress=1), "4.7.1"),  # 3 came early, 2 is missing
        (said("welcome", version=1, heartbeat_s=1.0, liveness_s=2.0), "4.14"),
        (said("peak_report", 65, 1, epoch=1, subcarrier=0), "4.8.1"),
    ],
)
def test_referee_blames_what_no_conforming_ue_says(message: object, clause: str) -> None:
    watch = watch_after(1, 3)
    watch.check(said("heartbeat", acknowledged=1, progress=1))
    with pytest.raises(NonconformityError) as caught:
        watch.check(message)  # type: ignore[arg-type]
    assert caught.value.clause == clause


def test_referee_lets_a_message_come_again_until_it_is_acknowledged_and_only_as_it_was() -> None:
    watch = watch_after()
    watch.check(said("peak_report", 1, epoch=1, subcarrier=0))
    watch.check(said("peak_report", 1, epoch=1, subcarrier=0, at_s=0.25))
    with pytest.raises(NonconformityError, match="as it was"):
        watch.check(said("peak_report", 1, epoch=1, subcarrier=5))
    watch.acknowledges(1, at_s=1.0)
    with pytest.raises(NonconformityError) as caught:
        watch.check(said("peak_report", 1, epoch=1, subcarrier=0, at_s=2.0))
    assert caught.value.clause == "4.7.4"


def test_bound_is_widened_by_the_lateness_of_the_machine_and_void_on_a_slow_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    meter = EchoMeter()
    meter.close()
    for late_s, measured_s, expected in (
        (0.01, 0.115, None),
        (0.01, 0.15, NonconformityError),
        (0.06, 0.4, InconclusiveError),
    ):
        monkeypatch.setattr(meter, "_worst_s", late_s)
        if expected is None:
            meter.require(measured_s, 0.1, "an answer")
        else:
            with pytest.raises(expected):
                meter.require(measured_s, 0.1, "an answer")


def result(name: str, outcome: Outcome, known: str | None = None) -> Result:
    about = Case(id=name, clause="4.1.5", description="", expectation="", check=lambda: None)
    return Result(case=about, outcome=outcome, clause="4.1.5", detail="", took_s=0.0, late_s=0.0, known=known)


@pytest.mark.parametrize("leaves", ["nothing", "an endpoint"])
def test_case_that_finds_nobody_listening_fails_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, leaves: str
) -> None:
    monkeypatch.setattr(raw_zmtp, "CONNECT_WITHIN_S", 0.1)
    if leaves == "an endpoint":  # as a process does that is killed
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(str(tmp_path / "control"))
    with pytest.raises(NonconformityError, match=r"expected somebody who listens at ipc://.*control, got: "):
        raw_zmtp.RawZmtp(f"ipc://{tmp_path}/control", WireLog())


def test_list_of_known_failures_is_exact(tmp_path: Path) -> None:
    path = tmp_path / "known.yaml"
    path.write_text("ue/session/a: not yet\n", encoding="utf-8")
    known = known_failures(path)
    fails = result("ue/session/a", Outcome.FAIL, known["ue/session/a"])
    assert conforming([fails], known, complete=True)
    assert not conforming([result("ue/session/a", Outcome.PASS, "not yet")], known, complete=True)
    assert not conforming([fails, result("ue/session/b", Outcome.FAIL)], known, complete=True)
    assert not conforming([result("ue/session/b", Outcome.PASS)], known, complete=True)  # a is listed and was not run


def test_reference_maths_agrees_with_sums_written_in_arrays() -> None:
    rng = np.random.default_rng(2)
    phase_cycles, delay_s = rng.uniform(size=(2, 3)), rng.uniform(0, 1e-9, (2, 3))
    weight = reference.weights(phase_cycles, delay_s, count=4, spacing_hz=5e7)
    group, offset_hz = np.array([0, 0, 1, 1]), 5e7 * np.arange(4)
    turns = phase_cycles[group].T + offset_hz * delay_s[group].T
    np.testing.assert_allclose(weight, np.exp(-2j * np.pi * turns) / np.sqrt(3), atol=1e-14)  # rounding of few turns
    assert reference.strongest(np.array([1, 2j, -2])) == 1
    assert reference.strongest_group(np.array([1, 1, 2, 0]), 2) == 0


def test_document_of_vectors_is_json_whose_vectors_all_became_cases() -> None:
    folder = Path(reference.__file__).with_name("vectors")
    names = {vector["id"] for path in folder.glob("*.json") for vector in json.loads(path.read_text(encoding="utf-8"))}
    assert names == {found.id.partition("vector-")[2] for found in all_cases() if "vector-" in found.id}
