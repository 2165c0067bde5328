"""What a run found, joined with the truth: records of the journal to one result, as a document and as a table.

Pure functions of records. The truth comes from the emulator's file and is joined here, outside every process of the run.
"""

import math
from collections.abc import Iterable, Mapping, Sequence

import msgspec
import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from bs_controller.places import Position, midway

Record = Mapping[str, object]


class Quantiles(msgspec.Struct, frozen=True, kw_only=True):
    """Median, 95th and 99th percentile of a latency, ms, and of how many values."""

    p50: float
    p95: float
    p99: float
    count: int


class FixResult(msgspec.Struct, frozen=True, kw_only=True):
    """One fix beside the truth; the truth is null where no emulator wrote one into the run directory."""

    ue: str
    scheme: str
    round: int
    range_m: float
    angle_rad: float
    truth_range_m: float | None
    truth_angle_rad: float | None
    error_m: float | None
    sweeps: int
    latency_ms: float
    sweep_latency_ms: Quantiles
    targets: list[dict[str, float]]
    recorded: bool


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """A scheme that ended without a fix."""

    ue: str
    scheme: str
    round: int
    reason: str
    text: str


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """The document that ``--json`` prints."""

    run_dir: str
    complete: bool
    fixes: list[FixResult]
    failures: list[Failure]
    latency_ms: dict[str, Quantiles]
    counters: dict[str, int]
    versions: dict[str, str]


_LATENCIES = {"configure": "configure_ms", "measure": "measure_ms", "capture": "capture_ms"}


def quantiles(values_ms: Sequence[float]) -> Quantiles:
    """Return the quantiles of a non-empty sequence."""
    p50, p95, p99 = np.percentile(np.asarray(values_ms, dtype=np.float64), (50, 95, 99)).tolist()
    return Quantiles(p50=p50, p95=p95, p99=p99, count=len(values_ms))


def error_m(range_m: float, angle_rad: float, truth_range_m: float, truth_angle_rad: float) -> float:
    """Return the distance between two points in polar coordinates."""
    product = 2 * range_m * truth_range_m * math.cos(angle_rad - truth_angle_rad)
    return math.sqrt(max(0.0, range_m**2 + truth_range_m**2 - product))


class _FixRecord(msgspec.Struct, frozen=True, kw_only=True):
    ue: str
    scheme: str
    round: int
    range_m: float
    angle_rad: float
    sweeps: int
    targets: list[dict[str, float]]
    epochs: list[int]
    latency_ms: float
    sweep_latency_ms: list[float]


def result_from_records(
    run_dir: str,
    records: Iterable[tuple[Record, bool]],
    truth: Iterable[Record],
    versions: Mapping[str, str],
    expected: int,
) -> Result:
    """Return the result of a run.

    Parameters
    ----------
    records
        Records of the run in order, and whether each is on disk.
    truth
        Records of the emulator's truth file.
    expected
        How many fixes the run was asked for.
    """
    rows = list(records)
    where = positions_by_epoch(truth)
    fixes = [_fix(record, recorded, where) for record, recorded in rows if record["kind"] == "fix"]
    failures = [msgspec.convert(record, Failure) for record, _ in rows if record["kind"] == "failure"]
    ends = [record["counters"] for record, _ in rows if record["kind"] == "end"]
    return Result(
        run_dir=run_dir,
        complete=len(fixes) == expected and all(fix.recorded for fix in fixes),
        fixes=fixes,
        failures=failures,
        latency_ms=_latencies([record for record, _ in rows]),
        counters=msgspec.convert(ends[-1], dict[str, int]) if ends else {},
        versions=dict(versions),
    )


def positions_by_epoch(truth: Iterable[Record]) -> dict[tuple[object, object], Position]:
    """Return where each user was in each epoch, by name and epoch."""
    return {
        (line["ue"], line["epoch"]): msgspec.convert((line["range_m"], line["angle_rad"]), Position) for line in truth
    }


def _fix(record: Record, recorded: bool, where: Mapping[tuple[object, object], Position]) -> FixResult:
    fix = msgspec.convert(record, _FixRecord)
    truth = midway(where.get((fix.ue, epoch)) for epoch in fix.epochs)
    return FixResult(
        ue=fix.ue,
        scheme=fix.scheme,
        round=fix.round,
        range_m=fix.range_m,
        angle_rad=fix.angle_rad,
        truth_range_m=truth[0] if truth else None,
        truth_angle_rad=truth[1] if truth else None,
        error_m=error_m(fix.range_m, fix.angle_rad, *truth) if truth else None,
        sweeps=fix.sweeps,
        latency_ms=fix.latency_ms,
        sweep_latency_ms=quantiles(fix.sweep_latency_ms),
        targets=fix.targets,
        recorded=recorded,
    )


def _latencies(records: list[Record]) -> dict[str, Quantiles]:
    found: dict[str, list[float]] = {kind: [] for kind in _LATENCIES}
    for record in records:
        for kind, key in _LATENCIES.items():
            if key in record:
                found[kind].append(msgspec.convert(record[key], float))
    return {kind: quantiles(values) for kind, values in found.items() if values}


# --- for people ------------------------------------------------------------------------------------------------------


def print_result(result: Result, console: Console) -> None:
    """Print the result as tables: one row per user and scheme, then the wire, then what went wrong."""
    console.print(_fix_table(result))
    if result.latency_ms:
        console.print(_wire_table(result))
    for failure in result.failures:
        console.print(f"no fix: {failure.ue} by {failure.scheme}: {failure.reason}: {failure.text}", markup=False)
    if not all(fix.recorded for fix in result.fixes):
        console.print("some fixes are NOT RECORDED: the run directory could not be written", markup=False)
    counters = ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in result.counters.items())
    console.print(f"counters: {counters}", markup=False, soft_wrap=True)
    console.print(f"run directory: {result.run_dir}", markup=False, soft_wrap=True)


def _fix_table(result: Result) -> Table:
    rounds = 1 + max((fix.round for fix in result.fixes), default=0)
    title = f"Fixes{f', last and rms error of {rounds} rounds' if rounds > 1 else ''}; latency of a sweep"
    table = Table(title=title, box=box.SIMPLE, padding=0, show_edge=False, pad_edge=False)
    for column in ("user", "scheme"):
        table.add_column(column, no_wrap=True)
    for column in (
        "range\nm",
        "angle\ndeg",
        "truth\nm",
        "truth\ndeg",
        "error\nm",
        "sweeps",
        "p50\nms",
        "p95\nms",
        "p99\nms",
    ):
        table.add_column(column, justify="right", overflow="fold")
    rows: dict[tuple[str, str], list[FixResult]] = {}
    for fix in result.fixes:
        rows.setdefault((fix.ue, fix.scheme), []).append(fix)
    for (ue, scheme), fixes in sorted(rows.items(), key=lambda row: row[0][0]):
        table.add_row(ue, scheme, *_cells(fixes))
    return table


def _cells(fixes: list[FixResult]) -> list[str]:
    fix = fixes[-1]
    errors = [one.error_m for one in fixes if one.error_m is not None]
    rms = math.sqrt(sum(error**2 for error in errors) / len(errors)) if errors else None
    latency = fix.sweep_latency_ms
    return [
        *_place(fix.range_m, fix.angle_rad),
        *_place(fix.truth_range_m, fix.truth_angle_rad),
        "-" if rms is None else f"{rms:.3f}",
        str(fix.sweeps),
        *(f"{value:.1f}" for value in (latency.p50, latency.p95, latency.p99)),
    ]


def _place(range_m: float | None, angle_rad: float | None) -> tuple[str, str]:
    if range_m is None or angle_rad is None:
        return "-", "-"
    return f"{range_m:.2f}", f"{math.degrees(angle_rad):+.2f}"


def _wire_table(result: Result) -> Table:
    table = Table(title="Wire: request to answer", box=box.SIMPLE)
    table.add_column("request")
    for column in ("count", "p50 ms", "p95 ms", "p99 ms"):
        table.add_column(column, justify="right")
    for kind, latency in result.latency_ms.items():
        values = (f"{value:.2f}" for value in (latency.p50, latency.p95, latency.p99))
        table.add_row(kind, str(latency.count), *values)
    return table
