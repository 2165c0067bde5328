"""What radios and UEs must do in time."""

from protocol.conformance.case import case
from protocol.conformance.drivers.peer import PeerUnderTest
from protocol.conformance.sockets import now_s


@case("peer/timing/heartbeats", clause="4.10.1", expect="something said every 0.1 s, plus 0.1 s for timers")
def heartbeats(peer: PeerUnderTest) -> None:
    """An open session with heartbeat_s of 0.1 s is watched for 1 s."""
    peer.open_session(heartbeat_s=0.1, liveness_s=1.0)
    heard_s, until_s = now_s(), now_s() + 1.0
    while now_s() < until_s:
        said = peer.expect("heartbeat", within_s=1.0)
        peer.rig.meter.require(said.at_s - heard_s, 0.2, "a heartbeat")
        heard_s = said.at_s


@case("peer/timing/silent-controller", clause="4.11.1", expect="hello with a larger number")
def silent_controller(peer: PeerUnderTest) -> None:
    """The controller falls silent in a session with liveness_s of 0.5 s."""
    peer.open_session(heartbeat_s=0.1, liveness_s=0.5)
    peer.beats = peer.acknowledges = False
    peer.expect_new_session(within_s=3.0)
