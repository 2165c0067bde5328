"""Strict YAML: text to plain values that remember where they stood; refuses what makes two readers of a file disagree.

Numbers and truth values are those of the YAML 1.2 core schema, so ``28e9`` is a number and ``no`` is text. Refused:
duplicate keys, anchors, aliases, merge keys, tags, keys that are not text, numbers that are not finite, more than one
document. Conversion to typed structs (`converted`) turns each complaint into one line that points into the file.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

import yaml

from protocol.yaml_errors import Complaint, KeyPath, converted_or_complaint, dotted, shown

T = TypeVar("T")

MAX_BYTES = 1 << 20
MAX_DEPTH = 32
MAX_INTEGER_DIGITS = 40  # far beyond any count, far below what costs time or overflows a double

_PREFIX = "tag:yaml.org,2002:"
_CORE_SCHEMA: tuple[tuple[str, str, str], ...] = (  # YAML 1.2.2, section 10.3.2: tag, pattern, first characters
    ("null", r"~|null|Null|NULL|", "~nN"),
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    ("float", r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", "-+.0123456789"),
    ("merge", r"<<", "<"),  # of YAML 1.1; known here so that it can be refused, and quoted when it is meant as text
    ("float", r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)", "-+."),
)
_RESOLVERS: dict[str, list[tuple[str, re.Pattern[str]]]] = {}
for _tag, _pattern, _first in _CORE_SCHEMA:
    for _character in [*_first, *([""] if _tag == "null" else [])]:
        _RESOLVERS.setdefault(_character, []).append((_PREFIX + _tag, re.compile(rf"^(?:{_pattern})$", re.ASCII)))


class _Mark(Protocol):
    line: int
    column: int


class ConfigError(Exception):
    """A configuration file cannot be used; the text is ``file:line:column: key.path: expected ..., got ...``."""


@dataclass(frozen=True, slots=True)
class Position:
    """Line and column of a node, both counted from one."""

    line: int
    column: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A parsed file: its values, and where each key and each value stands."""

    path: Path
    value: Mapping[str, object]
    keys: Mapping[KeyPath, Position]
    values: Mapping[KeyPath, Position]

    def at(self, path: KeyPath) -> object:
        """Return the value under a path of text keys; a key that is left out is an empty mapping."""
        node: object = self.value
        for key in path:
            node = node.get(str(key), {}) if isinstance(node, Mapping) else {}
        return node

    def error(self, complaint: Complaint) -> ConfigError:
        """Return the complaint as an error that points at the nearest node that exists."""
        path = complaint.node
        while path and path not in self.values:
            path = path[:-1]
        position = self.keys.get(path) if complaint.at_key else None
        return _error(self.path, position or self.values[path], complaint.path, complaint.text)


def _error(file: Path, position: Position, path: KeyPath, text: str) -> ConfigError:
    where = f"{dotted(path)}: " if path else ""
    return ConfigError(f"{file}:{position.line}:{position.column}: {where}{text}")


def _position(mark: _Mark | None) -> Position:
    return Position(mark.line + 1, mark.column + 1) if mark is not None else Position(1, 1)


class _RefusedError(Exception):
    """What the loader refuses, on its way to become a `ConfigError`."""

    def __init__(self, mark: _Mark | None, text: str, path: KeyPath = ()) -> None:
        super().__init__(text)
        self.mark, self.text, self.path = mark, text, path


class _Loader(yaml.SafeLoader):
    """PyYAML's loader with the core schema instead of YAML 1.1, and without anchors, aliases and tags."""

    yaml_implicit_resolvers = _RESOLVERS
    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Compose one node, after a look at what announces it."""
        event: yaml.Event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.NodeEvent) and event.anchor is not None:  # aliases too
            raise _RefusedError(event.start_mark, f"expected the value itself, got the anchor or alias {event.anchor}")
        if isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent) and event.tag is not None:
            raise _RefusedError(event.start_mark, f"expected a value without a tag, got the tag {event.tag}")
        if self.depth >= MAX_DEPTH:
            raise _RefusedError(event.start_mark, f"expected at most {MAX_DEPTH} levels, got more")
        self.depth += 1
        node: yaml.Node | None = super().compose_node(parent, index)
        self.depth -= 1
        return node


class _Builder:
    """Turns nodes into plain values and notes where each stood."""

    def __init__(self) -> None:
        self.keys: dict[KeyPath, Position] = {}
        self.values: dict[KeyPath, Position] = {}

    def value(self, node: yaml.Node, path: KeyPath) -> object:
        block = isinstance(node, yaml.CollectionNode) and not node.flow_style
        # a block mapping begins at its first child, which is a poor place to point at: its own key is better
        self.values[path] = (self.keys.get(path) if block else None) or _position(node.start_mark)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*path, index)) for index, item in enumerate(node.value)]
        return _scalar(node, path)

    def _mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, object]:
        mapping: dict[str, object] = {}
        for key_node, value_node in node.value:
            key = _key(key_node, path)
            if key in mapping:
                first = self.keys[*path, key]
                text = f"expected each key once, got a second {shown(key)} (the first is in line {first.line})"
                raise _RefusedError(key_node.start_mark, text, (*path, key))
            self.keys[*path, key] = _position(key_node.start_mark)
            mapping[key] = self.value(value_node, (*path, key))
        return mapping


def _key(node: yaml.Node, path: KeyPath) -> str:
    if node.tag == f"{_PREFIX}merge":
        raise _RefusedError(node.start_mark, "expected the keys themselves, got the merge key <<", path)
    if not isinstance(node, yaml.ScalarNode) or node.tag != f"{_PREFIX}str":
        raise _RefusedError(node.start_mark, f"expected a key that is text, got {shown(node.value)}", path)
    return str(node.value)


def _scalar(node: yaml.Node, path: KeyPath) -> object:
    text = str(node.value)
    match node.tag.removeprefix(_PREFIX):
        case "null":
            return None
        case "bool":
            return text.lower() == "true"
        case "int":
            if len(text) > MAX_INTEGER_DIGITS:
                raise _RefusedError(
                    node.start_mark, f"expected at most {MAX_INTEGER_DIGITS} digits, got {len(text)}", path
                )
            return int(text, 0) if text[:2] in {"0x", "0o"} else int(text)
        case "float":
            number = float(re.sub(r"\.(?=inf|nan)", "", text.lower()))
            if not math.isfinite(number):
                raise _RefusedError(node.start_mark, f"expected a finite number, got {text}", path)
            return number
        case _:
            return text


def _syntax_error(file: Path, error: yaml.YAMLError) -> ConfigError:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error).splitlines()[0]
    return _error(file, _position(mark), (), f"expected YAML, got {problem}")


def document_from_text(text: str, file: Path) -> Document:
    """Return the values of a YAML text whose top level is a mapping.

    Parameters
    ----------
    text
        The text of the file.
    file
        Named in errors only.

    Raises
    ------
    ConfigError
        If the text is not YAML, or YAML that is refused here.
    """
    builder = _Builder()
    try:
        node = _Loader(text).get_single_node()
        value = builder.value(node, ()) if node is not None else None
    except _RefusedError as refused:
        raise _error(file, _position(refused.mark), refused.path, refused.text) from refused
    except yaml.YAMLError as error:
        raise _syntax_error(file, error) from error
    if not isinstance(value, dict):
        position = builder.values.get((), Position(1, 1))
        raise _error(file, position, (), f"expected a mapping, got {shown(value)}")
    return Document(path=file, value=value, keys=builder.keys, values=builder.values)


def read_document(file: Path) -> Document:
    """Return the values of a YAML file.

    Raises
    ------
    ConfigError
        If the file cannot be read or what it says is refused.
    """
    try:
        data = file.read_bytes()
        text = data.decode("utf-8")
    except OSError as error:
        raise ConfigError(f"{file}: expected a readable file, got: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file}: expected UTF-8 text, got byte {data[error.start]:#04x} at {error.start}") from error
    if len(data) > MAX_BYTES:
        raise ConfigError(f"{file}: expected at most {MAX_BYTES} bytes, got {len(data)}")
    return document_from_text(text, file)


def converted(document: Document, path: KeyPath, kind: type[T]) -> T:
    """Return the part of a document under `path` as a typed value.

    Raises
    ------
    ConfigError
        If that part does not fit the type; it points at the node to blame.
    """
    result = converted_or_complaint(document.at(path), kind)
    if isinstance(result, Complaint):
        raise document.error(result.under(path))
    return result


class _Dumper(yaml.SafeDumper):
    """PyYAML's dumper with the same schema as the loader, so that text stays text and a number a number."""

    yaml_implicit_resolvers = _RESOLVERS

    def ignore_aliases(self, data: object) -> bool:
        """Return that every value is written out, since the loader refuses aliases."""
        return True


def text_from_values(values: Mapping[str, object], *, flow_leaves: bool = False) -> str:
    """Return values as block-style YAML text that `document_from_text` reads back unchanged.

    With `flow_leaves` a mapping or list of plain values takes one line.
    """
    # without allow_unicode: PyYAML writes some line separators so that it reads them back as spaces
    style = None if flow_leaves else False
    return yaml.dump(
        dict(values), Dumper=_Dumper, sort_keys=False, width=240 if flow_leaves else 120, default_flow_style=style
    )
