"""How radios and UEs end sessions and begin others: what only a peer of one certain fault does."""

from protocol.conformance.case import NonconformityError, case
from protocol.conformance.conversation import BACKGROUND
from protocol.conformance.drivers.peer import AGAIN_WITHIN_S, PeerUnderTest
from protocol.conformance.headers import summary
from protocol.conformance.sockets import now_s


@case(
    "peer/session/bye-in-a-patient-session",
    clause="4.13.1",
    also=("4.13.2",),
    expect="hello with a larger number, nothing else before",
)
def bye_in_a_patient_session(peer: PeerUnderTest) -> None:
    """The controller says bye in a session whose silence would be borne for longer than the pause before a new one."""
    peer.open_session(liveness_s=30.0)
    peer.expect("heartbeat")
    said_s = now_s()
    peer.is_open = False
    peer.say("bye", {"reason": "the kit tests bye"})
    while (said := peer.next_within(max(0.0, said_s + AGAIN_WITHIN_S - now_s()))) is not None:
        if said.type == "hello":
            return
        if said.type not in BACKGROUND:
            raise NonconformityError(f"expected no answer to bye, got {summary(said.frames)}", "4.13.2")
    raise NonconformityError(f"expected the hello of a new session within {AGAIN_WITHIN_S:g} s, got none")
