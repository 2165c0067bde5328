"""Whatever comes is decoded or refused, and nothing else."""

import contextlib
from typing import Any

import msgpack
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from protocol import messages as msg
from protocol.codec import Envelope, decode, encode
from protocol.errors import PeerFaultError
from protocol.messages import Message
from tests.protocol.examples import EXAMPLES

POWER = msg.PowerReport(epoch=1, power_w=np.array([1.0, 2.0]))


def frames_of(message: Message) -> list[bytes]:
    envelope = Envelope(session=7, sequence=1 if message.SEQUENCED else 0, acknowledged=2, message=message)
    return [bytes(frame) for frame in encode(envelope)]


def decode_or_refuse(frames: list[bytes]) -> None:
    with contextlib.suppress(PeerFaultError):
        decode(frames)


@given(frames=st.lists(st.binary(max_size=200), max_size=7))
def test_arbitrary_frames_decode_or_are_refused(frames: list[bytes]) -> None:
    decode_or_refuse(frames)


@given(data=st.data(), message=st.sampled_from(EXAMPLES))
def test_mutated_frames_decode_or_are_refused(data: st.DataObject, message: Message) -> None:
    frames = [bytearray(frame) for frame in frames_of(message)]
    for _ in range(data.draw(st.integers(1, 4))):
        frame = data.draw(st.sampled_from(frames))
        at = data.draw(st.integers(0, len(frame)))
        frame[at : at + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))
    decode_or_refuse([bytes(frame) for frame in frames])


LEAF = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(max_size=8) | st.just(b"")
VALUE = st.recursive(
    LEAF,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8) | st.just(b""), inner, max_size=4),
    max_leaves=8,
)


@given(data=st.data(), message=st.sampled_from(EXAMPLES), value=VALUE)
def test_any_value_anywhere_in_the_header_decodes_or_is_refused(
    data: st.DataObject, message: Message, value: object
) -> None:
    first, *arrays = frames_of(message)
    header = msgpack.unpackb(first)
    node: Any = header
    while True:
        key = data.draw(st.sampled_from(sorted(node) if isinstance(node, dict) else range(len(node))))
        if not isinstance(node[key], dict | list) or not node[key] or data.draw(st.booleans()):
            break
        node = node[key]
    node[key] = value
    decode_or_refuse([msgpack.packb(header), *arrays])


@given(arrays=VALUE)
def test_any_declaration_of_arrays_decodes_or_is_refused(arrays: object) -> None:
    first, array = frames_of(POWER)
    decode_or_refuse([msgpack.packb(msgpack.unpackb(first) | {"arrays": arrays}), array])
