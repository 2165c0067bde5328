"""Find bursts in a stream of blocks, and lock to the phase of the frames that they start.

The preamble repeats itself after one symbol, whatever the channel and the carrier offset: the coherence of the samples
with those one symbol later is 1 there, and in noise it follows a known law, from which the threshold comes. What is found
so is a burst only if the check sum of its tag is right. All is decided on samples that are counted from where the stream
began or broke, never on the borders of blocks, so that the same samples give the same bursts.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sdr_backend.demodulation import Demodulated, Demodulator
from sdr_backend.ofdm import FrameLayout
from sdr_backend.tag import Tag

ComplexArray = npt.NDArray[np.complex128]
Floats = npt.NDArray[np.float64]
Samples = npt.NDArray[np.complex64]

# For each sample, before the check sum, which lets one false burst of 65536 pass.
FALSE_ALARM = 1e-9
# Scored at once, in symbols: scoring costs (this + 2) / this of a sample's work, and a burst may wait that long.
_CHUNK_SYMBOLS = 2
# A window that holds less of the energy of its chunk than rounding leaves of it is silence.
_SILENCE = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class Burst:
    """One pilot as it was received.

    Parameters
    ----------
    first_index
        The receiver's index of the sample with which the frame starts, by the frame phase that the receiver locked to.
    lock
        How often the receiver has locked so far. Bursts of one lock have one constant delay in common.
    tag
        Which pilot it is.
    carrier_offset_spacings
        How much too high the carrier is heard, in subcarrier spacings.
    delay_samples
        How much later than `first_index` the average path comes, by power.
    channel
        ``(subcarrier,)`` relative to what was sent: a unit channel gives ones. A path that comes ``d`` samples late turns
        subcarrier ``m`` by ``exp(-j 2 pi m d / M)``, as a medium does by itself: its conjugate is ``y[m]`` of SPEC 6.2. Its
        phase is the carrier's at `first_index`; the next frame's is ``2 pi`` times offset times frame over ``M`` ahead.
    noise_variance
        Variance of the noise on each of `channel`.
    """

    first_index: int
    lock: int
    tag: Tag
    carrier_offset_spacings: float
    delay_samples: float
    channel: ComplexArray
    noise_variance: float


def coherence_threshold(symbol: int, false_alarm: float) -> float:
    """Return what the coherence of white noise exceeds with this probability.

    The coherence of two independent vectors of ``M`` white circular samples exceeds ``x`` with probability
    ``(1 - x)^(M - 1)``, at whatever power: their angle is that of two random directions in ``M`` complex dimensions.
    """
    return float(-np.expm1(np.log(false_alarm) / (symbol - 1)))


def coherence(samples: Samples, symbol: int) -> Floats:
    """Return how well one symbol's samples from each place repeat themselves one symbol later, 0 .. 1.

    Parameters
    ----------
    samples
        ``(sample,)``, more than two symbols.
    symbol
        How many samples a symbol has.

    Returns
    -------
    coherence
        ``(sample - 2 symbol + 1,)``: the squared correlation coefficient; 0 where there is silence.
    """
    products = np.cumsum(np.append(0, samples[:-symbol].conj() * samples[symbol:]), dtype=np.complex128)
    energies = np.cumsum(np.append(0, samples.real**2 + samples.imag**2), dtype=np.float64)
    product, energy = products[symbol:] - products[:-symbol], energies[symbol:] - energies[:-symbol]
    first, second = energy[:-symbol], energy[symbol:]
    heard = np.minimum(first, second) > _SILENCE * energies[-1]
    squared = product.real**2 + product.imag**2
    return np.divide(squared, first * second, out=np.zeros(first.size), where=heard)


class FramePhase:
    """Where in the receiver's counter of samples the frames start.

    Taken from the first burst heard: the middle of its power, which differs less between beams and draws of noise than its
    strongest path. A burst further off than a prefix, which no beam can do, is a stray, and perhaps noise whose check sum
    was right: only a second one that fits it, with none in the old place between them, moves the phase.
    """

    def __init__(self, layout: FrameLayout) -> None:
        self._frame_samples, self._tolerance = layout.frame_samples, layout.cyclic_prefix
        self._start: int | None = None
        self._stray: int | None = None
        self.locks = 0

    def frame_start(self, arrival: int) -> int | None:
        """Return the start of the frame whose burst was heard there, or none for a stray."""
        if self._start is None or (self._stray is not None and self._fits(arrival, self._stray)):
            self.lock_to(arrival)
        elif not self._fits(arrival, self._start):
            self._stray = arrival
            return None
        self._stray = None
        return arrival - self._late(arrival, self._start or 0)

    def _late(self, arrival: int, start: int) -> int:
        return (arrival - start + self._frame_samples // 2) % self._frame_samples - self._frame_samples // 2

    def _fits(self, arrival: int, start: int) -> bool:
        return abs(self._late(arrival, start)) <= self._tolerance

    def lock_to(self, start: int) -> None:
        """Lock to a frame known to start there, as where transmitter and receiver count the same samples."""
        self._start, self._stray = start, None
        self.locks += 1

    def forget(self) -> None:
        """Lock anew to the next burst, as after the receiver's counter began again."""
        self._start = self._stray = None


class BurstDetector:
    """Turns blocks of samples into bursts.

    `refused` counts what repeated itself and was no readable burst, `strays` bursts beside the frames, `lost_samples` the
    samples that no block held.
    """

    def __init__(self, layout: FrameLayout, *, false_alarm: float = FALSE_ALARM) -> None:
        self._layout = layout
        self._symbol = layout.subcarriers
        self._demodulator = Demodulator(layout)
        self._threshold = coherence_threshold(layout.subcarriers, false_alarm)
        self.phase = FramePhase(layout)
        self.refused, self.strays, self.lost_samples = 0, 0, 0
        self._expected: int | None = None
        self._begin(0)

    @property
    def held_samples(self) -> int:
        """Return how many samples are kept for bursts that are not complete."""
        return self._samples.size + sum(block.size for block in self._pending)

    def heard(self, samples: npt.ArrayLike, first_index: int) -> list[Burst]:
        """Take the next block and return the bursts that are complete now.

        A burst is complete half a symbol and a prefix after its last sample. Where samples are missing between blocks, the
        burst that they cut is lost, and those on both sides are found.

        Raises
        ------
        ValueError
            If the block starts before the end of the one before.
        """
        block = np.array(samples, dtype=np.complex64)  # a copy: drivers read into the same buffer again and again
        bursts: list[Burst] = []
        if self._expected is not None and first_index < self._expected:
            raise ValueError(f"a block from sample {self._expected} on expected, got one from {first_index}")
        if first_index != self._expected:
            self.lost_samples += 0 if self._expected is None else first_index - self._expected
            bursts = self.finish()
            self._begin(first_index)
        self._expected = first_index + block.size
        self._pending.append(block)
        if self._expected - self._first >= self._needed:
            bursts += self._search(broken_off=False)
        return bursts

    def finish(self) -> list[Burst]:
        """Return the bursts that no further block was needed for; the next block may start anywhere."""
        bursts = self._search(broken_off=True)
        self._expected = None
        self._begin(0)
        return bursts

    def _begin(self, first_index: int) -> None:
        # all places are counted from the index `_first`, and all before `_next` are searched
        self._first, self._next = first_index, 0
        self._samples, self._pending = np.empty(0, np.complex64), list[Samples]()
        self._score = np.empty(0)
        self._needed = (2 + _CHUNK_SYMBOLS) * self._symbol

    def _search(self, *, broken_off: bool) -> list[Burst]:
        self._samples = np.concatenate([self._samples, *self._pending])
        self._pending = []
        self._rate(broken_off=broken_off)
        bursts = []
        while (place := self._candidate(broken_off=broken_off)) is not None:
            found = self._demodulator.demodulate(self._samples[: self._end_of_burst(place)], place)
            if found is None:
                self.refused += 1
                # less than the length over which a true preamble repeats itself, so that none is stepped over
                self._next = place + max(1, self._layout.cyclic_prefix // 2)
            else:
                bursts += self._burst(found)
                self._next = found.window + self._layout.burst_samples
        self._forget_searched()
        return bursts

    def _rate(self, *, broken_off: bool) -> None:
        """Score the samples that have come, in chunks whose borders no block moves."""
        overlap, chunk = 2 * self._symbol - 1, _CHUNK_SYMBOLS * self._symbol
        scores = [self._score]
        scored = self._score.size
        while (left := self._samples.size - scored - overlap) > 0 and (left >= chunk or broken_off):
            scores.append(coherence(self._samples[scored : scored + chunk + overlap], self._symbol))
            scored += scores[-1].size
        self._score = np.concatenate(scores)
        self._needed = scored + chunk + overlap

    def _candidate(self, *, broken_off: bool) -> int | None:
        """Return the next place whose score is above the threshold and the best of two symbols behind it.

        None if there is none, or if samples must come first.
        """
        above = np.flatnonzero(self._score[self._next :] > self._threshold)
        if not above.size:
            self._next = max(self._next, self._score.size)
            return None
        self._next += int(above[0])
        place, latest = self._next, self._next + self._layout.burst_samples
        while True:
            ahead = self._score[place : place + 2 * self._symbol]
            if ahead.size < 2 * self._symbol and not broken_off:
                return None
            if not (step := int(ahead.argmax())) or place > latest:
                break
            place += step
        if self._end_of_burst(place) > self._samples.size and not broken_off:
            self._needed = self._end_of_burst(place)
            return None
        return place

    def _end_of_burst(self, place: int) -> int:
        return place + self._layout.burst_samples + self._layout.cyclic_prefix

    def _burst(self, found: Demodulated) -> list[Burst]:
        """Return the burst in its frame, or none if it is a stray."""
        start = self.phase.frame_start(self._first + round(found.arrival))
        if start is None:
            self.strays += 1
            return []
        burst = Burst(
            first_index=start,
            lock=self.phase.locks,
            tag=found.tag,
            carrier_offset_spacings=found.carrier_offset_spacings,
            delay_samples=self._first + found.arrival - start,
            channel=found.channel_from(start - self._first),
            noise_variance=found.noise_variance,
        )
        return [burst]

    def _forget_searched(self) -> None:
        # a burst starts up to two symbols before the place where it is found
        searched = max(0, min(self._next - 2 * self._symbol, self._score.size))
        self._samples, self._score = self._samples[searched:], self._score[searched:]
        self._first, self._next, self._needed = self._first + searched, self._next - searched, self._needed - searched
