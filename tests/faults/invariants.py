"""What must hold whatever happens: acknowledged fixes are on disk, each once, each at its own user's place.

Pure but for reading the journal of a run directory, of which each check reads only what is new.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from protocol.journal import record_from_line
from tests.qualification.processes import Record, identity

Identity = tuple[object, ...]
#: Kinds of record that end a localization; each localization ends once.
ENDS = ("fix", "failure")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a user stands."""

    range_m: float
    angle_deg: float

    @property
    def polar(self) -> tuple[float, float]:
        """Return range, m, and angle, rad."""
        return self.range_m, math.radians(self.angle_deg)


def nearest_user(record: Record, places: Mapping[str, Place]) -> str:
    """Return the user in whose direction a fix lies; ranges of published schemes are metres off, directions are not."""
    angle_rad = record["angle_rad"]
    assert isinstance(angle_rad, float)
    return min(places, key=lambda ue: abs(math.radians(places[ue].angle_deg) - angle_rad))


@dataclass(slots=True)
class RunLedger:
    """What one controller has acknowledged, against the journal of its run directory."""

    directory: Path
    places: Mapping[str, Place]
    astray: list[Record]  # where fixes that lie in the direction of another user are put
    acknowledged: set[Identity] = field(default_factory=set)
    journalled: set[Identity] = field(default_factory=set)
    _read_bytes: int = 0

    def acknowledge(self, record: Record) -> None:
        """Take a record that the controller has printed; one told of as not recorded promises nothing."""
        if record["kind"] in ENDS and record["recorded"]:
            self.acknowledged.add(identity(record))

    def check(self) -> list[str]:
        """Read what is new in the journal and return what does not hold."""
        broken = self._new_lines()
        lost = self.acknowledged - self.journalled
        self.acknowledged -= lost  # told once
        where = self.directory.name
        return broken + [f"{where}: acknowledged, but not in the journal: {one}" for one in sorted(lost, key=str)]

    def _new_lines(self) -> list[str]:
        broken: list[str] = []
        try:
            with (self.directory / "journal.jsonl").open("rb") as file:
                file.seek(self._read_bytes)
                data = file.read()
        except FileNotFoundError:  # the controller has only just been started, and acknowledged nothing
            return []
        whole = data[: data.rfind(b"\n") + 1]  # what follows is being written, or was when the writer was killed
        for line in whole.splitlines(keepends=True):
            try:
                broken += self._take(record_from_line(line))
            except ValueError as error:
                broken.append(f"{self.directory.name}: damaged line in the journal: {error}")
        self._read_bytes += len(whole)
        return broken

    def _take(self, record: Record) -> list[str]:
        if record.get("kind") not in ENDS:
            return []
        one = identity(record)
        if one in self.journalled:
            return [f"{self.directory.name}: recorded twice: {one}"]
        self.journalled.add(one)
        if record["kind"] == "fix" and nearest_user(record, self.places) != record["ue"]:
            self.astray.append(record)
        return []
