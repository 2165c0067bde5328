"""The picture of how times grow with sizes, from the benchmark rows that tell so in their details.

Drawn in the style of the reproduced figures, hence with matplotlib of the extra ``study``, which is asked for by name.
"""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from deploy.bench_rows import RowDocument
from deploy.reproduce.plates import Curve, Panel, Plate, drawn

Floats = npt.NDArray[np.float64]

FIGURE = "scaling"
MOST_TICKS = 7


class Scaling(msgspec.Struct, frozen=True, kw_only=True):
    """What the details of a row tell of its scaling; other details may stand beside it."""

    work: str
    varies: str
    exponent: float
    standard_error: float
    ms: dict[str, float]  # by size


def write_plot(rows: Sequence[RowDocument], folder: Path) -> Path:
    """Write ``scaling.png`` into a folder, made if needed, and return its path; rows of other kinds are left out."""
    found = [msgspec.convert(row.details, Scaling) for row in rows if "varies" in row.details]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{FIGURE}.png"
    drawn(_plate(found)).savefig(path, dpi=130)
    return path


def _plate(found: Sequence[Scaling]) -> Plate:
    kinds = list(dict.fromkeys(_kind(one) for one in found))  # one colour in all panels
    ordered = sorted(found, key=lambda one: one.varies)
    panels = tuple(_panel(varies, list(group), kinds) for varies, group in groupby(ordered, lambda one: one.varies))
    title = "measured times (points) and fitted power laws (dashed)"
    return Plate(figure=FIGURE, title=title, panels=panels, values=())


def _panel(varies: str, group: Sequence[Scaling], kinds: Sequence[str]) -> Panel:
    curves = [curve for one in group for curve in _curves(one, kinds.index(_kind(one)))]
    return Panel(
        title=f"time over {varies}",
        x_label=varies,
        y_label="processor time, ms",
        curves=tuple(curves),
        x_log=True,
        y_log=True,
        x_ticks=_ticks(np.concatenate([curve.x for curve in curves])),
        legend_columns=1,
    )


def _ticks(x: Floats) -> tuple[float, ...]:
    """Return powers of two over these values, or every second or third, as many as can be read."""
    first, last = int(np.floor(np.log2(x.min()))), int(np.ceil(np.log2(x.max())))
    step = -(-(last - first + 1) // MOST_TICKS)
    return tuple(float(2**power) for power in range(first, last + 1, step))


def _kind(one: Scaling) -> str:
    return one.work.partition(",")[0]


def _curves(one: Scaling, colour: int) -> tuple[Curve, Curve]:
    """Return the law, which goes through the middle of the points in logarithms, and the points."""
    size, took_ms = np.array([float(size) for size in one.ms]), np.array(list(one.ms.values()))
    middle, middle_ms = np.exp(np.log(size).mean()), np.exp(np.log(took_ms).mean())
    label = f"{one.work}: exponent {one.exponent:.2f} ± {one.standard_error:.2f}"
    law = middle_ms * (size / middle) ** one.exponent
    return (
        Curve(label=label, x=size, y=law, style="dashed", colour=colour),
        Curve(label="_measured", x=size, y=took_ms, style="points", colour=colour),
    )
