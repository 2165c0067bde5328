"""Playback of a run directory: the records up to a moment, at any speed, forwards and backwards (shell).

A recording opens at its end. Going back takes the nearest of a few states that were kept on the way and goes on from there.
"""

import asyncio
import time
from bisect import bisect_right
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from bs_controller.console.about import about_from_config
from bs_controller.console.board import Board
from bs_controller.console.state import ConsoleState
from bs_controller.streamed import stream_run

TICK_S = 0.05
MIN_SPEED, MAX_SPEED = 0.1, 100.0
CHECKPOINTS = 32
CHECKPOINT_RECORDS = 2000


class Player:
    """One recording on a board; all browsers see the same moment."""

    def __init__(self, path: Path, board: Board) -> None:
        """Open a run directory.

        Raises
        ------
        RecordingError, ConfigError
            If it holds no run.
        """
        run = stream_run(path)
        self._board, self._run = board, run
        start: Any = run.document.get("start", {})
        self._about = about_from_config(run.config_text, start, str(path.resolve()))
        self._truth: dict[tuple[Any, Any], tuple[Any, Any]] = {
            (line["ue"], line["epoch"]): (line["range_m"], line["angle_rad"])
            for line in run.truth()
            if line.get("kind") == "truth"
        }
        self._records: list[Mapping[str, Any]] = list(run.records())
        self._times_s = _growing([float(record.get("time_s", 0.0)) for record in self._records])
        self._every = max(CHECKPOINT_RECORDS, -(-len(self._records) // CHECKPOINTS))
        self._kept: dict[int, ConsoleState] = {}
        self._next = 0
        self.playing, self.speed = False, 1.0
        self.position_s = self.duration_s
        self._restart(0)
        self.seek(self.duration_s)

    @property
    def duration_s(self) -> float:
        """Return the time of the last record."""
        return self._times_s[-1] if self._times_s else 0.0

    def status(self) -> dict[str, object]:
        """Return where the recording stands."""
        return {
            "position_s": self.position_s,
            "duration_s": self.duration_s,
            "playing": self.playing,
            "speed": self.speed,
        }

    def play(self, playing: bool) -> None:
        """Go on, from the beginning if it stands at its end, or pause."""
        if playing and self.position_s >= self.duration_s:
            self.seek(self._begin_s())
        self.playing = playing
        self._board.touch()

    def set_speed(self, speed: float) -> None:
        """Play that many times as fast as it was recorded, within limits."""
        self.speed = min(max(speed, MIN_SPEED), MAX_SPEED)
        self._board.touch()

    def seek(self, position_s: float) -> None:
        """Show the moment `position_s` after the run began."""
        self.position_s = min(max(position_s, 0.0), self.duration_s)
        wanted = bisect_right(self._times_s, self.position_s)
        if wanted < self._next:
            self._restart(max((count for count in self._kept if count <= wanted), default=0))
        self._feed(wanted)
        self._board.touch(time.time())

    async def run(self) -> None:
        """Play until cancelled."""
        before_s = time.monotonic()
        while True:
            await asyncio.sleep(TICK_S)
            now_s = time.monotonic()
            if self.playing:
                self.seek(self.position_s + self.speed * (now_s - before_s))
                self.playing = self.position_s < self.duration_s
            before_s = now_s

    def _begin_s(self) -> float:
        """Return the time of the first sweep: before it schemes are prepared and peers come."""
        return next(
            (time_s for record, time_s in zip(self._records, self._times_s, strict=True) if record["kind"] == "sweep"),
            0.0,
        )

    def _restart(self, count: int) -> None:
        kept = self._kept.get(count)
        state = kept.duplicate() if kept is not None else ConsoleState(self._about, self._where)
        self._next = count
        self._board.replace(state)

    def _where(self, ue: str, epoch: int) -> tuple[float, float] | None:
        return self._truth.get((ue, epoch))

    def _feed(self, wanted: int) -> None:
        state = self._board.state
        assert state is not None  # noqa: S101 - `_restart` put one there
        while self._next < wanted:
            record = self._records[self._next]
            state.note(record, partial(self._run.samples, record))
            self._next += 1
            if self._next % self._every == 0 and self._next not in self._kept:
                self._kept[self._next] = state.duplicate()
        state.time_s = max(state.time_s, self.position_s)


def _growing(times_s: list[float]) -> list[float]:
    """Return times that never go back: records of one moment may be written a little out of order."""
    grown: list[float] = []
    for time_s in times_s:
        grown.append(max(time_s, grown[-1]) if grown else time_s)
    return grown
