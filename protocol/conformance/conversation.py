"""One end of a session in the kit's hands: verbs to say things with, and expectations that raise.

While it waits, it beats and acknowledges by itself, unless a case switches that off, and everything that comes passes the
referee. Expectations pass over heartbeats and acknowledgements.
"""

from collections import deque
from collections.abc import Mapping, Sequence

from protocol.conformance.case import NonconformityError
from protocol.conformance.headers import UNSEQUENCED, Array, Fields, Said, frames_of, header, parsed, summary
from protocol.conformance.referee import SessionWatch
from protocol.conformance.sockets import Pump, now_s

BACKGROUND = frozenset({"heartbeat", "acknowledge"})
PATIENCE_S = 2.0  # for what has no bound of its own


class Conversation:
    """The kit's side of a session; subclasses know the socket."""

    def __init__(self, pump: Pump, session: int, may_say: frozenset[str], largest_frame_bytes: int) -> None:
        self.pump = pump
        self.may_say = may_say
        self.largest_frame_bytes = largest_frame_bytes
        self.beats = self.acknowledges = True
        self.heartbeat_s = 0.2
        self.inbox: deque[Said] = deque()
        self.heard_at_s: dict[str, list[float]] = {}
        self.copies_at_s: dict[int, list[float]] = {}  # of each sequence number; the inbox holds the first alone
        self._said_s = 0.0
        self._restart(session)
        pump.duties.append(self._duties)

    def _restart(self, session: int) -> None:
        """Begin with the numbers of a new session."""
        self.watch = SessionWatch(session=session, may_say=self.may_say)
        self.copies_at_s = {}
        self.is_open = False

    @property
    def session(self) -> int:
        """Return the number of the session at hand."""
        return self.watch.session

    @property
    def stated(self) -> int:
        """Return what the kit acknowledges in each header now; it no longer grows once `acknowledges` is off."""
        return self.watch.received if self.acknowledges else self.watch.stated

    def _transmit(self, frames: Sequence[bytes]) -> bool:
        raise NotImplementedError

    # --- saying ------------------------------------------------------------------------------------------------------

    def say(
        self,
        kind: str,
        fields: Fields | None = None,
        arrays: Mapping[str, Array] | None = None,
        *,
        session: int | None = None,
        sequence: int | None = None,
        acknowledged: int | None = None,
    ) -> int:
        """Say something and return its sequence number; session, numbers and acknowledgement are right unless given."""
        if sequence is None:
            sequence = 0 if kind in UNSEQUENCED else self.watch.number()
        values = self.header(kind, fields or {}, session=session, sequence=sequence, acknowledged=acknowledged)
        if acknowledged is not None:
            self.watch.acknowledges(min(acknowledged, self.watch.received), now_s())
        self.say_frames(frames_of(values, arrays or {}), sequence=sequence)
        return sequence

    def header(
        self,
        kind: str,
        fields: Fields,
        *,
        session: int | None = None,
        sequence: int = 0,
        acknowledged: int | None = None,
    ) -> dict[str, object]:
        """Return the header of a message in this session, to be said as it is or after some damage."""
        return header(
            kind,
            fields,
            session=self.session if session is None else session,
            sequence=sequence,
            acknowledged=self.stated if acknowledged is None else acknowledged,
        )

    def say_frames(self, frames: Sequence[bytes], *, sequence: int = 0) -> None:
        """Say any frames; a `sequence` may be acknowledged from now on."""
        if sequence:
            self.watch.said(sequence)
        self._said_s = now_s()
        self.watch.acknowledges(self.stated, self._said_s)
        self._transmit(frames)

    def _duties(self, at_s: float) -> None:
        if self.is_open and self.beats and at_s - self._said_s >= self.heartbeat_s:
            self.say("heartbeat", {"progress": 1})

    # --- hearing -----------------------------------------------------------------------------------------------------

    def _hear(self, route: bytes, frames: list[bytes], at_s: float) -> None:
        """Take what came on the socket (the handler of the pump)."""
        largest = max(map(len, frames), default=0)
        if largest > self.largest_frame_bytes:
            raise NonconformityError(
                f"expected frames of at most {self.largest_frame_bytes} bytes, got {largest}", "2.4.1"
            )
        self._take(parsed(frames, at_s=at_s, route=route))

    def _take(self, said: Said) -> None:
        """Take a message of this session."""
        again = said.sequence in self.watch.heard
        self.watch.check(said)
        self.heard_at_s.setdefault(said.type, []).append(said.at_s)
        if said.sequence:
            self.copies_at_s.setdefault(said.sequence, []).append(said.at_s)
        if not again:
            self.inbox.append(said)
        if said.sequence and self.acknowledges:
            self.say("acknowledge")

    def next_within(self, within_s: float) -> Said | None:
        """Return the next message, if one comes in time."""
        until_s = now_s() + within_s
        while not self.inbox and now_s() < until_s:
            self.pump.step(until_s)
        if not self.inbox:
            self.pump.step(0.0)
        return self.inbox.popleft() if self.inbox else None

    def expect(self, *kinds: str, within_s: float = PATIENCE_S) -> Said:
        """Return the next message of one of these types; anything else but background fails the case."""
        until_s = now_s() + within_s
        wanted = " or ".join(kinds)
        while (said := self.next_within(max(0.0, until_s - now_s()))) is not None:
            if said.type in kinds:
                return said
            if said.type not in BACKGROUND:
                raise NonconformityError(f"expected {wanted}, got {summary(said.frames)}")
        raise NonconformityError(f"expected {wanted} within {within_s:g} s, got nothing")

    def expect_refusal(self, *clauses: str, within_s: float = PATIENCE_S) -> Said:
        """Return the refusal that names one of these clauses, which may be given as requirements."""
        wanted = [".".join(clause.split(".")[:2]) for clause in clauses]
        refusal = self.expect("refusal", within_s=within_s)
        if refusal.fields["clause"] not in wanted:
            what = " or ".join(wanted)
            raise NonconformityError(f"expected a refusal by {what}, got {refusal.fields}")
        return refusal

    def expect_acknowledged(self, sequence: int, *, within_s: float = PATIENCE_S) -> float:
        """Wait until a message of the kit is acknowledged, and return when it was."""
        until_s = now_s() + within_s
        while self.watch.acknowledged < sequence:
            if now_s() >= until_s:
                got = self.watch.acknowledged
                raise NonconformityError(f"expected ack {sequence} within {within_s:g} s, got {got}")
            self.pump.step(until_s)
        return now_s()

    def silence_for(self, duration_s: float, *, but: frozenset[str] = BACKGROUND) -> None:
        """Check that nothing comes but what may."""
        until_s = now_s() + duration_s
        while (said := self.next_within(max(0.0, until_s - now_s()))) is not None:
            if said.type not in but:
                raise NonconformityError(f"expected nothing for {duration_s:g} s, got {summary(said.frames)}")

    def wait(self, duration_s: float) -> None:
        """Let time pass while messages are collected."""
        until_s = now_s() + duration_s
        while now_s() < until_s:
            self.pump.step(until_s)

    def finish(self) -> None:
        """Check what can be told only at the end of a case."""
        gap = self.watch.gap()
        if gap is None:
            return
        until_s = now_s() + 1.0  # the second resend
        while self.watch.gap() == gap and now_s() < until_s:
            self.pump.step(until_s)
        if self.watch.gap() == gap:
            raise NonconformityError(f"expected numbers 1, 2, 3, ..., never got {gap}", "4.6.1")
