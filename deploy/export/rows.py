"""A recorded run to the rows of its tables, one after the other, so that memory does not grow with the run."""

import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec
import numpy as np

from bs_controller.beams import fitted, setting_from_focus
from bs_controller.localizations import focus_from_record
from bs_controller.recorded import Samples
from bs_controller.streamed import StreamedRun
from deploy.export import ExportError
from deploy.export.tables import (
    FAILURES,
    FIXES,
    GROUPS,
    PEAKS,
    PEERS,
    POWERS,
    SAMPLES,
    SETTINGS,
    SNAPSHOTS,
    SWEEPS,
    TRUTH,
    Table,
)
from protocol.testbed import FrontEndLimits, TestbedFacts

Record = Mapping[str, Any]
Row = dict[str, Any]

#: How much of a table is held before it is written, unless one row is more.
BATCH_BYTES = 4 << 20
BATCH_ROWS = 4096

_TABLE_OF_FORM = {"PeakFeedback": PEAKS, "GroupFeedback": GROUPS, "PowerFeedback": POWERS, "ComplexFeedback": SAMPLES}
_ANSWER = ("epoch", "ue", "scheme", "round")


class RunRows:
    """All rows of a run; `counters` are those of its end, known once all rows were taken."""

    def __init__(self, run: StreamedRun, facts: TestbedFacts, *, settings: bool) -> None:
        self.counters: dict[str, int] = {}
        self.samples_missing = 0
        self._run, self._facts, self._settings = run, facts, settings
        self._limits: FrontEndLimits | None = None

    def __iter__(self) -> Iterator[tuple[Table, Row]]:
        """Yield each row with its table."""
        for record in itertools.chain(self._run.records(), self._run.truth()):
            try:
                yield from self._rows(record)
            except (KeyError, TypeError, msgspec.ValidationError) as error:
                raise ExportError(f"record {record['seq']}: expected one of a run, got {error!r}") from error

    def _rows(self, record: Record) -> Iterator[tuple[Table, Row]]:
        match record["kind"]:
            case "sweep":
                yield SWEEPS, _sweep_row(record)
                if self._settings:
                    yield from self._setting_rows(record)
            case "report":
                yield from self._report_row(record)
            case "snapshot":
                row = {**_chosen(record, *_ANSWER, "capture_ms"), **_time(record)}
                yield from self._with_samples(SNAPSHOTS, "samples_sqrt_w", row, record)
            case "fix":
                yield FIXES, _fix_row(record)
            case "failure":
                yield FAILURES, {**_chosen(record, "ue", "scheme", "round", "reason"), **_time(record), **_text(record)}
            case "peer":
                if "front_end" in record:
                    self._limits = msgspec.convert(record["front_end"], FrontEndLimits)
                yield PEERS, {**_chosen(record, "name", "event"), **_time(record), **_text(record)}
            case "truth":
                yield TRUTH, _truth_row(record)
            case "end":
                self.counters = msgspec.convert(record["counters"], dict[str, int])

    def _report_row(self, record: Record) -> Iterator[tuple[Table, Row]]:
        table = _TABLE_OF_FORM[record["form"]]
        row = {**_chosen(record, *_ANSWER, "measure_ms"), **_time(record)}
        if table in {PEAKS, GROUPS}:
            yield table, row | _chosen(record, "subcarrier" if table is PEAKS else "group")
        else:
            yield from self._with_samples(table, "power_w" if table is POWERS else "samples_sqrt_w", row, record)

    def _with_samples(self, table: Table, column: str, row: Row, record: Record) -> Iterator[tuple[Table, Row]]:
        """Yield a row with its array; one that was recorded without samples is counted and left out."""
        arrays = list(self._run.samples(record).values())
        if arrays:
            yield table, row | {column: _powers(arrays[0]) if table is POWERS else arrays[0]}
        else:
            self.samples_missing += 1

    def _setting_rows(self, record: Record) -> Iterator[tuple[Table, Row]]:
        if self._limits is None:
            raise ExportError(
                "expected a recording that says what the front end could do, from which settings are reckoned, "
                "got one of an earlier version: leave --settings out"
            )
        setting = fitted(setting_from_focus(focus_from_record(record["focus"]), self._facts), self._limits)
        for group, (phase_cycles, delay_s) in enumerate(zip(setting.phase_cycles, setting.delay_s, strict=True)):
            yield SETTINGS, {"epoch": record["epoch"], "group": group, "phase_cycles": phase_cycles, "delay_s": delay_s}


def batches(rows: Iterable[tuple[Table, Row]]) -> Iterator[tuple[Table, list[Row]]]:
    """Yield rows of one table at a time, some MiB of them."""
    pending: dict[str, tuple[Table, list[Row]]] = {}
    size_bytes: dict[str, int] = {}
    for table, row in rows:
        pending.setdefault(table.name, (table, []))[1].append(row)
        size_bytes[table.name] = size_bytes.get(table.name, 0) + _size_bytes(row)
        if size_bytes[table.name] >= BATCH_BYTES or len(pending[table.name][1]) >= BATCH_ROWS:
            size_bytes[table.name] = 0
            yield pending.pop(table.name)
    yield from pending.values()


def _size_bytes(row: Row) -> int:
    """Return about how much memory a row takes."""
    lists = sum(32 * len(value) for value in row.values() if isinstance(value, list))
    return lists + sum(value.nbytes for value in row.values() if isinstance(value, np.ndarray))


def _powers(samples: Samples) -> Samples:
    return samples.real.astype(np.float64)  # early recordings hold powers as complex samples


def _chosen(record: Record, *names: str) -> Row:
    return {name: record[name] for name in names}


def _time(record: Record) -> Row:
    return {"time_s": record.get("time_s")}  # early recordings do not tell the time


def _text(record: Record) -> Row:
    """Return the text, which may be a peer's own words; HDF5 knows no NUL in one."""
    return {"text": record["text"].replace("\0", "\N{REPLACEMENT CHARACTER}")}


def _sweep_row(record: Record) -> Row:
    focus = record["focus"]
    grouped = focus["form"] == "GroupFoci"
    return {
        **_chosen(record, "epoch", "pilots", "phase_deviation_cycles", "delay_deviation_s", "configure_ms", "ues"),
        **_time(record),
        "form": focus["form"],
        "focus_range_m": focus["range_m"] if grouped else [focus["start_range_m"], focus["end_range_m"]],
        "focus_angle_rad": focus["angle_rad"] if grouped else [focus["start_angle_rad"], focus["end_angle_rad"]],
        "groups_per_pilot": focus["groups_per_pilot"] if grouped else 1,
    }


def _fix_row(record: Record) -> Row:
    covariance, fit = _known(record, "covariance"), _known(record, "fit")
    integrity, targets = record.get("integrity"), record["targets"]
    names = ("ue", "scheme", "round", "range_m", "angle_rad", "sweeps", "epochs", "latency_ms", "sweep_latency_ms")
    return {
        **_chosen(record, *names),
        **_time(record),
        "covariance_range_m2": covariance.get("range_m2"),
        "covariance_range_angle_m_rad": covariance.get("range_angle_m_rad"),
        "covariance_angle_rad2": covariance.get("angle_rad2"),
        "integrity": integrity if isinstance(integrity, str) else None,
        "visible_subarrays": _known(record, "visibility").get("subarrays", []),
        "fit_statistic": fit.get("statistic"),
        "fit_degrees": fit.get("degrees"),
        "clock_delay_s": _known(record, "delay").get("delay_s", []),
        "target_range_m": [target["range_m"] for target in targets],
        "target_angle_rad": [target["angle_rad"] for target in targets],
        "target_power": [target["power"] for target in targets],
    }


def _known(record: Record, name: str) -> Record:
    """Return what a fix states under a name; nothing where the scheme gives a reason instead."""
    value = record.get(name)
    return value if isinstance(value, Mapping) and "reason" not in value else {}


def _truth_row(record: Record) -> Row:
    paths = record.get("paths", [])
    numbers = ("range_m", "angle_rad", "gain_db", "phase_rad", "weight_rms")
    velocity_x_m_s, velocity_y_m_s = record.get(
        "velocity_m_s", (None, None)
    )  # early recordings tell neither this nor when
    return {
        **_chosen(record, "epoch", "ue", "link", "range_m", "angle_rad"),
        "scene_s": record.get("scene_s"),
        "velocity_x_m_s": velocity_x_m_s,
        "velocity_y_m_s": velocity_y_m_s,
        "path_kind": [path["kind"] for path in paths],
        **{f"path_{name}": [path[name] for path in paths] for name in numbers},
    }
