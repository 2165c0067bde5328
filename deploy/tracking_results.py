"""What a continuous run found: rates, ages, errors of fixes and tracks. Records in, a document and tables out.

Records are read once and in order, so that an hour's run takes no more memory than a minute's but for its ages and errors.
"""

from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import msgspec
import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from bs_controller.places import Point, Position, midway, point_m
from deploy.checks import Wanted
from deploy.results import Quantiles, quantiles

Record = Mapping[str, object]

# A fix is recorded at most so many epochs after its sweeps; the truth of older ones is forgotten.
KEPT_EPOCHS = 4096
# Which share of the rounds asked for a user must be found in for the run to have done what it was asked.
COMPLETE_SHARE = 0.9


class UserTracking(msgspec.Struct, frozen=True, kw_only=True):
    """How often a user was found, and how well; rms distances are null where there is no truth.

    ``track_rmse_m`` is over the same fixes as ``fix_rmse_m``, of the track after each.
    """

    ue: str
    fixes: int
    followed: int
    failures: int
    wanted_hz: float
    rate_hz: float
    fix_rmse_m: float | None
    track_rmse_m: float | None


class TrackingResult(msgspec.Struct, frozen=True, kw_only=True):
    """The document that ``--json`` prints of a continuous run.

    ``age_ms`` is how old a fix's first sweep was when the fix was known; rates are from the first fix to the last.
    """

    run_dir: str
    complete: bool
    duration_s: float
    rate_hz: float
    users: list[UserTracking]
    age_ms: Quantiles | None
    fix_rmse_m: float | None
    track_rmse_m: float | None
    latency_ms: dict[str, Quantiles]
    counters: dict[str, int]
    versions: dict[str, str]


class _Fix(msgspec.Struct, frozen=True, kw_only=True):
    ue: str
    scheme: str
    range_m: float
    angle_rad: float
    epochs: list[int]


class _Track(msgspec.Struct, frozen=True, kw_only=True):
    ue: str
    x_m: float
    y_m: float
    age_ms: float


class _Truth(msgspec.Struct, frozen=True, kw_only=True):
    ue: str
    epoch: int
    range_m: float
    angle_rad: float


class Places:
    """Where users truly were at an epoch, read from the truth as far as it is needed."""

    def __init__(self, truth: Iterable[Record]) -> None:
        self._truth = iter(truth)
        self._read_to = 0
        self._places: dict[int, dict[str, Position]] = {}

    def mean(self, ue: str, epochs: list[int]) -> Point | None:
        """Return the mean of a user's places at some epochs, which are near the last that were asked for; none if unknown."""
        self._read(max(epochs, default=0))
        found = midway(self._places.get(epoch, {}).get(ue) for epoch in epochs)
        return None if found is None else point_m(*found)

    def _read(self, epoch: int) -> None:
        """Read until a later epoch than this one begins."""
        while self._read_to <= epoch and (record := next(self._truth, None)) is not None:
            truth = msgspec.convert(record, _Truth)
            self._places.setdefault(truth.epoch, {})[truth.ue] = truth.range_m, truth.angle_rad
            self._read_to = truth.epoch
        for old in [known for known in self._places if known < epoch - KEPT_EPOCHS]:
            del self._places[old]


@dataclass(slots=True)
class _User:
    fixes: int = 0
    followed: int = 0
    failures: int = 0
    truth: Point | None = None  # of the last fix, whose track comes next
    squared_fix_m2: "array[float]" = field(default_factory=lambda: array("d"))
    squared_track_m2: "array[float]" = field(default_factory=lambda: array("d"))


def tracking_result(
    run_dir: str,
    records: Iterable[Record],
    truth: Iterable[Record],
    versions: Mapping[str, str],
    wanted: Wanted,
) -> TrackingResult:
    """Return the result of a continuous run.

    Parameters
    ----------
    records, truth
        Of the run's journal and of the emulator's truth file, in order.
    wanted
        What the run was asked for.
    """
    users, places = {ue: _User() for ue in wanted.rate_hz}, Places(truth)
    ages, latencies = array("d"), {kind: array("d") for kind in ("configure", "measure", "capture")}
    counters: dict[str, int] = {}
    first_s = last_s = None
    for record in records:
        for kind, values in latencies.items():
            if (latency := record.get(f"{kind}_ms")) is not None:
                values.append(msgspec.convert(latency, float))
        match record["kind"]:
            case "fix":
                _note_fix(users, places, msgspec.convert(record, _Fix))
            case "track":
                track = msgspec.convert(record, _Track)
                ages.append(track.age_ms)
                _note_track(users[track.ue], track)
                last_s = msgspec.convert(record["time_s"], float)
                first_s = last_s if first_s is None else first_s
            case "failure":
                users[str(record["ue"])].failures += 1
            case "end":
                counters = msgspec.convert(record["counters"], dict[str, int])
    span_s = max((last_s or 0.0) - (first_s or 0.0), 1e-9)
    rows = [_row(ue, user, wanted.rate_hz[ue], span_s) for ue, user in users.items()]
    return TrackingResult(
        run_dir=run_dir,
        complete=all(row.rate_hz >= COMPLETE_SHARE * row.wanted_hz for row in rows),
        duration_s=span_s,
        rate_hz=sum(row.rate_hz for row in rows),
        users=rows,
        age_ms=quantiles(ages) if ages else None,
        fix_rmse_m=_rms([user.squared_fix_m2 for user in users.values()]),
        track_rmse_m=_rms([user.squared_track_m2 for user in users.values()]),
        latency_ms={kind: quantiles(values) for kind, values in latencies.items() if values},
        counters=counters,
        versions=dict(versions),
    )


def _note_fix(users: Mapping[str, _User], places: Places, fix: _Fix) -> None:
    user = users[fix.ue]
    user.fixes += 1
    user.followed += fix.scheme == "follow"
    user.truth = places.mean(fix.ue, fix.epochs)
    if user.truth is not None:
        user.squared_fix_m2.append(_squared_m2(user.truth, point_m(fix.range_m, fix.angle_rad)))


def _note_track(user: _User, track: _Track) -> None:
    if user.truth is not None:
        user.squared_track_m2.append(_squared_m2(user.truth, (track.x_m, track.y_m)))


def _row(ue: str, user: _User, wanted_hz: float, span_s: float) -> UserTracking:
    return UserTracking(
        ue=ue,
        fixes=user.fixes,
        followed=user.followed,
        failures=user.failures,
        wanted_hz=wanted_hz,
        rate_hz=user.fixes / span_s,
        fix_rmse_m=_rms([user.squared_fix_m2]),
        track_rmse_m=_rms([user.squared_track_m2]),
    )


def _squared_m2(one: Point, other: Point) -> float:
    return (one[0] - other[0]) ** 2 + (one[1] - other[1]) ** 2


def _rms(squares: "Iterable[array[float]]") -> float | None:
    joined = np.concatenate([np.asarray(part, dtype=np.float64) for part in squares])
    return float(np.sqrt(joined.mean())) if joined.size else None


# --- for people ------------------------------------------------------------------------------------------------------


def print_tracking(result: TrackingResult, console: Console) -> None:
    """Print one row per user, then ages, errors and what went wrong."""
    table = Table(title="Tracked users", box=box.SIMPLE, padding=0, show_edge=False, pad_edge=False)
    table.add_column("user", no_wrap=True)
    for column in ("fixes", "followed", "failures", "wanted\n1/s", "found\n1/s", "fix rms\nmm", "track rms\nmm"):
        table.add_column(column, justify="right")
    for row in result.users:
        errors = (_millimetres(row.fix_rmse_m), _millimetres(row.track_rmse_m))
        counts = (str(row.fixes), str(row.followed), str(row.failures))
        table.add_row(row.ue, *counts, f"{row.wanted_hz:g}", f"{row.rate_hz:.2f}", *errors)
    console.print(table)
    for line in _lines(result):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _lines(result: TrackingResult) -> Iterator[str]:
    yield f"{result.rate_hz:.1f} fixes/s in {result.duration_s:.1f} s"
    if result.age_ms is not None:
        age = result.age_ms
        yield f"age of a fix: p50 {age.p50:.1f}, p95 {age.p95:.1f}, p99 {age.p99:.1f} ms"
    yield f"rms error: fixes {_millimetres(result.fix_rmse_m)} mm, tracks {_millimetres(result.track_rmse_m)} mm"
    for kind, latency in result.latency_ms.items():
        yield f"{kind}: p50 {latency.p50:.2f}, p95 {latency.p95:.2f}, p99 {latency.p99:.2f} ms of {latency.count}"
    yield "counters: " + ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in result.counters.items())
    yield f"run directory: {result.run_dir}"


def _millimetres(value_m: float | None) -> str:
    return "-" if value_m is None else f"{1e3 * value_m:.2f}"
