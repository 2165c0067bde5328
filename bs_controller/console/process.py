"""The console's process: a recording or a live run, and the web server that shows it (shell)."""

import asyncio
import contextlib
import json
import logging
import os
import socket
import sys
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from bs_controller.console.board import Board
from bs_controller.console.doors import Doors, new_token
from bs_controller.console.live import LiveFeed
from bs_controller.console.player import Player
from bs_controller.console.server import Console
from bs_controller.recorded import RecordingError
from protocol.config import ConfigError, read_testbed
from protocol.shell import run_until_stopped

logger = logging.getLogger(__name__)

TOKEN = "NFTESTBED_CONSOLE_TOKEN"  # noqa: S105 - the variable's name
CONTROLLED = "NFTESTBED_CONSOLE_CONTROLS"

#: Shows what a path names on a bound socket, and says where, until cancelled.
Serving = Callable[[Path, socket.socket, Callable[[str], None]], Coroutine[object, object, int]]


class _Server(uvicorn.Server):
    """A web server that leaves signals to the shell of all processes."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


@dataclass(frozen=True, slots=True)
class Commands:
    """Hands commands of a browser on to whoever started this process, one JSON line each on standard output."""

    names: tuple[str, ...] = ()

    def __call__(self, name: str) -> None:
        """Say one command."""
        sys.stdout.write(json.dumps({"control": name}) + "\n")
        sys.stdout.flush()


def bound(host: str, port: int) -> socket.socket:
    """Return a socket that listens there; port 0 is any that is free.

    Raises
    ------
    OSError
        If it cannot be bound.
    """
    family, kind, number, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[
        0
    ]
    listening = socket.socket(family, kind, number)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind(address)
        listening.listen()  # whoever opens the address as soon as it is told waits, and is not refused
    except OSError as error:
        listening.close()
        raise OSError(f"cannot serve a console at {host}:{port}: {error.strerror}") from error
    return listening


def is_loopback(listening: socket.socket) -> bool:
    """Return whether only this machine reaches a bound socket."""
    address = str(listening.getsockname()[0])
    return address == "::1" or address.startswith("127.")


def address_of(listening: socket.socket, token: str) -> str:
    """Return what a person opens in a browser."""
    host, port = listening.getsockname()[:2]
    shown = {"0.0.0.0": socket.gethostname(), "::": socket.gethostname()}.get(host, host)  # noqa: S104 - told, not bound
    return f"http://{f'[{shown}]' if ':' in shown else shown}:{port}/?token={token}"


async def serve_recording(path: Path, listening: socket.socket, on_address: Callable[[str], None]) -> int:
    """Show a run directory until cancelled."""
    board = Board("recorded")
    player = Player(path, board)
    async with asyncio.TaskGroup() as tasks:
        playing = tasks.create_task(player.run(), name="playing")
        try:
            await serve(board, listening, on_address, player=player)
        finally:
            playing.cancel()
    return 0


async def serve_live(path: Path, listening: socket.socket, on_address: Callable[[str], None]) -> int:
    """Show what the controller of a testbed file tells until cancelled."""
    endpoint = read_testbed(path).file.links.events
    if endpoint is None:
        raise ValueError(f"{path}: expected links.events, where the controller tells what it records, got none")
    board = Board("live")
    feed = LiveFeed(endpoint, board)
    try:
        await serve(board, listening, on_address)
    finally:
        feed.close()
    return 0


async def serve(
    board: Board, listening: socket.socket, on_address: Callable[[str], None], *, player: Player | None = None
) -> None:
    """Serve a board until cancelled; `on_address` is told where."""
    token = os.environ.get(TOKEN) or new_token()
    controls = Commands(tuple(os.environ.get(CONTROLLED, "").split()))
    doors = Doors(token=token, port=listening.getsockname()[1], exposed=not is_loopback(listening))
    console = Console(board, doors, controls, player)
    config = uvicorn.Config(
        console.app, log_config=None, access_log=False, lifespan="off", ws="websockets-sansio", ws_max_size=4096,
        ws_per_message_deflate=False, timeout_graceful_shutdown=1, server_header=False,
    )  # fmt: skip
    server = _Server(config)
    on_address(address_of(listening, token))
    if doors.exposed:
        logger.warning("the console is bound beyond this machine: whoever has its address with the token can look")
    serving = asyncio.create_task(server.serve(sockets=[listening]), name="web server")
    refining = asyncio.create_task(board.refine(), name="bounds")
    try:
        await asyncio.shield(serving)
    finally:
        refining.cancel()
        server.should_exit = True
        with contextlib.suppress(asyncio.CancelledError):
            await serving


def show_recording(path: Path, host: str, port: int, on_address: Callable[[str], None]) -> int:
    """Show a run directory in browsers until stopped; return the exit status."""
    return _show(serve_recording, path, host, port, on_address)


def show_live(path: Path, host: str, port: int, on_address: Callable[[str], None]) -> int:
    """Show the run of a testbed file's controller in browsers until stopped; return the exit status."""
    return _show(serve_live, path, host, port, on_address)


def _show(serving: Serving, path: Path, host: str, port: int, on_address: Callable[[str], None]) -> int:
    try:
        with bound(host, port) as listening:
            return run_until_stopped(serving(path, listening, on_address), stopped=0)
    except (OSError, ValueError, RecordingError, ConfigError) as error:
        print(error, file=sys.stderr)  # noqa: T201 - the answer to the person at the terminal
        return 2
