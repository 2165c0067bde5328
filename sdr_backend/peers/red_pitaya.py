"""A Red Pitaya of software: what SoapySDR's module ``redpitaya`` talks to, on a loopback TCP port (shell).

``python -m sdr_backend.peers.red_pitaya --port 1001``, then ``args: "driver=redpitaya,addr=127.0.0.1,port=1001"``. A device is
four connections. The first little-endian uint32 of each is its role: receive control 0, receive data 1, transmit control 2,
transmit data 3. Control words follow: frequency in Hz, or with 1 in the top four bits the index of a sample rate; data
are complex64. What is transmitted comes back at the sample rate of the receiver, with zeros where nothing is transmitted.
"""

import argparse
import asyncio
import logging
import socket
import struct
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
import numpy.typing as npt

logger = logging.getLogger(__name__)

Samples = npt.NDArray[np.complex64]
Air = Callable[[Samples], Samples]

RATES_HZ = (20e3, 50e3, 100e3, 250e3, 500e3, 1.25e6)
WIRE = np.dtype("<c8")
SEGMENT_BYTES = 1460  # of larger ones a reader that takes all or nothing may starve: TCP's window counts them whole
TICK_S = 0.005
CATCH_UP_S = 1.0  # a device has no pauses: what is missed when the machine is busy is made up for
WORD = struct.Struct("<I")
WAITING_BYTES = 1 << 22  # of what is transmitted ahead of time; then TCP holds the sender


class Role(IntEnum):
    """What a connection is for."""

    RECEIVE_CONTROL = 0
    RECEIVE = 1
    TRANSMIT_CONTROL = 2
    TRANSMIT = 3


@dataclass(slots=True, kw_only=True)
class RedPitaya:
    """The device: what it was told, and what waits to be on the air; `air` is what happens to samples there."""

    air: Air = lambda samples: samples
    frequency_hz: dict[Role, int] = field(default_factory=dict)
    rate_hz: dict[Role, float] = field(default_factory=dict)
    _waiting: deque[bytes] = field(default_factory=deque)
    _waiting_bytes: int = 0
    _room: asyncio.Event = field(default_factory=asyncio.Event)
    _listener: asyncio.StreamWriter | None = None

    async def serve(self, port: int, on_ready: Callable[[int], None]) -> None:
        """Serve drivers until cancelled; `on_ready` is told the port, which is the system's choice if it was 0."""
        with socket.socket() as listening:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SEGMENT_BYTES)
            listening.bind(("127.0.0.1", port))
            server = await asyncio.start_server(self._connected, sock=listening)
            on_ready(listening.getsockname()[1])
            async with server:
                await self._radiate()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            role = Role(WORD.unpack(await reader.readexactly(WORD.size))[0])
            match role:
                case Role.RECEIVE_CONTROL | Role.TRANSMIT_CONTROL:
                    await self._controlled(role, reader)
                case Role.TRANSMIT:
                    await self._transmitted(reader)
                case Role.RECEIVE:
                    self._listener = writer
                    await reader.read()  # until it leaves
        except (ValueError, asyncio.IncompleteReadError, ConnectionError) as error:
            logger.debug("a connection ended: %s", error)
        finally:
            if self._listener is writer:
                self._listener = None
            writer.close()

    async def _controlled(self, role: Role, reader: asyncio.StreamReader) -> None:
        while True:
            word = WORD.unpack(await reader.readexactly(WORD.size))[0]
            kind, value = word >> 28, word & 0x0FFFFFFF
            if kind == 0:
                self.frequency_hz[role] = value
            elif kind == 1 and value < len(RATES_HZ):
                self.rate_hz[role] = RATES_HZ[value]

    async def _transmitted(self, reader: asyncio.StreamReader) -> None:
        rest = b""
        while data := rest + await reader.read(65536):
            whole = len(data) // WIRE.itemsize * WIRE.itemsize
            if whole:
                self._waiting.append(data[:whole])
                self._waiting_bytes += whole
            elif len(data) == len(rest):
                return
            rest = data[whole:]
            if self._waiting_bytes > WAITING_BYTES:
                self._room.clear()
                await self._room.wait()

    async def _radiate(self) -> None:
        """Send what is due by the sample clock; samples that nobody takes in time are gone, as on the air."""
        clock = asyncio.get_running_loop().time
        due_s = clock()
        while True:
            await asyncio.sleep(TICK_S)
            due_s = max(due_s, clock() - CATCH_UP_S)
            count = int((clock() - due_s) * self.rate_hz.get(Role.RECEIVE_CONTROL, RATES_HZ[-1]))
            due_s += count / self.rate_hz.get(Role.RECEIVE_CONTROL, RATES_HZ[-1])
            heard = self.air(self._taken(count))
            listener = self._listener
            if listener is not None and listener.transport.get_write_buffer_size() < WAITING_BYTES:
                listener.write(heard.astype(WIRE, copy=False).tobytes())

    def _taken(self, count: int) -> Samples:
        """Return the next samples on the air, ``(sample,)``."""
        samples: Samples = np.zeros(count, dtype=np.complex64)
        done = 0
        while self._waiting and done < count:
            part = np.frombuffer(self._waiting.popleft(), dtype=WIRE)
            used = min(part.size, count - done)
            samples[done : done + used] = part[:used]
            if used < part.size:
                self._waiting.appendleft(part[used:].tobytes())
            self._waiting_bytes -= WIRE.itemsize * used
            done += used
        if self._waiting_bytes <= WAITING_BYTES:
            self._room.set()
        return samples


def main() -> None:
    """Serve until interrupted; print the port, so that a program that chose 0 learns it."""
    parser = argparse.ArgumentParser(description="Red Pitaya of software, on the loopback interface")
    parser.add_argument("--port", type=int, default=1001, help="TCP port; 0 lets the system choose")
    port = parser.parse_args().port
    try:
        asyncio.run(RedPitaya().serve(port, lambda bound: print(bound, flush=True)))  # noqa: T201
    except KeyboardInterrupt:
        sys.exit(0)


if __name__ == "__main__":
    main()
