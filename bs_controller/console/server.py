"""The console's web server: a static page and one WebSocket for each browser; the only importer of starlette (shell).

A browser is sent the newest state, never a queue: a frame is made when the browser can take it, of what changed since the
one before, and at most two are on their way that it has not said to have drawn.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol

import msgspec
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from bs_controller.console.board import Board
from bs_controller.console.doors import HEADERS, Doors
from bs_controller.console.frames import frame
from bs_controller.console.player import Player
from bs_controller.console.state import SLOW

PAGE = Path(__file__).parent / "page"
MAX_BROWSERS = 32
BETWEEN_FRAMES_S = 0.1  # on average
EARLY_S = 0.05  # may a frame come after one that came late, or events ten times a second would miss every other
GATHER_S = 0.01  # the rest of a burst
HEARTBEAT_S = 1.0
SLOW_S = 0.45
IN_FLIGHT = 2
POLICY_VIOLATION, TRY_AGAIN_LATER = 1008, 1013


class Controls(Protocol):
    """What a browser with the token may do to the run."""

    @property
    def names(self) -> tuple[str, ...]:
        """Return which of ``start`` and ``stop`` there are."""

    def __call__(self, name: str, /) -> None:
        """Carry out one of them."""


class Wish(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a browser says; anything else ends its connection."""

    choose: str | None = None
    drawn: int | None = None
    play: bool | None = None
    seek: float | None = None
    speed: float | None = None
    control: str | None = None


class _Browser:
    """One browser's connection: what it looks at, what it was sent, and what it may do."""

    def __init__(self, console: "Console", socket: WebSocket, may_control: bool) -> None:
        self._console, self._socket, self._may_control = console, socket, may_control
        self._ue: str | None = None
        self._seen: dict[str, int] = {}
        self._generation = 0
        self._sent = self._drawn = 0
        self._event_s: float | None = None
        self._slow_s = float("-inf")  # when it was sent the slow sections
        self._room = asyncio.Event()
        self._room.set()

    async def serve(self) -> None:
        """Send frames and take wishes until the browser goes."""
        async with asyncio.TaskGroup() as tasks:
            sending = tasks.create_task(self._send_frames(), name="frames")
            try:
                while True:
                    self._take(msgspec.json.decode(await self._socket.receive_text(), type=Wish))
            except (msgspec.MsgspecError, KeyError):
                await self._socket.close(POLICY_VIOLATION, "not a wish of this console's page")
            except WebSocketDisconnect:
                pass
            finally:
                sending.cancel()

    async def _send_frames(self) -> None:
        board, loop = self._console.board, asyncio.get_running_loop()
        due_s = loop.time()
        with board.watched() as changed:
            while True:
                try:
                    async with asyncio.timeout(HEARTBEAT_S):
                        await changed.wait()
                    await asyncio.sleep(GATHER_S)
                except TimeoutError:
                    pass
                await self._room.wait()
                changed.clear()
                try:
                    await self._socket.send_bytes(self._frame())
                except (WebSocketDisconnect, RuntimeError):  # gone; the reader ends the connection
                    return
                due_s = max(due_s, loop.time() - EARLY_S) + BETWEEN_FRAMES_S
                await asyncio.sleep(due_s - loop.time() - GATHER_S)

    def _frame(self) -> bytes:
        board = self._console.board
        if self._generation != board.generation:
            self._generation, self._seen = board.generation, {}
        sections = {}
        if board.state is not None:
            ues = board.state.about.controller.ues
            self._ue = self._ue if self._ue in ues else ues[0]
            now_s = time.monotonic()
            later = SLOW if now_s - self._slow_s < SLOW_S else ()
            self._slow_s = self._slow_s if later else now_s
            sections = board.state.sections(self._ue, self._seen, later)
        self._sent += 1
        if self._sent - self._drawn >= IN_FLIGHT:
            self._room.clear()
        status = {
            **board.status(),
            **self._console.player_status(),
            "frame": self._sent,
            "ue": self._ue,
            "sent_ms": 1e3 * time.time(),
            "event_ms": self._newest_event_ms(),
            "controls": self._console.controls.names if self._may_control else (),
        }
        return frame(status, sections)

    def _newest_event_ms(self) -> float | None:
        """Return when the newest event was published, unless an earlier frame had it."""
        before_s, self._event_s = self._event_s, self._console.board.event_s
        return None if self._event_s is None or self._event_s == before_s else 1e3 * self._event_s

    def _take(self, wish: Wish) -> None:
        if wish.drawn is not None:
            self._drawn = min(wish.drawn, self._sent)
            self._room.set()
        if wish.choose is not None:
            self._ue = wish.choose
            self._seen = {name: revision for name, revision in self._seen.items() if ":" not in name}
            self._console.board.touch()
        if wish.control is not None:
            if not self._may_control or wish.control not in self._console.controls.names:
                raise KeyError(wish.control)
            self._console.controls(wish.control)
        self._console.replay(wish)


class Console:
    """The application of one board."""

    def __init__(self, board: Board, doors: Doors, controls: Controls, player: Player | None) -> None:
        self.board, self.controls = board, controls
        self._doors, self._player = doors, player
        self._browsers = 0
        routes = [
            Route("/", self._index),
            Route("/favicon.ico", self._favicon),
            Mount("/page", StaticFiles(directory=PAGE)),
            WebSocketRoute("/frames", self._frames),
        ]
        self.app: ASGIApp = _Guarded(Starlette(routes=routes), doors)

    def player_status(self) -> dict[str, object]:
        """Return where a recording stands; of a live run nothing."""
        return {} if self._player is None else self._player.status()

    def replay(self, wish: Wish) -> None:
        """Carry out what a browser wishes of a recording."""
        if self._player is None:
            return
        if wish.speed is not None:
            self._player.set_speed(wish.speed)
        if wish.seek is not None:
            self._player.seek(wish.seek)
        if wish.play is not None:
            self._player.play(wish.play)

    async def _index(self, request: Request) -> Response:
        token = request.query_params.get("token")
        if token is None:
            return FileResponse(PAGE / "index.html")
        if not self._doors.is_token(token):
            return PlainTextResponse("this is not the token of this console\n", 403)
        return RedirectResponse("/", 303, {"Set-Cookie": self._doors.cookie_header()})

    async def _favicon(self, _: Request) -> Response:
        return FileResponse(PAGE / "favicon.svg", media_type="image/svg+xml")

    async def _frames(self, socket: WebSocket) -> None:
        if not self._doors.may_look(socket.headers) or not self._doors.is_own_page(socket.headers):
            await socket.close(POLICY_VIOLATION)
            return
        if self._browsers >= MAX_BROWSERS:
            await socket.close(TRY_AGAIN_LATER)
            return
        await socket.accept()
        self._browsers += 1
        try:
            await _Browser(self, socket, self._doors.holds_token(socket.headers)).serve()
        finally:
            self._browsers -= 1


class _Guarded:
    """Refuses requests that may not look, and adds to every answer the headers that keep a page to itself."""

    def __init__(self, app: ASGIApp, doors: Doors) -> None:
        self._app, self._doors = app, doors

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        brings_token = scope["path"] == "/" and "token" in request.query_params
        app: Callable[[Scope, Receive, Send], Awaitable[None]] = self._app
        if not self._doors.knows_host(request.headers):
            app = PlainTextResponse("expected the host name that this console is bound to\n", 421)
        elif not brings_token and not self._doors.may_look(request.headers):
            app = PlainTextResponse("expected the address with the token that the console printed\n", 401)

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        await app(scope, receive, with_headers)
