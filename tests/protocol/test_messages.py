"""Every message type: it travels unchanged, and its declared frames are those of its annotations."""

import msgspec
import numpy as np
import pytest

from protocol import messages as msg
from protocol.codec import Envelope, decode, encode
from protocol.messages import MESSAGE_TYPES, FrameSpec, Message, Role, type_name
from tests.protocol.examples import EXAMPLES, RADIO, hello, values


def sealed(message: Message) -> Envelope:
    return Envelope(session=7, sequence=1 if message.SEQUENCED else 0, acknowledged=2, message=message)


def test_there_is_an_example_of_every_type() -> None:
    assert sorted(map(type_name, EXAMPLES)) == sorted(MESSAGE_TYPES)


@pytest.mark.clause("3.4")
@pytest.mark.parametrize("message", EXAMPLES, ids=type_name)
def test_message_survives_the_wire(message: Message) -> None:
    assert values(decode(encode(sealed(message))).message) == values(message)


@pytest.mark.clause("3.4")
@pytest.mark.parametrize("message", EXAMPLES, ids=type_name)
def test_envelope_survives_the_wire(message: Message) -> None:
    sent, got = sealed(message), decode(encode(sealed(message)))
    assert (got.session, got.sequence, got.acknowledged) == (sent.session, sent.sequence, sent.acknowledged)


def test_hello_of_a_radio_survives_the_wire() -> None:
    message = hello("radio", RADIO)
    assert values(decode(encode(sealed(message))).message) == values(message)


@pytest.mark.clause("4.3")
def test_role_follows_from_the_capabilities() -> None:
    assert (hello().role, hello("radio", RADIO).role) == (Role.UE, Role.RADIO)


@pytest.mark.clause("3.6")
def test_only_messages_with_arrays_have_frames() -> None:
    with_frames = {name: list(kind.FRAMES) for name, kind in MESSAGE_TYPES.items() if kind.FRAMES}
    assert with_frames == {
        "snapshot": ["samples"],
        "power_report": ["power_w"],
        "complex_report": ["samples"],
        "configure": ["phase_cycles", "delay_s"],
        "grid": ["samples"],
    }


@pytest.mark.clause("3.8")
def test_every_frame_is_little_endian() -> None:
    specs = [spec for kind in MESSAGE_TYPES.values() for spec in kind.FRAMES.values()]
    assert {spec.dtype for spec in specs} == {"<f8", "<c8", "<c16"}


@pytest.mark.clause("6.2")
def test_settings_travel_with_an_axis_of_groups_and_one_of_elements() -> None:
    assert msg.Configure.FRAMES["delay_s"] == FrameSpec(dtype="<f8", axes=("group", "element"))


@pytest.mark.clause("4.6")
def test_messages_that_carry_work_are_sequenced() -> None:
    sequenced = {name for name, kind in MESSAGE_TYPES.items() if kind.SEQUENCED}
    assert sequenced == {
        *("ready", "snapshot", "peak_report", "group_report", "power_report", "complex_report", "declined"),
        *("configure", "capture", "measure"),
    }


@pytest.mark.parametrize("kind", MESSAGE_TYPES.values(), ids=MESSAGE_TYPES)
def test_message_types_forbid_unknown_fields(kind: type[Message]) -> None:
    assert kind.__struct_config__.forbid_unknown_fields


@pytest.mark.clause("1.4")
@pytest.mark.parametrize("name", ["", "UE-1", "-ue", "ue_1", "u" * 33, "ue-1\n", "é"])
def test_name_outside_the_pattern_does_not_convert(name: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"epoch": 1, "ue": name}, msg.Capture)


@pytest.mark.clause("1.4")
@pytest.mark.parametrize("epoch", [0, -1, 2**63, 1.0, "1", None, True])
def test_epoch_outside_the_range_does_not_convert(epoch: object) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"epoch": epoch, "ue": "ue-1"}, msg.Capture)


def test_decoded_arrays_are_read_only() -> None:
    received = [bytes(frame) for frame in encode(sealed(msg.PowerReport(epoch=1, power_w=np.ones(3))))]
    report = decode(received).message
    assert isinstance(report, msg.PowerReport)
    assert not report.power_w.flags.writeable
