"""A plain socket that listens where the kit's ROUTER was, for what libzmq would not say to a peer that connects."""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from protocol.conformance.case import CannotRunError, NonconformityError
from protocol.conformance.raw_zmtp import RawZmtp
from protocol.conformance.sockets import FREE_WITHIN_S, now_s
from protocol.conformance.wire_log import WireLog


class RawListener:
    """It accepts one connection after the other."""

    def __init__(self, raw: socket.socket, log: WireLog) -> None:
        self._raw = raw
        self._log = log
        self._accepted: list[RawZmtp] = []

    def accept(self, within_s: float) -> RawZmtp:
        """Return the next connection, on which nothing is said yet.

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
        self._accepted.append(RawZmtp(connection, self._log))
        return self._accepted[-1]

    def close(self) -> None:
        """Close it and what it has accepted."""
        self._raw.close()
        for connection in self._accepted:
            connection.close()


@contextmanager
def listening(endpoint: str, log: WireLog) -> Iterator[RawListener]:
    """Listen at an endpoint of the kit, from which its ROUTER is gone."""
    listener = RawListener(_bound(endpoint), log)
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


def identity_in(ready: bytes) -> bytes:
    """Return the routing id that a READY command sets, or none; `ready` is its body."""
    rest, found = ready[1 + ready[0] :], b""
    while rest:
        name, rest = rest[1 : 1 + rest[0]], rest[1 + rest[0] :]
        size = int.from_bytes(rest[:4], "big")
        value, rest = rest[4 : 4 + size], rest[4 + size :]
        if name.lower() == b"identity":
            found = value
    return found
