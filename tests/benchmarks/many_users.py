"""A whole testbed with many users on one machine: every process as a user starts it, all samples reported.

Per round each user is located by controllable beam squint: one angle sweep common to all, then one range sweep each. The
controller prints a record once it is on disk, so that every figure includes the recording.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from deploy.one_thread import ONE_THREAD
from protocol.config import read_testbed
from protocol.strict_yaml import text_from_values
from tests.benchmarks.harness import Row

Record = Mapping[str, Any]

REPOSITORY = Path(__file__).parents[2]
TEMPLATE = REPOSITORY / "deploy" / "testbeds" / "demo.yaml"
USERS = 64
ROUNDS = 40
GATHER_S = 120.0  # as many interpreters start on few cores
LIMIT_S = 300.0
STOP_S = 3.0


def rows() -> list[Row]:
    """Return the one row of this benchmark, which has no baseline: nothing else does this."""
    log = _measured(USERS, ROUNDS)
    expected = USERS * ROUNDS
    return [
        Row(
            name=f"{USERS} users, CBS, complex feedback, one machine",
            ours_ms=log.sweep_cycle_ms(USERS),
            baseline_ms=None,
            error=None,
            target="all fixes arrive",
            met=log.status == 0 and len(log.fixes) == expected,
            details=log.details(expected),
        )
    ]


@dataclass(slots=True)
class _Log:
    """What the controller said, when it was on disk, and how large the processes became."""

    sweeps_at_s: list[float] = field(default_factory=list)
    fixes_at_s: list[float] = field(default_factory=list)
    fixes: list[Record] = field(default_factory=list)
    configure_ms: list[float] = field(default_factory=list)
    measure_ms: list[float] = field(default_factory=list)
    peak_mib: dict[str, float] = field(default_factory=dict)
    counters: dict[str, float] = field(default_factory=dict)
    status: int = -1

    def take(self, record: Record) -> None:
        match record["kind"]:
            case "sweep":
                self.sweeps_at_s.append(time.monotonic())
                self.configure_ms.append(record["configure_ms"])
            case "report":
                self.measure_ms.append(record["measure_ms"])
            case "fix":
                self.fixes_at_s.append(time.monotonic())
                self.fixes.append(record)
            case "end":
                self.counters = {name: count for name, count in record["counters"].items() if count}

    def sweep_cycle_ms(self, block: int) -> float:
        """Return the median milliseconds from sweep to sweep, over blocks: records reach the disk in batches."""
        ends_s = np.array(self.sweeps_at_s[::block])
        return 1e3 * float(np.median(np.diff(ends_s))) / block if ends_s.size > 1 else float("nan")

    def details(self, expected: int) -> dict[str, float | int | str | dict[str, float]]:
        """Return all other figures; latencies are as the controller saw them."""
        lasted_s = self.fixes_at_s[-1] - self.sweeps_at_s[0] if self.fixes else float("nan")
        latency_ms = [fix["latency_ms"] for fix in self.fixes] or [float("nan")]
        return {
            "fixes": len(self.fixes),
            "expected": expected,
            "lasted_s": lasted_s,
            "sweeps_per_s": len(self.sweeps_at_s) / lasted_s,
            "fixes_per_s": len(self.fixes) / lasted_s,
            "fix_p50_ms": float(np.percentile(latency_ms, 50)),
            "fix_p99_ms": float(np.percentile(latency_ms, 99)),
            "configure_p50_ms": float(np.median(self.configure_ms or [float("nan")])),
            "measure_p50_ms": float(np.median(self.measure_ms or [float("nan")])),
            "measure_p99_ms": float(np.percentile(self.measure_ms or [float("nan")], 99)),
            "peak_mib": self.peak_mib,
            "counters": self.counters,
            "exit_status": self.status,
        }


def _measured(users: int, rounds: int) -> _Log:
    """Run the testbed once; every process has ended when this returns."""
    log = _Log()
    peaks: dict[int, float] = {}
    with tempfile.TemporaryDirectory(prefix="bench-") as private, _ended_at_last() as started:  # mode 0700
        directory = Path(private)
        file = directory / "testbed.yaml"
        file.write_text(_testbed(directory, users, rounds), encoding="utf-8")
        run = ("--run-dir", str(directory / "run"))
        started += [controller := _process("bs_controller", file, *run), emulator := _process("emulator", file, *run)]
        for name in _names(users):
            started.append(_process("ue_agent", file, "--name", name))
        for record in _records(controller):
            log.take(record)
            if record["kind"] == "fix" and len(log.fixes) % users == 0:
                peaks |= {process.pid: _peak_mib(process) for process in started}
        with suppress(subprocess.TimeoutExpired):
            log.status = controller.wait(STOP_S)
    if peaks:
        ends = {"controller": peaks.pop(controller.pid), "emulator": peaks.pop(emulator.pid)}
        log.peak_mib = {**ends, "ue": float(np.median(list(peaks.values())))}
    return log


def _names(users: int) -> list[str]:
    return [f"ue-{number}" for number in range(1, users + 1)]


def _testbed(directory: Path, users: int, rounds: int) -> str:
    """Return the demo's file with many users, spread over the region, and private links."""
    values: dict[str, Any] = msgspec.to_builtins(read_testbed(TEMPLATE).file)
    rng = np.random.default_rng(1)
    range_m, angle_deg = rng.uniform(6, 49, users), rng.uniform(-58, 58, users)
    values["links"] = {"control": f"ipc://{directory}/control", "air": f"ipc://{directory}/air"}
    values["controller"] = {
        "ues": _names(users),
        "schemes": [{"scheme": "cbs", "feedback": "complex"}],
        "rounds": rounds,
        "gather_s": GATHER_S,
    }
    places = zip(_names(users), range_m, angle_deg, strict=True)
    values["emulator"]["users"] = {name: {"range_m": float(r), "angle_deg": float(th)} for name, r, th in places}
    return text_from_values(values)


def _records(controller: "subprocess.Popen[str]") -> Iterator[Record]:
    """Yield what the controller prints until it ends, or is ended because it takes too long."""
    watchdog = threading.Timer(LIMIT_S, controller.kill)
    watchdog.start()
    try:
        assert controller.stdout is not None
        for line in controller.stdout:
            yield json.loads(line)
    finally:
        watchdog.cancel()


def _process(module: str, file: Path, *options: str) -> "subprocess.Popen[str]":
    """Start a process as `nftestbed run` does."""
    command = [sys.executable, "-P", "-m", module, str(file), "--quiet", *options]
    output = subprocess.PIPE if module == "bs_controller" else subprocess.DEVNULL
    return subprocess.Popen(command, cwd=REPOSITORY, stdout=output, text=True, env={**ONE_THREAD, **os.environ})


@contextmanager
def _ended_at_last() -> Iterator[list["subprocess.Popen[str]"]]:
    """Yield a list, and end the processes that were put into it whatever happens."""
    processes: list[subprocess.Popen[str]] = []
    try:
        yield processes
    finally:
        for process in processes:
            process.terminate()
        until_s = time.monotonic() + STOP_S
        for process in processes:
            try:
                process.wait(max(0.0, until_s - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdout is not None:
                process.stdout.close()


def _peak_mib(process: "subprocess.Popen[str]") -> float:
    try:
        status = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
    except OSError:  # it has ended, or this is not Linux
        return float("nan")
    peak_kib = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")]
    return int(peak_kib[0]) / 1024 if peak_kib else float("nan")
