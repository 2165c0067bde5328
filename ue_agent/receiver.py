"""The `Receiver` seam, and the emulated receiver that stands in for an antenna.

A driver is a class registered under the entry-point group ``nftestbed.receivers``. It is told the epoch to listen for and
calls back with what it received; what it takes from the emulator never passes through the controller.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from protocol.codec import Envelope, decode, encode, largest_frame_bytes
from protocol.curve import dealer
from protocol.errors import PeerFaultError
from protocol.keys import ClientKeys
from protocol.messages import Grid, Listen, Silence
from protocol.testbed import TestbedFacts
from ue_agent.drivers import driver

logger = logging.getLogger(__name__)

ComplexArray = npt.NDArray[np.complex128]
OnReceived = Callable[[int, ComplexArray], None]
ENTRY_POINTS = "nftestbed.receivers"
ASK_AGAIN_S = 0.05
LONGEST_WAIT_S = 0.8
FIRST_PATIENCE_S, LONGEST_PATIENCE_S = 3.0, 12.0  # with a connection that answers nothing, not even with silence
EMULATED = "emulated"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiverContext:
    """What a receiver driver is given: whose antenna it is, the shared facts, the air endpoint, options of the file.

    `air_keys` are for the emulated receiver alone; a link without keys has none.
    """

    ue: str
    facts: TestbedFacts
    air: str
    options: Mapping[str, str | int | float | bool]
    air_keys: ClientKeys | None = None


class Receiver(Protocol):
    """A source of received grids."""

    def listen(self, epoch: int) -> None:
        """Receive the pilot of this epoch, or find out what is on the air instead, and call back once."""

    def close(self) -> None:
        """Release the device."""


ReceiverFactory = Callable[[ReceiverContext, OnReceived], Receiver]


def receiver_factory(name: str) -> ReceiverFactory:
    """Return the driver registered under this name.

    Raises
    ------
    LookupError
        If no installed package registers it; the text lists those that are.
    """
    factory: ReceiverFactory = driver(ENTRY_POINTS, "receiver", name)
    return factory


class EmulatedReceiver:
    """Asks the emulator for the grid at this UE's antenna, again and again until it answers (SPEC 8)."""

    def __init__(self, context: ReceiverContext, on_received: OnReceived) -> None:
        self._ue = context.ue
        self._on_received = on_received
        self._wanted: int | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._context = context
        self._loop = asyncio.get_running_loop()
        self._patience_s = FIRST_PATIENCE_S
        self._unanswered_since_s: float | None = None
        self._connect()

    def _connect(self) -> None:
        context, limit = self._context, largest_frame_bytes(self._context.facts)
        self._dealer = dealer(context.air, self._on_frames, max_frame_bytes=limit, keys=context.air_keys)
        self._connected_s = self._loop.time()

    def listen(self, epoch: int) -> None:
        """Ask for the pilot of this epoch."""
        if self._wanted == epoch and self._timer is not None:
            return  # an answer that named an older epoch: the timer asks again
        self._wanted = epoch
        self._ask(ASK_AGAIN_S)

    def _ask(self, wait_s: float) -> None:
        self._cancel_timer()
        if self._wanted is None:
            return
        self._timer = self._loop.call_later(wait_s, self._ask, min(2 * wait_s, LONGEST_WAIT_S))
        self._connect_again_if_deaf(self._loop.time())
        self._dealer.send(encode(Envelope(session=0, message=Listen(ue=self._ue, epoch=self._wanted))))

    def _connect_again_if_deaf(self, now_s: float) -> None:
        """Take a new socket for one that gets no answer: after some errors libzmq never tries again by itself."""
        if self._unanswered_since_s is None:
            self._unanswered_since_s = now_s
        since_s = self._connected_s if self._dealer.kept_out else max(self._unanswered_since_s, self._connected_s)
        if now_s - since_s > self._patience_s:
            logger.info("nothing heard on the air link for %g s; connecting anew", self._patience_s)
            self._patience_s = min(2 * self._patience_s, LONGEST_PATIENCE_S)
            self._dealer.close(0.0)
            self._connect()

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _on_frames(self, _route: bytes, frames: list[bytes]) -> None:
        try:
            message = decode(frames).message
        except PeerFaultError as fault:
            logger.warning("refused from the air link: %s", fault)
            return
        self._unanswered_since_s, self._patience_s = None, FIRST_PATIENCE_S
        if isinstance(message, Silence):
            logger.debug("silence: %s", message.text)
        elif isinstance(message, Grid) and message.samples.size != self._context.facts.downlink.grid.count:
            logger.warning("refused from the air link: a grid of %d subcarriers", message.samples.size)
        elif isinstance(message, Grid):
            if self._wanted is not None and message.epoch >= self._wanted:
                self._cancel_timer()
                self._wanted = None
            self._on_received(message.epoch, np.asarray(message.samples, dtype=np.complex128))

    def close(self) -> None:
        """Stop asking and close the socket."""
        self._cancel_timer()
        self._dealer.close()
