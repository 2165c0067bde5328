"""What a transmitter is to send and when: bursts at indices of its counter, zeros between them. No clock, no socket."""

from collections import deque

import numpy as np

from sdr_backend.radio import LateError, Samples

MAX_WAITING = 1 << 25  # samples; a quarter of a GiB


class Schedule:
    """Bursts in the order of their indices; what was taken is gone."""

    def __init__(self) -> None:
        self.position = 0  # the index of the sample to be taken next
        self._bursts: deque[tuple[int, Samples]] = deque()
        self._waiting = 0

    @property
    def empty(self) -> bool:
        """Return whether nothing but zeros is to come."""
        return not self._bursts

    @property
    def end(self) -> int:
        """Return the index from which on nothing but zeros is to come."""
        if not self._bursts:
            return self.position
        at, samples = self._bursts[-1]
        return at + samples.size

    def add(self, samples: Samples, at: int | None) -> int:
        """Take a burst to be sent at an index, or after all others, and return the index.

        Raises
        ------
        LateError
            If that index has been taken.
        ValueError
            If other samples stand there, or too many wait.
        """
        first = self.end if at is None else at
        if first < self.position:
            raise LateError(first, self.position)
        if first < self.end:
            raise ValueError(f"expected an index from {self.end} on, where nothing is to be sent yet, got {first}")
        if self._waiting + samples.size > MAX_WAITING:
            raise ValueError(f"expected at most {MAX_WAITING} samples to wait, got {self._waiting + samples.size}")
        if samples.size:
            self._bursts.append((first, samples))
            self._waiting += samples.size
        return first

    def take(self, count: int) -> Samples:
        """Return the next `count` samples, ``(sample,)``."""
        taken: Samples = np.zeros(count, dtype=np.complex64)
        end = self.position + count
        while self._bursts and self._bursts[0][0] < end:
            at, samples = self._bursts.popleft()
            used = min(samples.size, end - at)
            taken[at - self.position : at - self.position + used] = samples[:used]
            self._waiting -= used
            if used < samples.size:
                self._bursts.appendleft((end, samples[used:]))
                break
        self.position = end
        return taken

    def clear(self) -> None:
        """Forget what was to be sent."""
        self._bursts.clear()
        self._waiting = 0
