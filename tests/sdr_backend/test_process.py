"""The radio process as a user starts it: what it refuses to start with, and what is on the air when it says so."""

import asyncio
import os
import queue
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from protocol.config import facts, read_testbed
from protocol.hub import Admission
from protocol.links import HubLink
from protocol.messages import Configure, Message, Ready, Role
from protocol.session import Event, Heard, Opened
from sdr_backend.ofdm import FrameLayout
from sdr_backend.synchronisation import BurstDetector
from sdr_backend.zmq_iq import ZmqIq
from tests.deploy.studies import DEMO
from tests.qualification.test_metrics import scraped, value
from tests.sdr_backend.packages import installed
from tests.sdr_backend.settings import configure

WITHIN_S = 60.0  # a start takes one second, on a loaded machine several
SMALL = {"subcarriers: 2048": "subcarriers: 128", "elements: 512": "elements: 8"}


def file_with(folder: Path, section: str) -> Path:
    """Write the demo's file, small, with private links and this section of the radio process."""
    text = DEMO.read_text(encoding="utf-8")
    for old, new in SMALL.items():
        text = text.replace(old, new, 1)
    text = re.sub(r"(?ms)^sdr_backend:.*", "", text)
    text = re.sub(r"control: \S+", f"control: ipc://{folder}/c", text)
    file = folder / "testbed.yaml"
    file.write_text(re.sub(r"air: \S+", f"air: ipc://{folder}/a", text) + section, encoding="utf-8")
    return file


def command(file: Path) -> list[str]:
    return [sys.executable, "-m", "sdr_backend", str(file)]


NO_RADIO = (
    ("", r"testbed\.yaml:\d+:\d+: sdr_backend\.radio: expected a value, got nothing"),
    (
        "sdr_backend: {radio: {driver: usrp}}",
        r":\d+: sdr_backend\.radio: expected a radio driver .*soapy, zmq-iq.* got 'usrp'",
    ),
    ("sdr_backend: {radio: {driver: file, options: {gain: 3}}}", "driver file: .*gain"),
    ("sdr_backend: {radio: {driver: file}, front_end: {driver: horn}}", "front-end driver .* got 'horn'"),
    (
        "sdr_backend: {radio: {driver: file, options: {receive: absent}}, front_end: {driver: ideal}}",
        "absent.sigmf-meta: No such file",
    ),
    (
        "sdr_backend: {radio: {driver: zmq-iq, options: {receive: 'ipc://absent'}}, uplink: {radio: {driver: zmq-iq}}}",
        r":\d+: sdr_backend\.uplink: expected a section sounding that says who sounds when, got none",
    ),
    (
        "sdr_backend: {radio: {driver: zmq-iq, options: {receive: 'ipc://absent'}}, "
        "uplink: {radio: {driver: zmq-iq, options: {receive: 'ipc://a'}}, calibration: {gain_db: [1.0, 2.0]}}}\n"
        "sounding: {slots: [ue-1]}",
        r"sdr_backend\.uplink: gain_db: expected none or one of each of \d+ antennas, got 2",
    ),
)


@pytest.fixture(scope="module")
def endings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[int, str]]:
    """Return status and standard error of a process for each section; all start at once, on as many cores as there are."""
    files = {section: file_with(tmp_path_factory.mktemp("no-radio"), section) for section, _ in NO_RADIO}
    started = {
        section: subprocess.Popen(command(file), stderr=subprocess.PIPE, text=True) for section, file in files.items()
    }
    said = {section: process.communicate(timeout=WITHIN_S)[1] for section, process in started.items()}
    return {section: (process.returncode, said[section]) for section, process in started.items()}


@pytest.mark.parametrize(("section", "text"), NO_RADIO)
def test_section_that_makes_no_radio_ends_the_process_with_status_2_and_the_reason(
    endings: dict[str, tuple[int, str]], section: str, text: str
) -> None:
    status, said = endings[section]
    assert status == 2
    assert re.search(text, said), said


class Controller:
    """The other end of the control link: asks for settings and keeps what it hears."""

    def __init__(self, file: Path) -> None:
        self._shared = facts(read_testbed(file).file)
        self._endpoint = read_testbed(file).file.links.control
        self._heard: queue.Queue[Message] = queue.Queue()
        self._opened: queue.Queue[Event] = queue.Queue()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        names = {Role.RADIO: frozenset({"radio"}), Role.UE: frozenset[str]()}
        self._over = asyncio.Event()
        self._hub = HubLink(self._endpoint, Admission(facts=self._shared, names=names), self._on_event)
        serving = asyncio.create_task(self._hub.run())
        await self._over.wait()
        self._hub.close("the test is over")
        serving.cancel()

    def _on_event(self, event: Event) -> None:
        if isinstance(event, Opened):
            self._opened.put(event)
        elif isinstance(event, Heard):
            self._heard.put(event.message)

    def ask(self, message: Configure) -> None:
        """Ask for something, the first of a session."""
        self._opened.get(timeout=WITHIN_S)
        self._loop.call_soon_threadsafe(self._hub.send, "radio", message)

    def answer(self, message: Configure) -> Message:
        self.ask(message)
        return self._heard.get(timeout=WITHIN_S)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()


BREAKS = """
from sdr_backend.zmq_iq import ZmqIq


class Breaks(ZmqIq):
    def transmit(self, samples, at=None):
        raise KeyError("firmware")
"""


def test_driver_that_breaks_ends_the_process_with_status_1_and_what_it_raised(tmp_path: Path) -> None:
    (tmp_path / "theirs.py").write_text(BREAKS, encoding="utf-8")
    installed(tmp_path, "[nftestbed.radios]\nbreaks = theirs:Breaks\n")
    file = file_with(
        tmp_path, f"sdr_backend: {{radio: {{driver: breaks, options: {{transmit: 'ipc://{tmp_path}/iq'}}}}}}"
    )
    controller = Controller(file)
    where = os.environ | {"PYTHONPATH": str(tmp_path)}
    with subprocess.Popen(command(file), env=where, stderr=subprocess.PIPE, text=True) as process:
        controller.ask(configure(1))
        _, log = process.communicate(timeout=WITHIN_S)
    controller.close()
    assert process.returncode == 1
    assert "the radio is lost: KeyError: 'firmware'" in log


def test_radio_serves_metrics_where_the_file_says(tmp_path: Path) -> None:
    section = f"sdr_backend: {{radio: {{driver: zmq-iq, options: {{transmit: 'ipc://{tmp_path}/iq'}}}}}}\n"
    file = file_with(tmp_path, f"{section}metrics: {{at: {{radio: '127.0.0.1:0'}}}}\n")
    with ExitStack() as stack:
        controller = Controller(file)
        stack.callback(controller.close)
        process = stack.enter_context(subprocess.Popen(command(file), stderr=subprocess.PIPE, text=True))
        stack.callback(process.kill)
        assert process.stderr is not None
        url = next(found[1] for line in process.stderr if (found := re.search(r"metrics at (http://\S+)", line)))
        controller.answer(configure(1))
        page = scraped(url)
    assert value(page, "nftestbed_session_open") == 1
    assert value(page, "nftestbed_sessions_total") == 1
    counted = {metric.removeprefix("nftestbed_radio_") for metric in page if metric.startswith("nftestbed_radio_")}
    assert counted == {"repeated_requests", "stale_requests", "bursts", "late_bursts"}


@contextmanager
def started(file: Path) -> Iterator["subprocess.Popen[bytes]"]:
    with subprocess.Popen(command(file)) as process:
        try:
            yield process
        finally:
            process.kill()


def test_setting_that_is_ready_is_on_the_air_and_a_restarted_radio_sends_the_next_one(tmp_path: Path) -> None:
    endpoint = f"ipc://{tmp_path}/iq"
    section = f"sdr_backend: {{radio: {{driver: zmq-iq, options: {{transmit: '{endpoint}'}}}}}}"
    file = file_with(tmp_path, section)
    detector = BurstDetector(FrameLayout.of(128))
    with ExitStack() as stack:
        controller = Controller(file)
        stack.callback(controller.close)
        receiver = ZmqIq({"receive": endpoint})
        stack.callback(receiver.close)
        for epoch in (7, 8):
            with started(file):
                ready = controller.answer(configure(epoch, groups=2))
                assert isinstance(ready, Ready)
                assert (ready.epoch, ready.pilots) == (epoch, 2)
                pilots: set[tuple[int, int]] = set()
                while pilots != {(epoch, 0), (epoch, 1)}:
                    block = receiver.receive(4096, 1.0)
                    found = detector.heard(block.samples, block.first_index) if block.samples.size else []
                    pilots |= {(burst.tag.epoch, burst.tag.pilot) for burst in found}


def test_stopped_process_ends_with_status_0(tmp_path: Path) -> None:
    file = file_with(
        tmp_path, f"sdr_backend: {{radio: {{driver: zmq-iq, options: {{transmit: 'ipc://{tmp_path}/iq'}}}}}}"
    )
    controller = Controller(file)
    with started(file) as process:
        controller.answer(configure(1))
        process.terminate()
        assert process.wait(WITHIN_S) == 0
    controller.close()
