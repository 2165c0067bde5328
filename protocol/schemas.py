"""The headers of all messages as one JSON Schema (2020-12), made from the structs of messages.py; ``schema.json`` holds it.

A schema says what a header may hold (SPEC 3.3, 3.4, 3.6, 3.8): not what a frame may (3.7, 3.9), nor when it may come.
``python -m protocol.schemas`` prints it.
"""

import json
from pathlib import Path
from typing import Any, get_type_hints

import msgspec

from protocol.messages import MESSAGE_TYPES, PROTOCOL_VERSION, FrameSpec, Message

PATH = Path(__file__).with_name("schema.json")

_LARGEST = 2**63 - 1
_REFERENCE = "#/$defs/{name}"


def header_schema() -> dict[str, Any]:
    """Return the schema of a header: one of the message types, each under ``$defs`` by the name of its struct."""
    scalars = [_scalars(kind) for kind in MESSAGE_TYPES.values()]
    schemas, parts = msgspec.json.schema_components(scalars, ref_template=_REFERENCE)
    fields = {
        name: parts[schema["$ref"].rpartition("/")[2]] for name, schema in zip(MESSAGE_TYPES, schemas, strict=True)
    }
    shared = {name: part for name, part in parts.items() if part not in fields.values()}
    headers = {name: _header(name, kind, fields[name]) for name, kind in MESSAGE_TYPES.items()}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"Message headers, protocol version {PROTOCOL_VERSION}",
        "oneOf": [{"$ref": _REFERENCE.format(name=name)} for name in headers],
        "$defs": {**headers, **shared},
    }


def _scalars(kind: type[Message]) -> type[msgspec.Struct]:
    """Return the struct of the fields that travel in the header."""
    hints = get_type_hints(kind, include_extras=True)
    fields: list[tuple[str, Any] | tuple[str, Any, Any]] = [
        (info.name, hints[info.name]) if info.required else (info.name, hints[info.name], info.default)
        for info in msgspec.structs.fields(kind)
        if info.name not in kind.FRAMES
    ]
    return msgspec.defstruct(f"{kind.__name__}Fields", fields, forbid_unknown_fields=True, kw_only=True)


def _header(name: str, kind: type[Message], fields: dict[str, Any]) -> dict[str, Any]:
    number = {"type": "integer", "minimum": 0, "maximum": _LARGEST}
    sequence = {**number, "minimum": 1} if kind.SEQUENCED else {"const": 0}
    arrays = [_array(array, spec) for array, spec in kind.FRAMES.items()]
    properties = {
        "v": {"const": PROTOCOL_VERSION},
        "type": {"const": name},
        "session": number,
        "seq": sequence,
        "ack": number,
        "fields": {key: value for key, value in fields.items() if key != "title"},
        "arrays": {"type": "array", "prefixItems": arrays, "minItems": len(arrays), "maxItems": len(arrays)}
        if arrays
        else {"type": "array", "maxItems": 0},
    }
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def _array(name: str, spec: FrameSpec) -> dict[str, Any]:
    dimension = {"type": "integer", "minimum": 1, "maximum": 2**31}
    shape = {"type": "array", "items": dimension, "minItems": len(spec.axes), "maxItems": len(spec.axes)}
    return {
        "type": "array",
        "prefixItems": [{"const": name}, {"const": spec.dtype}, shape],
        "minItems": 3,
        "maxItems": 3,
    }


def text() -> str:
    """Return the schema as it stands in ``schema.json``."""
    return json.dumps(header_schema(), indent=1) + "\n"


if __name__ == "__main__":
    print(text(), end="")  # noqa: T201 - what it is for
