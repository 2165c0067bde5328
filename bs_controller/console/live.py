"""A live run on a board: the events of its controller, and the emulator's truth where its file can be read (shell).

Each announcement of another run begins another state, with what its journal has by then, where that can be read.
"""

import logging
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from bs_controller.console.about import about_from_config
from bs_controller.console.board import Board
from bs_controller.console.state import ConsoleState
from bs_controller.recorded import RecordingError, document_of
from bs_controller.streamed import stream_run
from protocol.config import ConfigError
from protocol.events import MAX_FRAME_BYTES, Announcement, Event, EventFormatError, Told, event_from_frames
from protocol.journal import record_from_line
from protocol.transport import Subscriber

logger = logging.getLogger(__name__)

TRUTHS_KEPT = 20_000
LOOK_AGAIN_S = 0.02
CATCH_UP_BYTES = 1 << 26  # some ten seconds of reading


class TruthTail:
    """Where users truly are, from the end of ``truth.jsonl`` of a run that is going on; nothing where there is no such file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset_bytes = 0
        self._places: dict[tuple[str, int], tuple[float, float]] = {}
        self._looked_s = float("-inf")

    def __call__(self, ue: str, epoch: int) -> tuple[float, float] | None:
        """Return range and angle of a user while an epoch was on the air."""
        now_s = time.monotonic()
        if (ue, epoch) not in self._places and now_s - self._looked_s > LOOK_AGAIN_S:
            self._looked_s = now_s
            self._read_on()
        return self._places.get((ue, epoch))

    def _read_on(self) -> None:
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset_bytes)
                data = file.read(1 << 24)
        except OSError:
            return
        whole, _, _ = data.rpartition(b"\n")
        self._offset_bytes += len(whole) + 1 if whole else 0
        for line in whole.split(b"\n"):
            self._note(line)
        while len(self._places) > TRUTHS_KEPT:
            del self._places[next(iter(self._places))]

    def _note(self, line: bytes) -> None:
        try:
            record: Mapping[str, Any] = record_from_line(line)
            self._places[record["ue"], record["epoch"]] = float(record["range_m"]), float(record["angle_rad"])
        except (ValueError, KeyError):  # a torn line, or one of another kind
            return


class LiveFeed:
    """The events of one endpoint on a board; a controller that comes later or again is found by itself."""

    def __init__(self, endpoint: str, board: Board) -> None:
        self._board = board
        self._run: tuple[str, object] | None = None
        self._number = 0
        self._subscriber = Subscriber(endpoint, self._on_frames, max_frame_bytes=MAX_FRAME_BYTES)

    def close(self) -> None:
        """Listen no more."""
        self._subscriber.close(0.0)

    def _on_frames(self, _: bytes, frames: list[bytes]) -> None:
        try:
            event = event_from_frames(frames)
        except EventFormatError as fault:
            logger.warning("an event was left out: %s", fault)
            return
        try:
            self._take(event)
        except (KeyError, TypeError, ValueError, ConfigError) as error:
            logger.warning("an event was left out: expected a record of a run, got %r", error)

    def _take(self, event: Event) -> None:
        match event.event:
            case Announcement():
                self._announced(event.event, event.number)
                self._miss(event.number - self._number)
            case Told() if self._board.state is not None and event.number > self._number:
                self._miss(event.number - self._number - 1)
                arrays = event.arrays
                self._board.state.note(event.event.record, lambda: arrays, recorded=event.event.recorded)
        self._number = max(self._number, event.number)
        self._board.touch(event.sent_s)

    def _announced(self, run: Announcement, number: int) -> None:
        known = run.directory, run.start.get("started_utc")
        if known == self._run:
            return
        about = about_from_config(run.config, run.start, run.directory)
        directory = Path(run.directory)
        here = _is_here(directory, run.start)
        state = ConsoleState(about, TruthTail(directory / "truth.jsonl") if here else _unknown)
        self._run, self._number = known, _caught_up(directory, state) if here else 0
        if self._number == 0:  # no journal within reach
            self._number = number
            for record in run.peers:
                state.note(record, dict)
        self._board.replace(state)

    def _miss(self, events: int) -> None:
        if events > 0 and self._board.state is not None:
            self._board.state.note_lost(events)


def _unknown(_ue: str, _epoch: int) -> None:
    """Know of no truth."""


def _is_here(directory: Path, start: Mapping[str, object]) -> bool:
    """Return whether the run directory that was announced is one of this machine, and not another of the same name."""
    try:
        found = document_of(directory).get("start")
    except RecordingError:
        return False
    return isinstance(found, dict) and found.get("started_utc") == start.get("started_utc")


def _caught_up(directory: Path, state: ConsoleState) -> int:
    """Give a state what is in the journal already; return the number of its last record, 0 if there is none to read."""
    number = 0
    try:
        if (directory / "journal.jsonl").stat().st_size > CATCH_UP_BYTES:
            return 0
        run = stream_run(directory)
        for record in run.records():
            state.note(record, partial(run.samples, record))
            number = int(str(record["seq"]))
    except (OSError, RecordingError) as error:
        logger.info("what was recorded so far is not shown: %s", error)
    return number
