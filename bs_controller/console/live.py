"""A live run on a board: the events of its controller, and the emulator's truth where its file can be read (shell).

Each announcement of another run begins another state, with what its journal has by then, where that can be read.
"""

import logging
import sys
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from bs_controller.console.about import about_from_config
from bs_controller.console.board import Board
from bs_controller.console.gaps import records_between
from bs_controller.console.state import ConsoleState
from bs_controller.recorded import RecordingError, Samples, document_of, samples_of
from protocol.config import ConfigError
from protocol.events import MAX_FRAME_BYTES, Announcement, Event, EventFormatError, Told, event_from_frames
from protocol.journal import record_from_line
from protocol.transport import Subscriber

logger = logging.getLogger(__name__)

TRUTHS_KEPT = 20_000
TRUTH_BYTES = 1 << 22  # in which so many lie
LOOK_AGAIN_S = 0.02
UNWRITTEN_KEPT = 4096  # as many as a controller's recorder lets wait


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
                self._offset_bytes = max(self._offset_bytes, file.seek(0, 2) - TRUTH_BYTES)
                file.seek(self._offset_bytes)
                data = file.read(TRUTH_BYTES)
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
    """The events of one endpoint on a board; a controller that comes later or again is found by itself.

    What events did not bring is read from the run's journal, if that is within reach, and else counted.
    """

    def __init__(self, endpoint: str, board: Board) -> None:
        self._board = board
        self._run: tuple[str, object] | None = None
        self._directory: Path | None = None  # if its journal is within reach
        self._number = 0  # of the last record that was taken; all before it were, or were counted
        # taken before their turn: records are told when they are refused, others once they are on disk
        self._unwritten = set[int]()
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
                self._fill(event.number + 1)
            case Told() if self._run is not None and event.event.started_utc == self._run[1]:
                self._told(event.event, event.number, event.arrays)
        self._board.touch(event.sent_s)

    def _told(self, told: Told, number: int, arrays: Mapping[str, Samples]) -> None:
        if number <= self._number or self._board.state is None:
            return
        if not told.recorded and number > self._number + 1 and len(self._unwritten) < UNWRITTEN_KEPT:
            self._unwritten.add(number)
        else:
            self._fill(number)
            self._number = number
        self._board.state.note(told.record, lambda: arrays, recorded=told.recorded)

    def _fill(self, number: int) -> None:
        """Take what should have come before a number: from the journal, or as lost."""
        state, missing = self._board.state, number - 1 - self._number
        if state is None or missing <= 0:
            return
        early = {one for one in self._unwritten if one < number}
        self._unwritten -= early
        found: list[int] = []
        if self._directory is not None and missing > len(early):
            found = _noted(self._directory, state, self._number, number)
        lost = missing - len(early.union(found))
        if lost > 0:
            state.note_lost(lost)
        self._number = number - 1

    def _announced(self, run: Announcement, number: int) -> None:
        known = run.directory, run.start.get("started_utc")
        if known == self._run:
            return
        about = about_from_config(run.config, run.start, run.directory)
        directory = Path(run.directory)
        here = _is_here(directory, run.start)
        state = ConsoleState(about, TruthTail(directory / "truth.jsonl") if here else _unknown)
        self._run, self._directory = known, directory if here else None
        self._unwritten.clear()
        self._number = _caught_up(directory, state, run.peers) if here else 0
        if self._number == 0:  # no journal within reach
            self._number = number
            for record in run.peers:
                state.note(record, dict)
        self._board.replace(state)


def _unknown(_ue: str, _epoch: int) -> None:
    """Know of no truth."""


def _is_here(directory: Path, start: Mapping[str, object]) -> bool:
    """Return whether the run directory that was announced is one of this machine, and not another of the same name."""
    try:
        found = document_of(directory).get("start")
    except RecordingError:
        return False
    return isinstance(found, dict) and found.get("started_utc") == start.get("started_utc")


def _noted(directory: Path, state: ConsoleState, after: int, before: int) -> list[int]:
    """Give a state the records between two numbers that the journal has; return their numbers."""
    records = records_between(directory / "journal.jsonl", after, before)
    for record in records:
        state.note(record, partial(samples_of, directory, record))
    return [record["seq"] for record in records]


def _caught_up(directory: Path, state: ConsoleState, peers: list[dict[str, Any]]) -> int:
    """Give a state what is in the journal already, or the end of one that is long; return the number of its last record.

    It is 0 if there is none to read.
    """
    records = records_between(directory / "journal.jsonl", 0, sys.maxsize)
    if records and records[0]["seq"] > 1:
        for record in peers:
            state.note(record, dict)
        state.note_left_out(records[0]["seq"] - 1, float(records[0].get("time_s", 0.0)))
    for record in records:
        state.note(record, partial(samples_of, directory, record))
    return records[-1]["seq"] if records else 0
