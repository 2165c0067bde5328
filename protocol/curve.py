"""The sockets of transport.py with keys: encrypted, both ends known by their keys, closed to everybody else (SPEC 10).

A guarded router proves at its start that it is closed: it knocks at its own endpoint with a throw-away key, and does not start
if it is let in or cannot tell.
"""

import asyncio
import logging
import time
from collections.abc import Callable

import zmq
from zmq.utils.monitor import parse_monitor_message

from protocol.codec import MAX_FRAMES
from protocol.keys import ClientKeys, Identity, ServerKeys
from protocol.transport import NOW, Dealer, OnFrames, Route, Router, own_context
from protocol.zap import DOMAIN, ZapHandler

logger = logging.getLogger(__name__)

OVERHEAD_BYTES = 33  # of a frame in CURVE; libzmq compares MAXMSGSIZE with what is on the wire
LOOK_AGAIN_S = 1.0
PROBE_WITHIN_S = 5.0
NOT_ENROLLED = zmq.EVENT_HANDSHAKE_FAILED_AUTH
HANDSHAKES = (
    NOT_ENROLLED
    | zmq.EVENT_HANDSHAKE_SUCCEEDED
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
)

#: Called with the route, the frames, and who sent them; None if the key is not enrolled, or no longer.
OnSigned = Callable[[Route, list[bytes], Identity | None], None]


class NotClosedError(OSError):
    """An endpoint with keys lets strangers in, or nobody can tell."""


def new_keypair() -> tuple[str, str]:
    """Return a new public and secret key."""
    public, secret = zmq.curve_keypair()
    return public.decode(), secret.decode()


def public_key(secret: str) -> str:
    """Return the public key that belongs to a secret one."""
    return zmq.curve_public(secret.encode()).decode()


class GuardedRouter(Router):
    """A binding side that only enrolled keys reach, and that says of each message whose key sent it."""

    def __init__(
        self,
        endpoint: str,
        on_signed: OnSigned,
        on_gone: Callable[[Route], None],
        on_enrolment: Callable[[], None],
        *,
        max_frame_bytes: int,
        keys: ServerKeys,
    ) -> None:
        self._keys, self._on_signed, self._on_enrolment = keys, on_signed, on_enrolment
        self._sender: Identity | None = None
        self._look: asyncio.TimerHandle | None = None
        try:
            super().__init__(endpoint, _never, on_gone, max_frame_bytes=max_frame_bytes + OVERHEAD_BYTES)
            prove_closed(self.endpoint, public_key(keys.secret), self._zap)
        except OSError:
            if not self._socket.closed:
                super().close(0.0)
            self._zap.close()
            raise
        self._zap.start()
        self._look = self._loop.call_later(LOOK_AGAIN_S, self._look_again)

    def _context(self) -> "zmq.Context[zmq.Socket[bytes]]":
        self._own = own_context()  # a context has one place for a ZAP handler
        return self._own

    def _secure(self) -> None:
        self._zap = ZapHandler(self._own, lambda key: self._keys.allowed.identity(key) is not None)
        options = ((zmq.CURVE_SERVER, 1), (zmq.CURVE_SECRETKEY, self._keys.secret.encode()))
        # libzmq asks no handler about a socket without a domain, and lets everyone in if nothing enforces it
        for option, value in (*options, (zmq.ZAP_DOMAIN, DOMAIN), (zmq.ZAP_ENFORCE_DOMAIN, 1)):
            self._socket.setsockopt(option, value)

    def _received(self) -> list[bytes]:
        frame = self._socket.recv(NOW, copy=False)
        self._sender = self._keys.allowed.identity(_user_id(frame))
        frames = [frame.bytes]
        while frame.more:
            frame = self._socket.recv(NOW, copy=False)
            frames.append(frame.bytes)
        return frames

    def _deliver(self, frames: list[bytes]) -> None:
        self._on_signed(frames[0], frames[1 : MAX_FRAMES + 2], self._sender)

    def _look_again(self) -> None:
        self._look = self._loop.call_later(LOOK_AGAIN_S, self._look_again)
        if self._keys.allowed.refresh():
            if self._keys.allowed.complaint is not None:
                logger.error("nobody is let in at %s: %s", self.endpoint, self._keys.allowed.complaint)
            self._on_enrolment()

    def close(self, linger_s: float = 0.2) -> None:
        """Close as every router does, and the handler with it."""
        if self._look is not None:
            self._look.cancel()
        super().close(linger_s)
        self._zap.close()


def _user_id(frame: zmq.Frame) -> str:
    """Return the key that the handler let in, or none; an error here would tear the message that is being received."""
    try:
        return str(frame["User-Id"])
    except zmq.ZMQError:
        return ""


def _never(_route: Route, _frames: list[bytes]) -> None:
    raise AssertionError("a guarded router hands on no message without its sender")


def prove_closed(endpoint: str, server_key: str, handler: ZapHandler) -> None:
    """Knock with a throw-away key, and raise unless the handler keeps it out.

    Raises
    ------
    NotClosedError
        If the key is let in, or the answer is another or none.
    """
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    probe = context.socket(zmq.DEALER)
    probe.set(zmq.LINGER, 0)
    handler.expected, secret = new_keypair()
    set_client_keys(probe, secret, server_key)
    monitor = probe.get_monitor_socket(HANDSHAKES)
    try:
        probe.connect(endpoint)
        event = _first_event(monitor, handler)
    finally:
        probe.disable_monitor()
        monitor.close(linger=0)
        probe.close(linger=0)
        context.term()
    if event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
        raise NotClosedError(f"{endpoint} with keys: expected to keep a throw-away key out, got let in")
    if event != NOT_ENROLLED or handler.expected is not None:
        what = zmq.Event(event).name if event else f"nothing within {PROBE_WITHIN_S:g} s"
        raise NotClosedError(f"{endpoint} with keys: expected to be told that a throw-away key is kept out, got {what}")


def _first_event(monitor: "zmq.Socket[bytes]", handler: ZapHandler) -> int:
    """Return how the first handshake of a socket ended, while the handler serves; 0 for nothing in time."""
    poller = zmq.Poller()
    poller.register(monitor, zmq.POLLIN)
    poller.register(handler.socket, zmq.POLLIN)
    deadline_s = time.monotonic() + PROBE_WITHIN_S
    while (left_s := deadline_s - time.monotonic()) > 0:
        ready = dict(poller.poll(int(1000 * left_s) + 1))
        if handler.socket in ready:
            handler.serve()
        if monitor in ready:
            return int(parse_monitor_message(monitor.recv_multipart())["event"])
    return 0


def set_client_keys(socket: "zmq.Socket[bytes]", secret: str, server_key: str) -> None:
    """Let a socket connect with this secret key to the holder of that public key."""
    socket.setsockopt(zmq.CURVE_SECRETKEY, secret.encode())
    socket.setsockopt(zmq.CURVE_PUBLICKEY, public_key(secret).encode())
    socket.setsockopt(zmq.CURVE_SERVERKEY, server_key.encode())


class KeyedDealer(Dealer):
    """A connecting side that knows the other by its key, and says in the log why it is kept out."""

    def __init__(self, endpoint: str, on_frames: OnFrames, *, max_frame_bytes: int, keys: ClientKeys) -> None:
        self._keys, self._endpoint = keys, endpoint
        self._told: set[int] = set()
        super().__init__(endpoint, on_frames, max_frame_bytes=max_frame_bytes + OVERHEAD_BYTES)

    def _secure(self) -> None:
        set_client_keys(self._socket, self._keys.secret, self._keys.server)
        self._monitor = self._socket.get_monitor_socket(HANDSHAKES)
        self._monitor_descriptor = int(self._monitor.get(zmq.FD))
        self._loop.add_reader(self._monitor_descriptor, self._watch)
        self._loop.call_soon(self._watch)

    def _watch(self) -> None:
        while not self._monitor.closed:
            try:
                event = int(parse_monitor_message(self._monitor.recv_multipart(zmq.NOBLOCK))["event"])
            except zmq.Again:
                return
            self.kept_out = event in {NOT_ENROLLED, zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL}
            if event != zmq.EVENT_HANDSHAKE_SUCCEEDED and event not in self._told:
                self._told.add(event)  # libzmq goes on trying, several times a second
                logger.warning("kept out of %s: %s", self._endpoint, self._reason(event))

    def _reason(self, event: int) -> str:
        server = self._keys.server_name
        if event == NOT_ENROLLED:
            return f"your key is not enrolled with the {server}: {public_key(self._keys.secret)}"
        if event == zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL:
            return f"whoever listens there has no keys, or is no {server}"
        # a handshake takes four round trips, and libzmq gives it 2 s; its monitor does not tell that from being hung up on
        return (
            f"the other end hung up or was too slow: {server}.public may not be its key, it may have none, "
            "or a round trip takes 0.5 s or more"
        )

    def close(self, linger_s: float = 0.2) -> None:
        """Close as every dealer does, and stop watching."""
        if not self._monitor.closed:
            self._loop.remove_reader(self._monitor_descriptor)
            self._socket.disable_monitor()
            self._monitor.close(linger=0)
        super().close(linger_s)


def router(endpoint: str, on_signed: OnSigned, *, max_frame_bytes: int, keys: ServerKeys | None) -> Router:
    """Return the binding end of a link whose connections nobody follows, with keys if it has any."""
    if keys is None:
        return Router(
            endpoint, lambda route, frames: on_signed(route, frames, None), _ignore, max_frame_bytes=max_frame_bytes
        )
    return GuardedRouter(endpoint, on_signed, _ignore, lambda: None, max_frame_bytes=max_frame_bytes, keys=keys)


def _ignore(_route: Route) -> None:
    pass


def dealer(endpoint: str, on_frames: OnFrames, *, max_frame_bytes: int, keys: ClientKeys | None) -> Dealer:
    """Return the connecting end of a link, with keys if it has any."""
    if keys is None:
        return Dealer(endpoint, on_frames, max_frame_bytes=max_frame_bytes)
    return KeyedDealer(endpoint, on_frames, max_frame_bytes=max_frame_bytes, keys=keys)
