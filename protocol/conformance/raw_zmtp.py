"""A peer on a plain socket that writes ZMTP 3 itself, NULL mechanism: it can break ZMTP, and sees commands between messages."""

import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass

from protocol.conformance.case import NonconformityError
from protocol.conformance.sockets import now_s
from protocol.conformance.wire_log import WireLog

MORE, LONG, COMMAND = 1, 2, 4
GREETING_BYTES = 64
GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32)
CURVE_GREETING = GREETING.replace(b"NULL".ljust(20, b"\0"), b"CURVE".ljust(20, b"\0"))
PATIENCE_S = 5.0
CONNECT_WITHIN_S = 5.0


@dataclass(frozen=True, slots=True)
class RawFrame:
    """A frame of ZMTP: part of a message, or a command."""

    flags: int
    body: bytes

    @property
    def command(self) -> bytes | None:
        """Return the name of the command that it is."""
        return self.body[1 : 1 + self.body[0]] if self.flags & COMMAND and self.body else None


class GoneError(NonconformityError):
    """The other end has closed the connection."""

    def __init__(self, why: str) -> None:
        super().__init__(f"expected that the connection stays: {why}")


def frame(body: bytes, flags: int = 0) -> bytes:
    """Return a frame as it is written."""
    return frame_header(len(body), flags) + body


def frame_header(length: int, flags: int = 0) -> bytes:
    """Return the first bytes of a frame, which say how long it is."""
    if length < 256:
        return bytes([flags, length])
    return bytes([flags | LONG]) + length.to_bytes(8, "big")


def message(frames: Sequence[bytes]) -> bytes:
    """Return a message as it is written."""
    *before, last = frames
    return b"".join(frame(body, MORE) for body in before) + frame(last)


def _ready() -> bytes:
    properties = b"".join(
        bytes([len(name)]) + name + len(value).to_bytes(4, "big") + value
        for name, value in ((b"Socket-Type", b"DEALER"), (b"Identity", b""))
    )
    return frame(b"\x05READY" + properties, COMMAND)


HANDSHAKE = GREETING + _ready()


class RawZmtp:
    """One connection, made at once or accepted already; nothing is said on it yet."""

    def __init__(self, endpoint: str | socket.socket, log: WireLog, link: str = "raw") -> None:
        self.link = link
        self._log = log
        self._unread = bytearray()
        self._socket = _connected(endpoint) if isinstance(endpoint, str) else endpoint

    def shake_hands(self) -> RawFrame:
        """Say greeting and READY, and return the other's READY."""
        self.write(HANDSHAKE)
        return self.read_greeting()

    def read_greeting(self) -> RawFrame:
        """Wait for the other end's greeting and READY, and return the latter."""
        self.read_exactly(GREETING_BYTES)
        ready = self.next_frame(PATIENCE_S)
        if ready is None or ready.command != b"READY":
            raise NonconformityError(f"expected READY after the greeting, got {ready}", "2.1")
        return ready

    def read_exactly(self, count: int) -> bytes:
        """Wait for so many bytes, as those of a greeting."""
        while len(self._unread) < count:
            if not self._more(PATIENCE_S):
                raise NonconformityError("expected the greeting of ZMTP, got nothing", "2.1")
        data = bytes(self._unread[:count])
        del self._unread[:count]
        return data

    def write(self, data: bytes) -> None:
        """Write bytes, all of them.

        Raises
        ------
        GoneError
            If the connection is closed.
        """
        self._socket.settimeout(PATIENCE_S)
        try:
            self._socket.sendall(data)
        except OSError as error:
            raise GoneError(str(error)) from error

    def write_some(self, data: memoryview) -> int:
        """Write as many bytes as are taken at once and return how many.

        Raises
        ------
        GoneError
            If the connection is closed.
        """
        self._socket.settimeout(0.02)
        try:
            return self._socket.send(data)
        except TimeoutError:
            return 0
        except OSError as error:
            raise GoneError(str(error)) from error

    def say(self, frames: Sequence[bytes]) -> None:
        """Say a message."""
        self._log.note("->", self.link, tuple(frames), now_s())
        self.write(message(frames))

    def next_frame(self, within_s: float) -> RawFrame | None:
        """Return the next frame, if one comes in time.

        Raises
        ------
        GoneError
            If the connection is closed.
        """
        until_s = now_s() + within_s
        while (found := self._frame()) is None:
            if not self._more(max(0.0, until_s - now_s())):
                return None
        return found

    def next_message(self, within_s: float) -> list[bytes] | None:
        """Return the next message, if it comes in time; commands are passed over.

        Raises
        ------
        GoneError
            If the connection is closed.
        """
        until_s = now_s() + within_s
        parts: list[bytes] = []
        while (found := self.next_frame(max(0.0, until_s - now_s()))) is not None:
            if found.command is not None:
                continue
            parts.append(found.body)
            if not found.flags & MORE:
                self._log.note("<-", self.link, tuple(parts), now_s())
                return parts
        return None

    def is_closed_within(self, within_s: float) -> bool:
        """Read on, and return whether the other end closes the connection in time."""
        until_s = now_s() + within_s
        try:
            while now_s() < until_s:
                self._more(until_s - now_s())
        except GoneError:
            return True
        return False

    def _frame(self) -> RawFrame | None:
        data = self._unread
        head = 9 if data and data[0] & LONG else 2
        if len(data) < head:
            return None
        length = int.from_bytes(data[1:head], "big")
        if len(data) < head + length:
            return None
        found = RawFrame(data[0], bytes(data[head : head + length]))
        del data[: head + length]
        return found

    def _more(self, within_s: float) -> bool:
        self._socket.settimeout(max(0.001, within_s))
        try:
            data = self._socket.recv(65536)
        except TimeoutError:
            return False
        except OSError as error:
            raise GoneError(str(error)) from error
        if not data:
            raise GoneError("it was closed")
        self._unread += data
        return True

    def close(self) -> None:
        """Close."""
        self._socket.close()


def _connected(endpoint: str) -> socket.socket:
    """Return a socket that is connected to an endpoint of ZeroMQ; a backlog that is full is waited for.

    Raises
    ------
    NonconformityError
        If nobody listens there: a testee that has ended in the middle of a case fails that case, and no other.
    """
    scheme, _, place = endpoint.partition("://")
    until_s = now_s() + CONNECT_WITHIN_S
    while True:
        try:
            return _connect(scheme, place)
        except BlockingIOError:
            if now_s() >= until_s:
                raise
        except (ConnectionRefusedError, FileNotFoundError) as error:
            if now_s() >= until_s:
                raise NonconformityError(f"expected somebody who listens at {endpoint}, got: {error}") from error
        time.sleep(0.01)


def _connect(scheme: str, place: str) -> socket.socket:
    if scheme == "tcp":
        host, _, port = place.rpartition(":")
        return socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_WITHIN_S)
    found = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    found.settimeout(CONNECT_WITHIN_S)
    try:
        found.connect(f"\0{place[1:]}" if place.startswith("@") else place)
    except OSError:
        found.close()
        raise
    return found


def listens(endpoint: str) -> bool:
    """Return whether anything is bound there."""
    scheme, _, place = endpoint.partition("://")
    try:
        _connect(scheme, place).close()
    except OSError:
        return False
    return True
