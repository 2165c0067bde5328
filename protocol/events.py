"""What a controller tells consoles while it runs, as frames and back: one msgpack header, then one raw frame per array.

Records are told once and never again: they carry their number in the journal, so that whoever listens sees what it missed.
They are no part of the protocol between peers, and never leave the machine. Decoding refuses what does not fit; no I/O, no
clock.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Meta

from protocol.codec import Frame

Array = npt.NDArray[np.complexfloating] | npt.NDArray[np.float64]

MAX_FRAME_BYTES = 1 << 26
MAX_ARRAYS = 4
_DTYPES: dict[str, np.dtype[Any]] = {"<c8": np.dtype("<c8"), "<f8": np.dtype("<f8")}
_Size = Annotated[int, Meta(ge=0, le=1 << 31)]


class EventFormatError(ValueError):
    """Frames that are no event; the text says what was expected and what came."""


class Announcement(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="run"):
    """The run that is going on, told again and again for those who come late.

    `peers` holds the last record of each peer; `config` is the resolved testbed file.
    """

    directory: str
    config: str
    start: dict[str, Any]
    peers: list[dict[str, Any]]


class Told(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="record"):
    """A record of the journal, of the run that began then, and whether it is on disk."""

    started_utc: str
    record: dict[str, Any]
    recorded: bool


class _Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    number: int
    sent_s: float
    event: Announcement | Told
    arrays: Annotated[list[tuple[str, str, tuple[_Size, ...]]], Meta(max_length=MAX_ARRAYS)]


class Event(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One event with its arrays by stream; `sent_s` is by the clock of the day.

    `number` is that of the record in the journal; an announcement has that of the record told before it.
    """

    number: int
    sent_s: float
    event: Announcement | Told
    arrays: Mapping[str, Array]


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(_Header)


def frames_from_event(event: Event) -> list[Frame]:
    """Return the frames of an event; arrays are not copied and must not change before they are sent."""
    arrays = {name: np.ascontiguousarray(array, _wire_dtype(array)) for name, array in event.arrays.items()}
    listed = [(name, array.dtype.str, array.shape) for name, array in arrays.items()]
    header = _Header(number=event.number, sent_s=event.sent_s, event=event.event, arrays=listed)
    return [_ENCODER.encode(header), *(array.reshape(-1).view(np.uint8).data for array in arrays.values())]


def _wire_dtype(array: Array) -> np.dtype[Any]:
    return _DTYPES["<c8" if np.iscomplexobj(array) else "<f8"]


def event_from_frames(frames: Sequence[Frame]) -> Event:
    """Return the event in these frames; arrays are read-only views into them.

    Raises
    ------
    EventFormatError
        If they are none.
    """
    if not frames:
        raise EventFormatError("expected a header, got no frame")
    try:
        header = _DECODER.decode(frames[0])
    except (msgspec.MsgspecError, RecursionError) as error:
        raise EventFormatError(f"expected the header of an event, got: {error}") from error
    if len(frames) != 1 + len(header.arrays):
        raise EventFormatError(f"expected {len(header.arrays)} arrays, got {len(frames) - 1} frames")
    arrays = {
        name: _array(name, dtype, shape, frame)
        for (name, dtype, shape), frame in zip(header.arrays, frames[1:], strict=True)
    }
    return Event(number=header.number, sent_s=header.sent_s, event=header.event, arrays=arrays)


def _array(name: str, dtype: str, shape: tuple[int, ...], frame: Frame) -> Array:
    if dtype not in _DTYPES or math.prod(shape) * _DTYPES[dtype].itemsize != len(frame):
        raise EventFormatError(f"expected {name} as {dtype} of shape {shape}, got {len(frame)} bytes")
    array: Array = np.frombuffer(frame, _DTYPES[dtype]).reshape(shape)
    return array
