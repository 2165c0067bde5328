"""Answers over ZeroMQ that tell their index, as a sink of GNU Radio writes them that passes tags. No socket.

A header stands before the samples: magic number, version, index of the first one, number of tags, which is 0 here. Items may
be several samples wide; indices in headers are those of items.
"""

import struct

import numpy as np

WIRE = np.dtype("<c8")
INDEX = struct.Struct("<HBQQ")
INDEX_MAGIC, INDEX_VERSION = 0x5FF0, 1


class CountedAnswers:
    """Indices of samples from the headers of answers."""

    def __init__(self, multiple: int, width: int = 1) -> None:
        self._multiple, self._width = multiple * width, width
        self._base, self._expected = 0, 0

    def missing(self, answer: memoryview) -> tuple[int, memoryview]:
        """Return how many samples are missing before those of an answer, and these as bytes.

        An answer without a header, or with tags behind it, holds none.
        """
        if len(answer) < INDEX.size:
            return 0, answer[:0]
        magic, version, index, tags = INDEX.unpack_from(answer)
        if (magic, version, tags) != (INDEX_MAGIC, INDEX_VERSION, 0):
            return 0, answer[:0]
        index *= self._width
        if self._base + index < self._expected:
            self._base = -(-(self._expected - index) // self._multiple) * self._multiple
        missing = self._base + index - self._expected
        samples = answer[INDEX.size :]
        self._expected += missing + len(samples) // WIRE.itemsize
        return missing, samples


def counted_answer(index: int, samples: bytes) -> bytes:
    """Return samples behind their header."""
    return INDEX.pack(INDEX_MAGIC, INDEX_VERSION, index, 0) + samples
