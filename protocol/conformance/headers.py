"""Messages as the kit writes and reads them, by plain msgpack: it can say what no conforming side would.

Nothing of `protocol.codec` takes part in writing; in reading it is the second opinion, after the kit's own.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgpack
import numpy as np
import numpy.typing as npt

from protocol.codec import decode
from protocol.conformance.case import NonconformityError
from protocol.errors import PeerFaultError

Array = npt.NDArray[np.inexact]
Fields = Mapping[str, object]

VERSION = 1
NO_CLAUSE = ".".join(("99", "99"))  # well-formed, and none of the specification's
UNSEQUENCED = frozenset({"hello", "welcome", "heartbeat", "acknowledge", "refusal", "bye", "listen", "grid", "silence"})
DTYPES: Mapping[str, Mapping[str, str]] = {
    "configure": {"phase_cycles": "<f8", "delay_s": "<f8"},
    "snapshot": {"samples": "<c8"},
    "power_report": {"power_w": "<f8"},
    "complex_report": {"samples": "<c8"},
    "grid": {"samples": "<c16"},
}
_KEYS = {"v", "type", "session", "seq", "ack", "fields", "arrays"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A message that the implementation under test said, and when (monotonic)."""

    type: str
    session: int
    sequence: int
    acknowledged: int
    fields: dict[str, object]
    arrays: dict[str, Array] = field(repr=False)
    frames: tuple[bytes, ...] = field(repr=False)
    at_s: float
    route: bytes = b""

    def integer(self, name: str) -> int:
        """Return a field that is an integer."""
        value = self.fields[name]
        assert isinstance(value, int)  # noqa: S101 - the schema was checked
        return value

    def text(self, name: str) -> str:
        """Return a field as text."""
        return str(self.fields[name])

    def without_acknowledgement(self) -> tuple[object, ...]:
        """Return all that stays the same when the message is sent again."""
        return (self.type, self.session, self.sequence, repr(self.fields), self.frames[1:])


def header(
    kind: str, fields: Fields, *, session: int = 0, sequence: int = 0, acknowledged: int = 0
) -> dict[str, object]:
    """Return a header without arrays, to be packed as it is or after some damage."""
    return {
        "v": VERSION,
        "type": kind,
        "session": session,
        "seq": sequence,
        "ack": acknowledged,
        "fields": dict(fields),
        "arrays": [],
    }


def packed(values: object) -> bytes:
    """Return msgpack bytes, shortest encodings."""
    return bytes(msgpack.packb(values))


def frames_of(values: dict[str, object], arrays: Mapping[str, Array]) -> list[bytes]:
    """Return the frames of a header and its arrays; dtypes are those of the type, if it has them."""
    dtypes = DTYPES.get(str(values["type"]), {})
    wire = {
        name: np.ascontiguousarray(array, dtype=dtypes.get(name, array.dtype.str)) for name, array in arrays.items()
    }
    listed = [[name, array.dtype.str, list(array.shape)] for name, array in wire.items()]
    return [packed({**values, "arrays": listed}), *(array.tobytes() for array in wire.values())]


def summary(frames: Sequence[bytes]) -> str:
    """Return one line on any frames, for logs; what cannot be read is shown in hexadecimal digits."""
    try:
        values = msgpack.unpackb(frames[0], strict_map_key=False)
        parts = [f"{key}={values[key]}" for key in ("session", "seq", "ack")]
        text = f"{values['type']} {' '.join(parts)} {_short(values['fields'])}"
    except (ValueError, TypeError, KeyError, IndexError, msgpack.UnpackException):
        text = f"{frames[0][:48].hex(' ')}{' ...' if len(frames[0]) > 48 else ''}" if frames else "no frames"
    sizes = "".join(f" +{len(frame)} B" for frame in frames[1:6])
    return f"{text}{sizes}{' ...' if len(frames) > 6 else ''}"


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 160 else f"{text[:160]} ..."


def parsed(frames: Sequence[bytes], *, at_s: float, route: bytes = b"") -> Said:
    """Return what the implementation under test said.

    Raises
    ------
    NonconformityError
        If it is not a message of section 3, by the kit's own reading or by the codec's.
    """
    if not 1 <= len(frames) <= 5 or len(frames[0]) > 8192:
        sizes = [len(frame) for frame in frames[:8]]
        raise NonconformityError(f"expected 1 to 5 frames, the first of at most 8192 bytes, got {sizes}", "3.1.1")
    values = _unpacked(frames[0])
    for key in ("v", "session", "seq", "ack"):
        if not isinstance(values[key], int) or isinstance(values[key], bool):
            raise NonconformityError(f"expected an integer as {key}, got {values[key]!r}", "3.4.1")
    arrays = _arrays(values, frames)
    try:
        decode(frames)
    except PeerFaultError as error:
        raise NonconformityError(f"{summary(frames)}: {error.text}", error.clause) from error
    numbers = [int(str(values[key])) for key in ("session", "seq", "ack")]
    fields = values["fields"]
    assert isinstance(fields, dict)  # noqa: S101 - the codec has seen it
    return Said(
        type=str(values["type"]),
        session=numbers[0],
        sequence=numbers[1],
        acknowledged=numbers[2],
        fields=fields,
        arrays=arrays,
        frames=tuple(frames),
        at_s=at_s,
        route=route,
    )


def _unpacked(frame: bytes) -> dict[str, object]:
    try:
        values = msgpack.unpackb(frame, object_pairs_hook=_unique, max_bin_len=0, max_ext_len=0)
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise NonconformityError(f"the header is not one msgpack map: {error}: {summary([frame])}", "3.1.1") from error
    if not isinstance(values, dict) or set(values) != _KEYS:
        raise NonconformityError(f"expected a header of the keys {sorted(_KEYS)}, got {summary([frame])}", "3.4.1")
    return values


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a key is there twice")
    return dict(pairs)


def _arrays(values: dict[str, object], frames: Sequence[bytes]) -> dict[str, Array]:
    listed = values["arrays"]
    if not isinstance(listed, list) or len(listed) != len(frames) - 1:
        raise NonconformityError(f"expected an entry in arrays for each further frame, got {summary(frames)}", "3.8.1")
    arrays: dict[str, Array] = {}
    for entry, frame in zip(listed, frames[1:], strict=True):
        try:
            name, dtype, shape = entry
            if math.prod(shape) * np.dtype(dtype).itemsize != len(frame):
                raise ValueError(f"{len(frame)} bytes")
            arrays[name] = np.frombuffer(frame, dtype=dtype).reshape(shape)
        except (ValueError, TypeError) as error:
            raise NonconformityError(f"expected an array as declared by {entry}, got {error}", "3.8.1") from error
    return arrays
