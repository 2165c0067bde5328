"""Playback of a run directory: the records up to a moment, at any speed, forwards and backwards (shell).

A recording is read from its files as it is shown, so that an hour of it takes no more memory than a minute. It opens with
reading on to its end, a slice at a time, while browsers see how far that is. Going back takes the nearest of some states that
were kept on the way and goes on from there.
"""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from bs_controller.console.about import about_from_config
from bs_controller.console.board import Board
from bs_controller.console.state import ConsoleState
from bs_controller.console.truths import RecordedTruth
from bs_controller.recorded import RecordingError
from bs_controller.streamed import PlacedRecord, StreamedRun, stream_run

TICK_S = 0.05
MIN_SPEED, MAX_SPEED = 0.1, 100.0
CHECKPOINTS = 64
CHECKPOINT_BYTES = 1 << 20
SLICE_S = 0.03  # that browsers wait at most
SLICE_RECORDS = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    """A state, and up to which moment and byte of the journal it knows the run."""

    state: ConsoleState
    time_s: float
    place_bytes: int


class _Reading:
    """A state on its way through a journal, always one record ahead of what it shows."""

    def __init__(self, run: StreamedRun, begin: _Kept) -> None:
        self._run = run
        self.state, self.time_s, self.place_bytes = begin.state.duplicate(), begin.time_s, begin.place_bytes
        self._records = run.placed_records(begin.place_bytes)
        self._next_s = self.time_s
        self._next: PlacedRecord | None = None
        self._look_ahead()

    def reaches(self, wanted_s: float) -> bool:
        """Return whether every record up to a moment has been taken."""
        return self._next is None or self._next_s > wanted_s

    def take(self) -> str:
        """Take one record, and return its kind."""
        ahead = self._next
        assert ahead is not None  # noqa: S101 - it has not reached its end
        self.state.note(ahead.record, partial(self._run.samples, ahead.record))
        self.time_s, self.place_bytes = self._next_s, ahead.end_bytes
        self._look_ahead()
        return str(ahead.record["kind"])

    def kept(self) -> _Kept:
        """Return a copy to come back to."""
        return _Kept(state=self.state.duplicate(), time_s=self.time_s, place_bytes=self.place_bytes)

    def stop(self) -> None:
        """Read no further."""
        self._next = None

    def _look_ahead(self) -> None:
        self._next = next(self._records, None)
        if self._next is not None:  # records of one moment may be written a little out of order
            self._next_s = max(self._next_s, _time_s(self._next.record, self._next_s))


class Player:
    """One recording on a board; all browsers see the same moment."""

    def __init__(self, path: Path, board: Board) -> None:
        """Open a run directory; `run` or `arrive` reads it.

        Raises
        ------
        RecordingError, ConfigError
            If it holds no run.
        """
        self._board, self._run = board, stream_run(path)
        start: Any = self._run.document.get("start", {})
        about = about_from_config(self._run.config_text, start, str(path.resolve()))
        self._begin = _Kept(state=ConsoleState(about, RecordedTruth(path / "truth.jsonl")), time_s=0.0, place_bytes=0)
        self._size_bytes, self.duration_s = self._run.journal_bytes, self._run.lasted_s()
        self._kept: list[_Kept] = []
        self._first_sweep_s = 0.0
        self.playing, self.speed = False, 1.0
        self._wanted_s = self.duration_s
        self._reading = self._from(self._begin)

    @property
    def arrived(self) -> bool:
        """Return whether the wanted moment is shown."""
        return self._reading.reaches(self._wanted_s)

    def status(self) -> dict[str, object]:
        """Return where the recording stands; `read` is the share of it that was read, on the way to a wanted moment."""
        arrived = self.arrived
        return {
            "position_s": self._wanted_s if arrived else self._reading.time_s,
            "duration_s": self.duration_s,
            "playing": self.playing,
            "speed": self.speed,
            "read": None if arrived else self._reading.place_bytes / max(self._size_bytes, 1),
        }

    def play(self, playing: bool) -> None:
        """Go on, from the beginning if it stands at its end, or pause."""
        if playing and self._wanted_s >= self.duration_s:
            self.seek(self._first_sweep_s)  # before it schemes are prepared and peers come
        self.playing = playing
        self._board.touch()

    def set_speed(self, speed: float) -> None:
        """Play that many times as fast as it was recorded, within limits."""
        self.speed = min(max(speed, MIN_SPEED), MAX_SPEED)
        self._board.touch()

    def seek(self, position_s: float) -> None:
        """Be on the way to the moment `position_s` after the run began; of moments asked for in haste the last one counts."""
        self._wanted_s = min(max(position_s, 0.0), self.duration_s)
        nearest = max((kept for kept in self._kept if kept.time_s <= self._wanted_s), key=_time_of, default=self._begin)
        if self._wanted_s < self._reading.time_s or nearest.time_s > self._reading.time_s:
            self._reading = self._from(nearest)
        self._board.touch(time.time())

    def arrive(self) -> None:
        """Read on to the wanted moment, however long that takes.

        Raises
        ------
        RecordingError
            Where the journal is damaged.
        """
        self._read_on(float("inf"))

    async def run(self) -> None:
        """Read on and play until cancelled."""
        before_s = time.monotonic()
        while True:
            await asyncio.sleep(TICK_S if self.arrived else 0.0)
            now_s = time.monotonic()
            if self.playing and self.arrived:
                self.seek(self._wanted_s + self.speed * (now_s - before_s))
                self.playing = self._wanted_s < self.duration_s
            before_s = now_s
            if not self.arrived:
                self._read_on_or_say(now_s + SLICE_S)

    def _read_on_or_say(self, until_s: float) -> None:
        try:
            self._read_on(until_s)
        except RecordingError as error:
            self._reading.state.note_damage(str(error))
            self._reading.stop()
        self._board.touch(time.time())

    def _read_on(self, until_s: float) -> None:
        """Take records up to the wanted moment, or until it is `until_s`."""
        while not self.arrived and time.monotonic() < until_s:
            self._take_some()
        if self.arrived:
            state = self._reading.state
            state.time_s = max(state.time_s, self._wanted_s)

    def _take_some(self) -> None:
        for _ in range(SLICE_RECORDS):
            if self.arrived:
                return
            self._take()

    def _take(self) -> None:
        reading = self._reading
        if reading.take() == "sweep" and not self._first_sweep_s:
            self._first_sweep_s = reading.time_s
        last_bytes = self._kept[-1].place_bytes if self._kept else 0
        if reading.place_bytes - last_bytes >= max(CHECKPOINT_BYTES, self._size_bytes // CHECKPOINTS):
            self._kept.append(reading.kept())

    def _from(self, kept: _Kept) -> _Reading:
        reading = _Reading(self._run, kept)
        self._board.replace(reading.state)
        return reading


def _time_s(record: Mapping[str, Any], otherwise_s: float) -> float:
    return float(record.get("time_s", otherwise_s))


def _time_of(kept: _Kept) -> float:
    return kept.time_s
