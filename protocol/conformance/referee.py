"""What holds of everything that the other side says in a session, whatever the case is about. Pure: no socket, no clock.

The watch of a session keeps both directions' numbers: what the kit said and may be acknowledged, what the other side said,
in which order, and what it had been acknowledged when it said it again.
"""

from dataclasses import dataclass, field

from protocol.conformance.case import NonconformityError
from protocol.conformance.headers import Said

CROSSING_S = 0.3  # what was sent again just before an acknowledgement arrived

EITHER = frozenset({"heartbeat", "acknowledge", "refusal", "bye"})
UE_SAYS = EITHER | {"hello", "peak_report", "group_report", "power_report", "complex_report", "declined"}
RADIO_SAYS = EITHER | {"hello", "ready", "snapshot", "declined"}
CONTROLLER_SAYS_TO_UE = EITHER | {"welcome", "measure"}
CONTROLLER_SAYS_TO_RADIO = EITHER | {"welcome", "configure", "capture"}


@dataclass(slots=True, kw_only=True)
class SessionWatch:
    """The numbers of one session."""

    session: int
    may_say: frozenset[str]
    numbered: int = 0  # the last number that the kit gave
    acknowledged: int = 0  # what the other side has acknowledged
    received: int = 0  # up to which the kit has all
    heard: dict[int, tuple[object, ...]] = field(default_factory=dict)
    _acknowledgeable: set[int] = field(default_factory=set)
    _acknowledged_at_s: dict[int, float] = field(default_factory=dict)

    @property
    def stated(self) -> int:
        """Return up to which number the kit has acknowledged."""
        return len(self._acknowledged_at_s)

    def number(self) -> int:
        """Return the next sequence number of the kit."""
        self.numbered += 1
        return self.numbered

    def said(self, sequence: int) -> None:
        """Take note that the kit has said something in order, which may be acknowledged from now on."""
        self._acknowledgeable.add(sequence)
        self.numbered = max(self.numbered, sequence)

    def acknowledges(self, up_to: int, at_s: float) -> None:
        """Take note of what the kit has acknowledged."""
        for sequence in range(self.stated + 1, up_to + 1):
            self._acknowledged_at_s[sequence] = at_s

    def check(self, said: Said) -> None:
        """Check a message of this session.

        Raises
        ------
        NonconformityError
            If it breaks a rule of section 4.
        """
        if said.type not in self.may_say:
            raise NonconformityError(f"{said.type} is nothing that this role says", "4.14")
        self._check_acknowledgement(said)
        if said.sequence:
            self._check_sequence(said)

    def _check_acknowledgement(self, said: Said) -> None:
        highest = 0
        while highest + 1 in self._acknowledgeable:
            highest += 1
        if said.type == "refusal" and said.session == 0:
            return  # an answer to what cannot be decoded may come from outside the session
        if not self.acknowledged <= said.acknowledged <= highest:
            text = f"expected ack of {self.acknowledged} to {highest}, got {said.acknowledged} in {said.type}"
            raise NonconformityError(text, "4.7.1")
        self.acknowledged = said.acknowledged

    def _check_sequence(self, said: Said) -> None:
        number, same = said.sequence, said.without_acknowledgement()
        if number not in self.heard:
            if number > self.stated + 64:
                text = f"expected at most 64 unacknowledged messages, got number {number} after {self.stated}"
                raise NonconformityError(text, "4.8.1")
            self.heard[number] = same
            while self.received + 1 in self.heard:
                self.received += 1
            return
        if self.heard[number] != same:
            text = f"expected message {number} as it was, got {said.type} {said.fields} after {self.heard[number]}"
            raise NonconformityError(text, "4.7.3")
        acknowledged_s = self._acknowledged_at_s.get(number)
        if acknowledged_s is not None and said.at_s - acknowledged_s > CROSSING_S:
            late_s = said.at_s - acknowledged_s
            raise NonconformityError(f"message {number} came again {late_s:.2f} s after it was acknowledged", "4.7.4")

    def gap(self) -> int | None:
        """Return the lowest number that is missing before one that came."""
        return self.received + 1 if any(number > self.received for number in self.heard) else None
