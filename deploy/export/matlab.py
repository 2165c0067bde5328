"""MATLAB: one struct ``run`` in a .mat file of version 5, a field per table, each with a field per column.

Version 5 holds no variable beyond 2 GiB and must be written at once, so that larger runs are refused; HDF5 has no such limit.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.io import savemat

from deploy.export import ExportError
from deploy.export.contents import About, Values
from deploy.export.rows import Row
from deploy.export.tables import TABLES, Column, Kind, Table

MAX_BYTES = 1 << 30


class MatWriter:
    """Collects a run and writes one .mat file."""

    def __init__(self, path: Path, about: About) -> None:
        self._path, self._about = path, about
        self._columns: dict[str, dict[str, list[Any]]] = {}
        self._size_bytes = 0

    def write(self, table: Table, rows: Sequence[Row]) -> None:
        """Add rows to a table.

        Raises
        ------
        ExportError
            If the run is too large for the format.
        """
        columns = self._columns.setdefault(table.name, {column.name: [] for column in table.columns})
        for column in table.columns:
            part = self._part(column, rows)
            self._size_bytes += part.nbytes
            columns[column.name].append(part)
        if self._size_bytes > MAX_BYTES:
            raise ExportError(
                f"expected a run of at most {MAX_BYTES >> 20} MiB for a .mat file, got a larger one: use --format h5"
            )

    def _part(self, column: Column, rows: Sequence[Row]) -> Any:
        if column.axes:
            return self._about.stacked(column, rows)
        values = [row[column.name] for row in rows]
        match column.kind:
            case Kind.INT:
                return np.array(values, np.int64)
            case Kind.FLOAT:
                return np.array([np.nan if value is None else value for value in values], np.float64)
            case _:
                return _cells(column.kind, values)

    def finish(self, values: Values) -> None:
        """Write the file."""
        run: dict[str, Any] = {"about": {**values, **self._about.texts}, "axes": dict(self._about.axes), "units": {}}
        for name, columns in self._columns.items():
            found = {column: np.concatenate(parts) for column, parts in columns.items()}
            units = {column.name: column.unit for column in TABLES[name].columns if column.unit}
            _put(run, name, found)
            _put(run["units"], name, units)
        savemat(self._path, {"run": run}, format="5", long_field_names=True, oned_as="column")

    def close(self) -> None:
        """Forget what was collected."""
        self._columns = {}


def _cells(kind: Kind, values: Sequence[Any]) -> Any:
    """Return a cell array of texts or of rows of numbers."""
    cells = np.empty(len(values), object)
    for at, value in enumerate(values):
        match kind:
            case Kind.TEXT:
                cells[at] = value or ""
            case Kind.TEXTS:
                cells[at] = " ".join(value)
            case _:
                cells[at] = np.asarray(value, np.int64 if kind is Kind.INTS else np.float64).reshape(1, -1)
    return cells


def _put(target: dict[str, Any], name: str, value: Any) -> None:
    """Put a value under a name whose parts are nested structs."""
    *parents, last = name.split("/")
    for parent in parents:
        target = target.setdefault(parent, {})
    target[last] = value
