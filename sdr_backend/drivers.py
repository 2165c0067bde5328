"""Drivers by name: found through entry points, with options that are checked once.

A driver is a callable that takes a context and keeps its own options as a frozen struct; unknown options are errors that
name the option and the driver.
"""

from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")

OptionValue = str | int | float | bool


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What one driver takes from the testbed file."""


class DriverSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which driver, and the options that it takes."""

    driver: str
    options: dict[str, OptionValue] = msgspec.field(default_factory=dict)


def driver(group: str, kind: str, name: str) -> Any:
    """Return what is registered under this name.

    Parameters
    ----------
    group
        Entry-point group.
    kind
        What its drivers drive, for people.
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
    raise LookupError(
        f"expected a {kind} driver ({', '.join(sorted(found.names)) or 'none is installed'}), got {name!r}"
    )


def checked_options(driver_name: str, options: Mapping[str, OptionValue], kind: type[T]) -> T:
    """Return the options of a driver as its own struct.

    Raises
    ------
    ValueError
        If there is an option that the driver does not know, or one of another type or out of range.
    """
    try:
        return msgspec.convert(dict(options), kind)
    except msgspec.ValidationError as error:
        text = str(error).replace("`", "")
        raise ValueError(f"driver {driver_name}: {text} (its options: {', '.join(_names(kind))})") from error


def _names(kind: type) -> list[str]:
    return [field.name for field in msgspec.structs.fields(kind)]
