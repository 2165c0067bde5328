"""Every encoding that msgpack has for a value, written byte by byte without a library: also what none would write.

Places in a header are named by paths, keys joined by points: ``fields.facts.downlink``. Bytes are written as hexadecimal
digits in groups, of which ``78*1025`` is one that comes 1025 times.
"""

import struct
from collections.abc import Mapping
from typing import Literal

import msgspec

_FORMATS = {
    **{f"u{8 << at}": (bytes([0xCC + at]), ">" + letter, 0, 2 ** (8 << at) - 1) for at, letter in enumerate("BHIQ")},
    **{
        f"i{8 << at}": (bytes([0xD0 + at]), ">" + letter, -(2 ** ((8 << at) - 1)), 2 ** ((8 << at) - 1) - 1)
        for at, letter in enumerate("bhiq")
    },
}
_LENGTHS = {8: "B", 16: "H", 32: "I"}
_TEXT = {8: b"\xd9", 16: b"\xda", 32: b"\xdb"}
_ARRAY = {16: b"\xdc", 32: b"\xdd"}
_MAP = {16: b"\xde", 32: b"\xdf"}


def bytes_of(digits: str) -> bytes:
    """Return the bytes of hexadecimal digits in groups; ``aa*3`` stands for ``aa aa aa``."""
    found = b""
    for group in digits.split():
        pair, _, times = group.partition("*")
        found += bytes.fromhex(pair) * int(times or 1)
    return found


class Packing(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How values are written, shortest unless said otherwise; a width too small for a value gives way to the next.

    `floats` may be ``f32`` or ``integer`` for those that lose nothing by it; `reverse` turns the order of all keys; `twice`
    names keys that are written twice; `raw` has digits to be written in the place of values.
    """

    integers: Literal["shortest", "u8", "u16", "u32", "u64", "i8", "i16", "i32", "i64"] = "shortest"
    text: Literal[0, 8, 16, 32] = 0
    arrays: Literal[0, 16, 32] = 0
    maps: Literal[0, 16, 32] = 0
    floats: Literal["f64", "f32", "integer"] = "f64"
    reverse: bool = False
    twice: tuple[str, ...] = ()
    raw: Mapping[str, str] = {}

    def packed(self, value: object, path: str = "") -> bytes:  # noqa: PLR0911 - one for each kind of value
        """Return the bytes of a value at a place."""
        if path in self.raw:
            return bytes_of(self.raw[path])
        match value:
            case None | False | True:
                return {None: b"\xc0", False: b"\xc2", True: b"\xc3"}[value]
            case int():
                return self._integer(value)
            case float():
                return self._float(value)
            case str():
                data = value.encode()
                return _head(len(data), 31, 0xA0, self.text, _TEXT) + data
            case Mapping():
                return self._map(value, path)
            case list() | tuple():
                items = (self.packed(item, f"{path}.{at}") for at, item in enumerate(value))
                return _head(len(value), 15, 0x90, self.arrays, _ARRAY) + b"".join(items)
        raise TypeError(f"expected a value that msgpack has, got {type(value).__name__}")

    def _map(self, value: Mapping[str, object], path: str) -> bytes:
        pairs: list[bytes] = []
        for key in reversed(list(value)) if self.reverse else value:
            place = f"{path}.{key}" if path else key
            pairs += [self.packed(key, f"{place}#") + self.packed(value[key], place)] * (1 + (place in self.twice))
        return _head(len(pairs), 15, 0x80, self.maps, _MAP) + b"".join(pairs)

    def _integer(self, value: int) -> bytes:
        if self.integers == "shortest" and -32 <= value <= 127:
            return struct.pack(">b", value)
        wanted = "u8" if self.integers == "shortest" else self.integers
        family = "i" if value < 0 else wanted[0]
        for name, (first, layout, lowest, highest) in _FORMATS.items():
            if name[0] == family and int(name[1:]) >= int(wanted[1:]) and lowest <= value <= highest:
                return first + struct.pack(layout, value)
        return b"\xcf" + struct.pack(">Q", value)

    def _float(self, value: float) -> bytes:
        if self.floats == "integer" and value.is_integer():
            return self._integer(int(value))
        if self.floats == "f32" and struct.unpack(">f", struct.pack(">f", value))[0] == value:
            return b"\xca" + struct.pack(">f", value)
        return b"\xcb" + struct.pack(">d", value)


def _head(length: int, short_limit: int, short: int, wanted: int, firsts: Mapping[int, bytes]) -> bytes:
    """Return what stands before the bytes, items or pairs of a text, array or map."""
    if not wanted and length <= short_limit:
        return bytes([short + length])
    width = next(width for width in firsts if width >= wanted and length < 2**width)
    return firsts[width] + struct.pack(f">{_LENGTHS[width]}", length)
