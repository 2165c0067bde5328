"""The radio driver ``zmq-iq-streams``: the same samples to several receivers over ZeroMQ, each at its own pace (shell).

A stream is what `sdr_backend.zmq_iq` transmits, with one endpoint and one receiver. All streams count samples alike. One that
nobody reads stands still and holds up nobody; when it is read again it has skipped a multiple of `stride` samples, and so has
one whose receiver connects anew, which therefore finds frames at multiples of that length in its own count.
"""

import os
import threading
import time
from collections.abc import Mapping
from typing import Annotated

import zmq
from msgspec import Meta

from protocol.config import is_private
from protocol.testbed import NonNegative, Positive
from protocol.transport import claimed
from sdr_backend.counted_answers import WIRE
from sdr_backend.drivers import Options, OptionValue, checked_options
from sdr_backend.radio import Block, LateError, RadioError, Samples, checked_samples
from sdr_backend.schedule import Schedule

NAME = "zmq-iq-streams"
LOOK_MS = 20  # how long a wait may last before it is seen that the radio is to be closed
LOOK_S = 0.002  # how often it is looked whether streams are still read


class StreamsOptions(Options, frozen=True):
    """Endpoints of all streams, divided by spaces, and how their ends are told.

    `guard` zeros are asked for behind a burst before it counts as gone: as many samples as a chain of programs may hold.
    A stream without a request for `patience_s` is not read. `rate_hz` of 0 is as fast as requests come.
    """

    transmit: Annotated[str, Meta(min_length=1)]
    stride: Annotated[int, Meta(ge=1)]
    guard: Annotated[int, Meta(ge=0)] = 0
    patience_s: Positive = 0.01
    rate_hz: NonNegative = 0.0
    block: Annotated[int, Meta(ge=1, le=65536)] = 4096

    def __post_init__(self) -> None:
        for endpoint in self.transmit.split():
            if not is_private("transmit", endpoint):
                raise ValueError(f"transmit: expected loopback addresses or ipc://, got {endpoint}")


class ZmqStreams:
    """A transmitter whose air is one ZeroMQ socket for each receiver."""

    def __init__(self, options: Mapping[str, OptionValue]) -> None:
        self._options = checked_options(NAME, options, StreamsOptions)
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._changed = threading.Condition()
        self._streams: list[_Stream] = []
        for endpoint in self._options.transmit.split():
            try:
                self._streams.append(_Stream(self._context, endpoint, self._options, self._changed))
            except (zmq.ZMQError, OSError) as error:
                self.close()
                raise RadioError(f"{NAME}: cannot use {endpoint}: {error}") from error

    @property
    def rate_hz(self) -> float:
        """Return the sample rate, or one sample per second where there is none."""
        return self._options.rate_hz or 1.0

    @property
    def transmitted(self) -> int:
        """Return the index of the sample that leaves next by the stream that is furthest ahead."""
        with self._changed:
            return max(stream.position for stream in self._streams)

    @property
    def stretch(self) -> int:
        """Return 0: what is transmitted is counted without a break."""
        return 0

    @property
    def received(self) -> int:
        """Return 0: nothing is received."""
        return 0

    def transmit(self, samples: Samples, at: int | None = None) -> int:
        """Have samples sent by all streams when they are asked for; those that nobody reads catch up."""
        burst = checked_samples(samples)
        with self._changed:
            self._require_open()
            ahead = max(stream.position for stream in self._streams)
            first = max(ahead, *(stream.end for stream in self._streams)) if at is None else at
            if first < ahead:
                raise LateError(first, ahead)
            now_s = time.monotonic()
            for stream in self._streams:
                if not stream.is_read(now_s):
                    stream.catch_up(first)
                stream.add(burst, first)
        return first

    def drain(self, within_s: float) -> bool:
        """Wait until every stream that is read is empty and its guard has passed; if none is read, all must be empty."""
        until_s = time.monotonic() + within_s
        with self._changed:
            while not (done := self._is_drained(time.monotonic())) and (left_s := until_s - time.monotonic()) > 0:
                self._changed.wait(min(left_s, LOOK_S))
        return done

    def _is_drained(self, now_s: float) -> bool:
        read = [stream for stream in self._streams if stream.is_read(now_s)]
        return all(stream.is_quiet for stream in read) if read else all(stream.is_empty for stream in self._streams)

    def receive(self, count: int, within_s: float) -> Block:
        """Refuse: this radio has no receiver."""
        raise RadioError(f"{NAME}: expected to transmit only, got a request for {count} samples within {within_s:g} s")

    def flush(self) -> None:
        """Forget what is scheduled."""
        with self._changed:
            for stream in self._streams:
                stream.clear()

    def close(self) -> None:
        """Close all sockets; the endpoints are free when this returns."""
        for stream in self._streams:
            stream.close()
        self._streams.clear()
        self._context.term()

    def _require_open(self) -> None:
        if not self._streams:
            raise RadioError(f"{NAME}: expected an open radio, got one that was closed")


class _Stream:
    """Answers the requests of one receiver from a thread of its own; all but the thread is for holders of the lock."""

    def __init__(
        self,
        context: "zmq.Context[zmq.Socket[bytes]]",
        endpoint: str,
        options: StreamsOptions,
        changed: threading.Condition,
    ) -> None:
        self._options, self._changed = options, changed
        self._schedule = Schedule()
        self._burst_end = 0  # index behind the last sample of a burst that was sent or waits
        self._asked_s = -float("inf")
        self._due_s = 0.0
        self._closing = threading.Event()
        self._socket = context.socket(zmq.REP)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._arrivals = self._socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED)
        self._claim: int | None = None
        try:
            self._claim = claimed(endpoint)
            self._socket.bind(endpoint)
        except (zmq.ZMQError, OSError):
            self._end()
            raise
        self._thread = threading.Thread(target=self._serve, name=f"{NAME} {endpoint}", daemon=True)
        self._thread.start()

    @property
    def position(self) -> int:
        return self._schedule.position

    @property
    def end(self) -> int:
        return self._schedule.end

    @property
    def is_empty(self) -> bool:
        return self._schedule.empty

    @property
    def is_quiet(self) -> bool:
        return self._schedule.empty and self.position >= self._burst_end + self._options.guard

    def is_read(self, now_s: float) -> bool:
        return now_s - self._asked_s < self._options.patience_s

    def add(self, samples: Samples, first: int) -> None:
        """Take a burst."""
        self._schedule.add(samples, first)
        self._burst_end = first + samples.size

    def catch_up(self, first: int) -> None:
        """Forget what nobody has asked for, and skip strides so that no more than two are left before this index."""
        self.clear()
        skipped = max(0, (first - self.position) // self._options.stride - 1) * self._options.stride
        self._schedule.position += skipped
        self._burst_end += skipped  # what is skipped pushes nothing out of the chain

    def clear(self) -> None:
        self._schedule.clear()
        self._burst_end = min(self._burst_end, self.position)
        self._changed.notify_all()

    def _serve(self) -> None:
        try:
            while not self._closing.is_set():
                if self._socket.poll(LOOK_MS):
                    self._socket.recv_multipart()
                    self._answer()
        finally:
            self._end()

    def _answer(self) -> None:
        count = self._options.block
        self._keep_pace(count)
        with self._changed:
            if self._is_new_receiver() and (ahead := -self.position % self._options.stride):
                self._schedule.clear()
                self._schedule.position += ahead
            self._asked_s = time.monotonic()
            samples = self._schedule.take(count)
            self._changed.notify_all()
        self._socket.send(samples.astype(WIRE, copy=False).tobytes())

    def _is_new_receiver(self) -> bool:
        """Return whether one has connected; libzmq says so before its first request can be read."""
        new = False
        while self._arrivals.poll(0):
            self._arrivals.recv_multipart()
            new = True
        return new

    def _keep_pace(self, count: int) -> None:
        if self._options.rate_hz:
            now_s = time.monotonic()
            self._closing.wait(max(0.0, self._due_s - now_s))
            self._due_s = max(self._due_s, now_s) + count / self._options.rate_hz

    def close(self) -> None:
        self._closing.set()
        self._thread.join()

    def _end(self) -> None:
        self._socket.disable_monitor()
        self._arrivals.close(linger=0)
        self._socket.close(linger=0)
        if self._claim is not None:
            os.close(self._claim)
            self._claim = None
