"""The console in a real browser: headless Chromium on a live stream of sixteen users and on a recording.

Figures of speed are printed, not asserted: they are those of the machine. `-s` shows them.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from bs_controller.recorded import open_run
from tests.deploy.recorded_runs import CBS_AND_OTHERS, recorded_run
from tests.qualification.processes import DEMO, ROOT, wait_until

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (apt-get install chromium)"),
]

PATIENCE_MS = 60_000
UES = [f"ue-{n:02d}" for n in range(16)]


class Page:
    """The console's page, and all that the browser complained about."""

    def __init__(self, browser: Any, address: str, **options: Any) -> None:
        self.complaints: list[str] = []
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 720}, **options})
        self.page = context.new_page()
        self.page.set_default_timeout(PATIENCE_MS)
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(address)

    def value(self, script: str) -> Any:
        return self.page.evaluate(script)

    def until(self, script: str) -> Any:
        """Wait until a script of the page is true; the page's own policy keeps Playwright's way of waiting out."""
        return wait_until(lambda: self.value(script), what=script)

    def saved(self, panel: str) -> str:
        """Return what a panel's CSV button saves."""
        with self.page.expect_download() as found:
            self.page.click(f".panel.{panel} button:text-is('CSV')")
        return str(Path(found.value.path()).read_text())


Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture(scope="module")
def start() -> Iterator[Start]:
    """Yield a function that starts a process of ours; all are ended afterwards."""
    running: list[subprocess.Popen[str]] = []

    def begin(*command: str) -> "subprocess.Popen[str]":
        environment = {**os.environ, "NFTESTBED_CONSOLE_CONTROLS": "start stop", "OMP_NUM_THREADS": "1"}
        process = subprocess.Popen(  # our own interpreter
            [sys.executable, "-m", *command], cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE
        )
        running.append(process)
        return process

    yield begin
    for process in running:
        process.send_signal(signal.SIGKILL)
        process.communicate()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


def live_testbed(folder: Path) -> Path:
    values = yaml.safe_load(DEMO.read_text())
    values["links"] = {"control": f"ipc://{folder}/c", "air": f"ipc://{folder}/a", "events": f"ipc://{folder}/e"}
    values["controller"]["ues"] = UES
    file = folder / "testbed.yaml"
    file.write_text(yaml.safe_dump(values))
    return file


def address_of(console: "subprocess.Popen[str]") -> str:
    assert console.stdout is not None
    return str(json.loads(console.stdout.readline())["address"])


@pytest.mark.requirement("watch it live")
def test_sixteen_users_are_drawn_as_they_are_told_and_another_run_takes_their_place(
    tmp_path: Path, browser: Any, start: Start
) -> None:
    file = live_testbed(tmp_path)
    console = start("bs_controller.console", str(file), "--port", "0")
    page = Page(browser, address_of(console))
    page.until("document.querySelector('#name').textContent === 'waiting for a run'")
    source = start("tests.bs_controller.console.sixteen", str(file), str(tmp_path / "one"))
    page.until("document.querySelector('#figures div:nth-child(2) dd').textContent.startsWith('16')")
    page.value("consoleCounts.frames = 0; consoleCounts.latencies_ms = []; window.began = performance.now()")
    page.until("consoleCounts.frames >= 100")
    drawn_s, delays_ms = page.value("[(performance.now() - began) / 1000, consoleCounts.latencies_ms]")
    p50_ms, p95_ms = np.percentile(delays_ms, (50, 95))
    print(f"{100 / drawn_s:.1f} frames/s, drawn {p50_ms:.0f} ms after it was told, p95 {p95_ms:.0f} ms")  # noqa: T201
    source.kill()
    source.wait()
    journal = open_run(tmp_path / "one")
    page.until("document.querySelector('#mode').textContent === 'controller silent'")
    saved = rows(page.saved("map"))[1:]
    shown, tracked = ({row[0]: row for row in saved if (row[1] == "track") is wanted} for wanted in (False, True))
    assert set(shown) == set(tracked) == set(UES)
    assert {row[3] for row in rows(page.saved("errors"))[1:]} == {"fix", "track"}
    assert page.value("document.querySelectorAll('.panel.peers tbody tr').length") == 17
    last = [record for record in journal.records if record["kind"] == "fix" and record["ue"] == "ue-03"][-1]
    # the very last round may have been on its way when its source was killed; it is the round before then
    assert int(shown["ue-03"][2]) >= int(str(last["round"])) - 1
    again = start("tests.bs_controller.console.sixteen", str(file), str(tmp_path / "two"))
    page.until("document.querySelector('#name').title.includes('/two')")
    before = page.value("consoleCounts.frames")
    page.until(f"consoleCounts.frames > {before} + 10")
    again.kill()
    assert page.complaints == []


def test_the_page_finds_a_console_that_was_started_again(tmp_path: Path, browser: Any, start: Start) -> None:
    file = live_testbed(tmp_path)
    first = start("bs_controller.console", str(file), "--port", "0")
    address = address_of(first)
    page = Page(browser, address)
    page.until("consoleCounts.opened === 1")
    first.kill()
    first.wait()
    page.until("document.querySelector('#mode').textContent === 'connection lost'")
    port = address.partition("/?")[0].rpartition(":")[2]
    start("bs_controller.console", str(file), "--port", port)
    page.until("consoleCounts.opened === 2 && document.querySelector('#mode').textContent === 'no controller yet'")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return recorded_run(tmp_path_factory.mktemp("run"), schemes=list(CBS_AND_OTHERS), rounds=3)


@pytest.fixture(scope="module")
def address(recorded: Path, start: Start) -> str:
    """Return where a recording is played."""
    console = start("deploy.cli", "console", str(recorded), "--port", "0")
    assert console.stdout is not None
    return console.stdout.readline().removeprefix("console: ").strip()


@pytest.fixture
def played(address: str, browser: Any) -> Page:
    page = Page(browser, address)
    page.until("document.querySelector('#mode').textContent === 'recording'")
    page.until("document.querySelectorAll('.panel .uplot').length === 4")
    return page


def rows(text: str) -> list[list[str]]:
    return [line.split(",") for line in text.splitlines()]


def test_what_each_panel_saves_is_what_the_journal_says(recorded: Path, played: Page) -> None:
    journal = open_run(recorded)
    records = journal.records
    fixes = {(str(one["ue"]), str(one["scheme"])): one for one in records if one["kind"] == "fix"}
    saved = {(row[0], row[1]): row for row in rows(played.saved("map"))[1:]}
    assert set(saved) == set(fixes)
    for key, fix in fixes.items():
        assert [float(cell) for cell in saved[key][5:7]] == [fix["range_m"], fix["angle_rad"]]
    report = [one for one in records if one["kind"] == "report" and one["ue"] == "ue-a" and "arrays" in one][-1]
    power_dbm = 20 * np.log10(np.abs(next(iter(journal.samples(report).values())))) + 30
    # single precision, as it is sent to the page
    np.testing.assert_allclose([float(row[2]) for row in rows(played.saved("power"))[1:]], power_dbm, atol=1e-4)
    measured_ms = [float(str(one["measure_ms"])) for one in records if "measure_ms" in one]
    latency = {row[0]: row for row in rows(played.saved("latency"))[1:]}["measure"]
    assert int(latency[1]) == len(measured_ms)
    assert float(latency[2]) == pytest.approx(np.median(measured_ms), abs=1e-6)  # six digits are saved
    errors = [row for row in rows(played.saved("errors"))[1:] if row[0] == "cbs"]
    assert len(errors) == sum(one["kind"] == "fix" and one["scheme"] == "cbs" for one in records)
    peers = {row[0] for row in rows(played.saved("peers"))[1:]}
    assert peers == {"radio", "ue-a", "ue-b"}
    image = rows(played.saved("image"))
    assert max(float(cell) for row in image[1:] for cell in row[1:]) == 0.0
    assert len(rows(played.saved("elements"))) == 1 + 64
    assert played.complaints == []


def test_pictures_are_saved_of_every_plot(played: Page) -> None:
    for panel in ("map", "power", "image", "elements", "errors", "latency"):
        with played.page.expect_download() as found:
            played.page.click(f".panel.{panel} button:text-is('PNG')")
        assert Path(found.value.path()).read_bytes().startswith(b"\x89PNG")


def test_everything_is_reached_by_keyboard(played: Page) -> None:
    page = played.page
    focused = "document.activeElement.id || document.activeElement.getAttribute('aria-label') || ''"
    names = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        names.add(str(played.value(focused)))
    wanted = {"user", "theme", "help", "play", "position", "speed", "Map", "Power over subcarriers", "Alarms"}
    assert wanted <= names
    page.keyboard.press("Escape")
    page.focus("body")
    page.keyboard.press("2")
    assert played.value("document.querySelector('.panel.large').className") == "panel power large"
    played.until("document.activeElement.getAttribute('aria-label') === 'Power over subcarriers'")
    page.keyboard.press("ArrowRight")
    played.until("document.querySelector('.panel.power .readout').textContent.startsWith('subcarrier')")
    page.keyboard.press("Escape")
    assert played.value("document.querySelector('.panel.large')") is None
    before = played.value("document.querySelector('#user').value")
    page.keyboard.press("u")
    played.until(f"document.querySelector('#user').value !== '{before}'")
    theme = played.value("document.documentElement.dataset.theme")
    page.keyboard.press("t")
    assert played.value("document.documentElement.dataset.theme") != theme
    assert played.complaints == []


def test_nothing_overflows_on_a_desk_or_a_phone(address: str, browser: Any) -> None:
    for width, height in ((1280, 720), (390, 844)):
        page = Page(browser, address, viewport={"width": width, "height": height})
        page.until("document.querySelectorAll('.panel .uplot').length === 4")
        assert page.value("document.documentElement.scrollWidth") <= width
        if width == 1280:
            assert page.value("document.documentElement.scrollHeight") <= height
