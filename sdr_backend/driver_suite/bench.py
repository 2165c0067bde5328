"""What is tested: a driver, its options, and what is known of its other side."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import scipy.fft

from sdr_backend.drivers import OptionValue
from sdr_backend.front_end import AirHook, FrontEnd, FrontEndContext, opened_front_end
from sdr_backend.radio import Radio, Samples, opened_radio

PATIENCE_S = 20.0  # for what must come at last, on a machine that is busy
PART = 4096  # samples that are asked for at once
EXACT = 1e-6  # of a driver that passes on floats: the gain is an estimate; converters of 12 bits need 1e-2


@dataclass(frozen=True, slots=True, kw_only=True)
class RadioBench:
    """A radio driver on the bench.

    `loopback` says that what is transmitted is received, up to a complex gain and with an error of at most `tolerance` times
    its amplitude; `restart` kills the other side and starts it again.
    """

    driver: str
    options: Mapping[str, OptionValue] = field(default_factory=dict)
    loopback: bool = False
    tolerance: float = EXACT
    restart: Callable[[], None] | None = None

    @contextmanager
    def opened(self) -> Iterator[Radio]:
        """Open the radio, and close it again."""
        radio = opened_radio(self.driver, self.options)
        try:
            yield radio
        finally:
            radio.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontEndBench:
    """A front-end driver on the bench, for an array of so many elements."""

    driver: str
    options: Mapping[str, OptionValue] = field(default_factory=dict)
    elements: int = 16

    @contextmanager
    def opened(self, hook: AirHook | None = None) -> Iterator[FrontEnd]:
        """Open the front end, and close it again."""
        context = FrontEndContext(elements=self.elements, options=self.options, hook=hook)
        front_end = opened_front_end(self.driver, context)
        try:
            yield front_end
        finally:
            front_end.close()


def noise(seed: int, count: int = 3000) -> Samples:
    """Return a signal that is like nothing else, ``(sample,)``, well below full scale."""
    parts = np.random.default_rng(seed).uniform(-0.4, 0.4, (count, 2))
    return (parts @ [1, 1j]).astype(np.complex64)


def place_of(sent: Samples, heard: Samples, tolerance: float) -> int | None:
    """Return where in what was heard the signal begins, or none if it is not there as a whole."""
    if heard.size < sent.size:
        return None
    size = scipy.fft.next_fast_len(heard.size + sent.size)  # without wrapping round; who listens must outrun a device
    likeness = np.abs(scipy.fft.ifft(scipy.fft.fft(heard, size) * np.conj(scipy.fft.fft(sent, size))))
    at = int(np.argmax(likeness[: heard.size - sent.size + 1]))
    there = heard[at : at + sent.size].astype(np.complex128)
    gain = np.vdot(sent, there) / np.vdot(sent, sent).real
    error = float(np.linalg.norm(there - gain * sent) / np.linalg.norm(sent))
    return at if abs(gain) > 0 and error <= tolerance * abs(gain) else None


class Ear:
    """Looks for signals in what a radio receives, in the order in which they were sent."""

    def __init__(self, radio: Radio, tolerance: float) -> None:
        self._radio, self._tolerance = radio, tolerance
        self._heard: Samples = np.empty(0, dtype=np.complex64)
        self._first = 0

    def hears(self, sent: Samples, within_s: float = PATIENCE_S) -> int | None:
        """Return the index in the receiver's counter at which a signal came, or none if it did not in time."""
        until_s = time.monotonic() + within_s
        while time.monotonic() < until_s:
            self._listen(sent.size + 3 * PART)
            at = place_of(sent, self._heard, self._tolerance)
            if at is not None:
                index = self._first + at
                self._forget(at + sent.size)
                return index
            self._forget(max(0, self._heard.size - sent.size))
        return None

    def _listen(self, size: int) -> None:
        """Receive until there is so much, without a gap, or nothing comes for a while."""
        while self._heard.size < size:
            block = self._radio.receive(PART, 0.1)
            if not block.samples.size:
                return
            if block.overrun or not self._heard.size:
                self._heard, self._first = block.samples, block.first_index
            else:
                self._heard = np.concatenate([self._heard, block.samples])

    def _forget(self, count: int) -> None:
        self._heard, self._first = self._heard[count:], self._first + count
