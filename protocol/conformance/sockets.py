"""The kit's own sockets: plain, synchronous ZeroMQ with deadlines; what keys need of it is in curve.py.

A `Pump` owns the sockets of a driver: whatever comes on one is written to the wire log and handed to that socket's
handler; talkers are reminded of their duties (heartbeats, acknowledgements) meanwhile.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Protocol

import zmq

from protocol.conformance.case import CannotRunError
from protocol.conformance.curve import Door, Pass, Porter, Watch, show
from protocol.conformance.wire_log import WireLog

LONGEST_WAIT_S = 0.02  # between looks at duties
SEND_WITHIN_MS = 500
FREE_WITHIN_S = 2.0  # libzmq lets go of a port a moment after its socket is closed

Handler = Callable[[bytes, list[bytes], float], None]


def now_s() -> float:
    """Return the kit's clock."""
    return time.monotonic()


class _Source(Protocol):
    """What the pump looks at."""

    raw: "zmq.Socket[bytes]"

    def deliver(self) -> None:
        """Take one thing that has come."""


class KitSocket:
    """One socket of the kit; a ROUTER names the route of each message, a DEALER has none."""

    def __init__(self, socket: "zmq.Socket[bytes]", link: str, log: WireLog, handler: Handler) -> None:
        self.link = link
        self.raw = socket
        self.handler = handler
        self._routed = socket.getsockopt(zmq.TYPE) == zmq.ROUTER
        self._log = log
        self.watch: Watch | None = None

    @property
    def endpoint(self) -> str:
        """Return where it was bound last, with the port that a wildcard became."""
        return self.raw.getsockopt_string(zmq.LAST_ENDPOINT)

    def send(self, frames: Sequence[bytes], route: bytes = b"") -> bool:
        """Send a message; False if the other end is gone or takes nothing."""
        at_s = now_s()
        self._log.note("->", self.link, tuple(frames), at_s)
        try:
            self.raw.send_multipart([route, *frames] if self._routed else list(frames))
        except zmq.ZMQError as error:
            self._log.remark(f"not sent on {self.link}: {error}", at_s)
            return False
        return True

    def deliver(self) -> None:
        """Hand on what has come, at most one message."""
        with suppress(zmq.Again):
            frames = self.raw.recv_multipart(zmq.NOBLOCK)
            route = frames.pop(0) if self._routed else b""
            at_s = now_s()
            self._log.note("<-", self.link, tuple(frames), at_s)
            self.handler(route, frames, at_s)

    def close(self, linger_s: float = 0.0) -> None:
        """Close."""
        if self.watch is not None:
            self.raw.disable_monitor()
            self.watch.raw.close(linger=0)
        self.raw.close(linger=int(1000 * linger_s))


class Pump:
    """All sockets of a driver."""

    def __init__(self, log: WireLog) -> None:
        self.log = log
        self.duties: list[Callable[[float], None]] = []
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._poller = zmq.Poller()
        self._sources: dict[object, _Source] = {}
        self._porter: Porter | None = None

    def bound(self, endpoint: str, link: str, handler: Handler, door: Door | None = None) -> KitSocket:
        """Return a ROUTER that is bound to an endpoint, with the keys of a door if it has any.

        Raises
        ------
        CannotRunError
            If it cannot be.
        """
        socket = self._context.socket(zmq.ROUTER)
        socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
        socket.setsockopt(zmq.SNDTIMEO, SEND_WITHIN_MS)
        added = KitSocket(socket, link, self.log, handler)
        if door is not None:
            self._attended().guard(socket, door)
            added.watch = Watch(socket, door)
            self._look_at(added.watch)
        _bind(socket, endpoint)
        self._look_at(added)
        return added

    def _attended(self) -> Porter:
        if self._porter is None:
            self._porter = Porter(self._context)
            self._look_at(self._porter)
        return self._porter

    def connected(self, endpoint: str, link: str, handler: Handler, keys: Pass | None = None) -> KitSocket:
        """Return a DEALER that connects to an endpoint, now or when something is bound there, with a pass if it has one."""
        socket = self._context.socket(zmq.DEALER)
        socket.setsockopt(zmq.SNDTIMEO, SEND_WITHIN_MS)
        socket.setsockopt(zmq.RECONNECT_IVL, 50)
        if keys is not None:
            show(socket, keys)
        socket.connect(endpoint)
        added = KitSocket(socket, link, self.log, handler)
        self._look_at(added)
        return added

    def _look_at(self, source: _Source) -> None:
        self._poller.register(source.raw, zmq.POLLIN)
        self._sources[source.raw] = source

    def drop(self, socket: KitSocket, linger_s: float = 0.0) -> None:
        """Close one socket."""
        if self._sources.pop(socket.raw, None) is not None:
            self._poller.unregister(socket.raw)
            if socket.watch is not None:
                self._poller.unregister(socket.watch.raw)
                del self._sources[socket.watch.raw]
            socket.close(linger_s)

    def step(self, until_s: float) -> None:
        """Wait for something to come, at most until then, and hand on what has come."""
        wait_s = max(0.0, min(until_s - now_s(), LONGEST_WAIT_S))
        for raw, _ in self._poller.poll(int(1000 * wait_s) if wait_s < 0.001 else max(1, int(1000 * wait_s))):
            if raw in self._sources:  # a handler may have closed it
                self._sources[raw].deliver()
        for duty in list(self.duties):
            duty(now_s())

    def close(self, linger_s: float = 0.2) -> None:
        """Close everything."""
        for source in list(self._sources.values()):
            if isinstance(source, KitSocket):
                self.drop(source, linger_s)
        self._context.destroy(linger=0)


def _bind(socket: "zmq.Socket[bytes]", endpoint: str) -> None:
    until_s = now_s() + FREE_WITHIN_S
    while True:
        try:
            socket.bind(endpoint)
        except zmq.ZMQError as error:
            if error.errno == zmq.EADDRINUSE and now_s() < until_s:
                time.sleep(0.01)
                continue
            socket.close(linger=0)
            raise CannotRunError(f"expected an endpoint that can be bound, got {endpoint}: {error}") from error
        return


class EchoPair:
    """Two sockets of the kit that talk to each other: how long a round trip takes here tells how slow the machine is."""

    def __init__(self) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._here, self._there = self._context.socket(zmq.PAIR), self._context.socket(zmq.PAIR)
        port = self._here.bind_to_random_port("tcp://127.0.0.1")
        self._there.connect(f"tcp://127.0.0.1:{port}")

    def round_trip_s(self, longest_s: float = 1.0) -> float:
        """Return how long a message there and back takes, at most `longest_s`."""
        began_s = now_s()
        for sender, receiver in ((self._here, self._there), (self._there, self._here)):
            sender.send(b"echo")
            if not receiver.poll(int(500 * longest_s)):
                return longest_s
            receiver.recv()
        return now_s() - began_s

    def close(self) -> None:
        """Close both."""
        self._here.close(linger=0)
        self._there.close(linger=0)
        self._context.term()
