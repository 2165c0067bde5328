"""The radio driver ``soapy``: any device that SoapySDR has a module for (shell).

Time goes on at a device whether samples are read and written or not, and most modules put no time to them: indices are counts
of what was read and handed on. A thread reads without end, another one writes. Where either may have lost samples by this
machine's clock, what was received is a block that is broken, and what is transmitted is of another stretch. A device whose
clock is faster than this machine's runs empty after a while all the same, which a receiver sees as a shift of all frames.
"""

from collections.abc import Mapping

from sdr_backend.drivers import OptionValue, checked_options
from sdr_backend.radio import Block, RadioError, Samples, checked_samples
from sdr_backend.soapy_device import NAME, SoapyDevice, SoapyOptions
from sdr_backend.soapy_feeder import Feeder
from sdr_backend.soapy_reader import Reader


class SoapyRadio:
    """One channel of a SoapySDR device."""

    def __init__(self, options: Mapping[str, OptionValue]) -> None:
        chosen = checked_options(NAME, options, SoapyOptions)
        self._device = SoapyDevice(chosen)
        self._feeder = Feeder(self._device, chosen) if chosen.transmit else None
        self._reader = Reader(self._device, chosen) if chosen.receive else None

    @property
    def rate_hz(self) -> float:
        """Return the device's sample rate."""
        return self._device.rate_hz

    @property
    def transmitted(self) -> int:
        """Return how many samples were handed on."""
        return 0 if self._feeder is None else self._feeder.position

    @property
    def stretch(self) -> int:
        """Return another number after samples were late by nobody knows what."""
        return 0 if self._feeder is None else self._feeder.stretch

    @property
    def received(self) -> int:
        """Return the index of the sample that `receive` returns next."""
        return 0 if self._reader is None else self._reader.position

    def transmit(self, samples: Samples, at: int | None = None) -> int:
        """Have samples handed on when their time comes."""
        if self._feeder is None:
            raise RadioError(f"{NAME}: expected transmit: true before anything is sent, got false")
        return self._feeder.add(checked_samples(samples), at)

    def drain(self, within_s: float) -> bool:
        """Wait until what was to be sent was handed on, and as much longer as it takes at the sample rate."""
        return self._feeder is None or self._feeder.drain(within_s)

    def receive(self, count: int, within_s: float) -> Block:
        """Wait until there are `count` samples, or time is up."""
        if self._reader is None:
            raise RadioError(f"{NAME}: expected receive: true before anything is heard, got false")
        return self._reader.take(count, within_s)

    def flush(self) -> None:
        """Forget what is scheduled, and all that has come."""
        if self._feeder is not None:
            self._feeder.clear()
        if self._reader is not None:
            self._reader.flush()

    def close(self) -> None:
        """Close streams and device."""
        self._device.closing.set()
        for worker in (self._feeder, self._reader):
            if worker is not None:
                worker.close()
        self._device.close()
