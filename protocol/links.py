"""A process's end of a link: socket, codec, session and timers joined (shell).

`PeerLink` keeps a radio or UE connected to its controller for as long as the process lives: it says hello, beats, notices
silence and starts a new session on a new socket. `HubLink` is the controller's end of all of them.
"""

import asyncio
import logging
import random
import time
from collections import Counter
from collections.abc import Callable

from protocol import messages as msg
from protocol.codec import Envelope, decode, encode, largest_frame_bytes
from protocol.curve import GuardedRouter, dealer
from protocol.errors import OurFaultError, PeerFaultError, ProtocolError
from protocol.hub import Admission, HubOutcome, SessionTable
from protocol.keys import ClientKeys, Identity, ServerKeys
from protocol.messages import Message
from protocol.session import Closed, Event, Faulted, Heard, Opened, PeerOutcome, PeerSession, State
from protocol.transport import Dealer, Route, Router

logger = logging.getLogger(__name__)

TICK_S = 0.05  # half of what SPEC 4 allows for timers
FIRST_BACKOFF_S = 0.1
LONGEST_BACKOFF_S = 2.0


class RefusedError(Exception):
    """The controller refuses this peer for good, e.g. because it holds other facts."""


class PeerLink:
    """A radio's or UE's end of the control link."""

    def __init__(
        self,
        endpoint: str,
        hello: msg.Hello,
        on_message: Callable[[Message], None],
        on_opened: Callable[[], None],
        max_groups: int = 1,
        *,
        keys: ClientKeys | None = None,
    ) -> None:
        self._endpoint, self._keys = endpoint, keys
        self._on_opened = on_opened
        self._hello = hello
        self._on_message = on_message
        self._max_frame_bytes = largest_frame_bytes(hello.facts, max_groups)
        self._dealer: Dealer | None = None
        self._session: PeerSession | None = None
        self._opened = False
        self._closed = asyncio.Event()
        self._refusal: str | None = None
        self._counts: Counter[str] = Counter()  # of the sessions before this one

    @property
    def is_open(self) -> bool:
        """Return whether there is an open session."""
        return self._session is not None and self._session.state is State.OPEN

    def counters(self) -> Counter[str]:
        """Return counts over all sessions: ``sessions`` opened, ``resent`` and ``duplicates``, ``faults`` of either side."""
        counts = self._counts.copy()
        if self._session is not None:
            counts.update(resent=self._session.resent, duplicates=self._session.duplicates)
        return counts

    async def run(self) -> None:
        """Stay connected until cancelled.

        Raises
        ------
        RefusedError
            If the controller refuses for good.
        """
        backoff_s = FIRST_BACKOFF_S
        try:
            while True:
                await self._one_session()
                if self._refusal is not None:
                    raise RefusedError(self._refusal)
                backoff_s = FIRST_BACKOFF_S if self._opened else min(2 * backoff_s, LONGEST_BACKOFF_S)
                await asyncio.sleep(backoff_s * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, not a secret
        finally:
            self._leave()

    async def _one_session(self) -> None:
        self._opened = False
        self._closed.clear()
        earlier = 0 if self._session is None else self._session.session  # ahead of the clock after a refusal by 4.5
        number = max(time.time_ns() // 1000, earlier + 1)
        self._counts = self.counters()
        self._session = PeerSession(self._hello, number, time.monotonic())
        self._dealer = dealer(self._endpoint, self._on_frames, max_frame_bytes=self._max_frame_bytes, keys=self._keys)
        try:
            while not self._closed.is_set():
                self._apply(self._session.tick(time.monotonic()))
                await asyncio.sleep(TICK_S)  # a timeout on the event would notice its end sooner, at twice the work
        finally:
            if self._closed.is_set():
                self._dealer.close()

    def _leave(self) -> None:
        if self._session is not None and self._session.state is State.OPEN:
            self.send(msg.Bye(reason="process ends"))
        if self._dealer is not None:
            self._dealer.close()

    def send(self, message: Message) -> None:
        """Send a message in the open session; without one it is dropped, since the controller asks again."""
        if self._session is None or self._dealer is None:
            return
        self._session.progress += 1
        try:
            self._dealer.send(encode(self._session.seal(message, time.monotonic())))
        except OurFaultError as error:
            logger.warning("%s not sent: %s", msg.type_name(message), error)

    def _on_frames(self, _route: Route, frames: list[bytes]) -> None:
        if self._session is None:
            return
        try:
            self._apply(self._session.receive(decode(frames), time.monotonic()))
        except PeerFaultError as fault:
            logger.warning("refused from controller: %s", fault)
            if fault.answerable:
                self.send(msg.Refusal(clause=fault.clause, text=fault.text[:1024]))

    def _apply(self, outcome: PeerOutcome) -> None:
        for envelope in outcome.send:
            if self._dealer is not None and not self._dealer.send(encode(envelope)):
                self._not_sent(envelope)
        for event in outcome.events:
            self._react(event)

    def _not_sent(self, envelope: Envelope) -> None:
        if self._session is not None and isinstance(envelope.message, msg.Hello):
            self._session.hello_not_sent()  # a new socket takes a moment to connect; anything else comes again by itself

    def _react(self, event: Event) -> None:
        match event:
            case Heard():
                self._on_message(event.message)
            case Opened():
                if not self._opened:  # a welcome said twice opens nothing
                    logger.info("session with the controller at %s is open", self._endpoint)
                    self._opened = True
                    self._counts["sessions"] += 1
                    self._on_opened()
            case Closed():
                logger.log(logging.INFO if self._opened else logging.DEBUG, "session closed: %s", event.reason)
                self._refusal = event.reason if event.final else None
                self._closed.set()
            case Faulted():
                self._counts["faults"] += 1
                logger.warning(
                    "%s: %s (SPEC %s)", "refused by controller" if event.ours else "refused", event.text, event.clause
                )


class HubLink:
    """The controller's end of the control link."""

    def __init__(
        self,
        endpoint: str,
        admission: Admission,
        on_event: Callable[[Event], None],
        *,
        keys: ServerKeys | None = None,
    ) -> None:
        self.table = SessionTable(admission, keyed=keys is not None)
        self._on_event, self._keys = on_event, keys
        limit = largest_frame_bytes(admission.facts)
        self._router = (
            Router(endpoint, self._on_frames, self._on_gone, max_frame_bytes=limit)
            if keys is None
            else GuardedRouter(
                endpoint, self._on_frames, self._on_gone, self._on_enrolment, max_frame_bytes=limit, keys=keys
            )
        )

    @property
    def endpoint(self) -> str:
        """Return the endpoint as bound, with the port that a wildcard became."""
        return self._router.endpoint

    @property
    def dropped(self) -> int:
        """Return how many messages found a full queue."""
        return self._router.dropped

    async def run(self) -> None:
        """Keep the sessions alive until cancelled."""
        while True:
            await asyncio.sleep(TICK_S)
            self._apply(self.table.tick(time.monotonic()))

    def send(self, name: str, message: Message) -> bool:
        """Send a message to the peer of that name; False if it has no session or acknowledges nothing."""
        try:
            route, envelope = self.table.seal(name, message, time.monotonic())
        except OurFaultError as error:
            logger.warning("%s not sent to %s: %s", msg.type_name(message), name, error)
            return False
        self._send(route, envelope)
        return True

    def close(self, reason: str) -> None:
        """Say bye to every peer and close."""
        self._apply(self.table.farewell(reason, time.monotonic()))
        self._router.close()

    def _on_frames(self, route: Route, frames: list[bytes], sender: Identity | None = None) -> None:
        now_s = time.monotonic()
        try:
            envelope = decode(frames)
        except PeerFaultError as fault:
            self._apply(self.table.malformed(route, fault, now_s, sender))
            return
        outcome = self.table.receive(route, envelope, now_s, sender)
        if not self._send_all(outcome):
            outcome = self.table.left_behind(route, outcome)
        self._tell(outcome)

    def _on_enrolment(self) -> None:
        if self._keys is not None:
            self._apply(self.table.retain(self._keys.allowed.holds))

    def _on_gone(self, route: Route) -> None:
        self._apply(self.table.lost_route(route))

    def _apply(self, outcome: HubOutcome) -> None:
        self._send_all(outcome)
        self._tell(outcome)

    def _send_all(self, outcome: HubOutcome) -> bool:
        """Send everything; return whether every connection that was sent to is there still."""
        connected = True
        for route, envelope in outcome.send:
            connected &= self._send(route, envelope)
        return connected

    def _tell(self, outcome: HubOutcome) -> None:
        for event in outcome.events:
            self._on_event(event)

    def _send(self, route: Route, envelope: Envelope) -> bool:
        try:
            return self._router.send(route, encode(envelope))
        except ProtocolError as error:
            logger.error("%s not sent: %s", msg.type_name(envelope.message), error)
            return True
