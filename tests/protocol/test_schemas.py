"""The JSON Schema of headers: as kept as made, and of one mind with the codec."""

import copy
import json
from collections.abc import Mapping

import jsonschema
import msgpack
import pytest

from protocol import schemas
from protocol.codec import Envelope, decode, encode
from protocol.errors import PeerFaultError
from protocol.messages import MESSAGE_TYPES, Message, type_name
from tests.protocol.examples import EXAMPLES

VALIDATOR = jsonschema.Draft202012Validator(schemas.header_schema())


def header_of(message: Message) -> dict[str, object]:
    frames = encode(Envelope(session=7, sequence=int(message.SEQUENCED), message=message))
    header: dict[str, object] = msgpack.unpackb(frames[0])
    return header


def test_kept_schema_is_that_of_the_messages() -> None:
    assert schemas.PATH.read_text(encoding="utf-8") == schemas.text()


def test_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(schemas.header_schema())


def test_every_message_type_has_an_example() -> None:
    assert {type_name(message) for message in EXAMPLES} == set(MESSAGE_TYPES)


@pytest.mark.parametrize("message", EXAMPLES, ids=type_name)
def test_schema_accepts_what_the_codec_writes(message: Message) -> None:
    VALIDATOR.validate(header_of(message))


def changed(header: Mapping[str, object], path: str, value: object) -> dict[str, object]:
    result = json.loads(json.dumps(copy.deepcopy(dict(header))))
    *parents, last = path.split("/")
    place = result
    for parent in parents:
        place = place[parent]
    place[last] = value
    return dict(result)


@pytest.mark.clause("3.4")
@pytest.mark.parametrize("message", EXAMPLES, ids=type_name)
@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("v", 2),
        ("type", "hullo"),
        ("session", -1),
        ("session", 2**63),
        ("ack", 1.5),
        ("fields/unknown", 1),
        ("extra", 1),
        ("arrays", [["unknown", "<f8", [1]]]),
        ("fields", None),
    ],
)
def test_schema_and_codec_refuse_the_same_change(message: Message, path: str, value: object) -> None:
    header = changed(header_of(message), path, value)
    frames = encode(Envelope(session=7, sequence=int(message.SEQUENCED), message=message))
    with pytest.raises(PeerFaultError):
        decode([msgpack.packb(header), *frames[1:]])
    assert not VALIDATOR.is_valid(header)
