"""Other sides of drivers, as processes that a test may kill."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager


class Restartable:
    """A process that prints one line when it is ready."""

    def __init__(self, *words: str) -> None:
        self.words = [sys.executable, "-m", *words]
        self._process: subprocess.Popen[str] | None = None
        self.line = ""

    def start(self) -> None:
        self._process = subprocess.Popen(self.words, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.line = self._process.stdout.readline().strip()
        assert self.line, f"{self.words} ended before it was ready"

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def restart(self) -> None:
        self.kill()
        self.start()


@contextmanager
def running(*words: str) -> Iterator[Restartable]:
    process = Restartable(*words)
    process.start()
    try:
        yield process
    finally:
        process.kill()
