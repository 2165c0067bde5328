"""What a case is, how it is registered, and how it can end. Pure: no socket, no clock.

The id of a case says its role and its layer: ``ue/session/hello-is-repeated``. Its level is that of its clause.
"""

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase
from functools import cache
from typing import TypeVar

Check = TypeVar("Check", bound=Callable[..., None])


class Role(StrEnum):
    """What is under test."""

    UE = "ue"
    RADIO = "radio"
    CONTROLLER = "controller"


class Layer(StrEnum):
    """What a case is about, from the bytes upwards."""

    FRAMING = "framing"
    SCHEMA = "schema"
    SESSION = "session"
    TIMING = "timing"
    NUMERICS = "numerics"
    FAULTS = "faults"
    HOSTILE = "hostile"
    SECURITY = "security"


class Outcome(StrEnum):
    """How a case ended; `NON_STRICT` is a SHOULD that was missed."""

    PASS = "pass"  # noqa: S105 - not a secret
    FAIL = "fail"
    NON_STRICT = "non-strict"
    UNSUPPORTED = "unsupported"
    INCONCLUSIVE = "inconclusive"


class NonconformityError(Exception):
    """The implementation under test broke a clause; without one, that of the case at hand."""

    def __init__(self, text: str, clause: str | None = None) -> None:
        super().__init__(text)
        self.text = text
        self.clause = clause


class UnsupportedError(Exception):
    """The implementation under test does not have what the case is about, and says so."""


class InconclusiveError(Exception):
    """The machine is too slow to tell."""


class CannotRunError(Exception):
    """The kit cannot do its work: no testee, no endpoint, a wrong file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One question to an implementation under test; `check` gets its driver and raises if the answer is wrong."""

    id: str
    clause: str
    also: tuple[str, ...] = ()
    description: str
    expectation: str
    variant: str | None = None
    check: Callable[..., None] = field(repr=False)

    @property
    def role(self) -> Role:
        """Return the role under test."""
        return Role(self.id.split("/")[0])

    @property
    def layer(self) -> Layer:
        """Return the layer that the case belongs to."""
        return Layer(self.id.split("/")[1])


_REGISTERED: dict[str, Case] = {}


def registered(case: Case) -> Case:
    """Take a case into the kit.

    Raises
    ------
    ValueError
        If the id is taken or does not begin with a role and a layer.
    """
    if len(case.id.split("/")) != 3 or not (case.role and case.layer):
        raise ValueError(f"expected an id of role/layer/name, got {case.id!r}")
    if case.id in _REGISTERED:
        raise ValueError(f"expected one case of each id, got a second {case.id}")
    _REGISTERED[case.id] = case
    return case


def case(
    name: str, *, clause: str, expect: str, also: tuple[str, ...] = (), variant: str | None = None
) -> Callable[[Check], Check]:
    """Register a function as a case; its docstring is the description.

    Parameters
    ----------
    name
        The id, ``role/layer/name``. With ``peer`` for a role, the case is asked of radios and of UEs.
    clause
        The requirement that the case is about, `also` others that it proves on the way.
    expect
        What a conforming implementation does.
    variant
        Of the testbed on which the testee is started for this case, one of `variants.VARIANTS`.
    """
    roles = ("ue", "radio") if name.startswith("peer/") else (name.partition("/")[0],)

    def register(check: Check) -> Check:
        text = " ".join((check.__doc__ or "").split())
        for role in roles:
            number = f"{role}/{name.partition('/')[2]}"
            registered(
                Case(
                    id=number,
                    clause=clause,
                    also=also,
                    description=text,
                    expectation=expect,
                    variant=variant,
                    check=check,
                )
            )
        return check

    return register


def all_cases() -> list[Case]:
    """Return every case of the kit, in the order of their ids."""
    _load()
    return [_REGISTERED[name] for name in sorted(_REGISTERED)]


@cache
def _load() -> None:
    """Let every module of cases register what it has, once."""
    from protocol.conformance import cases  # noqa: PLC0415 - they import this module

    for module in pkgutil.iter_modules(cases.__path__, f"{cases.__name__}."):
        importlib.import_module(module.name)


def selected(role: Role, patterns: list[str]) -> list[Case]:
    """Return the cases of a role whose id matches one of the patterns, or all if there is none."""
    return [
        found
        for found in all_cases()
        if found.role is role and (not patterns or any(fnmatchcase(found.id, pattern) for pattern in patterns))
    ]
