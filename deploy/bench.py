"""The benchmark rows of ``tests/benchmarks``, run and shown; each row is ours against a baseline kept there.

The baselines belong to the tests and are not installed, so that this works in a source checkout only.
"""

import importlib
import importlib.util
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType

from rich.console import Console
from rich.table import Table

from deploy.bench_rows import Row, RowDocument
from deploy.one_thread import ONE_THREAD

BENCHMARKS = (
    "sweep_synthesis",
    "uplink_imaging",
    "low_rank_image",
    "music_against_ours",
    "likelihood_fix",
    "network_fix",
    "control_roundtrip",
    "many_users",
    "scaling",
)
PLOTTED = "scaling"


class BenchmarkError(Exception):
    """The benchmarks cannot be found or are not among the known ones."""


def compute_in_one_thread() -> None:
    """Let numerical libraries that are not loaded yet use one thread each, unless the environment says otherwise.

    At these sizes more threads mostly wait for each other, which takes the processor's time all the same.
    """
    for name, threads in ONE_THREAD.items():
        os.environ.setdefault(name, threads)


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
        for row in _rows(module_of_tests(checkout, "benchmarks", name)):
            yield _document(row)


def scaling_plot(only: Sequence[str]) -> Callable[[Sequence[RowDocument], Path], Path]:
    """Return what draws the rows of scaling into a folder; asked for before anything is measured.

    Raises
    ------
    BenchmarkError
        If matplotlib is missing, or what is to be run has no such rows.
    """
    if only and PLOTTED not in only:
        raise BenchmarkError(f"expected {PLOTTED} among the benchmarks to have a picture, got {', '.join(only)}")
    try:
        module = importlib.import_module("deploy.bench_plot")
    except ModuleNotFoundError as error:
        raise BenchmarkError(f"pictures need matplotlib: pip install 'nftestbed[study]' ({error})") from error
    write: Callable[[Sequence[RowDocument], Path], Path] = module.write_plot
    return write


def module_of_tests(checkout: Path, folder: str, name: str) -> ModuleType:
    """Return a module of a folder of the tests, which are in a source checkout only.

    Raises
    ------
    BenchmarkError
        If `checkout` is none.
    """
    if not (checkout / "tests" / folder / f"{name}.py").is_file():
        raise BenchmarkError(f"{checkout}: expected a source checkout with tests/{folder}/{name}.py; run it from there")
    if str(checkout) not in sys.path:
        sys.path.insert(0, str(checkout))
    return importlib.import_module(f"tests.{folder}.{name}")


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
