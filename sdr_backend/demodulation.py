"""One burst's samples to carrier offset, timing, tag and channel: arrays in, values out.

The transform of a window that starts within the cyclic prefix sees no neighbouring symbol. A rough place of the burst is
made a place in the middle of that freedom by the response between its first and last path; where the window stands is
then taken out of the channel again. The offset of the carrier is found twice: roughly from both preambles, before any
transform, so that nothing leaks between subcarriers; then from all four symbols, which are known once the tag is read.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.fft
from scipy.ndimage import uniform_filter1d

from sdr_backend.ofdm import FrameLayout, pilot_spectrum, preamble_spectrum
from sdr_backend.tag import Tag, chips_from_tag, tag_from_likelihood

ComplexArray = npt.NDArray[np.complex128]
Floats = npt.NDArray[np.float64]
Samples = npt.NDArray[np.complex64]

SYMBOLS = 4
_KNOWN = [0, 1, 3]  # all but the tag
# Noise alone exceeds this multiple of its mean on some tap of 2048 in one burst of a hundred: ln(2048 100).
_TAP_OVER_NOISE = 12.2
# Weaker taps are not told from the rounding of cf32 samples.
_TAP_OVER_STRONGEST = 1e-12
# The part of the band whose subcarriers are taken to be equally loud when the tag is read.
_EQUALLY_LOUD = 1 / 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Demodulated:
    """What one burst holds; places are counted from the first of the samples given.

    `arrival` is where the burst starts on its strongest path; `spectrum` is the channel as a burst would have it that
    starts at `window`, and `noise_variance` the variance of each of its entries.
    """

    tag: Tag
    arrival: int
    window: int
    carrier_offset_spacings: float
    spectrum: ComplexArray
    noise_variance: float

    def channel_from(self, first: int) -> ComplexArray:
        """Return the channel as a burst has it that starts at this place, ``(subcarrier,)``.

        A path that comes ``d`` samples later turns subcarrier ``m`` of ``M`` by ``exp(-j 2 pi m d / M)``. The carrier's
        phase is that at this place.
        """
        count, later = self.spectrum.size, self.window - first
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
        self._unmodulate = np.stack([preamble, preamble, pilot, pilot])

    def demodulate(self, samples: Samples, repeats: int) -> Demodulated | None:
        """Return what the burst holds whose samples repeat themselves one symbol later from there on.

        Parameters
        ----------
        samples
            ``(sample,)``.
        repeats
            A place within the first prefix or near it; at least two symbols follow.

        Returns
        -------
        demodulated
            None if there is no burst, it is not all there or its tag cannot be read.
        """
        window = self._placed(samples, repeats)
        if window + self._starts[0] < 0 or window + self._layout.burst_samples > samples.size:
            return None
        offset, symbols = self._symbols(samples, window)
        strongest, tag = self._tag(symbols)
        if tag is None:
            return None
        symbols[2] *= chips_from_tag(tag, symbols.shape[1])
        rate_rad = _rate_rad(symbols, self._middles)
        spectrum, variance = _mean_and_variance(_stilled(symbols, self._middles, rate_rad))
        return Demodulated(
            tag=tag,
            arrival=window + strongest,
            window=window,
            carrier_offset_spacings=offset + rate_rad / (2 * np.pi),
            spectrum=spectrum,
            noise_variance=variance,
        )

    def _placed(self, samples: Samples, repeats: int) -> int:
        """Return the start of a burst in whose prefix all paths lie, in the middle where several do."""
        count, prefix = self._layout.subcarriers, self._layout.cyclic_prefix
        first, second = (samples[repeats + k * count :][:count].astype(np.complex128) for k in range(2))
        turn = np.angle(np.vdot(first, second))
        still = np.exp(-1j * turn * np.arange(count) / count)
        responses = scipy.fft.ifft(
            scipy.fft.fft(np.stack([first, second * np.exp(-1j * turn)]) * still, norm="ortho") * self._unmodulate[:2]
        )
        response = responses.mean(axis=0)
        noise_power = np.mean(np.abs(responses[0] - responses[1]) ** 2) / 4  # of one tap of the mean
        # taps in the order of their delays after the place given, as far before the prefix as behind it
        before = (count - prefix) // 2
        power = np.roll(np.abs(response) ** 2, before)
        power[power < max(_TAP_OVER_NOISE * noise_power, _TAP_OVER_STRONGEST * power.max())] = 0.0
        return repeats + _middle_of_best_run(power, prefix) - before - prefix

    def _tag(self, symbols: ComplexArray) -> tuple[int, Tag | None]:
        """Return the delay of the strongest path and, if it can be read, the tag."""
        known, middles = symbols[_KNOWN], self._middles[_KNOWN]
        rate_rad = _rate_rad(known, middles)
        reference, variance = _mean_and_variance(_stilled(known, middles, rate_rad))
        # what comes after the prefix is noise
        response = scipy.fft.ifft(reference)
        response[self._layout.cyclic_prefix + 1 :] = 0.0
        variance *= min(1.0, (self._layout.cyclic_prefix + 1) / response.size)
        marked = symbols[2] * np.exp(-1j * rate_rad * self._middles[2])
        return int(np.abs(response).argmax()), _tag_beside(scipy.fft.fft(response), variance, marked)

    def _symbols(self, samples: Samples, window: int) -> tuple[float, ComplexArray]:
        """Return the carrier offset in spacings and, without it, the four symbols over the known ones."""
        count = self._layout.subcarriers
        windows = samples[window + self._starts[:, np.newaxis] + np.arange(count)].astype(np.complex128)
        turns = np.angle(np.vdot(windows[0], windows[1])) / (2 * np.pi)
        still = np.exp(-2j * np.pi * turns * self._starts / count)[:, np.newaxis]
        windows *= still * np.exp(-2j * np.pi * turns * np.arange(count) / count)
        return float(turns), scipy.fft.fft(windows, norm="ortho") * self._unmodulate


def _middle_of_best_run(power: Floats, prefix: int) -> int:
    """Return the first of the ``prefix + 1`` neighbouring taps that hold most power, the middle one of equally good."""
    total = np.pad(power, (prefix + 1, prefix)).cumsum()
    held = total[prefix + 1 :] - total[: -prefix - 1]
    best = np.flatnonzero(held >= held.max() * (1 - 1e-12))
    return int(best[best.size // 2]) - prefix


def _rate_rad(symbols: ComplexArray, middles: Floats) -> float:
    """Return by how much the phase common to all subcarriers grows in the time of one symbol.

    One Newton step towards maximum likelihood, which a second would not change by a hundredth of its error.

    Parameters
    ----------
    symbols
        ``(symbol, subcarrier)`` one channel, seen several times.
    middles
        ``(symbol,)`` times in lengths of a symbol.
    """
    products = symbols @ symbols.conj().T
    lag = middles[:, np.newaxis] - middles
    # all but a tenth of a spacing is gone already, so that between the outermost symbols less than half a turn is left
    rough_rad = float(np.angle(products[-1, 0]) / lag[-1, 0])
    turned = products * np.exp(-1j * rough_rad * lag)
    slope, curvature = np.sum(lag * turned.imag), np.sum(lag**2 * turned.real)
    return rough_rad + float(slope / curvature) if curvature > 0 else rough_rad


def _stilled(symbols: ComplexArray, middles: Floats, rate_rad: float) -> ComplexArray:
    stilled: ComplexArray = symbols * np.exp(-1j * rate_rad * middles)[:, np.newaxis]
    return stilled


def _mean_and_variance(symbols: ComplexArray) -> tuple[ComplexArray, float]:
    """Return the mean over symbols and the variance of each of its entries."""
    mean = symbols.mean(axis=0)
    count, size = symbols.shape
    residual = np.linalg.norm(symbols - mean)
    return mean, float(residual**2 / ((count - 1) * count * size))


def _tag_beside(reference: ComplexArray, variance: float, marked: ComplexArray) -> Tag | None:
    """Return the tag that a symbol carries through a channel known with this variance, if it can be read."""
    # where nothing but noise is heard, its products would drown the few subcarriers that are
    width = 1 + int(_EQUALLY_LOUD * reference.size)
    heard = np.maximum(uniform_filter1d(np.abs(reference) ** 2, width, mode="wrap") - variance, 0.0)
    weight = heard / (heard + variance + np.finfo(np.float64).tiny)
    return tag_from_likelihood(weight * (reference.conj() * marked).real)
