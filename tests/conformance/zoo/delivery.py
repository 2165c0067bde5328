"""Numbers, acknowledgements and resends gone wrong, on whichever side."""

from typing import Any

import msgspec

from protocol import delivery
from protocol.codec import Envelope
from protocol.delivery import Delivery
from protocol.messages import Heartbeat, Message
from tests.conformance.zoo.registry import around, broken, constant


@broken("controller-numbers-from-two", {"controller/session/everything-in-order": "4.6.1"})
@broken("ue-numbers-from-two", {"ue/session/numbers-begin-anew": "4.6.1"})
def numbers_from_two() -> None:
    """Numbers its messages 2, 3, 4, ..."""

    def seal(original: Any, self: Delivery, message: Message, now_s: float) -> Any:
        self._last_sent = max(self._last_sent, 1)
        return original(self, message, now_s)

    around(Delivery, "seal", seal)


@broken("ue-numbers-all-alike", {"ue/session/numbers-begin-anew": "4.7.3"})
def numbers_all_alike() -> None:
    """Gives every message the number 1."""

    def seal(original: Any, self: Delivery, message: Message, now_s: float) -> Any:
        self._last_sent = 0
        return original(self, message, now_s)

    around(Delivery, "seal", seal)


@broken("ue-numbers-heartbeats", {"ue/session/all-that-it-says": "4.6"}, everywhere=True)
def numbers_heartbeats() -> None:
    """Gives heartbeats a number."""

    def envelope(original: Any, self: Delivery, sequence: int, message: Message) -> Any:
        return original(self, 1 if isinstance(message, Heartbeat) else sequence, message)

    around(Delivery, "_envelope", envelope)


def _acknowledging(change: int, factor: int = 1) -> None:
    def envelope(original: Any, self: Delivery, sequence: int, message: Message) -> Any:
        said: Envelope = original(self, sequence, message)
        return msgspec.structs.replace(said, acknowledged=factor * said.acknowledged + change)

    around(Delivery, "_envelope", envelope)


@broken("controller-acknowledges-nothing", {"controller/timing/acknowledgement": "4.7.2"})
@broken("ue-acknowledges-nothing", {"ue/timing/acknowledgement": "4.7.2"})
def acknowledges_nothing() -> None:
    """Leaves `ack` at 0."""
    _acknowledging(0, factor=0)


@broken(
    "controller-acknowledges-too-much",
    {"controller/session/everything-in-order": "4.7.1", "controller/session/numbers-in-order": "4.7.1"},
    everywhere=True,
)
@broken(
    "ue-acknowledges-too-much",
    {"ue/session/numbers-begin-anew": "4.7.1", "ue/session/all-that-it-says": "4.7.1"},
    everywhere=True,
)
def acknowledges_too_much() -> None:
    """Acknowledges one more than it has received."""
    _acknowledging(1)


@broken("controller-acknowledges-late", {"controller/timing/acknowledgement": "4.7.2"})
@broken("ue-acknowledges-late", {"ue/timing/acknowledgement-of-what-has-no-answer": "4.7.2"})
def acknowledges_late() -> None:
    """Takes a second to acknowledge."""
    received_s: dict[tuple[int, int], float] = {}

    def accept(original: Any, self: Delivery, envelope: Envelope, now_s: float) -> Any:
        found = original(self, envelope, now_s)
        received_s.setdefault((self.session, self._last_received), now_s)
        return found

    def due(original: Any, self: Delivery, now_s: float) -> Any:
        return [held(self, envelope, now_s) for envelope in original(self, now_s)]

    def seal(original: Any, self: Delivery, message: Message, now_s: float) -> Any:
        return held(self, original(self, message, now_s), now_s)

    def held(self: Delivery, envelope: Envelope, now_s: float) -> Envelope:
        numbers = range(1, envelope.acknowledged + 1)
        old = [n for n in numbers if now_s - received_s.get((self.session, n), now_s) >= 1.0]
        return msgspec.structs.replace(envelope, acknowledged=max(old, default=0))

    around(Delivery, "accept", accept)
    around(Delivery, "due", due)
    around(Delivery, "seal", seal)


@broken("ue-acknowledges-what-is-beyond-a-gap", {"ue/session/early-message-waits": "4.7.1"})
def acknowledges_beyond_a_gap() -> None:
    """Acknowledges the highest number that it has received, whatever is missing below."""

    def envelope(original: Any, self: Delivery, sequence: int, message: Message) -> Any:
        said: Envelope = original(self, sequence, message)
        return msgspec.structs.replace(said, acknowledged=max([said.acknowledged, *self._early]))

    around(Delivery, "_envelope", envelope)


@broken("controller-never-sends-again", {"controller/timing/resend": "4.7.3"})
@broken("ue-never-sends-again", {"ue/timing/resend": "4.7.3"})
def never_sends_again() -> None:
    """Sends nothing again."""

    def due(original: Any, self: Delivery, now_s: float) -> Any:
        return [envelope for envelope in original(self, now_s) if envelope.sequence == 0]

    around(Delivery, "due", due)


@broken("radio-sends-again-otherwise", {"radio/timing/resend": "4.7.3"})
@broken("controller-sends-again-otherwise", {"controller/timing/resend": "4.7.3"})
@broken("ue-sends-again-otherwise", {"ue/timing/resend": "4.7.3", "ue/session/acknowledged-in-part": "4.7.3"})
def sends_again_otherwise() -> None:
    """Sends messages again with the next epoch."""

    def changed(envelope: Envelope) -> Envelope:
        if envelope.sequence == 0:
            return envelope
        message: Any = envelope.message
        later = msgspec.structs.replace(message, epoch=message.epoch + 1)
        return msgspec.structs.replace(envelope, message=later)

    around(Delivery, "due", lambda original, self, now_s: [changed(envelope) for envelope in original(self, now_s)])


@broken("controller-sends-again-for-ever", {"controller/timing/no-resend-of-what-is-acknowledged": "4.7.4"})
@broken("ue-sends-again-for-ever", {"ue/session/resend-ends-with-acknowledgement": "4.7.4"})
def sends_again_for_ever() -> None:
    """Sends again what was acknowledged."""

    def accept(original: Any, self: Delivery, envelope: Envelope, now_s: float) -> Any:
        return original(self, msgspec.structs.replace(envelope, acknowledged=0), now_s)

    around(Delivery, "accept", accept)


@broken("ue-sends-again-late", {"ue/timing/resend": "4.7.3"})
def sends_again_late() -> None:
    """Waits two seconds before it sends a message again for the first time."""
    constant(delivery, "FIRST_RESEND_S", 2.0)


@broken("ue-sends-again-early", {"ue/timing/resend": "4.7.3"})
def sends_again_early() -> None:
    """Sends messages again after 10 ms."""
    constant(delivery, "FIRST_RESEND_S", 0.01)


@broken("radio-ignores-the-window", {"radio/session/window-of-its-own": "4.8.1"})
def ignores_the_window() -> None:
    """Leaves any number of messages unacknowledged."""
    constant(delivery, "WINDOW", 100_000)


@broken("controller-delivers-twice", {"controller/session/duplicate": "4.9.1"})
@broken(
    "radio-delivers-twice",
    {"radio/session/duplicates-are-delivered-once": "4.9.1", "radio/session/duplicate-of-long-ago": "4.9.1"},
)
@broken(
    "ue-delivers-twice",
    {"ue/session/duplicates-are-delivered-once": "4.9.1", "ue/session/duplicate-of-long-ago": "4.9.1"},
)
def delivers_twice() -> None:
    """Acts on what comes again."""

    def accept(original: Any, self: Delivery, envelope: Envelope, now_s: float) -> Any:
        again = 0 < envelope.sequence <= self._last_received
        found = original(self, envelope, now_s)
        return [envelope.message] if again else found

    around(Delivery, "accept", accept)


@broken("ue-delivers-out-of-order", {"ue/session/early-message-waits": "4.9.1"})
def delivers_out_of_order() -> None:
    """Acts at once on what comes early, and not again when its turn has come."""

    def accept(original: Any, self: Delivery, envelope: Envelope, now_s: float) -> Any:
        early = envelope.sequence > self._last_received + 1
        known = {id(message) for message in self._early.values()}
        found = original(self, envelope, now_s)
        return [envelope.message] if early else [message for message in found if id(message) not in known]

    around(Delivery, "accept", accept)


@broken("controller-drops-what-comes-early", {"controller/session/window": "4.8.2"})
@broken("ue-drops-what-comes-early", {"ue/session/window-backwards": "4.8.2"})
def drops_what_comes_early() -> None:
    """Keeps nothing that comes before its turn."""

    def accept(original: Any, self: Delivery, envelope: Envelope, now_s: float) -> Any:
        found = original(self, envelope, now_s)
        self._early.clear()
        return found

    around(Delivery, "accept", accept)
