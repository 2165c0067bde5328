"""Samples through the air: taps, echoes, a carrier that is off, noise. Arrays in, arrays out, block by block.

Taps may change between blocks: samples that come later are filtered by the new ones alone, and what the old ones would still
have to say of earlier samples is lost.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import scipy.fft

ComplexArray = npt.NDArray[np.complex128]
Samples = npt.NDArray[np.complex64]


class SampleChannel:
    """The state of one stream; silent until it has taps."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        self._taps: ComplexArray = np.zeros(1, dtype=np.complex128)
        self._spectrum: ComplexArray = np.zeros(1, dtype=np.complex128)  # of the taps, as long as the last transform
        self._noise_rms, self._offset_cycles = 0.0, 0.0
        self._tail: ComplexArray = np.zeros(0, dtype=np.complex128)
        self._phase_cycles = 0.0

    def change(self, taps: ComplexArray, echoes: ComplexArray, noise_rms: float, offset_cycles: float) -> None:
        """Set what samples meet from now on.

        Parameters
        ----------
        taps
            ``(tap,)`` of the beam's channel.
        echoes
            ``(tap,)`` of what comes behind it.
        noise_rms
            Of a complex sample.
        offset_cycles
            How much the carrier turns from one sample to the next.
        """
        self._taps = np.convolve(taps, echoes)
        self._spectrum = scipy.fft.fft(self._taps)
        self._noise_rms, self._offset_cycles = noise_rms, offset_cycles
        self._tail = np.zeros(self._taps.size - 1, dtype=np.complex128)

    def passed(self, samples: Samples) -> Samples:
        """Return the next samples behind the channel, as many as come, ``(sample,)``."""
        if samples.any() or self._tail.any():
            full = self._filtered(samples)
            turns = self._phase_cycles + self._offset_cycles * np.arange(samples.size)
            out = full[: samples.size] * np.exp(2j * np.pi * turns)
        else:  # most of the time nothing is sent
            out = np.zeros(samples.size, dtype=np.complex128)
        self._phase_cycles = (self._phase_cycles + self._offset_cycles * samples.size) % 1.0
        if self._noise_rms:
            noise = self._rng.standard_normal((samples.size, 2)).view(np.complex128)[:, 0]
            out += self._noise_rms / np.sqrt(2) * noise
        passed: Samples = out.astype(np.complex64)
        return passed

    def _filtered(self, samples: Samples) -> ComplexArray:
        """Return samples behind the taps, and what these still say of them afterwards is kept for the next."""
        size = samples.size + self._taps.size - 1
        length = scipy.fft.next_fast_len(size)
        if self._spectrum.size != length:
            self._spectrum = scipy.fft.fft(self._taps, length)
        full: ComplexArray = scipy.fft.ifft(scipy.fft.fft(samples.astype(np.complex128), length) * self._spectrum)[
            :size
        ]
        full[: self._tail.size] += self._tail
        self._tail = full[samples.size :].copy()
        return full


class ArrayChannel:
    """The state of all streams from several UEs to each antenna of an array; silent until it has taps."""

    def __init__(self, ues: Sequence[str], antennas: int, taps: int, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        self._filters = {ue: _Filters(antennas, taps) for ue in ues}
        self.antennas = antennas
        self._noise_rms = 0.0

    def change(self, taps: Mapping[str, ComplexArray], noise_rms: float, offset_cycles: float) -> None:
        """Set what samples meet from now on; a UE without taps is not heard.

        Parameters
        ----------
        taps
            ``(antenna, tap)`` of each UE.
        noise_rms
            Of a complex sample of an antenna.
        offset_cycles
            How much the carriers of all UEs turn from one sample to the next.
        """
        self._noise_rms = noise_rms
        for ue, filters in self._filters.items():
            filters.change(taps.get(ue), offset_cycles)

    def passed(self, samples: Mapping[str, Samples]) -> Samples:
        """Return what the antennas receive of so many samples of every UE, ``(sample, antenna)``."""
        count = next(iter(samples.values())).size
        out = np.zeros((self.antennas, count), dtype=np.complex128)
        for ue, filters in self._filters.items():
            filters.add_to(out, samples[ue])
        if self._noise_rms:
            noise = self._rng.standard_normal((self.antennas, count, 2)).view(np.complex128)[..., 0]
            out += self._noise_rms / np.sqrt(2) * noise
        passed: Samples = np.ascontiguousarray(out.T, dtype=np.complex64)
        return passed


class _Filters:
    """One UE's samples to all antennas."""

    def __init__(self, antennas: int, taps: int) -> None:
        self._none: ComplexArray = np.zeros((antennas, taps), dtype=np.complex128)
        self._taps = self._none
        self._before: ComplexArray = np.zeros(taps - 1, dtype=np.complex128)
        self._phase_cycles, self._offset_cycles = 0.0, 0.0

    def change(self, taps: ComplexArray | None, offset_cycles: float) -> None:
        self._taps = self._none if taps is None else taps
        self._offset_cycles = offset_cycles

    def add_to(self, out: ComplexArray, samples: Samples) -> None:
        turns = self._phase_cycles + self._offset_cycles * np.arange(samples.size)
        self._phase_cycles = (self._phase_cycles + self._offset_cycles * samples.size) % 1.0
        heard = np.concatenate([self._before, samples * np.exp(2j * np.pi * turns)])
        if heard.any():  # most of the time few of them send
            length = scipy.fft.next_fast_len(heard.size)
            spectrum = scipy.fft.fft(heard, length) * scipy.fft.fft(self._taps, length)
            out += scipy.fft.ifft(spectrum)[:, self._before.size : heard.size]
        self._before = heard[samples.size :]
