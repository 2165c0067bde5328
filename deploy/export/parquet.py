"""Parquet: a folder with a file per table, which pandas, Polars and DuckDB read; all reports are one table with their kind.

Units are metadata of columns, what is known of the run is metadata of each file; ``axes.parquet`` has frequencies and places
of elements. Complex samples are two lists of float32, arrays of several axes are flattened, slow axis first.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from deploy.export.contents import About, Values
from deploy.export.rows import Row
from deploy.export.tables import TABLES, Column, Kind, Table, unit_of

_TYPES = {
    Kind.INT: pa.int64(),
    Kind.FLOAT: pa.float64(),
    Kind.TEXT: pa.string(),
    Kind.TEXTS: pa.list_(pa.string()),
    Kind.INTS: pa.list_(pa.int64()),
    Kind.FLOATS: pa.list_(pa.float64()),
    Kind.POWER: pa.list_(pa.float64()),
}
_PARTS = ("_real", "_imag")


class ParquetWriter:
    """Writes one folder of Parquet files."""

    def __init__(self, folder: Path, about: About) -> None:
        folder.mkdir()
        self._folder, self._about = folder, about
        self._files: dict[str, Any] = {}

    def write(self, table: Table, rows: Sequence[Row]) -> None:
        """Add rows to a table as one row group."""
        name, _, kind = table.name.partition("/")
        columns: dict[str, pa.Array] = {"kind": pa.array([kind] * len(rows))} if kind else {}
        for column in table.columns:
            columns |= self._arrays(column, rows)
        file = self._file(name)
        arrays = [columns.get(field.name, pa.nulls(len(rows), field.type)) for field in file.schema]
        file.write_table(pa.Table.from_arrays(arrays, schema=file.schema))

    def _file(self, name: str) -> Any:
        if name not in self._files:
            kinds = [table for table in TABLES.values() if table.name.partition("/")[0] == name]
            fields = {"kind": pa.field("kind", pa.string())} if len(kinds) > 1 else {}
            for table in kinds:
                fields |= {field.name: field for column in table.columns for field in _fields(column)}
            schema = pa.schema(
                list(fields.values()), metadata={"description": " ".join(table.tells for table in kinds)}
            )
            self._files[name] = pq.ParquetWriter(self._folder / f"{name}.parquet", schema)
        return self._files[name]

    def _arrays(self, column: Column, rows: Sequence[Row]) -> dict[str, Any]:
        if not column.axes:
            values = [row[column.name] for row in rows]
            return {column.name: pa.array(values, _TYPES[column.kind])}
        stacked = self._about.stacked(column, rows).reshape(len(rows), -1)
        parts = [stacked.real, stacked.imag] if column.kind is Kind.SAMPLES else [stacked]
        return {field.name: _lists(part, field.type) for field, part in zip(_fields(column), parts, strict=True)}

    def finish(self, values: Values) -> None:
        """Add what is known of the run as a whole to each file, and the axes."""
        metadata = {name: str(value) for name, value in {**values, **self._about.texts}.items()}
        for file in self._files.values():
            file.add_key_value_metadata(metadata)
        axes = [
            {"axis": name, "unit": unit_of(name), "position": at, "value": value}
            for name, axis in self._about.axes.items()
            for at, value in enumerate(axis.tolist())
        ]
        pq.write_table(pa.Table.from_pylist(axes), self._folder / "axes.parquet")

    def close(self) -> None:
        """Close all files; idempotent."""
        for file in self._files.values():
            file.close()
        self._files = {}


def _fields(column: Column) -> list[Any]:
    """Return the fields of a column: two of a complex one."""
    metadata = {"unit": column.unit} | {"axes": " ".join(axis.name for axis in column.axes)}
    metadata |= {"axes_values": " ".join(axis.values for axis in column.axes)}
    known = {name: value for name, value in metadata.items() if value}
    if column.kind is Kind.SAMPLES:
        stem = column.name.removesuffix("_sqrt_w")
        names = [f"{stem}{part}_sqrt_w" for part in _PARTS]
        return [pa.field(name, pa.list_(pa.float32()), metadata=known) for name in names]
    return [pa.field(column.name, _TYPES[column.kind], metadata=known)]


def _lists(values: Any, kind: Any) -> Any:
    """Return rows of equal length as an Arrow list array."""
    offsets = np.arange(0, values.size + 1, values.shape[1], dtype=np.int32)
    return pa.ListArray.from_arrays(offsets, pa.array(np.ascontiguousarray(values).reshape(-1)), type=kind)
