"""A channel program of GNU Radio: one headless flowgraph that filters the samples of each UE on their way.

``/usr/bin/python3 -I gnuradio_channel.py --port N --taps M --behind K --stream UE FROM TO``, the last for each UE: its samples
are asked for at FROM and answered at TO, with their index. For the way back, ``--array TO --antennas N --uplink-taps M
--sounder UE FROM``, the last for each UE: what is asked for at each FROM is filtered for each antenna and added up; an answer
at TO has the antennas' samples of one time beside each other.

Whoever is on this machine sets the taps by XML-RPC: `instance()` names this start of the program; `change(...)` takes taps and
the rest for all UEs, and returns that name, or nothing if the transmitter is another than before: the program then begins anew,
with empty streams. `change_uplink(...)` does so for the way back. It begins anew as well when a UE has bound its FROM of the
way back again, since it then counts from 0. It runs with the system's own interpreter and imports nothing of this package.
"""

import argparse
import math
import os
import secrets
import signal
import struct
import sys
import threading
import time
from typing import Any, cast
from xmlrpc.client import Binary
from xmlrpc.server import SimpleXMLRPCServer

LOOPBACK = "127.0.0.1"
TIMEOUT_MS = 20
PARENT_CHECK_S = 0.1
LEAST_HELD, MOST_BYTES = 1024, 65536  # of a buffer


def complex_list(binary: Binary) -> list[complex]:
    """Return little-endian complex64 as numbers."""
    values = struct.unpack(f"<{len(binary.data) // 4}f", binary.data)
    return [complex(re, im) for re, im in zip(values[::2], values[1::2])]  # noqa: B905 - equally long


class Sockets:
    """Sockets that others bind on this machine; one that is bound anew belongs to somebody who counts samples anew."""

    def __init__(self, endpoints: list[str]) -> None:
        self._paths = [endpoint[6:] for endpoint in endpoints if endpoint.startswith("ipc://")]
        self._born_ns: dict[str, int] = {}

    def renewed(self) -> bool:
        """Return whether one was bound again since it was seen first."""
        for path in self._paths:
            try:
                born_ns = os.stat(path).st_ctime_ns  # noqa: PTH116 - pathlib is slower, and this is asked often
            except OSError:
                continue  # not yet there, or not any more
            if self._born_ns.setdefault(path, born_ns) != born_ns:
                return True
        return False


class Streams:
    """The flowgraph, and the calls that change it."""

    def __init__(self, streams: list[tuple[str, str, str]], taps: int, behind: int) -> None:
        from gnuradio import channels, filter, gr, zeromq  # noqa: PLC0415, A004 - where there is none, say so first

        self.is_over = threading.Event()
        self._name, self._session = secrets.token_hex(8), ""
        self._graph = gr.top_block("channel")
        self._filters, self._channels = {}, {}
        self._rotators: dict[str, Any] = {}
        self._array_filters: dict[str, list[Any]] = {}
        item = gr.sizeof_gr_complex
        for seed, (ue, source, sink) in enumerate(streams):
            asked = zeromq.req_source(item, 1, source, TIMEOUT_MS, False, -1)
            filtered = filter.fft_filter_ccc(1, [0j] * taps)
            # as many taps from the start as there will ever be: a filter whose length changes moves the samples
            echoes = [1.0 + 0j] + [0j] * (behind - 1)
            changed = channels.channel_model(
                noise_voltage=0.0, frequency_offset=0.0, epsilon=1.0, taps=echoes, noise_seed=seed
            )
            answered = zeromq.rep_sink(item, 1, sink, TIMEOUT_MS, True, -1)
            self._graph.connect(asked, filtered, changed, answered)
            self._filters[ue], self._channels[ue] = filtered, changed

    def start(self) -> None:
        """Begin to pass samples on."""
        self._graph.start()

    def stop(self) -> None:
        """End all streams."""
        self._graph.stop()
        self._graph.wait()

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
        behind = complex_list(echoes)
        for ue in self._filters:
            if ue in taps:
                self._filters[ue].set_taps(complex_list(taps[ue]))
                self._channels[ue].set_noise_voltage(noise_rms[ue])
                self._channels[ue].set_frequency_offset(offset_cycles)
                self._channels[ue].set_taps(behind)
        return self._name

    def add_uplink(self, sounders: list[tuple[str, str]], sink: str, antennas: int, taps: int) -> None:
        """Have the sounders' samples filtered for each antenna, and added up."""
        from gnuradio import analog, blocks, filter, gr, zeromq  # noqa: PLC0415, A004

        item = gr.sizeof_gr_complex
        # as little as there may be between blocks, since it is waited for: two transforms of a filter, which is twice as long
        # as the next power of two above its taps; less would stop it
        held = max(LEAST_HELD, 4 << (taps - 1).bit_length())
        sums = [blocks.add_cc() for _ in range(antennas)]
        beside, noisy = blocks.streams_to_vector(item, antennas), blocks.add_vcc(antennas)
        for added in sums:
            added.set_max_output_buffer(held)
        for port, (ue, source) in enumerate(sounders):
            asked = zeromq.req_source(item, 1, source, TIMEOUT_MS, False, -1)
            self._rotators[ue] = blocks.rotator_cc(0.0)
            for block in (asked, self._rotators[ue]):
                block.set_max_output_buffer(held)
            self._graph.connect(asked, self._rotators[ue])
            self._array_filters[ue] = [filter.fft_filter_ccc(1, [0j] * taps) for _ in range(antennas)]
            for filtered, added in zip(self._array_filters[ue], sums):  # noqa: B905 - equally long
                filtered.set_max_output_buffer(held)
                self._graph.connect(self._rotators[ue], filtered, (added, port))
        for antenna, added in enumerate(sums):
            self._graph.connect(added, (beside, antenna))
        self._noise = analog.fastnoise_source_c(analog.GR_GAUSSIAN, 0.0, 1, 1 << 18)
        vectors = blocks.stream_to_vector(item, antennas)
        self._graph.connect(self._noise, vectors, (noisy, 1))
        if antennas * held * item <= MOST_BYTES:  # otherwise it is less by itself
            for block in (beside, vectors, noisy, self._noise):
                block.set_max_output_buffer(held)
        self._graph.connect(beside, noisy, zeromq.rep_sink(item, antennas, sink, TIMEOUT_MS, True, -1))

    def change_uplink(self, taps: dict[str, Binary], noise_rms: float, offset_cycles: float) -> str:
        """Set what samples meet on their way to the array; a UE without taps is not heard."""
        for ue, filters in self._array_filters.items():
            self._rotators[ue].set_phase_inc(2 * math.pi * offset_cycles)
            rows = complex_list(taps[ue]) if ue in taps else [0j] * (len(filters) * len(filters[0].taps()))
            length = len(rows) // len(filters)
            for antenna, filtered in enumerate(filters):
                filtered.set_taps(rows[antenna * length : (antenna + 1) * length])
        self._noise.set_amplitude(noise_rms)
        return self._name


def main() -> int:
    """Run the program until it is to begin anew, is stopped, or its parent is gone."""
    parser = argparse.ArgumentParser(description="Channel of samples for the near-field testbed, in GNU Radio")
    parser.add_argument("--port", type=int, required=True, help="of the loopback interface, for XML-RPC")
    parser.add_argument("--taps", type=int, required=True, help="as many as subcarriers")
    parser.add_argument("--behind", type=int, required=True, help="taps of what comes behind the beams")
    parser.add_argument("--stream", action="append", nargs=3, required=True, metavar=("UE", "FROM", "TO"))
    parser.add_argument("--sounder", action="append", nargs=2, default=[], metavar=("UE", "FROM"))
    parser.add_argument("--array", help="endpoint of the uplink array's samples")
    parser.add_argument("--antennas", type=int, help="of the uplink array")
    parser.add_argument("--uplink-taps", type=int, help="of each filter on the way to it")
    options = parser.parse_args()
    try:
        streams = Streams(options.stream, options.taps, options.behind)
        if options.array:
            streams.add_uplink(options.sounder, options.array, options.antennas, options.uplink_taps)
    except ImportError as error:
        print(f"expected GNU Radio (apt-get install --no-install-recommends gnuradio), got: {error}", file=sys.stderr)  # noqa: T201
        return 2
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    server = SimpleXMLRPCServer((LOOPBACK, options.port), logRequests=False)
    for call in (streams.instance, streams.change, streams.change_uplink):
        server.register_function(cast("Any", call))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    streams.start()
    print("ready", flush=True)  # noqa: T201 - for whoever starts it
    parent, sounders = os.getppid(), Sockets([source for _, source in options.sounder])
    while not stopped.is_set() and not streams.is_over.is_set() and os.getppid() == parent:
        time.sleep(PARENT_CHECK_S)
        if sounders.renewed():
            streams.is_over.set()
    if streams.is_over.is_set():
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - no shell: itself again
    streams.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
