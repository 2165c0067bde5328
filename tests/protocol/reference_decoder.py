"""What SPEC 3 says of a message, read from its bytes in plain Python: slow, obvious, and independent of protocol/codec.py.

Neither msgpack nor msgspec nor the message structs are used: the tables are those of SPEC 4 to 8, typed in again. A message
that breaks several clauses may be refused by any of them.
"""

import math
import re
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from tests.protocol.reference_msgpack import Pairs, Reader, UnreadableError

Check = Callable[[object], object]
Shape = tuple[int, ...]


# --- types of SPEC 1.4: a check returns the value as it is meant, or raises -------------------------------------------


class WrongError(Exception):
    """A value is not of its type or outside its range (SPEC 3.4)."""


def integer(low: int = -(2**63), high: int = 2**64 - 1) -> Check:
    def check(value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise WrongError
        return value

    return check


def number(allowed: Callable[[float], bool]) -> Check:
    def check(value: object) -> float:
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise WrongError
        if math.isfinite(value) and not allowed(float(value)):  # whether it is finite is a matter of 3.5
            raise WrongError
        return float(value)

    return check


def string(allowed: Callable[[str], bool]) -> Check:
    def check(value: object) -> str:
        if not isinstance(value, str) or not allowed(value):
            raise WrongError
        return value

    return check


def boolean(value: object) -> bool:
    if not isinstance(value, bool):
        raise WrongError
    return value


def listed(item: Check, low: int, high: int) -> Check:
    def check(value: object) -> list[object]:
        if not isinstance(value, list) or not low <= len(value) <= high:
            raise WrongError
        return [item(each) for each in value]

    return check


def record(optional: dict[str, object] | None = None, /, **required: Check) -> Check:
    """Return the check of a map with exactly these keys; `optional` keys have the defaults given."""
    defaults = optional or {}

    def check(value: object) -> dict[str, object]:
        if not isinstance(value, Pairs):
            raise WrongError
        found = {key: item for key, item in value.items if isinstance(key, str)}
        if len(found) != len(value.items) or not found.keys() <= required.keys():
            raise WrongError
        if not required.keys() - defaults.keys() <= found.keys():
            raise WrongError
        return defaults | {key: required[key](item) for key, item in found.items()}

    return check


def matching(pattern: str) -> Check:
    return string(lambda value: re.fullmatch(pattern, value) is not None)


EPOCH = integer(1, 2**63 - 1)
COUNT = integer(0, 2**63 - 1)
UP_TO_65536 = integer(1, 65536)
TEXT = string(lambda value: len(value) <= 1024)
CLAUSE = matching(r"[0-9]{1,2}\.[0-9]{1,2}")
NAME = matching(r"[a-z0-9][a-z0-9-]{0,31}")
KIND = string(lambda value: value in {"peak", "group", "power", "complex"})
POSITIVE = number(lambda value: value > 0)
NOT_NEGATIVE = number(lambda value: value >= 0)
FINITE = number(lambda value: True)

GRID = record(first_hz=POSITIVE, spacing_hz=POSITIVE, count=integer(2, 65536))
SECTOR = record(
    elements=integer(2, 16384), radius_m=POSITIVE, half_sector_rad=number(lambda value: 0 < value < math.pi)
)
RADIO = record(
    role=string(lambda value: value == "radio"),
    front_end=record(
        elements=integer(2, 16384),
        groups=integer(1, 4096),
        phase_bits=integer(0, 16),
        delay_step_s=NOT_NEGATIVE,
        delay_span_s=POSITIVE,
        settle_s=NOT_NEGATIVE,
    ),
)
UE = record(role=string(lambda value: value == "ue"), feedback_kinds=listed(KIND, 0, 64))


def linear(value: object) -> object:
    found = record(elements=integer(2, 16384), spacing_m=POSITIVE, subarrays=integer(1, 64))(value)
    assert isinstance(found, dict)
    if found["elements"] % found["subarrays"]:
        raise WrongError
    return found


def region(value: object) -> object:
    found = record(range_min_m=POSITIVE, range_max_m=POSITIVE, angle_min_rad=FINITE, angle_max_rad=FINITE)(value)
    assert isinstance(found, dict)
    if found["range_max_m"] <= found["range_min_m"] or found["angle_max_rad"] <= found["angle_min_rad"]:
        raise WrongError
    if found["angle_min_rad"] <= -math.pi / 2 or found["angle_max_rad"] >= math.pi / 2:
        raise WrongError
    return found


def capabilities(value: object) -> object:
    for check in (RADIO, UE):
        try:
            return check(value)
        except WrongError:
            continue
    raise WrongError


FACTS = record(
    downlink=record(grid=GRID, array=linear),
    uplink=record(grid=GRID, array=SECTOR),
    region=region,
    speed_of_light_m_s=POSITIVE,
)


# --- messages of SPEC 4 to 8 -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Kind:
    """A message type: whether it is numbered, its fields, and its arrays with dtype and number of axes."""

    sequenced: bool
    fields: Check
    arrays: dict[str, tuple[str, int]] = field(default_factory=dict)


KINDS = {
    "hello": Kind(
        False,
        record(
            name=NAME,
            versions=listed(integer(), 1, 16),
            software=TEXT,
            digest=matching("[0-9a-f]{64}"),
            facts=FACTS,
            capabilities=capabilities,
        ),
    ),
    "welcome": Kind(
        False,
        record(
            version=integer(),
            heartbeat_s=number(lambda value: 0 < value <= 60),
            liveness_s=number(lambda value: 0 < value <= 600),
        ),
    ),
    "heartbeat": Kind(False, record(progress=COUNT)),
    "acknowledge": Kind(False, record()),
    "refusal": Kind(False, record({"final": False}, clause=CLAUSE, text=TEXT, final=boolean)),
    "bye": Kind(False, record(reason=TEXT)),
    "declined": Kind(True, record(epoch=EPOCH, clause=CLAUSE, text=TEXT)),
    "configure": Kind(
        True, record(epoch=EPOCH, groups_per_pilot=UP_TO_65536), {"phase_cycles": ("<f8", 2), "delay_s": ("<f8", 2)}
    ),
    "ready": Kind(
        True,
        record(
            epoch=EPOCH,
            pilots=UP_TO_65536,
            phase_deviation_cycles=NOT_NEGATIVE,
            delay_deviation_s=NOT_NEGATIVE,
        ),
    ),
    "capture": Kind(True, record(epoch=EPOCH, ue=NAME)),
    "snapshot": Kind(True, record(epoch=EPOCH), {"samples": ("<c8", 2)}),
    "measure": Kind(True, record(epoch=EPOCH, kind=KIND, groups=UP_TO_65536)),
    "peak_report": Kind(True, record(epoch=EPOCH, subcarrier=COUNT)),
    "group_report": Kind(True, record(epoch=EPOCH, group=COUNT)),
    "power_report": Kind(True, record(epoch=EPOCH), {"power_w": ("<f8", 1)}),
    "complex_report": Kind(True, record(epoch=EPOCH), {"samples": ("<c8", 1)}),
    "listen": Kind(False, record(ue=NAME, epoch=EPOCH)),
    "grid": Kind(False, record(epoch=EPOCH), {"samples": ("<c16", 1)}),
    "silence": Kind(False, record(epoch=EPOCH, text=TEXT)),
}
DTYPE_BYTES = {"<f8": 8, "<c8": 8, "<c16": 16}
HEADER_KEYS = ("v", "type", "session", "seq", "ack", "fields", "arrays")


# --- verdict ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Accepted:
    """A message that breaks no clause: what it says, arrays as dtype, shape and bytes."""

    type: str
    numbers: tuple[object, object, object]  # session, seq, ack
    fields: object
    arrays: dict[str, tuple[str, Shape, bytes]]


Verdict = Accepted | frozenset[str]


def verdict(frames: Sequence[bytes]) -> Verdict:
    """Return the message in these frames, or the clauses by any of which it may be refused."""
    if not 1 <= len(frames) <= 5 or len(frames[0]) > 8192:
        return frozenset({"3.1"})
    reader = Reader(frames[0])
    try:
        header = reader.whole()
    except UnreadableError:
        return frozenset({"3.1"})
    broken = {"3.1"} if reader.flaws else set()
    if not isinstance(header, Pairs):
        return frozenset(broken | {"3.1", "3.4"})  # no map, and so without the keys of a header
    values = {key: value for key, value in header.items if isinstance(key, str)}
    version = values.get("v")
    if not isinstance(version, int) or version != 1 or isinstance(version, bool):
        same = isinstance(version, bool | float) and version == 1  # the right number in the wrong type
        return frozenset(broken | {"3.2"} | ({"3.4"} if same else set()))
    if len(values) != len(header.items) or set(values) != set(HEADER_KEYS):
        broken.add("3.4")
    return _judged(values, frames[1:], broken)


def _judged(values: dict[str, object], frames: Sequence[bytes], broken: set[str]) -> Verdict:
    for key in ("session", "seq", "ack"):
        _tried(COUNT, values.get(key), broken)
    name, fields, sequence = values.get("type"), values.get("fields"), values.get("seq")
    if not isinstance(fields, Pairs) or not isinstance(name, str):
        broken.add("3.4")
    if any(isinstance(value, float) and not math.isfinite(value) for value in _leaves(fields)):
        broken.add("3.5")
    entries = _entries(values.get("arrays"), broken)
    kind = KINDS.get(name) if isinstance(name, str) else None
    if isinstance(name, str) and kind is None:
        broken.add("3.3")
    if kind is None or not isinstance(name, str):
        return frozenset(broken)
    if isinstance(sequence, int) and (sequence > 0) is not kind.sequenced:
        broken.add("4.6")
    said = _tried(kind.fields, fields, broken)
    if isinstance(fields, Pairs) and any(key in kind.arrays for key, _ in fields.items if isinstance(key, str)):
        broken.add("3.6")
    arrays = _arrays(kind, entries, frames, broken)
    numbers = (values.get("session"), sequence, values.get("ack"))
    return frozenset(broken) if broken else Accepted(name, numbers, said, arrays)


def _tried(check: Check, value: object, broken: set[str]) -> object:
    try:
        return check(value)
    except WrongError:
        broken.add("3.4")
        return None


def _leaves(value: object) -> Iterator[object]:
    if isinstance(value, Pairs):
        for _, item in value.items:
            yield from _leaves(item)
    elif isinstance(value, list):
        for item in value:
            yield from _leaves(item)
    else:
        yield value


def _entries(value: object, broken: set[str]) -> list[tuple[str, str, Shape]]:
    entries: list[tuple[str, str, Shape]] = []
    for entry in value if isinstance(value, list) else [None]:
        match entry:
            case [str(name), str(dtype), list(shape)] if all(type(size) is int for size in shape):
                entries.append((name, dtype, tuple(shape)))
            case _:
                broken.add("3.4")
    if any(not 1 <= size <= 2**31 for _, _, shape in entries for size in shape):
        broken.add("3.4")
    return entries


def _arrays(
    kind: Kind, entries: list[tuple[str, str, Shape]], frames: Sequence[bytes], broken: set[str]
) -> dict[str, tuple[str, Shape, bytes]]:
    if len(entries) != len(kind.arrays) or len(frames) != len(kind.arrays):
        broken.add("3.6")
    arrays: dict[str, tuple[str, Shape, bytes]] = {}
    for (wanted, spec), (name, dtype, shape), frame in zip(kind.arrays.items(), entries, frames, strict=False):
        if name != wanted:
            broken.add("3.6")
            continue
        if (dtype, len(shape)) != spec:
            broken.add("3.8")
        if dtype in DTYPE_BYTES and math.prod(shape) * DTYPE_BYTES[dtype] != len(frame):
            broken.add("3.7")
        elif dtype == spec[0] and not _finite(dtype, frame):
            broken.add("3.9")
        arrays[name] = (dtype, shape, frame)
    return arrays


def _finite(dtype: str, frame: bytes) -> bool:
    letter, size = ("f", 4) if dtype == "<c8" else ("d", 8)
    return all(map(math.isfinite, struct.unpack(f"<{len(frame) // size}{letter}", frame)))
