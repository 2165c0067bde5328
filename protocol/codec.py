"""Message to frames and back: one msgpack header frame, then one raw little-endian frame per array (SPEC 3).

Decoding denies by default: small limits before any memory is taken, no duplicate keys, no unknown fields, finite numbers
only, and every array exactly as the message type declares it. Nothing here is stateful.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import msgpack
import msgspec
import numpy as np
from msgspec import Meta

from protocol.errors import OurFaultError, PeerFaultError
from protocol.messages import MESSAGE_TYPES, PROTOCOL_VERSION, Array, FrameSpec, Message, type_name
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """A message with the session's bookkeeping: sequence 0 is not sequenced, acknowledgement 0 is none (SPEC 4.6)."""

    session: int
    sequence: int = 0
    acknowledged: int = 0
    message: Message


class _Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    v: _Number
    type: Annotated[str, Meta(max_length=64)]
    session: _Number
    seq: _Number
    ack: _Number
    fields: dict[str, Any]
    arrays: Annotated[list[tuple[str, str, Annotated[tuple[_Dimension, ...], Meta(max_length=4)]]], Meta(max_length=4)]


def largest_frame_bytes(facts: TestbedFacts, max_groups: int = 1) -> int:
    """Return the size of the largest frame that is legal in this testbed (SPEC 2.4)."""
    uplink = facts.uplink.array.elements * facts.uplink.grid.count * 8
    downlink = max(max_groups * facts.downlink.array.elements * 8, facts.downlink.grid.count * 16)
    return max(MAX_HEADER_BYTES, uplink, downlink)


def encode(envelope: Envelope) -> list[Frame]:
    """Return the frames of an envelope; arrays are not copied and must not change before they are sent."""
    message = envelope.message
    fields = msgspec.structs.asdict(message)
    arrays = [(name, _wire_array(name, fields.pop(name), spec)) for name, spec in message.FRAMES.items()]
    header = {
        "v": PROTOCOL_VERSION,
        "type": type_name(message),
        "session": envelope.session,
        "seq": envelope.sequence,
        "ack": envelope.acknowledged,
        "fields": fields,
        "arrays": [(name, message.FRAMES[name].dtype, array.shape) for name, array in arrays],
    }
    return [_HEADER.encode(header), *(array.reshape(-1).view(np.uint8).data for _, array in arrays)]


def _wire_array(name: str, array: Array, spec: FrameSpec) -> Array:
    return np.ascontiguousarray(array, dtype=_DTYPES[spec.dtype])


def decode(frames: Sequence[Frame]) -> Envelope:
    """Return the envelope in these frames; arrays are read-only views into them.

    Raises
    ------
    PeerFaultError
        If anything differs from SPEC 3; the error carries the clause.
    """
    header = _header(frames)
    kind = MESSAGE_TYPES.get(header.type)
    if kind is None:
        raise PeerFaultError("3.3", f"unknown message type {header.type!r}")
    if "type" in header.fields:  # msgspec would take it for the tag
        raise PeerFaultError("3.4", f"{header.type}: `type` is not a field")
    if (header.seq > 0) is not kind.SEQUENCED:
        raise PeerFaultError("4.6", f"{header.type} {'lacks its' if kind.SEQUENCED else 'has a'} sequence number")
    _require_finite(header.fields)
    fields = header.fields | _arrays(header, kind, frames[1:])
    try:
        message = msgspec.convert(fields, kind)
    except msgspec.ValidationError as error:
        raise PeerFaultError("3.4", f"{header.type}: {error}") from error
    except OurFaultError as error:  # what the struct itself refuses is the sender's fault here
        raise PeerFaultError(error.clause, error.text) from error
    return Envelope(session=header.session, sequence=header.seq, acknowledged=header.ack, message=message)


def _header(frames: Sequence[Frame]) -> _Header:
    if not 1 <= len(frames) <= MAX_FRAMES:
        raise PeerFaultError("3.1", f"a message has 1 to {MAX_FRAMES} frames, got {len(frames)}")
    if len(frames[0]) > MAX_HEADER_BYTES:
        raise PeerFaultError("3.1", f"the header may take {MAX_HEADER_BYTES} bytes, got {len(frames[0])}")
    try:
        fields = msgpack.unpackb(frames[0], object_pairs_hook=_unique, **_UNPACK_LIMITS)
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise PeerFaultError("3.1", f"the header is not one msgpack map within limits: {error}") from error
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
    return unique


def _require_finite(value: object, depth: int = MAX_DEPTH) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise PeerFaultError("3.5", f"a number is not finite: {value}")
    if isinstance(value, dict | list):
        if depth == 0:
            raise PeerFaultError("3.1", f"the header is nested deeper than {MAX_DEPTH} levels")
        for item in value.values() if isinstance(value, dict) else value:
            _require_finite(item, depth - 1)


def _arrays(header: _Header, kind: type[Message], frames: Sequence[Frame]) -> dict[str, Array]:
    specs = kind.FRAMES
    if not specs and not header.arrays and not frames:
        return {}
    declared = [name for name, _, _ in header.arrays]
    if declared != list(specs) or len(frames) != len(specs) or specs.keys() & header.fields.keys():
        raise PeerFaultError("3.6", f"{header.type} has arrays {list(specs)}, got {declared} in {len(frames)} frames")
    arrays: dict[str, Array] = {}
    for (name, dtype, shape), frame in zip(header.arrays, frames, strict=True):
        arrays[name] = _array(name, specs[name], dtype, shape, frame)
    return arrays


def _array(name: str, spec: FrameSpec, dtype: str, shape: tuple[int, ...], frame: Frame) -> Array:
    if dtype != spec.dtype or len(shape) != len(spec.axes):
        raise PeerFaultError("3.8", f"{name} must be {spec.dtype} with axes {spec.axes}, got {dtype[:16]!r} {shape}")
    if math.prod(shape) * _DTYPES[dtype].itemsize != len(frame):
        raise PeerFaultError("3.7", f"{name} of shape {shape} does not fill a frame of {len(frame)} bytes")
    return np.frombuffer(frame, dtype=_DTYPES[dtype]).reshape(shape)
