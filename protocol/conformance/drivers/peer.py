"""What radio and UE under test have in common: they connect, say hello, and can be made to begin anew."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from protocol.conformance.case import CannotRunError, NonconformityError, UnsupportedError
from protocol.conformance.conversation import PATIENCE_S, Conversation
from protocol.conformance.curve import Door
from protocol.conformance.headers import Said, frames_of, header, parsed
from protocol.conformance.keyring import CONTROLLER
from protocol.conformance.raw_listener import RawListener, identity_in, listening
from protocol.conformance.raw_zmtp import RawZmtp
from protocol.conformance.rig import Rig
from protocol.conformance.sockets import KitSocket, now_s
from protocol.conformance.testee import CommandTestee

START_WITHIN_S = 20.0
AGAIN_WITHIN_S = 3.0  # the longest pause of SPEC 4.1.6 and a hello
CROSSING_S = 0.7  # a hello that was under way when the welcome was said


class PeerUnderTest(Conversation):
    """The kit as a controller of one peer."""

    answers: frozenset[str] = frozenset()  # what may answer a `request`

    def __init__(self, rig: Rig, may_say: frozenset[str]) -> None:
        super().__init__(rig.pump, 0, may_say, rig.largest_frame_bytes)
        self.rig = rig
        self.hello: Said | None = None
        self.route = b""
        self._hello_numbers: set[int] = set()
        self._opened_s = 0.0
        self._air: KitSocket | None = None
        self.door = None if rig.ring is None else rig.ring.door_of(CONTROLLER)
        self._socket = rig.pump.bound(rig.control, "control", self._hear, self.door)

    # --- a case begins and ends --------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Bring the testee to the hello of a fresh session, as cheaply as it takes."""
        self.beats, self.acknowledges, self.heartbeat_s = True, True, 0.2
        self.inbox.clear()
        self.heard_at_s.clear()
        before = max(self._hello_numbers, default=0)
        if self.rig.testee.ensure_running():
            self._await_hello(before, START_WITHIN_S)
        elif not self._dismissed(before):
            self.rig.log.remark("no new session after a refusal by 4.12 and a bye", now_s())
            if not self.rig.testee.restart():
                self._rebind()
            self._await_hello(before, START_WITHIN_S)
        self.inbox.clear()

    def _dismissed(self, before: int) -> bool:
        """Close the session at hand; return whether the testee says hello again."""
        if self.hello is None:
            return self._waited_for_hello(before, START_WITHIN_S)
        if not self.is_open:
            self.welcome()  # a refusal by 4.12 closes open sessions only
        for kind, fields in (
            ("refusal", {"clause": "4.12", "text": "the kit begins anew"}),
            ("bye", {"reason": "anew"}),
        ):
            if self.session == before:
                self.is_open = False
                self.say(kind, fields)
            if self._waited_for_hello(before, AGAIN_WITHIN_S):
                return True
        return False

    def _waited_for_hello(self, before: int, within_s: float) -> bool:
        until_s = now_s() + within_s
        while self.session <= before and now_s() < until_s and self.rig.testee.ended() is None:
            self.pump.step(until_s)
        return self.session > before

    def _await_hello(self, before: int, within_s: float) -> None:
        if self._waited_for_hello(before, within_s):
            return
        status = self.rig.testee.ended()
        self.rig.testee.ensure_running()  # raises if the status says: unsupported
        text = f"ended with status {status}" if status is not None else f"said none in {within_s:g} s"
        if not self._hello_numbers:
            raise CannotRunError(f"expected a hello on {self.rig.control}, but the testee {text}")
        raise NonconformityError(f"expected a hello with a number above {before}, but the testee {text}", "4.1.5")

    @contextmanager
    def raw_listener(self) -> Iterator[RawListener]:
        """Listen in the controller's place without libzmq; the kit's own endpoint is back at the end."""
        self.vanish()
        try:
            with listening(self.rig.control, self.rig.log) as listener:
                yield listener
        finally:
            self.come_back()

    def welcomed(self, listener: RawListener, *, heartbeat_s: float, liveness_s: float) -> RawZmtp:
        """Accept a connection without libzmq, wait for its hello and say welcome."""
        connection = listener.accept(within_s=START_WITHIN_S)
        if identity := identity_in(connection.shake_hands().body):
            raise NonconformityError(f"expected no routing id, got {identity!r}", "2.1.1")
        frames = connection.next_message(START_WITHIN_S)
        if frames is None:
            raise NonconformityError("expected hello on a new connection, got nothing", "4.1.5")
        hello = parsed(frames, at_s=now_s())
        fields = {"version": 1, "heartbeat_s": heartbeat_s, "liveness_s": liveness_s}
        connection.say(frames_of(header("welcome", fields, session=hello.session), {}))
        return connection

    @contextmanager
    def raw_session(self, *, heartbeat_s: float, liveness_s: float) -> Iterator[RawZmtp]:
        """Open a session without libzmq; the kit's own endpoint is back at the end."""
        with self.raw_listener() as listener:
            yield self.welcomed(listener, heartbeat_s=heartbeat_s, liveness_s=liveness_s)

    def _rebind(self) -> None:
        self.vanish()
        self.come_back()

    def vanish(self) -> None:
        """Close the controller's endpoint, as when it crashes."""
        self.is_open = False
        self.pump.drop(self._socket)

    def come_back(self, door: Door | None = None) -> None:
        """Bind the controller's endpoint again after `vanish`, at another door if given; nothing is known of any session."""
        self._socket = self.pump.bound(self.rig.control, "control", self._hear, door or self.door)

    def rest(self) -> None:
        """Close the kit's sockets while another driver is at work, or for good."""
        self.vanish()
        self.drop_air()
        self.pump.duties.remove(self._duties)

    def resume(self) -> None:
        """Have them again after `rest`."""
        self.pump.duties.append(self._duties)
        self.come_back()
        if self._air is not None:
            self.open_air()

    def drop_air(self) -> None:
        """Close the kit's end of the air link, as when it crashes."""
        if self._air is not None:
            self.pump.drop(self._air)

    def open_air(self) -> None:
        """Have the kit's end of the air link anew."""
        raise NotImplementedError

    def require_air(self) -> None:
        """Check that the testee has an air link.

        Raises
        ------
        UnsupportedError
            If the user said that it has none.
        """
        if self._air is None:
            raise UnsupportedError("the testee has no air link")

    # --- verbs -------------------------------------------------------------------------------------------------------

    def welcome(self, *, version: int = 1, heartbeat_s: float = 0.2, liveness_s: float = 1.0) -> None:
        """Say welcome to the hello at hand."""
        self.heartbeat_s = heartbeat_s
        self.is_open, self._opened_s = True, now_s()
        self.say("welcome", {"version": version, "heartbeat_s": heartbeat_s, "liveness_s": liveness_s})

    def open_session(self, *, heartbeat_s: float = 0.2, liveness_s: float = 1.0) -> None:
        """Open the session of the hello at hand."""
        self.welcome(heartbeat_s=heartbeat_s, liveness_s=liveness_s)

    def refuse(self, clause: str, text: str = "the kit tests refusals", *, final: bool = False) -> None:
        """Say a refusal."""
        self.say("refusal", {"clause": clause, "text": text, "final": final})

    def expect_new_session(self, *, within_s: float = AGAIN_WITHIN_S) -> Said:
        """Return the hello of a session with a larger number than the one at hand had when it was last heard."""
        known = self.session if not self.inbox or self.inbox[-1].type != "hello" else 0
        until_s = now_s() + within_s
        while (said := self.next_within(max(0.0, until_s - now_s()))) is not None:
            if said.type == "hello" and said.session > known:
                return said
        raise NonconformityError(f"expected the hello of a new session within {within_s:g} s, got none")

    def request(self, epoch: int, *, session: int | None = None, sequence: int | None = None) -> int:
        """Ask for some work that every peer of this role can do or decline, and return the sequence number."""
        kind, fields = self.requested(epoch)
        return self.say(kind, fields, session=session, sequence=sequence)

    def requested(self, epoch: int) -> tuple[str, dict[str, object]]:
        """Return type and fields of what a `request` says."""
        raise NotImplementedError

    def expect_service(self) -> None:
        """Open a session, ask, and hear the answer."""
        self.open_session()
        self.request(1)
        self.expect_reply(1)

    def expect_reply(self, epoch: int, *, within_s: float = PATIENCE_S) -> Said:
        """Return the answer to a `request`."""
        said = self.expect(*sorted(self.answers), within_s=within_s)
        if said.fields["epoch"] != epoch:
            raise NonconformityError(f"expected an answer of epoch {epoch}, got {said.type} {said.fields}", "5.1.4")
        return said

    def process(self) -> CommandTestee:
        """Return the process under test, to be stopped or killed.

        Raises
        ------
        UnsupportedError
            If somebody else has started it.
        """
        if not isinstance(self.rig.testee, CommandTestee):
            raise UnsupportedError("the kit has not started the process and must not stop it")
        return self.rig.testee

    def say_to(self, route: bytes, frames: Sequence[bytes]) -> bool:
        """Say any frames on one connection, of a session before; return whether it is still there."""
        return self._socket.send(frames, route)

    def is_connected(self) -> bool:
        """Return whether the connection of the session is still there, by saying an acknowledgement on it."""
        return self._transmit(frames_of(self.header("acknowledge", {}), {}))

    def _transmit(self, frames: Sequence[bytes]) -> bool:
        return self._socket.send(frames, self.route)

    # --- hearing -----------------------------------------------------------------------------------------------------

    def _hear(self, route: bytes, frames: list[bytes], at_s: float) -> None:
        if len(route) != 5 or route[0] != 0:
            raise NonconformityError(f"expected no routing id, got {route!r}", "2.1.1")
        super()._hear(route, frames, at_s)

    def _take(self, said: Said) -> None:
        if said.type == "hello":
            self._greeted(said)
        elif said.session == self.session or (said.type == "refusal" and said.session == 0):
            if not self.is_open and said.route == self.route and self.session == max(self._hello_numbers, default=0):
                self._before_welcome(said)
            super()._take(said)
        elif said.session not in self._hello_numbers:
            raise NonconformityError(f"expected session {self.session}, got {said.session} in {said.type}", "4.1.3")

    def _before_welcome(self, said: Said) -> None:
        if not self._opened_s:
            raise NonconformityError(f"expected nothing but hello before welcome, got {said.type}", "4.1.4")

    def _greeted(self, said: Said) -> None:
        if said.session > self.session:
            self._hello_numbers.add(said.session)
            self._restart(said.session)
            self.hello, self.route, self._opened_s = said, said.route, 0.0
            self.inbox.append(said)
            self.heard_at_s["hello"] = [said.at_s]
        elif said.session == self.session and (said.route == self.route or not self._opened_s):
            self.route = said.route  # before welcome it may have connected anew
            self._greeted_again(said)
        elif said.session not in self._hello_numbers:
            text = f"expected a number above {self.session}, got {said.session}"
            raise NonconformityError(text, "4.1.1")

    def _greeted_again(self, said: Said) -> None:
        if self.hello is not None and said.without_acknowledgement() != self.hello.without_acknowledgement():
            raise NonconformityError("expected the same hello again, got another of the same number", "4.1.5")
        self.heard_at_s.setdefault("hello", []).append(said.at_s)  # the first may have been heard in the case before
        if self._opened_s and said.at_s - self._opened_s < CROSSING_S:
            return
        self.inbox.append(said)
