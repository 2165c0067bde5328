"""The rows of the benchmarks, as they are measured and as they are printed."""

from typing import Protocol

import msgspec


class Row(Protocol):
    """A measured row, as ``tests/benchmarks/harness.py`` defines it."""

    name: str
    ours_ms: float
    baseline_ms: float | None
    error: float | None
    target: str
    met: bool
    details: dict[str, object]

    @property
    def ratio(self) -> float | None:
        """Return baseline over ours."""


class RowDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A row as ``--json`` prints it; `ratio` is baseline over ours, null where there is no baseline."""

    name: str
    ours_ms: float
    baseline_ms: float | None
    ratio: float | None
    error: float | None
    target: str
    met: bool
    details: dict[str, object]
