"""Frames that are valid, nearly valid, or nothing at all, from one seeded generator; for the fuzzing of the decoder.

A valid message is taken apart into a tree, changed at a place drawn by chance and written again by a writer that knows every
encoding that msgpack has for a value, those that no writer would choose included.
"""

import math
import random
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from operator import itemgetter

from protocol.codec import Envelope, encode
from tests.protocol.examples import EXAMPLES
from tests.protocol.reference_msgpack import Pairs, Reader

Frames = list[bytes]
Slot = tuple[list[object], int]


@dataclass(frozen=True)
class Raw:
    """Bytes that stand for a value, whatever they are."""

    data: bytes


# --- writing ---------------------------------------------------------------------------------------------------------


def packed(value: object, rng: random.Random | None = None) -> bytes:  # noqa: PLR0911 - one for each kind of value
    """Return a value as msgpack: as short as can be, or with `rng` in any encoding that reads back to the same."""
    chosen: Callable[[list[bytes]], bytes] = rng.choice if rng else itemgetter(0)
    match value:
        case Raw():
            return value.data
        case None | bool():
            return {None: b"\xc0", False: b"\xc2", True: b"\xc3"}[value]
        case int():
            return chosen(_integers(value))
        case float():
            return b"\xcb" + struct.pack(">d", value)
        case str():
            data = value.encode("utf-8", "surrogatepass")
            return chosen(_heads(len(data), *_STRING)) + data
        case list():
            return chosen(_heads(len(value), *_LIST)) + b"".join([packed(item, rng) for item in value])
        case Pairs():
            return chosen(_heads(len(value.items), *_MAP)) + b"".join(
                [packed(item, rng) for pair in value.items for item in pair]
            )
    raise TypeError(f"a value of the tree expected, got {value!r}")


_STRING, _LIST, _MAP = (0xA0, 31, 0xD9, 1), (0x90, 15, 0xDC, 2), (0x80, 15, 0xDE, 2)


@cache
def _heads(length: int, short: int, short_limit: int, first: int, first_size: int) -> list[bytes]:
    """Return every head of that many bytes, items or pairs, the shortest first."""
    heads = [bytes([short | length])] if length <= short_limit else []
    sizes = [size for size in (1, 2, 4) if size >= first_size]
    return heads + [
        bytes([first + at]) + length.to_bytes(size, "big") for at, size in enumerate(sizes) if length < 256**size
    ]


@cache
def _integers(value: int) -> list[bytes]:
    """Return every way to write an integer, the shortest first."""
    written = [struct.pack(">b", value)] if -32 <= value < 128 else []
    for first, signed in ((0xCC, False), (0xD0, True)):
        for at, size in enumerate((1, 2, 4, 8)):
            with suppress(OverflowError):
                written.append(bytes([first + at]) + value.to_bytes(size, "big", signed=signed))
    return written


# --- values that a rule may stumble over -----------------------------------------------------------------------------

_ODD_INTEGERS = [0, 1, -1, 2, 64, 65, 65536, 65537, 2**31, 2**31 + 1, 2**32, 2**63 - 1, 2**63, 2**64 - 1, -(2**63)]
_ODD_FLOATS = [0.0, -0.0, 1.0, 2.0, 0.5, -1.0, 60.0, 60.5, math.pi, 1e308, 5e-324, math.nan, math.inf, -math.inf]
_ODD_TEXTS = ["", "x", "ue-1", "ue-1\n", "Ue-1", "-ue", "4.12", "4.12\n", "٤.1", "123.1", "peak", "heartbeat", "hello"]
_ODD_TEXTS += [
    "radio",
    "<f8",
    "<c8",
    ">f8",
    "v",
    "type",
    "role",
    "epoch",
    "power_w",
    "0" * 64,
    "x" * 33,
    "x" * 64,
    "x" * 65,
]
_ODD_TEXTS += ["\0", "\U0001f600" * 1024, "x" * 1024, "x" * 1025, "é" * 1025, "x" * 4096, "x" * 4097]
_ODD_BYTES = [b"\xc1", b"\xc4\x00", b"\xc4\x01x", b"\xc5\x00\x00", b"\xc7\x00\x01", b"\xc7\x00\xff", b"\xd4\x01x"]
_ODD_BYTES += [b"\xd6\xff\0\0\0\0", b"\xd7\xff" + bytes(8), b"\xa1\xff", b"\xa3\xed\xa0\x80", b"\xa2\xc0\x80"]
_ODD_BYTES += [
    b"\xa4\xf4\x90\x80\x80",
    b"\xca" + struct.pack(">f", 0.5),
    b"\xca\x7f\xc0\0\0",
    b"\xca\x7f\x80\0\0",
    b"\xca\x3f\x80\0\0",
]
_ODD_BYTES += [b"\xdb\xff\xff\xff\xff", b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff"]
_ODD_BYTES += [b"\xc9\xff\xff\xff\xff\x01", b"\x91" * 1200 + b"\x01", b"\x81\xa1x" * 1200 + b"\x01", b"\x81\x01\x01"]
_ODD_BYTES += [b"\x82\xa1x\x01\xa1x\x01", b"\x81\xc4\x00\x01", b"\x81\x90\x01", b"\x81\x80\x01", b"\x81\xc0\x01", b""]
ODD_VALUES: list[object] = [None, False, True, [], [[]], [0] * 64, [0] * 65, Pairs([]), *_ODD_INTEGERS, *_ODD_FLOATS]
ODD_VALUES += [*_ODD_TEXTS, *map(Raw, _ODD_BYTES)]
ODD_VALUES += [Pairs([[f"k{key}", 0] for key in range(count)]) for count in (1, 64, 65)]
ODD_FLOATS_8 = [struct.pack("<d", value) for value in _ODD_FLOATS] + [struct.pack("<2f", 1.0, math.nan), b"\xff" * 8]


# --- changes of the header -------------------------------------------------------------------------------------------


def _copied(value: object) -> object:
    if isinstance(value, Pairs):
        return Pairs([[key, _copied(item)] for key, item in value.items])
    return [_copied(item) for item in value] if isinstance(value, list) else value


def _slots(value: object) -> Iterator[Slot]:
    """Yield every place below a value as the list that holds it and the index there."""
    for holder, index in _places(value):
        yield holder, index
        yield from _slots(holder[index])


def _places(value: object) -> list[Slot]:
    if isinstance(value, Pairs):
        return [(pair, 1) for pair in value.items]
    return [(value, index) for index in range(len(value))] if isinstance(value, list) else []


def _odd(rng: random.Random) -> object:
    return _copied(rng.choice(ODD_VALUES))


def _replace(rng: random.Random, header: Pairs) -> None:
    holder, index = rng.choice(list(_slots(header)))
    holder[index] = _odd(rng)


def _retype(rng: random.Random, header: Pairs) -> None:
    """Put the same number in another type: float for integer, truth for one, text for either."""
    numbers = [slot for slot in _slots(header) if type(slot[0][slot[1]]) in {int, float}]
    holder, index = rng.choice(numbers)
    number = holder[index]
    assert isinstance(number, int | float)
    holder[index] = rng.choice(
        [float(number), int(number) if abs(number) < 2**63 else number, number == 1, str(number)]
    )


def _maps(header: Pairs) -> list[Pairs]:
    inner = [holder[index] for holder, index in _slots(header)]
    return [header, *(value for value in inner if isinstance(value, Pairs))]


def _rearrange(rng: random.Random, header: Pairs) -> None:
    """Drop, add, double, rename or shuffle the pairs of a map at any depth."""
    items = rng.choice(_maps(header)).items
    at = rng.randrange(len(items) + 1)
    match rng.randrange(6):
        case 0 if items:
            del items[at % len(items)]
        case 1:
            items.insert(at, [rng.choice(["extra", "type", "v", "role", "final", "epoch", ""]), _odd(rng)])
        case 2 if items:
            items.insert(at, [_copied(part) for part in rng.choice(items)])
        case 3 if items:
            items.insert(at, [rng.choice(items)[0], _odd(rng)])
        case 4 if items:
            items[at % len(items)][0] = rng.choice([Raw(b"\xc4\x00"), 1, "", "kind", "epoch", "seq", "samples"])
        case _:
            rng.shuffle(items)


def _nest(rng: random.Random, header: Pairs) -> None:
    """Wrap a value into a few more levels than are allowed, or fewer."""
    holder, index = rng.choice(list(_slots(header)))
    for _ in range(rng.randrange(1, 12)):
        holder[index] = rng.choice([[holder[index]], Pairs([["deeper", holder[index]]])])


def _renumber(rng: random.Random, header: Pairs) -> None:
    pair = rng.choice([pair for pair in header.items if pair[0] in {"v", "session", "seq", "ack", "type"}] or [["", 0]])
    pair[1] = rng.choice([*_ODD_INTEGERS, *(1 + number % 3 for number in range(10)), *TREES_BY_TYPE])


def _redeclare(rng: random.Random, header: Pairs) -> None:
    """Change what `arrays` says: other names, dtypes, dimensions, entries."""
    entries = next((pair[1] for pair in header.items if pair[0] == "arrays"), None)
    if not isinstance(entries, list):
        return
    entry = ["samples", "<c8", [1]] if not entries else rng.choice(entries)
    match rng.randrange(6):
        case 0:
            entries.append(_copied(entry))
        case 1:
            entries.reverse()
        case 2 if entries:
            entries.remove(entry)
        case 3 if isinstance(entry, list) and len(entry) == 3:
            entry[1] = rng.choice(["<f8", "<c8", "<c16", ">f8", "<f4", "O", "|V8", "", "f8"])
        case 4 if isinstance(entry, list) and len(entry) == 3 and isinstance(entry[2], list):
            shape = entry[2]
            shape.insert(
                rng.randrange(len(shape) + 1), rng.choice([1, 1, 0, 2, -1, 2**31, 2**31 + 1, 2**63, 2**64 - 1])
            )
        case _:
            if isinstance(entry, list) and len(entry) == 3 and isinstance(entry[2], list):
                entry[2] = rng.choice([entry[2][::-1], [2], [1, 2], [2, 2], [1] * 5, [3], [2**31, 2**30], [], [True]])


# --- changes of the bytes --------------------------------------------------------------------------------------------


def _array_frames(rng: random.Random, frames: Frames) -> Frames:
    at = rng.randrange(1, len(frames)) if len(frames) > 1 else 0
    match rng.randrange(5):
        case 0:
            return frames[:at] + frames[at + 1 :]
        case 1:
            return [*frames, rng.choice([b"", b"\0" * 8, frames[at]])]
        case 2:
            return [frames[0], *frames[:0:-1]]
        case 3:
            shorter = frames[at][: -rng.choice([1, 4, 8])] + rng.choice([b"", b"\0"])
            return [*frames[:at], shorter, *frames[at + 1 :]]
    place = 8 * rng.randrange(max(1, len(frames[at]) // 8)) if at else 0
    changed = frames[at][:place] + rng.choice(ODD_FLOATS_8) + frames[at][place + 8 :]
    return [*frames[:at], changed, *frames[at + 1 :]] if at else frames


def _flipped(rng: random.Random, frames: Frames) -> Frames:
    at = rng.randrange(len(frames)) if rng.random() < 0.2 else 0
    changed = bytearray(frames[at])
    for _ in range(rng.randrange(1, 4)):
        if changed:
            place = rng.randrange(len(changed))
            changed[place] = rng.choice([rng.randrange(256), changed[place] ^ 1 << rng.randrange(8)])
    return [*frames[:at], bytes(changed), *frames[at + 1 :]]


def _cut(rng: random.Random, frames: Frames) -> Frames:
    return [frames[0][: rng.randrange(len(frames[0]) + 1)] + rng.choice([b"", b"", b"\0", b"\xc0"]), *frames[1:]]


def _trailing(rng: random.Random, frames: Frames) -> Frames:
    return [
        frames[0] + rng.choice([b"\0", b"\xc0", b"\x80", frames[0], b"\xc1" * (8193 - len(frames[0]))]),
        *frames[1:],
    ]


def _spliced(rng: random.Random, frames: Frames) -> Frames:
    other = rng.choice(VALID)
    if rng.random() < 0.5:
        return [rng.choice([frames[0], other[0]]), *rng.choice([frames[1:], other[1:]])]
    head, tail = frames[0], other[0]
    return [head[: rng.randrange(len(head) + 1)] + tail[rng.randrange(len(tail) + 1) :], *frames[1:]]


def _noise(rng: random.Random, _: Frames) -> Frames:
    return [rng.randbytes(rng.randrange(1 << rng.randrange(1, 9))) for _ in range(rng.randrange(7))]


# --- the stream ------------------------------------------------------------------------------------------------------


def _valid() -> list[Frames]:
    """Return one valid message of every type."""
    envelopes = [
        Envelope(session=7, sequence=int(message.SEQUENCED), acknowledged=2, message=message) for message in EXAMPLES
    ]
    return [[bytes(frame) for frame in encode(envelope)] for envelope in envelopes]


def _tree(frames: Frames) -> Pairs:
    header = Reader(frames[0]).whole()
    assert isinstance(header, Pairs)
    return header


VALID = _valid()
_TREES = [_tree(frames) for frames in VALID]
TREES_BY_TYPE = {str(pair[1]): tree for tree in _TREES for pair in tree.items if pair[0] == "type"}
_HEADER_CHANGES: Sequence[Callable[[random.Random, Pairs], None]] = (
    *(_replace, _replace, _replace, _retype, _rearrange, _rearrange, _nest, _renumber, _redeclare, _redeclare),
)
_BYTE_CHANGES: Sequence[Callable[[random.Random, Frames], Frames]] = (
    *(_array_frames, _array_frames, _flipped, _flipped, _flipped, _cut, _trailing, _spliced, _spliced, _noise),
)


def hostile_frames(seed: int, count: int) -> Iterator[Frames]:
    """Yield messages: a tenth valid in any encoding, half changed in the header, the rest in the bytes."""
    rng = random.Random(seed)
    for _ in range(count):
        at = rng.randrange(len(VALID))
        draw = rng.random()
        if draw >= 0.6:
            frames = rng.choice(_BYTE_CHANGES)(rng, VALID[at])
            yield frames if rng.random() < 0.8 or not frames else rng.choice(_BYTE_CHANGES)(rng, frames)
            continue
        header = _copied(_TREES[at])
        assert isinstance(header, Pairs)
        changes = 0 if draw < 0.1 else rng.choice([1, 1, 1, 2, 3])
        for _ in range(changes):
            rng.choice(_HEADER_CHANGES)(rng, header)
        if not changes:
            for pairs in _maps(header):
                rng.shuffle(pairs.items)
        frames = [packed(header, rng if rng.random() < 0.5 else None), *VALID[at][1:]]
        yield rng.choice(_BYTE_CHANGES)(rng, frames) if draw > 0.55 else frames
