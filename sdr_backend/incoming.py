"""Samples between a device and whoever reads them: in order, numbered, with their gaps. No device, no clock."""

from collections import deque

import numpy as np

from sdr_backend.radio import Block, Samples


class Incoming:
    """Received samples that were not read yet; a block ends where samples were lost."""

    def __init__(self) -> None:
        self.position = 0  # the index of the sample that is read next
        self._parts: deque[tuple[int, Samples]] = deque()  # how many were lost before, and what came
        self._lost = 0  # since the last part

    def append(self, samples: Samples) -> None:
        """Take samples that came."""
        if samples.size:
            self._parts.append((self._lost, samples))
            self._lost = 0

    def lost(self, count: int) -> None:
        """Take note that so many samples are missing before those that come next."""
        self._lost += count

    def holds(self, count: int) -> bool:
        """Return whether there are so many, or all that can be had before a gap."""
        size = 0
        for index, (lost, samples) in enumerate(self._parts):
            if index and lost:
                return True
            size += samples.size
            if size >= count:
                return True
        return False

    def take(self, count: int) -> Block:
        """Return at most `count` samples up to the next gap; none if there are none."""
        overrun = self._parts[0][0] if self._parts and count > 0 else 0
        self.position += overrun
        first = self.position
        taken: list[Samples] = []
        while self._parts and count > 0 and (not taken or not self._parts[0][0]):
            _, samples = self._parts.popleft()
            if samples.size > count:
                self._parts.appendleft((0, samples[count:]))
                samples = samples[:count]
            taken.append(samples)
            count -= samples.size
        joined: Samples = np.concatenate(taken) if taken else np.empty(0, dtype=np.complex64)
        self.position += joined.size
        return Block(samples=joined, first_index=first, overrun=overrun)

    def clear(self) -> None:
        """Forget what was not read; it counts as lost."""
        self._lost += sum(lost + samples.size for lost, samples in self._parts)
        self._parts.clear()
