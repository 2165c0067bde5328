"""How controllers number, acknowledge and deliver (SPEC 4.6 to 4.9).

What a controller has delivered shows in what it refuses: an answer that nobody awaits by 5.3, what a UE does not say by 4.14.
"""

from protocol.conformance.case import NonconformityError, case
from protocol.conformance.drivers.controller import NEVER_AWAITED, ControllerUnderTest, KitPeer
from protocol.conformance.headers import Fields, frames_of
from protocol.conformance.sockets import now_s

WINDOW = 64
READY: Fields = {"epoch": 1, "pilots": 1, "phase_deviation_cycles": 0.0, "delay_deviation_s": 0.0}


def _opened(controller: ControllerUnderTest) -> KitPeer:
    ue = controller.ue()
    ue.open_session()
    return ue


def _expect_refusals(ue: KitPeer, *clauses: str) -> None:
    """Wait for refusals by these clauses, given in alphabetical order; in which order they are said is free."""
    got = sorted(str(ue.expect_refusal("4.14", "5.3").fields["clause"]) for _ in clauses)
    if got != list(clauses):
        raise NonconformityError(f"expected refusals by {clauses}, got {got}")


@case("controller/session/numbers-in-order", clause="4.9.1", also=("4.7.1",), expect="each delivered and acknowledged")
def numbers_in_order(controller: ControllerUnderTest) -> None:
    """A UE says eight sequenced messages in order."""
    ue = _opened(controller)
    numbers = [ue.decline() for _ in range(8)]
    for _ in numbers:
        ue.expect_refusal("5.3")
    ue.expect_acknowledged(numbers[-1])


@case(
    "controller/session/duplicate",
    clause="4.9.1",
    also=("4.7.2",),
    expect="one delivery, and an acknowledgement of both",
)
def duplicate(controller: ControllerUnderTest) -> None:
    """A UE says a sequenced message twice, and once more after it was acknowledged."""
    ue = _opened(controller)
    ue.decline(sequence=1)
    ue.decline(sequence=1)
    ue.expect_refusal("5.3")
    ue.expect_acknowledged(1)
    ue.decline(sequence=1)
    ue.silence_for(0.25)
    ue.expect_goes_on()


@case(
    "controller/session/early-message-waits",
    clause="4.9.1",
    also=("4.7.1", "4.8.2"),
    expect="nothing until number 1 comes, then both",
)
def early_message_waits(controller: ControllerUnderTest) -> None:
    """A UE says number 2, which is nothing for UEs, and then number 1, which nobody awaits."""
    ue = _opened(controller)
    ue.say("ready", READY, sequence=2)
    ue.silence_for(0.25)  # heartbeats that acknowledge 2 are told from others by the kit
    ue.decline(sequence=1)
    _expect_refusals(ue, "4.14", "5.3")
    ue.expect_acknowledged(2)


@case("controller/session/early-duplicate", clause="4.9.1", expect="one delivery each")
def early_duplicate(controller: ControllerUnderTest) -> None:
    """A UE says number 3 twice, then 2, then 1."""
    ue = _opened(controller)
    for sequence in (3, 3):
        ue.say("ready", READY, sequence=sequence)
    for sequence in (2, 1):
        ue.decline(sequence=sequence)
    _expect_refusals(ue, "4.14", "5.3", "5.3")
    ue.expect_acknowledged(3)
    ue.silence_for(0.15)


@case("controller/session/window", clause="4.8.2", expect="all are kept: number 1 lets 64 be acknowledged")
def window(controller: ControllerUnderTest) -> None:
    """A UE says the numbers 64 to 2, and then 1."""
    ue = _opened(controller)
    for sequence in range(WINDOW, 0, -1):
        ue.decline(sequence=sequence)
    ue.expect_acknowledged(WINDOW)


@case("controller/session/gap-in-the-window", clause="4.7.1", expect="ack 2 until number 3 comes, then 5")
def gap_in_the_window(controller: ControllerUnderTest) -> None:
    """A UE says the numbers 1, 2, 4 and 5, and then 3."""
    ue = _opened(controller)
    for sequence in (1, 2, 4, 5):
        ue.decline(sequence=sequence)
    ue.expect_acknowledged(2)
    ue.wait(0.15)
    ue.decline(sequence=3)
    ue.expect_acknowledged(5)


@case("controller/session/sequenced-without-number", clause="4.6.2", expect="a refusal by 4.6; the session goes on")
def sequenced_without_number(controller: ControllerUnderTest) -> None:
    """A UE says declined with number 0."""
    ue = _opened(controller)
    ue.decline(sequence=0)
    ue.expect_refusal("4.6")
    ue.expect_goes_on()


@case("controller/session/unsequenced-with-number", clause="4.6.2", expect="a refusal by 4.6, and number 1 stays free")
def unsequenced_with_number(controller: ControllerUnderTest) -> None:
    """A UE says heartbeat with number 1, and then another message of that number."""
    ue = _opened(controller)
    ue.say_frames(frames_of(ue.header("heartbeat", {"progress": 1}, sequence=1), {}))
    ue.expect_refusal("4.6")
    ue.expect_goes_on()


@case(
    "controller/session/refused-by-schema-keeps-its-number", clause="9.1.4", expect="no ack, and the number stays free"
)
def refused_by_schema_keeps_its_number(controller: ControllerUnderTest) -> None:
    """A UE says a declined without its text, and then a sound one of the same number."""
    ue = _opened(controller)
    ue.say_frames(frames_of(ue.header("declined", {"epoch": NEVER_AWAITED, "clause": "5.4"}, sequence=1), {}))
    ue.expect_refusal("3.4")
    ue.wait(0.15)
    ue.expect_goes_on()


@case("controller/timing/acknowledgement", clause="4.7.2", expect="ack within 0.1 s, plus 0.1 s for timers")
def acknowledgement(controller: ControllerUnderTest) -> None:
    """A UE says five sequenced messages, each twice, and waits for each acknowledgement."""
    ue = _opened(controller)
    for sequence in range(1, 6):
        said_s = now_s()
        ue.decline(sequence=sequence)
        took_s = ue.expect_acknowledged(sequence) - said_s
        ue.rig.meter.require(took_s, 0.2, "an acknowledgement")
        ue.inbox.clear()
        said_s = now_s()
        ue.decline(sequence=sequence)
        heard = ue.next_within(2.0)
        if heard is None:
            raise NonconformityError("expected an acknowledgement of the duplicate, got nothing")
        ue.rig.meter.require(heard.at_s - said_s, 0.2, "an acknowledgement of a duplicate")


@case("controller/timing/early-acknowledgement", clause="4.7.2", expect="a header within 0.1 s, plus 0.1 s for timers")
def early_acknowledgement(controller: ControllerUnderTest) -> None:
    """A UE says number 2 first."""
    ue = _opened(controller)
    ue.inbox.clear()
    said_s = now_s()
    ue.decline(sequence=2)
    heard = ue.next_within(2.0)
    if heard is None:
        raise NonconformityError("expected an acknowledgement, got nothing")
    ue.rig.meter.require(heard.at_s - said_s, 0.2, "an acknowledgement")
