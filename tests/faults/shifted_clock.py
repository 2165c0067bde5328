"""Run a process whose wall clock can be moved from outside: ``python -m tests.faults.shifted_clock FILE MODULE ARGUMENT...``.

FILE holds how many seconds its clock is ahead; nothing but the wall clock is moved.
"""

import runpy
import sys
import time
from collections.abc import Callable
from pathlib import Path


def shifted(clock_ns: Callable[[], int], file: Path) -> Callable[[], int]:
    """Return a clock that is ahead of another by what the file says at that moment."""

    def now_ns() -> int:
        return clock_ns() + int(1e9 * float(file.read_text() or 0))

    return now_ns


if __name__ == "__main__":
    now_ns = shifted(time.time_ns, Path(sys.argv[1]))
    time.time_ns = now_ns
    time.time = lambda: now_ns() / 1e9
    module, sys.argv = sys.argv[2], sys.argv[2:]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
