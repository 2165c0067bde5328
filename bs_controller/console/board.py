"""Where the newest state of a run stands for browsers to be shown, and who is told when it changes."""

import asyncio
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from bs_controller.console.state import ConsoleState

REFINE_S = 0.05
REFINED_AT_ONCE = 3  # some ten milliseconds for two sweeps each


class Board:
    """The state that is shown; another one takes its place when another run begins, or when a recording is set back."""

    def __init__(self, mode: str) -> None:
        self.mode = mode  # "live" or "recorded"
        self.state: ConsoleState | None = None
        self.generation = 0
        self.event_s: float | None = None  # when the newest event was published, by the clock of the day
        self._heard_s: float | None = None  # when it came
        self._watchers: set[asyncio.Event] = set()

    def replace(self, state: ConsoleState) -> None:
        """Show another state, of which browsers know nothing yet."""
        self.state = state
        self.generation += 1
        self.touch()

    def touch(self, event_s: float | None = None) -> None:
        """Tell all watchers that something changed."""
        if event_s is not None:
            self.event_s, self._heard_s = event_s, time.monotonic()
        for watcher in self._watchers:
            watcher.set()

    @contextmanager
    def watched(self) -> Iterator[asyncio.Event]:
        """Give out an event that is set at each change while the context lasts."""
        watcher = asyncio.Event()
        watcher.set()
        self._watchers.add(watcher)
        try:
            yield watcher
        finally:
            self._watchers.discard(watcher)

    def status(self) -> Mapping[str, object]:
        """Return the head of the page; `event_ms` is left to whoever sends it."""
        shown = {} if self.state is None else self.state.status()
        silent_s = None if self._heard_s is None else time.monotonic() - self._heard_s
        return {"mode": self.mode, "generation": self.generation, "silent_s": silent_s, **shown}

    async def refine(self) -> None:
        """Let the state reckon, a little at a time, what it owes, until cancelled; the next frame has it."""
        while True:
            await asyncio.sleep(REFINE_S)
            for _ in range(REFINED_AT_ONCE):
                if self.state is None or not self.state.refine():
                    break
