"""SoapySDR's device for the radio driver ``soapy``: its options, its streams, and another one when it is lost (shell)."""

import logging
import threading
from typing import Annotated, Any

from msgspec import Meta

from protocol.testbed import Positive
from sdr_backend.drivers import Options
from sdr_backend.radio import RadioError, Samples
from sdr_backend.soapy_binding import soapy_binding

logger = logging.getLogger(__name__)

NAME = "soapy"
WRITE_US = 100_000


class SoapyOptions(Options, frozen=True):
    """What SoapySDR is asked for: `args` as its tools take them, e.g. ``driver=redpitaya,addr=192.168.1.2,port=1001``.

    The device is fed `ahead_s` ahead of time. One that gives or takes nothing for `patience_s` is opened anew. One that was not
    read for `holds_s` is taken to have lost samples. With `counted`, streams of all devices begin, by a common trigger, at
    multiples of so many samples in the transmitter's count; whatever loses samples then opens the device anew.
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
    holds_s: Positive = 1.0
    counted: Annotated[int, Meta(ge=0)] = 0

    def __post_init__(self) -> None:
        if not self.transmit and not self.receive:
            raise ValueError("expected transmit or receive to be true, got neither")


class SoapyDevice:
    """A device that is opened anew when it is lost; one thread reads, another one writes."""

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
            self.require_open()
            if self._device is None:
                return -1
            return int(self._device.readStream(self._in, [samples], samples.size, 0, within_us).ret)

    def write(self, samples: Samples) -> int:
        """Write some of `samples`; return how many, or SoapySDR's error, below zero."""
        with self._writing:
            self.require_open()
            if self._device is None:
                return -1
            return int(self._device.writeStream(self._out, [samples], samples.size, 0, 0, WRITE_US).ret)

    def open_again(self, lives: int, why: str, code: int = 0) -> None:
        """Replace a device that is lost, unless the other thread has; as long as there is none, nothing comes or goes."""
        with self._writing, self._reading:
            if self.lives != lives or self.closing.is_set():
                return
            reason = f" ({self._soapy.errToStr(code)})" if code else ""
            logger.warning("%s: %s%s; opening %s again", NAME, why, reason, self._options.args)
            self._shut()
            try:
                self._open()
            except RadioError as error:
                logger.warning("%s", error)

    def close(self) -> None:
        """Close streams and device."""
        with self._writing, self._reading:
            self._shut()

    def require_open(self) -> None:
        """Raise where the radio was closed."""
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
