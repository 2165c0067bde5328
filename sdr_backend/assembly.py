"""Bursts to the grid that a UE reports: the pilots of one setting put together, by the sign convention of SPEC 6.2.

Pilots of a setting have equal shares of the subcarriers. Only bursts with one epoch and one delay in common form a grid; the
phase that the carrier's offset turns between them is taken out.
"""

import numpy as np
import numpy.typing as npt

from sdr_backend.synchronisation import Burst

ComplexArray = npt.NDArray[np.complex128]


class GridAssembly:
    """The pilots heard so far of the newest setting."""

    def __init__(self) -> None:
        self._key: tuple[int, int, int] | None = None
        self._pilots: dict[int, Burst] = {}

    def forget(self) -> None:
        """Begin anew."""
        self._key = None
        self._pilots.clear()

    def add(self, burst: Burst, wanted: int) -> tuple[int, ComplexArray] | None:
        """Take a burst; return epoch and grid ``(subcarrier,)`` if its setting is complete.

        Parameters
        ----------
        burst
            What was heard.
        wanted
            The epoch to be measured; a tag means the epoch nearest to it.
        """
        key = burst.tag.epoch_nearest(wanted), burst.tag.pilots, burst.lock
        if key != self._key:
            self.forget()
            self._key = key
        self._pilots[burst.tag.pilot] = burst
        if len(self._pilots) < burst.tag.pilots or burst.channel.size % burst.tag.pilots:
            return None
        pilots = [self._pilots[pilot] for pilot in range(burst.tag.pilots)]
        self.forget()
        return key[0], grid_from_pilots(pilots)


def grid_from_pilots(pilots: list[Burst]) -> ComplexArray:
    """Return the grid of consecutive pilots, each of which holds an equal share of the subcarriers, ``(subcarrier,)``."""
    count = pilots[0].channel.size
    grid = np.empty(count, dtype=np.complex128)
    for share, burst in zip(np.arange(count).reshape(len(pilots), -1), pilots, strict=True):
        turns = burst.carrier_offset_spacings * (burst.first_index - pilots[0].first_index) / count
        grid[share] = (burst.channel[share] * np.exp(-2j * np.pi * turns)).conj()
    return grid
