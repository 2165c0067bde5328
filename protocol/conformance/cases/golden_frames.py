"""The golden frames of `protocol.conformance.vectors`, each a case of every role that hears its type."""

from functools import partial
from typing import Any

from protocol.conformance import reference
from protocol.conformance.case import Case, NonconformityError, Role, UnsupportedError, registered
from protocol.conformance.conversation import Conversation
from protocol.conformance.drivers.controller import ControllerUnderTest, KitPeer
from protocol.conformance.drivers.peer import PeerUnderTest
from protocol.conformance.drivers.radio import RadioUnderTest
from protocol.conformance.drivers.ue import UeUnderTest
from protocol.conformance.headers import UNSEQUENCED
from protocol.conformance.vectors import (
    AIR,
    HEARS,
    SOUND,
    Sound,
    Vector,
    frames_of_vector,
    sound_arrays,
    vectors_in,
)

RADIO_SAYS = frozenset({"ready", "snapshot"})
UNAWAITED = "5.3"  # an answer that is taken is refused all the same if nobody has asked for it


def check_vector(vector: Vector, driver: Any) -> None:
    """Say a vector to the testee, and see whether it is taken or refused."""
    if vector.type in AIR:
        _check_on_air(vector, driver)
        return
    conversation = _listener(vector, driver)
    sequence = 0 if vector.type in UNSEQUENCED else conversation.watch.numbered + 1
    frames = frames_of_vector(vector, _sound(vector, conversation, driver, sequence))
    if not vector.accepted and vector.expect != "ignore":
        conversation.say_frames(frames)  # its number stays free: what section 3 refuses is not acknowledged
        conversation.expect_refusal(*vector.expect)
        if conversation.watch.acknowledged > 0:
            raise NonconformityError(f"{vector.id} was acknowledged", "9.1.4")
        return
    conversation.say_frames(frames, sequence=sequence)
    if vector.type == "bye":
        conversation.is_open = False
    if isinstance(conversation, KitPeer) and vector.type == "hello":
        conversation.expect_welcome()
    elif sequence:
        conversation.expect_acknowledged(sequence)
    else:
        conversation.wait(0.25)
    _require_no_refusal(conversation)


def _listener(vector: Vector, driver: Any) -> Conversation:
    """Return the kit's end of an open session with the testee, whichever role it has; before `hello` it is not open."""
    if isinstance(driver, PeerUnderTest):
        driver.open_session()
        return driver
    assert isinstance(driver, ControllerUnderTest)  # noqa: S101 - there are no others
    peer = driver.radio() if vector.type in RADIO_SAYS else driver.ue()
    if vector.type != "hello":
        peer.open_session()
    return peer


def _sound(vector: Vector, conversation: Conversation, driver: Any, sequence: int) -> Sound:
    hello = conversation.hello_fields() if isinstance(conversation, KitPeer) else {}
    return Sound(
        fields=hello if vector.type == "hello" else SOUND[vector.type],
        arrays=sound_arrays(vector.type, driver.rig.shared),
        session=conversation.session,
        sequence=sequence,
        acknowledged=conversation.watch.received,
    )


def _require_no_refusal(conversation: Conversation) -> None:
    for said in conversation.inbox:
        if said.type == "refusal" and said.fields["clause"] != UNAWAITED:
            raise NonconformityError(f"expected no refusal, got {said.fields}")


# --- air link --------------------------------------------------------------------------------------------------------


def _check_on_air(vector: Vector, driver: UeUnderTest | RadioUnderTest) -> None:
    if not driver.rig.target.has_air:
        raise UnsupportedError("the testee has no air link")
    driver.open_session()
    sound = Sound(fields=SOUND[vector.type], arrays=sound_arrays(vector.type, driver.rig.shared))
    frames = frames_of_vector(vector, sound)
    if isinstance(driver, UeUnderTest):
        _check_receiver(vector, driver, frames)
    else:
        _check_emulator(vector, driver, frames)


def _check_receiver(vector: Vector, ue: UeUnderTest, frames: list[bytes]) -> None:
    """Answer a listen with the vector, and the next one with a grid if the vector is none."""
    ue.require_kind("power")
    ue.answers_listen = False
    ue.ask("power")
    ue.answer_listen_frames(ue.expect_listen(), frames)
    samples = ue.samples()
    if vector.type == "grid" and vector.accepted:
        samples = sound_arrays("grid", ue.rig.shared)["samples"].astype("c16")
    else:
        ue.answer_listen(ue.expect_listen(), samples)
    powers_w, wanted_w = ue.expect("power_report").arrays["power_w"], reference.powers_w(samples)
    if powers_w.shape != wanted_w.shape or (abs(powers_w - wanted_w) > 1e-12 * wanted_w).any():
        raise NonconformityError(f"expected powers of {'the vector' if vector.accepted else 'the grid after it'}")


def _check_emulator(vector: Vector, radio: RadioUnderTest, frames: list[bytes]) -> None:
    """Listen by the vector and then soundly: the first answer tells which of them was heard first."""
    radio.listen_frames(frames)
    answer = radio.listen("ue-1", epoch=2)
    expected = 1 if vector.accepted else 2
    if answer.type != "silence" or answer.fields["epoch"] != expected:
        raise NonconformityError(f"expected silence of epoch {expected}, got {answer.type} {answer.fields}")


def _expectation(vector: Vector) -> str:
    match vector.expect:
        case "accept":
            return "takes it"
        case "ignore":
            return "says nothing of it"
    return "drops it" if vector.type in AIR else f"refuses it by {' or '.join(vector.expect)}"


def _register(vector: Vector, role: Role) -> None:
    registered(
        Case(
            id=f"{role}/{vector.layer}/vector-{vector.id}",
            clause=vector.clause,
            description=vector.description,
            expectation=_expectation(vector),
            check=partial(check_vector, vector),
        )
    )


for _vector in vectors_in():
    for _role in HEARS[_vector.type]:
        _register(_vector, _role)
