"""Sequence numbers and acknowledgements, as radios and UEs keep them (SPEC 4.6-4.9)."""

import itertools

from protocol.conformance.case import NonconformityError, case
from protocol.conformance.conversation import BACKGROUND
from protocol.conformance.drivers.peer import PeerUnderTest
from protocol.conformance.headers import packed
from protocol.conformance.sockets import now_s

ACKNOWLEDGED_WITHIN_S = 0.2
WINDOW = 64


@case("peer/session/duplicates-are-delivered-once", clause="4.9.1", expect="one answer")
def duplicates_are_delivered_once(peer: PeerUnderTest) -> None:
    """A request comes five times with its number, before and after its answer."""
    peer.open_session()
    for _ in range(3):
        peer.request(1, sequence=1)
    peer.expect_reply(1)
    for _ in range(2):
        peer.request(1, sequence=1)
    peer.silence_for(0.3)
    peer.request(2, sequence=2)
    peer.expect_reply(2)


@case("peer/session/duplicate-of-long-ago", clause="4.9.1", expect="no answer to it")
def duplicate_of_long_ago(peer: PeerUnderTest) -> None:
    """After ten requests the first comes again."""
    peer.open_session()
    for epoch in range(1, 11):
        peer.request(epoch)
        peer.expect_reply(epoch)
    peer.request(1, sequence=1)
    peer.silence_for(0.3)


@case("peer/timing/acknowledgement", clause="4.7.2", expect="an acknowledgement within 0.1 s, plus 0.1 s for timers")
def acknowledgement(peer: PeerUnderTest) -> None:
    """Requests come one at a time, in a session whose heartbeats are too rare to help."""
    peer.open_session(heartbeat_s=2.0, liveness_s=10.0)
    for epoch in range(1, 6):
        said_s = now_s()
        sequence = peer.request(epoch)
        took_s = peer.expect_acknowledged(sequence) - said_s
        peer.rig.meter.require(took_s, ACKNOWLEDGED_WITHIN_S, f"ack {sequence}")


@case(
    "peer/timing/acknowledgement-of-what-has-no-answer",
    clause="4.7.2",
    also=("4.14.2",),
    expect="an acknowledgement within 0.2 s",
)
def acknowledgement_without_answer(peer: PeerUnderTest) -> None:
    """A sequenced message that has no place here comes, so that a refusal or an acknowledgement is all there is to say."""
    peer.open_session(heartbeat_s=2.0, liveness_s=10.0)
    said_s = now_s()
    sequence = peer.say("declined", {"epoch": 1, "clause": "7.1", "text": "no place here"})
    took_s = peer.expect_acknowledged(sequence) - said_s
    peer.rig.meter.require(took_s, ACKNOWLEDGED_WITHIN_S, f"ack {sequence}")
    peer.expect_refusal("4.14")


@case("peer/timing/acknowledgement-of-a-duplicate", clause="4.7.2", expect="an acknowledgement again within 0.2 s")
def acknowledgement_of_a_duplicate(peer: PeerUnderTest) -> None:
    """A request that was answered and acknowledged comes again, as if the acknowledgement had been lost."""
    peer.open_session(heartbeat_s=2.0, liveness_s=10.0)
    peer.request(1)
    peer.expect_reply(1)
    peer.wait(0.25)  # what else there is to say has been said
    for _ in range(2):
        peer.inbox.clear()
        said_s = now_s()
        peer.request(1, sequence=1)
        acknowledgement = peer.next_within(2.0)
        if acknowledgement is None or acknowledgement.acknowledged != 1:
            raise NonconformityError(f"expected ack 1 again, got {acknowledgement}")
        peer.rig.meter.require(acknowledgement.at_s - said_s, ACKNOWLEDGED_WITHIN_S, "ack 1 again")


@case("peer/session/early-message-waits", clause="4.9.1", also=("4.8.2", "4.7.1"), expect="no answer before its turn")
def early_message_waits(peer: PeerUnderTest) -> None:
    """Number 2 comes before number 1, and is not said again."""
    peer.open_session()
    peer.request(1, sequence=2)
    peer.silence_for(0.3)
    if peer.watch.acknowledged:
        raise NonconformityError(f"expected that 2 is not acknowledged before 1, got ack {peer.watch.acknowledged}")
    peer.say("declined", {"epoch": 1, "clause": "7.1", "text": "no place here"}, sequence=1)
    if peer.expect("refusal", *peer.answers).type != "refusal":
        raise NonconformityError("expected that number 1 is acted upon before number 2")
    peer.expect_reply(1)
    peer.expect_acknowledged(2)


@case("peer/session/window-backwards", clause="4.8.2", also=("4.9.1",), expect="all acted upon, in order")
def window_backwards(peer: PeerUnderTest) -> None:
    """A full window of 64 messages comes in reverse order, each once: 63 without a place, a request at the end."""
    peer.open_session()
    peer.request(1, sequence=WINDOW)
    for sequence in range(WINDOW - 1, 0, -1):
        peer.say("declined", {"epoch": sequence, "clause": "7.1", "text": "no place here"}, sequence=sequence)
    refusals = 0
    while peer.expect("refusal", *peer.answers).type == "refusal":
        refusals += 1
    if refusals != WINDOW - 1:
        raise NonconformityError(f"expected the answer after {WINDOW - 1} refusals, got it after {refusals}")
    peer.expect_acknowledged(WINDOW)


@case("peer/session/beyond-the-window", clause="4.7.1", also=("4.8.2",), expect="no acknowledgement of it, and no loss")
def beyond_the_window(peer: PeerUnderTest) -> None:
    """Number 65 comes first, which may be dropped, then 2 to 64 and at last 1; then 65 is said again."""
    peer.open_session()
    peer.request(1, sequence=WINDOW + 1)
    for sequence in [*range(2, WINDOW + 1), 1]:
        peer.say("declined", {"epoch": 1, "clause": "7.1", "text": "no place here"}, sequence=sequence)
        if sequence % 16 == 0:
            peer.wait(0.01)
    peer.expect_acknowledged(WINDOW)
    peer.request(1, sequence=WINDOW + 1)
    peer.expect_acknowledged(WINDOW + 1)
    while peer.expect("refusal", *peer.answers).type == "refusal":
        pass
    peer.silence_for(0.2, but=BACKGROUND | {"refusal"})


@case("peer/session/number-far-away", clause="4.7.1", expect="no acknowledgement of it, and the session goes on")
def number_far_away(peer: PeerUnderTest) -> None:
    """Requests come with the largest number that there is, and with one just beyond the window."""
    peer.open_session()
    kind = "measure" if "peak_report" in peer.answers else "capture"
    fields = {"epoch": 9, "kind": "peak", "groups": 1} if kind == "measure" else {"epoch": 9, "ue": "ue-1"}
    for sequence in (2**63 - 1, WINDOW + 1000):
        peer.say_frames([packed(peer.header(kind, fields, sequence=sequence))])
    peer.silence_for(0.2, but=BACKGROUND | {"refusal"})
    peer.request(1)
    peer.expect_reply(1)


@case("peer/timing/resend", clause="4.7.3", expect="again after 0.25 s, 0.5 s, 1 s and 2 s, and not before")
def resend(peer: PeerUnderTest) -> None:
    """The answer to a request is not acknowledged for 4.5 s."""
    peer.open_session(heartbeat_s=0.2, liveness_s=10.0)
    peer.acknowledges = False
    peer.request(1)
    number = peer.expect_reply(1).sequence
    peer.wait(4.6)
    times_s = peer.copies_at_s[number]
    waits_s = (0.25, 0.5, 1.0, 2.0)
    if len(times_s) != len(waits_s) + 1:
        gaps = ", ".join(f"{later - earlier:.2f}" for earlier, later in itertools.pairwise(times_s))
        raise NonconformityError(f"expected {len(waits_s)} copies in 4.6 s, got {len(times_s) - 1} after {gaps} s")
    for earlier_s, later_s, wait_s in zip(times_s, times_s[1:], waits_s, strict=False):
        peer.rig.meter.require(later_s - earlier_s, wait_s + 0.1, "the next copy")
        peer.rig.meter.require(wait_s, later_s - earlier_s, "no copy earlier")
    peer.acknowledges = True


@case("peer/session/resend-ends-with-acknowledgement", clause="4.7.4", expect="no copy after it")
def resend_ends(peer: PeerUnderTest) -> None:
    """An answer is acknowledged after its first copy, by the header of a heartbeat."""
    peer.open_session(heartbeat_s=0.2, liveness_s=10.0)
    peer.acknowledges = False
    peer.request(1)
    number = peer.expect_reply(1).sequence
    _await_copy(peer, number)
    peer.acknowledges = True
    peer.say("heartbeat", {"progress": 1})
    copies = len(peer.copies_at_s[number])
    peer.wait(0.9)  # the next copy would come 0.5 s after the first
    if len(peer.copies_at_s[number]) > copies + 1:  # one may have crossed the acknowledgement
        raise NonconformityError(f"expected no copies of {number} after ack {number}")


def _await_copy(peer: PeerUnderTest, number: int) -> None:
    until_s = now_s() + 2.0
    while len(peer.copies_at_s[number]) < 2:
        if now_s() >= until_s:
            raise NonconformityError(f"expected message {number} again within 2 s, got no copy", "4.7.3")
        peer.pump.step(until_s)


@case("peer/session/acknowledged-in-part", clause="4.7.3", also=("4.7.4",), expect="copies of the second alone")
def acknowledged_in_part(peer: PeerUnderTest) -> None:
    """Of two answers the first is acknowledged."""
    peer.open_session(heartbeat_s=0.2, liveness_s=10.0)
    peer.request(1)
    peer.expect_reply(1)
    peer.acknowledges = False
    peer.request(2)
    second = peer.expect_reply(2).sequence
    _await_copy(peer, second)
    if len(peer.copies_at_s[second - 1]) > 1:
        peer.rig.meter.require(len(peer.copies_at_s[second - 1]), 1, "no copy of what was acknowledged")
    peer.acknowledges = True


@case(
    "peer/session/acknowledgement-of-the-unsaid",
    clause="4.7.3",
    expect="it counts as one of all that was sent, and later answers are sent again",
)
def acknowledgement_of_the_unsaid(peer: PeerUnderTest) -> None:
    """The controller acknowledges number 2^63-1 and 60, before the peer has sent any; then it leaves an answer without one."""
    peer.open_session(heartbeat_s=0.2, liveness_s=10.0)
    peer.acknowledges = False
    for number in (60, 2**63 - 1):
        peer.say("acknowledge", acknowledged=number)
    peer.request(1)
    _await_copy(peer, peer.expect_reply(1).sequence)
    peer.acknowledges = True


@case("peer/session/window-of-its-own", clause="4.8.1", expect="at most 64 answers that are not acknowledged")
def window_of_its_own(peer: PeerUnderTest) -> None:
    """A hundred requests come, none of whose answers is acknowledged; then all are, and one more request comes."""
    peer.open_session(heartbeat_s=0.2, liveness_s=10.0)
    peer.acknowledges = False
    for _ in range(100):
        peer.request(1)  # the same one, which gets the same answer
        peer.wait(0.002)
    peer.wait(0.3)
    peer.acknowledges = True
    peer.say("acknowledge")
    peer.wait(0.1)
    peer.inbox.clear()
    peer.say("acknowledge")
    peer.request(2)
    while peer.expect(*peer.answers).fields["epoch"] != 2:
        pass


@case("peer/session/answers-after-a-lost-acknowledgement", clause="4.9.1", expect="both answers, each once")
def answers_after_a_lost_acknowledgement(peer: PeerUnderTest) -> None:
    """A second request comes while the answer to the first is still to be acknowledged."""
    peer.open_session(heartbeat_s=0.2, liveness_s=10.0)
    peer.acknowledges = False
    peer.request(1)
    first = peer.expect_reply(1).sequence
    peer.request(2)
    second = peer.expect_reply(2).sequence
    if (first, second) != (1, 2):
        raise NonconformityError(f"expected numbers 1 and 2, got {first} and {second}", "4.6.1")
    peer.acknowledges = True
    peer.say("acknowledge")
