"""One burst's samples, of one antenna or of several, to carrier offset, timing, tag and channel: arrays in, values out.

The transform of a window that starts within the cyclic prefix sees no neighbouring symbol. A rough place of the burst is
made a place in the middle of that freedom by the response between its first and last path; where the window stands is
then taken out of the channel again. The offset of the carrier is found twice: roughly from both preambles, before any
transform, so that nothing leaks between subcarriers; then from all symbols, which are known once the tag is read. Antennas
have one oscillator and one clock: place, offset and tag are those on which all of them agree best, and what differs between
antennas is left to their channels.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.fft
from scipy.ndimage import uniform_filter1d

from sdr_backend.ofdm import PREAMBLES, SYMBOLS, TAGS, FrameLayout, pilot_spectrum, preamble_spectrum
from sdr_backend.steadiness import is_one_channel
from sdr_backend.tag import Tag, modulation_from_tag, tag_from_likelihood

ComplexArray = npt.NDArray[np.complex128]
Floats = npt.NDArray[np.float64]
Samples = npt.NDArray[np.complex64]

_KNOWN = [k for k in range(SYMBOLS) if k not in range(TAGS.start, TAGS.stop)]
# Noise alone exceeds this multiple of its mean on some tap of 2048 in one burst of a hundred: ln(2048 100).
_TAP_OVER_NOISE = 12.2
# What of a tap's power counts for its delay: one tap of 3000 passes by noise, by which no path is moved.
_TAP_OUTSTANDING = 8.0
# Weaker taps are not told from the rounding of cf32 samples.
_TAP_OVER_STRONGEST = 1e-12
# The part of the band whose subcarriers are taken to be equally loud when the tag is read.
_EQUALLY_LOUD = 1 / 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Demodulated:
    """What one burst holds; places are counted from the first of the samples given.

    `arrival` is where the burst starts on the average of its paths, by power; `spectrum` is the channel as a burst would have
    it that starts at `window`, ``(subcarrier,)`` or ``(antenna, subcarrier)``, and `noise_variance` the variance of each of its
    entries, their mean over antennas.
    """

    tag: Tag
    arrival: float
    window: int
    carrier_offset_spacings: float
    spectrum: ComplexArray
    noise_variance: float

    def channel_from(self, first: int) -> ComplexArray:
        """Return the channel as a burst has it that starts at this place, in the shape of `spectrum`.

        A path that comes ``d`` samples later turns subcarrier ``m`` of ``M`` by ``exp(-j 2 pi m d / M)``. The carrier's
        phase is that at this place.
        """
        count, later = self.spectrum.shape[-1], self.window - first
        turns = (np.arange(count) * later) % count / count  # whole numbers before the division: exact
        turns += self.carrier_offset_spacings * later / count
        channel: ComplexArray = self.spectrum * np.exp(-2j * np.pi * turns)
        return channel


class Demodulator:
    """Reads bursts of one layout."""

    def __init__(self, layout: FrameLayout) -> None:
        count = layout.subcarriers
        self._layout = layout
        self._starts = np.array(layout.symbol_starts)
        self._middles = (self._starts + (count - 1) / 2) / count
        # of an orthonormal transform; what is left of a unit channel is one
        preamble = preamble_spectrum(count).conj() / layout.amplitude
        pilot = pilot_spectrum(count).conj() / layout.amplitude
        self._unmodulate = np.stack([preamble] * PREAMBLES + [pilot] * (SYMBOLS - PREAMBLES))

    def demodulate(self, samples: Samples, repeats: int) -> Demodulated | None:
        """Return what the burst holds whose samples repeat themselves one symbol later from there on.

        Parameters
        ----------
        samples
            ``(sample,)`` or ``(antenna, sample)``.
        repeats
            A place within the first prefix or near it; at least two symbols follow.

        Returns
        -------
        demodulated
            None if there is no burst, it is not all there, its tag cannot be read or its symbols passed two channels.
        """
        return self.demodulate_from(samples, self._placed(samples, repeats))

    def demodulate_from(self, samples: Samples, window: int) -> Demodulated | None:
        """Return what the burst holds all of whose paths come within a prefix from this place on; see `demodulate`."""
        if window + self._starts[0] < 0 or window + self._layout.burst_samples > samples.shape[-1]:
            return None
        offset, symbols = self._symbols(samples, window)
        rough_rad = self._turn_back(symbols)
        delay, tag = self._delay_and_tag(symbols)
        if tag is None:
            return None
        symbols[TAGS] *= _beside(modulation_from_tag(tag, symbols.shape[-1]).conj(), symbols)
        rest_rad = _rate_rad(symbols, self._middles)
        symbols *= _beside(np.exp(-1j * rest_rad * self._middles)[:, np.newaxis], symbols)
        if not is_one_channel(symbols.reshape(len(symbols), -1)):
            return None
        spectrum, variance = _mean_and_variance(symbols)
        return Demodulated(
            tag=tag,
            arrival=window + delay,
            window=window,
            carrier_offset_spacings=offset + (rough_rad + rest_rad) / (2 * np.pi),
            spectrum=spectrum,
            noise_variance=variance,
        )

    def _placed(self, samples: Samples, repeats: int) -> int:
        """Return the start of a burst in whose prefix all paths lie, in the middle where several do."""
        count, prefix = self._layout.subcarriers, self._layout.cyclic_prefix
        first, second = (
            samples[..., repeats + k * count :][..., :count].astype(np.complex128) for k in range(PREAMBLES)
        )
        turn = np.angle(np.vdot(first, second))
        still = np.exp(-1j * turn * np.arange(count) / count)
        responses = scipy.fft.ifft(
            scipy.fft.fft(np.stack([first, second * np.exp(-1j * turn)]) * still, norm="ortho") * self._unmodulate[0]
        )
        response = responses.mean(axis=0)
        noise_power = np.mean(np.abs(responses[0] - responses[1]) ** 2) / 4  # of one tap of the mean
        # taps in the order of their delays after the place given, as far before the prefix as behind it
        before = (count - prefix) // 2
        power = np.roll(_over_antennas(np.abs(response) ** 2), before)
        power[power < max(_TAP_OVER_NOISE * noise_power, _TAP_OVER_STRONGEST * power.max())] = 0.0
        return repeats + _middle_of_best_run(power, prefix) - before - prefix

    def _turn_back(self, symbols: ComplexArray) -> float:
        """Turn the symbols so that preamble and pilot have one phase; return the turn in the time of one symbol."""
        # all but a tenth of a spacing is gone already, which leaves less than half a turn between them
        apart = self._middles[-1] - self._middles[PREAMBLES - 1]
        rate_rad = float(np.angle(np.vdot(symbols[PREAMBLES - 1], symbols[-1])) / apart)
        symbols *= _beside(np.exp(-1j * rate_rad * self._middles)[:, np.newaxis], symbols)
        return rate_rad

    def _delay_and_tag(self, symbols: ComplexArray) -> tuple[float, Tag | None]:
        """Return the delay of the middle of the power and, if it can be read, the tag."""
        count = symbols.shape[-1]
        reference, variance = _mean_and_variance(symbols[_KNOWN])
        # what comes after the prefix is noise
        taps = min(count, self._layout.cyclic_prefix + 1)
        response = scipy.fft.ifft(reference)
        response[..., taps:] = 0.0
        delay = _middle_of_power(_over_antennas(np.abs(response[..., :taps]) ** 2), variance / count)
        variance *= taps / count
        return delay, _tag_beside(scipy.fft.fft(response), variance, symbols[TAGS])

    def _symbols(self, samples: Samples, window: int) -> tuple[float, ComplexArray]:
        """Return the carrier offset in spacings and, without it, all symbols over the known ones, symbols first."""
        count = self._layout.subcarriers
        windows = samples[..., window + self._starts[:, np.newaxis] + np.arange(count)].astype(np.complex128)
        turns = np.angle(np.vdot(windows[..., 0, :], windows[..., 1, :])) / (2 * np.pi)
        still = np.exp(-2j * np.pi * turns * self._starts / count)[:, np.newaxis]
        windows *= still * np.exp(-2j * np.pi * turns * np.arange(count) / count)
        symbols: ComplexArray = scipy.fft.fft(windows, norm="ortho") * self._unmodulate
        return float(turns), np.ascontiguousarray(np.moveaxis(symbols, -2, 0))


def _beside(factors: ComplexArray, symbols: ComplexArray) -> ComplexArray:
    """Return ``(symbol, subcarrier)`` factors as they multiply symbols with an axis of antennas or none between."""
    return factors.reshape(len(factors), *[1] * (symbols.ndim - 2), -1)


def _over_antennas(power: Floats) -> Floats:
    """Return the mean over antennas, where there are several, of each tap's power, ``(tap,)``."""
    mean: Floats = power.reshape(-1, power.shape[-1]).mean(axis=0)
    return mean


def _middle_of_best_run(power: Floats, prefix: int) -> int:
    """Return the first of the ``prefix + 1`` neighbouring taps that hold most power, the middle one of equally good."""
    total = np.pad(power, (prefix + 1, prefix)).cumsum()
    held = total[prefix + 1 :] - total[: -prefix - 1]
    best = np.flatnonzero(held >= held.max() * (1 - 1e-12))
    return int(best[best.size // 2]) - prefix


def _middle_of_power(power: Floats, noise_power: float) -> float:
    """Return the mean delay of taps, each weighed with the power by which it stands out of the noise."""
    outstanding = np.maximum(power - _TAP_OUTSTANDING * noise_power, 0.0)
    total = outstanding.sum()
    return float(outstanding @ np.arange(power.size) / total) if total > 0 else float(power.argmax())


def _rate_rad(symbols: ComplexArray, middles: Floats) -> float:
    """Return by how much the phase common to all subcarriers still grows in the time of one symbol.

    One Newton step towards maximum likelihood, which a second would not change by a hundredth of its error.

    Parameters
    ----------
    symbols
        ``(symbol, ..., subcarrier)`` one channel, seen several times.
    middles
        ``(symbol,)`` times in lengths of a symbol.
    """
    flat = symbols.reshape(len(symbols), -1)
    products = flat @ flat.conj().T
    lag = middles[:, np.newaxis] - middles
    slope, curvature = np.sum(lag * products.imag), np.sum(lag**2 * products.real)
    return float(slope / curvature) if curvature > 0 else 0.0


def _mean_and_variance(symbols: ComplexArray) -> tuple[ComplexArray, float]:
    """Return the mean over symbols and the variance of each of its entries."""
    mean = symbols.mean(axis=0)
    count = len(symbols)
    residual = np.linalg.norm(symbols - mean)
    return mean, float(residual**2 / ((count - 1) * count * mean.size))


def _tag_beside(reference: ComplexArray, variance: float, marked: ComplexArray) -> Tag | None:
    """Return the tag that symbols carry through channels known with this variance, if it can be read."""
    # where nothing but noise is heard, its products would drown the few subcarriers that are
    count = reference.shape[-1]
    width = 1 + int(_EQUALLY_LOUD * count)
    heard = np.maximum(uniform_filter1d(np.abs(reference) ** 2, width, mode="wrap") - variance, 0.0)
    weight = heard / (heard + variance + np.finfo(np.float64).tiny)
    likelihood = weight * reference.conj() * marked
    return tag_from_likelihood(likelihood.reshape(len(marked), -1, count).sum(axis=1))
