"""Coded sweeps in a run: merged for all users, recorded as measured, replayed by their code; and a run that corrects."""

import numpy as np

from bs_controller.beams import fitted, setting_from_focus
from bs_controller.calibration.codes import coded_sweeps
from bs_controller.calibration.correction import Correction
from bs_controller.localizations import focus_from_record, recorded_localizations
from bs_controller.records import focus_record
from bs_controller.replay import Source
from bs_controller.schemes import CalibrationOptions, scheme_from_options
from bs_controller.sweeps import ComplexFeedback, Sweep
from protocol.messages import FeedbackKind
from tests.bs_controller.rehearsal import FACTS, IDEAL, Asking, Noisy, Rehearsal, sweep_to

OPTIONS = CalibrationOptions(codes=4, delay_span_s=1e-9)
RNG = np.random.default_rng(1)
CORRECTION = Correction(
    phase_rad=RNG.uniform(-np.pi, np.pi, 16),
    delay_s=1e-11 * RNG.standard_normal(16),
    path_delay_s={"ue-a": 1e-9},
    other_delay_s=0.0,
    grid=FACTS.downlink.grid,
)
SWEEP = sweep_to(9.0, FeedbackKind.COMPLEX)


def played() -> Rehearsal:
    rehearsal = Rehearsal([scheme_from_options(OPTIONS, FACTS)])
    rehearsal.begin()
    rehearsal.play()
    return rehearsal


def test_users_share_every_coded_sweep_and_end_measured_without_a_fix_or_failure() -> None:
    records = played().records
    assert [record["ues"] for record in records if record["kind"] == "sweep"] == [["ue-a", "ue-b"]] * 8
    ends = [(record["ue"], len(record["epochs"])) for record in records if record["kind"] == "measured"]  # type: ignore[arg-type]
    assert ends == [("ue-a", 8), ("ue-b", 8)]
    assert not {"fix", "failure"} & {record["kind"] for record in records}


def test_recorded_sweep_tells_its_code_again() -> None:
    for code in coded_sweeps(FACTS, 4, 1e-9):
        assert focus_from_record(focus_record(Sweep(focus=code, kind=FeedbackKind.COMPLEX))) == code
    first, second = recorded_localizations(played().records)
    wanted = coded_sweeps(FACTS, 4, 1e-9)
    assert [answer.focus for answer in first.answers] == [answer.focus for answer in second.answers] == wanted


def test_run_with_a_correction_tells_the_radio_and_shows_schemes_each_its_own_setting() -> None:
    rehearsal = Noisy([Asking(requests=(SWEEP,))], correction=CORRECTION)
    rehearsal.begin()
    rehearsal.play()
    (told,) = rehearsal.configures
    meant = setting_from_focus(SWEEP.focus, FACTS)
    np.testing.assert_array_equal(np.asarray(told.phase_cycles), CORRECTION.told(meant, IDEAL).phase_cycles)
    answers = {step.ue: step.answer for step in rehearsal.advances if step.answer is not None}
    recorded = {one.ue: one for one in recorded_localizations(rehearsal.records)}
    samples = {keep.record["ue"]: keep.samples for keep in rehearsal.kept if keep.record["kind"] == "report"}
    for ue in ("ue-a", "ue-b"):
        answer = answers[ue]
        assert isinstance(answer, ComplexFeedback)
        assert answer.applied is not None
        shown = CORRECTION.sent(fitted(CORRECTION.told(meant, IDEAL), IDEAL))
        np.testing.assert_array_equal(answer.applied.delay_s, shown.delay_s)
        raw = samples[ue]["report"]
        assert np.allclose(answer.samples, raw) == (ue == "ue-b"), "the delay of its own path, which only ue-a has"
        source = Source(
            facts=FACTS,
            answers=recorded[ue].answers,
            fetch=lambda _, raw=raw: {"report": raw},  # type: ignore[misc]
            correction=CORRECTION,
            ue=ue,
        )
        again = source.answer(SWEEP)
        assert isinstance(again, ComplexFeedback)
        assert again.applied is not None
        for left, right in (
            (again.samples, answer.samples),
            (again.applied.phase_cycles, answer.applied.phase_cycles),
            (again.applied.delay_s, answer.applied.delay_s),
        ):
            np.testing.assert_array_equal(left, right)
