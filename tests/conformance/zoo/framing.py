"""Decoders that take too much: each makes something legal of what is not, and then goes on."""

from collections.abc import Callable
from typing import Any

import msgpack
import numpy as np

from protocol import codec, links
from protocol.errors import PeerFaultError
from protocol.messages import MESSAGE_TYPES
from tests.conformance.zoo.registry import around, broken

Frames = list[bytes]
Header = dict[str, Any]


def taking(repaired: Callable[[Frames], Frames], place: Any = links) -> None:
    """Decode what was repaired if it cannot be decoded as it is."""

    def decode(original: Any, frames: Frames) -> Any:
        try:
            return original(frames)
        except PeerFaultError as fault:
            try:
                return original(repaired(frames))
            except (PeerFaultError, ValueError, TypeError, KeyError, LookupError, msgpack.UnpackException):
                raise fault from None

    around(place, "decode", decode)


def _header(change: Callable[[Header], object]) -> Callable[[Frames], Frames]:
    def repaired(frames: Frames) -> Frames:
        values = msgpack.unpackb(frames[0], max_bin_len=0, max_ext_len=0)
        change(values)
        return [msgpack.packb(values), *frames[1:]]

    return repaired


def _arrays(change: Callable[[str, bytes], bytes], dtype: Callable[[str], str] = lambda name: name) -> Any:
    def repaired(frames: Frames) -> Frames:
        values = msgpack.unpackb(frames[0])
        listed = values["arrays"]
        further = [change(entry[1], frame) for entry, frame in zip(listed, frames[1:], strict=True)]
        values["arrays"] = [[name, dtype(kind), shape] for name, kind, shape in listed]
        return [msgpack.packb(values), *further]

    return repaired


@broken("controller-takes-unknown-keys", {})
@broken("ue-takes-unknown-keys", {})
def takes_unknown_keys() -> None:
    """Passes over keys that it does not know."""

    def change(values: Header) -> None:
        for key in set(values) - set(codec._Header.__struct_fields__):
            del values[key]
        known = MESSAGE_TYPES[values["type"]].__struct_fields__
        values["fields"] = {key: value for key, value in values["fields"].items() if key in known}

    taking(_header(change))


@broken("radio-takes-duplicate-keys", {})
@broken("controller-takes-duplicate-keys", {})
@broken("ue-takes-duplicate-keys", {})
def takes_duplicate_keys() -> None:
    """Lets the last of equal keys win."""
    taking(_header(lambda values: None))


@broken("controller-takes-trailing-bytes", {})
@broken("ue-takes-trailing-bytes", {})
def takes_trailing_bytes() -> None:
    """Reads the first map of a header and not what is behind it."""

    def repaired(frames: Frames) -> Frames:
        unpacker = msgpack.Unpacker()
        unpacker.feed(frames[0])
        return [msgpack.packb(unpacker.unpack()), *frames[1:]]

    taking(repaired)


@broken("controller-takes-nan", {})
@broken("radio-takes-nan", {})
def takes_nan() -> None:
    """Takes numbers in arrays that are not finite for zeros."""
    taking(_arrays(lambda dtype, frame: np.nan_to_num(np.frombuffer(frame, dtype), posinf=0, neginf=0).tobytes()))


@broken("controller-takes-any-byte-order", {})
@broken("radio-takes-any-byte-order", {})
def takes_any_byte_order() -> None:
    """Takes big-endian arrays too."""

    def little(dtype: str) -> str:
        return dtype.replace(">", "<")

    taking(_arrays(lambda dtype, frame: np.frombuffer(frame, dtype).astype(little(dtype)).tobytes(), little))


@broken("controller-takes-any-length", {})
@broken("radio-takes-any-length", {})
def takes_any_length() -> None:
    """Reads as many values as a frame has and leaves the rest."""

    def repaired(frames: Frames) -> Frames:
        values = msgpack.unpackb(frames[0])
        further = []
        for (_, dtype, shape), frame in zip(values["arrays"], frames[1:], strict=True):
            size = np.dtype(dtype).itemsize * int(np.prod(shape))
            further.append((frame + bytes(size))[:size])
        return [frames[0], *further]

    taking(repaired)


@broken("controller-takes-more-frames", {})
@broken("ue-takes-more-frames", {})
def takes_more_frames() -> None:
    """Leaves frames that no array is for."""
    taking(lambda frames: frames[: 1 + len(msgpack.unpackb(frames[0])["arrays"])])


@broken("controller-takes-any-version", {})
@broken("radio-takes-any-version", {})
def takes_any_version() -> None:
    """Does not look at `v`."""
    taking(_header(lambda values: values.update(v=1)))


@broken("controller-takes-wrong-numbers", {})
@broken("ue-takes-wrong-numbers", {})
def takes_wrong_numbers() -> None:
    """Takes sequence numbers where none belong."""
    taking(_header(lambda values: values.update(seq=0)))


@broken("ue-takes-booleans", {})
def takes_booleans() -> None:
    """Takes true for 1."""

    def change(values: Header) -> None:
        for place in (values, values["fields"]):
            place.update({key: int(value) for key, value in place.items() if value is True})

    taking(_header(change))


@broken("ue-takes-floats", {})
def takes_floats() -> None:
    """Takes floats that are whole for integers."""

    def change(values: Header) -> None:
        for place in (values, values["fields"]):
            place.update({key: int(value) for key, value in place.items() if isinstance(value, float)})

    taking(_header(change))


@broken("ue-takes-broken-text", {})
def takes_broken_text() -> None:
    """Passes over bytes that are no UTF-8."""
    taking(lambda frames: [msgpack.packb(msgpack.unpackb(frames[0], unicode_errors="ignore")), *frames[1:]])


@broken("ue-takes-malformed-grids", {})
def takes_malformed_grids() -> None:
    """Takes grids with unknown keys and with whatever is behind their header."""
    from ue_agent import receiver  # noqa: PLC0415 - only UEs have one

    def repaired(frames: Frames) -> Frames:
        unpacker = msgpack.Unpacker()
        unpacker.feed(frames[0])
        values = {key: value for key, value in unpacker.unpack().items() if key in codec._Header.__struct_fields__}
        return [msgpack.packb(values), *frames[1:]]

    taking(repaired, receiver)


@broken("radio-takes-malformed-listens", {})
def takes_malformed_listens() -> None:
    """Takes listens with duplicate keys."""
    from emulator import process  # noqa: PLC0415 - only radios have one

    taking(_header(lambda values: None), process)


@broken("controller-is-big-endian", {})
@broken("radio-is-big-endian", {})
def is_big_endian() -> None:
    """Sends big-endian arrays."""

    def encode(original: Any, envelope: Any) -> Any:
        frames = original(envelope)
        swap = _arrays(
            lambda dtype, frame: np.frombuffer(frame, dtype).astype(dtype.replace("<", ">")).tobytes(),
            lambda dtype: dtype.replace("<", ">"),
        )
        return swap([bytes(frame) for frame in frames]) if len(frames) > 1 else frames

    around(links, "encode", encode)


@broken("radio-is-big-endian-in-secret", {})
def is_big_endian_in_secret() -> None:
    """Sends arrays in the other byte order than it says."""

    def encode(original: Any, envelope: Any) -> Any:
        first, *further = original(envelope)
        return [first, *(np.frombuffer(frame, "<f4").byteswap().tobytes() for frame in further)]

    around(links, "encode", encode)


@broken("ue-adds-a-key", {})
def adds_a_key() -> None:
    """Adds a key of its own to its headers."""

    def encode(original: Any, envelope: Any) -> Any:
        first, *further = original(envelope)
        return [msgpack.packb(msgpack.unpackb(first) | {"at_s": 1.5}), *further]

    around(links, "encode", encode)
