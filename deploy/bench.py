"""The benchmark rows of ``tests/benchmarks``, run and shown; each row is ours against a baseline kept there.

The baselines belong to the tests and are not installed, so that this works in a source checkout only.
"""

import importlib
import importlib.util
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Protocol

import msgspec
from rich.console import Console
from rich.table import Table

BENCHMARKS = (
    "sweep_synthesis",
    "uplink_imaging",
    "low_rank_image",
    "music_against_ours",
    "likelihood_fix",
    "control_roundtrip",
    "many_users",
)


class BenchmarkError(Exception):
    """The benchmarks cannot be found or are not among the known ones."""


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


def measured(checkout: Path, only: Sequence[str]) -> Iterator[RowDocument]:
    """Run the benchmarks and yield their rows as they come.

    Raises
    ------
    BenchmarkError
        If `checkout` is no source checkout, or a name is unknown.
    """
    unknown = set(only) - set(BENCHMARKS)
    if unknown:
        raise BenchmarkError(f"expected benchmarks among {', '.join(BENCHMARKS)}, got {', '.join(sorted(unknown))}")
    for name in only or BENCHMARKS:
        for row in _rows(_module(checkout, name)):
            yield _document(row)


def _module(checkout: Path, name: str) -> ModuleType:
    if not (checkout / "tests" / "benchmarks" / f"{name}.py").is_file():
        raise BenchmarkError(
            f"{checkout}: expected a source checkout with tests/benchmarks/{name}.py; run it from there"
        )
    if str(checkout) not in sys.path:
        sys.path.insert(0, str(checkout))
    return importlib.import_module(f"tests.benchmarks.{name}")


def _rows(module: ModuleType) -> Sequence[Row]:
    rows: Sequence[Row] = module.rows()
    return rows


def _document(row: Row) -> RowDocument:
    return RowDocument(
        name=row.name,
        ours_ms=row.ours_ms,
        baseline_ms=row.baseline_ms,
        ratio=row.ratio,
        error=row.error,
        target=row.target,
        met=row.met,
        details=row.details,
    )


def print_rows(rows: Sequence[RowDocument], console: Console) -> None:
    """Print the rows as a table, and each row's details below it."""
    table = Table(title="Benchmarks: medians of one run")
    table.add_column("row")
    for column in ("ours ms", "baseline ms", "ratio", "error", "target", "met"):
        table.add_column(column, justify="right")
    for row in rows:
        baseline = "-" if row.baseline_ms is None else f"{row.baseline_ms:.3f}"
        ratio = "-" if row.ratio is None else f"{row.ratio:.2f}"
        error = "-" if row.error is None else f"{row.error:.1e}"
        table.add_row(row.name, f"{row.ours_ms:.3f}", baseline, ratio, error, row.target, "yes" if row.met else "NO")
    console.print(table)
    for row in rows:
        details = ", ".join(f"{name} {value}" for name, value in row.details.items())
        console.print(f"{row.name}: {details}", markup=False, soft_wrap=True)
