"""What a SoapySDR device receives, read without end by a thread of its own, so that it need not hold much (shell).

Some modules return from a read all that was asked for or nothing, and keep the kernel's buffer from emptying meanwhile: a read
that times out is repeated for half as many samples, down to one. Few say when samples were lost: a device that nobody read for
longer than it holds them is taken to have lost some.
"""

import threading
import time

import numpy as np

from sdr_backend.incoming import Incoming
from sdr_backend.radio import Block, RadioError, Samples
from sdr_backend.soapy_device import NAME, SoapyDevice, SoapyOptions

LARGEST_READ = 1024  # samples; of larger ones some modules never get all
READ_US = 2000  # a read that finds too little sleeps as long
FLUSH_S = 5.0  # how long it is waited at most until what has waited is read
WINDOW_S, BACKLOG = 0.02, 1.2  # what comes faster than so many times the sample rate has waited
PAUSE_S = 0.0005
UNREAD_SAMPLES = 1 << 21  # kept for whoever reads, who may be busy; an odd second of most devices


class Reader:
    """Reads a device; counts what came, what was lost, and what nobody wanted."""

    def __init__(self, device: SoapyDevice, options: SoapyOptions) -> None:
        self._device, self._options = device, options
        self._incoming = Incoming()
        self._changed = threading.Condition()
        self._next = 0  # index of the sample that comes next
        self._unread = 0
        self._up_to_date = 0  # how often nothing had waited
        self._failure: RadioError | None = None
        self._block = LARGEST_READ
        self._window_s, self._window_samples = time.monotonic(), 0
        self._silent_s = 0.0
        self._lives = device.lives
        self._last_s = time.monotonic()
        self._thread = threading.Thread(target=self._run, name=f"{NAME} from {options.args}", daemon=True)
        self._thread.start()

    @property
    def position(self) -> int:
        """Return the index of the sample that is taken next."""
        with self._changed:
            return self._incoming.position

    def take(self, count: int, within_s: float) -> Block:
        """Wait until there are so many samples, or time is up; return what there is."""
        with self._changed:
            self._changed.wait_for(lambda: self._incoming.holds(count) or self._device.closing.is_set(), within_s)
            self._device.require_open()
            block = self._incoming.take(count)
            self._unread -= block.samples.size
            return block

    def flush(self) -> None:
        """Forget all that has come, once nothing waits in the device."""
        with self._changed:
            twice = self._up_to_date + 2  # the second time has begun after now
            self._changed.wait_for(lambda: self._up_to_date >= twice or self._device.closing.is_set(), FLUSH_S)
            self._forget()

    def close(self) -> None:
        """End the thread."""
        with self._changed:
            self._changed.notify_all()
        self._thread.join()

    def _run(self) -> None:
        while not self._device.closing.is_set():
            samples, began_s = np.empty(self._block, dtype=np.complex64), time.monotonic()
            try:
                code = self._device.read(samples, READ_US)
            except RadioError:
                return  # closed meanwhile
            now_s = time.monotonic()
            with self._changed:
                self._heard(samples[: max(code, 0)], code, now_s - began_s, now_s - self._last_s)
                self._changed.notify_all()
            self._last_s = now_s
            if code <= 0:
                self._device.closing.wait(PAUSE_S)  # a module may return at once
            self._replace_what_is_silent(code, now_s - began_s)

    def _heard(self, samples: Samples, code: int, read_s: float, since_s: float) -> None:
        """Take note of what a read gave, and of what it did not."""
        if self._device.lives != self._lives:
            self._began_anew()
        elif code == self._device.overflow or since_s > self._options.holds_s:
            self._lost(f"not read for {since_s:.3g} s" if code != self._device.overflow else "an overflow")
            return
        self._incoming.append(samples)
        self._next, self._unread = self._next + samples.size, self._unread + samples.size
        if self._unread > UNREAD_SAMPLES:
            self._forget()
        if samples.size:
            self._block = min(2 * self._block, LARGEST_READ)
        elif code < 0:
            self._block = max(self._block // 2, 1)
        self._up_to_date += not samples.size or self._has_window_passed(samples.size)

    def _has_window_passed(self, size: int) -> bool:
        """Return whether a while has passed in which no more came than can have been received meanwhile."""
        self._window_samples += size
        lasted_s = time.monotonic() - self._window_s
        if lasted_s < WINDOW_S:
            return False
        came, self._window_samples = self._window_samples, 0
        self._window_s += lasted_s
        return came <= BACKLOG * self._device.rate_hz * lasted_s + LARGEST_READ

    def _began_anew(self) -> None:
        self._lives = self._device.lives
        self._incoming.broken()  # nobody says how many were lost
        ahead = -(self._next + 1) % self._options.counted if self._options.counted else 0
        self._incoming.lost(ahead)
        self._next += 1 + ahead

    def _lost(self, why: str) -> None:
        if self._options.counted:
            self._device.open_again(self._lives, why)
        else:
            self._incoming.broken()
            self._next += 1

    def _forget(self) -> None:
        self._incoming.clear()
        self._unread = 0

    def _replace_what_is_silent(self, code: int, read_s: float) -> None:
        if code > 0 or code == self._device.overflow:
            self._silent_s = 0.0
            return
        self._silent_s += read_s + PAUSE_S
        if self._silent_s > self._options.patience_s:
            self._silent_s = 0.0
            self._device.open_again(self._lives, f"nothing came for {self._options.patience_s:g} s", code)
