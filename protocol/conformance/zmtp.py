"""ZMTP as bytes on a listening socket (no libzmq): what a peer says below its messages, and what no library would send.

One connection at a time, NULL mechanism, ZMTP 3.1 as far as a ROUTER needs it. Blocking, with deadlines.
"""

import socket
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from protocol.conformance.case import NonconformityError
from protocol.conformance.sockets import now_s

MORE, LONG, COMMAND = 1, 2, 4
GREETING = b"\xff" + bytes(8) + b"\x7f" + b"\x03\x01" + b"NULL".ljust(20, b"\0") + b"\0" + bytes(31)
READY = b"\x05READY" + b"\x0bSocket-Type" + struct.pack(">I", 6) + b"ROUTER" + b"\x08Identity" + bytes(4)


def frame(body: bytes, flags: int = 0) -> bytes:
    """Return the bytes of one frame."""
    size = struct.pack(">Q", len(body)) if len(body) > 255 else bytes([len(body)])
    return bytes([flags | (LONG if len(body) > 255 else 0)]) + size + body


class RawConnection:
    """One accepted connection."""

    def __init__(self, raw: socket.socket) -> None:
        self.raw = raw
        self.properties: dict[str, bytes] = {}
        self.pings_at_s: list[float] = []
        self._buffer = b""

    def handshake(self, within_s: float = 2.0) -> None:
        """Exchange greetings and READY."""
        until_s = now_s() + within_s
        self.raw.sendall(GREETING)
        self._exactly(64, until_s)
        self.raw.sendall(frame(READY, COMMAND))
        flags, body = self._frame(until_s)
        if not flags & COMMAND or not body.startswith(b"\x05READY"):
            raise NonconformityError(f"expected a READY command, got {body[:32]!r}", "2.1")
        self.properties = _properties(body[6:])

    def send(self, frames: Sequence[bytes]) -> None:
        """Send a whole message."""
        for body in frames[:-1]:
            self.raw.sendall(frame(body, MORE))
        self.raw.sendall(frame(frames[-1]))

    def message(self, within_s: float) -> list[bytes]:
        """Return the next message; pings are answered and noted meanwhile, none in time gives an empty one."""
        until_s, frames = now_s() + within_s, []
        try:
            while True:
                flags, body = self._frame(until_s)
                if flags & COMMAND:
                    self._command(body)
                    continue
                frames.append(body)
                if not flags & MORE:
                    return frames
        except TimeoutError:
            return []

    def _command(self, body: bytes) -> None:
        if body.startswith(b"\x04PING"):
            self.pings_at_s.append(now_s())
            self.raw.sendall(frame(b"\x04PONG" + body[7:], COMMAND))

    def _frame(self, until_s: float) -> tuple[int, bytes]:
        flags = self._exactly(1, until_s)[0]
        size = self._exactly(8 if flags & LONG else 1, until_s)
        return flags, self._exactly(int.from_bytes(size, "big"), until_s)

    def _exactly(self, count: int, until_s: float) -> bytes:
        while len(self._buffer) < count:
            self.raw.settimeout(max(0.001, until_s - now_s()))
            more = self.raw.recv(65536)
            if not more:
                raise ConnectionResetError("the other end has closed the connection")
            self._buffer += more
        taken, self._buffer = self._buffer[:count], self._buffer[count:]
        return taken


def _properties(body: bytes) -> dict[str, bytes]:
    """Return the metadata of a READY command."""
    found: dict[str, bytes] = {}
    while body:
        name_end = 1 + body[0]
        size = int.from_bytes(body[name_end : name_end + 4], "big")
        found[body[1:name_end].decode("ascii").lower()] = body[name_end + 4 : name_end + 4 + size]
        body = body[name_end + 4 + size :]
    return found


class RawListener:
    """A socket that listens where the kit's ROUTER was."""

    def __init__(self, raw: socket.socket) -> None:
        self._raw = raw
        self._accepted: list[socket.socket] = []

    def accept(self, within_s: float) -> RawConnection:
        """Return the next connection.

        Raises
        ------
        NonconformityError
            If nobody connects.
        """
        self._raw.settimeout(within_s)
        try:
            connection, _ = self._raw.accept()
        except TimeoutError:
            raise NonconformityError(f"expected a connection within {within_s:g} s, got none") from None
        self._accepted.append(connection)
        return RawConnection(connection)

    def close(self) -> None:
        """Close it and what it has accepted."""
        for connection in (self._raw, *self._accepted):
            connection.close()


@contextmanager
def listening(endpoint: str) -> Iterator[RawListener]:
    """Listen at an endpoint of the kit, which must be free."""
    scheme, _, place = endpoint.partition("://")
    raw = socket.socket(socket.AF_UNIX if scheme == "ipc" else socket.AF_INET)
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    host, _, port = place.rpartition(":")
    raw.bind(place if scheme == "ipc" else (host, int(port)))
    raw.listen()
    listener = RawListener(raw)
    try:
        yield listener
    finally:
        listener.close()
        if scheme == "ipc":
            Path(place).unlink(missing_ok=True)
