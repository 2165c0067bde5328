"""A msgpack reader in plain Python, from the specification of msgpack alone; limits are those of SPEC 3.1."""

import struct
from dataclasses import dataclass

READER_LEVELS = 64  # what is nested deeper is not read to its end: it breaks 3.1 whatever lies within


class UnreadableError(Exception):
    """The bytes are not one msgpack value within the limits of SPEC 3.1."""


@dataclass
class Pairs:
    """A map as it travelled: pairs in order, equal keys side by side."""

    items: list[list[object]]


@dataclass(frozen=True)
class Blob:
    """Bytes that travelled as `bin`."""

    data: bytes


@dataclass(frozen=True)
class Extension:
    """A value of an application's own type."""

    code: int
    data: bytes


_NUMBERS = {0xCA: ">f", 0xCB: ">d", 0xCC: ">B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q"}
_NUMBERS |= {0xD0: ">b", 0xD1: ">h", 0xD2: ">i", 0xD3: ">q"}
_CONSTANTS = {0xC0: None, 0xC2: False, 0xC3: True}


class Reader:
    """Reads one value; `flaws` holds what is readable and forbidden all the same."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0
        self.flaws: set[str] = set()

    def whole(self) -> object:
        """Return the value that all bytes together are."""
        value = self._value(0)
        if self._at != len(self._data):
            raise UnreadableError("trailing bytes")
        return value

    def _take(self, size: int) -> bytes:
        taken = self._data[self._at : self._at + size]
        if len(taken) != size:
            raise UnreadableError("the bytes end early")
        self._at += size
        return taken

    def _length(self, size: int, limit: int) -> int:
        return self._within(int.from_bytes(self._take(size), "big"), limit)

    @staticmethod
    def _within(length: int, limit: int) -> int:
        if length > limit:
            raise UnreadableError(f"{length} is more than {limit}")
        return length

    def _value(self, level: int) -> object:
        first = self._take(1)[0]
        if 0x80 <= first < 0xC0:
            return self._short(first, level)
        if first < 0x80 or first >= 0xE0:
            return first if first < 0x80 else first - 0x100
        if first in _CONSTANTS:
            return _CONSTANTS[first]
        if first in _NUMBERS:
            layout = _NUMBERS[first]
            return struct.unpack(layout, self._take(struct.calcsize(layout)))[0]
        return self._sized(first, level)

    def _short(self, first: int, level: int) -> object:
        if first < 0x90:
            return self._map(first & 0x0F, level)
        return self._array(first & 0x0F, level) if first < 0xA0 else self._text(first & 0x1F)

    def _sized(self, first: int, level: int) -> object:
        if first in {0xC4, 0xC5, 0xC6}:
            return Blob(self._take(self._length(1 << first - 0xC4, 0)))
        if first in {0xC7, 0xC8, 0xC9}:
            return self._extension(self._length(1 << first - 0xC7, 0))
        if 0xD4 <= first <= 0xD8:
            return self._extension(self._within(1 << first - 0xD4, 0))
        if first in {0xD9, 0xDA, 0xDB}:
            return self._text(self._length(1 << first - 0xD9, 4096))
        if first in {0xDC, 0xDD}:
            return self._array(self._length(2 << first - 0xDC, 64), level)
        if first in {0xDE, 0xDF}:
            return self._map(self._length(2 << first - 0xDE, 64), level)
        raise UnreadableError("0xc1 is never used")

    def _text(self, size: int) -> str:
        try:
            return self._take(size).decode("utf-8")
        except UnicodeDecodeError as error:
            raise UnreadableError("a string is not UTF-8") from error

    def _extension(self, size: int) -> Extension:
        self.flaws.add("ext")
        code = struct.unpack(">b", self._take(1))[0]
        if code == -1:
            raise UnreadableError("a timestamp takes 4, 8 or 12 bytes")
        return Extension(code, self._take(size))

    def _enter(self, level: int) -> None:
        if level > READER_LEVELS:
            raise UnreadableError("nested out of sight")
        if level > 8:  # the header's own map is level 0, `fields` is level 1
            self.flaws.add("depth")

    def _array(self, size: int, level: int) -> list[object]:
        self._enter(level)
        return [self._value(level + 1) for _ in range(size)]

    def _map(self, size: int, level: int) -> Pairs:
        self._enter(level)
        pairs: list[list[object]] = []
        for _ in range(size):
            key = self._value(level + 1)
            if not isinstance(key, str):
                raise UnreadableError("a key is no string")
            if any(key == known for known, _ in pairs):
                raise UnreadableError("duplicate key")
            pairs.append([key, self._value(level + 1)])
        return Pairs(pairs)
