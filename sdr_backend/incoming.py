"""Samples between a device and whoever reads them: in order, numbered, with their gaps. No device, no clock."""

from collections import deque
from dataclasses import dataclass, replace

import numpy as np

from sdr_backend.radio import Block, Samples


@dataclass(frozen=True, slots=True, kw_only=True)
class _Gap:
    """What is missing before a part: how many samples, and whether there are more of which nobody knows."""

    lost: int = 0
    broken: bool = False

    def __bool__(self) -> bool:
        return self.lost > 0

    def with_more(self, other: "_Gap") -> "_Gap":
        return _Gap(lost=self.lost + other.lost, broken=self.broken or other.broken)


class Incoming:
    """Received samples that were not read yet; a block ends where samples were lost."""

    def __init__(self) -> None:
        self.position = 0  # the index of the sample that is read next
        self._parts: deque[tuple[_Gap, Samples]] = deque()
        self._gap = _Gap()  # since the last part

    def append(self, samples: Samples) -> None:
        """Take samples that came."""
        if samples.size:
            self._parts.append((self._gap, samples))
            self._gap = _Gap()

    def lost(self, count: int) -> None:
        """Take note that so many samples are missing before those that come next."""
        self._gap = replace(self._gap, lost=self._gap.lost + count)

    def broken(self) -> None:
        """Take note that nobody knows how many samples are missing before those that come next; it counts as one."""
        self._gap = _Gap(lost=self._gap.lost + 1, broken=True)

    def holds(self, count: int) -> bool:
        """Return whether there are so many, or all that can be had before a gap."""
        size = 0
        for index, (gap, samples) in enumerate(self._parts):
            if index and gap:
                return True
            size += samples.size
            if size >= count:
                return True
        return False

    def take(self, count: int) -> Block:
        """Return at most `count` samples up to the next gap; none if there are none."""
        gap = self._parts[0][0] if self._parts and count > 0 else _Gap()
        self.position += gap.lost
        first = self.position
        taken: list[Samples] = []
        while self._parts and count > 0 and (not taken or not self._parts[0][0]):
            _, samples = self._parts.popleft()
            if samples.size > count:
                self._parts.appendleft((_Gap(), samples[count:]))
                samples = samples[:count]
            taken.append(samples)
            count -= samples.size
        joined: Samples = np.concatenate(taken) if taken else np.empty(0, dtype=np.complex64)
        self.position += joined.size
        return Block(samples=joined, first_index=first, overrun=gap.lost, broken=gap.broken)

    def clear(self) -> None:
        """Forget what was not read; it counts as lost."""
        gap = _Gap()
        for before, samples in self._parts:
            gap = gap.with_more(before).with_more(_Gap(lost=samples.size))
        self._gap = gap.with_more(self._gap)
        self._parts.clear()
