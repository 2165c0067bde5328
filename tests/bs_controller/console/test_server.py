"""Who may look and who may command; that a browser gets the newest state and never a queue; what ends a connection."""

import asyncio
import contextlib
import json
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

websockets = pytest.importorskip("websockets", reason="the console's packages are not installed")

from bs_controller.console.board import Board  # noqa: E402
from bs_controller.console.doors import Doors  # noqa: E402
from bs_controller.console.process import bound, serve  # noqa: E402
from bs_controller.console.server import BETWEEN_FRAMES_S, EARLY_S, IN_FLIGHT  # noqa: E402
from tests.bs_controller.console.runs import decoded, state_of  # noqa: E402
from tests.deploy.recorded_runs import recorded_run  # noqa: E402

PATIENCE_S = 20.0
FRAMES = 8
TOKEN = "a-token-of-the-test"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return recorded_run(tmp_path_factory.mktemp("run"))


@dataclass
class Served:
    board: Board
    base: str

    def cookie(self) -> dict[str, str]:
        return {"Cookie": f"nftestbed-{self.base.rpartition(':')[2]}={TOKEN}"}

    def browser(self, headers: dict[str, str] | None = None, origin: str | None = "") -> Any:
        return websockets.connect(
            self.base.replace("http", "ws") + "/frames",
            origin=self.base if origin == "" else origin,
            additional_headers=headers or {},
            max_size=None,
            proxy=None,
        )


@asynccontextmanager
async def served(run: Path | None, host: str = "127.0.0.1") -> AsyncIterator[Served]:
    board = Board("live")
    if run is not None:
        board.replace(state_of(run))
    addresses: list[str] = []
    serving = asyncio.create_task(serve(board, bound(host, 0), addresses.append))
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not addresses:  # noqa: ASYNC110 - the server sets no event of ours
                await asyncio.sleep(0.01)
            port = addresses[0].partition("/?")[0].rpartition(":")[2]
            yield Served(board, f"http://127.0.0.1:{port}")
    finally:
        serving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await serving


async def received_for_ever(browser: Any) -> None:
    while True:
        await browser.recv()


@pytest.fixture(autouse=True)
def _fixed_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NFTESTBED_CONSOLE_TOKEN", TOKEN)
    monkeypatch.setenv("NFTESTBED_CONSOLE_CONTROLS", "start stop")


async def got(url: str, headers: dict[str, str] | None = None) -> tuple[int, Any, bytes]:
    class Unmoved(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_: Any) -> None:
            return None

    def get() -> tuple[int, Any, bytes]:
        request = urllib.request.Request(url, headers=headers or {})
        try:
            with urllib.request.build_opener(Unmoved).open(request, timeout=PATIENCE_S) as answer:
                return answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers, error.read()

    return await asyncio.to_thread(get)


def test_the_page_is_served_with_all_it_needs_and_nothing_from_elsewhere(run: Path) -> None:
    async def look() -> None:
        async with served(run) as console:
            status, headers, page = await got(console.base + "/")
            assert status == 200
            assert "default-src 'none'" in headers["Content-Security-Policy"]
            assert "unsafe" not in headers["Content-Security-Policy"]
            assert b"http://" not in page
            assert b"https://" not in page
            names = ("app.js", "style.css", "vendor/uPlot.iife.min.js", "vendor/uPlot.LICENSE")
            for name in ("favicon.ico", *(f"page/{name}" for name in names)):
                assert (await got(f"{console.base}/{name}"))[0] == 200, name

    asyncio.run(look())


def test_a_host_name_that_is_not_this_machine_s_is_refused(run: Path) -> None:
    async def look() -> None:
        async with served(run) as console:
            assert (await got(console.base + "/", {"Host": "evil.example"}))[0] == 421

    asyncio.run(look())


def test_the_token_is_left_as_a_cookie_and_a_wrong_one_is_refused(run: Path) -> None:
    async def look() -> None:
        async with served(run) as console:
            status, headers, _ = await got(f"{console.base}/?token={TOKEN}")
            assert (status, headers["Location"]) == (303, "/")
            assert headers["Set-Cookie"].startswith(console.cookie()["Cookie"])
            assert "HttpOnly; SameSite=Strict" in headers["Set-Cookie"]
            assert (await got(f"{console.base}/?token=another"))[0] == 403

    asyncio.run(look())


def test_beyond_loopback_nothing_is_shown_without_the_token(run: Path) -> None:
    async def look() -> None:
        async with served(run, host="0.0.0.0") as console:
            for place in ("/", "/page/app.js", "/favicon.ico"):
                assert (await got(console.base + place))[0] == 401
                assert (await got(console.base + place, console.cookie()))[0] == 200
            with pytest.raises(websockets.InvalidStatus):
                await console.browser().__aenter__()
            async with console.browser(console.cookie()) as browser:
                assert decoded(await browser.recv()).status["frame"] == 1

    asyncio.run(look())


@pytest.mark.parametrize("origin", [None, "http://evil.example", "null"])
def test_a_page_of_another_origin_gets_no_frames(run: Path, origin: str | None) -> None:
    async def look() -> None:
        async with served(run) as console:
            with pytest.raises(websockets.InvalidStatus):
                await console.browser(console.cookie(), origin=origin).__aenter__()

    asyncio.run(look())


def test_who_has_no_token_may_look_but_not_command(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def look() -> None:
        async with served(run) as console:
            async with console.browser() as browser:
                assert decoded(await browser.recv()).status["controls"] == []
                await browser.send(json.dumps({"control": "stop"}))
                with pytest.raises(websockets.ConnectionClosed):
                    await received_for_ever(browser)
            assert capsys.readouterr().out == ""
            async with console.browser(console.cookie()) as browser:
                assert decoded(await browser.recv()).status["controls"] == ["start", "stop"]
                await browser.send(json.dumps({"control": "stop"}))
                written = ""
                while not written:
                    await asyncio.sleep(0.01)
                    written = capsys.readouterr().out
                assert written == '{"control": "stop"}\n'

    asyncio.run(look())


@pytest.mark.parametrize("wish", ["", "[]", '{"wipe": true}', '{"seek": "soon"}', '{"control": "reboot"}'])
def test_what_is_no_wish_of_the_page_ends_the_connection(run: Path, wish: str) -> None:
    async def look() -> None:
        async with served(run) as console, console.browser(console.cookie()) as browser:
            await browser.send(wish)
            with pytest.raises(websockets.ConnectionClosed) as closed:
                await received_for_ever(browser)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1008

    asyncio.run(look())


def test_a_browser_that_does_not_draw_is_sent_nothing_more_and_then_the_newest_state(run: Path) -> None:
    async def look() -> None:
        async with served(run) as console, console.browser() as browser:
            state = console.board.state
            assert state is not None
            frames = [decoded(await browser.recv())]
            closed = {"kind": "peer", "name": "ue-a", "event": "closed", "text": "silent"}
            for _ in range(5):
                state.note(closed, dict)
                console.board.touch()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.3):  # several times what lies between two frames
                        frames.append(decoded(await browser.recv()))
            assert len(frames) == IN_FLIGHT
            await browser.send(json.dumps({"drawn": IN_FLIGHT}))
            newest = decoded(await browser.recv())
            assert newest.status["frame"] == IN_FLIGHT + 1
            assert newest.sections["alarms"]["counts"]["peer lost"] == 5

    asyncio.run(look())


def test_another_user_s_samples_are_sent_when_it_is_chosen(run: Path) -> None:
    async def look() -> None:
        async with served(run) as console, console.browser() as browser:
            first = decoded(await browser.recv())
            assert first.status["ue"] == "ue-a"
            await browser.send(json.dumps({"drawn": 1, "choose": "ue-b"}))
            while (frame := decoded(await browser.recv())).status["ue"] != "ue-b":
                await browser.send(json.dumps({"drawn": frame.status["frame"]}))
            assert frame.sections["power"]["ue"] == "ue-b"
            assert "run" not in frame.sections

    asyncio.run(look())


def test_a_token_is_compared_whole() -> None:
    doors = Doors(token=TOKEN, port=1, exposed=False)
    assert doors.is_token(TOKEN)
    assert not doors.is_token(TOKEN[:-1])
    assert not doors.is_token("")
    assert not doors.holds_token({"cookie": "nftestbed-1=; x"})


def test_a_browser_that_draws_at_once_is_sent_ten_frames_a_second_at_most(run: Path) -> None:
    async def watch() -> float:
        loop = asyncio.get_running_loop()
        async with served(run) as console, console.browser() as browser:

            async def change() -> None:
                while True:
                    console.board.touch()
                    await asyncio.sleep(0.002)

            changing = asyncio.create_task(change())
            began_s = loop.time()
            for _ in range(FRAMES):
                frame = decoded(await browser.recv())
                await browser.send(json.dumps({"drawn": frame.status["frame"]}))
            changing.cancel()
            return loop.time() - began_s

    # the first frame comes at once, the second may come early
    assert asyncio.run(watch()) >= (FRAMES - 1) * BETWEEN_FRAMES_S - EARLY_S
