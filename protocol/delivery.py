"""Reliable, ordered, exactly-once delivery within one session (SPEC 4.6-4.9): rules, no sockets, no clock.

ZeroMQ loses, reorders and silently drops when it reconnects, so sequence numbers, acknowledgement, resend and duplicate
suppression are ours. Both ends of a session hold one `Delivery` each.
"""

from collections import OrderedDict
from dataclasses import dataclass, field

from protocol.codec import Envelope
from protocol.errors import OurFaultError
from protocol.messages import Acknowledge, Message

WINDOW = 64
FIRST_RESEND_S = 0.25
LONGEST_RESEND_S = 2.0
ACKNOWLEDGE_WITHIN_S = 0.1


@dataclass(slots=True)
class _Outstanding:
    message: Message
    due_s: float
    wait_s: float = FIRST_RESEND_S


@dataclass(slots=True)
class Delivery:
    """One end's view of a session: what it has sent and not seen acknowledged, what it has received and in which order."""

    session: int
    resent: int = 0
    duplicates: int = 0
    _last_sent: int = 0
    _last_received: int = 0
    _outstanding: OrderedDict[int, _Outstanding] = field(default_factory=OrderedDict)
    _early: dict[int, Message] = field(default_factory=dict)
    _owes_since_s: float | None = None

    def seal(self, message: Message, now_s: float) -> Envelope:
        """Return the envelope of a new message, remembered until it is acknowledged if it is sequenced.

        Raises
        ------
        OurFaultError
            If the peer has left a full window of messages unacknowledged (SPEC 4.8).
        """
        sequence = 0
        if message.SEQUENCED:
            if len(self._outstanding) >= WINDOW:
                raise OurFaultError("4.8", f"{WINDOW} messages are unacknowledged")
            sequence = self._last_sent = self._last_sent + 1
            self._outstanding[sequence] = _Outstanding(message, now_s + FIRST_RESEND_S)
        return self._envelope(sequence, message)

    def accept(self, envelope: Envelope, now_s: float) -> list[Message]:
        """Return the messages that are deliverable now, in order; a duplicate delivers nothing (SPEC 4.9)."""
        while self._outstanding and next(iter(self._outstanding)) <= envelope.acknowledged:
            self._outstanding.popitem(last=False)
        sequence = envelope.sequence
        if sequence == 0:
            return [envelope.message]
        if self._owes_since_s is None:
            self._owes_since_s = now_s
        if sequence == self._last_received + 1 and not self._early:
            self._last_received = sequence
            return [envelope.message]
        if sequence <= self._last_received or sequence in self._early:
            self.duplicates += 1
            return []
        if sequence <= self._last_received + WINDOW:
            self._early[sequence] = envelope.message
        return self._in_order()

    def _in_order(self) -> list[Message]:
        ready: list[Message] = []
        while (message := self._early.pop(self._last_received + 1, None)) is not None:
            self._last_received += 1
            ready.append(message)
        return ready

    def due(self, now_s: float) -> list[Envelope]:
        """Return what must be sent by now though nobody asked: resends, or an acknowledgement that is owed."""
        late = [(sequence, item) for sequence, item in self._outstanding.items() if item.due_s <= now_s]
        for _, item in late:
            item.wait_s = min(2 * item.wait_s, LONGEST_RESEND_S)
            item.due_s = now_s + item.wait_s
        self.resent += len(late)
        if late:
            return [self._envelope(sequence, item.message) for sequence, item in late]
        if self._owes_since_s is not None and now_s - self._owes_since_s >= ACKNOWLEDGE_WITHIN_S:
            return [self._envelope(0, Acknowledge())]
        return []

    def _envelope(self, sequence: int, message: Message) -> Envelope:
        self._owes_since_s = None  # every header acknowledges
        return Envelope(session=self.session, sequence=sequence, acknowledged=self._last_received, message=message)

    @property
    def unacknowledged(self) -> int:
        """Return how many messages the peer has not acknowledged."""
        return len(self._outstanding)
