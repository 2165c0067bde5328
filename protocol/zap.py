"""Who is let in while a connection is made: the answer to ZeroMQ's authentication requests (ZAP, RFC 27; SPEC 10.3).

`answer` is a pure function that admits nobody unless everything fits. `ZapHandler` serves one context, in which libzmq looks
for it under one fixed name, from the event loop: no thread that could die unnoticed, and an error costs one connection.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence

import zmq
from zmq.utils import z85

logger = logging.getLogger(__name__)

ENDPOINT = "inproc://zeromq.zap.01"
DOMAIN = b"nftestbed"
VERSION = b"1.0"
KEY_BYTES = 32
ANSWERED_AT_ONCE = 128
LOG_EVERY_S = 1.0


def answer(frames: Sequence[bytes], admits: Callable[[str], bool]) -> list[bytes] | None:
    """Return the answer to a request, or None if nothing in it says which request it is.

    Parameters
    ----------
    frames
        Empty delimiter, version, request id, domain, address, routing id, mechanism, credentials.
    admits
        Whether a public key, in Z85, is let in.
    """
    if len(frames) < 3 or frames[0] != b"" or frames[1] != VERSION:
        return None
    key = key_of(frames)
    if key is None or not admits(key):
        return [b"", VERSION, frames[2], b"400", b"this key is not enrolled", b"", b""]
    return [b"", VERSION, frames[2], b"200", b"enrolled", key.encode(), b""]


def key_of(frames: Sequence[bytes]) -> str | None:
    """Return the public key that a request is about, or None if it is no request of ours."""
    if len(frames) != 8 or frames[3] != DOMAIN or frames[6] != b"CURVE" or len(frames[7]) != KEY_BYTES:
        return None
    return z85.encode(frames[7]).decode()


class ZapHandler:
    """Answers the requests of one context; `serve` is called by the loop, and before there is one by who waits."""

    def __init__(self, context: "zmq.Context[zmq.Socket[bytes]]", admits: Callable[[str], bool]) -> None:
        self._admits = admits
        self._loop = asyncio.get_running_loop()
        self._descriptor = -1
        self._kept_out = 0
        self.expected: str | None = None  # the one key whose coming is no news, until it has come
        self._logged_s = float("-inf")
        # a ROUTER rather than a REP, which after one request without an answer would never hear another
        self.socket: zmq.Socket[bytes] = context.socket(zmq.ROUTER)
        self.socket.set(zmq.LINGER, 0)
        self.socket.bind(ENDPOINT)

    def start(self) -> None:
        """Let the loop serve from now on."""
        self._descriptor = int(self.socket.get(zmq.FD))
        self._loop.add_reader(self._descriptor, self.serve)
        self._loop.call_soon(self.serve)  # what arrived before raises no edge

    def serve(self) -> None:
        """Answer what is queued, some of it at once and the rest with the loop's next turn."""
        for _ in range(ANSWERED_AT_ONCE):
            if self.socket.closed:
                return
            try:
                frames = self.socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            try:
                self._answer(frames[0], frames[1:])
            except Exception:  # at the edge of a callback: whatever fails here lets nobody in, and the next is served
                logger.exception("a connection is kept out, since its request could not be looked at")
        self._loop.call_soon(self.serve)

    def _answer(self, route: bytes, frames: list[bytes]) -> None:
        reply = answer(frames, self._admits)
        if reply is None or reply[3] != b"200":
            self._tell(frames)
        if reply is not None:
            self.socket.send_multipart([route, *reply], zmq.NOBLOCK)

    def _tell(self, frames: list[bytes]) -> None:
        """Say who was kept out, though not for each of very many."""
        key = key_of(frames) or "none that can be read"
        if key == self.expected:
            self.expected = None
            return
        self._kept_out += 1
        now_s = self._loop.time()
        if now_s - self._logged_s >= LOG_EVERY_S:
            self._logged_s = now_s
            address = frames[4].decode(errors="replace") if len(frames) > 4 else "somewhere"
            logger.warning("kept out %s, whose key is not enrolled here: %s (%d so far)", address, key, self._kept_out)

    def close(self) -> None:
        """Stop serving; the loop forgets the descriptor before another socket can have its number."""
        if self._descriptor >= 0:
            self._loop.remove_reader(self._descriptor)
        self.socket.close(linger=0)
