"""Golden frames as data: what a role must take, and what it must refuse, by which clause.

A vector of ``vectors/*.json`` is a recipe or raw frames. A recipe begins with a sound message of a type and damages it:
``header`` and ``fields`` set values, ``without`` removes keys (``ack``, ``fields.epoch``), ``append`` adds hexadecimal digits
to the header frame, ``fill`` a key with a text of that length, ``frames`` adds frames: digits, or ``{"zeros": N}``. Raw frames
are digits in which ``{session}``, ``{seq}`` and ``{ack}`` stand for the right numbers in their shortest encoding,
``{session:u64}`` for nine bytes, ``{session:f64}`` for a float. A vector is heard in an open session; ``expect`` is ``accept``
or the clause of the refusal.
"""

import re
import struct
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from protocol.conformance.case import Case, NonconformityError, Role, registered
from protocol.conformance.conversation import Conversation
from protocol.conformance.headers import UNSEQUENCED, packed

FOLDER = Path(__file__).with_name("vectors")
SOUND: dict[str, dict[str, object]] = {
    "measure": {"epoch": 1, "kind": "peak", "groups": 1},
    "capture": {"epoch": 1, "ue": "ue-1"},
    "heartbeat": {"progress": 1},
    "acknowledge": {},
    "bye": {"reason": "a vector"},
    "welcome": {"version": 1, "heartbeat_s": 0.2, "liveness_s": 1.0},
    "refusal": {"clause": "4.14", "text": "a vector", "final": False},
    "declined": {"epoch": 1, "clause": "7.1", "text": "a vector"},
    "ready": {"epoch": 1, "pilots": 1, "phase_deviation_cycles": 0.0, "delay_deviation_s": 0.0},
    "peak_report": {"epoch": 1, "subcarrier": 1},
    "group_report": {"epoch": 1, "group": 0},
}
HEARS: dict[str, tuple[Role, ...]] = {
    "measure": (Role.UE,),
    "capture": (Role.RADIO,),
    "configure": (Role.RADIO,),
    "welcome": (Role.UE, Role.RADIO),
    **dict.fromkeys(("heartbeat", "acknowledge", "refusal", "bye"), tuple(Role)),
    **dict.fromkeys(("hello", "declined", "ready", "peak_report", "group_report"), (Role.CONTROLLER,)),
}
_PLACE = re.compile(r"\{(session|seq|ack)(?::(u64|f64))?\}")


class Recipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A sound message and what is done to it."""

    header: dict[str, Any] = {}
    fields: dict[str, Any] = {}
    without: tuple[str, ...] = ()
    append: str = ""
    fill: int = 0
    frames: tuple[str | dict[str, int], ...] = ()


class Vector(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One golden message."""

    id: str
    type: str
    description: str
    expect: str
    clause: str
    layer: str = "framing"
    roles: tuple[Role, ...] = ()  # those that hear the type, unless given
    recipe: Recipe | None = None
    frames: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if (self.recipe is None) is not bool(self.frames):
            raise ValueError(f"{self.id}: expected a recipe or frames")


def vectors_in(folder: Path = FOLDER) -> list[Vector]:
    """Return all vectors of a folder, in the order of file names."""
    found: list[Vector] = []
    for path in sorted(folder.glob("*.json")):
        found += msgspec.json.decode(path.read_bytes(), type=list[Vector])
    return found


def register_all() -> None:
    """Register a case of each vector for each role that hears its type."""
    for vector in vectors_in():
        for role in vector.roles or HEARS[vector.type]:
            registered(
                Case(
                    id=f"{role}/{vector.layer}/vector-{vector.id}",
                    clause=vector.clause,
                    description=vector.description,
                    expectation="takes it" if vector.expect == "accept" else f"refuses it by {vector.expect}",
                    check=partial(check_vector, vector),
                )
            )


def check_vector(vector: Vector, driver: Any) -> None:
    """Say a vector to the testee, and see whether it is taken or refused."""
    conversation = opened(driver)
    sequence = 0 if vector.type in UNSEQUENCED else conversation.watch.numbered + 1
    frames = frames_of_vector(vector, conversation, sequence)
    if vector.expect != "accept":
        conversation.say_frames(frames)  # its number stays free: what section 3 refuses is not acknowledged
        conversation.expect_refusal(vector.expect)
        if conversation.watch.acknowledged >= max(sequence, 1):
            raise NonconformityError(f"{vector.id} was acknowledged", "9.1.4")
        return
    conversation.say_frames(frames, sequence=sequence)
    if sequence:
        conversation.expect_acknowledged(sequence)
        _no_refusal(conversation)
        return
    conversation.wait(0.25)
    _no_refusal(conversation)


def _no_refusal(conversation: Conversation) -> None:
    for said in conversation.inbox:
        if said.type == "refusal":
            raise NonconformityError(f"expected that it is taken, got a refusal: {said.fields}")


def opened(driver: Any) -> Conversation:
    """Return an open session with the testee, whichever role it has."""
    if isinstance(driver, Conversation):
        driver.open_session()  # type: ignore[attr-defined]
        return driver
    peer: Conversation = driver.ue()
    peer.open_session()  # type: ignore[attr-defined]
    return peer


def frames_of_vector(vector: Vector, conversation: Conversation, sequence: int) -> list[bytes]:
    """Return the frames to say, with the numbers of a session."""
    numbers = {"session": conversation.session, "seq": sequence, "ack": conversation.watch.received}
    if vector.recipe is None:
        return [bytes.fromhex(_PLACE.sub(lambda match: _number(match, numbers), frame)) for frame in vector.frames]
    recipe = vector.recipe
    header = conversation.header(vector.type, {**SOUND.get(vector.type, {}), **recipe.fields}, sequence=sequence)
    header |= recipe.header | ({"filling": "x" * recipe.fill} if recipe.fill else {})
    for path in recipe.without:
        parent, _, key = path.rpartition(".")
        place = header[parent] if parent else header
        assert isinstance(place, dict)  # noqa: S101 - vectors are ours
        del place[key]
    further = [bytes.fromhex(item) if isinstance(item, str) else bytes(item["zeros"]) for item in recipe.frames]
    return [packed(header) + bytes.fromhex(recipe.append), *further]


def _number(match: re.Match[str], numbers: dict[str, int]) -> str:
    value = numbers[match[1]]
    if match[2] == "u64":
        return (b"\xcf" + struct.pack(">Q", value)).hex()
    return (b"\xcb" + struct.pack(">d", value)).hex() if match[2] == "f64" else packed(value).hex()
