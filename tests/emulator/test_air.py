"""The air's process between a front end's hook and a channel program, both played by the test."""

import asyncio
import math
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from xmlrpc.client import Binary
from xmlrpc.server import SimpleXMLRPCServer

import numpy as np
import pytest

from emulator.air import AirProcess
from protocol.codec import Envelope, decode, encode
from protocol.config import facts, read_testbed
from protocol.curve import dealer
from protocol.journal import intact_records
from protocol.messages import Capture, Configure, Ready
from protocol.transport import Dealer

WITHIN_S = 30.0
TESTBED = Path(__file__).parents[2] / "deploy" / "testbeds" / "gnuradio.yaml"
UES = ("ue-1", "ue-2", "ue-3", "ue-4")


class Program:
    """A channel program that keeps what it was told."""

    def __init__(self) -> None:
        self.name = "first"
        self.changes: list[dict[str, Binary]] = []
        self.uplink_changes: list[tuple[dict[str, Binary], float]] = []
        self.refused = 0
        self.changed = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self.server = SimpleXMLRPCServer(("127.0.0.1", 0), logRequests=False)
        self.server.register_function(lambda: self.name, "instance")
        self.server.register_function(cast("Any", self.change), "change")
        self.server.register_function(cast("Any", self.change_uplink), "change_uplink")
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def change(self, session: str, taps: Any, noise_rms: Any, offset_cycles: float, echoes: Binary) -> str:
        if self.refused:
            self.refused -= 1
            return ""
        self.changes.append(taps)
        self._loop.call_soon_threadsafe(self.changed.set)
        assert noise_rms.keys() == taps.keys()
        assert offset_cycles == 0.05 / 2048
        assert np.flatnonzero(np.frombuffer(echoes.data, "<c8")).tolist() == [37, 46]
        return self.name

    def change_uplink(self, taps: Any, noise_rms: float, offset_cycles: float) -> str:
        self.uplink_changes.append((taps, noise_rms))
        self._loop.call_soon_threadsafe(self.changed.set)
        assert offset_cycles == 0.05 / 100
        return self.name

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


class Hook:
    """The front end's side."""

    def __init__(self, endpoint: str) -> None:
        self.heard: asyncio.Queue[Envelope] = asyncio.Queue()
        self._dealer: Dealer = dealer(
            endpoint, lambda _route, frames: self.heard.put_nowait(decode(frames)), max_frame_bytes=1 << 20, keys=None
        )

    def tell(self, sequence: int, epoch: int = 3) -> None:
        message = Configure(
            epoch=epoch, groups_per_pilot=1, phase_cycles=np.zeros((1, 512)), delay_s=np.full((1, 512), 5e-8)
        )
        self._dealer.send(encode(Envelope(session=9, sequence=sequence, message=message)))

    async def told(self, sequence: int, epoch: int = 3) -> Envelope:
        """Tell until it is answered, as the first message may find no connection."""
        while True:
            self.tell(sequence, epoch)
            with suppress(TimeoutError):
                async with asyncio.timeout(0.2):
                    return await self.heard.get()

    async def captured(self, sequence: int, ue: str, epoch: int = 7) -> Envelope:
        """Tell whose sounding is to be heard, until it is answered."""
        message = Capture(epoch=epoch, ue=ue)
        while True:
            self._dealer.send(encode(Envelope(session=11, sequence=sequence, message=message)))
            with suppress(TimeoutError):
                async with asyncio.timeout(0.2):
                    return await self.heard.get()

    def close(self) -> None:
        self._dealer.close()


@asynccontextmanager
async def air(folder: Path) -> AsyncIterator[tuple[Hook, Program]]:
    program = Program()
    text = TESTBED.read_text(encoding="utf-8")
    port = program.server.server_address[1]
    text = text.replace("ue-1: {", "ue-1: {velocity_m_s: [1.0, 0.0], ")
    text = text.replace("tcp://127.0.0.1:5753", f"ipc://{folder}/s").replace(
        "channel_port: 5754", f"channel_port: {port}"
    )
    (folder / "testbed.yaml").write_text(text, encoding="utf-8")
    loaded = read_testbed(folder / "testbed.yaml")
    assert loaded.file.sdr is not None
    assert facts(loaded.file).downlink.grid.count == 2048
    process = AirProcess(loaded, loaded.file.sdr, folder)
    running = asyncio.create_task(process.run())
    hook = Hook(loaded.file.sdr.settings)
    try:
        async with asyncio.timeout(WITHIN_S):
            yield hook, program
    finally:
        hook.close()
        running.cancel()
        await asyncio.wait({running})
        program.close()


@pytest.mark.asyncio
async def test_a_setting_is_answered_by_its_number_when_every_user_has_taps(tmp_path: Path) -> None:
    async with air(tmp_path) as (hook, program):
        answer = await hook.told(5)
        assert (answer.session, answer.sequence) == (9, 5)
        assert isinstance(answer.message, Ready)
        assert program.changes[0].keys() == set(UES)
        assert all(len(taps.data) == 2048 * 8 for taps in program.changes[0].values())


@pytest.mark.asyncio
async def test_a_program_that_begins_anew_is_waited_for(tmp_path: Path) -> None:
    async with air(tmp_path) as (hook, program):
        program.refused = 2
        await hook.told(1)
        assert (program.refused, len(program.changes)) == (0, 1)


@pytest.mark.asyncio
async def test_a_program_that_was_started_again_gets_its_taps_again_unasked(tmp_path: Path) -> None:
    async with air(tmp_path) as (hook, program):
        await hook.told(1)
        program.changed.clear()
        program.name = "second"
        await program.changed.wait()
        assert program.changes[0] == program.changes[1]


@pytest.mark.asyncio
async def test_a_message_told_again_is_answered_again_and_changes_nothing(tmp_path: Path) -> None:
    async with air(tmp_path) as (hook, program):
        await hook.told(1)
        await hook.told(1)
        assert len(program.changes) == 1


@pytest.mark.asyncio
async def test_users_walk_from_the_first_setting_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 100.0
    monkeypatch.setattr("emulator.air.time", SimpleNamespace(monotonic=lambda: now_s))
    async with air(tmp_path) as (hook, _):
        now_s = 200.0
        await hook.told(1, epoch=3)
        now_s = 202.0
        await hook.told(2, epoch=4)
    records, _ = intact_records((tmp_path / "truth.jsonl").read_bytes())
    walked_m = math.sqrt(8.0**2 + 2.0**2 + 2 * 8.0 * 2.0 * math.cos(math.radians(5.0)))
    ranges_m = [record["range_m"] for record in records if record["ue"] == "ue-1"]
    assert ranges_m == [pytest.approx(8.0, rel=1e-15), pytest.approx(walked_m, rel=1e-14)]  # some roundings


@pytest.mark.asyncio
async def test_truth_is_kept_once_for_all_pilots_of_a_setting(tmp_path: Path) -> None:
    async with air(tmp_path) as (hook, _):
        for sequence, epoch in enumerate([3, 3, 4], 1):
            await hook.told(sequence, epoch)
    records, _ = intact_records((tmp_path / "truth.jsonl").read_bytes())
    assert [(record["epoch"], record["ue"]) for record in records] == [(epoch, ue) for epoch in (3, 4) for ue in UES]


@pytest.mark.asyncio
async def test_a_capture_is_answered_when_every_way_to_the_array_has_taps_and_tells_where_the_user_is(
    tmp_path: Path,
) -> None:
    async with air(tmp_path) as (hook, program):
        answer = await hook.captured(5, "ue-2")
        assert (answer.session, answer.sequence) == (11, 5)
        ((taps, noise_rms),) = program.uplink_changes
        assert taps.keys() == set(UES)
        # 100 subcarriers, and 46 samples of delay and echo behind them
        assert all(len(blob.data) == 32 * 146 * 8 for blob in taps.values())
        assert noise_rms > 0
    records, _ = intact_records((tmp_path / "truth.jsonl").read_bytes())
    told = [(record["ue"], record["link"], record["epoch"], record["range_m"]) for record in records]
    assert told == [("ue-2", "uplink", 7, 12.0)]


@pytest.mark.asyncio
async def test_a_program_that_was_started_again_gets_taps_of_both_directions_again(tmp_path: Path) -> None:
    async with air(tmp_path) as (hook, program):
        await hook.told(1)
        await hook.captured(1, "ue-1")
        program.name = "second"
        while len(program.changes) < 2 or len(program.uplink_changes) < 2:
            program.changed.clear()
            await program.changed.wait()
        assert program.changes[0] == program.changes[1]
        assert program.uplink_changes[0] == program.uplink_changes[1]
