"""What the shells of all processes share: logs, signals, and an orderly end (shell)."""

import argparse
import asyncio
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path

import structlog

from protocol.config import ConfigError, LoadedTestbed, read_testbed
from protocol.metrics import Families
from protocol.resources import allow_many_connections, end_beyond, memory_limit_bytes
from protocol.transport import end_transport

logger = logging.getLogger(__name__)

SUPERVISED = "NFTESTBED_SUPERVISOR_PID"
PARENT_CHECK_S = 0.5
EXHAUSTED = 1
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_SHARED = (
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
)


class _ForgivingFile(logging.FileHandler):
    """A log file whose disk may fill up: the log then has a hole, the process goes on."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name is logging's
        """Say nothing: what could be said would go to the same full disk."""


def set_up_logging(process: str, run_directory: Path | None, *, quiet: bool = False) -> None:
    """Log for people to standard error and, if there is a run directory, as JSON lines to its ``logs/``."""
    handlers: list[logging.Handler] = []
    console = logging.StreamHandler(sys.stderr)
    console.setFormatter(_formatter(structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())))
    console.setLevel(logging.WARNING if quiet else logging.INFO)
    handlers.append(console)
    if run_directory is not None:
        try:
            (run_directory / "logs").mkdir(parents=True, exist_ok=True)
            file = _ForgivingFile(run_directory / "logs" / f"{process}.jsonl", encoding="utf-8")
        except OSError as error:
            print(f"{process}: no log file: {error}", file=sys.stderr)  # noqa: T201 - there is no log to write to
        else:
            file.setFormatter(_formatter(structlog.processors.JSONRenderer()))
            handlers.append(file)
    logging.basicConfig(level=logging.INFO, handlers=handlers, force=True)


def _formatter(renderer: structlog.typing.Processor) -> logging.Formatter:
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=_SHARED,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
    )


def run_until_stopped(main: Coroutine[object, object, int], *, stopped: int) -> int:
    """Run a process's main task; SIGINT and SIGTERM cancel it, and then the exit status is `stopped`.

    It is ended in order, with status 1, when it holds more memory than it may.
    """
    allow_many_connections()
    try:
        limit_bytes = memory_limit_bytes()
    except ValueError as error:
        main.close()
        print(error, file=sys.stderr)  # noqa: T201 - the answer to the person at the terminal
        return 2
    try:
        return asyncio.run(_stoppable(main, stopped, limit_bytes))
    finally:
        end_transport()


def serve_testbed(
    process: str,
    path: Path,
    serve: Callable[[LoadedTestbed], Coroutine[object, object, int]],
    *,
    run_directory: Path | None,
    quiet: bool,
    stopped: int,
) -> int:
    """Read a testbed file and run a process's main task on it; a wrong file is told in one line, with status 2."""
    set_up_logging(process, run_directory, quiet=quiet)
    try:
        loaded = read_testbed(path)
        for endpoint in loaded.file.links.exposed:
            logger.warning(
                "%s is INSECURE: whoever reaches it can read and steer this testbed (insecure: true)", endpoint
            )
        for address in loaded.file.metrics.exposed:
            logger.warning("metrics at %s are INSECURE: whoever reaches it can read them (insecure: true)", address)
        return run_until_stopped(serve(loaded), stopped=stopped)
    except ConfigError as error:
        print(error, file=sys.stderr)  # noqa: T201 - the answer to the person at the terminal
        return 2


@asynccontextmanager
async def metrics_served(loaded: LoadedTestbed, name: str, families: Families) -> AsyncIterator[None]:
    """Serve metrics while the context lasts, if the testbed file says where the process of this name does.

    Raises
    ------
    OSError
        If the address cannot be bound.
    """
    address = loaded.file.metrics.at.get(name)
    if address is None:
        yield
        return
    from protocol.exporter import served  # noqa: PLC0415 - a tenth of a second of imports, which few processes need

    async with served(address, families):
        yield


async def _stoppable(main: Coroutine[object, object, int], stopped: int, limit_bytes: int) -> int:
    task = asyncio.ensure_future(main)
    loop = asyncio.get_running_loop()
    watch = asyncio.create_task(_watch_parent(task), name="parent")
    memory = asyncio.create_task(end_beyond(task, limit_bytes), name="memory")
    asked_to_stop = False

    def stop() -> None:
        nonlocal asked_to_stop
        asked_to_stop = True
        task.cancel()

    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, stop)
    try:
        return await task
    except asyncio.CancelledError:
        if memory.done():
            return EXHAUSTED
        if not asked_to_stop and not watch.done():
            raise
        return stopped
    finally:
        watch.cancel()
        memory.cancel()


async def _watch_parent(task: asyncio.Future[int]) -> None:
    """Stop when the supervisor that started this process is gone, however it died."""
    if SUPERVISED not in os.environ:
        await asyncio.Event().wait()
    parent = int(os.environ[SUPERVISED])
    while os.getppid() == parent:  # noqa: ASYNC110 - the kernel sends no event
        await asyncio.sleep(PARENT_CHECK_S)
    task.cancel()


def arguments(description: str, *, named: bool, recorded: bool = False) -> argparse.Namespace:
    """Return the command line of a process that another program starts; people use ``nftestbed``."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("file", type=Path, help="testbed file")
    parser.add_argument("--quiet", action="store_true", help="say only what needs attention")
    parser.add_argument(
        "--run-dir", type=Path, default=None, required=recorded, help="run directory for logs and records"
    )
    if named:
        parser.add_argument("--name", required=True, help="name of the UE in the testbed file")
    return parser.parse_args()
