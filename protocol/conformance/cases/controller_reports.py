"""Answers of another kind, shape or epoch than asked for: they are refused and change nothing, the right one is taken after."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np

from protocol.conformance.case import NonconformityError, UnsupportedError, case
from protocol.conformance.drivers.controller import NEVER_AWAITED, ControllerUnderTest, KitPeer
from protocol.conformance.drivers.site import KINDS, Site, resized
from protocol.conformance.headers import Said
from protocol.conformance.sockets import now_s

ASKED_WITHIN_S = 2.0  # for a kind that a controller may never ask for
PREPARED_WITHIN_S = 60.0  # schemes of a controller may have to be compiled first

#: sections of a testbed file by which controllers of this project ask for powers
POWERS: Mapping[str, Mapping[str, object]] = {
    "downlink": {"bandwidth_hz": 400e6, "elements": 128},
    "region": {"range_m": [5.0, 8.0]},
    "controller": {"schemes": [{"scheme": "likelihood", "model": "power"}]},
}


@contextmanager
def _asked(controller: ControllerUnderTest, kind: str) -> Iterator[tuple[Site, Said]]:
    """Yield a site with one UE that has been asked for this kind."""
    site = Site(controller).open()
    said = _measure(site, kind, ASKED_WITHIN_S)
    if said is not None:
        yield site, said
        return
    controller.close_peers()
    if kind != "power":
        raise UnsupportedError(f"the controller does not ask for {kind}")
    with controller.variant("powers", POWERS) as other:
        site = Site(other, delay_span_s=1e-6).open()
        said = _measure(site, kind, PREPARED_WITHIN_S)
        if said is None:
            raise UnsupportedError(f"the controller does not ask for {kind}")
        yield site, said


def _measure(site: Site, kind: str, within_s: float) -> Said | None:
    """Answer everything until a measure for this kind comes."""
    until_s = now_s() + within_s
    while (said := site.next_request("measure", within_s=max(0.0, until_s - now_s()))) is not None:
        if said.text("kind") == kind:
            return said
        site.answer(said, site.ues["ue-1"])
    return None


def _expect_taken(site: Site, said: Said, peer: KitPeer) -> None:
    """Answer a request rightly, and check that nothing is wrong with that."""
    sequence = site.answer(said, peer)
    peer.expect_acknowledged(sequence)
    peer.silence_for(0.1)


# --- of another kind -------------------------------------------------------------------------------------------------


@case("controller/session/report-of-another-kind", clause="7.1.5", expect="refusals by 7.1; the right report is taken")
def report_of_another_kind(controller: ControllerUnderTest) -> None:
    """A UE reports in each kind that it was not asked for, then in the one that it was."""
    site = Site(controller).open()
    said = site.request("measure")
    ue = site.ues["ue-1"]
    for kind in KINDS:
        if kind != said.text("kind"):
            ue.say(*site.report("ue-1", said, kind))
            ue.expect_refusal("7.1")
    _expect_taken(site, said, ue)


@case(
    "controller/numerics/subcarrier-out-of-range", clause="7.2.2", expect="refusals by 7.2; the right report is taken"
)
def subcarrier_out_of_range(controller: ControllerUnderTest) -> None:
    """A UE reports a peak at the subcarrier behind the last, and at one far away."""
    with _asked(controller, "peak") as (site, said):
        _report_indices(site, said, "peak", site.shared.downlink.grid.count, "7.2")


@case("controller/numerics/last-subcarrier", clause="7.2", expect="it is taken")
def last_subcarrier(controller: ControllerUnderTest) -> None:
    """A UE reports a peak at the last subcarrier."""
    with _asked(controller, "peak") as (site, said):
        ue = site.ues["ue-1"]
        last = site.shared.downlink.grid.count - 1
        sequence = ue.say("peak_report", {"epoch": said.fields["epoch"], "subcarrier": last})
        ue.expect_acknowledged(sequence)
        ue.silence_for(0.1)


@case("controller/numerics/group-out-of-range", clause="7.3.3", expect="refusals by 7.3; the right report is taken")
def group_out_of_range(controller: ControllerUnderTest) -> None:
    """A UE reports the group behind the last, and one far away."""
    with _asked(controller, "group") as (site, said):
        _report_indices(site, said, "group", said.integer("groups"), "7.3")


def _report_indices(site: Site, said: Said, kind: str, count: int, clause: str) -> None:
    ue = site.ues["ue-1"]
    field = "subcarrier" if kind == "peak" else "group"
    for index in (count, 2**63 - 1):
        ue.say(f"{kind}_report", {"epoch": said.fields["epoch"], field: index})
        ue.expect_refusal(clause)
    _expect_taken(site, said, ue)


@case("controller/numerics/other-number-of-powers", clause="7.4.2", expect="refusals by 7.4; the right report is taken")
def other_number_of_powers(controller: ControllerUnderTest) -> None:
    """A UE reports one power too few, one too many, and one alone."""
    with _asked(controller, "power") as (site, said):
        _report_lengths(site, said, "power_w", "7.4")


@case(
    "controller/numerics/other-number-of-samples", clause="7.5.2", expect="refusals by 7.5; the right report is taken"
)
def other_number_of_samples(controller: ControllerUnderTest) -> None:
    """A UE reports one sample too few, one too many, and one alone."""
    with _asked(controller, "complex") as (site, said):
        _report_lengths(site, said, "samples", "7.5")


def _report_lengths(site: Site, said: Said, array: str, clause: str) -> None:
    ue = site.ues["ue-1"]
    kind, fields, arrays = site.report("ue-1", said)
    count = len(arrays[array])
    for by in (-1, 1, 1 - count):
        ue.say(kind, fields, {array: resized(arrays[array], by)})
        ue.expect_refusal(clause)
    _expect_taken(site, said, ue)


@case("controller/numerics/snapshot-of-another-shape", clause="6.4.2", expect="refusals by 6.4; the right one is taken")
def snapshot_of_another_shape(controller: ControllerUnderTest) -> None:
    """A radio says snapshots that are transposed, an element too short, a subcarrier too short, and one sample alone."""
    site = Site(controller).open()
    said = site.next_request("capture")
    if said is None:
        raise UnsupportedError("the controller does not ask for snapshots")
    samples = site.snapshot(said.text("ue"))
    wrong = [samples[:-1], samples[:, :-1], samples[:1, :1]]
    wrong += [samples.T] if samples.shape[0] != samples.shape[1] else []
    for other in wrong:
        site.radio.say("snapshot", {"epoch": said.fields["epoch"]}, {"samples": np.ascontiguousarray(other)})
        site.radio.expect_refusal("6.4")
    _expect_taken(site, said, site.radio)


# --- that nobody awaits ----------------------------------------------------------------------------------------------


@case("controller/session/report-of-no-epoch", clause="5.3.3", expect="refusals by 5.3; the right report is taken")
def report_of_no_epoch(controller: ControllerUnderTest) -> None:
    """A UE reports for an epoch that was never used, then for the one that it was asked for."""
    site = Site(controller).open()
    said = site.request("measure")
    ue = site.ues["ue-1"]
    kind, fields, arrays = site.report("ue-1", said)
    for epoch in (NEVER_AWAITED, said.integer("epoch") + 1):
        ue.say(kind, {**fields, "epoch": epoch}, arrays)
        ue.expect_refusal("5.3")
    _expect_taken(site, said, ue)


@case(
    "controller/session/report-of-an-earlier-epoch",
    clause="5.3.3",
    expect="a refusal by 5.3; the right report is taken",
)
def report_of_an_earlier_epoch(controller: ControllerUnderTest) -> None:
    """A UE answers a measure, is asked again, and reports for the first one once more."""
    site = Site(controller).open()
    first = site.request("measure")
    ue = site.ues["ue-1"]
    site.answer(first, ue)
    second = site.request("measure")
    if second.fields["epoch"] == first.fields["epoch"]:
        raise NonconformityError("expected another epoch for a setting after a report, got the same", "5.1.1")
    ue.say(*site.report("ue-1", first))
    ue.expect_refusal("5.3")
    _expect_taken(site, second, ue)


@case("controller/session/report-twice", clause="5.3.3", expect="one is taken, the other refused by 5.3")
def report_twice(controller: ControllerUnderTest) -> None:
    """A UE says the same report twice, with two numbers."""
    site = Site(controller).open()
    said = site.request("measure")
    ue = site.ues["ue-1"]
    site.answer(said, ue)
    last = site.answer(said, ue)
    ue.expect_refusal("5.3")
    ue.expect_acknowledged(last)


@case("controller/session/reports-in-order", clause="4.9.1", expect="a refusal by 7.2 of number 1; number 2 is taken")
def reports_in_order(controller: ControllerUnderTest) -> None:
    """A UE says number 2, which is right, and then number 1, whose subcarrier is out of range."""
    with _asked(controller, "peak") as (site, said):
        ue = site.ues["ue-1"]
        kind, fields, _ = site.report("ue-1", said)
        before = ue.watch.numbered
        ue.say(kind, fields, sequence=before + 2)
        ue.silence_for(0.1)
        ue.say(kind, {**fields, "subcarrier": site.shared.downlink.grid.count}, sequence=before + 1)
        ue.expect_refusal("7.2")
        ue.expect_acknowledged(before + 2)
        ue.silence_for(0.1)


@case("controller/session/report-of-another-ue", clause="5.3.3", expect="a refusal by 5.3; the right report is taken")
def report_of_another_ue(controller: ControllerUnderTest) -> None:
    """A UE that was asked for nothing reports and declines in the place of another."""
    site = Site(controller, {"ue-1": KINDS, "ue-2": []}).open()
    said = site.request("measure", ue="ue-1")
    other = site.ues["ue-2"]
    other.say(*site.report("ue-1", said))
    other.expect_refusal("5.3")
    other.decline(said.integer("epoch"))
    other.expect_refusal("5.3")
    _expect_taken(site, said, site.ues["ue-1"])


@case("controller/session/report-before-measure", clause="5.3.3", expect="refusals by 5.3")
def report_before_measure(controller: ControllerUnderTest) -> None:
    """A UE reports and declines for a setting that the radio has not yet said to be ready; the radio then does."""
    site = Site(controller).open()
    said = site.next_request("configure")
    if said is None:
        raise UnsupportedError("the controller does not ask for settings")
    ue = site.ues["ue-1"]
    ue.say("peak_report", {"epoch": said.fields["epoch"], "subcarrier": 0})
    ue.expect_refusal("5.3")
    ue.decline(said.integer("epoch"))
    ue.expect_refusal("5.3")
    _expect_taken(site, said, site.radio)


@case("controller/session/ready-of-no-epoch", clause="5.3.3", expect="a refusal by 5.3; the right ready is taken")
def ready_of_no_epoch(controller: ControllerUnderTest) -> None:
    """A radio says ready for an epoch that was never used, then for the one that it was asked for."""
    site = Site(controller).open()
    said = site.next_request("configure")
    if said is None:
        raise UnsupportedError("the controller does not ask for settings")
    fields = {"pilots": 1, "phase_deviation_cycles": 0.0, "delay_deviation_s": 0.0}
    site.radio.say("ready", {"epoch": NEVER_AWAITED, **fields})
    site.radio.expect_refusal("5.3")
    _expect_taken(site, said, site.radio)


@case("controller/session/snapshot-of-a-setting", clause="5.3.3", expect="a refusal by 5.3; the right ready is taken")
def snapshot_of_a_setting(controller: ControllerUnderTest) -> None:
    """A radio answers configure with a snapshot, then with ready."""
    site = Site(controller).open()
    said = site.next_request("configure")
    if said is None:
        raise UnsupportedError("the controller does not ask for settings")
    site.radio.say("snapshot", {"epoch": said.fields["epoch"]}, {"samples": site.snapshot("ue-1")})
    site.radio.expect_refusal("5.3")
    _expect_taken(site, said, site.radio)


@case("controller/session/ready-of-a-capture", clause="5.3.3", expect="a refusal by 5.3; the right snapshot is taken")
def ready_of_a_capture(controller: ControllerUnderTest) -> None:
    """A radio answers capture with ready, then with a snapshot."""
    site = Site(controller).open()
    said = site.next_request("capture")
    if said is None:
        raise UnsupportedError("the controller does not ask for snapshots")
    fields = {"pilots": 1, "phase_deviation_cycles": 0.0, "delay_deviation_s": 0.0}
    site.radio.say("ready", {"epoch": said.fields["epoch"], **fields})
    site.radio.expect_refusal("5.3")
    _expect_taken(site, said, site.radio)


@case("controller/session/declined-after-ready", clause="5.3.3", expect="a refusal by 5.3; the report is taken")
def declined_after_ready(controller: ControllerUnderTest) -> None:
    """A radio says ready, and then that it declines the same setting."""
    site = Site(controller).open()
    said = site.request("measure", ue="ue-1")
    site.radio.decline(said.integer("epoch"))
    site.radio.expect_refusal("5.3")
    _expect_taken(site, said, site.ues["ue-1"])


@case(
    "controller/session/answer-with-another-session",
    clause="4.12.1",
    expect="a refusal by 4.12; the right report is taken",
)
def answer_with_another_session(controller: ControllerUnderTest) -> None:
    """A UE reports with the number of another session, then with its own."""
    site = Site(controller).open()
    said = site.request("measure")
    ue = site.ues["ue-1"]
    kind, fields, arrays = site.report("ue-1", said)
    ue.say(kind, fields, arrays, session=ue.session - 1, sequence=ue.watch.numbered + 1)
    ue.expect_refusal("4.12")
    ue.watch.numbered -= 1  # the number was used in no session
    _expect_taken(site, said, ue)


@case("controller/timing/report-is-acknowledged", clause="4.7.2", expect="ack within 0.1 s, plus 0.1 s for timers")
def report_is_acknowledged(controller: ControllerUnderTest) -> None:
    """A UE answers four measures."""
    site = Site(controller).open()
    for _ in range(4):
        said = site.request("measure")
        began_s = now_s()
        sequence = site.answer(said, site.ues["ue-1"])
        computing_s = now_s() - began_s  # of which the kit has the most part before it speaks
        took_s = site.ues["ue-1"].expect_acknowledged(sequence) - began_s - computing_s
        controller.rig.meter.require(took_s, 0.2, "an acknowledgement of a report")
