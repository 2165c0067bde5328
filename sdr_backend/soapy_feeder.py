"""What a SoapySDR device transmits, handed on by a thread of its own without end, zeros where nothing is to be sent (shell).

The device is fed a little ahead of this machine's clock. Where more than half of that was lost, the device may have run empty,
and all that follows is late by nobody knows what: a new stretch of the counter begins, and what is left of bursts of the old
one is not sent, so that none is heard as a whole at a time that it does not belong to.
"""

import threading
import time

from sdr_backend.radio import RadioError, Samples
from sdr_backend.schedule import Schedule
from sdr_backend.soapy_device import NAME, SoapyDevice, SoapyOptions

WRITE = 512  # samples handed on at once, fewer than a burst has
PAUSE_S = 0.0005
STRETCHES = 255  # told apart; 0 is of radios whose counter never breaks
JUMP = 1 << 24  # samples between two stretches: no burst was meant for one of them


class Feeder:
    """Hands on bursts at their indices."""

    def __init__(self, device: SoapyDevice, options: SoapyOptions) -> None:
        self._device, self._options = device, options
        self._schedule = Schedule()
        self._changed = threading.Condition()
        self._stretch = int(time.time())  # another one than that of a process that has just been killed
        self._lives = device.lives
        self._ahead_samples = int(options.ahead_s * device.rate_hz)
        self._is_running = False  # the device has samples of this stretch
        self._due_s = time.monotonic()  # when all that was handed on will have left
        self._ends_s = 0.0  # the same of the last that was not zero for want of anything else
        self._thread = threading.Thread(target=self._feed, name=f"{NAME} to {options.args}", daemon=True)
        self._thread.start()

    @property
    def position(self) -> int:
        """Return the index of the sample that is handed on next."""
        return self._schedule.position

    @property
    def stretch(self) -> int:
        """Return which stretch of the counter that is."""
        return 1 + self._stretch % STRETCHES

    def add(self, samples: Samples, at: int | None) -> int:
        """Have samples handed on when their time comes."""
        with self._changed:
            return self._schedule.add(samples, at)

    def clear(self) -> None:
        """Forget what is not handed on yet."""
        with self._changed:
            self._schedule.clear()

    def drain(self, within_s: float) -> bool:
        """Wait until all was handed on and has left; return whether it has."""
        until_s = time.monotonic() + within_s
        with self._changed:
            if not self._changed.wait_for(lambda: self._schedule.empty or self._device.closing.is_set(), within_s):
                return False
            ends_s = self._ends_s
        self._device.closing.wait(max(0.0, min(ends_s, until_s) - time.monotonic()))
        return ends_s <= until_s

    def close(self) -> None:
        """End the thread."""
        with self._changed:
            self._changed.notify_all()
        self._thread.join()

    def _feed(self) -> None:
        while not self._device.closing.is_set():
            with self._changed:
                count = WRITE
                if not self._is_running:  # zeros at once, all the way ahead
                    self._due_s, count = time.monotonic(), max(WRITE, self._ahead_samples)
                empty_s, is_burst = self._due_s, not self._schedule.empty
                samples = self._schedule.take(count)
                self._due_s += count / self._device.rate_hz
                self._ends_s = self._due_s if is_burst else self._ends_s
                self._changed.notify_all()
            self._hand_on(samples)
            self._look_back(empty_s)
            self._device.closing.wait(max(0.0, self._due_s - time.monotonic() - self._options.ahead_s))

    def _look_back(self, empty_s: float) -> None:
        """Begin a new stretch if the device had not enough left when this was handed on, or was opened anew."""
        counted = max(1, self._options.counted)
        if self._lives != self._device.lives:
            self._lives = self._device.lives
            self._begin_stretch(JUMP + -(self._schedule.position + JUMP) % counted)  # streams begin with such an index
        elif self._is_running and time.monotonic() > empty_s - self._options.ahead_s / 2:  # it is not there at once
            self._begin_stretch(JUMP + -JUMP % counted)
        else:
            self._is_running = True

    def _begin_stretch(self, jump: int) -> None:
        with self._changed:
            self._stretch += 1  # first: whoever sees an index of the new stretch sees its number too
            self._schedule.clear()
            self._schedule.position += jump
            self._is_running = False
            self._changed.notify_all()

    def _hand_on(self, samples: Samples) -> None:
        """Write all samples; to a device that takes none for too long, they are lost."""
        written, since_s, lives, code = 0, time.monotonic(), self._device.lives, 0
        while written < samples.size and not self._device.closing.is_set():
            try:
                code = self._device.write(samples[written:])
            except RadioError:
                return  # closed meanwhile
            if code > 0:
                written, since_s = written + code, time.monotonic()
            elif time.monotonic() - since_s > self._options.patience_s:
                self._device.open_again(lives, "nothing could be sent", code)
                return
            else:
                self._device.closing.wait(PAUSE_S)  # an error may come at once
