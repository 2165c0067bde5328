"""How well bursts are read against noise: rows to draw or to tabulate, one for each channel and ratio.

The ratio of signal to noise is that of `sweep_mean`: white noise against the mean power over all subcarriers. Every burst
comes through a channel of its own, every stream has a carrier offset of its own.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.signal import fftconvolve

from sdr_backend.ofdm import SYMBOLS, FrameLayout, Modulator
from sdr_backend.synchronisation import Burst, BurstDetector
from sdr_backend.tag import Tag

ComplexArray = npt.NDArray[np.complex128]
Taps = Callable[[np.random.Generator, FrameLayout], ComplexArray]

LARGEST_OFFSET_SPACINGS = 0.4
_ECHOES = 4
_BURSTS_PER_STREAM = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class CurveRow:
    """Errors at one ratio of signal to noise, rms over the bursts whose tag was read right.

    `timing_rms_samples` is the error of the average path's place, `channel_rms` that of a subcarrier relative to the
    mean amplitude. `carrier_theory_spacings` is that of the best estimate from an unknown channel seen five times, which
    noise times noise keeps off the Cramer-Rao bound at low ratios; `channel_theory` is the noise of a mean of five.
    """

    channel: str
    snr_db: float
    sent: int
    read: int
    misread: int
    timing_rms_samples: float
    carrier_rms_spacings: float
    carrier_theory_spacings: float
    channel_rms: float
    channel_theory: float

    @property
    def read_share(self) -> float:
        """Return the share of bursts that were found and read."""
        return self.read / self.sent


def flat(rng: np.random.Generator, _layout: FrameLayout) -> ComplexArray:
    """Return a channel that is the same on all subcarriers, ``(tap,)``."""
    tap: ComplexArray = np.exp(2j * np.pi * rng.random(1))
    return tap


def echoes(rng: np.random.Generator, layout: FrameLayout) -> ComplexArray:
    """Return paths all over the prefix, the strongest with half the power, ``(tap,)`` of unit mean power."""
    taps = np.zeros(layout.cyclic_prefix + 1, dtype=np.complex128)
    strongest, *others = rng.choice(taps.size, 1 + _ECHOES, replace=False)
    gain = rng.standard_normal((_ECHOES, 2)) @ (1, 1j)
    taps[others] = gain / np.linalg.norm(gain)
    taps[strongest] = np.exp(2j * np.pi * rng.random())
    taps /= np.sqrt(2)
    return taps


def rainbow(rng: np.random.Generator, layout: FrameLayout) -> ComplexArray:
    """Return a beam that a twentieth of the subcarriers reach the UE by, ``(tap,)``, of unit mean power."""
    return _beam(rng, layout, 0.05)


def focused(rng: np.random.Generator, layout: FrameLayout) -> ComplexArray:
    """Return a beam that a hundredth of the subcarriers reach the UE by, as where it is focused, ``(tap,)``."""
    return _beam(rng, layout, 0.01)


def _beam(rng: np.random.Generator, layout: FrameLayout, share: float) -> ComplexArray:
    """Return a beam whose power is above its half on this share of the subcarriers: a Gaussian there and over the taps."""
    deviation_cycles = share / (2 * np.sqrt(np.log(2)))  # of the amplitude
    deviation = 1 / (2 * np.pi * deviation_cycles)
    half = int(np.ceil(7 * deviation))  # exp(-49/2) is less than the rounding of cf32
    tap = np.arange(-half, half + 1)
    beam = np.exp(-((tap / deviation) ** 2) / 2 + 2j * np.pi * (rng.random() * tap + rng.random()))
    late = int(rng.integers(layout.cyclic_prefix - 2 * half))
    return np.asarray(np.pad(beam / np.linalg.norm(beam), (late, 0)), dtype=np.complex128)


CHANNELS: Mapping[str, Taps] = {"flat": flat, "echoes": echoes, "rainbow": rainbow, "focused": focused}


def curve(
    layout: FrameLayout, channel: str, snr_db: Sequence[float], bursts: int, rng: np.random.Generator
) -> Iterator[CurveRow]:
    """Yield a row for each ratio, from so many bursts each, rounded up to whole streams."""
    for ratio_db in snr_db:
        streams = [_Stream(layout, CHANNELS[channel], ratio_db, rng) for _ in range(-(-bursts // _BURSTS_PER_STREAM))]
        yield _row(layout, channel, ratio_db, streams)


class _Stream:
    """Bursts that were sent, those that were found, and by how much these are wrong."""

    def __init__(self, layout: FrameLayout, channel: Taps, snr_db: float, rng: np.random.Generator) -> None:
        self._layout = layout
        self._offset_spacings = rng.uniform(-LARGEST_OFFSET_SPACINGS, LARGEST_OFFSET_SPACINGS)
        self._start = int(rng.integers(layout.frame_samples))
        self._taps = [channel(rng, layout) for _ in range(_BURSTS_PER_STREAM)]
        self._tags = [Tag.of(int(rng.integers(2**32)), k, _BURSTS_PER_STREAM) for k in range(_BURSTS_PER_STREAM)]
        found = BurstDetector(layout).heard(self._received(snr_db, rng), 0)
        self.found = [burst for burst in found if burst.tag == self._sent(burst)]
        self.misread = len(found) - len(self.found)

    def _number(self, burst: Burst) -> int:
        late = burst.first_index + burst.delay_samples - self._start
        return round((late - self._layout.cyclic_prefix / 2) / self._layout.frame_samples)

    def _sent(self, burst: Burst) -> Tag | None:
        number = self._number(burst)
        return self._tags[number] if 0 <= number < len(self._tags) else None

    def _received(self, snr_db: float, rng: np.random.Generator) -> ComplexArray:
        layout, modulator = self._layout, Modulator(self._layout)
        received = np.zeros(self._start + (len(self._tags) + 2) * layout.frame_samples, dtype=np.complex128)
        for k, (tag, taps) in enumerate(zip(self._tags, self._taps, strict=True)):
            heard = fftconvolve(modulator.burst(tag), taps)
            received[self._start + k * layout.frame_samples :][: heard.size] += heard
        received *= np.exp(2j * np.pi * self._offset_spacings / layout.subcarriers * np.arange(received.size))
        deviation = layout.amplitude * 10 ** (-snr_db / 20) / np.sqrt(2)
        received += deviation * (rng.standard_normal((received.size, 2)) @ (1, 1j))
        return received

    def timing_error_samples(self, burst: Burst) -> float:
        """Return how much too late the average path is said to come."""
        number = self._number(burst)
        power = np.abs(self._taps[number]) ** 2
        sent = self._start + number * self._layout.frame_samples + power @ np.arange(power.size) / power.sum()
        return float(burst.first_index + burst.delay_samples - sent)

    def carrier_error_spacings(self, burst: Burst) -> float:
        """Return how much too high the carrier offset is said to be."""
        return burst.carrier_offset_spacings - self._offset_spacings

    def channel_error_power(self, burst: Burst) -> float:
        """Return the mean power of the channel's error."""
        count, number = self._layout.subcarriers, self._number(burst)
        late = self._start + number * self._layout.frame_samples - burst.first_index
        turns = self._offset_spacings * burst.first_index / count - np.arange(count) * late / count
        truth = np.fft.fft(self._taps[number], count) * np.exp(2j * np.pi * turns)
        return float(np.mean(np.abs(burst.channel - truth) ** 2))


def _row(layout: FrameLayout, channel: str, snr_db: float, streams: Sequence[_Stream]) -> CurveRow:
    found = [(stream, burst) for stream in streams for burst in stream.found]
    ratio, count = 10 ** (snr_db / 10), layout.subcarriers
    information = 2 * count * ratio * SYMBOLS * np.var(np.array(layout.symbol_starts) / count)
    information /= 1 + 1 / (SYMBOLS * ratio)
    return CurveRow(
        channel=channel,
        snr_db=snr_db,
        sent=len(streams) * _BURSTS_PER_STREAM,
        read=len(found),
        misread=sum(stream.misread for stream in streams),
        timing_rms_samples=_rms([stream.timing_error_samples(burst) for stream, burst in found]),
        carrier_rms_spacings=_rms([stream.carrier_error_spacings(burst) for stream, burst in found]),
        carrier_theory_spacings=float(1 / (2 * np.pi * np.sqrt(information))),
        channel_rms=float(np.sqrt(np.mean([stream.channel_error_power(burst) for stream, burst in found] or [np.nan]))),
        channel_theory=float(np.sqrt(1 / (SYMBOLS * ratio))),
    )


def _rms(errors: Sequence[float]) -> float:
    return float(np.sqrt(np.mean(np.square(errors)))) if errors else float("nan")
