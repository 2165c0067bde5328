"""The requirements of SPEC.md, read from its text: number, level, and the roles that its subject names."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path

from protocol.conformance.case import Case, Role

SPEC = Path(__file__).parents[1] / "SPEC.md"

_CLAUSE = re.compile(r"^( *)- \*\*(\d+\.\d+(?:\.\d+)?)\*\* ")
_KEYWORD = re.compile(r"\b(MUST NOT|MUST|SHOULD NOT|SHOULD|MAY)\b")
_BINDING = {"a side that binds": (Role.RADIO, Role.CONTROLLER), "a side that connects": (Role.UE, Role.RADIO)}
_SUBJECTS = {
    "controller": (Role.CONTROLLER,),
    "peer": (Role.UE, Role.RADIO),
    "radio": (Role.RADIO,),
    "ue": (Role.UE,),
    "sender": tuple(Role),
    "receiver": tuple(Role),
    "side": tuple(Role),
}


class Level(StrEnum):
    """How binding a requirement is."""

    MUST = "MUST"
    SHOULD = "SHOULD"
    MAY = "MAY"


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """A numbered requirement ``N.M.K``, or a clause ``N.M`` as a whole."""

    number: str
    level: Level
    roles: tuple[Role, ...]
    text: str


def requirements_in(text: str) -> dict[str, Requirement]:
    """Return all clauses of a specification by their numbers; a clause without keyword counts as MUST of all roles."""
    found: dict[str, list[str]] = {}
    open_number, indent = "", 0
    for line in text.splitlines():
        start = _CLAUSE.match(line)
        if start:
            open_number, indent = start[2], len(start[1])
            found[open_number] = [line[start.end() :]]
        elif open_number and line.startswith(" " * (indent + 2)) and "|" not in line:
            found[open_number].append(line.strip())
        elif line.strip():
            open_number = ""
    return {number: _requirement(number, " ".join(" ".join(lines).split())) for number, lines in found.items()}


def _requirement(number: str, text: str) -> Requirement:
    keyword = _KEYWORD.search(text)
    level = Level(keyword[1].split()[0]) if keyword else Level.MUST
    words = re.findall(r"[a-z]+", text.lower())
    subject = words[1] if len(words) > 1 and words[0] == "a" else "side"
    roles = _BINDING.get(" ".join(words[:4]), _SUBJECTS.get(subject, tuple(Role)))
    return Requirement(number=number, level=level, roles=roles, text=text)


@cache
def requirements() -> dict[str, Requirement]:
    """Return all clauses of the installed specification by their numbers."""
    return requirements_in(SPEC.read_text(encoding="utf-8"))


def requirement(number: str) -> Requirement:
    """Return one clause.

    Raises
    ------
    KeyError
        If the specification has no such clause.
    """
    return requirements()[number]


def without_clause(cases: Iterable[Case]) -> list[str]:
    """Return the cases that are about a clause that the specification does not have."""
    return [
        f"{case.id}: {number}" for case in cases for number in (case.clause, *case.also) if number not in requirements()
    ]


def without_case(cases: Iterable[Case]) -> list[tuple[str, Role]]:
    """Return each MUST ``N.M.K`` and each role that it binds of which no case is."""
    covered = {(number, case.role) for case in cases for number in (case.clause, *case.also)}
    return [
        (number, role)
        for number, item in requirements().items()
        if number.count(".") == 2 and item.level is Level.MUST
        for role in item.roles
        if (number, role) not in covered
    ]
