"""Testbeds of real processes for the qualification: start them, watch what they say, and always end them, by their pid.

Nothing here sleeps for a fixed time: whoever waits names a condition and a bound. Each process is a session of its own, so
that nothing it started outlives the test.
"""

import contextlib
import copy
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, TypeVar

import yaml
from typer.testing import CliRunner

from deploy.cli import app
from protocol.config import LoadedTestbed, facts, read_testbed
from protocol.testbed import TestbedFacts

T = TypeVar("T")
Record = dict[str, object]

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "deploy" / "testbeds" / "demo.yaml"
#: Generous on purpose: the bound of a wait that succeeds at once on a healthy machine.
PATIENCE_S = 30.0
POLL_S = 0.02

SMALL: Mapping[str, object] = {
    "name": "small",
    "downlink": {"carrier_hz": 100e9, "bandwidth_hz": 6e9, "subcarriers": 128, "elements": 64, "subarrays": 4},
    "uplink": {
        "carrier_hz": 28e9,
        "spacing_hz": 480e3,
        "subcarriers": 16,
        "elements": 32,
        "radius_m": 0.1,
        "half_sector_deg": 60,
    },
    "region": {"range_m": [1, 10], "angle_deg": [-60, 60]},
    "controller": {
        "schemes": [
            {"scheme": "cbs"},
            {"scheme": "cbs_bt", "angle_groups": 8, "range_groups": 8},
            {"scheme": "backprojection", "range_points": 50},
        ],
        "gather_s": 15.0,
        "rejoin_s": 3.0,
        "request_deadline_s": 0.3,
        "retries": 5,
        "heartbeat_s": 0.1,
        "liveness_s": 0.5,
    },
    "emulator": {},
}
PLACES = ({"range_m": 3, "angle_deg": 10}, {"range_m": 4, "angle_deg": -20}, {"range_m": 5, "angle_deg": 30})


def wait_until(condition: Callable[[], T], what: str, timeout_s: float = PATIENCE_S) -> T:
    """Return what the condition returns once that is true, or fail."""
    deadline_s = time.monotonic() + timeout_s
    while not (found := condition()):
        if time.monotonic() > deadline_s:
            raise AssertionError(f"expected within {timeout_s:g} s: {what}")
        time.sleep(POLL_S)
    return found


def free_ports(count: int) -> list[int]:
    """Return ports of the loopback interface that nobody listens on."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]


def merged(base: Mapping[str, object], changes: Mapping[str, object]) -> dict[str, object]:
    """Return nested mappings with some values changed."""
    result = copy.deepcopy(dict(base))
    for key, value in changes.items():
        old = result.get(key)
        result[key] = merged(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return result


class Process:
    """One running process; what it prints is collected line by line."""

    def __init__(self, *arguments: str, cwd: Path) -> None:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
        self._popen = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.pid = self._popen.pid
        self.out: list[str] = []
        self.err: list[str] = []
        self._records: list[Record] = []
        assert self._popen.stdout is not None
        assert self._popen.stderr is not None
        pipes: tuple[tuple[IO[str], list[str]], ...] = ((self._popen.stdout, self.out), (self._popen.stderr, self.err))
        self._readers = [threading.Thread(target=lines.extend, args=(pipe,), daemon=True) for pipe, lines in pipes]
        for reader in self._readers:
            reader.start()

    @property
    def status(self) -> int | None:
        """Return the exit status; None while the process runs."""
        return self._popen.poll()

    @property
    def errors(self) -> str:
        """Return what the process has said on standard error so far."""
        return "".join(self.err)

    @property
    def records(self) -> list[Record]:
        """Return what a controller has acknowledged on standard output so far; a cut last line is none."""
        new = self.out[len(self._records) :]
        self._records += [json.loads(line) for line in new if line.endswith("\n")]
        return list(self._records)

    def said(self, text: str, timeout_s: float = PATIENCE_S) -> str:
        """Wait until standard error holds a text, and return all of it."""
        wait_until(lambda: text in self.errors or self._popen.poll() is not None, f"{text!r}", timeout_s)
        if text not in self.errors:
            self.ended()
        assert text in self.errors, f"expected {text!r}, got status {self._popen.returncode} and: {self.errors}"
        return self.errors

    def told(self, condition: Callable[[list[Record]], T], what: str, timeout_s: float = PATIENCE_S) -> T:
        """Wait until the records on standard output meet a condition, and return what that returned."""
        try:
            return wait_until(lambda: condition(self.records), what, timeout_s)
        except AssertionError as error:
            raise AssertionError(f"{error}; standard error: {self.errors[-2000:]}") from None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to this process alone."""
        os.kill(self.pid, number)

    def ended(self, timeout_s: float = PATIENCE_S) -> int:
        """Wait until the process has ended and all it said is here; return its status."""
        try:
            status = self._popen.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"expected the end within {timeout_s:g} s; said: {self.errors[-3000:]}") from None
        for reader in self._readers:
            reader.join(PATIENCE_S)
        return status

    def end(self) -> None:
        """End the process and whatever it started, kindly or not."""
        for number, grace_s in ((signal.SIGCONT, 0.0), (signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0)):
            if self._popen.poll() is None:
                os.kill(self.pid, number)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._popen.wait(grace_s)
        for reader in self._readers:
            reader.join(5.0)
        for pipe in (self._popen.stdout, self._popen.stderr):
            if pipe is not None:
                pipe.close()


class Lab:
    """A small testbed in a folder of its own: its file, and the processes started for it."""

    def __init__(self, folder: Path, *, ues: int = 2, tcp: bool = True, **changes: Mapping[str, object]) -> None:
        self.folder = folder
        self.ues = tuple(f"ue-{number + 1}" for number in range(ues))
        self.run_directory = folder / "run"
        self._processes: list[Process] = []
        control, air = free_ports(2) if tcp else (folder / "control", folder / "air")
        prefix = "tcp://127.0.0.1:" if tcp else "ipc://"
        links = {"links": {"control": f"{prefix}{control}", "air": f"{prefix}{air}"}}
        people = {
            "controller": {"ues": list(self.ues)},
            "emulator": {"users": dict(zip(self.ues, PLACES, strict=False))},
        }
        self.values = merged(merged(merged(SMALL, links), people), changes)
        self.file = self.write("testbed.yaml", self.values)

    def write(self, name: str, values: Mapping[str, object]) -> Path:
        """Write a testbed file into the folder."""
        path = self.folder / name
        path.write_text(yaml.safe_dump(dict(values), sort_keys=False))
        return path

    @property
    def loaded(self) -> LoadedTestbed:
        """Return the testbed as a process reads it."""
        return read_testbed(self.file)

    @property
    def facts(self) -> TestbedFacts:
        """Return the facts of the testbed."""
        return facts(self.loaded.file)

    @property
    def control(self) -> str:
        """Return the endpoint of the control link."""
        return self.loaded.file.links.control

    def start(self, *arguments: str) -> Process:
        """Start a Python process in the folder."""
        process = Process(*arguments, cwd=self.folder)
        self._processes.append(process)
        return process

    def command(self, *arguments: str) -> Process:
        """Start ``nftestbed`` with these arguments."""
        return self.start("-m", "deploy.cli", *arguments)

    def controller(self, run_directory: Path | None = None) -> Process:
        """Start a controller that prints each record as a line of JSON, and wait until it listens."""
        directory = str(run_directory or self.run_directory)
        process = self.start("-m", "bs_controller", str(self.file), "--run-dir", directory)
        process.said("listening at")
        return process

    def emulator(self) -> Process:
        """Start the emulator, which writes its truth to the run directory."""
        return self.start("-m", "emulator", str(self.file), "--run-dir", str(self.run_directory))

    def ue(self, name: str, file: Path | None = None) -> Process:
        """Start a UE agent."""
        return self.start("-m", "ue_agent", str(file or self.file), "--name", name)

    def end(self) -> None:
        """End all processes, the newest first, and those they left behind."""
        for process in reversed(self._processes):
            process.end()
        for pid in self.alive():
            os.kill(pid, signal.SIGKILL)

    def alive(self, module: str = "") -> list[int]:
        """Return the processes that work in this folder or for it, those of one module if it is named."""
        mark = str(self.folder)
        return [pid for pid, words in command_lines() if module in [*words[1:], ""] and concerns(pid, words, mark)]

    def one(self, module: str, *words: str) -> int:
        """Return the one process of a module in this folder whose command line holds these words."""
        ours = {*self.alive(module)}
        (pid,) = [pid for pid, found in command_lines() if pid in ours and {*words} <= {*found}]
        return pid

    def kill_one(self, module: str, *words: str) -> None:
        """Kill that process."""
        os.kill(self.one(module, *words), signal.SIGKILL)


def said_of_a_refused(file: Path) -> str:
    """Return what ``nftestbed run`` says of a file that it must refuse, called in this process, which spares a start."""
    result = CliRunner().invoke(app, ["run", str(file)])
    assert (result.exit_code, result.stdout) == (2, ""), result.output
    return result.stderr


def command_lines() -> Iterator[tuple[int, list[str]]]:
    """Yield every process of this machine with its words, except those that have ended."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = path.read_bytes().decode(errors="replace").split("\0")
            if words != [""] and int(path.parent.name) != os.getpid():
                yield int(path.parent.name), words


def concerns(pid: int, words: list[str], mark: str) -> bool:
    """Return whether a process is one of ours: it names the folder, or works in it."""
    try:
        works_in = str(Path(f"/proc/{pid}/cwd").readlink())
    except OSError:
        works_in = ""
    return works_in.startswith(mark) or any(mark in word for word in words)


def fixes(records: list[Record], ue: str | None = None, *, recorded: bool | None = None) -> list[Record]:
    """Return the fixes among records, of one UE or of all."""
    chosen = [record for record in records if record["kind"] == "fix" and ue in {None, record["ue"]}]
    return [record for record in chosen if recorded in {None, record.get("recorded")}]


def of_kind(records: list[Record], kind: str) -> list[Record]:
    """Return the records of one kind."""
    return [record for record in records if record["kind"] == kind]


def counters_of(records: list[Record]) -> dict[str, int]:
    """Return the counters that a controller closed its run with."""
    (end,) = of_kind(records, "end")
    counters = end["counters"]
    assert isinstance(counters, dict)
    return counters


def identity(record: Record) -> tuple[object, ...]:
    """Return what tells one fix from another."""
    return record["ue"], record["scheme"], record["round"]
