from collections.abc import Mapping

import msgpack
import msgspec
import pytest

from protocol.codec import decode
from protocol.conformance.facts import digest_of, facts_of
from protocol.conformance.headers import UNSEQUENCED
from protocol.conformance.packing import Packing, bytes_of
from protocol.conformance.vectors import AIR, SOUND, Sound, Vector, frames_of_vector, sound_arrays, vectors_in
from protocol.errors import PeerFaultError
from protocol.messages import type_name
from protocol.testbed import default_facts
from tests.protocol.reference_decoder import Accepted, verdict

FACTS = default_facts()
VECTORS = vectors_in()


def fields(kind: str) -> Mapping[str, object]:
    known = facts_of(FACTS)
    hello = {"name": "ue-1", "versions": [1], "software": "a test", "digest": digest_of(known), "facts": known}
    return SOUND.get(kind, hello | {"capabilities": {"role": "ue", "feedback_kinds": ["peak"]}})


def frames(vector: Vector) -> list[bytes]:
    numbers = {} if vector.type in AIR else {"session": 1_700_000_000_000_000, "acknowledged": 3}
    sequence = 0 if vector.type in UNSEQUENCED else 1
    arrays = sound_arrays(vector.type, FACTS)
    return frames_of_vector(vector, Sound(fields=fields(vector.type), arrays=arrays, sequence=sequence, **numbers))


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector.id)
def test_vector_is_what_the_codec_and_a_second_decoder_make_of_it(vector: Vector) -> None:
    wanted = verdict(frames(vector))
    if vector.accepted:
        assert isinstance(wanted, Accepted)
        assert type_name(decode(frames(vector)).message) == vector.type
        return
    with pytest.raises(PeerFaultError) as caught:
        decode(frames(vector))
    if vector.expect != "ignore":
        assert caught.value.clause in vector.expect
        assert not isinstance(wanted, Accepted)
        assert set(vector.expect) >= wanted, "every clause that is broken may be named"


def test_every_type_has_a_vector_to_take_and_every_clause_of_framing_one_to_refuse() -> None:
    assert {vector.type for vector in VECTORS if vector.accepted} == set(SOUND) | {"hello"}
    alone = {vector.expect[0] for vector in VECTORS if len(vector.expect) == 1}
    assert alone == {"3.1", "3.2", "3.3", "3.4", "3.5", "3.6", "3.7", "3.8", "3.9", "4.6"}


@pytest.mark.parametrize("integers", ["shortest", "u8", "u16", "u32", "u64", "i8", "i16", "i32", "i64"])
@pytest.mark.parametrize("width", [0, 16, 32])
def test_every_way_to_pack_a_value_is_read_as_that_value(integers: str, width: int) -> None:
    value = {
        "numbers": [0, 127, 128, 255, 256, 65536, 2**32, 2**63, -1, -33, -129, -(2**31) - 1, 0.5, 1e300, -0.0],
        "text": ["", "x" * 31, "x" * 32, "é" * 200, "x" * 70000],
        "others": [None, True, False, list(range(16)), {str(key): key for key in range(16)}],
    }
    options = {"integers": integers, "text": width, "arrays": width, "maps": width}
    packing = msgspec.convert(options, Packing)
    read = msgpack.unpackb(packing.packed(value))
    assert repr(sorted(read.items())) == repr(sorted(value.items()))
    if integers == "shortest" and not width:
        assert packing.packed(value) == msgpack.packb(value)


def test_damage_is_done_where_its_path_says() -> None:
    packing = Packing(twice=("a.b",), raw={"a.c#": "c0", "d.1": "cb*2"})
    packed = packing.packed({"a": {"b": 1, "c": 2}, "d": [3, 4]})
    assert packed == bytes_of("82 a161 83 a16201*2 c002 a164 92 03 cbcb")
