"""A wall clock moved from outside, and nothing but that."""

import os
import subprocess
import sys
import time
from pathlib import Path

from tests.faults.shifted_clock import shifted
from tests.qualification.processes import ROOT


def test_clock_is_ahead_by_what_the_file_says_at_that_moment(tmp_path: Path) -> None:
    ahead = tmp_path / "ahead"
    clock = shifted(lambda: 5_000_000_000, ahead)
    ahead.write_text("1.5")
    assert clock() == 6_500_000_000
    ahead.write_text("-2")
    assert clock() == 3_000_000_000


def test_module_runs_with_the_moved_clock_and_its_own_arguments(tmp_path: Path) -> None:
    (tmp_path / "ahead").write_text("-86400")
    (tmp_path / "telling.py").write_text(
        "import sys, time\nif __name__ == '__main__': print(time.time_ns(), time.time(), *sys.argv[1:])\n"
    )
    command = [sys.executable, "-m", "tests.faults.shifted_clock", "ahead", "telling", "one", "two"]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{tmp_path}"}
    began_s = time.time()
    told = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    ).stdout.split()
    ended_s = time.time()
    assert told[2:] == ["one", "two"]
    for now_s in (int(told[0]) / 1e9, float(told[1])):
        assert began_s - 86400 <= now_s <= ended_s - 86400
