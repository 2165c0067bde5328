"""Drivers of a UE by name: found through entry points."""

from importlib.metadata import entry_points
from typing import Any


def driver(group: str, kind: str, name: str) -> Any:
    """Return what is registered under this name.

    Parameters
    ----------
    group
        Entry-point group.
    kind
        What its drivers are, for people.
    name
        The driver.

    Raises
    ------
    LookupError
        If no installed package registers it; the text lists those that are.
    """
    found = entry_points(group=group)
    for point in found:
        if point.name == name:
            return point.load()
    raise LookupError(f"no {kind} driver {name!r}; installed: {', '.join(sorted(found.names)) or 'none'}")
