"""Soundings of the uplink: when each UE has a burst, and what the array makes of it. No device, no clock.

Time is cut into rounds of as many frames as there are slots; a UE sends its burst in the frame of its own slot, in every round.
The burst is that of `sdr_backend.ofdm` over the uplink's subcarriers, of which subcarrier ``m`` is again bin ``m`` of an FFT
over as many samples; its tag tells slot, slots and, as the epoch, which round it is. UEs and array count the same samples, or
counts that differ by whole rounds and a delay which was calibrated: times of flight are then absolute, which ranges need.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from protocol.testbed import TestbedFacts
from sdr_backend.array_radio import ArrayBlock
from sdr_backend.demodulation import Demodulator
from sdr_backend.ofdm import FrameLayout, Modulator
from sdr_backend.radio import Samples
from sdr_backend.tag import Tag

ComplexArray = npt.NDArray[np.complex128]
SLACK_SAMPLES = 2.0  # of a time of flight, for noise, echoes and what a path leaves of itself


@dataclass(frozen=True, slots=True, kw_only=True)
class Rounds:
    """The slots of a round and their bursts."""

    layout: FrameLayout
    slots: tuple[str, ...]

    @classmethod
    def of(cls, subcarriers: int, slots: tuple[str, ...]) -> "Rounds":
        """Return the default rounds of an uplink with so many subcarriers."""
        return cls(layout=FrameLayout.of_sounding(subcarriers), slots=slots)

    @property
    def samples(self) -> int:
        """Return the length of a round."""
        return len(self.slots) * self.layout.frame_samples

    def tag(self, ue: str, number: int) -> Tag:
        """Return the tag of a UE's sounding in this round."""
        return Tag.of(number, self.slots.index(ue), len(self.slots))

    def burst_at(self, ue: str, earliest: int) -> int:
        """Return the first index from `earliest` on at which a burst of this UE begins."""
        offset = self.slots.index(ue) * self.layout.frame_samples
        return earliest + (offset - earliest) % self.samples


def longest_flight_samples(facts: TestbedFacts) -> float:
    """Return what the way from the edge of the region to the farthest element takes, in samples of soundings."""
    longest_m = facts.region.range_max_m + facts.uplink.array.radius_m
    return longest_m / facts.speed_of_light_m_s * facts.uplink.grid.count * facts.uplink.grid.spacing_hz


class Train:
    """The samples of a UE's soundings, many rounds at once."""

    def __init__(self, rounds: Rounds, ue: str) -> None:
        self._rounds, self._ue = rounds, ue
        self._modulator = Modulator(rounds.layout)

    def samples(self, first: int, count: int) -> Samples:
        """Return `count` bursts with zeros between them, from the sounding of the round `first` on, ``(sample,)``."""
        burst = self._rounds.layout.burst_samples
        sent = np.zeros((count, self._rounds.samples), dtype=np.complex64)
        for number, row in enumerate(sent, first):
            row[:burst] = self._modulator.burst(self._rounds.tag(self._ue, number))
        return sent.reshape(-1)[: (count - 1) * self._rounds.samples + burst]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sounding:
    """One sounding as the array heard it.

    Parameters
    ----------
    samples
        ``(antenna, subcarrier)``: the snapshot of SPEC 6.4 but for a phase common to all. A medium turns the sample of a
        path by ``exp(-j 2 pi f_m tau)`` by itself; `y` of SPEC 6.2 is the conjugate of such a channel, this is not.
    number
        Which of the UE's soundings it is, modulo 2^16.
    delay_samples
        The time of flight of the average path, by power.
    carrier_offset_spacings
        How much too high the carrier is heard, in subcarrier spacings.
    noise_variance
        Of each of `samples`.
    """

    samples: ComplexArray
    number: int
    delay_samples: float
    carrier_offset_spacings: float
    noise_variance: float


class SlotListener:
    """Blocks of an array, read from any time on, to the next sounding of one UE.

    `delay_samples` is how much later the array counts what a UE sends with no time of flight, `longest_samples` what the flight
    may take. The windows of symbols are half a prefix earlier: what a path leaves of itself comes before and after it.
    """

    def __init__(self, rounds: Rounds, delay_samples: int, longest_samples: float) -> None:
        self._rounds, self._longest = rounds, longest_samples
        self._ahead = rounds.layout.cyclic_prefix // 2
        self._window = delay_samples - self._ahead
        self._demodulator = Demodulator(rounds.layout)
        self._ue = ""
        self._parts: list[Samples] = []
        self._first, self._expected = 0, -1
        self.unread, self.untimely = 0, 0  # slots in which no burst of that UE could be read, or came too early or late

    def begin(self, ue: str) -> None:
        """Listen to this UE, to nothing that was heard before."""
        self._ue = ue
        self._forget(-1)

    def heard(self, block: ArrayBlock) -> Sounding | None:
        """Take a block; return the channels in the UE's next slot once it is over."""
        if block.samples.shape[1] == 0:
            return None
        if block.broken or block.first_index != self._expected:
            self._forget(block.first_index)
        self._expected = block.first_index + block.samples.shape[1]
        self._parts.append(block.samples)
        length = self._rounds.layout.burst_samples
        start = self._window + self._rounds.burst_at(self._ue, self._first - self._window)
        if self._expected < start + length:
            self._drop_before(start)
            return None
        samples = np.concatenate(self._parts, axis=1)
        self._parts, self._first = [samples[:, start + length - self._first :]], start + length
        return self._read(samples[:, samples.shape[1] - (self._expected - start) :][:, :length])

    def _read(self, samples: Samples) -> Sounding | None:
        found = self._demodulator.demodulate_from(samples, 0)
        slot = self._rounds.tag(self._ue, 0)
        if found is None or (found.tag.pilot, found.tag.pilots) != (slot.pilot, slot.pilots):
            self.unread += 1
            return None
        flight = found.arrival - self._ahead
        if not -SLACK_SAMPLES < flight < self._longest + SLACK_SAMPLES:
            self.untimely += 1  # somebody who counts other samples
            return None
        return Sounding(
            samples=found.channel_from(self._ahead),
            number=found.tag.epoch,
            delay_samples=flight,
            carrier_offset_spacings=found.carrier_offset_spacings,
            noise_variance=found.noise_variance,
        )

    def _drop_before(self, start: int) -> None:
        while self._parts and self._first + self._parts[0].shape[1] <= start:
            self._first += self._parts.pop(0).shape[1]

    def _forget(self, first: int) -> None:
        self._parts, self._first, self._expected = [], first, first
