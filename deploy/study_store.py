"""The folder of a study: its resolved file, one Parquet part per finished chunk, at the end one table and its summary.

Each part is put under its name whole and on disk, so that a killed study leaves parts that are complete or not there. A
folder belongs to one study and one version of the software; anything else is refused, for mixed numbers would look like
any others. The only importer of pyarrow beside `deploy.export.parquet`.
"""

import contextlib
import fcntl
import json
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import fields
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bs_controller.disk import replace_file, sync_directory
from bs_controller.sweeps import Integrity
from deploy.error_calibration import Calibration, calibration, normalised_error_squared
from deploy.statistics import ErrorSummary, summary_from_errors
from deploy.study_file import Study, label_digest, scheme_label
from protocol.versions import versions

STUDY, VERSIONS, PARTS, RESULTS, SUMMARY = "study.yaml", "versions.json", "parts", "results.parquet", "summary.parquet"
_PART = re.compile(r"(\d{6})-(\d{8})\.parquet")
_ROWS_SCHEMA = pa.schema(
    [
        pa.field("cell", pa.int32(), nullable=False),
        pa.field("user", pa.int64(), nullable=False),
        pa.field("scheme", pa.string(), nullable=False),
        pa.field("truth_range_m", pa.float64(), nullable=False),
        pa.field("truth_angle_rad", pa.float64(), nullable=False),
        pa.field("visible_subarrays", pa.list_(pa.int32()), nullable=False),
        pa.field("range_m", pa.float64()),
        pa.field("angle_rad", pa.float64()),
        pa.field("error_m", pa.float64()),
        pa.field("sweeps", pa.int64()),
        pa.field("bound_range_m", pa.float64()),
        pa.field("bound_angle_rad", pa.float64()),
        pa.field("bound_error_m", pa.float64()),
        pa.field("covariance_range_m2", pa.float64()),
        pa.field("covariance_range_angle_m_rad", pa.float64()),
        pa.field("covariance_angle_rad2", pa.float64()),
        pa.field("found_subarrays", pa.list_(pa.int32())),
        pa.field("fit_statistic", pa.float64()),
        pa.field("integrity", pa.string()),
        pa.field("failure", pa.string()),
    ]
)


_BOUNDS = ("bound_range_m", "bound_angle_rad", "bound_error_m")
_COVARIANCES = ("covariance_range_m2", "covariance_range_angle_m_rad", "covariance_angle_rad2")
_PLACES = ("range_m", "angle_rad", "truth_range_m", "truth_angle_rad", "error_m", "sweeps")
_NUMBERS = (*_PLACES, *_BOUNDS, *_COVARIANCES)
Floats = npt.NDArray[np.float64]


class StoreError(Exception):
    """A folder that cannot take this study."""


class SummaryRow(msgspec.Struct, frozen=True, kw_only=True):
    """One cell and scheme: where on the axes it is, what its errors amount to, and how well they were known."""

    cell: int
    axes: dict[str, object]
    scheme: str
    errors: ErrorSummary
    calibration: Calibration


class StudyStore:
    """A study's folder, held by one process at a time; `opened_store` gives it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def finished(self) -> set[tuple[int, int]]:
        """Return which chunks are on disk: cell and first user."""
        if (self.directory / RESULTS).exists():
            table = pq.read_table(self.directory / RESULTS, columns=["cell", "user"])
            return set(zip(table["cell"].to_pylist(), table["user"].to_pylist(), strict=True))
        names = (_PART.fullmatch(path.name) for path in (self.directory / PARTS).iterdir())
        return {(int(name[1]), int(name[2])) for name in names if name}

    def add(self, cell: int, first_user: int, rows: Sequence[msgspec.Struct]) -> None:
        """Put a finished chunk on disk."""
        table = pa.Table.from_pylist([msgspec.structs.asdict(row) for row in rows], schema=_ROWS_SCHEMA)
        _write(self.directory / PARTS / f"{cell:06d}-{first_user:08d}.parquet", table)

    def concluded(self, study: Study) -> list[SummaryRow]:
        """Make one table of all parts, and its summary; the order of rows is that of cells, users and schemes."""
        path = self.directory / RESULTS
        if not path.exists():
            parts = sorted(part for part in (self.directory / PARTS).iterdir() if _PART.fullmatch(part.name))
            _write(path, _with_axes(pa.concat_tables(pq.read_table(part) for part in parts), study))
        summary = list(_summaries(pq.read_table(path), study))
        _write(self.directory / SUMMARY, _summary_table(summary, study))
        shutil.rmtree(self.directory / PARTS, ignore_errors=True)
        return summary


@contextlib.contextmanager
def opened_store(directory: Path, study: Study) -> Iterator[StudyStore]:
    """Give the folder of a study, made if there is none.

    Raises
    ------
    StoreError
        If it is in use, or is that of another study or version.
    """
    (directory / PARTS).mkdir(parents=True, exist_ok=True)
    with (directory / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StoreError(f"{directory}: expected a free folder, but another process works in it") from error
        _claim(directory / STUDY, study.resolved(), "the same study (choose another --out, or leave it out)")
        stated = json.dumps(versions(), indent=2, sort_keys=True) + "\n"
        _claim(directory / VERSIONS, stated, "the versions of software that it was begun with (choose another --out)")
        sync_directory(directory)
        yield StudyStore(directory)


def _claim(path: Path, text: str, what: str) -> None:
    if not path.exists():
        replace_file(path, text.encode())
    elif path.read_text(encoding="utf-8") != text:
        raise StoreError(f"{path}: expected {what}")


def _write(path: Path, table: pa.Table) -> None:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    replace_file(path, sink.getvalue())


def _with_axes(table: pa.Table, study: Study) -> pa.Table:
    """Return the rows with a column for each axis, so that the table needs no other."""
    cells = pa.array(table["cell"].to_numpy())
    for parameter in study.file.axes:
        values = _column([cell.values[parameter] for cell in study.cells])
        table = table.append_column(parameter, values.take(cells))
    return table


def _column(values: Sequence[object]) -> pa.Array:
    """Return numbers as numbers, text as text, anything else as JSON."""
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        return pa.array(values, pa.float64())
    return pa.array([value if isinstance(value, str) else json.dumps(value) for value in values], pa.string())


def _summaries(table: pa.Table, study: Study) -> Iterator[SummaryRow]:
    cells, schemes = table["cell"].to_numpy(), table["scheme"].to_numpy(zero_copy_only=False)
    columns = {name: table[name].cast(pa.float64()).to_numpy() for name in _NUMBERS}  # without a value: not a number
    wrong_mask = _flags(pc.not_equal(*(_as_text(table[name]) for name in ("found_subarrays", "visible_subarrays"))))
    flagged = _flags(pc.equal(table["integrity"], Integrity.SUSPECT.value))
    for cell in study.cells:
        first, last = np.searchsorted(cells, (cell.index, cell.index + 1))
        for label in map(scheme_label, cell.setup.schemes):
            chosen = first + np.flatnonzero(schemes[first:last] == label)
            one = {name: column[chosen] for name, column in columns.items()}
            rng = np.random.default_rng((study.file.seed, cell.setup.digest(), label_digest(label)))
            errors = np.stack(
                [one["range_m"] - one["truth_range_m"], one["angle_rad"] - one["truth_angle_rad"], one["error_m"]], 1
            )
            yield SummaryRow(
                cell=cell.index,
                axes=dict(cell.values),
                scheme=label,
                errors=summary_from_errors(errors[:, 1], errors[:, 0], errors[:, 2], one["sweeps"], rng),
                calibration=calibration(
                    errors,
                    np.stack([one[name] for name in _BOUNDS], 1),
                    rng,
                    normalised=normalised_error_squared(
                        errors[:, :2], np.stack([one[name] for name in _COVARIANCES], 1)
                    ),
                    wrong_mask=_known(wrong_mask[chosen]),
                    flagged=_known(flagged[chosen]),
                ),
            )


def _as_text(lists: pa.ChunkedArray) -> pa.Array:
    """Return lists of numbers as text, which can be compared."""
    values = [None if value is None else ",".join(map(str, value)) for value in lists.to_pylist()]
    return pa.array(values, pa.string())


def _flags(values: pa.ChunkedArray) -> Floats:
    """Return truths as numbers, and what is unknown as not a number."""
    flags: Floats = values.cast(pa.float64()).to_numpy(zero_copy_only=False)
    return flags


def _known(flags: Floats) -> npt.NDArray[np.bool_]:
    return flags[np.isfinite(flags)] > 0


def _summary_table(summary: Sequence[SummaryRow], study: Study) -> pa.Table:
    """Return one row per cell and scheme; an interval is a column for its low end and one for its high end."""
    columns = {"cell": pa.array([row.cell for row in summary], pa.int32())}
    columns |= {parameter: _column([row.axes[parameter] for row in summary]) for parameter in study.file.axes}
    columns["scheme"] = pa.array([row.scheme for row in summary], pa.string())
    columns |= _columns_of([row.errors for row in summary], ErrorSummary)
    columns |= _columns_of([row.calibration for row in summary], Calibration)
    return pa.table(columns)


def _columns_of(values: Sequence[object], kind: type[ErrorSummary | Calibration]) -> dict[str, pa.Array]:
    columns = {}
    for field in fields(kind):
        column = [getattr(value, field.name) for value in values]
        if field.name.endswith("interval") or "_interval_" in field.name:
            for end in ("low", "high"):
                ends = [None if value is None else getattr(value, end) for value in column]
                columns[field.name.replace("interval", end)] = pa.array(ends, pa.float64())
        else:
            columns[field.name] = pa.array(column, pa.int64() if field.type is int else pa.float64())
    return columns
