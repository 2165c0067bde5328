"""ZeroMQ sockets as frames in and frames out on an asyncio loop (SPEC 2); those with keys are in curve.py.

A plain socket and `add_reader`, drained until it would block: the descriptor is edge-triggered, so its events are looked at
again after every send that is not part of a drain. A send never blocks: what a peer cannot take now waits in a bounded
outbox of its own.
"""

import asyncio
import fcntl
import logging
import os
from collections import deque
from collections.abc import Callable, Sequence

import zmq

from protocol.codec import MAX_FRAMES, Frame
from protocol.errors import OurFaultError

logger = logging.getLogger(__name__)

Route = bytes
MIN_LIBZMQ = (4, 3, 3)  # CVE-2019-13132, CVE-2020-15166
HIGH_WATER_MARK = 64
OUTBOX_MESSAGES = 128
DRAIN_AT_ONCE = 128
LISTENER_MESSAGES = 1024  # wait at either end of a link that only tells: more than a disk may free at once
SUBSCRIPTION_BYTES = 256  # all that a publisher is ever sent
RETRY_S = 0.01
ZERO_COPY_BYTES = 65536  # below it, copying a frame costs less than telling when ZeroMQ is done with it
# plain numbers: combining the library's flags as enumerations costs more than sending a small message
NOW, NOW_AND_MORE = int(zmq.NOBLOCK), int(zmq.NOBLOCK | zmq.SNDMORE)
READABLE = int(zmq.POLLIN)

OnFrames = Callable[[Route, list[bytes]], None]


def libzmq_version() -> str:
    """Return the version of the ZeroMQ library, refusing one with known remote faults."""
    if zmq.zmq_version_info() < MIN_LIBZMQ:
        raise OurFaultError("2.1", f"libzmq {zmq.zmq_version()} is older than {'.'.join(map(str, MIN_LIBZMQ))}")
    return str(zmq.zmq_version())


class _Socket:
    """What both kinds of socket share: options, the pump, and an orderly end."""

    def __init__(self, kind: int, on_frames: OnFrames, max_frame_bytes: int) -> None:
        libzmq_version()
        self._on_frames = on_frames
        self._socket: zmq.Socket[bytes] = self._context().socket(kind)
        for option, value in _common_options(max_frame_bytes):
            self._socket.setsockopt(option, value)
        self._loop = asyncio.get_running_loop()
        self._descriptor = -1
        self._drain_planned = False
        self._draining = False

    def _context(self) -> "zmq.Context[zmq.Socket[bytes]]":
        return zmq.Context.instance()

    def _secure(self) -> None:
        """Set what must be set before the socket is bound or connected; here nothing."""

    def _start(self) -> None:
        self._descriptor = int(self._socket.getsockopt(zmq.FD))
        self._loop.add_reader(self._descriptor, self._drain)
        self._plan_drain()  # what arrived before the reader was there raises no edge

    def _plan_drain(self) -> None:
        if not self._drain_planned:
            self._drain_planned = True
            self._loop.call_soon(self._drain)

    def _drain(self) -> None:
        self._drain_planned, self._draining = False, True
        more = True  # also after an error of the receiver's, or what is queued behind it would wait for an edge
        try:
            more = self._deliver_queued()
        finally:
            self._draining = False
            if more:
                self._plan_drain()

    def _deliver_queued(self) -> bool:
        """Return whether there may be more."""
        for _ in range(DRAIN_AT_ONCE):
            if self._socket.closed:
                return False
            try:
                frames = self._received()
            except zmq.Again:
                return False
            self._deliver(frames)
            if self._socket.closed or not self._readable():  # cheaper than an exception that says the same
                return False
        return True

    def _received(self) -> list[bytes]:
        frame = self._socket.recv(NOW, copy=False)
        frames = [frame.bytes]
        while frame.more:
            frame = self._socket.recv(NOW, copy=False)
            frames.append(frame.bytes)
        return frames

    def _readable(self) -> bool:
        return bool(int(self._socket.get(zmq.EVENTS)) & READABLE)

    def _deliver(self, frames: list[bytes]) -> None:
        raise NotImplementedError

    def _try_send(self, frames: Sequence[Frame]) -> bool:
        send = self._socket.send
        try:
            for frame in frames[:-1]:
                send(frame, NOW_AND_MORE, len(frame) < ZERO_COPY_BYTES)
            send(frames[-1], NOW, len(frames[-1]) < ZERO_COPY_BYTES)
        except zmq.Again:
            return False
        finally:  # whatever came of it, the send may have swallowed the edge
            if not self._draining and not self._drain_planned and self._readable():
                self._plan_drain()
        return True

    def close(self, linger_s: float = 0.2) -> None:
        """Stop reading, give what is queued a moment to leave, and close."""
        if self._socket.closed:
            return
        if self._descriptor >= 0:
            self._loop.remove_reader(self._descriptor)
        self._socket.close(linger=int(1000 * linger_s))


def _common_options(max_frame_bytes: int) -> list[tuple[int, int]]:
    return [
        (zmq.MAXMSGSIZE, max_frame_bytes),
        (zmq.SNDHWM, HIGH_WATER_MARK),
        (zmq.RCVHWM, HIGH_WATER_MARK),
        (zmq.LINGER, 0),
        (zmq.HANDSHAKE_IVL, 2000),
        (zmq.TCP_KEEPALIVE, 1),
        (zmq.TCP_KEEPALIVE_IDLE, 5),
        (zmq.TCP_KEEPALIVE_INTVL, 2),
        (zmq.TCP_KEEPALIVE_CNT, 3),
    ]


class Router(_Socket):
    """The binding side: one socket, a route and a bounded outbox per peer."""

    def __init__(
        self, endpoint: str, on_frames: OnFrames, on_gone: Callable[[Route], None], *, max_frame_bytes: int
    ) -> None:
        super().__init__(zmq.ROUTER, on_frames, max_frame_bytes)
        self._on_gone = on_gone
        self._outboxes: dict[Route, deque[list[Frame]]] = {}
        self._retry: asyncio.TimerHandle | None = None
        self.dropped = 0
        for option, value in ((zmq.ROUTER_MANDATORY, 1), (zmq.ROUTER_HANDOVER, 0), (zmq.BACKLOG, 512)):
            self._socket.setsockopt(option, value)
        self._secure()
        try:
            self._claim = claimed(endpoint)
            self._socket.bind(endpoint)
        except (zmq.ZMQError, OSError) as error:
            self._socket.close(linger=0)
            raise OSError(f"cannot bind {endpoint}: {error}") from error
        self.endpoint = str(self._socket.getsockopt_string(zmq.LAST_ENDPOINT))
        self._start()

    def _deliver(self, frames: list[bytes]) -> None:
        self._on_frames(frames[0], frames[1 : MAX_FRAMES + 2])

    def send(self, route: Route, frames: list[Frame]) -> bool:
        """Send now, or later from the peer's outbox; a full outbox loses the message, which the session sends again.

        Returns
        -------
        connected
            False if the connection is known to be gone.
        """
        outbox = self._outboxes.get(route)
        if outbox:
            self._keep(route, outbox, frames)
            return True
        try:
            if not self._try_send([route, *frames]):
                self._keep(route, self._outboxes.setdefault(route, deque()), frames)
        except zmq.ZMQError as error:
            self._gone(route, error)
            return False
        return True

    def _keep(self, route: Route, outbox: deque[list[Frame]], frames: list[Frame]) -> None:
        if len(outbox) >= OUTBOX_MESSAGES:
            self.dropped += 1
            return
        outbox.append(frames)
        if self._retry is None:
            self._retry = self._loop.call_later(RETRY_S, self._flush)

    def _flush(self) -> None:
        self._retry = None
        for route, outbox in list(self._outboxes.items()):
            try:
                while outbox and self._try_send([route, *outbox[0]]):
                    outbox.popleft()
            except zmq.ZMQError as error:
                self._gone(route, error)
                continue
            if not outbox:
                del self._outboxes[route]
        if self._outboxes and self._retry is None:
            self._retry = self._loop.call_later(RETRY_S, self._flush)

    def close(self, linger_s: float = 0.2) -> None:
        """Close as every socket does, and let go of an ipc endpoint."""
        super().close(linger_s)
        if self._claim is not None:
            os.close(self._claim)
            self._claim = None

    def _gone(self, route: Route, error: zmq.ZMQError) -> None:
        self._outboxes.pop(route, None)
        if error.errno != zmq.EHOSTUNREACH:
            logger.error("send to %s failed: %s", route.hex(), error)
        self._loop.call_soon(self._on_gone, route)  # not from within a send of the caller's


def claimed(endpoint: str) -> int | None:
    """Return the lock of an ipc endpoint; without it, libzmq would silently take the place of another process."""
    scheme, _, path = endpoint.partition("://")
    if scheme != "ipc":
        return None
    descriptor = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise OSError("another process is bound to it") from error
    return descriptor


class Dealer(_Socket):
    """The connecting side."""

    def __init__(self, endpoint: str, on_frames: OnFrames, *, max_frame_bytes: int) -> None:
        super().__init__(zmq.DEALER, on_frames, max_frame_bytes)
        self.dropped = 0
        self.kept_out = False  # for want of a key; libzmq does not try again
        for option, value in (
            (zmq.IMMEDIATE, 1),  # never queue for a controller that is not there
            (zmq.RECONNECT_IVL, 100),
            (zmq.RECONNECT_IVL_MAX, 500),
            (zmq.CONNECT_TIMEOUT, 2000),
            # On this side alone: libzmq 4.3.5 aborts the process when the heartbeat timer of a connection fires whose
            # peer is gone while its messages wait to be read, and only a ROUTER can be flooded by strangers.
            (zmq.HEARTBEAT_IVL, 3000),
            (zmq.HEARTBEAT_TIMEOUT, 3000),  # no longer than the interval: the abort needs a second timer to be running
        ):
            self._socket.setsockopt(option, value)
        self._secure()
        self._socket.connect(endpoint)
        self._start()

    def _deliver(self, frames: list[bytes]) -> None:
        self._on_frames(b"", frames[: MAX_FRAMES + 1])

    def send(self, frames: list[Frame]) -> bool:
        """Send now or not at all, and return which; the session sends again what was not acknowledged."""
        sent = self._try_send(frames)
        self.dropped += not sent
        return sent


class Publisher(_Socket):
    """The binding side of a link that only tells: whoever listens too slowly misses messages, and nobody waits for it."""

    def __init__(self, endpoint: str) -> None:
        super().__init__(zmq.PUB, _ignore, SUBSCRIPTION_BYTES)
        self._socket.setsockopt(zmq.SNDHWM, LISTENER_MESSAGES)
        try:
            self._claim = claimed(endpoint)
            self._socket.bind(endpoint)
        except (zmq.ZMQError, OSError) as error:
            self._socket.close(linger=0)
            raise OSError(f"cannot bind {endpoint}: {error}") from error
        self.endpoint = str(self._socket.getsockopt_string(zmq.LAST_ENDPOINT))

    def publish(self, frames: Sequence[Frame]) -> None:
        """Hand a message to everyone who listens and has room for it."""
        for frame in frames[:-1]:
            self._socket.send(frame, NOW_AND_MORE, len(frame) < ZERO_COPY_BYTES)
        self._socket.send(frames[-1], NOW, len(frames[-1]) < ZERO_COPY_BYTES)

    def close(self, linger_s: float = 0.2) -> None:
        """Close as every socket does, and let go of an ipc endpoint."""
        super().close(linger_s)
        if self._claim is not None:
            os.close(self._claim)
            self._claim = None


class Subscriber(_Socket):
    """The connecting side of a link that only tells; it connects again by itself."""

    def __init__(self, endpoint: str, on_frames: OnFrames, *, max_frame_bytes: int) -> None:
        super().__init__(zmq.SUB, on_frames, max_frame_bytes)
        for option, value in ((zmq.RECONNECT_IVL, 100), (zmq.RECONNECT_IVL_MAX, 500), (zmq.RCVHWM, LISTENER_MESSAGES)):
            self._socket.setsockopt(option, value)
        self._socket.setsockopt(zmq.SUBSCRIBE, b"")
        self._socket.connect(endpoint)
        self._start()

    def _deliver(self, frames: list[bytes]) -> None:
        self._on_frames(b"", frames)


def _ignore(_route: Route, _frames: list[bytes]) -> None:
    pass


_own_contexts: "list[zmq.Context[zmq.Socket[bytes]]]" = []


def own_context() -> "zmq.Context[zmq.Socket[bytes]]":
    """Return a new context, for a socket that shares none; `end_transport` ends it."""
    _own_contexts.append(zmq.Context())
    return _own_contexts[-1]


def end_transport() -> None:
    """Wait until every closed socket has let go of what it had to send."""
    while _own_contexts:
        _own_contexts.pop().term()
    zmq.Context.instance().term()
