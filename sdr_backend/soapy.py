"""The radio driver ``soapy``: any device that SoapySDR has a module for (shell).

What is transmitted must not stop, or time at the receiver goes on while indices do not: a thread feeds the device without end,
zeros where nothing is to be sent, a little ahead of this machine's clock. A device whose clock is faster runs empty after a
while, which a receiver sees as a shift of all frames. Some modules return from a read all that was asked for or nothing, and
keep the kernel's buffer from emptying meanwhile: a read that times out is repeated for half as many samples, down to one.
"""

import logging
import threading
import time
from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
from msgspec import Meta

from protocol.testbed import Positive
from sdr_backend.drivers import Options, OptionValue, checked_options
from sdr_backend.incoming import Incoming
from sdr_backend.radio import Block, RadioError, Samples, checked_samples
from sdr_backend.schedule import Schedule
from sdr_backend.soapy_binding import soapy_binding

logger = logging.getLogger(__name__)

NAME = "soapy"
LARGEST_READ = 1024  # samples; of larger ones some modules never get all
READ_US = 2000  # a read that finds too little sleeps as long
FLUSH_S, WINDOW_S = 5.0, 0.02  # how long samples are thrown away at most, and over what time their rate is taken
BACKLOG = 1.2  # times the sample rate: what comes faster has waited
WRITE = 1024  # samples handed on at once
WRITE_US = 100_000
PAUSE_S = 0.0005


class SoapyOptions(Options, frozen=True):
    """What SoapySDR is asked for: `args` as its tools take them, e.g. ``driver=redpitaya,addr=192.168.1.2,port=1001``.

    The device is fed `ahead_s` ahead of time. One that gives or takes nothing for `patience_s` is opened anew.
    """

    args: Annotated[str, Meta(min_length=1)]
    rate_hz: Positive
    frequency_hz: Positive
    gain_db: float | None = None
    channel: Annotated[int, Meta(ge=0)] = 0
    transmit: bool = True
    receive: bool = True
    ahead_s: Positive = 0.05
    patience_s: Positive = 3.0

    def __post_init__(self) -> None:
        if not self.transmit and not self.receive:
            raise ValueError("expected transmit or receive to be true, got neither")


class SoapyRadio:
    """One channel of a SoapySDR device."""

    def __init__(self, options: Mapping[str, OptionValue]) -> None:
        self._options = checked_options(NAME, options, SoapyOptions)
        self._device = _Device(self._options)
        self._feeder = _Feeder(self._device, self._options) if self._options.transmit else None
        self._incoming = Incoming()
        self._block = LARGEST_READ
        self._silent_s = 0.0  # while somebody listened
        self._lives = self._device.lives

    @property
    def rate_hz(self) -> float:
        """Return the device's sample rate."""
        return self._device.rate_hz

    @property
    def transmitted(self) -> int:
        """Return how many samples were handed on."""
        return 0 if self._feeder is None else self._feeder.position

    @property
    def received(self) -> int:
        """Return the index of the sample that `receive` returns next."""
        return self._incoming.position

    def transmit(self, samples: Samples, at: int | None = None) -> int:
        """Have samples handed on when their time comes."""
        if self._feeder is None:
            raise RadioError(f"{NAME}: expected transmit: true before anything is sent, got false")
        return self._feeder.add(checked_samples(samples), at)

    def drain(self, within_s: float) -> bool:
        """Wait until what was to be sent was handed on, and as much longer as it takes at the sample rate."""
        return self._feeder is None or self._feeder.drain(within_s)

    def receive(self, count: int, within_s: float) -> Block:
        """Read until there are `count` samples, or time is up."""
        if not self._options.receive:
            raise RadioError(f"{NAME}: expected receive: true before anything is heard, got false")
        until_s = time.monotonic() + within_s
        while not self._incoming.holds(count) and time.monotonic() < until_s:
            self._read(min(count, self._block), READ_US)
        return self._incoming.take(count)

    def _read(self, size: int, within_us: int) -> int:
        """Read once; return what SoapySDR says: how many samples came, or an error below zero."""
        samples, began_s = np.empty(size, dtype=np.complex64), time.monotonic()
        code = self._device.read(samples, within_us)
        if self._device.lives != self._lives:
            self._lives = self._device.lives
            self._incoming.broken()
        if code > 0:
            self._incoming.append(samples[:code])
            self._block, self._silent_s = min(2 * self._block, LARGEST_READ), 0.0
            return code
        if code == self._device.overflow:
            self._incoming.broken()  # nobody says how many were lost
            return code
        self._block = max(self._block // 2, 1)
        self._device.closing.wait(PAUSE_S)  # a module may return at once
        self._silent_s += time.monotonic() - began_s
        if self._silent_s > self._options.patience_s:
            self._silent_s = 0.0
            self._device.open_again(self._lives, f"nothing came for {self._options.patience_s:g} s", code)
        return code

    def flush(self) -> None:
        """Forget what is scheduled; read and forget until samples come no faster than they are sent."""
        if self._feeder is not None:
            self._feeder.clear()
        until_s = time.monotonic() + (FLUSH_S if self._options.receive else 0.0)
        while time.monotonic() < until_s and self._has_waited():
            continue
        self._incoming.clear()

    def _has_waited(self) -> bool:
        """Read for a while, and return whether more came than can have been sent meanwhile."""
        began_s, came = time.monotonic(), 0
        while (lasted_s := time.monotonic() - began_s) < WINDOW_S:
            came += max(0, self._read(self._block, READ_US))
        return came > BACKLOG * self.rate_hz * lasted_s + LARGEST_READ

    def close(self) -> None:
        """Close streams and device."""
        self._device.closing.set()
        if self._feeder is not None:
            self._feeder.close()
        self._device.close()


class _Device:
    """SoapySDR's device, which is opened anew when it is lost; one thread reads, another one writes."""

    def __init__(self, options: SoapyOptions) -> None:
        self.closing = threading.Event()
        self.lives = 0  # how often it was opened
        self.rate_hz = options.rate_hz
        self._options, self._soapy = options, soapy_binding()
        self._soapy.setLogLevel(self._soapy.SOAPY_SDR_ERROR)
        self.overflow = int(self._soapy.SOAPY_SDR_OVERFLOW)
        self._reading, self._writing = threading.Lock(), threading.Lock()
        self._device: Any = None
        self._open()

    def _open(self) -> None:
        options, soapy = self._options, self._soapy
        self._in = self._out = None
        try:
            self._device = soapy.Device(options.args)
            self._in = self._stream(soapy.SOAPY_SDR_RX) if options.receive else None
            self._out = self._stream(soapy.SOAPY_SDR_TX) if options.transmit else None
        except (RuntimeError, ValueError) as error:  # what the binding makes of C++ exceptions
            self._shut()
            raise RadioError(f"{NAME}: cannot open {options.args!r}: {error}") from error
        self.lives += 1

    def _stream(self, direction: int) -> Any:
        options, device = self._options, self._device
        device.setSampleRate(direction, options.channel, options.rate_hz)
        device.setFrequency(direction, options.channel, options.frequency_hz)
        if options.gain_db is not None:
            device.setGain(direction, options.channel, options.gain_db)
        self.rate_hz = float(device.getSampleRate(direction, options.channel))
        stream = device.setupStream(direction, self._soapy.SOAPY_SDR_CF32, [options.channel])
        status = device.activateStream(stream)
        if status not in {0, None}:
            raise RuntimeError(f"activateStream: {self._soapy.errToStr(status)}")
        return stream

    def read(self, samples: Samples, within_us: int) -> int:
        """Read into `samples`; return how many came, or SoapySDR's error, below zero."""
        with self._reading:
            self._require_open()
            if self._device is None:
                return -1
            return int(self._device.readStream(self._in, [samples], samples.size, 0, within_us).ret)

    def write(self, samples: Samples) -> int:
        """Write some of `samples`; return how many, or SoapySDR's error, below zero."""
        with self._writing:
            self._require_open()
            if self._device is None:
                return -1
            return int(self._device.writeStream(self._out, [samples], samples.size, 0, 0, WRITE_US).ret)

    def open_again(self, lives: int, why: str, code: int) -> None:
        """Replace a device that is lost, unless the other thread has; as long as there is none, nothing comes or goes."""
        with self._writing, self._reading:
            if self.lives != lives or self.closing.is_set():
                return
            text = str(self._soapy.errToStr(code))
            logger.warning("%s: %s (%s); opening %s again", NAME, why, text, self._options.args)
            self._shut()
            try:
                self._open()
            except RadioError as error:
                logger.warning("%s", error)

    def close(self) -> None:
        with self._writing, self._reading:
            self._shut()

    def _require_open(self) -> None:
        if self.closing.is_set():
            raise RadioError(f"{NAME}: expected an open radio, got one that was closed")

    def _shut(self) -> None:
        device, self._device = self._device, None
        if device is None:
            return
        for stream in (self._in, self._out):
            if stream is not None:
                device.deactivateStream(stream)
                device.closeStream(stream)
        device.close()  # SoapySDR gives out the same device again as long as anything refers to it


class _Feeder:
    """Hands samples on from a thread of its own, without end."""

    def __init__(self, device: _Device, options: SoapyOptions) -> None:
        self._device, self._options = device, options
        self._schedule = Schedule()
        self._changed = threading.Condition()
        self._due_s = time.monotonic()  # when all that was handed on will have left
        self._ends_s = 0.0  # the same of the last that was not zero for want of anything else
        self._thread = threading.Thread(target=self._feed, name=f"{NAME} {options.args}", daemon=True)
        self._thread.start()

    @property
    def position(self) -> int:
        return self._schedule.position

    def add(self, samples: Samples, at: int | None) -> int:
        with self._changed:
            return self._schedule.add(samples, at)

    def clear(self) -> None:
        with self._changed:
            self._schedule.clear()

    def drain(self, within_s: float) -> bool:
        until_s = time.monotonic() + within_s
        with self._changed:
            if not self._changed.wait_for(lambda: self._schedule.empty or self._device.closing.is_set(), within_s):
                return False
            ends_s = self._ends_s
        self._device.closing.wait(max(0.0, min(ends_s, until_s) - time.monotonic()))
        return ends_s <= until_s

    def _feed(self) -> None:
        while not self._device.closing.is_set():
            with self._changed:
                is_burst = not self._schedule.empty
                samples = self._schedule.take(WRITE)
                self._due_s = max(self._due_s, time.monotonic()) + WRITE / self._device.rate_hz
                self._ends_s = self._due_s if is_burst else self._ends_s
                self._changed.notify_all()
            self._hand_on(samples)
            self._device.closing.wait(max(0.0, self._due_s - time.monotonic() - self._options.ahead_s))

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

    def close(self) -> None:
        with self._changed:
            self._changed.notify_all()
        self._thread.join()
