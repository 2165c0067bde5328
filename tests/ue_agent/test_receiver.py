"""The receiver seam: how a driver is found, and how long the emulated one asks."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from importlib.metadata import EntryPoint, EntryPoints

import numpy as np
import pytest

from protocol.codec import Envelope, decode, encode
from protocol.messages import Grid, Listen, Message, Silence
from protocol.testbed import default_facts
from protocol.transport import Router
from tests.qualification.processes import free_ports
from ue_agent import drivers, receiver
from ue_agent.receiver import ENTRY_POINTS, ComplexArray, EmulatedReceiver, ReceiverContext, receiver_factory

FACTS = default_facts(subcarriers=64, elements=16, uplink_subcarriers=4)
TIMEOUT_S = 10.0  # generous: reached only by a receiver that has stopped asking


def installed(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Pretend that exactly these drivers are installed."""
    points = [EntryPoint(name, "ue_agent.receiver:EmulatedReceiver", ENTRY_POINTS) for name in names]
    monkeypatch.setattr(drivers, "entry_points", lambda group: EntryPoints(points).select(group=group))


def test_driver_is_found_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, "emulated", "usrp")
    assert receiver_factory("usrp") is EmulatedReceiver


def test_unknown_driver_is_refused_with_the_names_of_those_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, "usrp", "emulated")
    with pytest.raises(LookupError, match="no receiver driver 'pluto'; installed: emulated, usrp"):
        receiver_factory("pluto")


def test_unknown_driver_is_refused_where_none_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch)
    with pytest.raises(LookupError, match="installed: none"):
        receiver_factory("emulated")


class FakeDealer:
    """Stands in for the air link's socket: keeps what is asked, answers what the test says."""

    def __init__(self, endpoint: str, on_frames: Callable[[bytes, list[bytes]], None], *, max_frame_bytes: int) -> None:
        self.asked: asyncio.Queue[Listen] = asyncio.Queue()
        self.closed = self.kept_out = False
        self._on_frames = on_frames

    def send(self, frames: Sequence[bytes | memoryview]) -> None:
        message = decode([bytes(frame) for frame in frames]).message
        assert isinstance(message, Listen)
        self.asked.put_nowait(message)

    def answer(self, message: Message) -> None:
        self.answer_frames([bytes(frame) for frame in encode(Envelope(session=0, message=message))])

    def answer_frames(self, frames: list[bytes]) -> None:
        self._on_frames(b"", frames)

    def close(self, linger_s: float = 0.2) -> None:
        self.closed = True

    async def next_epoch(self) -> int:
        async with asyncio.timeout(TIMEOUT_S):
            return (await self.asked.get()).epoch


class Antenna:
    """An emulated receiver on a faked air link, and what it called back with."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.received: list[tuple[int, ComplexArray]] = []
        dealers: list[FakeDealer] = []

        def dealer(endpoint: str, on_frames: Callable[..., None], *, max_frame_bytes: int, keys: None) -> FakeDealer:
            dealers.append(FakeDealer(endpoint, on_frames, max_frame_bytes=max_frame_bytes))
            return dealers[-1]

        monkeypatch.setattr(receiver, "dealer", dealer)
        monkeypatch.setattr(receiver, "ASK_AGAIN_S", 0.001)  # the real one only makes the tests slower
        context = ReceiverContext(ue="ue-a", facts=FACTS, air="ipc://air", options={})
        self.receiver = EmulatedReceiver(context, lambda epoch, samples: self.received.append((epoch, samples)))
        self.dealers = dealers

    @property
    def dealer(self) -> FakeDealer:
        """Return the newest socket."""
        return self.dealers[-1]

    @property
    def epochs(self) -> list[int]:
        return [epoch for epoch, _ in self.received]


def grid(epoch: int) -> Grid:
    return Grid(epoch=epoch, samples=np.arange(64) * (1 + 2j))


@pytest.mark.asyncio
async def test_unanswered_receiver_asks_again(monkeypatch: pytest.MonkeyPatch) -> None:
    antenna = Antenna(monkeypatch)
    antenna.receiver.listen(3)
    assert [await antenna.dealer.next_epoch() for _ in range(3)] == [3, 3, 3]
    antenna.receiver.close()


@pytest.mark.asyncio
async def test_silence_is_not_handed_on_and_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    antenna = Antenna(monkeypatch)
    antenna.receiver.listen(3)
    await antenna.dealer.next_epoch()
    antenna.dealer.answer(Silence(epoch=3, text="nothing is on the air"))
    assert await antenna.dealer.next_epoch() == 3
    assert antenna.received == []
    antenna.receiver.close()


@pytest.mark.asyncio
async def test_grid_is_handed_on_unchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    antenna = Antenna(monkeypatch)
    antenna.receiver.listen(3)
    antenna.dealer.answer(grid(3))
    ((epoch, samples),) = antenna.received
    assert epoch == 3
    np.testing.assert_array_equal(samples, grid(3).samples)
    antenna.receiver.close()


@pytest.mark.asyncio
async def test_older_grid_is_handed_on_and_the_receiver_goes_on_asking(monkeypatch: pytest.MonkeyPatch) -> None:
    antenna = Antenna(monkeypatch)
    antenna.receiver.listen(3)
    await antenna.dealer.next_epoch()
    antenna.dealer.answer(grid(2))
    assert antenna.epochs == [2]
    assert await antenna.dealer.next_epoch() == 3
    antenna.receiver.close()


@pytest.mark.asyncio
async def test_listening_again_for_the_same_epoch_asks_no_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    antenna = Antenna(monkeypatch)
    for _ in range(3):
        antenna.receiver.listen(3)
    assert antenna.dealer.asked.qsize() == 1
    antenna.receiver.close()


@pytest.mark.asyncio
@pytest.mark.parametrize("epoch", [3, 4])
async def test_receiver_asks_no_more_once_the_pilot_has_come_or_been_missed(
    monkeypatch: pytest.MonkeyPatch, epoch: int
) -> None:
    antenna = Antenna(monkeypatch)
    antenna.receiver.listen(3)
    antenna.dealer.answer(grid(epoch))
    antenna.receiver.listen(9)
    await antenna.dealer.next_epoch()  # the first question, asked before the answer
    assert [await antenna.dealer.next_epoch() for _ in range(3)] == [9, 9, 9]
    antenna.receiver.close()


@pytest.mark.asyncio
async def test_closed_receiver_closes_its_socket_and_asks_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    closed, other = Antenna(monkeypatch), Antenna(monkeypatch)
    closed.receiver.listen(3)
    closed.receiver.close()
    other.receiver.listen(3)
    for _ in range(3):  # asks at the same pace, so that the closed one would have asked as well
        await other.dealer.next_epoch()
    other.receiver.close()
    assert closed.dealer.closed
    assert closed.dealer.asked.qsize() == 1


@pytest.mark.asyncio
async def test_frames_that_are_no_message_are_ignored(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    antenna = Antenna(monkeypatch)
    antenna.receiver.listen(3)
    antenna.dealer.answer_frames([b"\xc1"])  # the one byte that msgpack never uses
    assert antenna.received == []
    assert "refused from the air link" in caplog.text
    antenna.receiver.close()


@pytest.mark.asyncio
@pytest.mark.parametrize("count", [1, FACTS.downlink.grid.count + 1])
async def test_grid_with_another_number_of_subcarriers_is_ignored(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    antenna = Antenna(monkeypatch)
    antenna.receiver.listen(3)
    antenna.dealer.answer(Grid(epoch=3, samples=np.ones(count, dtype=np.complex128)))
    assert antenna.received == []
    antenna.dealer.answer(grid(3))
    assert antenna.epochs == [3]
    antenna.receiver.close()


class Strangers:
    """A server that speaks no ZMTP to whoever connects."""

    def __init__(self) -> None:
        self.met = asyncio.Event()
        self._server: asyncio.Server | None = None

    async def listen(self, port: int) -> None:
        self._server = await asyncio.start_server(self._answer, "127.0.0.1", port)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"\xff" + bytes(8) + b"\x7f\x09" + b"?" * 64)  # a greeting of a version that there is not
        with contextlib.suppress(ConnectionError):
            while await reader.read(4096):
                pass  # until the other end has understood that it is no use
        self.met.set()
        writer.close()

    async def leave(self) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()


@pytest.mark.asyncio
async def test_receiver_whose_connection_broke_the_transport_asks_on_a_new_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """libzmq never connects again after an answer that is not its protocol, such as a wrong bit in a greeting."""
    monkeypatch.setattr(receiver, "FIRST_PATIENCE_S", 0.3)  # the real one only makes the test slower
    received: asyncio.Queue[int] = asyncio.Queue()
    (port,) = free_ports(1)
    context = ReceiverContext(ue="ue-a", facts=FACTS, air=f"tcp://127.0.0.1:{port}", options={})
    strangers = Strangers()
    await strangers.listen(port)
    listening = EmulatedReceiver(context, lambda epoch, _samples: received.put_nowait(epoch))
    listening.listen(3)
    async with asyncio.timeout(TIMEOUT_S):
        await strangers.met.wait()
    await strangers.leave()

    def answer(route: bytes, _frames: list[bytes]) -> None:
        emulator.send(route, encode(Envelope(session=0, message=grid(3))))

    emulator = Router(context.air, answer, lambda _route: None, max_frame_bytes=8192)
    async with asyncio.timeout(TIMEOUT_S):
        assert await received.get() == 3
    listening.close()
    emulator.close()
    await asyncio.sleep(0)  # the loop lets go of the descriptors


@pytest.mark.asyncio
async def test_receiver_that_hears_nothing_at_all_takes_a_new_socket_and_goes_on_asking(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(receiver, "FIRST_PATIENCE_S", 0.01)  # the real one only makes the test slower
    antenna = Antenna(monkeypatch)
    antenna.receiver.listen(3)
    async with asyncio.timeout(TIMEOUT_S):
        while len(antenna.dealers) < 3:  # noqa: ASYNC110 - the timer is the receiver's own
            await asyncio.sleep(0.001)
    assert await antenna.dealer.next_epoch() == 3
    assert [dealer.closed for dealer in antenna.dealers] == [True, True, False]
    antenna.dealer.answer(grid(3))
    assert antenna.epochs == [3]
    antenna.receiver.close()


@pytest.mark.asyncio
async def test_receiver_that_is_answered_with_silence_keeps_its_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receiver, "FIRST_PATIENCE_S", TIMEOUT_S)
    antenna = Antenna(monkeypatch)
    antenna.receiver.listen(3)
    antenna.receiver._unanswered_since_s = float("-inf")
    antenna.receiver._connected_s = float("-inf")
    antenna.dealer.answer(Silence(epoch=3, text="nothing is on the air"))
    for _ in range(3):
        await antenna.dealer.next_epoch()
    assert len(antenna.dealers) == 1
    antenna.receiver.close()


@pytest.mark.asyncio
async def test_receiver_that_was_kept_out_long_ago_takes_a_new_socket_with_its_next_question(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    antenna = Antenna(monkeypatch)
    antenna.dealer.kept_out = True
    antenna.receiver._connected_s -= 2 * receiver.LONGEST_PATIENCE_S
    antenna.receiver.listen(3)
    assert await antenna.dealer.next_epoch() == 3
    assert [dealer.closed for dealer in antenna.dealers] == [True, False]
    antenna.receiver.close()
