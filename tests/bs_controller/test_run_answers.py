"""What a run refuses to hear: answers of another epoch, kind, shape or peer change nothing but a counter."""

import numpy as np
import pytest

from bs_controller.sweeps import Request, Sounding
from protocol import messages as msg
from tests.bs_controller.rehearsal import COMMON, RADIO, Asking, Rehearsal, group_sweep, sweep_to


def measuring(request: Request = COMMON) -> Rehearsal:
    """A run of one user in epoch 1, whose report is awaited."""
    rehearsal = Rehearsal([Asking(requests=(request,))], ("ue-a",))
    rehearsal.begin()
    rehearsal.answer_next()
    rehearsal.unread.clear()
    return rehearsal


def require_refused(rehearsal: Rehearsal, name: str, clause: str, counter: str) -> None:
    """Require that one answer was refused by this clause, and that the run still waits for the right one."""
    assert rehearsal.refusals == [(name, clause)]
    assert rehearsal.run.counters == {counter: 1}
    assert not rehearsal.fixed
    assert not rehearsal.failed
    assert not rehearsal.recorded("report")


@pytest.mark.clause("5.3")
@pytest.mark.parametrize("epoch", [2, 99])
def test_report_of_another_epoch_is_refused_and_changes_nothing(epoch: int) -> None:
    rehearsal = measuring()
    rehearsal.hear("ue-a", msg.PeakReport(epoch=epoch, subcarrier=3))
    require_refused(rehearsal, "ue-a", "5.3", "refused_stale")


@pytest.mark.clause("5.3")
def test_report_of_the_sweep_before_is_refused_and_changes_nothing() -> None:
    rehearsal = Rehearsal([Asking(requests=(COMMON, sweep_to(9.0)))], ("ue-a",))
    rehearsal.begin()
    for _ in range(3):
        rehearsal.answer_next()  # Ready and report of epoch 1, Ready of epoch 2
    rehearsal.hear("ue-a", msg.PeakReport(epoch=1, subcarrier=3))
    assert rehearsal.refusals == [("ue-a", "5.3")]
    assert rehearsal.run.counters == {"refused_stale": 1}
    assert [record["epoch"] for record in rehearsal.recorded("report")] == [1]


def test_right_report_after_a_refused_one_leads_to_the_fix() -> None:
    rehearsal = measuring()
    rehearsal.hear("ue-a", msg.PeakReport(epoch=9, subcarrier=3))
    rehearsal.hear("ue-a", msg.PeakReport(epoch=1, subcarrier=3))
    assert rehearsal.fixed == ["ue-a"]


@pytest.mark.clause("5.3")
def test_second_report_of_the_same_epoch_is_stale() -> None:
    rehearsal = Rehearsal([Asking()])
    rehearsal.begin()
    rehearsal.answer_next()
    for _ in range(2):
        rehearsal.hear("ue-a", msg.PeakReport(epoch=1, subcarrier=3))
    assert rehearsal.refusals == [("ue-a", "5.3")]
    assert rehearsal.fixed == ["ue-a"]


@pytest.mark.clause("5.3")
def test_report_before_the_radio_is_ready_is_refused() -> None:
    rehearsal = Rehearsal([Asking()], ("ue-a",))
    rehearsal.begin()
    rehearsal.hear("ue-a", msg.PeakReport(epoch=1, subcarrier=3))
    require_refused(rehearsal, "ue-a", "5.3", "refused_stale")


@pytest.mark.clause("5.3")
def test_ready_of_another_epoch_is_refused_and_nobody_is_asked_to_measure() -> None:
    rehearsal = Rehearsal([Asking()], ("ue-a",))
    rehearsal.begin()
    rehearsal.hear(RADIO, msg.Ready(epoch=7, pilots=1, phase_deviation_cycles=0.0, delay_deviation_s=0.0))
    require_refused(rehearsal, RADIO, "5.3", "refused_stale")
    assert rehearsal.measures("ue-a") == []


@pytest.mark.clause("5.3")
def test_snapshot_while_a_sweep_is_on_the_air_is_refused() -> None:
    rehearsal = measuring()
    rehearsal.hear(RADIO, rehearsal.snapshot(epoch=1))
    require_refused(rehearsal, RADIO, "5.3", "refused_stale")


def declined(epoch: int = 1) -> msg.Declined:
    return msg.Declined(epoch=epoch, clause="6.3", text="cannot")


@pytest.mark.clause("5.3")
def test_radio_that_declines_what_it_said_to_be_ready_is_refused() -> None:
    rehearsal = measuring()
    rehearsal.hear(RADIO, declined())
    require_refused(rehearsal, RADIO, "5.3", "refused_stale")


@pytest.mark.clause("5.3")
def test_user_that_declines_before_it_was_asked_is_refused() -> None:
    rehearsal = Rehearsal([Asking()], ("ue-a",))
    rehearsal.begin()
    rehearsal.hear("ue-a", declined())
    require_refused(rehearsal, "ue-a", "5.3", "refused_stale")


@pytest.mark.clause("5.3")
def test_user_that_declines_for_another_is_refused() -> None:
    rehearsal = Rehearsal([Asking(requests=(Sounding(),))])
    rehearsal.begin()
    rehearsal.hear("ue-b", declined())
    require_refused(rehearsal, "ue-b", "5.3", "refused_stale")


@pytest.mark.clause("5.3")
def test_ready_in_answer_to_capture_is_refused() -> None:
    rehearsal = Rehearsal([Asking(requests=(Sounding(),))], ("ue-a",))
    rehearsal.begin()
    rehearsal.hear(RADIO, msg.Ready(epoch=1, pilots=1, phase_deviation_cycles=0.0, delay_deviation_s=0.0))
    require_refused(rehearsal, RADIO, "5.3", "refused_stale")


def test_ready_said_twice_asks_each_user_once() -> None:
    rehearsal = Rehearsal([Asking()], ("ue-a",))
    rehearsal.begin()
    for _ in range(2):
        rehearsal.hear(RADIO, rehearsal.ready(rehearsal.configures[0]))
    assert len(rehearsal.measures("ue-a")) == 1
    assert rehearsal.refusals == []


POWER, COMPLEX = (sweep_to(9.0, kind) for kind in (msg.FeedbackKind.POWER, msg.FeedbackKind.COMPLEX))
WRONG_REPORTS = {
    "kind": (COMMON, msg.GroupReport(epoch=1, group=0), "7.1"),
    "subcarrier": (COMMON, msg.PeakReport(epoch=1, subcarrier=64), "7.2"),
    "group": (group_sweep(4, groups_per_pilot=4), msg.GroupReport(epoch=1, group=4), "7.3"),
    "power shape": (POWER, msg.PowerReport(epoch=1, power_w=np.zeros(63)), "7.4"),
    "sample shape": (COMPLEX, msg.ComplexReport(epoch=1, samples=np.zeros(63, np.complex64)), "7.5"),
}


@pytest.mark.parametrize(("request_", "report", "clause"), WRONG_REPORTS.values(), ids=WRONG_REPORTS)
def test_report_that_is_not_of_the_sweep_is_refused_and_changes_nothing(
    request_: Request, report: msg.Message, clause: str
) -> None:
    rehearsal = measuring(request_)
    rehearsal.hear("ue-a", report)
    require_refused(rehearsal, "ue-a", clause, "refused_reports")


@pytest.mark.clause("6.4")
def test_snapshot_of_another_shape_is_refused_and_changes_nothing() -> None:
    rehearsal = Rehearsal([Asking(requests=(Sounding(),))], ("ue-a",))
    rehearsal.begin()
    rehearsal.hear(RADIO, msg.Snapshot(epoch=1, samples=np.zeros((4, 392), np.complex64)))
    require_refused(rehearsal, RADIO, "6.4", "refused_reports")


def test_refused_answer_is_recorded_with_its_clause() -> None:
    rehearsal = measuring()
    rehearsal.hear("ue-a", msg.PeakReport(epoch=1, subcarrier=64))
    (record,) = [record for record in rehearsal.recorded("peer") if record["event"] == "refused"]
    assert record["name"] == "ue-a"
    assert "(SPEC 7.2)" in str(record["text"])
