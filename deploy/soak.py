"""Campaigns of faults, runs under load and long continuous ones, as ``tests/faults`` carries them out, run and shown.

They belong to the tests and are not installed, so that this works in a source checkout only.
"""

from collections.abc import Callable
from pathlib import Path

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from deploy.bench import module_of_tests
from deploy.soak_rows import FaultReport, LoadReport, Slope, TrackReport

Say = Callable[[str], None]

MOST_COLUMNS = 10


def campaign_report(checkout: Path, count: int, seed: int, say: Say) -> FaultReport:
    """Carry out a campaign of faults.

    Raises
    ------
    BenchmarkError
        If `checkout` is no source checkout.
    """
    report: FaultReport = module_of_tests(checkout, "faults", "campaign").campaign(count, seed, say)
    return report


def load_report(checkout: Path, ues: int, minutes: float, say: Say) -> LoadReport:
    """Locate many UE agents for so long.

    Raises
    ------
    BenchmarkError
        If `checkout` is no source checkout.
    """
    report: LoadReport = module_of_tests(checkout, "faults", "load").load(ues, minutes, say)
    return report


def track_report(checkout: Path, file: Path, minutes: float, say: Say) -> TrackReport:
    """Track the users of a testbed file for so long.

    Raises
    ------
    BenchmarkError
        If `checkout` is no source checkout.
    """
    report: TrackReport = module_of_tests(checkout, "faults", "tracked").tracked(file, minutes, say)
    return report


def print_faults(report: FaultReport, console: Console) -> None:
    """Print a campaign as a table, and every violation below it."""
    table = Table(title=f"{report.count} faults, seed {report.seed}, {report.lasted_s / 60:.0f} minutes")
    table.add_column("fault")
    for column in ("count", "violations", "recovery p50 s", "p95 s", "max s", "healthy p50 ms", "p99 ms", "most MiB"):
        table.add_column(column, justify="right")
    for row in report.rows:
        recovery = [f"{seconds:.1f}" for seconds in (row.recovery_p50_s, row.recovery_p95_s, row.recovery_max_s)]
        healthy = ["-" if ms is None else f"{ms:.0f}" for ms in (row.healthy_p50_ms, row.healthy_p99_ms)]
        most = f"{max(row.memory_max_mib.values(), default=0.0):.0f}"
        table.add_row(row.kind, str(row.count), str(row.violations), *recovery, *healthy, most)
    console.print(table)
    for row in report.rows:
        if row.altered or row.ended:
            text = f"{row.altered} fixes altered, {row.ended} peers refused for good and started again"
            console.print(f"{row.kind}: {text}", markup=False)
    for kind, why in report.skipped.items():
        console.print(f"{kind}: skipped, {why}", markup=False, soft_wrap=True)
    for violation in report.violations:
        console.print(violation, markup=False, soft_wrap=True)


def print_load(report: LoadReport, console: Console) -> None:
    """Print a run under load."""
    table = Table(title=f"{report.ues} UEs for {report.lasted_s / 60:.1f} minutes: {report.fixes_per_s:.1f} fixes/s")
    for column in ("scheme", "fix p50 ms", "fix p99 ms"):
        table.add_column(column, justify="right")
    for scheme, p50_ms in report.fix_p50_ms.items():
        table.add_row(scheme, f"{p50_ms:.0f}", f"{report.fix_p99_ms[scheme]:.0f}")
    console.print(table)
    console.print(
        f"{report.requests} requests, {report.answered} answered, {report.under_way} under way at the end, "
        f"{report.unexplained} unexplained; {report.failures} failures; counters {report.counters}",
        markup=False,
        soft_wrap=True,
    )
    for part in report.memory:
        console.print(f"{part.process}: {part.first_mib:.0f} to {part.last_mib:.0f} MiB, {_growth(part)}", markup=False)


def print_track(report: TrackReport, console: Console) -> None:
    """Print a continuous run: some of its minutes as columns, ages of fixes and each process's memory as rows."""
    title = f"{report.users} users for {report.lasted_s / 60:.1f} minutes: {report.fixes_per_s:.1f} fixes/s"
    step = -(-len(report.minutes) // MOST_COLUMNS)
    shown = report.minutes[::step]
    table = Table(title=title, box=SIMPLE, padding=0, show_edge=False)
    table.add_column("minute", no_wrap=True)
    for minute in shown:
        table.add_column(str(minute.minute), justify="right")
    table.add_column("growth", no_wrap=True)
    table.add_row("fixes", *(str(minute.fixes) for minute in shown))
    table.add_row("age p50 ms", *(f"{minute.age_p50_ms:.0f}" for minute in shown))
    table.add_row("age p99 ms", *(f"{minute.age_p99_ms:.0f}" for minute in shown))
    for part in report.memory:
        curve = report.curves_mib[part.process][: len(report.minutes) : step]
        table.add_row(f"{part.process} MiB", *(f"{mib:.1f}" for mib in curve), _growth(part))
    console.print(table)
    error = "-" if report.track_rmse_m is None else f"{1e3 * report.track_rmse_m:.1f} mm"
    console.print(f"rms error of tracks {error}; counters {report.counters}", markup=False, soft_wrap=True)


def _growth(part: Slope) -> str:
    return f"{part.mib_per_hour:+.1f} +- {part.standard_error:.1f} MiB an hour"
