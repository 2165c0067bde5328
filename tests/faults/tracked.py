"""A continuous run as a user starts it, watched for minutes or hours: rate, ages of fixes, and whether memory grows (shell)."""

import json
import signal
import tempfile
import time
from array import array
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bs_controller.streamed import stream_run
from deploy.bench import BenchmarkError
from deploy.soak_rows import MinuteOfTracking, TrackReport
from tests.faults.memory import SHORTEST_FIT_S, Scales, grown
from tests.qualification.processes import Process, command_lines, wait_until

GATHER_S = 240.0  # as many agents start on few cores
STOP_S = 60.0  # and as long again as the run at most: what was found is read from disk
TICK_S = 0.5
#: A hundred bytes kept of each report of a user who is located ten times a second.
FLAT_MIB_PER_HOUR = 3.6
#: Rounds that come too soon are skipped, so that a fix is a round or two old: half a second to one on a machine with six times
#: as much to do as it can. Fixes that wait for each other are older by this much after ten minutes if one in 200 is too many.
AGE_GROWTH_MS = 3000.0

Say = Callable[[str], None]


def tracked(file: Path, minutes: float, say: Say = lambda _line: None) -> TrackReport:
    """Track the users of a testbed file for so long, and report.

    Raises
    ------
    BenchmarkError
        If the run ends before anybody is tracked.
    """
    with tempfile.TemporaryDirectory(prefix="tracked-") as folder:
        run_directory = Path(folder) / "run"
        words = ("run", str(file.resolve()), "--continuous", "--run-dir", str(run_directory), "--json")
        process = Process("-m", "deploy.cli", *words, cwd=Path(folder))
        try:
            return _watched(process, run_directory, 60.0 * minutes, say)
        finally:
            process.end()


def _watched(process: Process, run_directory: Path, lasts_s: float, say: Say) -> TrackReport:
    scales = Scales(_parts_at_work(process, run_directory))
    say(f"users are being tracked for {lasts_s / 60:g} minutes")
    began_s = time.monotonic()
    while time.monotonic() < began_s + lasts_s:
        assert process.status is None, f"the run ended: {process.errors[-2000:]}"
        scales.weigh()
        time.sleep(TICK_S)
    lasted_s = time.monotonic() - began_s
    process.signal(signal.SIGINT)
    process.ended(STOP_S + lasts_s)
    found = json.loads("".join(process.out))
    return _report(found, minutes_of(stream_run(run_directory).records()), scales, lasted_s)


def _parts_at_work(process: Process, run_directory: Path) -> dict[str, int]:
    """Wait for the first track, and return the processes by then."""
    journal = run_directory / "journal.jsonl"

    def begun_or_over() -> bool:
        return process.status is not None or (journal.exists() and b'"kind":"track"' in journal.read_bytes())

    wait_until(begun_or_over, "the first track", GATHER_S)
    if process.status is not None:
        raise BenchmarkError(f"expected users to be tracked, got status {process.ended()} and: {process.errors}")
    return parts_of(run_directory)


def _report(
    found: Mapping[str, Any], minutes: tuple[MinuteOfTracking, ...], scales: Scales, lasted_s: float
) -> TrackReport:
    memory = scales.slopes()
    flat = lasted_s < SHORTEST_FIT_S or not grown(memory, FLAT_MIB_PER_HOUR)
    return TrackReport(
        users=len(found["users"]),
        lasted_s=lasted_s,
        fixes_per_s=found["rate_hz"],
        track_rmse_m=found["track_rmse_m"],
        counters={name: count for name, count in found["counters"].items() if count},
        minutes=minutes,
        memory=memory,
        curves_mib={part.process: scales.curve_mib(part.process) for part in memory},
        met=flat and minutes[-1].age_p50_ms - minutes[0].age_p50_ms <= AGE_GROWTH_MS,
    )


def parts_of(run_directory: Path) -> dict[str, int]:
    """Return the processes that work for a run: the name of the UE, or else of the module that was started."""
    ours = [(pid, words) for pid, words in command_lines() if str(run_directory) in words and "-m" in words]
    return {words[words.index("--name" if "--name" in words else "-m") + 1]: pid for pid, words in ours}


def minutes_of(records: Iterable[Mapping[str, object]]) -> tuple[MinuteOfTracking, ...]:
    """Return how old fixes were in each whole minute since the first; of a shorter run, in all of it."""
    ages_ms: dict[int, array[float]] = defaultdict(lambda: array("d"))
    first_s = now_s = None
    for record in records:
        if record["kind"] == "track":
            now_s, age_ms = record["time_s"], record["age_ms"]
            assert isinstance(now_s, float)
            assert isinstance(age_ms, float)
            first_s = now_s if first_s is None else first_s
            ages_ms[int((now_s - first_s) / 60.0)].append(age_ms)
    if len(ages_ms) > 1:
        ages_ms.popitem()  # the last one is cut short
    return tuple(
        MinuteOfTracking(
            minute=minute,
            fixes=len(ages),
            age_p50_ms=float(np.median(ages)),
            age_p99_ms=float(np.percentile(ages, 99)),
        )
        for minute, ages in ages_ms.items()
    )
