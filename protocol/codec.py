"""Message to frames and back: one msgpack header frame, then one raw little-endian frame per array (SPEC 3).

Decoding denies by default: small limits before any memory is taken, no duplicate keys, no unknown fields, finite numbers
only, and every array exactly as the message type declares it. Nothing here is stateful.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import msgpack
import msgspec
import numpy as np
from msgspec import Meta

from protocol.errors import OurFaultError, PeerFaultError, ProtocolError
from protocol.messages import MESSAGE_TYPES, PROTOCOL_VERSION, Array, FeedbackKind, FrameSpec, Message, type_name
from protocol.testbed import TestbedFacts

Frame = bytes | memoryview

MAX_HEADER_BYTES = 8192
MAX_FRAMES = 5
MAX_DEPTH = 8
_UNPACK_LIMITS = {
    "max_str_len": 4096,  # 1024 characters of text, four bytes each at most
    "max_bin_len": 0,
    "max_ext_len": 0,
    "max_array_len": 64,
    "max_map_len": 64,
}
_HEADER = msgspec.msgpack.Encoder()
_DTYPES = {spec.dtype: np.dtype(spec.dtype) for kind in MESSAGE_TYPES.values() for spec in kind.FRAMES.values()}
_Number = Annotated[int, Meta(ge=0, le=2**63 - 1)]
_Dimension = Annotated[int, Meta(ge=1, le=2**31)]


class Envelope(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A message with the session's bookkeeping: sequence 0 is not sequenced, acknowledgement 0 is none (SPEC 4.6)."""

    session: int
    sequence: int = 0
    acknowledged: int = 0
    message: Message


_ArrayList = list[tuple[str, str, tuple[_Dimension, ...]]]


class _Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    v: _Number
    type: str
    session: _Number
    seq: _Number
    ack: _Number
    fields: dict[str, Any]
    arrays: _ArrayList


class _RawHeader(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    v: Literal[1]
    type: str
    session: _Number
    seq: _Number
    ack: _Number
    fields: msgspec.Raw
    arrays: _ArrayList


def largest_frame_bytes(facts: TestbedFacts, max_groups: int = 1) -> int:
    """Return the size of the largest frame that is legal in this testbed (SPEC 2.4)."""
    uplink = facts.uplink.array.elements * facts.uplink.grid.count * 8
    downlink = max(max_groups * facts.downlink.array.elements * 8, facts.downlink.grid.count * 16)
    return max(MAX_HEADER_BYTES, uplink, downlink)


def encode(envelope: Envelope) -> list[Frame]:
    """Return the frames of an envelope; arrays are not copied and must not change before they are sent."""
    message = envelope.message
    specs = message.FRAMES
    if not specs:
        return [_header_bytes(envelope, msgspec.structs.asdict(message), [])]
    fields = msgspec.structs.asdict(message)
    arrays = [(name, _wire_array(fields.pop(name), spec)) for name, spec in specs.items()]
    listed = [(name, specs[name].dtype, array.shape) for name, array in arrays]
    return [_header_bytes(envelope, fields, listed), *(array.reshape(-1).view(np.uint8).data for _, array in arrays)]


def _header_bytes(envelope: Envelope, fields: dict[str, Any], arrays: list[tuple[str, str, tuple[int, ...]]]) -> bytes:
    return _HEADER.encode(
        {
            "v": PROTOCOL_VERSION,
            "type": type_name(envelope.message),
            "session": envelope.session,
            "seq": envelope.sequence,
            "ack": envelope.acknowledged,
            "fields": fields,
            "arrays": arrays,
        }
    )


def _wire_array(array: Array, spec: FrameSpec) -> Array:
    return np.ascontiguousarray(array, dtype=_DTYPES[spec.dtype])


def decode(frames: Sequence[Frame]) -> Envelope:
    """Return the envelope in these frames; arrays are read-only views into them.

    Raises
    ------
    PeerFaultError
        If anything differs from SPEC 3; the error carries the clause.
    """
    return _decode_canonical(frames) or _decode_strictly(frames)


def _decode_canonical(frames: Sequence[Frame]) -> Envelope | None:
    """Return the envelope if its header is byte for byte what we would have written, or nothing.

    Whatever an attacker may have put twice, in excess or in another encoding then shows as a difference, and the strict
    decoder, which is slower by a factor of three, finds the clause.
    """
    if not 1 <= len(frames) <= MAX_FRAMES or len(frames[0]) > MAX_HEADER_BYTES:
        return None
    try:
        header = _RAW_HEADER.decode(frames[0])
        kind, scalars = _CANONICAL[header.type]
        fields = msgspec.structs.asdict(scalars.decode(header.fields))
        message = kind(**fields, **_arrays(header.type, header.arrays, kind, (), frames[1:]))
    except (msgspec.MsgspecError, ProtocolError, LookupError, ValueError, RecursionError):
        return None
    envelope = Envelope(session=header.session, sequence=header.seq, acknowledged=header.ack, message=message)
    same = _header_bytes(envelope, fields, header.arrays) == frames[0]
    return envelope if same and (header.seq > 0) is kind.SEQUENCED else None


def _decode_strictly(frames: Sequence[Frame]) -> Envelope:
    values = _unpacked(frames)
    try:
        return _envelope(_header(values), frames)
    except PeerFaultError as fault:
        fault.answerable = not isinstance(values, dict) or values.get("type") != "refusal"
        raise


def _envelope(header: _Header, frames: Sequence[Frame]) -> Envelope:
    kind = MESSAGE_TYPES.get(header.type)
    if kind is None:
        raise PeerFaultError("3.3", f"unknown message type {header.type[:64]!r}")
    if "type" in header.fields:  # msgspec would take it for the tag
        raise PeerFaultError("3.4", f"{header.type}: `type` is not a field")
    if (header.seq > 0) is not kind.SEQUENCED:
        raise PeerFaultError("4.6", f"{header.type} {'lacks its' if kind.SEQUENCED else 'has a'} sequence number")
    _require_finite(header.fields)
    fields = header.fields | _arrays(header.type, header.arrays, kind, header.fields, frames[1:])
    try:
        message = msgspec.convert(fields, kind)
    except msgspec.ValidationError as error:
        raise PeerFaultError("3.4", f"{header.type}: {error}") from error
    except OurFaultError as error:  # what the struct itself refuses is the sender's fault here
        raise PeerFaultError(error.clause, error.text) from error
    return Envelope(session=header.session, sequence=header.seq, acknowledged=header.ack, message=message)


def _unpacked(frames: Sequence[Frame]) -> object:
    if not 1 <= len(frames) <= MAX_FRAMES:
        raise PeerFaultError("3.1", f"a message has 1 to {MAX_FRAMES} frames, got {len(frames)}")
    if len(frames[0]) > MAX_HEADER_BYTES:
        raise PeerFaultError("3.1", f"the header may take {MAX_HEADER_BYTES} bytes, got {len(frames[0])}")
    try:
        values: object = msgpack.unpackb(frames[0], object_pairs_hook=_unique, **_UNPACK_LIMITS)
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise PeerFaultError("3.1", f"the header is not one msgpack map within limits: {error}") from error
    return values


def _header(fields: object) -> _Header:
    if isinstance(fields, dict) and fields.get("v") != PROTOCOL_VERSION:
        raise PeerFaultError("3.2", f"expected protocol version {PROTOCOL_VERSION}, got {str(fields.get('v'))[:32]}")
    try:
        return msgspec.convert(fields, _Header)
    except msgspec.ValidationError as error:
        raise PeerFaultError("3.4", f"header: {error}") from error


def _unique(pairs: list[tuple[object, object]]) -> dict[object, object]:
    # msgpack and msgspec both let the last of equal keys win; a splice attack lives on that.
    unique = dict(pairs)
    if len(unique) != len(pairs):
        raise ValueError("duplicate key")
    if b"" in unique:  # the one key besides strings that the limits above let through
        raise ValueError("a key is no string")
    return unique


def _require_finite(value: object, depth: int = MAX_DEPTH) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise PeerFaultError("3.5", f"a number is not finite: {value}")
    if isinstance(value, dict | list):
        if depth == 0:
            raise PeerFaultError("3.1", f"the header is nested deeper than {MAX_DEPTH} levels")
        for item in value.values() if isinstance(value, dict) else value:
            _require_finite(item, depth - 1)


def _arrays(
    name: str, listed: _ArrayList, kind: type[Message], fields: Iterable[str], frames: Sequence[Frame]
) -> dict[str, Array]:
    specs = kind.FRAMES
    if len(listed) != len(specs) or len(frames) != len(specs) or not specs.keys().isdisjoint(fields):
        raise PeerFaultError("3.6", f"{name} has arrays {list(specs)}, got {str(listed)[:256]} in {len(frames)} frames")
    arrays: dict[str, Array] = {}
    for (wanted, spec), (array, dtype, shape), frame in zip(specs.items(), listed, frames, strict=True):
        if array != wanted:
            raise PeerFaultError("3.6", f"{name} has arrays {list(specs)}, got {array[:32]!r} in the place of {wanted}")
        arrays[array] = _array(array, spec, dtype, shape, frame)
    return arrays


def _array(name: str, spec: FrameSpec, dtype: str, shape: tuple[int, ...], frame: Frame) -> Array:
    if dtype != spec.dtype or len(shape) != len(spec.axes):
        raise PeerFaultError(
            "3.8", f"{name} must be {spec.dtype} with axes {spec.axes}, got {dtype[:16]!r} {shape[:8]}"
        )
    if math.prod(shape) * _DTYPES[dtype].itemsize != len(frame):
        raise PeerFaultError("3.7", f"{name} of shape {shape} does not fill a frame of {len(frame)} bytes")
    return np.ndarray(shape, _DTYPES[dtype], frame)


def _scalars(kind: type[Message]) -> type[msgspec.Struct] | None:
    """Return the struct of a type's header fields, if none of them can hold a number that is not finite."""
    hints = {name: hint for name, hint in get_type_hints(kind, include_extras=True).items() if name not in kind.FRAMES}
    fields = [(field.name, hints[field.name]) for field in msgspec.structs.fields(kind) if field.name in hints]
    exact = all(_bare(hint) in _EXACT for _, hint in fields)
    return msgspec.defstruct(kind.__name__, fields, frozen=True, forbid_unknown_fields=True) if exact else None


def _bare(hint: Any) -> object:
    """Return the type that an annotation is about."""
    return get_args(hint)[0] if get_origin(hint) is Annotated else hint


_EXACT = (int, str, bool, FeedbackKind)
_RAW_HEADER = msgspec.msgpack.Decoder(_RawHeader)
_CANONICAL: dict[str, tuple[type[Message], msgspec.msgpack.Decoder[msgspec.Struct]]] = {
    name: (kind, msgspec.msgpack.Decoder(scalars))
    for name, kind in MESSAGE_TYPES.items()
    if (scalars := _scalars(kind)) is not None
}
