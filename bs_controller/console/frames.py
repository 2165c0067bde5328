"""The one message that a console sends to a browser: a JSON header and raw arrays in one binary frame; pure functions.

Layout, mirrored by ``page/frames.js``::

    4 bytes   length H of the header, unsigned little-endian
    H bytes   header, JSON in UTF-8: {"status": {...}, "sections": {name: {...}}, "arrays": [...]}
    0-7 bytes zero, up to a multiple of 8
    arrays    raw little-endian, each begins at a multiple of 8

An entry of ``arrays`` is ``{"section", "name", "dtype", "shape", "offset"}``; the offset counts from the end of the
padding, dtypes are ``<f4`` and ``|u1``. A section that is missing has not changed since the frame before.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32] | npt.NDArray[np.uint8]
DTYPES = ("<f4", "|u1")
_ALIGNED = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """What one panel shows: plain values and arrays by name."""

    values: Mapping[str, object]
    arrays: Mapping[str, Array] = field(default_factory=dict)


def frame(status: Mapping[str, object], sections: Mapping[str, Section]) -> bytes:
    """Return the message of a status and the sections that changed; numbers that are not finite become null."""
    listed: list[dict[str, object]] = []
    payload: list[bytes] = []
    offset = 0
    for name, section in sections.items():
        for key, array in section.arrays.items():
            data = _checked(f"{name}.{key}", array).tobytes()
            listed.append(
                {"section": name, "name": key, "dtype": array.dtype.str, "shape": array.shape, "offset": offset}
            )
            payload.append(_padded(data))
            offset += len(payload[-1])
    values = {name: section.values for name, section in sections.items()}
    header = msgspec.json.encode({"status": status, "sections": values, "arrays": listed})
    return b"".join([_padded(len(header).to_bytes(4, "little") + header), *payload])


def _checked(name: str, array: Array) -> Array:
    if array.dtype.str not in DTYPES:
        raise TypeError(f"expected {name} as one of {', '.join(DTYPES)}, got {array.dtype.str}")
    return array


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % _ALIGNED)
