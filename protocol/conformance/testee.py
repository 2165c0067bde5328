"""The implementation under test: a process that the kit starts, or one that somebody else has started.

A command is split as a shell would and started without one. Exit status 127 says: this is not supported.
"""

import os
import shlex
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from protocol.conformance.case import CannotRunError, UnsupportedError

UNSUPPORTED_STATUS = 127
GRACE_S = 2.0
OUTPUT_TAIL_BYTES = 4000


class Testee(Protocol):
    """What the drivers need to know of the implementation under test."""

    def ensure_running(self) -> bool:
        """See that it runs; return whether it was started anew."""

    def restart(self) -> bool:
        """Start it anew; False if the kit cannot."""

    def ended(self) -> int | None:
        """Return its exit status if it has ended."""

    def signal(self, number: int) -> bool:
        """Send it a signal; False if the kit cannot."""

    def output_tail(self) -> str:
        """Return the last lines that it wrote."""

    def output_from(self, position: int) -> bytes:
        """Return what it wrote from the byte at a position."""

    def close(self) -> None:
        """End it, if the kit has started it."""


class AttachedTestee:
    """A process that somebody else started."""

    def ensure_running(self) -> bool:
        """Believe that it runs."""
        return False

    def restart(self) -> bool:
        """Do nothing: the kit cannot."""
        return False

    def ended(self) -> int | None:
        """Not know."""
        return None

    def signal(self, number: int) -> bool:
        """Do nothing: the kit cannot."""
        return False

    def output_tail(self) -> str:
        """Not know."""
        return ""

    def output_from(self, position: int) -> bytes:
        """Not know."""
        return b""

    def close(self) -> None:
        """Leave it alone."""


class CommandTestee:
    """A process that is started by a command line with placeholders, and started again when it has ended."""

    def __init__(self, command: str, values: Mapping[str, str], folder: Path) -> None:
        self._words = shlex.split(command)
        self._values = values
        self._folder = folder
        self._starts = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._output = folder / "testee.log"

    @property
    def pid(self) -> int | None:
        """Return the number of the process, for signals."""
        return self._process.pid if self._process else None

    def ensure_running(self) -> bool:
        """Start it if it does not run; return whether it was started.

        Raises
        ------
        UnsupportedError
            If it has ended with status 127.
        """
        status = self.ended()
        if status == UNSUPPORTED_STATUS:
            self._process = None
            raise UnsupportedError(f"the testee ended with status {UNSUPPORTED_STATUS}")
        if self._process is not None and status is None:
            return False
        self._start()
        return True

    def _start(self) -> None:
        self._starts += 1
        written = self._folder / f"start-{self._starts}"  # what one has written is no affair of the next
        written.mkdir(mode=0o700)
        words = _filled(self._words, {**self._values, "folder": str(written)})
        environment = {**os.environ, "NFTESTBED_SUPERVISOR_PID": str(os.getpid())}  # ours ends with the kit
        try:
            with self._output.open("ab") as output:
                self._process = subprocess.Popen(  # noqa: S603 - what the user asked for
                    words,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    env=environment,
                    start_new_session=True,
                )
        except OSError as error:
            raise CannotRunError(f"expected a command that can be started, got {words}: {error}") from error

    def restart(self) -> bool:
        """Kill it and start it anew."""
        self._end(signal.SIGKILL)
        self._start()
        return True

    def ended(self) -> int | None:
        """Return its exit status if it has ended."""
        return self._process.poll() if self._process else None

    def signal(self, number: int) -> bool:
        """Send a signal to it and to what it has started."""
        if self._process is None or self._process.poll() is not None:
            return False
        os.killpg(self._process.pid, number)
        return True

    def output_tail(self) -> str:
        """Return the last lines that it wrote."""
        return self._output.read_bytes()[-OUTPUT_TAIL_BYTES:].decode(errors="replace") if self._output.exists() else ""

    def output_from(self, position: int) -> bytes:
        """Return what it wrote from the byte at a position, on standard output and standard error."""
        if not self._output.exists():
            return b""
        with self._output.open("rb") as output:
            output.seek(position)
            return output.read()

    def _end(self, number: int) -> None:
        if self._process is None:
            return
        self.signal(number)
        try:
            self._process.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            self.signal(signal.SIGKILL)
            self._process.wait()

    def close(self) -> None:
        """Stop it, gently first."""
        self._end(signal.SIGTERM)


def _filled(words: Sequence[str], values: Mapping[str, str]) -> list[str]:
    filled = []
    for word in words:
        for name, value in values.items():
            word = word.replace(f"{{{name}}}", value)  # noqa: PLW2901 - one placeholder after the other
        filled.append(word)
    return filled
