"""The kit as radio and UEs of a controller under test."""

import time
from collections.abc import Mapping, Sequence

from protocol.conformance.case import CannotRunError, NonconformityError
from protocol.conformance.conversation import Conversation
from protocol.conformance.headers import Said
from protocol.conformance.referee import CONTROLLER_SAYS_TO_RADIO, CONTROLLER_SAYS_TO_UE
from protocol.conformance.rig import Rig
from protocol.conformance.sockets import now_s

START_WITHIN_S = 30.0
RADIO_NAME = "radio"
FRONT_END: Mapping[str, float] = {
    "groups": 4,
    "phase_bits": 0,
    "delay_step_s": 0.0,
    "delay_span_s": 100e-9,
    "settle_s": 0.0,
}


class KitPeer(Conversation):
    """A radio or UE that the kit plays, on a connection of its own."""

    def __init__(self, rig: Rig, name: str, capabilities: Mapping[str, object]) -> None:
        may_say = CONTROLLER_SAYS_TO_RADIO if capabilities["role"] == "radio" else CONTROLLER_SAYS_TO_UE
        super().__init__(rig.pump, time.time_ns() // 1000, may_say, rig.largest_frame_bytes)
        self.rig = rig
        self.name = name
        self.capabilities = dict(capabilities)
        self.liveness_s = 0.0
        self._socket = rig.pump.connected(rig.control, name, self._hear)

    def hello_fields(self, **changes: object) -> dict[str, object]:
        """Return the fields of a conforming hello, but for these."""
        return {
            "name": self.name,
            "versions": [1],
            "software": "nftestbed conform",
            "digest": self.rig.digest,
            "facts": self.rig.facts,
            "capabilities": self.capabilities,
            **changes,
        }

    def greet(self, **changes: object) -> None:
        """Say hello, with these fields changed."""
        self.say("hello", self.hello_fields(**changes))

    def expect_welcome(self, *, within_s: float = 2.0) -> Said:
        """Wait for welcome; the kit beats from now on."""
        welcome = self.expect("welcome", within_s=within_s)
        self.heartbeat_s = float(str(welcome.fields["heartbeat_s"]))
        self.liveness_s = float(str(welcome.fields["liveness_s"]))
        self.is_open = True
        return welcome

    def open_session(self) -> None:
        """Say hello and wait for welcome."""
        self.greet()
        self.expect_welcome()

    def renew(self, session: int) -> None:
        """Go on with another session number on the same connection; nothing is said."""
        self._restart(session)
        self.inbox.clear()

    def leave(self) -> None:
        """Say bye if the session is open, and close the connection."""
        if self.is_open:
            self.say("bye", {"reason": "the case ends"})
        self.is_open = False
        self.pump.duties.remove(self._duties)
        self.pump.drop(self._socket, linger_s=0.2)

    def _transmit(self, frames: Sequence[bytes]) -> bool:
        return self._socket.send(frames)

    def _take(self, said: Said) -> None:
        if said.session not in {self.session, 0} and said.type != "refusal":
            raise NonconformityError(f"expected session {self.session}, got {said.session} in {said.type}", "4.1.3")
        if said.session in {self.session, 0}:
            super()._take(said)
        else:  # a refusal may name the open session of another connection, or one that is gone (4.5.2, 4.12.1)
            self.inbox.append(said)


class ControllerUnderTest:
    """A controller, and the peers that the kit plays to it."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.pump = rig.pump
        self.peers: list[KitPeer] = []
        self._epoch = 0

    def begin(self) -> None:
        """See that the controller runs and that no peer of the kit is connected."""
        self.close_peers()
        if self.rig.testee.ensure_running():
            self._await_start()

    def _await_start(self) -> None:
        """Wait until it welcomes somebody; a DEALER keeps a hello until something is bound."""
        probe = self.ue()
        probe.greet()
        until_s = now_s() + START_WITHIN_S
        while not probe.inbox:
            status = self.rig.testee.ended()
            if status is not None or now_s() >= until_s:
                self.rig.testee.ensure_running()  # raises if the status says: unsupported
                text = f"ended with status {status}" if status is not None else f"said nothing in {START_WITHIN_S:g} s"
                raise CannotRunError(f"expected an answer to hello on {self.rig.control}, but the testee {text}")
            self.pump.step(until_s)
        self.close_peers()

    def finish(self) -> None:
        """Check what can be told only at the end of a case."""
        for peer in self.peers:
            peer.finish()

    def close_peers(self) -> None:
        """Leave with every peer."""
        for peer in self.peers:
            peer.leave()
        self.peers.clear()

    def peer(self, name: str, capabilities: Mapping[str, object]) -> KitPeer:
        """Return a peer on a new connection, which has said nothing yet."""
        peer = KitPeer(self.rig, name, capabilities)
        self.peers.append(peer)
        return peer

    def ue(self, name: str = "ue-1", kinds: Sequence[str] = ("peak", "group", "power", "complex")) -> KitPeer:
        """Return a UE on a new connection, which has said nothing yet."""
        return self.peer(name, {"role": "ue", "feedback_kinds": list(kinds)})

    def radio(self, **front_end: float) -> KitPeer:
        """Return a radio on a new connection, which has said nothing yet."""
        elements = self.rig.shared.downlink.array.elements
        limits = {"elements": elements, **FRONT_END, **front_end}
        return self.peer(RADIO_NAME, {"role": "radio", "front_end": limits})
