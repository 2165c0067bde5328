"""ZMTP as bytes on a listening socket (no libzmq): what a peer says below its messages, and what no library would send.

One connection at a time, NULL mechanism, ZMTP 3.1 as far as a ROUTER needs it. Blocking, with deadlines.
"""

import socket
import struct
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from protocol.conformance.case import CannotRunError, NonconformityError
from protocol.conformance.sockets import FREE_WITHIN_S, now_s

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
        self.write(GREETING)
        try:
            self._exactly(64, until_s)
            self.write(frame(READY, COMMAND))
            flags, body = self._frame(until_s)
        except TimeoutError:
            raise NonconformityError(f"expected a handshake of ZMTP within {within_s:g} s, got none", "2.1") from None
        if not flags & COMMAND or not body.startswith(b"\x05READY"):
            raise NonconformityError(f"expected a READY command, got {body[:32]!r}", "2.1")
        self.properties = _properties(body[6:])

    def send(self, frames: Sequence[bytes]) -> bool:
        """Send a whole message; False if the other end has closed the connection."""
        return self.write(b"".join(frame(body, MORE) for body in frames[:-1]) + frame(frames[-1]))

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
            self.write(frame(b"\x04PONG" + body[7:], COMMAND))

    def _frame(self, until_s: float) -> tuple[int, bytes]:
        flags = self._exactly(1, until_s)[0]
        size = self._exactly(8 if flags & LONG else 1, until_s)
        return flags, self._exactly(int.from_bytes(size, "big"), until_s)

    def _exactly(self, count: int, until_s: float) -> bytes:
        while len(self._buffer) < count:
            self.raw.settimeout(max(0.001, until_s - now_s()))
            more = self._received()
            if not more:
                raise NonconformityError("expected that the connection stays open, but the other end has closed it")
            self._buffer += more
        taken, self._buffer = self._buffer[:count], self._buffer[count:]
        return taken

    def _received(self) -> bytes:
        try:
            return self.raw.recv(65536)
        except ConnectionError:
            return b""

    def exactly(self, count: int, *, after: bytes, within_s: float) -> bytes:
        """Send bytes, and return so many of what comes.

        Raises
        ------
        NonconformityError
            If the other end sends less.
        """
        self.write(after)
        try:
            return self._exactly(count, now_s() + within_s)
        except TimeoutError:
            raise NonconformityError(f"expected {count} bytes within {within_s:g} s, got {len(self._buffer)}") from None

    def everything_within(self, within_s: float) -> bytes:
        """Return every byte that comes until the other end closes the connection, or time is up."""
        until_s, heard = now_s() + within_s, self._buffer
        while (left_s := until_s - now_s()) > 0:
            self.raw.settimeout(left_s)
            try:
                more = self._received()
            except TimeoutError:
                break
            if not more:
                break
            heard += more
        return heard

    def write(self, data: bytes) -> bool:
        """Send any bytes; False if the other end has closed the connection."""
        try:
            self.raw.sendall(data)
        except ConnectionError:
            return False
        return True


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
    """Listen at an endpoint of the kit, from which its ROUTER is gone."""
    listener = RawListener(_bound(endpoint))
    try:
        yield listener
    finally:
        listener.close()


def _bound(endpoint: str) -> socket.socket:
    scheme, _, place = endpoint.partition("://")
    if scheme == "ipc":
        Path(place).unlink(missing_ok=True)  # libzmq leaves it
    raw = socket.socket(socket.AF_UNIX if scheme == "ipc" else socket.AF_INET)
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    host, _, port = place.rpartition(":")
    until_s = now_s() + FREE_WITHIN_S
    while True:
        try:
            raw.bind(place if scheme == "ipc" else (host, int(port)))
            raw.listen()
            return raw
        except OSError as error:
            if now_s() >= until_s:
                raw.close()
                raise CannotRunError(f"expected an endpoint that is free, got {endpoint}: {error}") from error
            time.sleep(0.01)
