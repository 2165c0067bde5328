"""What controllers ask of radios and UEs: settings, epochs, kinds of feedback; and what they do when answers do not come."""

from itertools import pairwise

from protocol.conformance.case import NonconformityError, UnsupportedError, case
from protocol.conformance.drivers.controller import ControllerUnderTest
from protocol.conformance.drivers.site import KINDS, Site
from protocol.conformance.sockets import now_s

RESEND_S = (0.25, 0.5, 1.0, 2.0)  # from one sending to the next (SPEC 4.7)
ASKED_WITHIN_S = 0.6  # for what a controller may never ask
RETRIED_WITHIN_S = 3.0


@case(
    "controller/session/everything-in-order",
    clause="4.1.3",
    also=("2.4.1", "3.1.1", "3.4.1", "3.8.1", "3.9.1", "4.6.1", "4.7.1", "4.8.1", "5.1.1", "7.1.2"),
    expect="frames, headers, fields, arrays and numbers as the protocol has them, in every message",
)
def everything_in_order(controller: ControllerUnderTest) -> None:
    """A radio and two UEs answer whatever the controller asks for, until it has asked for thirty things; a UE errs once."""
    site = Site(controller, {"ue-1": KINDS, "ue-2": KINDS}).open()
    if not site.serve_until(lambda: len(site.asked) >= 30):
        raise NonconformityError(f"expected work for two users, got {len(site.asked)} requests", "4.6.1")
    ue = site.ues["ue-1"]
    ue.decline()
    ue.expect_refusal("5.3")
    missing = {"configure", "measure"} - {said.type for _, said in site.asked}
    if missing:
        raise UnsupportedError(f"the controller does not ask for {', '.join(sorted(missing))}")


# --- settings --------------------------------------------------------------------------------------------------------


@case("controller/numerics/settings", clause="6.3.3", also=("5.1.1",), expect="settings that the front end can have")
def settings(controller: ControllerUnderTest) -> None:
    """A radio advertises long delay lines; ten settings are looked at."""
    site = Site(controller).open()
    _require_some(site, "configure", 10)


@case("controller/numerics/short-delay-lines", clause="6.3.3", expect="no delay beyond the span; others go on")
def short_delay_lines(controller: ControllerUnderTest) -> None:
    """A radio advertises delays up to 0.1 ps, by which no sweep can be made."""
    site = Site(controller, delay_span_s=1e-13).open()
    site.serve_for(ASKED_WITHIN_S)
    site.ues["ue-1"].expect_goes_on()


@case(
    "controller/numerics/delay-lines-of-another-radio",
    clause="6.3.3",
    expect="no delay beyond the span of the new radio",
)
def delay_lines_of_another_radio(controller: ControllerUnderTest) -> None:
    """A radio with long delay lines leaves in the midst of work; one with short ones takes its place."""
    site = Site(controller).open()
    _require_some(site, "configure", 2)
    site.front_end["delay_span_s"] = 1e-13
    site.radio_returns()
    site.serve_for(ASKED_WITHIN_S)


@case("controller/numerics/fewer-elements", clause="6.3.3", expect="no setting of other elements than the front end's")
def fewer_elements(controller: ControllerUnderTest) -> None:
    """A radio advertises half of the elements of the testbed."""
    site = Site(controller, elements=controller.rig.shared.downlink.array.elements // 2).open()
    site.serve_for(ASKED_WITHIN_S)
    site.radio.expect_goes_on()


def _require_some(site: Site, kind: str, count: int) -> None:
    """Serve until this was asked so often; a controller that never asks for it has nothing to be looked at."""
    if not site.serve_until(lambda: site.count(kind) >= count) and not site.count(kind):
        raise UnsupportedError(f"the controller does not ask for {kind}")


# --- epochs ----------------------------------------------------------------------------------------------------------


@case("controller/session/epochs-grow", clause="5.1.1", expect="a larger epoch for each new request of the radio")
def epochs_grow(controller: ControllerUnderTest) -> None:
    """A radio answers twenty requests."""
    site = Site(controller).open()
    if not site.serve_until(lambda: site.count("configure", "capture") >= 20):
        raise NonconformityError(f"expected work for a user, got {len(site.asked)} requests")


@case(
    "controller/session/repeated-request",
    clause="5.1.1",
    expect="the same request with the same epoch, or a larger one",
)
def repeated_request(controller: ControllerUnderTest) -> None:
    """A radio acknowledges what it is asked for, and never answers."""
    site = Site(controller)
    site.mute.add(site.radio.name)
    site.open()
    site.request("configure", "capture")
    site.next_request("configure", "capture", within_s=RETRIED_WITHIN_S)  # checked as it comes
    site.ues["ue-1"].expect_goes_on()


@case("controller/session/measure-is-about-what-is-ready", clause="5.1", expect="no measure before ready")
def measure_is_about_what_is_ready(controller: ControllerUnderTest) -> None:
    """A radio takes 0.3 s until it says ready, three times."""
    site = Site(controller, settle_s=0.3).open()
    for _ in range(3):
        said = site.next_request("configure")
        if said is None:
            raise UnsupportedError("the controller does not ask for settings")
        site.controller.pump_for(0.3)
        site.next_request(within_s=0.0)  # what came meanwhile is checked
        site.answer(said)


@case(
    "controller/faults/radio-comes-back",
    clause="5.1",
    also=("5.1.1",),
    expect="a setting for the new session, then measure",
)
def radio_comes_back(controller: ControllerUnderTest) -> None:
    """A radio vanishes after it has said ready, and comes back with a new session; the report comes meanwhile."""
    site = Site(controller).open()
    report = site.report("ue-1", site.request("measure", ue="ue-1"))
    site.radio_returns()
    site.ues["ue-1"].say(*report)
    site.request("configure", "capture", within_s=10.0)


@case(
    "controller/faults/ue-comes-back", clause="7.1.2", also=("5.1",), expect="no kind of feedback that it no longer has"
)
def ue_comes_back(controller: ControllerUnderTest) -> None:
    """A UE that reports in every kind vanishes in the midst of work, and comes back with a new session and one kind alone."""
    site = Site(controller).open()
    kind = site.request("measure", ue="ue-1").text("kind")
    site.ues["ue-1"].vanish()
    other = next(known for known in KINDS if known != kind)
    site.watch.kinds = {"ue-1": [other]}
    site.ues["ue-1"] = controller.ue("ue-1", [other])
    site.ues["ue-1"].open_session()
    site.serve_for(ASKED_WITHIN_S)


# --- kinds of feedback -----------------------------------------------------------------------------------------------


def _check_kinds(controller: ControllerUnderTest, *kinds: str) -> None:
    site = Site(controller, kinds).open()
    site.serve_until(lambda: site.count("measure") >= 4, within_s=ASKED_WITHIN_S)
    site.ues["ue-1"].expect_goes_on()


@case("controller/session/peak-alone", clause="7.1.2", expect="no measure for another kind")
def peak_alone(controller: ControllerUnderTest) -> None:
    """A UE reports peaks alone."""
    _check_kinds(controller, "peak")


@case("controller/session/group-alone", clause="7.1.2", expect="no measure for another kind")
def group_alone(controller: ControllerUnderTest) -> None:
    """A UE reports groups alone."""
    _check_kinds(controller, "group")


@case("controller/session/power-alone", clause="7.1.2", expect="no measure for another kind")
def power_alone(controller: ControllerUnderTest) -> None:
    """A UE reports powers alone."""
    _check_kinds(controller, "power")


@case("controller/session/complex-alone", clause="7.1.2", expect="no measure for another kind")
def complex_alone(controller: ControllerUnderTest) -> None:
    """A UE reports samples alone."""
    _check_kinds(controller, "complex")


@case("controller/session/no-feedback-at-all", clause="7.1.2", expect="no measure")
def no_feedback_at_all(controller: ControllerUnderTest) -> None:
    """A UE reports in no kind."""
    _check_kinds(controller)


@case("controller/session/kinds-of-each-ue", clause="7.1.2", expect="from each UE what it has")
def kinds_of_each_ue(controller: ControllerUnderTest) -> None:
    """One UE reports peaks alone, the other samples alone."""
    site = Site(controller, {"ue-1": ["peak"], "ue-2": ["complex"]}).open()
    site.serve_until(lambda: site.count("measure") >= 8, within_s=ASKED_WITHIN_S)


# --- answers that are none -------------------------------------------------------------------------------------------


@case("controller/session/ue-declines", clause="5.4", expect="no refusal, and work for the other UE goes on")
def ue_declines(controller: ControllerUnderTest) -> None:
    """A UE declines each measure; the other one answers."""
    site = Site(controller, {"ue-1": KINDS, "ue-2": KINDS}).open()
    for _ in range(3):
        said = site.next_request("measure", ue="ue-1")
        if said is None:
            raise UnsupportedError("the controller does not ask for feedback")
        sequence = site.ues["ue-1"].decline(said.integer("epoch"))
        site.ues["ue-1"].expect_acknowledged(sequence)
    site.request("measure", "capture", ue="ue-2", within_s=10.0)
    _require_no_refusal(site)


@case("controller/session/radio-declines", clause="5.4", expect="no refusal, and a next request")
def radio_declines(controller: ControllerUnderTest) -> None:
    """A radio declines what it is asked for, three times, and then answers."""
    site = Site(controller).open()
    for _ in range(3):
        said = site.request("configure", "capture")
        site.radio.decline(said.integer("epoch"))
    site.answer(site.request("configure", "capture"))
    _require_no_refusal(site)


def _require_no_refusal(site: Site) -> None:
    for peer in (site.radio, *site.ues.values()):
        for said in peer.inbox:
            if said.type == "refusal":
                raise NonconformityError(f"expected that {peer.name} is not refused, got {said.fields}")


@case(
    "controller/faults/ue-never-answers",
    clause="5.3.3",
    expect="other work meanwhile; the late report is refused by 5.3",
)
def ue_never_answers(controller: ControllerUnderTest) -> None:
    """A UE leaves a measure unanswered until the radio was asked for something else, and then reports."""
    site = Site(controller, {"ue-1": KINDS, "ue-2": KINDS}).open()
    measure = site.request("measure", ue="ue-1")
    site.mute.add("ue-1")
    newer = site.next_request("configure", "capture", within_s=10.0)
    if newer is None:
        raise UnsupportedError("the controller waits for a UE that does not answer")
    site.ues["ue-1"].say(*site.report("ue-1", measure))
    site.ues["ue-1"].expect_refusal("5.3")
    site.answer(newer)


@case("controller/faults/ue-leaves-in-the-midst", clause="4.13.1", expect="work for the other UE goes on")
def ue_leaves_in_the_midst(controller: ControllerUnderTest) -> None:
    """A UE says bye instead of reporting; the other one answers."""
    site = Site(controller, {"ue-1": KINDS, "ue-2": KINDS}).open()
    site.request("measure", ue="ue-1")
    site.ues["ue-1"].leave()
    before = site.count("configure", "capture")
    if not site.serve_until(lambda: site.count("configure", "capture") > before + 2, within_s=10.0):
        raise NonconformityError("expected further requests for the UE that is there")


# --- delivery --------------------------------------------------------------------------------------------------------


@case(
    "controller/timing/resend",
    clause="4.7.3",
    expect="the same again after 0.25, 0.5, 1 and 2 s, plus 0.1 s for timers",
)
def resend(controller: ControllerUnderTest) -> None:
    """A radio acknowledges nothing of what it is asked for, and goes on beating."""
    site = Site(controller)
    site.mute.add(site.radio.name)
    site.radio.acknowledges = False
    site.open()
    first = site.request("configure", "capture").sequence
    copies_at_s, until_s = site.radio.copies_at_s[first], now_s() + sum(RESEND_S) + 1.0
    while len(copies_at_s) <= len(RESEND_S) and now_s() < until_s:
        controller.pump.step(until_s)
    gaps_s = [after - before for before, after in pairwise(copies_at_s)]
    if len(gaps_s) < len(RESEND_S):
        raise NonconformityError(f"expected the message again after {RESEND_S} s, got it after {gaps_s} s")
    for gap_s, wanted_s in zip(gaps_s, RESEND_S, strict=False):
        controller.rig.meter.require(gap_s, wanted_s + 0.1, "a message again")
        controller.rig.meter.require(wanted_s - gap_s, 0.02, "a message again no earlier, but for the clock,")


@case("controller/timing/no-resend-of-what-is-acknowledged", clause="4.7.4", expect="each message once")
def no_resend_of_what_is_acknowledged(controller: ControllerUnderTest) -> None:
    """A radio acknowledges what it is asked for within 10 ms, and does not answer for 0.9 s."""
    site = Site(controller)
    site.mute.add(site.radio.name)
    site.open()
    first = site.request("configure", "capture")
    controller.pump_for(0.9)
    copies_at_s = site.radio.copies_at_s[first.sequence]
    if len(copies_at_s) > 1:
        after_s = copies_at_s[1] - copies_at_s[0]
        error = NonconformityError(f"expected the message once, got it again after {after_s:.2f} s")
        controller.blame(error, "an acknowledged message")
