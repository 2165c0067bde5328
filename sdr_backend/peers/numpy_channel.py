"""A channel program without GNU Radio: what `gnuradio_channel.py` does, in numpy, for machines that lack it (shell).

``python -m sdr_backend.peers.numpy_channel --port N --stream UE FROM TO``, the last for each UE. Options and
calls are those of the other; the way back to the array has a thread of its own.
"""

import argparse
import os
import secrets
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast
from xmlrpc.client import Binary
from xmlrpc.server import SimpleXMLRPCServer

import numpy as np
import numpy.typing as npt
import zmq

from sdr_backend.channel import ArrayChannel, SampleChannel
from sdr_backend.counted_answers import WIRE, counted_answer
from sdr_backend.peers.gnuradio_channel import Sockets
from sdr_backend.radio import Samples

ComplexArray = npt.NDArray[np.complex128]
LOOPBACK = "127.0.0.1"
PARENT_CHECK_S = 0.1
EARLY_SAMPLES = 3  # what GNU Radio's channel model is ahead by, so that one calibration fits both programs


@dataclass(slots=True)
class _Stream:
    """One UE's samples: asked for, changed, numbered, answered."""

    upstream: "zmq.Socket[bytes]"
    downstream: "zmq.Socket[bytes]"
    channel: SampleChannel
    index: int = 0
    is_asked: bool = False
    is_asking: bool = False

    def step(self, lock: threading.Lock) -> None:
        """Do what can be done now."""
        if not self.is_asked and self.downstream.poll(0):
            self.downstream.recv()
            self.is_asked = True
        if self.is_asked and not self.is_asking:
            self.upstream.send(b"\0")
            self.is_asking = True
        if self.is_asking and self.upstream.poll(0):
            samples = np.frombuffer(self.upstream.recv(), dtype=WIRE)
            with lock:
                passed = self.channel.passed(samples)[EARLY_SAMPLES if self.index == 0 else 0 :]
            self.downstream.send(counted_answer(self.index, passed.astype(WIRE, copy=False).tobytes()))
            self.index += passed.size
            self.is_asked = self.is_asking = False


class _Array:
    """What all UEs send to the array: asked for as the array asks, filtered, added up, numbered, answered."""

    def __init__(self, sounders: Mapping[str, str], sink: str, channel: ArrayChannel) -> None:
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context.instance()
        self._channel = channel
        self._upstream = {ue: context.socket(zmq.REQ) for ue in sounders}
        self._sent: dict[str, Samples] = {ue: np.empty(0, dtype=np.complex64) for ue in sounders}
        self._downstream = context.socket(zmq.REP)
        for socket in (self._downstream, *self._upstream.values()):
            socket.setsockopt(zmq.LINGER, 0)
        for ue, source in sounders.items():
            self._upstream[ue].connect(source)
        self._downstream.bind(sink)
        self._index = 0

    def serve(self, lock: threading.Lock) -> None:
        """Pass samples on for ever."""
        while True:
            self._downstream.recv()
            self._fill()
            count = min(samples.size for samples in self._sent.values())
            with lock:
                passed = self._channel.passed({ue: samples[:count] for ue, samples in self._sent.items()})
            self._sent = {ue: samples[count:] for ue, samples in self._sent.items()}
            self._downstream.send(counted_answer(self._index, passed.astype(WIRE, copy=False).tobytes()))
            self._index += count

    def _fill(self) -> None:
        """Ask all UEs that have nothing left, each before any of them has answered."""
        asked = [ue for ue, samples in self._sent.items() if not samples.size]
        for ue in asked:
            self._upstream[ue].send(b"\0")
        for ue in asked:
            self._sent[ue] = np.frombuffer(self._upstream[ue].recv(), dtype=WIRE)


class ChannelProgram:
    """All streams, served in one thread, and the calls that change them, in another."""

    def __init__(self, streams: Sequence[tuple[str, str, str]]) -> None:
        self.is_over = threading.Event()
        self._name, self._session = secrets.token_hex(8), ""
        self._lock = threading.Lock()
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context.instance()
        self._streams: dict[str, _Stream] = {}
        self._array: ArrayChannel | None = None
        for seed, (ue, source, sink) in enumerate(streams):
            upstream, downstream = context.socket(zmq.REQ), context.socket(zmq.REP)
            for socket in (upstream, downstream):
                socket.setsockopt(zmq.LINGER, 0)
            upstream.connect(source)
            downstream.bind(sink)
            self._streams[ue] = _Stream(upstream=upstream, downstream=downstream, channel=SampleChannel(seed))

    def instance(self) -> str:
        """Return the name of this start of the program."""
        return self._name

    def change(
        self, session: str, taps: dict[str, Binary], noise_rms: dict[str, float], offset_cycles: float, echoes: Binary
    ) -> str:
        """Set what samples meet from now on; begin anew for another session of the transmitter."""
        if self._session not in {"", session}:
            self.is_over.set()
            return ""
        self._session = session
        behind = _complex(echoes)
        with self._lock:
            for ue, stream in self._streams.items():
                if ue in taps:
                    stream.channel.change(_complex(taps[ue]), behind, noise_rms[ue], offset_cycles)
        return self._name

    def add_uplink(self, sounders: Mapping[str, str], sink: str, antennas: int, taps: int) -> None:
        """Have the sounders' samples filtered for each antenna, and added up."""
        self._array = ArrayChannel(tuple(sounders), antennas, taps, len(self._streams))
        array = _Array(sounders, sink, self._array)
        threading.Thread(target=array.serve, args=(self._lock,), daemon=True).start()

    def change_uplink(self, taps: dict[str, Binary], noise_rms: float, offset_cycles: float) -> str:
        """Set what samples meet on their way to the array; a UE without taps is not heard."""
        if self._array is not None:
            rows = {ue: _complex(blob).reshape(self._array.antennas, -1) for ue, blob in taps.items()}
            with self._lock:
                self._array.change(rows, noise_rms, offset_cycles)
        return self._name

    def serve(self, parent: int, sounders: Sockets) -> None:
        """Pass samples on until the program is to begin anew, or its parent is gone."""
        poller = zmq.Poller()
        for stream in self._streams.values():
            poller.register(stream.upstream, zmq.POLLIN)
            poller.register(stream.downstream, zmq.POLLIN)
        while not self.is_over.is_set() and os.getppid() == parent:
            poller.poll(int(1000 * PARENT_CHECK_S))
            if sounders.renewed():
                self.is_over.set()
            for stream in self._streams.values():
                stream.step(self._lock)


def _complex(binary: Binary) -> ComplexArray:
    return np.frombuffer(binary.data, dtype=WIRE).astype(np.complex128)


def main() -> None:
    """Run the program; it ends with its parent."""
    parser = argparse.ArgumentParser(description="Channel of samples for the near-field testbed, in numpy")
    parser.add_argument("--port", type=int, required=True, help="of the loopback interface, for XML-RPC")
    for name in ("--taps", "--behind"):
        parser.add_argument(name, type=int, help="of the other program; any number will do here")
    parser.add_argument("--stream", action="append", nargs=3, required=True, metavar=("UE", "FROM", "TO"))
    parser.add_argument("--sounder", action="append", nargs=2, default=[], metavar=("UE", "FROM"))
    parser.add_argument("--array", help="endpoint of the uplink array's samples")
    parser.add_argument("--antennas", type=int, help="of the uplink array")
    parser.add_argument("--uplink-taps", type=int, help="of each filter on the way to it")
    options = parser.parse_args()
    program = ChannelProgram(options.stream)
    if options.array:
        program.add_uplink(dict(options.sounder), options.array, options.antennas, options.uplink_taps)
    server = SimpleXMLRPCServer((LOOPBACK, options.port), logRequests=False, allow_none=False)
    for call in (program.instance, program.change, program.change_uplink):
        server.register_function(cast("Any", call))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print("ready", flush=True)  # noqa: T201 - for whoever starts it
    program.serve(os.getppid(), Sockets([source for _, source in options.sounder]))
    if program.is_over.is_set():
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - no shell: itself again


if __name__ == "__main__":
    main()
