"""The hook of a front end of software: tells the air process what a pilot is sent with, and waits for it to hold (shell).

An uplink array's receiver has a link of its own, and tells whom it is about to hear. Messages are those of the control link;
`session` is this start of the radio, `sequence` counts what it has told.
"""

import asyncio
import logging
import threading
import time

from protocol.codec import Envelope, decode, encode, largest_frame_bytes
from protocol.curve import dealer
from protocol.errors import PeerFaultError
from protocol.messages import Capture, Configure, Ready
from protocol.testbed import MAX_GROUPS, TestbedFacts
from protocol.transport import Route
from sdr_backend.front_end import PilotSetting, setting_from_pilot

logger = logging.getLogger(__name__)

TELL_AGAIN_S = 0.5


class AirLink:
    """An `AirHook` over a link; made and closed in the event loop, told of pilots in another thread."""

    def __init__(self, endpoint: str, shared: TestbedFacts) -> None:
        self._loop = asyncio.get_running_loop()
        self._session = time.time_ns() // 1000
        self._told, self._answered = 0, 0
        self._changed = threading.Condition()
        self._closed = False
        limit = largest_frame_bytes(shared, MAX_GROUPS)
        self._dealer = dealer(endpoint, self._on_frames, max_frame_bytes=limit, keys=None)

    def latched(self, pilot: PilotSetting, at: int) -> None:
        """Return when the air is that of this pilot, or the link is closed; samples have no part in it."""
        setting = setting_from_pilot(pilot)
        message = Configure(
            epoch=max(1, pilot.epoch),
            groups_per_pilot=setting.groups_per_pilot,
            phase_cycles=setting.phase_cycles,
            delay_s=setting.delay_s,
        )
        self._tell(message)
        logger.debug("the air is that of the samples from %d on", at)

    def captured(self, ue: str, epoch: int) -> None:
        """Return when the air is that of this UE's sounding, or the link is closed."""
        self._tell(Capture(epoch=epoch, ue=ue))

    def _tell(self, message: Configure | Capture) -> None:
        self._told += 1
        frames = encode(Envelope(session=self._session, sequence=self._told, message=message))
        with self._changed:
            while not self._closed:
                self._loop.call_soon_threadsafe(self._send, frames)
                if self._changed.wait_for(lambda: self._answered >= self._told or self._closed, TELL_AGAIN_S):
                    return
                logger.info("the air has not answered a %s; telling it again", type(message).__name__)

    def _send(self, frames: list[bytes | memoryview]) -> None:
        if not self._closed:
            self._dealer.send(frames)

    def _on_frames(self, _route: Route, frames: list[bytes]) -> None:
        try:
            envelope = decode(frames)
        except PeerFaultError as fault:
            logger.warning("refused from the air: %s", fault)
            return
        if isinstance(envelope.message, Ready) and envelope.session == self._session:
            with self._changed:
                self._answered = max(self._answered, envelope.sequence)
                self._changed.notify()

    def close(self) -> None:
        """Close the link; whoever waits goes on."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._dealer.close()
