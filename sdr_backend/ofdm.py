"""The waveform: one burst of OFDM symbols for each pilot of a setting, and where in it everything stands.

A burst is ``[prefix, P, P] [prefix, T1] [prefix, T2] [prefix, K]``: the preamble ``P`` twice behind one cyclic prefix, the
tag ``T1, T2`` and the pilot ``K``, all through the same beam. Subcarrier ``m`` of the downlink grid is bin ``m`` of an FFT
over as many samples, whatever the sample rate: frequencies are scaled, indices are not. Known symbols have equal power on
all subcarriers and, being Zadoff-Chu sequences, at all samples; only the tag has peaks.
"""

import functools
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.fft

from sdr_backend.tag import TAG_SYMBOLS, Tag, modulation_from_tag

ComplexArray = npt.NDArray[np.complex128]
Samples = npt.NDArray[np.complex64]

PREAMBLES, PARTS = 2, 2 + TAG_SYMBOLS  # parts of a burst that have a prefix each
SYMBOLS = PREAMBLES + TAG_SYMBOLS + 1
TAGS = slice(PREAMBLES, PREAMBLES + TAG_SYMBOLS)
FEWEST_SUBCARRIERS = 16  # the tag's code needs eight chips of each codeword
# Full scale is 1. Samples of the tag are Gaussian to the eye: one of 1e11 exceeds five times the rms.
DEFAULT_AMPLITUDE = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameLayout:
    """Lengths that both ends of the air must share.

    Bursts start at multiples of `frame_samples` in the transmitter's counter of samples. Echoes and delay lines may
    spread over `cyclic_prefix` samples. `amplitude` is the rms of the samples sent.
    """

    subcarriers: int
    cyclic_prefix: int
    frame_samples: int
    amplitude: float

    def __post_init__(self) -> None:
        if self.subcarriers < FEWEST_SUBCARRIERS:
            raise ValueError(f"at least {FEWEST_SUBCARRIERS} subcarriers expected, got {self.subcarriers}")
        if not 1 <= self.cyclic_prefix <= self.subcarriers:
            raise ValueError(f"a prefix of 1 .. {self.subcarriers} samples expected, got {self.cyclic_prefix}")
        if self.frame_samples < self.burst_samples:
            raise ValueError(
                f"a frame must hold the {self.burst_samples} samples of a burst, got {self.frame_samples} samples"
            )
        if not 0 < self.amplitude <= 1:
            raise ValueError(f"an amplitude above 0 and at most full scale 1 expected, got {self.amplitude:g}")

    @classmethod
    def of(cls, subcarriers: int) -> "FrameLayout":
        """Return the default layout: a prefix of half a symbol, and as much again between bursts."""
        prefix = subcarriers // 2
        frame = SYMBOLS * (prefix + subcarriers)
        return cls(subcarriers=subcarriers, cyclic_prefix=prefix, frame_samples=frame, amplitude=DEFAULT_AMPLITUDE)

    @classmethod
    def of_sounding(cls, subcarriers: int) -> "FrameLayout":
        """Return the layout of soundings, whose prefix is as long as a symbol.

        Symbols of so few samples are shorter than what a path between two samples leaves of itself at the edges of the band:
        half a symbol before and behind it, 0.6 % of its power lies beyond a quarter.
        """
        frame = 2 * SYMBOLS * subcarriers
        return cls(subcarriers=subcarriers, cyclic_prefix=subcarriers, frame_samples=frame, amplitude=DEFAULT_AMPLITUDE)

    @property
    def burst_samples(self) -> int:
        """Return the length of a burst."""
        return PARTS * self.cyclic_prefix + SYMBOLS * self.subcarriers

    @property
    def symbol_starts(self) -> tuple[int, ...]:
        """Return where in a burst, prefixes left out, the preambles, the symbols of the tag and the pilot start."""
        prefix, symbol = self.cyclic_prefix, self.subcarriers
        return tuple(k * symbol + max(1, k + 2 - PREAMBLES) * prefix for k in range(SYMBOLS))


@functools.lru_cache(maxsize=8)
def preamble_spectrum(subcarriers: int) -> ComplexArray:
    """Return the preamble's symbol, of unit power on every subcarrier, ``(subcarrier,)``.

    The root is near the square root of the length: a few neighbouring subcarriers then carry power at all times, and not
    at the one time when a slow chirp passes them.
    """
    root = next(r for r in range(math.isqrt(subcarriers), 2 * subcarriers) if math.gcd(r, subcarriers) == 1)
    index = np.arange(subcarriers, dtype=np.int64)
    # the phase is taken modulo a turn in integers, which keeps long sequences exact
    half_turns = (root * index * (index + subcarriers % 2)) % (2 * subcarriers)
    spectrum: ComplexArray = np.exp(-1j * np.pi * half_turns / subcarriers)
    spectrum.setflags(write=False)
    return spectrum


def pilot_spectrum(subcarriers: int) -> ComplexArray:
    """Return the pilot's symbol, which the tag turns too, ``(subcarrier,)``.

    It differs from the preamble, so that one is never taken for the other.
    """
    return preamble_spectrum(subcarriers).conj()


class Modulator:
    """Makes the samples of bursts."""

    def __init__(self, layout: FrameLayout) -> None:
        self.layout = layout
        preamble = self._symbol(preamble_spectrum(layout.subcarriers))
        self._preamble = np.concatenate([self._with_prefix(preamble), preamble])
        self._pilot = self._with_prefix(self._symbol(pilot_spectrum(layout.subcarriers)))

    def burst(self, tag: Tag) -> Samples:
        """Return the samples of one pilot's burst, ``(sample,)``, `burst_samples` of the layout long."""
        count = self.layout.subcarriers
        marked = self._symbol(modulation_from_tag(tag, count) * pilot_spectrum(count))
        return np.concatenate([self._preamble, *map(self._with_prefix, marked), self._pilot]).astype(np.complex64)

    def frame(self, tag: Tag) -> Samples:
        """Return a burst and the zeros up to the next frame, ``(sample,)``."""
        burst = self.burst(tag)
        return np.pad(burst, (0, self.layout.frame_samples - burst.size))

    def _symbol(self, spectrum: ComplexArray) -> ComplexArray:
        # an orthonormal transform: unit power per subcarrier is unit power per sample
        samples: ComplexArray = self.layout.amplitude * scipy.fft.ifft(spectrum, norm="ortho")
        return samples

    def _with_prefix(self, symbol: ComplexArray) -> ComplexArray:
        return np.concatenate([symbol[symbol.size - self.layout.cyclic_prefix :], symbol])
