"""Numbers, acknowledgements and resends gone wrong, on whichever side."""

from typing import Any

import msgspec

from protocol import delivery
from protocol.codec import Envelope
from protocol.delivery import Delivery
from protocol.messages import Heartbeat, Message
from tests.conformance.zoo.registry import around, broken, constant


@broken("controller-numbers-from-two", {})
@broken("ue-numbers-from-two", {})
def numbers_from_two() -> None:
    """Numbers its messages 2, 3, 4, ..."""

    def seal(original: Any, self: Delivery, message: Message, now_s: float) -> Any:
        self._last_sent = max(self._last_sent, 1)
        return original(self, message, now_s)

    around(Delivery, "seal", seal)


@broken("ue-numbers-all-alike", {})
def numbers_all_alike() -> None:
    """Gives every message the number 1."""

    def seal(original: Any, self: Delivery, message: Message, now_s: float) -> Any:
        self._last_sent = 0
        return original(self, message, now_s)

    around(Delivery, "seal", seal)


@broken("ue-numbers-heartbeats", {})
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


@broken("controller-acknowledges-nothing", {})
@broken("ue-acknowledges-nothing", {})
def acknowledges_nothing() -> None:
    """Leaves `ack` at 0."""
    _acknowledging(0, factor=0)


@broken("controller-acknowledges-too-much", {})
@broken("ue-acknowledges-too-much", {})
def acknowledges_too_much() -> None:
    """Acknowledges one more than it has received."""
    _acknowledging(1)


@broken("controller-acknowledges-late", {})
@broken("ue-acknowledges-late", {})
def acknowledges_late() -> None:
    """Takes a second to acknowledge."""
    constant(delivery, "ACKNOWLEDGE_WITHIN_S", 1.0)


@broken("ue-acknowledges-what-is-beyond-a-gap", {})
def acknowledges_beyond_a_gap() -> None:
    """Acknowledges the highest number that it has received, whatever is missing below."""

    def envelope(original: Any, self: Delivery, sequence: int, message: Message) -> Any:
        said: Envelope = original(self, sequence, message)
        return msgspec.structs.replace(said, acknowledged=max([said.acknowledged, *self._early]))

    around(Delivery, "_envelope", envelope)


@broken("controller-never-sends-again", {})
@broken("ue-never-sends-again", {})
def never_sends_again() -> None:
    """Sends nothing again."""

    def due(original: Any, self: Delivery, now_s: float) -> Any:
        return [envelope for envelope in original(self, now_s) if envelope.sequence == 0]

    around(Delivery, "due", due)


@broken("radio-sends-again-otherwise", {})
@broken("controller-sends-again-otherwise", {})
@broken("ue-sends-again-otherwise", {})
def sends_again_otherwise() -> None:
    """Sends messages again with the next epoch."""

    def changed(envelope: Envelope) -> Envelope:
        if envelope.sequence == 0:
            return envelope
        message: Any = envelope.message
        later = msgspec.structs.replace(message, epoch=message.epoch + 1)
        return msgspec.structs.replace(envelope, message=later)

    around(Delivery, "due", lambda original, self, now_s: [changed(envelope) for envelope in original(self, now_s)])


@broken("controller-sends-again-for-ever", {})
@broken("ue-sends-again-for-ever", {})
def sends_again_for_ever() -> None:
    """Sends again what was acknowledged."""

    def accept(original: Any, self: Delivery, envelope: Envelope, now_s: float) -> Any:
        return original(self, msgspec.structs.replace(envelope, acknowledged=0), now_s)

    around(Delivery, "accept", accept)


@broken("ue-sends-again-late", {})
def sends_again_late() -> None:
    """Waits two seconds before it sends a message again for the first time."""
    constant(delivery, "FIRST_RESEND_S", 2.0)


@broken("ue-sends-again-early", {})
def sends_again_early() -> None:
    """Sends messages again after 10 ms."""
    constant(delivery, "FIRST_RESEND_S", 0.01)


@broken("radio-ignores-the-window", {})
def ignores_the_window() -> None:
    """Leaves any number of messages unacknowledged."""
    constant(delivery, "WINDOW", 100_000)


@broken("controller-delivers-twice", {})
@broken("radio-delivers-twice", {})
@broken("ue-delivers-twice", {})
def delivers_twice() -> None:
    """Acts on what comes again."""

    def accept(original: Any, self: Delivery, envelope: Envelope, now_s: float) -> Any:
        again = 0 < envelope.sequence <= self._last_received
        found = original(self, envelope, now_s)
        return [envelope.message] if again else found

    around(Delivery, "accept", accept)


@broken("ue-delivers-out-of-order", {})
def delivers_out_of_order() -> None:
    """Acts at once on what comes early, and not again when its turn has come."""

    def accept(original: Any, self: Delivery, envelope: Envelope, now_s: float) -> Any:
        early = envelope.sequence > self._last_received + 1
        known = {id(message) for message in self._early.values()}
        found = original(self, envelope, now_s)
        return [envelope.message] if early else [message for message in found if id(message) not in known]

    around(Delivery, "accept", accept)


@broken("controller-drops-what-comes-early", {})
@broken("ue-drops-what-comes-early", {})
def drops_what_comes_early() -> None:
    """Keeps nothing that comes before its turn."""

    def accept(original: Any, self: Delivery, envelope: Envelope, now_s: float) -> Any:
        found = original(self, envelope, now_s)
        self._early.clear()
        return found

    around(Delivery, "accept", accept)
