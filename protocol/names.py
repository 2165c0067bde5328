"""Names of peers as people write them in a testbed file: one by one, or numbered ones at once.

``ue-1..16`` stands for ``ue-1``, ``ue-2`` and so on to ``ue-16``.
"""

import re
from collections.abc import Iterable
from typing import Annotated

from msgspec import Meta

MAX_NUMBERED = 4096
MAX_LENGTH = 32

# A `PeerName`, or one that ends in a number and goes on to another.
PeerNames = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,31}(?:(?<=[0-9])\.\.[0-9]{1,9})?(?!\n)$")]

_NUMBERED = re.compile(r"((?:.*[^0-9])?)(0|[1-9][0-9]*)\.\.(0|[1-9][0-9]*)")


def each_name(names: PeerNames) -> tuple[str, ...]:
    """Return the names that are meant; most often it is one.

    Raises
    ------
    ValueError
        If the numbers do not grow, begin with zeros, or are too many.
    """
    if ".." not in names:
        return (names,)
    match = _NUMBERED.fullmatch(names)
    if match is None:
        raise ValueError(f"expected numbers that do not begin with zeros, got {names}")
    prefix, first, last = match[1], int(match[2]), int(match[3])
    if not first < last < first + MAX_NUMBERED:
        raise ValueError(f"expected at most {MAX_NUMBERED} numbers that grow, got {names}")
    if len(f"{prefix}{last}") > MAX_LENGTH:
        raise ValueError(f"expected names of at most {MAX_LENGTH} characters, got {names}")
    return tuple(f"{prefix}{number}" for number in range(first, last + 1))


def every_name(written: Iterable[PeerNames]) -> tuple[str, ...]:
    """Return all names that are meant, in order.

    Raises
    ------
    ValueError
        If one is meant twice, or numbers are wrong.
    """
    names: dict[str, str] = {}
    for entry in written:
        for name in each_name(entry):
            if name in names:
                raise ValueError(f"expected distinct names, got {name} twice ({names[name]}, {entry})")
            names[name] = entry
    return tuple(names)
