"""The driver `zmq-iq-streams`: one transmitter, receivers that read at their own pace, leave, and come back."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
import zmq

from sdr_backend.counted_answers import INDEX, INDEX_MAGIC, INDEX_VERSION, CountedAnswers
from sdr_backend.driver_suite.bench import noise
from sdr_backend.radio import LateError, RadioError, opened_radio
from sdr_backend.zmq_streams import ZmqStreams
from tests.sdr_backend.keeping import Keep
from tests.sdr_backend.test_zmq_iq import PATIENCE_MS, Sockets

STRIDE, BLOCK, GUARD = 1000, 100, 250
LONG_S = PATIENCE_MS / 1000


class Reader:
    """A receiver that asks when it is told to."""

    def __init__(self, sockets: Sockets, endpoint: str) -> None:
        self._socket = sockets(zmq.REQ)
        self._socket.connect(endpoint)

    def read(self, count: int) -> np.ndarray:
        """So many blocks of samples."""
        got = b""
        for _ in range(count):
            self._socket.send(b"\0")
            got += self._socket.recv()
        return np.frombuffer(got, dtype="<c8")


@pytest.fixture
def sockets() -> Iterator[Sockets]:
    with ExitStack() as stack:
        yield Sockets(stack)


def streams(folder: Path, kept: Keep, **options: float) -> ZmqStreams:
    """A radio of two streams whose patience lasts as long as a test, unless it says otherwise."""
    common = {"stride": STRIDE, "block": BLOCK, "guard": GUARD, "patience_s": 1000.0}
    return kept(ZmqStreams({"transmit": f"ipc://{folder}/a ipc://{folder}/b", **common, **options}))


def test_every_stream_carries_the_same_samples_at_the_same_index(tmp_path: Path, sockets: Sockets, kept: Keep) -> None:
    radio, sent = streams(tmp_path, kept), noise(1, 150)
    assert radio.transmit(sent, 120) == 120
    expected = np.concatenate([np.zeros(120), sent, np.zeros(30)])
    for name in "ab":
        np.testing.assert_array_equal(Reader(sockets, f"ipc://{tmp_path}/{name}").read(3), expected)


def test_drained_is_when_the_guard_has_passed_behind_a_burst(tmp_path: Path, sockets: Sockets, kept: Keep) -> None:
    radio, reader = streams(tmp_path, kept), Reader(sockets, f"ipc://{tmp_path}/a")
    radio.transmit(noise(2, 100), 0)
    reader.read(3)  # 200 zeros behind it
    assert not radio.drain(0.0)
    reader.read(1)
    assert radio.drain(LONG_S)


def test_a_stream_that_nobody_reads_holds_up_nobody_after_the_time_out(
    tmp_path: Path, sockets: Sockets, kept: Keep
) -> None:
    radio, reader = streams(tmp_path, kept, patience_s=0.05), Reader(sockets, f"ipc://{tmp_path}/a")
    left = Reader(sockets, f"ipc://{tmp_path}/b")
    radio.transmit(noise(3, 100), 0)
    left.read(1)  # and then no more
    done = False
    while not done:  # the first is read on
        reader.read(1)
        done = radio.drain(0.0)
    assert radio.transmitted >= 100 + GUARD


def test_what_nobody_reads_is_not_drained(tmp_path: Path, kept: Keep) -> None:
    radio = streams(tmp_path, kept)
    radio.transmit(noise(4, 10), 0)
    assert not radio.drain(0.05)
    radio.flush()
    assert radio.drain(0.0)  # nothing is to be sent


def test_who_reads_again_has_skipped_a_multiple_of_the_stride(tmp_path: Path, sockets: Sockets, kept: Keep) -> None:
    radio = streams(tmp_path, kept, patience_s=1e-6)
    first, second = (Reader(sockets, f"ipc://{tmp_path}/{name}") for name in "ab")
    second.read(2)
    first.read(75)  # 7500 samples
    sent = noise(5, 50)
    radio.transmit(sent, 8000)
    heard = second.read(25)  # a stride and a half at most are zeros
    start = 200 + int(np.flatnonzero(heard)[0])
    assert start % STRIDE == 0
    np.testing.assert_array_equal(heard[start - 200 :][: sent.size], sent)


def test_a_receiver_that_connects_anew_starts_at_a_multiple_of_the_stride(
    tmp_path: Path, sockets: Sockets, kept: Keep
) -> None:
    radio = streams(tmp_path, kept)
    Reader(sockets, f"ipc://{tmp_path}/a").read(13)
    sent = noise(6, 50)
    radio.transmit(sent, 3 * STRIDE)
    heard = Reader(sockets, f"ipc://{tmp_path}/a").read(15)
    assert radio.transmitted == 2 * STRIDE + 15 * BLOCK
    np.testing.assert_array_equal(np.flatnonzero(heard), np.arange(0))  # the burst was for whoever was there


def test_an_index_that_a_stream_has_passed_is_late(tmp_path: Path, sockets: Sockets, kept: Keep) -> None:
    radio = streams(tmp_path, kept)
    Reader(sockets, f"ipc://{tmp_path}/b").read(2)
    with pytest.raises(LateError, match="from 200 on"):
        radio.transmit(noise(7, 10), 199)


def test_endpoints_are_free_when_one_of_them_cannot_be_had_and_when_it_is_closed(tmp_path: Path, kept: Keep) -> None:
    one = streams(tmp_path, kept)
    with pytest.raises(RadioError, match="zmq-iq-streams: cannot use"):
        opened_radio("zmq-iq-streams", {"transmit": f"ipc://{tmp_path}/c ipc://{tmp_path}/a", "stride": STRIDE})
    one.close()
    kept(ZmqStreams({"transmit": f"ipc://{tmp_path}/c ipc://{tmp_path}/a", "stride": STRIDE}))


def answer(index: int, count: int, tags: int = 0) -> memoryview:
    return memoryview(INDEX.pack(INDEX_MAGIC, INDEX_VERSION, index, tags) + bytes(8 * count))


def test_answers_that_tell_their_index_say_what_is_missing_before_them() -> None:
    counted = CountedAnswers(STRIDE)
    assert [counted.missing(answer(*one))[0] for one in [(0, 10), (10, 20), (35, 5)]] == [0, 0, 5]


def test_an_index_that_begins_again_goes_on_at_a_multiple() -> None:
    counted = CountedAnswers(STRIDE)
    counted.missing(answer(0, 40))
    # 0 again is 1000, and 30 is 1030
    assert counted.missing(answer(30, 1))[0] == STRIDE + 30 - 40


@pytest.mark.parametrize("spoiled", [answer(5, 0)[:10], answer(5, 3, tags=1), memoryview(bytes(64))])
def test_answers_without_a_header_hold_no_samples(spoiled: memoryview) -> None:
    missing, samples = CountedAnswers(STRIDE).missing(spoiled)
    assert (missing, len(samples)) == (0, 0)
