"""The kit as radio and UEs of a controller under test."""

import json
import signal
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from protocol.conformance.case import CannotRunError, InconclusiveError, NonconformityError, UnsupportedError
from protocol.conformance.conversation import PATIENCE_S, Conversation
from protocol.conformance.curve import Pass
from protocol.conformance.headers import Said
from protocol.conformance.keyring import RADIO
from protocol.conformance.raw_zmtp import RawZmtp
from protocol.conformance.referee import CONTROLLER_SAYS_TO_RADIO, CONTROLLER_SAYS_TO_UE
from protocol.conformance.rig import Rig
from protocol.conformance.sockets import now_s
from protocol.conformance.timing import VOID_S
from protocol.conformance.variants import Changes, variant_of

START_WITHIN_S = 30.0
NEVER_AWAITED = 2**62  # an epoch that no controller reaches
LONGEST_LIVENESS_S = 10.0  # that the kit waits for
REQUESTS = frozenset({"measure", "configure", "capture"})
STRANGERS_AGAIN_S = 1.1  # until what one second allows of refusals to strangers is there again (SPEC 9.3)
FRONT_END: Mapping[str, float] = {
    "groups": 4,
    "phase_bits": 0,
    "delay_step_s": 0.0,
    "delay_span_s": 100e-9,
    "settle_s": 0.0,
}


def hello_fields(rig: Rig, name: str, capabilities: Mapping[str, object]) -> dict[str, object]:
    """Return the fields of a conforming hello."""
    return {
        "name": name,
        "versions": [1],
        "software": "nftestbed conform",
        "digest": rig.digest,
        "facts": rig.facts,
        "capabilities": dict(capabilities),
    }


class KitPeer(Conversation):
    """A radio or UE that the kit plays, on a connection of its own.

    What the controller asks for is kept in `requests`; expectations do not see it.
    """

    def __init__(self, rig: Rig, name: str, capabilities: Mapping[str, object], keys: Pass | None = None) -> None:
        may_say = CONTROLLER_SAYS_TO_RADIO if capabilities["role"] == "radio" else CONTROLLER_SAYS_TO_UE
        super().__init__(rig.pump, time.time_ns() // 1000, may_say, rig.largest_frame_bytes)
        self.rig = rig
        self.name = name
        self.capabilities = dict(capabilities)
        self.liveness_s = 0.0
        self.requests: deque[Said] = deque()
        self._earlier: set[int] = set()
        if keys is None and rig.ring is not None:
            keys = rig.ring.pass_of(name)
        self._socket = rig.pump.connected(rig.control, name, self._hear, keys)

    def hello_fields(self, **changes: object) -> dict[str, object]:
        """Return the fields of a conforming hello, but for these."""
        return {**hello_fields(self.rig, self.name, self.capabilities), **changes}

    def greet(self, **changes: object) -> None:
        """Say hello, with these fields changed."""
        self.say("hello", self.hello_fields(**changes))

    def expect_welcome(self, *, within_s: float = PATIENCE_S) -> Said:
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

    def decline(self, epoch: int = NEVER_AWAITED, *, sequence: int | None = None) -> int:
        """Say `declined`, by default of an epoch that nobody awaits, and return its number."""
        return self.say("declined", {"epoch": epoch, "clause": "5.4", "text": "the kit declines"}, sequence=sequence)

    def expect_goes_on(self) -> None:
        """Check that the session is open: what is said next is acknowledged, and refused by nothing but 5.3."""
        sequence = self.decline()
        self.expect_refusal("5.3")
        self.expect_acknowledged(sequence)

    def expect_closed(self) -> None:
        """Check that the session is closed: whatever is said in it is refused by 4.12, with its number."""
        self.is_open = False
        self.say("heartbeat", {"progress": 1})
        self.expect_no_session()

    def expect_no_session(self) -> None:
        """Wait for the refusal by 4.12 of a message with the number at hand."""
        refusal = self.expect_refusal("4.12")
        if refusal.session != self.session:
            raise NonconformityError(f"expected session {self.session} in the refusal, got {refusal.session}", "4.12.1")

    def require_short_liveness(self) -> None:
        """Check that the kit has the patience to wait for a silent peer to be given up.

        Raises
        ------
        UnsupportedError
            If it takes too long.
        """
        if self.liveness_s > LONGEST_LIVENESS_S:
            text = f"liveness_s is {self.liveness_s:g} s, the kit waits for {LONGEST_LIVENESS_S:g} s at most"
            raise UnsupportedError(text)

    def renew(self, session: int | None = None) -> None:
        """Go on with another session number on the same connection, a larger one by default; nothing is said."""
        self._earlier.add(self.session)
        self._restart(time.time_ns() // 1000 if session is None else session)
        self.inbox.clear()
        self.requests.clear()

    def leave(self) -> None:
        """Say bye if the session is open, and close the connection."""
        if self.is_open:
            self.say("bye", {"reason": "the case ends"})
        self.vanish()

    def vanish(self) -> None:
        """Close the connection without a word; what was said is still sent."""
        self.is_open = False
        if self._duties in self.pump.duties:
            self.pump.duties.remove(self._duties)
        self.pump.drop(self._socket, linger_s=0.2)

    def _transmit(self, frames: Sequence[bytes]) -> bool:
        return self._socket.send(frames)

    def _take(self, said: Said) -> None:
        if said.session in {self.session, 0}:
            super()._take(said)
            if said.type in REQUESTS and self.inbox and self.inbox[-1] is said:  # a copy of an earlier one is not there
                self.requests.append(self.inbox.pop())
        elif said.type == "refusal":  # it may name the open session of another connection, or one that is gone
            self.inbox.append(said)
        elif said.session not in self._earlier:
            raise NonconformityError(f"expected session {self.session}, got {said.session} in {said.type}", "4.1.3")


class ControllerUnderTest:
    """A controller, and the peers that the kit plays to it."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.pump = rig.pump
        self.peers: list[KitPeer] = []
        self._raw: list[RawZmtp] = []
        self._written = 0

    def begin(self) -> None:
        """See that the controller runs and that no peer of the kit is connected."""
        self.close_peers()
        if self.rig.testee.ensure_running():
            self._await_start()
        self.records()

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
        probe.is_open = probe.inbox[0].type == "welcome"
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
        for connection in self._raw:
            connection.close()
        self._raw.clear()

    def rest(self) -> None:
        """Leave while another driver is at work, or for good."""
        self.close_peers()

    def resume(self) -> None:
        """Do nothing: peers connect when a case has them."""

    def peer(self, name: str, capabilities: Mapping[str, object], keys: Pass | None = None) -> KitPeer:
        """Return a peer on a new connection, which has said nothing yet; where links have keys, with its own unless given."""
        peer = KitPeer(self.rig, name, capabilities, keys)
        self.peers.append(peer)
        return peer

    def ue(
        self,
        name: str = "ue-1",
        kinds: Sequence[str] = ("peak", "group", "power", "complex"),
        keys: Pass | None = None,
    ) -> KitPeer:
        """Return a UE on a new connection, which has said nothing yet."""
        return self.peer(name, {"role": "ue", "feedback_kinds": list(kinds)}, keys)

    def radio(self, **front_end: float) -> KitPeer:
        """Return a radio on a new connection, which has said nothing yet."""
        elements = self.rig.shared.downlink.array.elements
        limits = {"elements": elements, **FRONT_END, **front_end}
        return self.peer(RADIO, {"role": "radio", "front_end": limits})

    def raw(self) -> RawZmtp:
        """Return a connection on which ZMTP itself can be broken."""
        connection = RawZmtp(self.rig.control, self.rig.log)
        self._raw.append(connection)
        return connection

    def let_strangers_be_answered(self) -> None:
        """Wait until refusals to connections without a session are no longer rationed."""
        self.pump_for(STRANGERS_AGAIN_S)

    def pump_for(self, duration_s: float) -> None:
        """Let time pass for all peers."""
        until_s = now_s() + duration_s
        while now_s() < until_s:
            self.pump.step(until_s)

    # --- the process -------------------------------------------------------------------------------------------------

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """Stop the controller's process for as long as the context lasts.

        Raises
        ------
        UnsupportedError
            If the kit has not started it.
        """
        if not self.rig.testee.signal(signal.SIGSTOP):
            raise UnsupportedError("the kit did not start the testee, and so cannot stop it for a while")
        try:
            yield
        finally:
            self.rig.testee.signal(signal.SIGCONT)

    @contextmanager
    def variant(self, name: str, changes: Changes) -> Iterator["ControllerUnderTest"]:
        """Run another controller of the same command, on a testbed file with some of its sections changed.

        Raises
        ------
        UnsupportedError
            If the kit does not start the testee, or it does not run on this file.
        """
        with variant_of(self.rig, name, changes) as rig:
            other = ControllerUnderTest(rig)
            try:
                other.begin()
            except CannotRunError as error:
                raise UnsupportedError(f"no controller with {name}: {error}") from error
            try:
                yield other
                other.finish()
            finally:
                other.close_peers()

    def blame(self, error: NonconformityError, what: str) -> None:
        """Blame the controller for what it should have had the time for, unless this machine had none.

        Raises
        ------
        InconclusiveError
            If the machine is too slow to tell.
        NonconformityError
            Otherwise.
        """
        late_s = self.rig.meter.worst_s
        if late_s > VOID_S:
            raise InconclusiveError(f"{what}: {error.text}, on a machine that was {late_s:.3f} s late") from error
        raise NonconformityError(f"{what}: {error.text}") from error

    def records(self) -> list[dict[str, Any]]:
        """Return what the controller has printed since the last call that is an object of JSON on a line."""
        output = self.rig.testee.output_from(self._written)
        whole = output.rpartition(b"\n")[0]
        self._written += len(whole)
        return [found for line in whole.splitlines() if (found := _object(line)) is not None]


def _object(line: bytes) -> dict[str, Any] | None:
    if not line.startswith(b"{"):
        return None
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
