"""HDF5: a group per table, a dataset per column, with units as attributes and dimension scales for epoch, time and axes.

The only importer of h5py. Rows are appended in batches; numbers that are not known are NaN, texts empty.
"""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from deploy.export.contents import About, Values
from deploy.export.rows import Row
from deploy.export.tables import Column, Kind, Table, unit_of

CHUNK_ROWS = 1024
CHUNK_BYTES = 1 << 18

_DTYPES = {
    Kind.INT: np.dtype(np.int64),
    Kind.FLOAT: np.dtype(np.float64),
    Kind.TEXT: h5py.string_dtype(),
    Kind.TEXTS: h5py.string_dtype(),
    Kind.INTS: h5py.vlen_dtype(np.int64),
    Kind.FLOATS: h5py.vlen_dtype(np.float64),
    Kind.POWER: np.dtype(np.float64),
    Kind.SAMPLES: np.dtype(np.complex64),
}
_SCALES = ("epoch", "time_s")


class _Sink(io.FileIO):
    """A file that goes on as if nothing had happened when its disk fails, and remembers that it did.

    HDF5 that cannot write cannot close either, and crashes when the process ends.
    """

    failure: OSError | None = None

    def write(self, data: Any) -> int:
        """Write all data, as far as the disk takes it."""
        rest = memoryview(data).cast("B")
        try:
            while rest and self.failure is None:
                rest = rest[super().write(rest) :]
        except OSError as error:
            self.failure = error
        return memoryview(data).nbytes

    def truncate(self, size: int | None = None, /) -> int:
        """Set the length of the file, if the disk takes it."""
        try:
            return super().truncate(size)
        except OSError as error:
            self.failure = self.failure or error
        return size or 0

    def require_written(self) -> None:
        """Raise what was not raised when it happened."""
        if self.failure is not None:
            raise self.failure


class Hdf5Writer:
    """Writes one HDF5 file."""

    def __init__(self, path: Path, about: About) -> None:
        self._sink = _Sink(path, "w+")
        self._file = h5py.File(self._sink, "w")
        self._about = about
        for name, values in about.axes.items():
            scale = self._file.create_dataset(f"axes/{name}", data=values)
            scale.attrs["unit"] = unit_of(name)
            scale.make_scale(name)

    def write(self, table: Table, rows: Sequence[Row]) -> None:
        """Add rows to a table; it is made with its first rows."""
        group = self._file[table.name] if table.name in self._file else self._made(table)
        for column in table.columns:
            dataset = group[column.name]
            before = len(dataset)
            dataset.resize(before + len(rows), axis=0)
            if column.kind in {Kind.INTS, Kind.FLOATS}:
                _write_lists(dataset, before, [row[column.name] for row in rows])
            else:
                dataset[before:] = self._values(column, rows)
        self._sink.require_written()

    def _made(self, table: Table) -> Any:
        group = self._file.create_group(table.name)
        group.attrs["description"] = table.tells
        for column in table.columns:
            dataset = self._dataset(group, column)
            dataset.dims[0].label = table.row
            if column.unit:
                dataset.attrs["unit"] = column.unit
        for name in _SCALES:
            if name in group:
                group[name].make_scale(name)
        for column in table.columns:
            self._attach(group, column)
        return group

    def _dataset(self, group: Any, column: Column) -> Any:
        shape, dtype = self._about.shape(column), _DTYPES[column.kind]
        rows = max(1, CHUNK_BYTES // (dtype.itemsize * int(np.prod(shape)))) if shape else CHUNK_ROWS
        return group.create_dataset(
            column.name, (0, *shape), dtype, maxshape=(None, *shape), chunks=(min(rows, CHUNK_ROWS), *shape)
        )

    def _attach(self, group: Any, column: Column) -> None:
        """Attach to an array what its axes are counted in."""
        if not column.axes:
            return
        dims = group[column.name].dims
        for name in _SCALES:
            if name in group:
                dims[0].attach_scale(group[name])
        for at, axis in enumerate(column.axes, 1):
            dims[at].label = axis.name
            dims[at].attach_scale(self._file[f"axes/{axis.values}"])

    def _values(self, column: Column, rows: Sequence[Row]) -> Any:
        values = [row[column.name] for row in rows]
        match column.kind:
            case Kind.POWER | Kind.SAMPLES:
                return self._about.stacked(column, rows)
            case Kind.INT:
                return np.array(values, np.int64)
            case Kind.FLOAT:
                return np.array([np.nan if value is None else value for value in values], np.float64)
            case Kind.TEXTS:
                return [" ".join(value) for value in values]
            case _:
                return ["" if value is None else value for value in values]

    def finish(self, values: Values) -> None:
        """Add what is known of the run as a whole."""
        for name, value in values.items():
            self._file.attrs[name] = value
        for name, text in self._about.texts.items():
            self._file[f"run/{name}"] = text

    def close(self) -> None:
        """Close the file; idempotent."""
        try:
            self._file.close()
        finally:
            self._sink.close()
        self._sink.require_written()


def _write_lists(dataset: Any, before: int, values: Sequence[Sequence[float]]) -> None:
    """Write lists as rows; assigning to the dataset takes lists of equal length for a matrix."""
    lists = np.empty(len(values), dataset.dtype)
    for at, value in enumerate(values):
        lists[at] = np.asarray(value, h5py.check_vlen_dtype(dataset.dtype))
    space = dataset.id.get_space()
    space.select_hyperslab((before,), (len(values),))
    dataset.id.write(h5py.h5s.create_simple((len(values),)), space, lists, h5py.h5t.py_create(lists.dtype))
