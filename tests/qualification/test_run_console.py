"""``nftestbed run --console``: a browser with the token sees the run, stops it, and begins another."""

import asyncio
import contextlib
import json
import re
import signal
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bs_controller.recorded import open_run
from tests.bs_controller.console.runs import Frame, decoded
from tests.qualification.conftest import LabFactory
from tests.qualification.processes import Process

websockets = pytest.importorskip("websockets", reason="the console's packages are not installed")
pytestmark = pytest.mark.long

PATIENCE_S = 60.0


def cookie_of(address: str) -> tuple[str, str]:
    """Return the console's base address, and the cookie that the printed one leaves."""

    class Unmoved(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_: Any) -> None:
            return None

    with pytest.raises(urllib.error.HTTPError) as moved:
        urllib.request.build_opener(Unmoved).open(address, timeout=PATIENCE_S)
    with moved.value:
        return address.partition("/?")[0], str(moved.value.headers["Set-Cookie"]).partition(";")[0]


async def seen(browser: Any, wanted: Callable[[Frame], bool]) -> Frame:
    """Draw frames until one is as wanted."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            frame = decoded(await browser.recv())
            await browser.send(json.dumps({"drawn": frame.status["frame"]}))
            if wanted(frame):
                return frame


@pytest.mark.requirement("watch it live")
def test_a_run_is_stopped_from_the_browser_and_another_begun_which_is_shown_as_it_is_recorded(
    lab_of: LabFactory, tmp_path: Path
) -> None:
    lab = lab_of(controller={"rounds": 1000})
    process = lab.command("run", str(lab.file), "--console", "--port", "0", "--run-dir", str(tmp_path / "first"))
    asyncio.run(watch(process))
    process.signal(signal.SIGINT)
    assert process.ended() == 130
    assert "".join(process.out).count("Wire: request to answer") == 2  # the result of either run
    first, second = sorted(path for path in tmp_path.iterdir() if (path / "run.json").exists())
    for run in (first, second):  # both were ended in order
        assert "stop" in open_run(run).document


async def watch(process: Process) -> None:
    process.said("console: ")
    found = re.search(r"console: (\S+)", process.errors)
    assert found is not None
    base, cookie = await asyncio.to_thread(cookie_of, found[1])
    where, headers = base.replace("http", "ws") + "/frames", {"Cookie": cookie}
    async with websockets.connect(where, origin=base, additional_headers=headers, max_size=None, proxy=None) as browser:
        frame = await seen(browser, lambda frame: frame.status.get("fixes", 0) > 10)
        assert frame.status["controls"] == ["start", "stop"]
        await browser.send(json.dumps({"control": "stop"}))
        await seen(browser, lambda frame: frame.status.get("ended") is False)
        generation = frame.status["generation"]
        with contextlib.suppress(TimeoutError):
            await asyncio.to_thread(process.said, "the run is over")
        await browser.send(json.dumps({"control": "start"}))
        another = await seen(browser, lambda frame: frame.status["generation"] > generation)
        assert another.sections["run"]["directory"] != ""
        await seen(browser, lambda frame: frame.status.get("fixes", 0) > 10)
