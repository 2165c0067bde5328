"""The connections of a Red Pitaya of software: what SoapySDR's module ``redpitaya`` talks to, on a loopback TCP port (shell).

A device is four connections. The first little-endian uint32 of each is its role: receive control 0, receive data 1, transmit
control 2, transmit data 3. Control words follow: frequency in Hz, or with 1 in the top four bits the index of a sample rate;
data are complex64. Nothing says when a sample was or will be on the air: as on the real device, a transmitter that runs empty
sends zeros, and samples that a receiver does not take in time are gone, both without a word.
"""

import asyncio
import fcntl
import logging
import socket
import struct
import termios
from collections import deque
from collections.abc import Callable
from enum import IntEnum

import numpy as np
import numpy.typing as npt

logger = logging.getLogger(__name__)

Samples = npt.NDArray[np.complex64]

RATES_HZ = (20e3, 50e3, 100e3, 250e3, 500e3, 1.25e6)
WIRE = np.dtype("<c8")
SEGMENT_BYTES = 1460  # of larger ones a reader that takes all or nothing may starve: TCP's window counts them whole
WORD = struct.Struct("<I")
WAITING_BYTES = 1 << 22  # of what is transmitted ahead of time; then TCP holds the sender
UNHEARD_BYTES = 1 << 25  # of what a receiver has not taken
TURNS = 3  # of the event loop, after which what the kernel had is with those who wait for it
TICK_S = 0.004
CATCH_UP_S = 1.0  # a device has no pauses: what is missed when the machine is busy is made up for


class Role(IntEnum):
    """What a connection is for."""

    RECEIVE_CONTROL = 0
    RECEIVE = 1
    TRANSMIT_CONTROL = 2
    TRANSMIT = 3


class RedPitaya:
    """What one device was told, what waits to be on the air, and who listens."""

    def __init__(self) -> None:
        self.rate_hz: dict[Role, float] = {}
        self.sent = 0  # samples taken from the transmitter that is connected
        self.on_transmitter: Callable[[], None] = lambda: None  # called when another one connects
        self._waiting: deque[tuple[Samples, bool]] = deque()
        self._waiting_samples, self._loud_parts = 0, 0
        self._is_empty, self._came_s = True, 0.0  # the time of the first samples after it ran empty
        self._room = asyncio.Event()
        self._transmitter: socket.socket | None = None
        self._listener: asyncio.StreamWriter | None = None
        self.has_begun = False  # to give samples to that listener

    async def listen(self, port: int) -> tuple[asyncio.Server, int]:
        """Listen on the loopback interface; return the server and its port, which is the system's choice if it was 0."""
        listening = socket.socket()
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SEGMENT_BYTES)
        listening.bind(("127.0.0.1", port))
        return await asyncio.start_server(self._connected, sock=listening), int(listening.getsockname()[1])

    @property
    def is_fed(self) -> bool:
        """Return whether a transmitter is connected."""
        return self._transmitter is not None

    @property
    def is_silent(self) -> bool:
        """Return whether nothing but zeros has come and is still to be on the air."""
        return not self._loud_parts and not self._unread_bytes()

    async def filled(self, count: int) -> None:
        """Wait until so many samples wait, or no more have come."""
        quiet = 0
        while self._waiting_samples < count and quiet < TURNS:
            quiet = 0 if self._unread_bytes() else quiet + 1
            await asyncio.sleep(0)

    def taken(self, count: int, at_s: float) -> Samples:
        """Return the samples that are on the air from this time on, ``(sample,)``, zeros from where none wait.

        A device that makes up for lost time looks back: after it ran empty, what has come since is on the air no earlier than
        it came.
        """
        samples: Samples = np.zeros(count, dtype=np.complex64)
        if at_s < self._came_s:
            return samples
        done = 0
        while self._waiting and done < count:
            part, is_loud = self._waiting.popleft()
            used = min(part.size, count - done)
            samples[done : done + used] = part[:used]
            if used < part.size:
                self._waiting.appendleft((part[used:], is_loud))
            else:
                self._loud_parts -= is_loud
            self._waiting_samples -= used
            done += used
        if not self._is_full():
            self._room.set()
        self.sent += done
        self._is_empty = done < count
        return samples

    def heard(self, samples: Samples, begin: int | None) -> None:
        """Give samples, ``(sample,)``, to who listens, who begins with this one of them, or with none of them yet."""
        listener = self._listener
        if listener is None or (not self.has_begun and begin is None):
            return
        first = 0 if self.has_begun else begin
        self.has_begun = True
        if listener.transport.get_write_buffer_size() < UNHEARD_BYTES:
            listener.write(samples[first:].astype(WIRE, copy=False).tobytes())

    def send_away(self) -> None:
        """End the connection of who listens."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def _is_full(self) -> bool:
        return self._waiting_samples * WIRE.itemsize > WAITING_BYTES

    def _unread_bytes(self) -> int:
        """Return how much has come and was not looked at."""
        if self._transmitter is None or self._transmitter.fileno() < 0:
            return 0
        return int(WORD.unpack(fcntl.ioctl(self._transmitter.fileno(), termios.FIONREAD, bytes(WORD.size)))[0])

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            role = Role(WORD.unpack(await reader.readexactly(WORD.size))[0])
            match role:
                case Role.RECEIVE_CONTROL | Role.TRANSMIT_CONTROL:
                    await self._controlled(role, reader)
                case Role.TRANSMIT:
                    await self._transmitted(reader, writer.get_extra_info("socket"))
                case Role.RECEIVE:
                    self._listener, self.has_begun = writer, False
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
            if kind == 1 and value < len(RATES_HZ):
                self.rate_hz[role] = RATES_HZ[value]

    async def _transmitted(self, reader: asyncio.StreamReader, connection: socket.socket) -> None:
        self._waiting.clear()
        self._waiting_samples = self._loud_parts = self.sent = 0
        self._is_empty = True
        self._transmitter = connection
        self.on_transmitter()
        try:
            rest = b""
            while data := rest + await reader.read(65536):
                whole = len(data) // WIRE.itemsize * WIRE.itemsize
                if not whole and len(data) == len(rest):
                    return
                self._wait_for_the_air(np.frombuffer(data[:whole], dtype=WIRE))
                rest = data[whole:]
                if self._is_full():
                    self._room.clear()
                    await self._room.wait()
        finally:
            if self._transmitter is connection:
                self._transmitter = None

    def _wait_for_the_air(self, part: Samples) -> None:
        if part.size:
            is_loud = bool(part.any())
            if self._is_empty:
                self._is_empty, self._came_s = False, asyncio.get_running_loop().time()
            self._waiting.append((part, is_loud))
            self._waiting_samples += part.size
            self._loud_parts += is_loud


async def radiate(device: RedPitaya, control: Role, step: Callable[[int, float], None]) -> None:
    """Pass on what is due by a device's sample clock, for ever; `step` is told how many samples, from when on.

    What is missed while the machine is busy is made up for in small portions, so that a device never runs empty of samples that
    have come and were not looked at.
    """
    clock = asyncio.get_running_loop().time
    due_s = clock()
    while True:
        await asyncio.sleep(TICK_S)
        due_s = max(due_s, clock() - CATCH_UP_S)
        rate_hz = device.rate_hz.get(control, RATES_HZ[-1])
        while (late_s := clock() - due_s) >= TICK_S / 2:
            count = int(min(late_s, 2 * TICK_S) * rate_hz)
            await device.filled(count)
            step(count, due_s)
            due_s += count / rate_hz
            await asyncio.sleep(0)  # connections are looked at
