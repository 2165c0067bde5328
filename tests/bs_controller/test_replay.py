"""A recording as a source of feedback: answers that a run used come back bit for bit, and what is not there is named."""

import json
import random
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
import numpy as np
import pytest

from bs_controller.commands import Samples
from bs_controller.jobs import Broken, Found
from bs_controller.localizations import RecordedLocalization, recorded_localizations, recorded_rounds
from bs_controller.records import Record
from bs_controller.replay import CannotReplayError, Measure, Source, is_same_fix, replayed
from bs_controller.sweeps import (
    Answer,
    ComplexFeedback,
    Fix,
    GroupFeedback,
    Localization,
    PeakFeedback,
    PowerFeedback,
    Request,
    Scheme,
    Snapshot,
    Sounding,
)
from protocol import messages as msg
from protocol.messages import FeedbackKind
from protocol.testbed import Setting
from tests.bs_controller.rehearsal import (
    COMMON,
    FACTS,
    IDEAL,
    RADIO,
    SECTION,
    Asking,
    CommonThenOwn,
    Noisy,
    Raising,
    Rehearsal,
    group_sweep,
    sweep_to,
)
from ue_agent.measure import report_from_samples

COARSE = msgspec.structs.replace(IDEAL, phase_bits=3, delay_step_s=1e-11)


@dataclass(frozen=True, kw_only=True)
class Listening:
    """A scheme that hands the answers to its requests to the test."""

    requests: tuple[Request, ...]
    heard: list[Answer] = field(default_factory=list)
    name: str = "listening"
    heavy: bool = False

    def prepare(self) -> None: ...

    def locate(self) -> Localization:
        for request in self.requests:
            self.heard.append((yield request))
        return Fix(range_m=10.0, angle_rad=0.0, sweeps=len(self.requests))


@dataclass(frozen=True)
class Recorded:
    """The records of a rehearsal as they come back from a journal, and their arrays."""

    records: list[Record]
    arrays: dict[int, Mapping[str, Samples]]

    @classmethod
    def of(cls, rehearsal: Rehearsal) -> "Recorded":
        records: list[Record] = [
            {**json.loads(json.dumps(keep.record)), "seq": seq} for seq, keep in enumerate(rehearsal.kept)
        ]
        return cls(records, {seq: keep.samples for seq, keep in enumerate(rehearsal.kept)})

    def fetch(self, record: Any) -> Any:
        return self.arrays[record["seq"]]

    @property
    def localizations(self) -> list[RecordedLocalization]:
        return list(recorded_localizations(self.records))

    def source(self, recorded: RecordedLocalization, measure: Measure | None = None) -> Source:
        return Source(facts=FACTS, answers=recorded.answers, fetch=self.fetch, measure=measure)

    def replay(self, scheme: Scheme, recorded: RecordedLocalization, measure: Measure | None = None) -> Fix:
        outcome = replayed(scheme.locate(), self.source(recorded, measure)).outcome
        assert isinstance(outcome, Found), outcome
        return outcome.fix


def played(*schemes: Scheme, ues: tuple[str, ...] = ("ue-a",), **options: Any) -> Recorded:
    rehearsal = Noisy(schemes, ues, **options)
    rehearsal.begin()
    rehearsal.play()
    return Recorded.of(rehearsal)


def require_all_the_same(recorded: Recorded, scheme: Scheme) -> None:
    for localization in recorded.localizations:
        assert localization.end is not None
        assert is_same_fix(recorded.replay(scheme, localization), localization.end)


def require_equal(left: Answer, right: Answer) -> None:
    """Require that two answers are the same to the last bit."""
    assert type(left) is type(right)
    for name in left.__dataclass_fields__:
        one, other = getattr(left, name), getattr(right, name)
        if isinstance(one, Setting):
            assert one.phase_cycles.tobytes() == other.phase_cycles.tobytes()
            assert one.delay_s.tobytes() == other.delay_s.tobytes()
            assert one.groups_per_pilot == other.groups_per_pilot
        elif isinstance(one, np.ndarray):
            assert (one.dtype, one.tobytes()) == (other.dtype, other.tobytes())
        else:
            assert one == other


@pytest.mark.parametrize(
    ("request_", "kind"),
    [
        (sweep_to(7.3, FeedbackKind.PEAK), PeakFeedback),
        (group_sweep(8, 2), GroupFeedback),
        (sweep_to(7.3, FeedbackKind.POWER), PowerFeedback),
        (sweep_to(7.3, FeedbackKind.COMPLEX), ComplexFeedback),
        (Sounding(), Snapshot),
    ],
)
def test_scheme_is_given_the_answer_that_it_was_given_with_what_was_applied(request_: Request, kind: type) -> None:
    live = Listening(requests=(request_,))
    recorded = played(live, limits=COARSE)
    again = Listening(requests=(request_,))
    recorded.replay(again, recorded.localizations[0])
    assert isinstance(live.heard[0], kind)
    require_equal(again.heard[0], live.heard[0])


def test_setting_is_that_of_the_front_end_that_was_there_then() -> None:
    live = Listening(requests=(sweep_to(7.0, FeedbackKind.COMPLEX), sweep_to(9.0, FeedbackKind.COMPLEX)))
    rehearsal = Noisy([live], ("ue-a",), limits=COARSE)
    rehearsal.begin()
    rehearsal.answer_next()
    rehearsal.answer_next()
    rehearsal.limits = IDEAL  # the radio comes back as another
    rehearsal.leave(RADIO)
    rehearsal.join(RADIO)
    rehearsal.play()
    recorded, again = Recorded.of(rehearsal), Listening(requests=live.requests)
    recorded.replay(again, recorded.localizations[0])
    for answer, before in zip(again.heard, live.heard, strict=True):
        require_equal(answer, before)


def test_users_of_a_merged_sweep_each_get_their_own_reports_back() -> None:
    recorded = played(CommonThenOwn(), ues=("ue-a", "ue-b", "ue-c"))
    assert sum(record["kind"] == "sweep" for record in recorded.records) == 4, "one common, one for each"
    require_all_the_same(recorded, CommonThenOwn())


def test_only_the_report_that_was_used_is_replayed_after_deadlines_and_declined_requests() -> None:
    rehearsal = Noisy([CommonThenOwn()], ("ue-a", "ue-b"))
    rehearsal.begin()
    rehearsal.silent = {"ue-b"}
    rehearsal.play()
    rehearsal.miss_deadline()
    rehearsal.play()
    rehearsal.silent = set()
    epoch = rehearsal.configures[-1].epoch
    rehearsal.hear("ue-b", msg.Declined(epoch=epoch, clause="7.1", text="not now"))
    rehearsal.play()
    assert rehearsal.run.counters["retries"] >= 2
    assert sorted(map(str, rehearsal.fixed)) == ["ue-a", "ue-b"]
    require_all_the_same(Recorded.of(rehearsal), CommonThenOwn())


def test_localizations_of_several_rounds_and_schemes_keep_their_answers_apart() -> None:
    schemes = (CommonThenOwn(), CommonThenOwn())
    section = msgspec.structs.replace(SECTION, rounds=3)
    recorded = played(*schemes, ues=("ue-a", "ue-b"), section=section)
    found = {(one.ue, one.label, one.round) for one in recorded.localizations}
    labels = ("common-then-own", "common-then-own.2")
    assert found == {(ue, label, number) for ue in ("ue-a", "ue-b") for label in labels for number in range(3)}
    require_all_the_same(recorded, CommonThenOwn())


@dataclass(frozen=True, kw_only=True)
class Digesting:
    """A scheme whose sweeps and fix depend on every bit of every answer, and of what was applied."""

    name: str = "digesting"
    heavy: bool = False

    def prepare(self) -> None: ...

    def locate(self) -> Localization:
        digest, pilots = 0, 0
        for kind in (FeedbackKind.PEAK, FeedbackKind.COMPLEX, FeedbackKind.POWER, FeedbackKind.GROUP):
            groups = kind is FeedbackKind.GROUP
            answer = yield group_sweep(4, 1 + digest % 4) if groups else sweep_to(6.0 + digest % 3, kind)
            digest, pilots = zlib.crc32(repr(bits_of(answer)).encode(), digest), pilots + answer.pilots
        snapshot = yield Sounding()
        return Fix(range_m=1.0 + zlib.crc32(repr(bits_of(snapshot)).encode(), digest), angle_rad=0.0, sweeps=pilots)


def bits_of(value: object) -> object:
    if isinstance(value, np.ndarray):
        return value.tobytes()
    fields = getattr(value, "__dataclass_fields__", ())
    return [bits_of(getattr(value, name)) for name in fields] if fields else value


@pytest.mark.parametrize("seed", range(30))
def test_whatever_goes_wrong_in_a_run_its_fixes_come_out_the_same(seed: int) -> None:
    draw = random.Random(seed)
    ues = ("ue-a", "ue-b", "ue-c")
    section = msgspec.structs.replace(SECTION, rounds=3, rejoin_s=1000.0, retries=50)
    run = Noisy([Digesting(), CommonThenOwn(), Digesting()], ues, section, rng=np.random.default_rng(seed))
    run.begin()
    for _ in range(120):
        _go_wrong(run, draw)
    run.silent = set()
    for _ in range(1000):
        if run.run.finished:
            break
        run.play()
        run.miss_deadline()
    assert len(run.fixed) == 27, run.failed
    recorded = Recorded.of(run)
    schemes: dict[str, Scheme] = {"common-then-own": CommonThenOwn()}
    for localization in recorded.localizations:
        assert localization.end is not None
        fix = recorded.replay(schemes.get(localization.label, Digesting()), localization)
        assert is_same_fix(fix, localization.end)


def _go_wrong(run: Noisy, draw: random.Random) -> None:
    ue, radio = draw.choice(run.ues), draw.choice([IDEAL, COARSE])
    match draw.choice(["answer"] * 6 + ["deadline", "silence", "voice", "gone", "other radio", "declined", "stale"]):
        case "answer" if run.unread:
            run.answer_next()
        case "deadline":
            run.miss_deadline()
        case "silence":
            run.silent = {ue}
        case "voice":
            run.silent = set()
        case "gone":
            run.leave(ue)
            run.join(ue)
        case "other radio":
            run.leave(RADIO)
            run.limits = radio
            run.join(RADIO)
        case "declined" if run.configures:
            run.hear(ue, msg.Declined(epoch=run.configures[-1].epoch, clause="7.1", text="not now"))
        case "stale":
            run.hear(ue, msg.PeakReport(epoch=draw.randrange(1, 99), subcarrier=1))


def test_failure_of_a_scheme_comes_out_in_the_same_words() -> None:
    recorded = played(Raising())
    (localization,) = recorded.localizations
    assert localization.end is not None
    assert replayed(Raising().locate(), recorded.source(localization)).outcome == Broken(
        text=str(localization.end["text"])
    )


def test_recording_that_ends_early_yields_what_it_has_without_an_end() -> None:
    recorded = played(Asking(requests=(COMMON, sweep_to(9.0))))
    last_report = max(at for at, record in enumerate(recorded.records) if record["kind"] == "report")
    cut = Recorded(recorded.records[:last_report], recorded.arrays)
    (localization,) = cut.localizations
    assert localization.end is None
    with pytest.raises(CannotReplayError, match=r"request 2 .* no answer left") as refused:
        cut.replay(Asking(requests=(COMMON, sweep_to(9.0))), localization)
    assert refused.value.exhausted


def test_localizations_are_yielded_as_they_end() -> None:
    recorded = played(Asking(), section=msgspec.structs.replace(SECTION, rounds=50))
    taken: list[Record] = []
    records = (taken.append(record) or record for record in recorded.records)  # type: ignore[func-returns-value]
    next(iter(recorded_localizations(records)))
    assert len(taken) < len(recorded.records) / 10


def test_one_last_bit_makes_another_fix() -> None:
    (localization,) = played(Asking()).localizations
    fix = Fix(range_m=10.0, angle_rad=0.0, sweeps=1)
    assert localization.end is not None
    assert is_same_fix(fix, localization.end)
    assert not is_same_fix(replace(fix, range_m=float(np.nextafter(10.0, 11.0))), localization.end)
    assert not is_same_fix(replace(fix, angle_rad=-0.0), localization.end)


# --- another scheme --------------------------------------------------------------------------------------------------


def test_complex_samples_stand_in_for_what_a_ue_would_have_reported_of_them() -> None:
    focus = sweep_to(7.3).focus
    recorded = played(Asking(requests=(sweep_to(7.3, FeedbackKind.COMPLEX),)), limits=COARSE)
    (pool,) = recorded_rounds(recorded.localizations)
    (samples,) = [arrays["report"] for arrays in recorded.arrays.values() if arrays]
    heard = {}
    for kind in FeedbackKind:
        listening = Listening(requests=(replace(sweep_to(7.3, kind), focus=focus),))
        recorded.replay(listening, pool, report_from_samples)
        heard[kind] = listening.heard[0]
    assert heard[FeedbackKind.PEAK] == PeakFeedback(subcarrier=int(np.abs(samples).argmax()))
    assert heard[FeedbackKind.GROUP] == GroupFeedback(group=0), "a trajectory is one group"
    power = heard[FeedbackKind.POWER]
    assert isinstance(power, PowerFeedback)
    assert power.applied is not None
    np.testing.assert_allclose(
        power.power_w, np.abs(samples.astype(complex)) ** 2, rtol=1e-14
    )  # last digits of float64


def test_schemes_of_one_round_share_its_answers_and_use_each_once() -> None:
    section = msgspec.structs.replace(SECTION, rounds=2)
    recorded = played(Asking(), Asking(requests=(COMMON, sweep_to(9.0))), section=section)
    pools = list(recorded_rounds(recorded.localizations))
    assert [(pool.round, len(pool.answers)) for pool in pools] == [(0, 3), (1, 3)]
    recorded.replay(Asking(requests=(sweep_to(9.0), COMMON, COMMON)), pools[0])
    with pytest.raises(CannotReplayError, match="request 3"):
        recorded.replay(Asking(requests=(COMMON, COMMON, COMMON)), pools[1])


def test_sweep_that_was_not_recorded_is_named_beside_those_that_were() -> None:
    recorded = played(Asking(requests=(sweep_to(9.0),)))
    (pool,) = recorded_rounds(recorded.localizations)
    with pytest.raises(CannotReplayError) as refused:
        recorded.replay(Asking(requests=(sweep_to(9.5),)), pool, report_from_samples)
    assert not refused.value.exhausted
    assert "request 1 is for a sweep from 5 m +28.6479 deg to 9.5 m -28.6479 deg measured as peak" in str(refused.value)
    assert "epoch 1: a sweep from 5 m +28.6479 deg to 9 m -28.6479 deg measured as peak" in str(refused.value)


def test_peaks_do_not_stand_in_for_samples() -> None:
    recorded = played(Asking(requests=(sweep_to(9.0),)))
    (pool,) = recorded_rounds(recorded.localizations)
    with pytest.raises(CannotReplayError, match=r"measured as complex; .* measured as peak"):
        recorded.replay(Asking(requests=(sweep_to(9.0, FeedbackKind.COMPLEX),)), pool, report_from_samples)


def test_focus_that_another_machine_rounds_otherwise_is_the_same_sweep() -> None:
    recorded = played(Asking(requests=(sweep_to(9.0),)))
    (localization,) = recorded.localizations
    recorded.replay(Asking(requests=(sweep_to(float(np.nextafter(9.0, 10.0))),)), localization)
    with pytest.raises(CannotReplayError):  # a micrometre is no rounding
        recorded.replay(Asking(requests=(sweep_to(9.000001),)), localization)


# --- what a recording may lack ---------------------------------------------------------------------------------------

COMPLEX = Asking(requests=(sweep_to(9.0, FeedbackKind.COMPLEX),))


def test_recording_without_samples_says_so() -> None:
    recorded = played(COMPLEX, section=msgspec.structs.replace(SECTION, record_samples=False))
    with pytest.raises(CannotReplayError, match=r"epoch 1 was recorded without samples \(record_samples: false\)"):
        recorded.replay(COMPLEX, recorded.localizations[0])


def test_recording_that_does_not_tell_the_front_end_says_so_and_still_replays_peaks() -> None:
    recorded = played(COMPLEX, Asking())
    for record in recorded.records:
        record.pop("front_end", None)
    samples, peak = recorded.localizations
    with pytest.raises(CannotReplayError, match="does not say what the front end could do in epoch 1"):
        recorded.replay(COMPLEX, samples)
    recorded.replay(Asking(), peak)


def test_report_whose_sweep_could_not_be_recorded_is_named() -> None:
    recorded = played(Asking())
    gap = Recorded([record for record in recorded.records if record["kind"] != "sweep"], recorded.arrays)
    with pytest.raises(CannotReplayError, match="epoch 1: a sweep whose record is missing measured as peak"):
        gap.replay(Asking(), gap.localizations[0])


def test_powers_of_an_early_recording_are_read_from_complex_samples() -> None:
    request = sweep_to(7.0, FeedbackKind.POWER)
    recorded = played(Asking(requests=(request,)))
    powers = [arrays["power"] for arrays in recorded.arrays.values() if arrays]
    early: dict[int, Mapping[str, Samples]]
    early = {seq: {"power": arrays["power"].astype(np.complex64)} for seq, arrays in recorded.arrays.items() if arrays}
    listening = Listening(requests=(request,))
    Recorded(recorded.records, early).replay(listening, recorded.localizations[0])
    (heard,) = listening.heard
    assert isinstance(heard, PowerFeedback)
    assert heard.power_w.tolist() == powers[0].astype(np.float32).tolist()


def test_records_say_when() -> None:
    rehearsal = Noisy([Asking()], ("ue-a",), now_s=100.0)  # whatever the clock shows when a run begins
    rehearsal.begin()
    rehearsal.now_s += 2.5
    rehearsal.play()
    times = {record["kind"]: record["time_s"] for record in rehearsal.records}
    assert times == {"peer": 0.0, "sweep": 2.5, "report": 2.5, "fix": 2.5}
