"""The samples of several antennas at the same times, from one radio that sends those of one time beside each other.

GNU Radio calls such items vectors. What is lost or broken in the radio's stream is so for all antennas, which never lose step.
"""

from dataclasses import dataclass

import numpy as np

from sdr_backend.radio import Block, Radio, Samples


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayBlock:
    """Received samples without a gap, ``(antenna, sample)``, and the index of the first ones.

    The index counts lost samples too; with ``broken`` nothing is known any more of the transmitters' indices.
    """

    samples: Samples
    first_index: int
    broken: bool = False


class ArrayRadio:
    """Turns what a radio receives into antennas side by side."""

    def __init__(self, radio: Radio, antennas: int) -> None:
        self._radio, self._antennas = radio, antennas
        self._rest: Samples = np.empty(0, dtype=np.complex64)
        self._expected, self._origin = 0, 0  # of the radio's index; items begin at multiples from the origin on

    def receive(self, count: int, within_s: float) -> ArrayBlock:
        """Return at most `count` samples of each antenna: fewer at a gap, and where no more come in time.

        Raises
        ------
        RadioError
            If the radio cannot receive.
        """
        block = self._radio.receive(count * self._antennas - self._rest.size, within_s)
        samples = self._joined(block)
        whole = samples.size // self._antennas
        first = (self._expected - samples.size - self._origin) // self._antennas
        self._rest = samples[whole * self._antennas :].copy()
        rows = samples[: whole * self._antennas].reshape(whole, self._antennas)
        return ArrayBlock(samples=np.ascontiguousarray(rows.T), first_index=first, broken=block.broken)

    def _joined(self, block: Block) -> Samples:
        """Return a block behind what was left of the one before; behind a gap it begins with the first whole item."""
        if not block.samples.size:
            return self._rest
        samples = block.samples
        if block.first_index != self._expected:
            self._rest = samples[:0]
            self._origin = block.first_index if block.broken else self._origin
            samples = samples[(self._origin - block.first_index) % self._antennas :]
        self._expected = block.first_index + block.samples.size
        return np.concatenate([self._rest, samples]) if self._rest.size else samples

    def flush(self) -> None:
        """Forget what came and was not read."""
        self._radio.flush()

    def close(self) -> None:
        """Release the radio."""
        self._radio.close()
