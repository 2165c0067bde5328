"""A channel program whose ends are Red Pitayas of software: one that transmits, one for each UE, and the air between (shell).

``python -m sdr_backend.peers.red_pitaya_channel --port N --stride S --stream UE FROM TO``, the last for each UE: all FROM are
the transmitter's ``tcp://127.0.0.1:PORT``, each TO is that of a UE's device. Calls are those of the other channel programs.
All devices share one clock and one trigger: a receiver begins with a sample whose number, as the transmitter's driver counts
them, is a multiple of the stride, and is sent away when another transmitter connects. Taps change while nothing but zeros is
on its way to the air.
"""

import argparse
import asyncio
import os
import secrets
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast
from xmlrpc.client import Binary
from xmlrpc.server import SimpleXMLRPCServer

import numpy as np
import numpy.typing as npt

from protocol.config import host_and_port
from sdr_backend.channel import SampleChannel
from sdr_backend.peers.red_pitaya_device import WIRE, RedPitaya, Role, radiate

ComplexArray = npt.NDArray[np.complex128]
LOOPBACK = "127.0.0.1"
PARENT_CHECK_S = 0.5
EARLY_SAMPLES = 3  # what GNU Radio's channel model is ahead by, so that one calibration fits all programs
CHANGE_S = 10.0  # within which a burst has left, however busy the machine
SILENT_STEPS = 2  # what a sender's kernel still held has come by then


@dataclass(frozen=True, slots=True, kw_only=True)
class _Change:
    """What samples are to meet from now on, and whom to tell when they do."""

    taps: dict[str, Binary]
    noise_rms: dict[str, float]
    offset_cycles: float
    echoes: Binary
    done: threading.Event = field(default_factory=threading.Event)


class ChannelProgram:
    """All devices, in an event loop, and the calls that change what is between them, in another thread."""

    def __init__(self, ues: Sequence[str], stride: int) -> None:
        self._name = secrets.token_hex(8)
        self._stride = stride
        self._transmitter = RedPitaya()
        self._transmitter.on_transmitter = self._triggered
        self._receivers = {ue: RedPitaya() for ue in ues}
        self._channels = {ue: SampleChannel(seed) for seed, ue in enumerate(ues)}
        self._change: _Change | None = None
        self._silent_steps = 0

    def instance(self) -> str:
        """Return the name of this start of the program."""
        return self._name

    def change(
        self, _session: str, taps: dict[str, Binary], noise_rms: dict[str, float], offset_cycles: float, echoes: Binary
    ) -> str:
        """Set what samples meet from now on, once all those of before have left; return nothing if they do not."""
        change = _Change(taps=taps, noise_rms=noise_rms, offset_cycles=offset_cycles, echoes=echoes)
        self._change = change
        return self._name if change.done.wait(CHANGE_S) else ""

    async def serve(self, source: int, sinks: Sequence[int]) -> None:
        """Pass samples on for ever."""
        ports = (source, *sinks)
        servers = [
            (await device.listen(port))[0]
            for device, port in zip((self._transmitter, *self._receivers.values()), ports, strict=True)
        ]
        print("ready", flush=True)  # noqa: T201 - for whoever starts it
        try:
            await radiate(self._transmitter, Role.TRANSMIT_CONTROL, self._step)
        finally:
            for server in servers:
                server.close()

    def _triggered(self) -> None:
        for receiver in self._receivers.values():
            receiver.send_away()

    def _step(self, count: int, at_s: float) -> None:
        self._apply_change()
        first = self._transmitter.sent
        samples = self._transmitter.taken(count, at_s)
        begin = begin_of(first, self._transmitter.sent, self._stride) if self._transmitter.is_fed else 0
        for ue, receiver in self._receivers.items():
            receiver.heard(self._channels[ue].passed(samples), begin)

    def _apply_change(self) -> None:
        self._silent_steps = self._silent_steps + 1 if self._transmitter.is_silent else 0
        change = self._change
        if change is None or self._silent_steps <= SILENT_STEPS:
            return
        echoes = _complex(change.echoes)
        for ue, channel in self._channels.items():
            if ue in change.taps:
                channel.change(_complex(change.taps[ue]), echoes, change.noise_rms[ue], change.offset_cycles)
        self._change = None
        change.done.set()


def begin_of(first: int, end: int, stride: int) -> int | None:
    """Return which of the samples of these indices a receiver may begin with, or none."""
    begin = (EARLY_SAMPLES - first) % stride
    return begin if first + begin < end else None


def _complex(binary: Binary) -> ComplexArray:
    return np.frombuffer(binary.data, dtype=WIRE).astype(np.complex128)


async def _until_orphaned(parent: int) -> None:
    while os.getppid() == parent:  # noqa: ASYNC110 - the system does not tell
        await asyncio.sleep(PARENT_CHECK_S)


async def _run(program: ChannelProgram, streams: Sequence[tuple[str, str, str]]) -> None:
    source, sinks = _port(streams[0][1]), [_port(sink) for _, _, sink in streams]
    work = [asyncio.create_task(program.serve(source, sinks)), asyncio.create_task(_until_orphaned(os.getppid()))]
    done, rest = await asyncio.wait(work, return_when=asyncio.FIRST_COMPLETED)
    for task in rest:
        task.cancel()
    for task in done:
        task.result()


def _port(endpoint: str) -> int:
    return host_and_port(endpoint.removeprefix("tcp://"))[1]


def main() -> None:
    """Run the program; it ends with its parent."""
    parser = argparse.ArgumentParser(description="Air between Red Pitayas of software, for the near-field testbed")
    parser.add_argument("--port", type=int, required=True, help="of the loopback interface, for XML-RPC")
    parser.add_argument("--stride", type=int, required=True, help="of the samples with which receivers begin")
    parser.add_argument("--stream", action="append", nargs=3, required=True, metavar=("UE", "FROM", "TO"))
    options = parser.parse_args()
    program = ChannelProgram([ue for ue, _, _ in options.stream], options.stride)
    server = SimpleXMLRPCServer((LOOPBACK, options.port), logRequests=False, allow_none=False)
    for call in (program.instance, program.change):
        server.register_function(cast("Any", call))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        asyncio.run(_run(program, options.stream))
    except KeyboardInterrupt:
        sys.exit(0)


if __name__ == "__main__":
    main()
