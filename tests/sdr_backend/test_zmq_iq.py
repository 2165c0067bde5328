"""The driver `zmq-iq` beside peers that are not ours: they ask and answer as GNU Radio and srsRAN do."""

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
import zmq

from sdr_backend.driver_suite.bench import EXACT, Ear, noise
from sdr_backend.radio import RadioError, opened_radio
from sdr_backend.zmq_iq import ZmqIq
from tests.sdr_backend.keeping import Keep

PATIENCE_MS = 10_000


class Sockets:
    """Makes sockets that are closed when the test ends."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._context: zmq.Context[zmq.Socket[bytes]] = stack.enter_context(zmq.Context())

    def __call__(self, kind: int) -> "zmq.Socket[bytes]":
        socket = self._stack.enter_context(self._context.socket(kind))
        socket.linger, socket.rcvtimeo = 0, PATIENCE_MS
        return socket


@pytest.fixture
def sockets() -> Iterator[Sockets]:
    with ExitStack() as stack:
        yield Sockets(stack)


@pytest.mark.parametrize(
    "request_bytes", [b"\xff", (8192).to_bytes(4, "little"), b""], ids=["srsRAN", "GNU Radio", "empty"]
)
def test_every_request_is_answered_whatever_it_says(
    tmp_path: Path, sockets: Sockets, request_bytes: bytes, kept: Keep
) -> None:
    radio = kept(ZmqIq({"transmit": f"ipc://{tmp_path}/iq", "block": 100}))
    asking = sockets(zmq.REQ)
    asking.connect(f"ipc://{tmp_path}/iq")
    sent = noise(1, 250)
    radio.transmit(sent, 150)
    got = b""
    for _ in range(5):
        asking.send(request_bytes)
        got += asking.recv()
    heard = np.frombuffer(got, dtype="<c8")
    np.testing.assert_array_equal(heard, np.concatenate([np.zeros(150), sent, np.zeros(100)]).astype(np.complex64))
    assert radio.transmitted == 500


def test_answers_of_any_size_are_put_together_and_half_a_sample_is_left_out(
    tmp_path: Path, sockets: Sockets, kept: Keep
) -> None:
    answering = sockets(zmq.REP)
    answering.bind(f"ipc://{tmp_path}/iq")
    sent = noise(2, 600)
    parts = [sent[:1], sent[1:500], sent[500:500], sent[500:]]

    def answer() -> None:
        for part in parts:
            answering.recv()
            answering.send(part.tobytes() + b"\0\0\0")

    thread = threading.Thread(target=answer)
    thread.start()
    radio = kept(ZmqIq({"receive": f"ipc://{tmp_path}/iq"}))
    block = radio.receive(600, PATIENCE_MS / 1000)
    np.testing.assert_array_equal(block.samples, sent)
    thread.join()


def test_answer_with_a_value_that_is_no_number_is_lost(tmp_path: Path, sockets: Sockets, kept: Keep) -> None:
    answering = sockets(zmq.REP)
    answering.bind(f"ipc://{tmp_path}/iq")
    radio = kept(ZmqIq({"receive": f"ipc://{tmp_path}/iq"}))
    answers = [np.array([1, np.nan, 1], dtype="<c8"), np.ones(5, dtype="<c8")]

    def answer() -> None:
        for samples in answers:
            answering.recv()
            answering.send(samples.tobytes())

    thread = threading.Thread(target=answer)
    thread.start()
    block = radio.receive(5, PATIENCE_MS / 1000)
    thread.join()
    assert (block.samples.size, block.overrun, block.first_index, block.broken) == (5, 3, 3, False)


def test_transmitter_goes_no_faster_than_its_rate(tmp_path: Path, kept: Keep) -> None:
    endpoint = f"ipc://{tmp_path}/iq"
    radio = kept(ZmqIq({"transmit": endpoint, "receive": endpoint, "rate_hz": 20e3}))
    began_s = time.monotonic()
    radio.receive(10_240, 10.0)
    # ten blocks of 51 ms each; the first is due at once, and 50 ms may be caught up
    assert time.monotonic() - began_s > 10_240 / 20e3 - 0.12


def test_receiver_that_comes_before_its_transmitter_hears_all_of_it(tmp_path: Path, kept: Keep) -> None:
    endpoint = f"ipc://{tmp_path}/iq"
    receiver = kept(ZmqIq({"receive": endpoint}))
    assert receiver.receive(10, 0.05).samples.size == 0
    transmitter = kept(ZmqIq({"transmit": endpoint}))
    sent = noise(3)
    transmitter.transmit(sent, 0)
    assert Ear(receiver, EXACT).hears(sent) == 0
    transmitter.close()


def test_transmitter_that_returns_is_heard_after_a_gap(tmp_path: Path, kept: Keep) -> None:
    endpoint = f"ipc://{tmp_path}/iq"
    receiver, transmitter = kept(ZmqIq({"receive": endpoint})), kept(ZmqIq({"transmit": endpoint}))
    first = receiver.receive(1024, 10.0)
    transmitter.close()
    kept(ZmqIq({"transmit": endpoint}))
    second = receiver.receive(1024, 10.0)
    assert (first.overrun, first.broken) == (0, False)
    assert (second.overrun, second.broken) == (1, True)  # how many is unknown
    assert second.first_index == 1025


def test_two_transmitters_cannot_have_one_endpoint(tmp_path: Path, kept: Keep) -> None:
    kept(ZmqIq({"transmit": f"ipc://{tmp_path}/iq"}))
    with pytest.raises(RadioError, match="another process is bound"):
        ZmqIq({"transmit": f"ipc://{tmp_path}/iq"})


def test_waiting_reader_is_let_go_when_the_radio_is_closed(tmp_path: Path, kept: Keep) -> None:
    radio = kept(ZmqIq({"receive": f"ipc://{tmp_path}/iq"}))
    ended = threading.Event()

    def read() -> None:
        with pytest.raises(RadioError, match="closed"):
            radio.receive(1, 60.0)
        ended.set()

    thread = threading.Thread(target=read)
    thread.start()
    radio.close()
    assert ended.wait(20.0)
    thread.join()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({}, "neither"),
        ({"transmit": "tcp://192.0.2.1:5000"}, "transmit.*insecure: true.*192.0.2.1"),
        ({"receive": "udp://127.0.0.1:5000"}, "receive: expected tcp://host:port"),
        ({"receive": "ipc://iq", "rate_hz": 0}, "rate_hz"),
        ({"receive": "ipc://iq", "block": 1.5}, "block"),
    ],
)
def test_options_that_make_no_radio_are_refused_with_driver_and_reason(
    options: dict[str, str | int | float | bool], text: str
) -> None:
    with pytest.raises(ValueError, match=f"zmq-iq.*{text}"):
        opened_radio("zmq-iq", options)


def test_radio_without_transmitter_cannot_transmit_and_says_which_option_it_lacks(tmp_path: Path, kept: Keep) -> None:
    radio = kept(ZmqIq({"receive": f"ipc://{tmp_path}/iq"}))
    with pytest.raises(RadioError, match="option transmit"):
        radio.transmit(noise(1))
    assert radio.drain(0.0)


def test_driver_that_nobody_has_installed_is_told_with_those_that_are() -> None:
    with pytest.raises(LookupError, match=r"file, soapy, zmq-iq.*got 'usrp'"):
        opened_radio("usrp", {})
