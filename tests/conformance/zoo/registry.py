"""What a broken peer is, and how its patch is made. A patch of something that is no longer there raises."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from protocol.conformance.case import Role

Patch = Callable[[], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokenPeer:
    """A name that begins with a role, what is broken, and the cases that must fail with the clauses that they must name."""

    name: str
    what: str
    caught_by: Mapping[str, str]
    patch: Patch

    @property
    def role(self) -> Role:
        return role_of(self.name)


BROKEN: dict[str, BrokenPeer] = {}


def role_of(name: str) -> Role:
    return Role(name.partition("-")[0])


def broken(name: str, caught_by: Mapping[str, str]) -> Callable[[Patch], Patch]:
    """Register a patch, whose docstring says what is broken."""

    def register(patch: Patch) -> Patch:
        if name in BROKEN:
            raise ValueError(f"expected one peer of each name, got a second {name}")
        what = " ".join((patch.__doc__ or "").split())
        BROKEN[name] = BrokenPeer(name=name, what=what, caught_by=caught_by, patch=patch)
        return patch

    return register


def around(place: Any, name: str, wrapper: Callable[..., Any]) -> None:
    """Replace a function or method by one that is given the original and then what the original is given."""
    original = getattr(place, name)

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        return wrapper(original, *args, **kwargs)

    setattr(place, name, wrapped)


def constant(place: Any, name: str, value: object) -> None:
    """Replace a constant."""
    getattr(place, name)
    setattr(place, name, value)
