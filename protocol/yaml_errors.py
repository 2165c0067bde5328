"""Complaints about configuration values: what msgspec says of a value, in the words of the person who wrote the file.

Pure functions. msgspec names the place as ``$.users[...].speed`` and hides which entry of a mapping it means; that entry
is found again by converting the mapping with one entry at a time.
"""

import difflib
import enum
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import msgspec
from msgspec import inspect

T = TypeVar("T")
KeyPath = tuple[str | int, ...]

_SHOWN_LENGTH = 60
_ANY_ENTRY = "..."
_WORDS = {
    "int": "an integer",
    "float": "a number",
    "bool": "true or false",
    "str": "text",
    "array": "a list",
    "object": "a mapping",
    "null": "nothing",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Complaint:
    """What is wrong: `path` is named in the text, `node` is pointed at, by its key if `at_key`."""

    path: KeyPath
    node: KeyPath
    text: str
    at_key: bool = False

    def under(self, prefix: KeyPath) -> "Complaint":
        """Return the same complaint, seen from further up."""
        return replace(self, path=prefix + self.path, node=prefix + self.node)


def dotted(path: KeyPath) -> str:
    """Return a path as people write it, e.g. ``users.anna.way[2]``."""
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path).removeprefix(".")


def shown(value: object) -> str:
    """Return a value as it could stand in the file, shortened."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _SHOWN_LENGTH else f"{text[: _SHOWN_LENGTH - 3]}..."


def converted_or_complaint(value: object, kind: type[T]) -> T | Complaint:
    """Return the value as the type, or why it does not fit."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        return _complaint(error, value, kind)


def _complaint(error: msgspec.ValidationError, value: object, kind: type) -> Complaint:
    said, at_key, names = _parsed(str(error))
    path = _resolved_path(names, at_key, str(error), value, kind)
    if error.__cause__ is not None:
        return _own_complaint(said, path, value, kind)
    if match := re.fullmatch(r"Object contains unknown field `(.*)`", said, re.DOTALL):
        return _unknown_key(match[1], path, value, kind)
    if match := re.fullmatch(r"Object missing required field `(.*)`", said):
        return Complaint(path=(*path, match[1]), node=path, text="expected a value, got nothing")
    if said.startswith("Invalid "):
        choices = ", ".join(sorted(shown(choice) for choice in _choices(kind, value, path)))
        text = f"expected one of {choices}, got {shown(_at(value, path))}"
        return Complaint(path=path, node=path, text=text)
    got = path[-1] if at_key and path else _at(value, path)
    return Complaint(path=path, node=path, text=f"{_in_words(said)}, got {shown(got)}", at_key=at_key)


def _parsed(text: str) -> tuple[str, bool, KeyPath]:
    """Return what msgspec says, whether of a key, and the path, in which ``...`` stands for some entry."""
    match = re.fullmatch(r"(.*) - at (`key` in )?`\$(.*)`", text, re.DOTALL)
    if match is None:
        return text, False, ()
    found = re.findall(r"\.(\w+)|\[(\d+|\.\.\.)\]", match[3])
    names = tuple(name or (index if index == _ANY_ENTRY else int(index)) for name, index in found)
    return match[1], match[2] is not None, (*names, _ANY_ENTRY) if match[2] else names


def _in_words(said: str) -> str:
    """Return msgspec's expectation without what it says of the value, which is shown in full instead."""
    said = re.sub(r", got [^,]*$", "", said)
    said = re.sub(r"`([^`]*)`", lambda match: " or ".join(_WORDS.get(w, w) for w in match[1].split(" | ")), said)
    return said[:1].lower() + said[1:]


def _own_complaint(said: str, path: KeyPath, value: object, kind: type) -> Complaint:
    """Return what a struct's own check says; a text that begins with ``key:`` is about that key."""
    key, colon, rest = said.partition(": ")
    if colon and any(key in _field_names(struct) for struct in _structs(kind, value, path)):
        return Complaint(path=(*path, key), node=(*path, key), text=rest)
    return Complaint(path=path, node=path, text=said)


def _unknown_key(key: str, path: KeyPath, value: object, kind: type) -> Complaint:
    known = sorted({name for struct in _structs(kind, value, path) for name in _field_names(struct)})
    near = difflib.get_close_matches(key, known, n=1)
    hint = f" (did you mean {near[0]}?)" if near else ""
    text = f"expected one of {', '.join(known) or 'no keys'}, got the unknown key {key}{hint}"
    return Complaint(path=(*path, key), node=(*path, key), text=text, at_key=True)


def _resolved_path(names: KeyPath, at_key: bool, text: str, value: object, kind: type) -> KeyPath:
    """Return the path with each ``...`` replaced by the first entry that, alone, draws the same complaint."""
    path: KeyPath = ()
    for name in names:
        mapping = _at(value, path)
        if name != _ANY_ENTRY or not isinstance(mapping, Mapping):
            path = (*path, name)
            continue
        alone = ((key, _replaced(value, path, {key: entry})) for key, entry in mapping.items())
        blamed = next(((key, left) for key, left in alone if _complains(left, kind, text)), None)
        if blamed is None:
            return path
        path, value = (*path, blamed[0]), blamed[1]
    return path


def _complains(value: object, kind: type, text: str) -> bool:
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        return str(error) == text
    return False


def _at(value: object, path: KeyPath) -> object:
    for key in path:
        if isinstance(value, Mapping):
            value = value.get(key)
        elif isinstance(value, Sequence) and isinstance(key, int):
            value = value[key]
    return value


def _replaced(value: object, path: KeyPath, new: object) -> object:
    """Return a copy of a tree with another value under `path`."""
    if not path:
        return new
    head, rest = path[0], path[1:]
    if isinstance(value, Mapping):
        return {key: _replaced(entry, rest, new) if key == head else entry for key, entry in value.items()}
    if isinstance(value, list):
        return [_replaced(entry, rest, new) if index == head else entry for index, entry in enumerate(value)]
    return value


def _types(kind: type, value: object, path: KeyPath) -> list[inspect.Type]:
    """Return the types that may stand under `path`; tags choose among structs."""
    options = _options(inspect.type_info(kind))
    for key in path:
        options = [part for option in options for part in _parts(option, value, key)]
        value = _at(value, (key,))
    return options


def _options(info: inspect.Type) -> list[inspect.Type]:
    return list(info.types) if isinstance(info, inspect.UnionType) else [info]


def _parts(option: inspect.Type, value: object, key: str | int) -> list[inspect.Type]:
    match option:
        case inspect.StructType(fields=fields) if _chosen(option, value):
            return [part for field in fields if field.encode_name == key for part in _options(field.type)]
        case inspect.DictType(value_type=inner):
            return _options(inner)
        case inspect.TupleType(item_types=items) if isinstance(key, int) and key < len(items):
            return _options(items[key])
        case inspect.ListType(item_type=inner) | inspect.VarTupleType(item_type=inner):
            return _options(inner)
        case _:
            return []


def _chosen(struct: inspect.StructType, value: object) -> bool:
    return struct.tag_field is None or (isinstance(value, Mapping) and value.get(struct.tag_field) == struct.tag)


def _field_names(struct: inspect.StructType) -> list[str]:
    return [field.encode_name for field in struct.fields] + ([struct.tag_field] if struct.tag_field else [])


def _structs(kind: type, value: object, path: KeyPath) -> list[inspect.StructType]:
    """Return the structs that may stand under `path`, only those that the value's tag chooses."""
    found = [option for option in _types(kind, value, path) if isinstance(option, inspect.StructType)]
    return [struct for struct in found if _chosen(struct, _at(value, path))]


def _choices(kind: type, value: object, path: KeyPath) -> list[object]:
    """Return the values that a literal, an enumeration or a tag admits under `path`."""
    choices: list[object] = []
    for option in _types(kind, value, path):
        if isinstance(option, inspect.LiteralType):
            choices += option.values
        elif isinstance(option, inspect.EnumType):
            choices += [member.value for member in option.cls if isinstance(member, enum.Enum)]
    for option in _types(kind, value, path[:-1]):
        if isinstance(option, inspect.StructType) and path and option.tag_field == path[-1]:
            choices.append(option.tag)
    return choices
