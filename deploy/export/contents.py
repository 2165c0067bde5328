"""What an exported file says beside its tables: axes, the run and its testbed; and the contract of a format's writer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from deploy.export import ExportError
from deploy.export.rows import Row
from deploy.export.tables import Column, Table
from protocol.testbed import TestbedFacts

Values = Mapping[str, str | int | float]
Floats = npt.NDArray[np.float64]
Array = npt.NDArray[np.float64] | npt.NDArray[np.complex64]


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What is known before the first row: texts (configuration, documents) by name, and the axes of arrays by name."""

    texts: Mapping[str, str]
    axes: Mapping[str, Floats]

    def shape(self, column: Column) -> tuple[int, ...]:
        """Return the shape of an array column's rows."""
        return tuple(len(self.axes[axis.values]) for axis in column.axes)

    def stacked(self, column: Column, rows: Sequence[Row]) -> Array:
        """Return the arrays of a column, ``(row, *axes)``.

        Raises
        ------
        ExportError
            If one has another shape than the testbed gives it.
        """
        for row in rows:
            if row[column.name].shape != self.shape(column):
                raise ExportError(
                    f"expected {column.name} of shape {self.shape(column)} as the testbed has it, got {row[column.name].shape}"
                )
        stacked: Array = np.stack([row[column.name] for row in rows])
        return stacked


class Writer(Protocol):
    """Writes one file or folder."""

    def write(self, table: Table, rows: Sequence[Row]) -> None:
        """Add rows to a table."""

    def finish(self, values: Values) -> None:
        """Add what is known of the run as a whole once all rows were written."""

    def close(self) -> None:
        """Give the file back, whatever was written of it; idempotent."""


def axes_of(facts: TestbedFacts) -> dict[str, Floats]:
    """Return the values along the axes of arrays; names end in units."""
    return {
        "downlink_frequency_hz": facts.downlink.grid.frequency_hz,
        "downlink_element_x_m": facts.downlink.array.element_x_m,
        "uplink_frequency_hz": facts.uplink.grid.frequency_hz,
        "uplink_element_angle_rad": facts.uplink.array.element_angle_rad,
    }
