"""Where users truly were, looked up in ``truth.jsonl`` of a recorded run; few places stay in memory (shell)."""

import re
from pathlib import Path
from typing import Any

from bs_controller.places import Position
from protocol.journal import record_from_line

EPOCHS_KEPT = 1024
_EPOCH = re.compile(rb'"epoch":(\d+)')
_HEAD_BYTES = 96  # of a line, in which its epoch stands


class RecordedTruth:
    """Ranges and angles of users by epoch; knows nothing where there is no such file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._spans: dict[int, tuple[int, int]] = {}  # bytes of the file in which all lines of an epoch lie
        self._known: dict[int, dict[str, Position]] = {}
        if path.exists():
            self._index()

    def __call__(self, ue: str, epoch: int) -> Position | None:
        """Return range and angle of a user while an epoch was on the air."""
        known = self._known.get(epoch)
        if known is None:
            known = self._known[epoch] = self._read(epoch)
            if len(self._known) > EPOCHS_KEPT:
                del self._known[next(iter(self._known))]
        return known.get(ue)

    def _index(self) -> None:
        begin = 0
        with self._path.open("rb") as lines:
            for line in lines:
                end, found = begin + len(line), _EPOCH.search(line, 0, _HEAD_BYTES)
                if found is not None:
                    epoch = int(found[1])
                    self._spans[epoch] = self._spans[epoch][0] if epoch in self._spans else begin, end
                begin = end

    def _read(self, epoch: int) -> dict[str, Position]:
        places: dict[str, Position] = {}
        if epoch not in self._spans:
            return places
        begin, end = self._spans[epoch]
        with self._path.open("rb") as file:
            file.seek(begin)
            data = file.read(end - begin)
        for line in data.split(b"\n"):
            try:
                record: dict[str, Any] = record_from_line(line)
            except ValueError:  # a torn line
                continue
            if record.get("kind") == "truth" and record["epoch"] == epoch:
                places[record["ue"]] = float(record["range_m"]), float(record["angle_rad"])
        return places
