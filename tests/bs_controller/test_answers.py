"""Reports and snapshots of the wire as schemes get them; what run.py refuses of them is in `test_run_answers.py`."""

import numpy as np
import pytest

from bs_controller.answers import feedback_from_report, groups_of, snapshot_from_message
from bs_controller.sweeps import ComplexFeedback, GroupFeedback, PeakFeedback, PowerFeedback, Sweep
from protocol import messages as msg
from protocol.errors import PeerFaultError
from tests.bs_controller.rehearsal import COMMON, FACTS, group_sweep, sweep_to

FOUR = group_sweep(4, groups_per_pilot=1)


def power_report(subcarriers: int) -> msg.PowerReport:
    return msg.PowerReport(epoch=1, power_w=np.arange(subcarriers, dtype=np.float64))


def test_trajectory_is_one_group() -> None:
    assert groups_of(COMMON) == 1


def test_group_foci_are_as_many_groups_as_points() -> None:
    assert groups_of(FOUR) == 4


def test_peak_report_is_the_peak_and_the_pilots_it_took() -> None:
    feedback = feedback_from_report(msg.PeakReport(epoch=1, subcarrier=63), COMMON, FACTS, pilots=1)
    assert feedback == PeakFeedback(subcarrier=63, pilots=1)


def test_group_report_is_the_group_and_the_pilots_it_took() -> None:
    feedback = feedback_from_report(msg.GroupReport(epoch=1, group=3), FOUR, FACTS, pilots=4)
    assert feedback == GroupFeedback(group=3, pilots=4)


def test_power_report_is_the_power_of_every_subcarrier() -> None:
    report = power_report(64)
    feedback = feedback_from_report(report, sweep_to(9.0, msg.FeedbackKind.POWER), FACTS, pilots=1)
    assert isinstance(feedback, PowerFeedback)
    np.testing.assert_array_equal(feedback.power_w, report.power_w)


def test_complex_report_becomes_double_precision() -> None:
    samples = np.exp(1j * np.arange(64)).astype(np.complex64)
    report = msg.ComplexReport(epoch=1, samples=samples)
    feedback = feedback_from_report(report, sweep_to(9.0, msg.FeedbackKind.COMPLEX), FACTS, pilots=1)
    assert isinstance(feedback, ComplexFeedback)
    assert feedback.samples.dtype == np.complex128
    np.testing.assert_array_equal(feedback.samples, samples)


KINDS = {
    msg.FeedbackKind.PEAK: msg.PeakReport(epoch=1, subcarrier=0),
    msg.FeedbackKind.GROUP: msg.GroupReport(epoch=1, group=0),
    msg.FeedbackKind.POWER: power_report(64),
    msg.FeedbackKind.COMPLEX: msg.ComplexReport(epoch=1, samples=np.zeros(64, np.complex64)),
}


@pytest.mark.clause("7.1")
@pytest.mark.parametrize("asked", KINDS)
@pytest.mark.parametrize("came", KINDS)
def test_report_is_taken_only_if_its_kind_is_the_one_asked_for(asked: msg.FeedbackKind, came: msg.FeedbackKind) -> None:
    report, sweep = KINDS[came], Sweep(focus=COMMON.focus, kind=asked)
    assert isinstance(report, msg.PeakReport | msg.GroupReport | msg.PowerReport | msg.ComplexReport)
    if asked is came:
        feedback_from_report(report, sweep, FACTS, pilots=1)
        return
    with pytest.raises(PeerFaultError) as raised:
        feedback_from_report(report, sweep, FACTS, pilots=1)
    assert raised.value.clause == "7.1"


def test_refused_subcarrier_is_named_with_its_limit() -> None:
    with pytest.raises(PeerFaultError, match="subcarrier must be below 64, got 64"):
        feedback_from_report(msg.PeakReport(epoch=1, subcarrier=64), COMMON, FACTS, pilots=1)


def test_snapshot_becomes_double_precision() -> None:
    samples = np.full((392, 4), 1 + 2j, np.complex64)
    snapshot = snapshot_from_message(msg.Snapshot(epoch=1, samples=samples), FACTS)
    assert snapshot.samples.dtype == np.complex128
    np.testing.assert_array_equal(snapshot.samples, samples)


@pytest.mark.clause("6.4")
def test_transposed_snapshot_is_refused() -> None:
    with pytest.raises(PeerFaultError) as raised:
        snapshot_from_message(msg.Snapshot(epoch=1, samples=np.zeros((4, 392), np.complex64)), FACTS)
    assert raised.value.clause == "6.4"
