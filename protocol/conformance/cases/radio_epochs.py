"""Epochs, as radios keep them: the same request has the same answer, and an old one is stale."""

from collections.abc import Callable

from protocol.conformance.case import NonconformityError, case
from protocol.conformance.drivers.radio import RadioUnderTest
from protocol.conformance.headers import Said
from protocol.conformance.sockets import now_s

NOBODY = "nobody-9"
REMEMBERED = 16
LARGEST_EPOCH = 2**63 - 1

Ask = Callable[[int], int]  # says a request of an epoch, the same whenever it is called


def _asks(radio: RadioUnderTest) -> list[tuple[str, Ask]]:
    """Return requests that are answered by ready, snapshot and declined."""
    phase_cycles, delay_s = radio.setting(radio.groups_near(2))
    return [
        ("ready", lambda epoch: radio.configure(phase_cycles, delay_s, epoch=epoch)),
        ("snapshot", lambda epoch: radio.capture(radio.ue, epoch=epoch)),
        ("declined", lambda epoch: radio.capture(NOBODY, epoch=epoch)),
    ]


def _require_same(first: Said, again: Said) -> None:
    """Check that an answer came again as it was, but for the numbers in its header."""
    if first.fields != again.fields or first.frames[1:] != again.frames[1:]:
        arrays = "the same" if first.frames[1:] == again.frames[1:] else "other"
        text = f"expected {first.type} {first.fields} again, got {again.fields} with {arrays} arrays"
        raise NonconformityError(text, "5.2.1")


@case("radio/session/epoch-of-the-request", clause="5.1.4", also=("5.4.1",), expect="answers of these epochs")
def epoch_of_the_request(radio: RadioUnderTest) -> None:
    """Requests come whose epochs grow, and are not consecutive."""
    radio.open_session()
    epoch = 0
    for factor in (3, 1000, 2**40):
        for kind, ask in _asks(radio):
            epoch += factor
            radio.expect_answer(kind, ask(epoch))


@case("radio/session/largest-epoch", clause="5.1.4", also=("3.4.1",), expect="ready of these epochs")
def largest_epoch(radio: RadioUnderTest) -> None:
    """Settings of the epochs 2^63-2 and 2^63-1 are asked for, which no float64 can tell from each other."""
    radio.open_session()
    for epoch in (LARGEST_EPOCH - 1, LARGEST_EPOCH):
        radio.expect_answer("ready", radio.configure(*radio.setting(), epoch=epoch))


@case("radio/session/configure-again", clause="5.2.1", expect="the same ready")
def configure_again(radio: RadioUnderTest) -> None:
    """A setting is asked for again, in another message with the same epoch."""
    _ask_again(radio, "ready")


@case("radio/session/capture-again", clause="5.2.1", expect="the same snapshot, noise included")
def capture_again(radio: RadioUnderTest) -> None:
    """A snapshot is asked for again, in another message with the same epoch."""
    _ask_again(radio, "snapshot")


@case("radio/session/declined-again", clause="5.2.1", expect="declined again, the same")
def declined_again(radio: RadioUnderTest) -> None:
    """A snapshot of a UE that the radio does not know is asked for again, in another message with the same epoch."""
    _ask_again(radio, "declined")


def _ask_again(radio: RadioUnderTest, kind: str) -> None:
    radio.open_session()
    ask = dict(_asks(radio))[kind]
    first = radio.expect_answer(kind, ask(5))
    for _ in range(2):
        _require_same(first, radio.expect_answer(kind, ask(5)))


@case("radio/session/configure-again-while-settling", clause="5.2.1", also=("6.2.2",), expect="ready to both, the same")
def configure_again_while_settling(radio: RadioUnderTest) -> None:
    """A setting is asked for again at once, before it can be on the air."""
    radio.open_session()
    ask, began_s = dict(_asks(radio))["ready"], now_s()
    for _ in range(2):
        ask(5)
    answers = [radio.expect_answer("ready", 5) for _ in range(2)]
    _require_same(*answers)
    settle_s = radio.front_end["settle_s"]
    if answers[0].at_s - began_s < settle_s:
        raise NonconformityError(f"expected ready no earlier than {settle_s:g} s after the first configure", "6.2.2")


@case("radio/session/sixteen-snapshots", clause="5.2.2", also=("5.2.1",), expect="each snapshot again, the same")
def sixteen_snapshots(radio: RadioUnderTest) -> None:
    """Sixteen snapshots are asked for, and then all again, the oldest first."""
    radio.open_session()
    asks = [dict(_asks(radio))["snapshot"]] * REMEMBERED
    _ask_all_again(radio, [("snapshot", ask) for ask in asks])


@case("radio/session/sixteen-answers", clause="5.2.2", also=("5.2.1",), expect="each answer again, the same")
def sixteen_answers(radio: RadioUnderTest) -> None:
    """Sixteen requests of all kinds come, and then all again, the oldest first."""
    radio.open_session()
    _ask_all_again(radio, [_asks(radio)[index % 3] for index in range(REMEMBERED)])


def _ask_all_again(radio: RadioUnderTest, asks: list[tuple[str, Ask]]) -> None:
    answers = [radio.expect_answer(kind, ask(epoch)) for epoch, (kind, ask) in enumerate(asks, start=1)]
    for epoch, (kind, ask) in enumerate(asks, start=1):
        _require_same(answers[epoch - 1], radio.expect_answer(kind, ask(epoch)))


@case("radio/session/answer-long-ago", clause="5.3.1", expect="the same snapshot, or declined by 5.3")
def answer_long_ago(radio: RadioUnderTest) -> None:
    """A snapshot is asked for again after twenty others: a radio may remember it, but must not measure anew."""
    radio.open_session()
    ask = dict(_asks(radio))["snapshot"]
    answers = [radio.expect_answer("snapshot", ask(epoch)) for epoch in range(1, 22)]
    ask(1)
    again = radio.expect("snapshot", "declined")
    if again.type == "snapshot":
        _require_same(answers[0], again)
    elif (again.fields["epoch"], again.fields["clause"]) != (1, "5.3"):
        raise NonconformityError(f"expected declined of epoch 1 by 5.3, got {again.fields}")


@case("radio/session/stale-configure", clause="5.3.1", also=("5.4.1",), expect="declined by 5.3, then ready")
def stale_configure(radio: RadioUnderTest) -> None:
    """A setting of epoch 10 is asked for, then one of 9, then one of 11."""
    _require_stale(radio, "ready")


@case("radio/session/stale-capture", clause="5.3.1", also=("5.4.1",), expect="declined by 5.3, then a snapshot")
def stale_capture(radio: RadioUnderTest) -> None:
    """A snapshot of epoch 10 is asked for, then one of 9, then one of 11."""
    _require_stale(radio, "snapshot")


def _require_stale(radio: RadioUnderTest, kind: str) -> None:
    radio.open_session()
    ask = dict(_asks(radio))[kind]
    radio.expect_answer(kind, ask(10))
    radio.expect_declined("5.3", ask(9))
    radio.expect_answer(kind, ask(11))
