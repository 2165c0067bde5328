"""A testbed run on this machine with a console beside it, which may stop it and begin the next (shell).

The console is a process of its own, fed by the controller's events; what a browser with the token asks for comes back over the
console's standard output. Stopping is what SIGTERM does to a run.
"""

import asyncio
import datetime
import importlib.util
import json
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from bs_controller.console.defaults import DEFAULT_HOST
from deploy.checks import CheckedTestbed
from deploy.children import Child
from deploy.launch import moved, run_testbed, started
from deploy.outcome import printed_status, told
from protocol.config import resolved

STOPPED = 130


@dataclass(frozen=True, slots=True)
class Wishes:
    """What was asked for in a browser since the run began; a start while it is still ending counts."""

    start: asyncio.Event = field(default_factory=asyncio.Event)
    stop: asyncio.Event = field(default_factory=asyncio.Event)


class ConsoleMissingError(Exception):
    """The console's packages are not installed, or its address is taken."""


async def run_with_console(testbed: CheckedTestbed, directory: Path, port: int) -> int:
    """Run a testbed, show it, and stay until cancelled; return the exit status of the last run.

    Raises
    ------
    ConsoleMissingError
        If there is no console to show it.
    """
    if importlib.util.find_spec("uvicorn") is None or importlib.util.find_spec("starlette") is None:
        raise ConsoleMissingError("expected the packages of the console (pip install 'nftestbed[console]'), got none")
    with tempfile.TemporaryDirectory(prefix="nftestbed-") as private:  # mode 0700
        events = f"ipc://{private}/events"
        file = Path(private) / "testbed.yaml"
        file.write_text(resolved(moved(testbed.loaded, Path(private), events)), encoding="utf-8")
        async with _console(file, port) as wishes:
            while True:
                status, interrupted = await _one_run(testbed, directory, events, wishes)
                if interrupted:
                    return status
                sys.stderr.write("the run is over; the console shows it until Ctrl-C\n")
                try:
                    await wishes.start.wait()
                except asyncio.CancelledError:
                    return status
                stamp = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%S.%fZ")
                directory = directory.parent / f"{stamp}-{testbed.loaded.file.name}"


async def _one_run(testbed: CheckedTestbed, directory: Path, events: str, wishes: Wishes) -> tuple[int, bool]:
    """Return the exit status, and whether we were told to end; the result of what was found is printed all the same."""
    interrupted = False
    wishes.start.clear()
    wishes.stop.clear()
    with told(testbed) as what:
        running = asyncio.create_task(run_testbed(testbed, directory, what, events=events), name="run")
        stopping = asyncio.create_task(wishes.stop.wait(), name="stop")
        try:
            await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            interrupted = True
        stopping.cancel()
        stopped = not running.done()
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
    status = STOPPED if stopped else running.result()
    return printed_status(testbed, directory, what, status, as_json=False), interrupted


@asynccontextmanager
async def _console(file: Path, port: int) -> AsyncIterator[Wishes]:
    """Start the console, say where it is, and give out its commands."""
    child = Child.of_module("console", "bs_controller.console", str(file), "--host", DEFAULT_HOST, "--port", str(port))
    environment = {"NFTESTBED_CONSOLE_CONTROLS": "start stop"}
    wishes = Wishes()
    async with started(child, stdout=asyncio.subprocess.PIPE, environment=environment) as process:
        assert process.stdout is not None  # noqa: S101 - it was asked for
        first = await process.stdout.readline()
        if not first:
            raise ConsoleMissingError("expected the address of the console, got none; --port 0 takes any that is free")
        sys.stderr.write(f"console: {json.loads(first)['address']}\n")
        listening = asyncio.create_task(_listen(process.stdout, wishes), name="commands of the console")
        try:
            yield wishes
        finally:
            listening.cancel()


async def _listen(lines: asyncio.StreamReader, wishes: Wishes) -> None:
    async for line in lines:
        name = json.loads(line)["control"]
        (wishes.start if name == "start" else wishes.stop).set()
