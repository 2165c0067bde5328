"""Every frame in both directions, with the time since the case began."""

from dataclasses import dataclass, field

from protocol.conformance.headers import summary

KEPT_ENTRIES = 2000
SHOWN_BYTES = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One message on the wire, or a remark of the kit."""

    at_s: float
    direction: str  # "->" to the testee, "<-" from it, "--" a remark
    link: str
    text: str
    frames: tuple[bytes, ...] = ()

    def line(self) -> str:
        """Return the entry for a terminal."""
        return f"{self.at_s:8.3f} s {self.direction} {self.link}: {self.text}"

    def hexadecimal(self) -> list[str]:
        """Return the first bytes of each frame."""
        return [
            f"{frame[:SHOWN_BYTES].hex(' ')}{f' ... {len(frame)} bytes' if len(frame) > SHOWN_BYTES else ''}"
            for frame in self.frames[:6]
        ]


@dataclass(slots=True)
class WireLog:
    """The log of one case; a flood leaves its first entries, and how many there were."""

    began_s: float = 0.0
    entries: list[Entry] = field(default_factory=list)
    left_out: int = 0

    def restart(self, now_s: float) -> None:
        """Begin a case."""
        self.began_s, self.entries, self.left_out = now_s, [], 0

    def note(self, direction: str, link: str, frames: tuple[bytes, ...], now_s: float) -> None:
        """Take down a message."""
        if len(self.entries) >= KEPT_ENTRIES:
            self.left_out += 1
            return
        kept = tuple(frame[: SHOWN_BYTES * 4] for frame in frames[:6])
        text = summary(frames)
        entry = Entry(at_s=now_s - self.began_s, direction=direction, link=link, text=text, frames=kept)
        self.entries.append(entry)

    def remark(self, text: str, now_s: float) -> None:
        """Take down what is not on the wire but explains it."""
        self.entries.append(Entry(at_s=now_s - self.began_s, direction="--", link="kit", text=text))

    def lines(self, last: int | None = None) -> list[str]:
        """Return the entries for a terminal, or only the last ones."""
        lines = [entry.line() for entry in self.entries]
        if self.left_out:
            lines.append(f"... and {self.left_out} more")
        return lines if last is None else lines[-last:]
