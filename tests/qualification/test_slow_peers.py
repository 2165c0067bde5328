"""UEs that do not answer, or too late: their request is tried again, then given up, and the others go on."""

import pytest

from protocol import messages as msg
from protocol.messages import FeedbackKind, Measure, Message, PeakReport, Refusal
from tests.qualification.conftest import LabFactory
from tests.qualification.processes import Lab, Process, counters_of, fixes, of_kind
from tests.qualification.raw_peers import RawPeer

DEADLINE_S = 0.3


def begun(lab: Lab) -> Process:
    """Start all parts but the second UE, which the test plays itself."""
    controller = lab.controller()
    lab.emulator()
    lab.ue("ue-1")
    return controller


def ended(controller: Process) -> bool:
    """Return whether the controller has said its last word."""
    return bool(of_kind(controller.records, "end"))


@pytest.mark.requirement("a missed deadline is retried, then given up")
def test_ue_that_never_reports_fails_by_its_deadline_and_alone(lab_of: LabFactory) -> None:
    lab = lab_of(controller={"retries": 2, "schemes": [{"scheme": "cbs"}], "rounds": 2})
    controller = begun(lab)
    with RawPeer(lab.control).open_as(lab.facts, "ue-2") as silent:
        assert silent.stays_until(lambda: ended(controller))
    assert controller.ended() == 0, controller.errors
    failures = of_kind(controller.records, "failure")
    assert [(failure["ue"], failure["reason"]) for failure in failures] == [("ue-2", "deadline missed")] * 2
    assert failures[0]["text"] == "ue-2 did not report within 0.3 s, tried 3 times"
    assert len(fixes(controller.records, "ue-1")) == 2
    assert counters_of(controller.records)["missed_deadlines"] == 6


@pytest.mark.requirement("a missed deadline is retried, then given up")
def test_silent_ue_is_still_located_by_a_scheme_that_needs_no_report(lab_of: LabFactory) -> None:
    lab = lab_of(controller={"retries": 0})
    controller = begun(lab)
    with RawPeer(lab.control).open_as(lab.facts, "ue-2") as silent:
        assert silent.stays_until(lambda: ended(controller))
    assert [fix["scheme"] for fix in fixes(controller.records, "ue-2")] == ["backprojection"]
    assert len(fixes(controller.records, "ue-1")) == 3


def report_of(request: Measure) -> Message:
    """Return some report of the kind asked for."""
    if request.kind is FeedbackKind.GROUP:
        return msg.GroupReport(epoch=request.epoch, group=0)
    return PeakReport(epoch=request.epoch, subcarrier=40)


def answer_all(peer: RawPeer, controller: Process) -> None:
    """Report at once whatever is asked for, until the run is over."""
    while not ended(controller):
        peer.stays_until(lambda: bool(peer.of_kind(Measure)) or ended(controller))
        for request in peer.of_kind(Measure):
            peer.heard.remove(request)
            peer.say(report_of(request))


@pytest.mark.requirement("an answer that comes late is refused, not used")
def test_report_after_its_deadline_is_refused_and_the_next_one_taken(lab_of: LabFactory) -> None:
    lab = lab_of(controller={"schemes": [{"scheme": "cbs"}], "rounds": 3})
    controller = begun(lab)
    with RawPeer(lab.control).open_as(lab.facts, "ue-2") as peer:
        late = peer.hears(Measure)
        controller.told(lambda _: bool(peer.hears(Measure)), "the same request again, in another epoch")
        peer.say(report_of(late))
        refusal = peer.hears(Refusal)
        answer_all(peer, controller)
    assert (refusal.clause, f"epoch {late.epoch} is stale" in refusal.text) == ("5.3", True)
    assert controller.ended() == 0, controller.errors
    assert counters_of(controller.records)["refused_stale"] == 1
    assert [len(fixes(controller.records, ue)) for ue in lab.ues] == [3, 3]


@pytest.mark.requirement("an answer that cannot be true is refused, not used")
def test_report_that_cannot_be_true_is_refused_and_a_better_one_taken(lab_of: LabFactory) -> None:
    lab = lab_of(controller={"schemes": [{"scheme": "cbs"}]})
    controller = begun(lab)
    with RawPeer(lab.control).open_as(lab.facts, "ue-2") as peer:
        request = peer.hears(Measure)
        peer.say(PeakReport(epoch=request.epoch, subcarrier=128))
        out_of_band = peer.hears(Refusal)
        peer.say(msg.GroupReport(epoch=request.epoch, group=0))
        other_kind = peer.hears(Refusal)
        peer.say(report_of(request))
        answer_all(peer, controller)
    assert (out_of_band.clause, out_of_band.text) == ("7.2", "subcarrier must be below 128, got 128")
    assert other_kind.clause == "7.1"
    assert controller.ended() == 0, controller.errors
    assert counters_of(controller.records)["refused_reports"] == 2
    assert [len(fixes(controller.records, ue)) for ue in lab.ues] == [1, 1]
