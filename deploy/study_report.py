"""A study for people: its progress on standard error while it runs, and its summary as a table."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from deploy.statistics import OUTLIER_M, ErrorSummary, Interval
from deploy.study_store import SummaryRow
from protocol.yaml_errors import shown

_LINES = 10


@contextmanager
def study_progress(name: str, console: Console) -> Iterator[Callable[[int, int], None]]:
    """Give a function that shows how many users are located: a bar on a terminal, a line per tenth elsewhere."""
    if not console.is_terminal:
        yield _lines(name, console)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("users"))
    with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console) as progress:
        task = progress.add_task(name, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def _lines(name: str, console: Console) -> Callable[[int, int], None]:
    said = -1

    def show(done: int, total: int) -> None:
        nonlocal said
        tenth = _LINES * done // total
        if tenth > said:
            said = tenth
            console.print(f"{name}: {done} of {total} users", markup=False, highlight=False)

    return show


def print_summary(rows: Sequence[SummaryRow], console: Console) -> None:
    """Print one row per cell and scheme."""
    title = "RMSE with 95 % intervals; median and 99th percentile of the distance"
    table = Table(title=title, box=box.SIMPLE, padding=0, show_edge=False, pad_edge=False)
    varied = [name for name in rows[0].axes if any(row.axes[name] != rows[0].axes[name] for row in rows)]
    for parameter in varied:
        table.add_column(parameter.rpartition(".")[2], overflow="fold")
    table.add_column("scheme", overflow="fold")
    for column in ("n", "angle rmse\nmrad", "range rmse\nm", "rmse\nm", "median\nm", "p99\nm"):
        table.add_column(column, justify="right", overflow="fold")
    table.add_column(f"> {OUTLIER_M:g} m\n%", justify="right")
    table.add_column("sweeps", justify="right")
    has = {name: any(getattr(row.calibration, name) is not None for row in rows) for name in ("error_ratio", "nees")}
    for name, column in (("error_ratio", "rmse/\nbound"), ("nees", "nees")):
        if has[name]:
            table.add_column(column, justify="right", overflow="fold")
    for row in rows:
        known = [
            _with_interval(getattr(row.calibration, name), getattr(row.calibration, f"{name}_interval"))
            for name in has
            if has[name]
        ]
        table.add_row(*(_text(row.axes[name]) for name in varied), row.scheme, *_cells(row.errors), *known)
    console.print(table, markup=False)
    if has["nees"]:
        console.print("nees: squared error over what the fix's own covariance says, 1 if honest", markup=False)
    for parameter in sorted(rows[0].axes.keys() - set(varied)):
        console.print(f"{parameter}: {_text(rows[0].axes[parameter])}", markup=False)
    failures = sum(row.errors.failures for row in rows)
    if failures:
        console.print(f"users without a fix, counted as outliers: {failures}", markup=False)


def _text(value: object) -> str:
    return value if isinstance(value, str) else shown(value)


def _cells(errors: ErrorSummary) -> list[str]:
    return [
        str(errors.n),
        _with_interval(errors.angle_rmse_rad, errors.angle_rmse_interval_rad, 1e3),
        _with_interval(errors.range_rmse_m, errors.range_rmse_interval_m),
        _with_interval(errors.error_rmse_m, errors.error_rmse_interval_m),
        _number(errors.error_median_m),
        _number(errors.error_p99_m),
        _with_interval(errors.outlier_rate, errors.outlier_rate_interval, 100),
        _number(errors.sweeps_mean),
    ]


def _with_interval(value: float | None, interval: Interval | None, scale: float = 1.0) -> str:
    if value is None or interval is None:
        return "-"
    return f"{_number(scale * value)}\n{_number(scale * interval.low)}..{_number(scale * interval.high)}"


def _number(value: float | None) -> str:
    """Return a number with three significant digits, without an exponent where people do not want one."""
    if value is None:
        return "-"
    if value == 0 or not 1e-4 <= abs(value) < 1e6:
        return f"{value:.3g}"
    return f"{value:.{max(0, 2 - math.floor(math.log10(abs(value))))}f}"
