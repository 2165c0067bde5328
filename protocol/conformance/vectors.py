"""Golden frames as data: what a role must take, and what it must refuse, by which clause. Pure: no socket, no clock.

A vector of ``vectors/*.json`` is a recipe or raw frames. A recipe begins with a sound message of a type and damages it: ``set``
gives values to places in the header (``v``, ``fields.epoch``), ``without`` removes keys, `packing` says how all is written,
``cut`` takes bytes off the end of the header frame, ``append`` adds some, ``frames`` are the further frames instead of those of
the type's arrays. Raw frames are digits in which ``{session}``, ``{seq}`` and ``{ack}`` stand for the right numbers in their
shortest encoding, ``{session:u64}`` for nine bytes, ``{session:f64}`` for a float.

`expect` is ``accept``, ``ignore`` (nothing may be said of it), or the clauses of which a refusal may name one. On the air link
what is not accepted is dropped. A vector is heard in an open session, but for ``hello``, which is heard before.
"""

import re
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np

from protocol.conformance.case import Role
from protocol.conformance.headers import DTYPES, Array, frames_of, header, packed
from protocol.conformance.packing import Packing, bytes_of
from protocol.testbed import TestbedFacts

FOLDER = Path(__file__).with_name("vectors")
AIR = frozenset({"listen", "grid", "silence"})
SOUND: Mapping[str, Mapping[str, object]] = {
    "measure": {"epoch": 1, "kind": "peak", "groups": 1},
    "configure": {"epoch": 1, "groups_per_pilot": 1},
    "capture": {"epoch": 1, "ue": "ue-1"},
    "heartbeat": {"progress": 1},
    "acknowledge": {},
    "bye": {"reason": "a vector"},
    "welcome": {"version": 1, "heartbeat_s": 0.25, "liveness_s": 1.0},
    "refusal": {"clause": "4.14", "text": "a vector", "final": False},
    "declined": {"epoch": 1, "clause": "7.1", "text": "a vector"},
    "ready": {"epoch": 1, "pilots": 1, "phase_deviation_cycles": 0.0, "delay_deviation_s": 0.0},
    "snapshot": {"epoch": 1},
    "peak_report": {"epoch": 1, "subcarrier": 1},
    "group_report": {"epoch": 1, "group": 0},
    "power_report": {"epoch": 1},
    "complex_report": {"epoch": 1},
    "listen": {"ue": "ue-1", "epoch": 1},
    "grid": {"epoch": 1},
    "silence": {"epoch": 1, "text": "a vector"},
}
HEARS: Mapping[str, tuple[Role, ...]] = {
    **dict.fromkeys(("measure", "grid", "silence"), (Role.UE,)),
    **dict.fromkeys(("configure", "capture", "listen"), (Role.RADIO,)),
    "welcome": (Role.UE, Role.RADIO),
    **dict.fromkeys(("heartbeat", "acknowledge", "refusal", "bye"), tuple(Role)),
    **dict.fromkeys(("hello", "declined", "ready", "snapshot"), (Role.CONTROLLER,)),
    **dict.fromkeys(("peak_report", "group_report", "power_report", "complex_report"), (Role.CONTROLLER,)),
}
_PLACE = re.compile(r"\{(session|seq|ack)(?::(u64|f64))?\}")


class Recipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A sound message and what is done to it."""

    set: Mapping[str, Any] = {}
    without: tuple[str, ...] = ()
    packing: Packing = Packing()
    cut: int = 0
    append: str = ""
    frames: tuple[str, ...] | None = None


class Vector(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One golden message."""

    id: str
    type: str
    description: str
    expect: Literal["accept", "ignore"] | tuple[str, ...]
    clause: str
    layer: str = "framing"
    recipe: Recipe | None = None
    frames: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if (self.recipe is None) is not bool(self.frames):
            raise ValueError(f"{self.id}: expected a recipe or frames")

    @property
    def accepted(self) -> bool:
        """Return whether a conforming receiver takes it."""
        return self.expect == "accept"


class Sound(msgspec.Struct, frozen=True, kw_only=True):
    """What is put into a vector: fields and arrays of its type, and the numbers of the session that it is said in."""

    fields: Mapping[str, object]
    arrays: Mapping[str, Array] = {}
    session: int = 0
    sequence: int = 0
    acknowledged: int = 0


def vectors_in(folder: Path = FOLDER) -> list[Vector]:
    """Return all vectors of a folder, in the order of file names."""
    found: list[Vector] = []
    for path in sorted(folder.glob("*.json")):
        found += msgspec.json.decode(path.read_bytes(), type=list[Vector])
    return found


def sound_arrays(kind: str, shared: TestbedFacts) -> dict[str, Array]:
    """Return arrays of zeros, in the shapes that this testbed has for a type."""
    shapes = {
        "configure": (1, shared.downlink.array.elements),
        "snapshot": (shared.uplink.array.elements, shared.uplink.grid.count),
    }
    shape = shapes.get(kind, (shared.downlink.grid.count,))
    return {name: np.zeros(shape, dtype=dtype) for name, dtype in DTYPES.get(kind, {}).items()}


def frames_of_vector(vector: Vector, sound: Sound) -> list[bytes]:
    """Return the frames to say."""
    if vector.recipe is None:
        numbers = {"session": sound.session, "seq": sound.sequence, "ack": sound.acknowledged}
        return [bytes_of(_PLACE.sub(lambda match: _number(match, numbers), frame)) for frame in vector.frames]
    recipe = vector.recipe
    whole = header(
        vector.type, sound.fields, session=sound.session, sequence=sound.sequence, acknowledged=sound.acknowledged
    )
    further = frames_of(whole, sound.arrays)[1:]
    whole["arrays"] = [[name, array.dtype.str, list(array.shape)] for name, array in sound.arrays.items()]
    values = _damaged(whole, recipe)
    first = recipe.packing.packed(values)
    first = first[: len(first) - recipe.cut] + bytes_of(recipe.append)
    return [first, *(further if recipe.frames is None else map(bytes_of, recipe.frames))]


def _damaged(whole: dict[str, object], recipe: Recipe) -> dict[str, Any]:
    values: dict[str, Any] = msgspec.to_builtins(whole)  # a copy at every depth
    for path, value in recipe.set.items():
        place, key = _place(values, path)
        place[key] = value
    for path in recipe.without:
        place, key = _place(values, path)
        del place[key]
    return values


def _place(values: dict[str, Any], path: str) -> tuple[dict[str, Any], str]:
    *parents, key = path.split(".")
    for parent in parents:
        values = values[parent]
    return values, key


def _number(match: re.Match[str], numbers: Mapping[str, int]) -> str:
    value = numbers[match[1]]
    if match[2] == "u64":
        return (b"\xcf" + struct.pack(">Q", value)).hex()
    return (b"\xcb" + struct.pack(">d", value)).hex() if match[2] == "f64" else packed(value).hex()
