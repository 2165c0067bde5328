"""The `Radio` seam: complex samples out and in, each with an index in a counter that only grows.

A driver is a callable registered under the entry-point group ``nftestbed.radios``; it takes the options of the testbed file.
Samples are complex64, full scale is 1. All calls block; one thread may transmit while another one receives.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from sdr_backend.drivers import OptionValue, driver

Samples = npt.NDArray[np.complex64]
ENTRY_POINTS = "nftestbed.radios"


class RadioError(Exception):
    """The radio cannot do what it was asked for, for good; the text says which driver and why."""


class LateError(Exception):
    """Samples were to be sent at an index that the transmitter has passed."""

    def __init__(self, at: int, transmitted: int) -> None:
        super().__init__(f"expected an index from {transmitted} on, got {at}, which has been sent already")
        self.transmitted = transmitted


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Received samples without a gap, ``(sample,)``, and the index of the first one.

    ``overrun`` counts the samples that were lost right before; the index counts them too. A loss of unknown length counts as
    one, and the block is ``broken``: nothing is known any more of the transmitter's indices. A block that holds no samples has
    lost none.
    """

    samples: Samples
    first_index: int
    overrun: int = 0
    broken: bool = False


class Radio(Protocol):
    """A transmitter, a receiver, or both."""

    @property
    def rate_hz(self) -> float:
        """Return the sample rate, which is the device's where it differs from the one asked for."""

    @property
    def transmitted(self) -> int:
        """Return the index of the sample that leaves next; zeros sent for want of anything else count."""

    @property
    def stretch(self) -> int:
        """Return which stretch of that counter this is, 0 .. 255: 0 for ever where it never breaks.

        Another stretch has begun when samples were late by nobody knows what. No burst that was given in an earlier one is sent
        as a whole then, and indices that lay ahead in it have passed.
        """

    @property
    def received(self) -> int:
        """Return the index of the sample that `receive` returns next; lost ones count."""

    def transmit(self, samples: Samples, at: int | None = None) -> int:
        """Send samples, ``(sample,)``, from the index `at` on, or as soon as possible.

        Returns
        -------
        at
            The index of the first one.

        Raises
        ------
        LateError
            If the transmitter has passed that index.
        RadioError
            If it cannot transmit.
        """

    def drain(self, within_s: float) -> bool:
        """Wait until all that was to be sent has left; return whether it has."""

    def receive(self, count: int, within_s: float) -> Block:
        """Return at most `count` samples: fewer at a gap, and where no more come in time.

        Raises
        ------
        RadioError
            If it cannot receive.
        """

    def flush(self) -> None:
        """Forget what was to be sent and has not left, and what came and was not read."""

    def close(self) -> None:
        """Release the device; idempotent. Whoever waits in another thread is let go."""


RadioFactory = Callable[[Mapping[str, OptionValue]], Radio]


def opened_radio(name: str, options: Mapping[str, OptionValue]) -> Radio:
    """Return the radio of the driver with this name.

    Raises
    ------
    LookupError
        If there is no such driver.
    ValueError
        If the options do not fit it.
    RadioError
        If the device cannot be had.
    """
    factory: RadioFactory = driver(ENTRY_POINTS, "radio", name)
    return factory(options)


def checked_samples(samples: Samples) -> Samples:
    """Return samples to be sent as a contiguous array of complex64, ``(sample,)``.

    Raises
    ------
    ValueError
        If they have another shape, or one is not finite.
    """
    if samples.ndim != 1:
        raise ValueError(f"expected samples of one axis, got the shape {samples.shape}")
    if not np.isfinite(samples).all():
        raise ValueError("expected finite samples, got some that are not")
    return np.ascontiguousarray(samples, dtype=np.complex64)
