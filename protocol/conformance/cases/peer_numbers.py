"""Session numbers, as radios and UEs heed them."""

from protocol.conformance.case import NonconformityError, case
from protocol.conformance.drivers.peer import PeerUnderTest


@case(
    "peer/session/number-in-all-messages",
    clause="4.1.3",
    also=("3.4.1", "4.6.1"),
    expect="the number of hello in answers, acknowledgements, heartbeats and refusals",
)
def number_in_all_messages(peer: PeerUnderTest) -> None:
    """A request, a message without a place and two heartbeats' time go by; the referee reads every header."""
    peer.expect_service()
    peer.say("ready", {"epoch": 1, "pilots": 1, "phase_deviation_cycles": 0.0, "delay_deviation_s": 0.0})
    refusal = peer.expect_refusal("4.14")
    if refusal.session != peer.session:
        raise NonconformityError(f"expected session {peer.session}, got {refusal.session} in refusal")
    peer.expect("heartbeat")
    peer.expect("heartbeat")


@case("peer/session/request-of-another-session", clause="4.1.7", expect="no answer, no acknowledgement")
def request_of_another_session(peer: PeerUnderTest) -> None:
    """Requests carry a smaller and a larger session number, then one its own."""
    peer.open_session()
    for number in (peer.session - 1, peer.session + 1, 0):
        peer.request(1, session=number, sequence=1)
    peer.silence_for(0.3, but=frozenset({"heartbeat", "acknowledge", "refusal"}))
    if peer.watch.acknowledged:
        raise NonconformityError("expected that nothing of another session is acknowledged, got ack 1")
    peer.request(2, sequence=1)
    while (said := peer.expect("refusal", *peer.answers)).type == "refusal":
        pass
    if said.fields["epoch"] != 2:
        raise NonconformityError(f"expected an answer of epoch 2, got {said.fields}")


@case("peer/session/end-of-another-session", clause="4.1.7", expect="the session goes on")
def end_of_another_session(peer: PeerUnderTest) -> None:
    """Bye, a refusal by 4.12, a final one and an acknowledgement carry other session numbers."""
    peer.open_session()
    for number in (peer.session - 1, peer.session + 1):
        peer.say("bye", {"reason": "another session"}, session=number)
        peer.say("refusal", {"clause": "4.12", "text": "another session"}, session=number)
        peer.say("acknowledge", session=number, acknowledged=5)
    peer.silence_for(0.3)
    peer.request(1)
    peer.expect_reply(1)


@case("peer/session/welcome-of-another-session", clause="4.1.7", expect="hello goes on")
def welcome_of_another_session(peer: PeerUnderTest) -> None:
    """Welcome carries other session numbers than hello."""
    for number in (peer.session - 1, peer.session + 1):
        peer.say("welcome", {"version": 1, "heartbeat_s": 0.1, "liveness_s": 1.0}, session=number)
    peer.silence_for(0.3, but=frozenset({"hello"}))
    peer.expect("hello")


@case("peer/session/echoes-of-the-session-before", clause="4.1.7", expect="the new session goes on")
def echoes_of_the_session_before(peer: PeerUnderTest) -> None:
    """A session is closed by 4.12 and a new one opened; then what was under way in the old one arrives."""
    peer.open_session()
    old = peer.session
    peer.is_open = False
    peer.refuse("4.12")
    peer.expect_new_session()
    peer.say("refusal", {"clause": "4.12", "text": "an echo"}, session=old)
    peer.open_session()
    peer.request(7, session=old, sequence=1)
    peer.say("refusal", {"clause": "4.12", "text": "an echo"}, session=old)
    peer.say("bye", {"reason": "an echo"}, session=old)
    peer.silence_for(0.3)
    peer.request(1, sequence=1)
    peer.expect_reply(1)


@case("peer/session/numbers-begin-anew", clause="4.6.1", also=("4.7.1", "5.1.3"), expect="sequence numbers from 1")
def numbers_begin_anew(peer: PeerUnderTest) -> None:
    """Three requests are answered, the session is closed by 4.12, and one is asked in the next."""
    peer.open_session()
    for epoch in (1, 2, 3):
        peer.request(epoch)
        peer.expect_reply(epoch)
    peer.is_open = False
    peer.refuse("4.12")
    peer.expect_new_session()
    peer.open_session()
    peer.request(1)
    said = peer.expect_reply(1)
    if said.sequence != 1:
        raise NonconformityError(f"expected sequence number 1 in a new session, got {said.sequence}")
