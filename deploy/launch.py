"""Start all processes of a testbed on this machine, watch over them, and end them (shell).

Links are ``ipc://`` in a private directory. The launcher reads the controller's records from a pipe, so that a full disk does
not hide them; everything else goes to the run directory. Each child stops by itself if the launcher is gone.
"""

import asyncio
import json
import logging
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import msgspec

from bs_controller.calibration.chosen import with_absolute_calibration
from deploy.checks import CheckedTestbed
from deploy.children import Child, sdr_children, with_private_streams
from deploy.one_thread import ONE_THREAD
from emulator.tracks import with_absolute_tracks
from protocol.config import LinksSection, LoadedTestbed, resolved
from protocol.shell import SUPERVISED

logger = logging.getLogger(__name__)

Record = dict[str, object]
OnRecord = Callable[[Record, bool], None]

MAX_RESTARTS = 3
GRACE_S = 1.5


async def run_testbed(
    testbed: CheckedTestbed, run_directory: Path, on_record: OnRecord, *, events: str | None = None
) -> int:
    """Run a testbed from start to end and return the controller's exit status; cancellation ends every process.

    At `events` the controller tells consoles what it records.
    """
    with tempfile.TemporaryDirectory(prefix="nftestbed-") as private:  # mode 0700
        file = Path(private) / "testbed.yaml"
        loaded = moved(testbed.loaded, Path(private), events)
        file.write_text(resolved(loaded), encoding="utf-8")
        common = (str(file), "--run-dir", str(run_directory), "--quiet")
        peers = [Child.of_module("emulator", "emulator", *common)]
        if loaded.file.sdr is not None:
            peers = sdr_children(
                loaded.file, loaded.file.sdr, tuple(testbed.emulator.users), testbed.controller.ues, common
            )
        peers += [Child.of_module(ue, "ue_agent", *common, "--name", ue) for ue in testbed.controller.ues]
        async with asyncio.TaskGroup() as tasks:
            watching = [tasks.create_task(_keep_alive(child), name=child.name) for child in peers]
            try:
                return await _controller(common, on_record)
            finally:
                for task in watching:
                    task.cancel()


def moved(loaded: LoadedTestbed, private: Path, events: str | None) -> LoadedTestbed:
    """Return the testbed as it can be read in another directory, with private links there, and events, if any, where told."""
    links = LinksSection(control=f"ipc://{private}/control", air=f"ipc://{private}/air", events=events)
    emulator = with_absolute_tracks(loaded.file.emulator, loaded.path.parent)
    file = msgspec.structs.replace(with_absolute_calibration(loaded).file, links=links, emulator=emulator)
    if file.sdr is not None:
        file = with_private_streams(file, private)
    return LoadedTestbed(path=loaded.path, file=file, document=loaded.document)


async def _controller(common: tuple[str, ...], on_record: OnRecord) -> int:
    child = Child.of_module("controller", "bs_controller", *common)
    async with started(child, stdout=asyncio.subprocess.PIPE) as process:
        assert process.stdout is not None  # noqa: S101 - it was asked for
        async for line in process.stdout:
            record = json.loads(line)
            recorded = bool(record.pop("recorded"))
            on_record(record, recorded)
        status = await process.wait()
    if status < 0:
        logger.error("the controller was killed by %s; the run is over", signal.Signals(-status).name)
        return 1
    return status


async def _keep_alive(child: Child) -> None:
    """Start a peer again when it was killed; a peer that gave up by itself would do so again."""
    for _ in range(MAX_RESTARTS + 1):
        async with started(child, stdout=asyncio.subprocess.DEVNULL) as process:
            status = await process.wait()
        if status >= 0:
            logger.error("%s ended by itself with status %d", child.name, status)
            return
        logger.warning("%s was killed by %s; starting it again", child.name, signal.Signals(-status).name)
    logger.error("%s was killed %d times; giving it up", child.name, MAX_RESTARTS + 1)


@asynccontextmanager
async def started(
    child: Child, *, stdout: int, environment: Mapping[str, str] | None = None
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Start a process; its standard error is passed on line by line; leaving ends it."""
    process = await asyncio.create_subprocess_exec(
        *child.command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=stdout,
        stderr=asyncio.subprocess.PIPE,
        env={**ONE_THREAD, **os.environ, **(environment or {}), SUPERVISED: str(os.getpid())},
        start_new_session=True,  # Ctrl-C reaches the launcher alone, which then ends the others in order
        limit=1 << 20,
    )
    relay = asyncio.create_task(_relay(child.name, process), name=f"stderr of {child.name}")
    try:
        yield process
    finally:
        await asyncio.shield(_end(process))
        await relay


async def _relay(name: str, process: asyncio.subprocess.Process) -> None:
    assert process.stderr is not None  # noqa: S101 - it was asked for
    async for line in process.stderr:
        sys.stderr.write(f"{name}: {line.decode(errors='replace')}")


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(GRACE_S):
            await process.wait()
    except TimeoutError:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
