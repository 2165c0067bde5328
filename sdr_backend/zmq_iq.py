"""The radio driver ``zmq-iq``: samples over ZeroMQ, as GNU Radio's and srsRAN's ZeroMQ radios exchange them (shell).

The transmitter binds a REP socket and answers every request, whatever it says, with raw little-endian complex64, zeros where
nothing is to be sent; the receiver connects and asks. Nothing is lost while a connection stands: the transmitter's clock
stands still while nobody asks, and otherwise goes no faster than the sample rate. One endpoint has one receiver.
"""

import os
import threading
import time
from collections.abc import Mapping
from typing import Annotated

import numpy as np
import zmq
from msgspec import Meta

from protocol.config import is_private
from protocol.testbed import Positive
from protocol.transport import claimed
from sdr_backend.counted_answers import WIRE, CountedAnswers
from sdr_backend.drivers import Options, OptionValue, checked_options
from sdr_backend.incoming import Incoming
from sdr_backend.radio import Block, RadioError, Samples, checked_samples
from sdr_backend.schedule import Schedule

NAME = "zmq-iq"
LOOK_MS = 20  # how long a wait may last before it is seen that the radio is to be closed
CATCH_UP_S = 0.05  # a transmitter that was held up by no more than this makes up for it
ASK_AGAIN_S = 2.0  # a question on a standing connection that gets no answer; a second answer is samples as well
MAX_ANSWER_BYTES = 1 << 24


class ZmqIqOptions(Options, frozen=True):
    """Endpoints: `transmit` is bound, `receive` connected to. `block` samples are one answer.

    With `counted` what is received comes with GNU Radio's header, as a sink writes it that passes tags, and the index there is
    the receiver's; where it begins again, the receiver's goes on at the next multiple of `counted` ahead of it. Items of
    `width` samples, as of several antennas, are received one sample after another; both counts are in items then.
    """

    transmit: str | None = None
    receive: str | None = None
    counted: Annotated[int, Meta(ge=0)] = 0
    width: Annotated[int, Meta(ge=1, le=16384)] = 1
    rate_hz: Positive = 1e6
    paced: bool = True
    block: Annotated[int, Meta(ge=1, le=65536)] = 1024
    insecure: bool = False

    def __post_init__(self) -> None:
        if self.transmit is None and self.receive is None:
            raise ValueError("expected an endpoint for transmit or receive, got neither")
        for key, endpoint in (("transmit", self.transmit), ("receive", self.receive)):
            if endpoint is not None and not is_private(key, endpoint) and not self.insecure:
                raise ValueError(
                    f"{key}: expected a loopback address or ipc://, since samples travel unencrypted and anyone could "
                    f"send and hear them (write insecure: true to have it all the same), got {endpoint}"
                )


class ZmqIq:
    """A radio whose air is a pair of ZeroMQ sockets."""

    def __init__(self, options: Mapping[str, OptionValue]) -> None:
        chosen = checked_options(NAME, options, ZmqIqOptions)
        self._rate_hz = chosen.rate_hz
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._transmitter: _Transmitter | None = None
        self._receiver: _Receiver | None = None
        try:
            if chosen.transmit is not None:
                self._transmitter = _Transmitter(self._context, chosen.transmit, chosen)
            if chosen.receive is not None:
                self._receiver = _Receiver(self._context, chosen.receive, chosen)
        except (zmq.ZMQError, OSError) as error:
            if self._transmitter is not None:
                self._transmitter.close()
            self._context.destroy(linger=0)
            raise RadioError(f"{NAME}: cannot use {chosen.transmit or chosen.receive}: {error}") from error

    @property
    def rate_hz(self) -> float:
        """Return the sample rate."""
        return self._rate_hz

    @property
    def transmitted(self) -> int:
        """Return how many samples were asked for."""
        return 0 if self._transmitter is None else self._transmitter.position

    @property
    def received(self) -> int:
        """Return the index of the sample that `receive` returns next."""
        return 0 if self._receiver is None else self._receiver.position

    def transmit(self, samples: Samples, at: int | None = None) -> int:
        """Have samples sent when they are asked for."""
        if self._transmitter is None:
            raise RadioError(f"{NAME}: expected the option transmit before anything is sent, got none")
        return self._transmitter.add(checked_samples(samples), at)

    def drain(self, within_s: float) -> bool:
        """Wait until all that was to be sent was asked for."""
        return self._transmitter is None or self._transmitter.drain(within_s)

    def receive(self, count: int, within_s: float) -> Block:
        """Ask for samples until there are `count`, or time is up."""
        if self._receiver is None:
            raise RadioError(f"{NAME}: expected the option receive before anything is heard, got none")
        return self._receiver.receive(count, within_s)

    def flush(self) -> None:
        """Forget what is scheduled, and what was answered and not read."""
        if self._transmitter is not None:
            self._transmitter.clear()
        if self._receiver is not None:
            self._receiver.flush()

    def close(self) -> None:
        """Close both sockets; the endpoint is free when this returns."""
        for part in (self._transmitter, self._receiver):
            if part is not None:
                part.close()
        self._context.term()


class _Transmitter:
    """Answers requests from a thread of its own."""

    def __init__(self, context: "zmq.Context[zmq.Socket[bytes]]", endpoint: str, options: ZmqIqOptions) -> None:
        self._options = options
        self._schedule = Schedule()
        self._changed = threading.Condition()
        self._closing = threading.Event()
        self._due_s = 0.0
        self._socket = context.socket(zmq.REP)
        for option, value in ((zmq.LINGER, 0), (zmq.MAXMSGSIZE, MAX_ANSWER_BYTES)):
            self._socket.setsockopt(option, value)
        self._claim = claimed(endpoint)
        try:
            self._socket.bind(endpoint)
        except zmq.ZMQError:
            self._release()
            raise
        self._thread = threading.Thread(target=self._serve, name=f"{NAME} {endpoint}", daemon=True)
        self._thread.start()

    @property
    def position(self) -> int:
        return self._schedule.position

    def add(self, samples: Samples, at: int | None) -> int:
        self._require_open()
        with self._changed:
            return self._schedule.add(samples, at)

    def drain(self, within_s: float) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: self._schedule.empty or self._closing.is_set(), within_s)

    def clear(self) -> None:
        with self._changed:
            self._schedule.clear()

    def _require_open(self) -> None:
        if self._closing.is_set():
            raise RadioError(f"{NAME}: expected an open radio, got one that was closed")

    def _serve(self) -> None:
        try:
            while not self._closing.is_set():
                if self._socket.poll(LOOK_MS):
                    self._socket.recv_multipart()
                    self._answer()
        finally:
            self._socket.close(linger=0)

    def _answer(self) -> None:
        count = self._options.block
        self._keep_pace(count)
        with self._changed:
            samples = self._schedule.take(count)
            self._changed.notify_all()
        self._socket.send(samples.astype(WIRE, copy=False).tobytes())

    def _keep_pace(self, count: int) -> None:
        """Wait until the samples before have been on the air."""
        if not self._options.paced:
            return
        now_s = time.monotonic()
        self._closing.wait(max(0.0, self._due_s - now_s))
        self._due_s = max(self._due_s, now_s - CATCH_UP_S) + count / self._options.rate_hz

    def close(self) -> None:
        self._closing.set()
        with self._changed:
            self._changed.notify_all()
        self._thread.join()
        self._release()

    def _release(self) -> None:
        if self._claim is not None:
            os.close(self._claim)
            self._claim = None


class _Receiver:
    """Asks in the thread of whoever reads; a DEALER, since a REQ is stuck for ever when its question is lost."""

    def __init__(self, context: "zmq.Context[zmq.Socket[bytes]]", endpoint: str, options: ZmqIqOptions) -> None:
        self._incoming = Incoming()
        self._counted = CountedAnswers(options.counted, options.width) if options.counted else None
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._asked_s: float | None = None  # when, if the answer is still to come
        self._dealer = context.socket(zmq.DEALER)
        for option, value in (
            (zmq.LINGER, 0),
            (zmq.IMMEDIATE, 1),  # never queue a question for a transmitter that is not there
            (zmq.MAXMSGSIZE, MAX_ANSWER_BYTES),
            (zmq.RECONNECT_IVL, 50),
            (zmq.RECONNECT_IVL_MAX, 500),
        ):
            self._dealer.setsockopt(option, value)
        self._losses = self._dealer.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        self._poller = zmq.Poller()
        for socket in (self._dealer, self._losses):
            self._poller.register(socket, zmq.POLLIN)
        self._dealer.connect(endpoint)

    @property
    def position(self) -> int:
        return self._incoming.position

    def receive(self, count: int, within_s: float) -> Block:
        until_s = time.monotonic() + within_s
        with self._lock:
            while not self._incoming.holds(count):
                left_s = until_s - time.monotonic()
                if self._closing.is_set():
                    raise RadioError(f"{NAME}: expected an open radio, got one that was closed")
                if left_s <= 0:
                    break
                self._ask()
                self._hear(min(LOOK_MS, int(1000 * left_s) + 1))
            return self._incoming.take(count)

    def _ask(self) -> None:
        now_s = time.monotonic()
        if self._asked_s is not None and now_s - self._asked_s < ASK_AGAIN_S:
            return
        try:
            self._dealer.send_multipart([b"", b"\0"], zmq.NOBLOCK)
            self._asked_s = now_s
        except zmq.Again:
            return  # not connected

    def _hear(self, within_ms: int) -> None:
        """Take what comes: samples before the end of the connection that carried them."""
        ready = dict(self._poller.poll(within_ms))
        if self._dealer in ready:
            while self._dealer.poll(0):
                self._take(self._dealer.recv_multipart())
        if self._losses in ready:
            self._losses.recv_multipart()
            self._asked_s = None
            if self._counted is None:
                self._incoming.broken()  # otherwise the next answer tells what is missing

    def _take(self, frames: list[bytes]) -> None:
        self._asked_s = None
        data = memoryview(frames[-1])
        if self._counted is not None:
            missing, data = self._counted.missing(data)
            self._incoming.lost(missing)
        samples = np.frombuffer(data, dtype=WIRE, count=len(data) // WIRE.itemsize)
        if np.isfinite(samples).all():
            self._incoming.append(samples)
        else:
            self._incoming.lost(samples.size)  # one such number would spoil all that is computed with it

    def flush(self) -> None:
        with self._lock:
            if self._closing.is_set():
                return
            if self._asked_s is not None:
                self._hear(LOOK_MS)  # the answer to a question from before
            self._incoming.clear()

    def close(self) -> None:
        self._closing.set()
        with self._lock:
            if not self._dealer.closed:
                self._dealer.disable_monitor()
                self._losses.close(linger=0)
                self._dealer.close(linger=0)
