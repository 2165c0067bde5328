"""What is on the air: a thread that loads, latches and sends one pilot's burst after another (shell).

Bursts begin at multiples of the frame in the radio's counter of samples. A front end need know nothing of samples: a pilot
is loaded and latched when the burst before has left, and its own burst comes no earlier than the front end has settled. Zeros
are left to the radio.
"""

import logging
import math
import queue
import threading
from collections import Counter
from collections.abc import Callable, Sequence

from sdr_backend.front_end import FrontEnd, PilotSetting
from sdr_backend.ofdm import Modulator
from sdr_backend.radio import LateError, Radio
from sdr_backend.server import Apply
from sdr_backend.tag import Tag

logger = logging.getLogger(__name__)

LOOK_S = 0.02  # how long a wait may last before a new command is seen
LEAD = 4096  # samples between what leaves next and a burst that is still to be handed on; doubled when it was too few
MOST_LEAD = 1 << 20
LAST_BURST_S = 1.0  # what a burst that cannot be recalled may take to leave


class Transmitter:
    """The air's side of a radio process.

    `on_applied` is called with a command and what the front end made of its pilots, `on_failed` when a device is lost for
    good; both from the transmitter's own thread.
    """

    def __init__(
        self,
        radio: Radio,
        front_end: FrontEnd,
        modulator: Modulator,
        on_applied: Callable[[Apply, Sequence[PilotSetting]], object],
        on_failed: Callable[[Exception], object],
    ) -> None:
        self.counters: Counter[str] = Counter()
        self._radio, self._front_end, self._modulator = radio, front_end, modulator
        self._on_applied, self._on_failed = on_applied, on_failed
        self._commands: queue.SimpleQueue[Apply | None] = queue.SimpleQueue()
        self._closing = threading.Event()
        self._on_air: Apply | None = None
        self._pilot = 0  # which is sent next
        self._latched: PilotSetting | None = None
        self._lead = LEAD
        self._thread = threading.Thread(target=self._run, name="transmitter", daemon=True)
        self._thread.start()

    def apply(self, command: Apply) -> None:
        """Send these pilots from now on."""
        self._commands.put(command)

    def silence(self) -> None:
        """Send nothing any more."""
        self._commands.put(None)

    def close(self) -> None:
        """End the thread, then release both devices."""
        self._closing.set()
        self._commands.put(None)
        self._thread.join()
        self._radio.close()
        self._front_end.close()

    def _run(self) -> None:
        try:
            while not self._closing.is_set():
                self._obey_or_send()
        except Exception as error:  # a driver may raise anything, and nobody else would see that the air is dead
            self._on_failed(error)

    def _obey_or_send(self) -> None:
        if self._on_air is None or not self._commands.empty():
            command = self._commands.get()
            self._recall()
            self._on_air = command
            if command is not None:
                self._begin(command)
        elif self._radio.drain(LOOK_S):  # a pilot's setting holds until its burst has left
            self._send(self._on_air)

    def _recall(self) -> None:
        """Have nothing of the last setting on the air any more."""
        self._radio.flush()
        if not self._radio.drain(LAST_BURST_S):
            logger.warning("the last burst has not left within %g s", LAST_BURST_S)
        self._on_air, self._latched, self._pilot = None, None, 0

    def _begin(self, command: Apply) -> None:
        loaded = [self._front_end.load(pilot) for pilot in command.pilots]
        self._send(command)
        self._on_applied(command, loaded)

    def _send(self, command: Apply) -> None:
        """Have one burst sent, and go to the next pilot; one that is late is tried again."""
        pilot, pilots = command.pilots[self._pilot], len(command.pilots)
        changes = self._latched is not pilot
        if changes:
            self._front_end.load(pilot)
        at = self._next_frame(self._front_end.limits.settle_s if changes else 0.0)
        if changes:
            self._front_end.latch(at)
            self._latched = pilot
            at = max(at, self._next_frame(0.0))  # latching may take longer than the lead
        try:
            tag = Tag.of(command.epoch, self._pilot, pilots, self._radio.stretch)
            self._radio.transmit(self._modulator.burst(tag), at)
        except LateError as late:
            self.counters["late_bursts"] += 1
            self._lead = min(2 * self._lead, MOST_LEAD)
            logger.debug("a burst was late: %s; the lead is %d samples now", late, self._lead)
            return
        self.counters["bursts"] += 1
        self._lead = max(LEAD, self._lead - self._lead // 16)  # it may have been one hiccup
        self._pilot = (self._pilot + 1) % pilots

    def _next_frame(self, settle_s: float) -> int:
        frame = self._modulator.layout.frame_samples
        earliest = self._radio.transmitted + self._lead + math.ceil(settle_s * self._radio.rate_hz)
        return -(-earliest // frame) * frame
