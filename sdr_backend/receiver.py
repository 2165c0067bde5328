"""The UE receiver ``ofdm``: bursts from a radio, read in a thread of its own, to the grids that a UE measures (shell).

It reads samples only while a pilot is wanted. What a chain of programs held while it paused is thrown away: that may have
passed an air that has changed meanwhile. With `frame_delay_samples` sender and receiver count the same samples, so that times
of flight are absolute; without, delays are relative to the first burst of each lock.
"""

import asyncio
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from sdr_backend.assembly import GridAssembly
from sdr_backend.drivers import Options, OptionValue, checked_options
from sdr_backend.ofdm import FrameLayout
from sdr_backend.radio import Block, Radio, RadioError, opened_radio
from sdr_backend.synchronisation import BurstDetector
from ue_agent.receiver import OnReceived, ReceiverContext

logger = logging.getLogger(__name__)

ComplexArray = npt.NDArray[np.complex128]
BLOCK_SAMPLES = 8192
WITHIN_S = 0.05  # how long a read may last before it is seen that the receiver is to be closed
STOOD_STILL_S = 0.5  # without samples is a pause, if not of this receiver's making
OPEN_AGAIN_S = 1.0


class OfdmOptions(Options, frozen=True):
    """What the receiver takes; everything else in the file goes to the driver named `radio`.

    `flush_samples` are thrown away after a pause.
    """

    radio: str
    flush_samples: int = 0
    frame_delay_samples: int | None = None


class OfdmReceiver:
    """Hears what is on the air of one radio."""

    def __init__(self, context: ReceiverContext, on_received: OnReceived) -> None:
        own = {name: value for name, value in context.options.items() if name in OfdmOptions.__struct_fields__}
        try:
            self._options = checked_options("ofdm", own, OfdmOptions)
        except ValueError as error:
            raise LookupError(f"receiver ofdm: {error}") from error
        self._radio_options: dict[str, OptionValue] = {
            name: value.replace("{ue}", context.ue) if isinstance(value, str) else value
            for name, value in context.options.items()
            if name not in own
        }
        self._layout = FrameLayout.of(context.facts.downlink.grid.count)
        self._listener = BurstListener(self._layout, self._options)
        self._on_received = on_received
        self._loop = asyncio.get_running_loop()
        self._changed = threading.Condition()
        self._wanted: int | None = None
        self._closing = threading.Event()
        self._radio = self._opened()
        self._thread = threading.Thread(target=self._run, name=f"receiver of {context.ue}", daemon=True)
        self._thread.start()

    def listen(self, epoch: int) -> None:
        """Receive the pilot of this epoch."""
        with self._changed:
            self._wanted = epoch
            self._changed.notify()

    def close(self) -> None:
        """End the thread and release the radio."""
        self._closing.set()
        with self._changed:
            self._changed.notify()
        self._thread.join()
        self._radio.close()
        logger.info("received: %s", dict(self._listener.counters))

    def _opened(self) -> Radio:
        try:
            return opened_radio(self._options.radio, self._radio_options)
        except (ValueError, RadioError) as error:
            raise LookupError(f"receiver ofdm: {error}") from error

    def _open_anew(self, stretch: int) -> None:
        """Have the radio count from the beginning, as frames are known from there alone."""
        self._radio.close()
        counters = self._listener.counters
        self._listener = BurstListener(self._layout, self._options, stretch)
        self._listener.counters.update(counters)
        while not self._closing.is_set():
            try:
                self._radio = opened_radio(self._options.radio, self._radio_options)
                return
            except RadioError as error:
                logger.error("the radio does not come back: %s", error)
                self._closing.wait(OPEN_AGAIN_S)

    def _run(self) -> None:
        while not self._closing.is_set():
            with self._changed:
                self._changed.wait_for(lambda: self._wanted is not None or self._closing.is_set())
            try:
                self._radio.flush()
                self._listener.resume()
                self._hear()
                if self._listener.moved_to is not None:
                    self._open_anew(self._listener.moved_to)
            except RadioError as error:
                logger.error("the radio is lost: %s", error)
                self._closing.wait(OPEN_AGAIN_S)

    def _hear(self) -> None:
        """Read until nothing is wanted any more, or nobody knows the frames."""
        last_s = time.monotonic()
        while not self._closing.is_set() and (wanted := self._wanted) is not None and self._listener.moved_to is None:
            block = self._radio.receive(BLOCK_SAMPLES, WITHIN_S)
            now_s = time.monotonic()
            if now_s - last_s > STOOD_STILL_S:  # whatever it was, the sender has not waited for it
                self._listener.resume()
            last_s = now_s if block.samples.size else last_s
            heard = self._listener.heard(block, wanted)
            if heard is not None:
                self._tell(wanted, *heard)

    def _tell(self, wanted: int, epoch: int, grid: ComplexArray) -> None:
        with self._changed:
            if epoch >= wanted and self._wanted == wanted:
                self._wanted = None
        self._call(lambda: self._on_received(epoch, grid))

    def _call(self, callback: Callable[[], None]) -> None:
        if not self._closing.is_set():
            self._loop.call_soon_threadsafe(callback)


class BurstListener:
    """Blocks of one radio to complete grids.

    Frames that are known, by `frame_delay_samples`, are those of one stretch of the transmitter, which was heard before the
    radio was opened. `moved_to` is another one that was heard since, with which the radio is to be opened anew.
    """

    def __init__(self, layout: FrameLayout, options: OfdmOptions, stretch: int = 0) -> None:
        self.counters: Counter[str] = Counter()
        self.moved_to: int | None = None
        self._stretch = stretch
        self._layout, self._options = layout, options
        self._detector = BurstDetector(layout)
        self._assembly = GridAssembly()
        self._to_flush = 0
        self._locks = 0
        self._lock()

    def resume(self) -> None:
        """Throw away what was under way during a pause."""
        self._to_flush = self._options.flush_samples
        self._assembly.forget()

    def heard(self, block: Block, wanted: int) -> tuple[int, ComplexArray] | None:
        """Take a block; return epoch and grid ``(subcarrier,)`` of the last setting that is complete with it."""
        if block.broken:
            self.counters["broken"] += 1
            self._assembly.forget()
            if self._options.frame_delay_samples is None:
                self._detector.phase.forget()
        skipped = min(self._to_flush, block.samples.size)
        self._to_flush -= skipped
        samples = block.samples[skipped:]
        if not samples.size or self.moved_to is not None:
            return None
        found = None
        for burst in self._detector.heard(samples, block.first_index + skipped):
            self.counters["bursts"] += 1
            if burst.tag.stretch != self._stretch:
                self._move(burst.tag.stretch)
                return None
            complete = self._assembly.add(burst, wanted)
            found = complete if complete is not None and complete[0] >= wanted else found
        if self._detector.phase.locks != self._locks and self._options.frame_delay_samples is not None:
            self.counters["moved_frames"] += 1  # bursts beside the frames that were counted: nobody knows their delay
            self._move(self._stretch)
            return None
        return None if found is None else (found[0], self._from_frame_start(found[1]))

    def _move(self, stretch: int) -> None:
        """Trust no frame any more; those that are not known are taken from the next burst."""
        logger.info("frames have moved: from stretch %d to %d", self._stretch, stretch)
        self._assembly.forget()
        if self._options.frame_delay_samples is None:
            self._stretch = stretch
            self._detector.phase.forget()
        else:
            self.moved_to = stretch

    def _lock(self) -> None:
        """Set the phase of frames where it is known, half a prefix late: paths may come before and after that."""
        delay = self._options.frame_delay_samples
        if delay is not None:
            self._detector.phase.lock_to(delay + self._layout.cyclic_prefix // 2)
        self._locks = self._detector.phase.locks

    def _from_frame_start(self, grid: ComplexArray) -> ComplexArray:
        """Return a grid as its delays are from the start of the frame on, ``(subcarrier,)``."""
        if self._options.frame_delay_samples is None:
            return grid
        late = self._layout.cyclic_prefix // 2
        turned: ComplexArray = grid * np.exp(2j * np.pi * (np.arange(grid.size) * late % grid.size) / grid.size)
        return turned
