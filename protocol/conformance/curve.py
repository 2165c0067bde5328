"""Keys on the kit's own sockets (CurveZMQ, SPEC 10): who knocks at the kit's doors, and how the kit knocks at others'.

A `Door` is an end that the kit binds, a `Pass` what it shows where it connects. A `Porter` answers libzmq's requests (ZAP,
ZeroMQ RFC 27) for all doors of a context, while the pump is stepped.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import zmq
from zmq.utils import z85
from zmq.utils.monitor import parse_monitor_message

ZAP_ENDPOINT = "inproc://zeromq.zap.01"
FAILURES = zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
HANDSHAKES = FAILURES | zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_HANDSHAKE_FAILED_AUTH
KEPT_OUT_STATUS = 400  # in the answer to a request whose key is not let in
LET_IN_STATUS = 200


@dataclass(frozen=True, slots=True)
class Pair:
    """A public and a secret key, in Z85."""

    public: str
    secret: str = field(repr=False)


def new_pair() -> Pair:
    """Return a pair of keys that nobody has yet."""
    public, secret = zmq.curve_keypair()
    return Pair(public.decode(), secret.decode())


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """What an end of the kit shows that connects: its own pair, and the public key that it expects to find."""

    pair: Pair
    server: str


@dataclass(slots=True, kw_only=True)
class Door:
    """An end that the kit binds: its own pair, who is let in, and who came."""

    pair: Pair
    admitted: set[str]
    knocks: list[str] = field(default_factory=list)  # keys, once for each connection that has shown one
    failures: int = 0  # handshakes that did not come as far: for another key of the door's, or for none


class Porter:
    """Answers the requests of one context, each for the door whose domain it names."""

    def __init__(self, context: "zmq.Context[zmq.Socket[bytes]]") -> None:
        self._doors: dict[bytes, Door] = {}
        self.raw: zmq.Socket[bytes] = context.socket(zmq.ROUTER)
        self.raw.bind(ZAP_ENDPOINT)

    def guard(self, socket: "zmq.Socket[bytes]", door: Door) -> None:
        """Give a socket that is not bound yet the keys and the domain of a door."""
        domain = b"door-%d" % len(self._doors)
        self._doors[domain] = door
        socket.setsockopt(zmq.CURVE_SERVER, 1)
        socket.setsockopt(zmq.CURVE_SECRETKEY, door.pair.secret.encode())
        socket.setsockopt(zmq.ZAP_DOMAIN, domain)
        socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)

    def deliver(self) -> None:
        """Answer one request."""
        route, delimiter, version, number, domain, *others = self.raw.recv_multipart(zmq.NOBLOCK)
        door, key = self._doors[domain], z85.encode(others[-1]).decode()
        door.knocks.append(key)
        status = LET_IN_STATUS if key in door.admitted else KEPT_OUT_STATUS
        self.raw.send_multipart([route, delimiter, version, number, b"%d" % status, b"", key.encode(), b""])


class Watch:
    """Sees the handshakes of one socket that came to nothing, for its door."""

    def __init__(self, socket: "zmq.Socket[bytes]", door: Door) -> None:
        self._door = door
        self.raw: zmq.Socket[bytes] = socket.get_monitor_socket(FAILURES)

    def deliver(self) -> None:
        """Count one of them."""
        self.raw.recv_multipart(zmq.NOBLOCK)
        self._door.failures += 1


def show(socket: "zmq.Socket[bytes]", keys: Pass) -> None:
    """Let a socket that is not connected yet show its pass."""
    socket.setsockopt(zmq.CURVE_SECRETKEY, keys.pair.secret.encode())
    socket.setsockopt(zmq.CURVE_PUBLICKEY, keys.pair.public.encode())
    socket.setsockopt(zmq.CURVE_SERVERKEY, keys.server.encode())


def status_at(endpoint: str, keys: Pass, within_s: float, meanwhile: Callable[[], None]) -> int | None:
    """Knock once, and return the status that the other end's handler has given.

    Parameters
    ----------
    meanwhile
        What is to be done again and again while nothing has come.

    Returns
    -------
    status
        200 if let in; None if the other end hung up, or said nothing in time.
    """
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    socket = context.socket(zmq.DEALER)
    show(socket, keys)
    monitor: zmq.Socket[bytes] = socket.get_monitor_socket(HANDSHAKES)
    try:
        socket.connect(endpoint)
        until_s = time.monotonic() + within_s
        while not monitor.poll(10):
            meanwhile()
            if time.monotonic() >= until_s:
                return None
        seen = parse_monitor_message(monitor.recv_multipart())
    finally:
        socket.disable_monitor()
        context.destroy(linger=0)
    if seen["event"] == zmq.EVENT_HANDSHAKE_SUCCEEDED:
        return LET_IN_STATUS
    return int(seen["value"]) if seen["event"] == zmq.EVENT_HANDSHAKE_FAILED_AUTH else None
