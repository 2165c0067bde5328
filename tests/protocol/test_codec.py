"""Framing: what travels, and that each way of breaking section 3 is refused by its clause and by nothing else."""

import struct
from collections.abc import Callable
from typing import Any

import msgpack
import numpy as np
import pytest

from protocol import messages as msg
from protocol.codec import MAX_DEPTH, MAX_FRAMES, MAX_HEADER_BYTES, Envelope, decode, encode, largest_frame_bytes
from protocol.errors import OurFaultError, PeerFaultError
from protocol.messages import Message
from tests.protocol.examples import FACTS, configure, hello

Header = dict[str, Any]


def sealed(message: Message) -> Envelope:
    return Envelope(session=7, sequence=1 if message.SEQUENCED else 0, acknowledged=2, message=message)


def frames_of(message: Message) -> list[bytes]:
    return [bytes(frame) for frame in encode(sealed(message))]


def changed(message: Message, change: Callable[[Header], object]) -> list[bytes]:
    """Return the frames of a message with one thing changed in its header."""
    first, *arrays = frames_of(message)
    header = msgpack.unpackb(first)
    change(header)
    return [msgpack.packb(header), *arrays]


def refused(frames: list[bytes]) -> str:
    """Return the clause by which the frames are refused."""
    with pytest.raises(PeerFaultError) as caught:
        decode(frames)
    return caught.value.clause


def with_fields_value(packed_value: bytes) -> bytes:
    """Return a heartbeat's header whose `fields` are these bytes."""
    header = msgpack.unpackb(frames_of(msg.Heartbeat(progress=1))[0])
    del header["fields"]
    packed: bytes = msgpack.packb(header)
    return bytes([packed[0] + 1]) + packed[1:] + bytes(msgpack.packb("fields")) + packed_value


BEAT = msg.Heartbeat(progress=1)
POWER = msg.PowerReport(epoch=1, power_w=np.array([1.0, 2.0]))


# --- what is sent ----------------------------------------------------------------------------------------------------


@pytest.mark.clause("3.8")
def test_array_of_other_byte_order_travels_little_endian() -> None:
    big = np.array([1.0, 2.0], dtype=">f8")
    assert frames_of(msg.PowerReport(epoch=1, power_w=big))[1] == struct.pack("<2d", 1.0, 2.0)


@pytest.mark.clause("3.8")
def test_array_in_fortran_order_travels_in_c_order() -> None:
    samples = np.asfortranarray(np.arange(6, dtype=np.complex64).reshape(2, 3))
    frame = frames_of(msg.Snapshot(epoch=1, samples=samples))[1]
    assert np.frombuffer(frame, "<c8").tolist() == list(range(6))


@pytest.mark.clause("3.8")
@pytest.mark.parametrize("shape", [(), (0,), (1, 2)])
def test_array_with_other_axes_is_our_fault(shape: tuple[int, ...]) -> None:
    with pytest.raises(OurFaultError, match=r"SPEC 3\.8"):
        encode(sealed(msg.PowerReport(epoch=1, power_w=np.zeros(shape))))


@pytest.mark.clause("3.9.1")
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_array_that_is_not_finite_is_our_fault(value: float) -> None:
    with pytest.raises(OurFaultError, match=r"SPEC 3\.9"):
        encode(sealed(msg.PowerReport(epoch=1, power_w=np.array([1.0, value]))))


def test_large_array_is_sent_without_a_copy() -> None:
    power_w = np.ones(4)
    frame = encode(sealed(msg.PowerReport(epoch=1, power_w=power_w)))[1]
    assert np.shares_memory(np.frombuffer(frame), power_w)


@pytest.mark.clause("2.4")
def test_largest_frame_is_the_largest_of_snapshot_setting_grid_and_header() -> None:
    uplink_bytes, grid_bytes, setting_bytes = 392 * 4 * 8, 16 * 16, 8 * 4096 * 8
    assert [largest_frame_bytes(FACTS), largest_frame_bytes(FACTS, 4096)] == [
        max(MAX_HEADER_BYTES, uplink_bytes, grid_bytes),
        setting_bytes,
    ]


@pytest.mark.clause("3.1")
def test_longest_texts_fit_into_a_header() -> None:
    texts = [msg.Refusal(clause="4.12", text="\U0001f600" * 1024), msg.Bye(reason="\U0001f600" * 1024)]
    assert all(decode(frames_of(text)) for text in texts)


# --- 3.1: one msgpack map within limits ------------------------------------------------------------------------------


@pytest.mark.clause("3.1")
def test_message_without_frames_is_refused() -> None:
    assert refused([]) == "3.1"


@pytest.mark.clause("3.1")
def test_message_with_too_many_frames_is_refused() -> None:
    assert refused(frames_of(BEAT) * (MAX_FRAMES + 1)) == "3.1"


@pytest.mark.clause("3.1")
def test_oversized_header_is_refused() -> None:
    assert refused([b"\xc0" * (MAX_HEADER_BYTES + 1)]) == "3.1"


@pytest.mark.clause("3.1")
@pytest.mark.parametrize("at", [0, 1, 10, 30, -1])
def test_truncated_header_is_refused(at: int) -> None:
    assert refused([frames_of(BEAT)[0][:at]]) == "3.1"


@pytest.mark.clause("3.1")
def test_header_with_trailing_bytes_is_refused() -> None:
    assert refused([frames_of(BEAT)[0] + b"\x00"]) == "3.1"


@pytest.mark.clause("3.1")
def test_duplicate_key_of_the_header_is_refused() -> None:
    first = frames_of(BEAT)[0]
    assert refused([bytes([first[0] + 1]) + first[1:] + bytes(msgpack.packb("v")) + b"\x01"]) == "3.1"


@pytest.mark.clause("3.1")
def test_duplicate_key_of_the_fields_is_refused() -> None:
    key = bytes(msgpack.packb("progress"))
    assert refused([with_fields_value(b"\x82" + key + b"\x01" + key + b"\x01")]) == "3.1"


@pytest.mark.clause("3.1")
@pytest.mark.parametrize(
    "claim",
    [
        pytest.param(b"\xdb\xff\xff\xff\xff", id="string"),
        pytest.param(b"\xc6\xff\xff\xff\xff", id="bin"),
        pytest.param(b"\xc9\xff\xff\xff\xff\x01", id="ext"),
        pytest.param(b"\xdd\xff\xff\xff\xff", id="array"),
        pytest.param(b"\xdf\xff\xff\xff\xff", id="map"),
    ],
)
def test_huge_claimed_length_is_refused(claim: bytes) -> None:
    assert refused([with_fields_value(b"\x81" + bytes(msgpack.packb("progress")) + claim)]) == "3.1"


@pytest.mark.clause("3.1")
@pytest.mark.parametrize(
    "value",
    [
        pytest.param("x" * 4097, id="string"),
        pytest.param(b"x", id="bin"),
        pytest.param(msgpack.ExtType(1, b"x"), id="ext"),
        pytest.param(msgpack.Timestamp(0, 0), id="timestamp"),
        pytest.param([0] * 65, id="array"),
        pytest.param({str(key): 0 for key in range(65)}, id="map"),
        pytest.param({1: 0}, id="key that is no string"),
        pytest.param({b"": 0}, id="key that is bin, though empty"),
    ],
)
def test_value_beyond_the_limits_is_refused(value: object) -> None:
    assert (
        refused([with_fields_value(b"\x81" + bytes(msgpack.packb("progress")) + bytes(msgpack.packb(value)))]) == "3.1"
    )


@pytest.mark.clause("3.1")
def test_string_that_is_not_utf8_is_refused() -> None:
    assert refused([with_fields_value(b"\x81\xa1\xff\x01")]) == "3.1"


@pytest.mark.clause("3.1")
@pytest.mark.parametrize("levels", [MAX_DEPTH, 400, 1000, 4000])
def test_deeply_nested_header_is_refused(levels: int) -> None:
    nested = b"\x81" + bytes(msgpack.packb("progress")) + b"\x91" * levels + b"\x01"
    assert refused([with_fields_value(nested)]) == "3.1"


# --- 3.2 to 3.5: version, type, fields -------------------------------------------------------------------------------


@pytest.mark.clause("3.2")
@pytest.mark.parametrize("version", [0, 2, "1", None, [1]])
def test_other_version_is_refused(version: object) -> None:
    assert refused(changed(BEAT, lambda header: header.update(v=version))) == "3.2"


@pytest.mark.clause("3.2")
def test_header_without_version_is_refused() -> None:
    assert refused(changed(BEAT, lambda header: header.pop("v"))) == "3.2"


@pytest.mark.clause("3.2")
def test_other_version_is_refused_before_what_is_unknown_to_this_one() -> None:
    assert refused(changed(BEAT, lambda header: header.update(v=2, type="new", extra=1))) == "3.2"


@pytest.mark.clause("3.3")
@pytest.mark.parametrize("name", ["", "Heartbeat", "hello ", "x" * 64, "x" * 65])
def test_unknown_type_is_refused(name: str) -> None:
    assert refused(changed(BEAT, lambda header: header.update(type=name))) == "3.3"


@pytest.mark.clause("3.4")
@pytest.mark.parametrize("key", ["type", "session", "seq", "ack", "fields", "arrays"])
def test_header_with_a_missing_key_is_refused(key: str) -> None:
    assert refused(changed(BEAT, lambda header: header.pop(key))) == "3.4"


@pytest.mark.clause("3.4")
@pytest.mark.parametrize("key", ["session", "seq", "ack"])
@pytest.mark.parametrize("value", [-1, 2**63, 1.0, "1", True, None])
def test_header_number_outside_its_range_is_refused(key: str, value: object) -> None:
    assert refused(changed(BEAT, lambda header: header.update({key: value}))) == "3.4"


@pytest.mark.clause("3.4")
@pytest.mark.parametrize("value", [[], [1], 7, "header", None])
def test_header_that_is_no_map_is_refused(value: object) -> None:
    assert refused([msgpack.packb(value)]) == "3.4"


@pytest.mark.clause("3.4")
def test_unknown_key_of_the_header_is_refused() -> None:
    assert refused(changed(BEAT, lambda header: header.update(extra=1))) == "3.4"


@pytest.mark.clause("3.4")
def test_unknown_field_is_refused() -> None:
    assert refused(changed(BEAT, lambda header: header["fields"].update(extra=1))) == "3.4"


@pytest.mark.clause("3.4")
def test_type_repeated_as_a_field_is_refused() -> None:
    assert refused(changed(BEAT, lambda header: header["fields"].update(type="heartbeat"))) == "3.4"


@pytest.mark.clause("3.4")
def test_unknown_field_within_the_facts_is_refused() -> None:
    assert refused(changed(hello(), lambda header: header["fields"]["facts"]["region"].update(extra=1))) == "3.4"


@pytest.mark.clause("3.4")
def test_missing_fact_is_refused() -> None:
    change: Callable[[Header], object] = lambda header: header["fields"]["facts"].pop("speed_of_light_m_s")  # noqa: E731
    assert refused(changed(hello(), change)) == "3.4"


@pytest.mark.clause("3.4")
def test_facts_that_contradict_themselves_are_refused() -> None:
    array = {"elements": 9, "spacing_m": 1.0, "subarrays": 2}
    change: Callable[[Header], object] = lambda header: header["fields"]["facts"]["downlink"].update(array=array)  # noqa: E731
    assert refused(changed(hello(), change)) == "3.4"


@pytest.mark.clause("3.4")
def test_missing_field_is_refused() -> None:
    assert refused(changed(BEAT, lambda header: header["fields"].clear())) == "3.4"


@pytest.mark.clause("3.4")
@pytest.mark.parametrize("value", [-1, 2**63, 1.0, "1", True, None, [1], {}])
def test_field_of_another_type_or_out_of_range_is_refused(value: object) -> None:
    assert refused(changed(BEAT, lambda header: header["fields"].update(progress=value))) == "3.4"


@pytest.mark.clause("3.5")
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_field_that_is_not_finite_is_refused(value: float) -> None:
    welcome = msg.Welcome(version=1, heartbeat_s=0.5, liveness_s=2.0)
    assert refused(changed(welcome, lambda header: header["fields"].update(liveness_s=value))) == "3.5"


@pytest.mark.clause("3.5")
def test_fact_that_is_not_finite_is_refused() -> None:
    nan = float("nan")
    assert refused(changed(hello(), lambda header: header["fields"]["facts"].update(speed_of_light_m_s=nan))) == "3.5"


@pytest.mark.clause("4.6")
def test_sequenced_message_without_a_number_is_refused() -> None:
    assert refused(changed(POWER, lambda header: header.update(seq=0))) == "4.6"


@pytest.mark.clause("4.6")
def test_unsequenced_message_with_a_number_is_refused() -> None:
    assert refused(changed(BEAT, lambda header: header.update(seq=1))) == "4.6"


# --- 3.6 to 3.9: arrays ----------------------------------------------------------------------------------------------


@pytest.mark.clause("3.6")
def test_missing_array_is_refused() -> None:
    assert refused(changed(POWER, lambda header: header["arrays"].clear())) == "3.6"


@pytest.mark.clause("3.6")
def test_array_declared_by_a_type_without_arrays_is_refused() -> None:
    assert refused(changed(BEAT, lambda header: header.update(arrays=[["power_w", "<f8", [2]]]))) == "3.6"


@pytest.mark.clause("3.6")
def test_more_arrays_than_a_message_may_have_frames_are_refused() -> None:
    assert refused(changed(POWER, lambda header: header.update(arrays=5 * header["arrays"]))) == "3.6"


@pytest.mark.clause("3.6")
def test_array_of_another_name_is_refused() -> None:
    assert refused(changed(POWER, lambda header: header.update(arrays=[["power", "<f8", [2]]]))) == "3.6"


@pytest.mark.clause("3.6")
def test_arrays_in_another_order_are_refused() -> None:
    assert refused(changed(configure(), lambda header: header["arrays"].reverse())) == "3.6"


@pytest.mark.clause("3.6")
def test_missing_array_frame_is_refused() -> None:
    assert refused(frames_of(POWER)[:1]) == "3.6"


@pytest.mark.clause("3.6")
def test_frame_too_many_is_refused() -> None:
    assert refused([*frames_of(POWER), b""]) == "3.6"


@pytest.mark.clause("3.6")
def test_array_that_is_a_field_too_is_refused() -> None:
    assert refused(changed(POWER, lambda header: header["fields"].update(power_w=[1.0, 2.0]))) == "3.6"


@pytest.mark.clause("3.7")
@pytest.mark.parametrize("cut", [1, 8, 16])
def test_frame_shorter_than_its_shape_is_refused(cut: int) -> None:
    header, array = frames_of(POWER)
    assert refused([header, array[:-cut]]) == "3.7"


@pytest.mark.clause("3.7")
@pytest.mark.parametrize("extra", [1, 8])
def test_frame_longer_than_its_shape_is_refused(extra: int) -> None:
    header, array = frames_of(POWER)
    assert refused([header, array + bytes(extra)]) == "3.7"


@pytest.mark.clause("3.7")
def test_dimensions_whose_product_overflows_are_refused() -> None:
    snapshot = msg.Snapshot(epoch=1, samples=np.zeros((1, 1), dtype=np.complex64))
    huge = [["samples", "<c8", [2**31, 2**30]]]  # 2^64 bytes, which is 0 in a 64-bit product
    assert refused(changed(snapshot, lambda header: header.update(arrays=huge))) == "3.7"


@pytest.mark.clause("3.8")
@pytest.mark.parametrize("dtype", [">f8", "<f4", "<i8", "f8", "float64", "O", "|V8", ""])
def test_other_dtype_is_refused(dtype: str) -> None:
    assert refused(changed(POWER, lambda header: header.update(arrays=[["power_w", dtype, [2]]]))) == "3.8"


@pytest.mark.clause("3.8")
@pytest.mark.parametrize("shape", [[], [1, 2], [2, 1], [1, 1, 2, 1], [1, 1, 1, 1, 2]])
def test_other_number_of_axes_is_refused(shape: list[int]) -> None:
    assert refused(changed(POWER, lambda header: header.update(arrays=[["power_w", "<f8", shape]]))) == "3.8"


@pytest.mark.clause("3.4")
@pytest.mark.parametrize("shape", [[0], [-2], [2**31 + 1], [2.0], ["2"], 2])
def test_dimension_outside_its_range_is_refused(shape: object) -> None:
    assert refused(changed(POWER, lambda header: header.update(arrays=[["power_w", "<f8", shape]]))) == "3.4"


@pytest.mark.clause("3.9")
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_array_value_that_is_not_finite_is_refused(value: float) -> None:
    assert refused([frames_of(POWER)[0], struct.pack("<2d", 1.0, value)]) == "3.9"


@pytest.mark.clause("3.9")
def test_complex_value_with_one_part_that_is_not_finite_is_refused() -> None:
    report = msg.ComplexReport(epoch=1, samples=np.ones(1, dtype=np.complex64))
    assert refused([frames_of(report)[0], struct.pack("<2f", 1.0, float("nan"))]) == "3.9"
