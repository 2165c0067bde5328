"""The radio driver ``soapy``: any device that SoapySDR has a module for (shell).

Some modules return from a read all that was asked for or nothing, and keep the kernel's buffer from emptying meanwhile: a read
that times out is repeated for half as many samples, down to one. Nothing tells when transmit and receive began against
each other, and a device that sends nothing while nothing is written has no index for that time: indices count what was written.
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
from sdr_backend.radio import Block, LateError, LostError, RadioError, Samples, checked_samples
from sdr_backend.soapy_binding import soapy_binding

logger = logging.getLogger(__name__)

NAME = "soapy"
LARGEST_READ = 1024  # samples; of larger ones some modules never get all
READ_US = 2000  # a read that finds too little sleeps as long
WRITE_US = 100_000
PAUSE_S = 0.0005
EMPTY_READS = 6  # until nothing waits to be read: those for 1024 to 32 samples, if one after the other is in vain
MAX_GAP = 1 << 25  # samples of zeros between two bursts; a quarter of a GiB


class SoapyOptions(Options, frozen=True):
    """What SoapySDR is asked for: `args` as its tools take them, e.g. ``driver=redpitaya,addr=192.168.1.2,port=1001``."""

    args: Annotated[str, Meta(min_length=1)]
    rate_hz: Positive
    frequency_hz: Positive
    gain_db: float | None = None
    channel: Annotated[int, Meta(ge=0)] = 0
    transmit: bool = True
    receive: bool = True
    patience_s: Positive = 3.0  # a device that falls silent for so long is opened anew

    def __post_init__(self) -> None:
        if not self.transmit and not self.receive:
            raise ValueError("expected transmit or receive to be true, got neither")


class SoapyRadio:
    """One channel of a SoapySDR device."""

    def __init__(self, options: Mapping[str, OptionValue]) -> None:
        self._options = checked_options(NAME, options, SoapyOptions)
        self._soapy = soapy_binding()
        self._soapy.setLogLevel(self._soapy.SOAPY_SDR_ERROR)
        self._closing = threading.Event()
        self._reading, self._writing = threading.Lock(), threading.Lock()
        self._incoming = Incoming()
        self._block = LARGEST_READ
        self._transmitted, self._rate_hz = 0, 0.0
        self._on_air_until_s = 0.0
        self._silent_s = 0.0  # while somebody listened
        self._device: Any = None
        self._open()

    # --- the device --------------------------------------------------------------------------------------------------

    def _open(self) -> None:
        options, soapy = self._options, self._soapy
        try:
            self._device = soapy.Device(options.args)
            streams = []
            for direction, wanted in ((soapy.SOAPY_SDR_RX, options.receive), (soapy.SOAPY_SDR_TX, options.transmit)):
                streams.append(self._stream(direction) if wanted else None)
            self._in, self._out = streams
        except (RuntimeError, ValueError) as error:  # what the binding makes of C++ exceptions
            self._device = None
            raise RadioError(f"{NAME}: cannot open {options.args!r}: {error}") from error

    def _stream(self, direction: int) -> Any:
        options, device = self._options, self._device
        device.setSampleRate(direction, options.channel, options.rate_hz)
        device.setFrequency(direction, options.channel, options.frequency_hz)
        if options.gain_db is not None:
            device.setGain(direction, options.channel, options.gain_db)
        self._rate_hz = float(device.getSampleRate(direction, options.channel))
        stream = device.setupStream(direction, self._soapy.SOAPY_SDR_CF32, [options.channel])
        status = device.activateStream(stream)
        if status not in {0, None}:
            raise RuntimeError(f"activateStream: {self._soapy.errToStr(status)}")
        return stream

    def _shut(self) -> None:
        device, self._device = self._device, None
        if device is None:
            return
        for stream in (self._in, self._out):
            if stream is not None:
                device.deactivateStream(stream)
                device.closeStream(stream)

    def _open_again(self, why: str) -> None:
        """Replace a device that is lost; as long as there is none, nothing comes and nothing can be sent.

        Both locks are held, the writer's taken first.
        """
        logger.warning("%s: %s; opening %s again", NAME, why, self._options.args)
        self._silent_s = 0.0
        self._incoming.broken()
        self._shut()
        try:
            self._open()
        except RadioError as error:
            logger.warning("%s", error)

    # --- the seam ----------------------------------------------------------------------------------------------------

    @property
    def rate_hz(self) -> float:
        """Return the device's sample rate."""
        return self._rate_hz

    @property
    def transmitted(self) -> int:
        """Return how many samples were written."""
        return self._transmitted

    @property
    def received(self) -> int:
        """Return the index of the sample that `receive` returns next."""
        return self._incoming.position

    def transmit(self, samples: Samples, at: int | None = None) -> int:
        """Write samples, after zeros up to the index `at`."""
        if not self._options.transmit:
            raise RadioError(f"{NAME}: expected transmit: true before anything is sent, got false")
        samples = checked_samples(samples)
        with self._writing:
            first = self._transmitted if at is None else at
            if first < self._transmitted:
                raise LateError(first, self._transmitted)
            if first - self._transmitted > MAX_GAP:
                raise ValueError(f"expected at most {MAX_GAP} samples of silence, got {first - self._transmitted}")
            self._write(np.zeros(first - self._transmitted, dtype=np.complex64))
            self._write(samples)
            return first

    def _write(self, samples: Samples) -> None:
        written, since_s = 0, time.monotonic()
        while written < samples.size:
            self._require_open()
            rest = samples[written:]
            done = (
                -1
                if self._device is None
                else self._device.writeStream(self._out, [rest], rest.size, 0, 0, WRITE_US).ret
            )
            if done > 0:
                written, since_s = written + done, time.monotonic()
                self._transmitted += done
                self._on_air_until_s = max(self._on_air_until_s, since_s) + done / self._rate_hz
            elif time.monotonic() - since_s > self._options.patience_s:
                with self._reading:
                    self._open_again("nothing could be sent")
                raise LostError(f"{NAME}: expected {self._options.args} to take samples, got {self._text(done)}")
            else:
                self._closing.wait(0.01)  # an error may come at once

    def drain(self, within_s: float) -> bool:
        """Wait as long as what was written takes at the sample rate: SoapySDR cannot tell."""
        left_s = self._on_air_until_s - time.monotonic()
        self._closing.wait(max(0.0, min(left_s, within_s)))
        return left_s <= within_s

    def receive(self, count: int, within_s: float) -> Block:
        """Read until there are `count` samples, or time is up."""
        if not self._options.receive:
            raise RadioError(f"{NAME}: expected receive: true before anything is heard, got false")
        until_s = time.monotonic() + within_s
        while not self._incoming.holds(count) and time.monotonic() < until_s:
            with self._reading:
                self._require_open()
                code = self._read(min(count, self._block), READ_US)
            if self._silent_s > self._options.patience_s:
                with self._writing, self._reading:
                    self._open_again(f"nothing came for {self._options.patience_s:g} s ({self._text(code)})")
        return self._incoming.take(count)

    def _read(self, size: int, within_us: int) -> int:
        """Read once; return what SoapySDR says: how many samples came, or an error below zero."""
        began_s = time.monotonic()
        samples = np.empty(size, dtype=np.complex64)
        code = -1 if self._device is None else int(self._device.readStream(self._in, [samples], size, 0, within_us).ret)
        if code > 0:
            self._incoming.append(samples[:code])
            self._block = min(2 * self._block, LARGEST_READ)
            self._silent_s = 0.0
            return code
        if code == self._soapy.SOAPY_SDR_OVERFLOW:
            self._incoming.broken()  # nobody says how many were lost
            return code
        self._block = max(self._block // 2, 1)
        self._closing.wait(PAUSE_S)  # a module may return at once
        self._silent_s += time.monotonic() - began_s
        return code

    def flush(self) -> None:
        """Read and forget until nothing is left, a second's worth at most."""
        if not self._options.receive:
            return
        with self._reading:
            behind, left = EMPTY_READS, int(self._rate_hz)
            while behind and left > 0 and not self._closing.is_set():
                code = self._read(self._block, 0)
                left -= max(code, 0)
                behind -= code <= 0
            self._incoming.clear()

    def _require_open(self) -> None:
        if self._closing.is_set():
            raise RadioError(f"{NAME}: expected an open radio, got one that was closed")

    def _text(self, code: int) -> str:
        return str(self._soapy.errToStr(code))

    def close(self) -> None:
        """Close streams and device."""
        self._closing.set()
        with self._writing, self._reading:
            self._shut()
