"""A peer of the control link in the test's own hands: it says what the test wants, right or wrong, and shows what came back.

Frames are built with the product's codec, so that a test can break exactly one rule at a time.
"""

import contextlib
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self, TypeVar

import msgpack
import zmq

from protocol import messages as msg
from protocol.codec import Envelope, Frame, decode, encode
from protocol.curve import set_client_keys
from protocol.keys import ClientKeys
from protocol.messages import FeedbackKind, Hello, Message, UeCapabilities
from protocol.testbed import TestbedFacts
from tests.qualification.processes import PATIENCE_S

M = TypeVar("M", bound=Message)
BEAT_S = 0.1


def hello(facts: TestbedFacts, name: str, *, versions: tuple[int, ...] = (msg.PROTOCOL_VERSION,)) -> Hello:
    """Return the hello of a UE that holds these facts."""
    capabilities = UeCapabilities(feedback_kinds=tuple(FeedbackKind))
    digest = facts.digest()
    return Hello(name=name, versions=versions, software="raw", digest=digest, facts=facts, capabilities=capabilities)


def header_of(message: Message, **changes: object) -> bytes:
    """Return the header frame of a message with some of its entries replaced or added."""
    envelope = Envelope(session=1, sequence=int(message.SEQUENCED), message=message)
    header = msgpack.unpackb(bytes(encode(envelope)[0]))
    return bytes(msgpack.packb({**header, **changes}))


class RawPeer:
    """A connection to a controller, with keys if it is given any; with `open_as` also a session."""

    def __init__(self, endpoint: str, keys: ClientKeys | None = None) -> None:
        self.session = time.time_ns() // 1000
        self.heard: list[Message] = []
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.DEALER)
        if keys is not None:
            set_client_keys(self._socket, keys.secret, keys.server)
        self._socket.connect(endpoint)
        self._sequence = self._acknowledged = 0
        self._is_open = False
        self._said_s = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close(linger=500)
        self._context.term()

    def open_as(self, facts: TestbedFacts, name: str) -> Self:
        """Open a session as this UE and wait for the welcome."""
        self.say(hello(facts, name))
        self.hears(msg.Welcome)
        self._is_open = True
        return self

    def say_frames(self, *frames: Frame) -> None:
        """Send frames as they are."""
        self._socket.send_multipart(frames)

    def say_frames_often(self, times: int, *frames: Frame) -> None:
        """Send the same frames again and again, as fast as they are taken."""
        for _ in range(times):
            self.say_frames(*frames)

    def tries(self, message: Message) -> None:
        """Say something, unless ZeroMQ has given this connection up for good already, where saying would wait for ever."""
        frames = encode(Envelope(session=self.session, message=message))
        with contextlib.suppress(zmq.Again):
            self._socket.send_multipart(frames, zmq.NOBLOCK)

    def give_up(self) -> None:
        """Close, and drop what has not left."""
        self._socket.close(linger=0)

    def say(self, message: Message, *, sequence: int | None = None) -> int:
        """Send a message in the session, by default with the next sequence number; return that number."""
        if sequence is None:
            self._sequence += message.SEQUENCED
            sequence = self._sequence if message.SEQUENCED else 0
        self._sequence = max(self._sequence, sequence)
        envelope = Envelope(session=self.session, sequence=sequence, acknowledged=self._acknowledged, message=message)
        self.say_frames(*encode(envelope))
        self._said_s = time.monotonic()
        return sequence

    def hears(self, kind: type[M], timeout_s: float = PATIENCE_S) -> M:
        """Wait for a message of a kind, and return it; others are set aside."""
        came = self.stays_until(lambda: bool(self.of_kind(kind)), timeout_s)
        assert came, f"expected a {kind.__name__} within {timeout_s:g} s, got {self.heard}"
        found = self.of_kind(kind)[0]
        self.heard.remove(found)
        return found

    def of_kind(self, kind: type[M]) -> list[M]:
        """Return the messages of a kind that came and that nobody took yet."""
        return [message for message in self.heard if isinstance(message, kind)]

    def stays_until(self, condition: Callable[[], bool], timeout_s: float = PATIENCE_S) -> bool:
        """Listen, and beat if there is a session, until the condition holds; return whether it did in time."""
        deadline_s = time.monotonic() + timeout_s
        while not condition():
            if time.monotonic() > deadline_s:
                return False
            if self._is_open and time.monotonic() - self._said_s > BEAT_S:
                self.say(msg.Heartbeat(progress=0))
            if self._socket.poll(20):
                self._take(decode(self._socket.recv_multipart()))
        return True

    def _take(self, envelope: Envelope) -> None:
        if envelope.sequence > self._acknowledged or envelope.sequence == 0:
            self.heard.append(envelope.message)  # one connection that nobody cuts: nothing overtakes
        self._acknowledged = max(self._acknowledged, envelope.sequence)
