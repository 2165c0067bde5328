"""What a reproduced figure is, and how it becomes a picture, a table and a document; the only importer of matplotlib.

A `Plate` is one figure of a paper: panels of curves or images, the values that the paper's text states beside ours, tables.
`write` makes three files of it, all in one style. No physics here: the modules beside this one compute.
"""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

Floats = npt.NDArray[np.float64]
Style = Literal["line", "dashed", "dotted", "points"]

LINE_WITH_POINTS: tuple[Style, ...] = ("line", "points")  # the second one's label starts with "_": it is not shown
COLUMNS = ("panel", "curve", "x_quantity", "x", "y_quantity", "y", "z_quantity", "z")
# distinguishable with every common colour blindness, and by lightness in grey print
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#444444")
_LINES: dict[Style, tuple[str, float]] = {
    "line": ("-", 1.6),
    "dashed": ("--", 1.6),
    "dotted": (":", 1.6),
    "points": ("", 0.0),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """One line or row of points; equal `colour` ties curves of one case together."""

    label: str
    x: Floats  # (point,)
    y: Floats  # (point,)
    style: Style = "line"
    colour: int = 0
    width: float | None = None  # in points; equal curves show if the ones below are wider


def with_points(label: str, x: Floats, y: Floats, colour: int) -> tuple[Curve, Curve]:
    """Return a line with its points, named once."""
    line, points = (
        Curve(label=name, x=x, y=y, style=style, colour=colour)
        for name, style in zip((label, "_" + label), LINE_WITH_POINTS, strict=True)
    )
    return line, points


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A point that the paper's text states, drawn where it says."""

    label: str
    x: float
    y: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """Axes with curves, marks, and vertical lines such as estimated lobe limits ``(x, colour)``."""

    title: str
    x_label: str
    y_label: str
    curves: tuple[Curve, ...]
    marks: tuple[Mark, ...] = ()
    verticals: tuple[tuple[float, int], ...] = ()
    y_log: bool = False
    x_log: bool = False
    equal_axes: bool = False
    x_limits: tuple[float, float] | None = None
    y_limits: tuple[float, float] | None = None
    x_ticks: tuple[float, ...] = ()
    legend: Literal["below", "upper right", "lower right"] = "below"
    legend_columns: int = 2


def with_one_scale(panels: Sequence[Panel]) -> tuple[Panel, ...]:
    """Return panels of one logarithmic quantity with equal limits, an eighth of a decade beyond all of their values."""
    shown = np.concatenate([curve.y for panel in panels for curve in panel.curves])
    shown = np.append(shown, [mark.y for panel in panels for mark in panel.marks])
    limits = float(shown.min() * 10**-0.125), float(shown.max() * 10**0.125)
    return tuple(replace(panel, y_limits=limits) for panel in panels)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagePanel:
    """A level over a grid that need not be straight; `x`, `y` and `level_db` are ``(row, column)``; circles show the truth."""

    title: str
    x_label: str
    y_label: str
    x: Floats
    y: Floats
    level_db: Floats
    truth: tuple[Mark, ...] = ()
    equal_axes: bool = False
    level_label: str = "amplitude, dB below the peak"


class Value(msgspec.Struct, frozen=True, kw_only=True):
    """A number of the figure, and what the paper's text prints for it; null where it prints none."""

    name: str
    ours: float
    printed: float | None = None
    difference: float | None = None


def value(name: str, ours: float, printed: float | None = None) -> Value:
    """Return a value with its difference, ours minus printed, if the text prints one."""
    difference = None if printed is None else float(ours) - printed
    return Value(name=name, ours=float(ours), printed=printed, difference=difference)


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """A number of a table, and the ends of its confidence interval where it is ours."""

    value: float
    low: float | None = None
    high: float | None = None


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A row of a table, a cell for each column."""

    name: str
    cells: tuple[Cell, ...]


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """A table as the paper has one, its own rows among ours."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plate:
    """One figure of a paper, reproduced."""

    figure: str
    title: str
    panels: tuple[Panel | ImagePanel, ...]
    values: tuple[Value, ...]
    tables: tuple[Table, ...] = ()
    notes: tuple[str, ...] = ()
    settings: dict[str, float | int | str] = field(default_factory=dict)


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """The JSON file of a figure."""

    figure: str
    title: str
    quick: bool
    settings: dict[str, float | int | str]
    values: tuple[Value, ...]
    tables: tuple[Table, ...]
    notes: tuple[str, ...]


def write(plate: Plate, folder: Path, *, quick: bool) -> Document:
    """Write ``NAME.png``, ``NAME.csv`` and ``NAME.json`` into a folder, made if needed, and return the document."""
    folder.mkdir(parents=True, exist_ok=True)
    picture = drawn(plate)
    picture.savefig(folder / f"{plate.figure}.png", dpi=130)
    with (folder / f"{plate.figure}.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for panel in plate.panels:
            writer.writerows(_rows(panel))
    document = Document(
        figure=plate.figure,
        title=plate.title,
        quick=quick,
        settings=plate.settings,
        values=plate.values,
        tables=plate.tables,
        notes=plate.notes,
    )
    text = msgspec.json.format(msgspec.json.encode(document), indent=2)
    (folder / f"{plate.figure}.json").write_bytes(text + b"\n")
    return document


def drawn(plate: Plate) -> Figure:
    """Return the picture: panels side by side, three in one row, others two in a row."""
    columns = 3 if len(plate.panels) == 3 else min(2, len(plate.panels))
    rows = -(-len(plate.panels) // columns)
    picture = Figure(figsize=(6.8 * columns, 5.6 * rows), layout="constrained")
    FigureCanvasAgg(picture)
    picture.suptitle(f"{plate.figure}: {plate.title}", fontsize=12, fontweight="bold")
    for index, panel in enumerate(plate.panels):
        axes = picture.add_subplot(rows, columns, index + 1)
        axes.set_title(panel.title, fontsize=10)
        axes.set_xlabel(panel.x_label)
        axes.set_ylabel(panel.y_label)
        if isinstance(panel, ImagePanel):
            _draw_image(axes, panel, picture)
        else:
            _draw_curves(axes, panel)
    return picture


def _draw_curves(axes: Axes, panel: Panel) -> None:
    for curve in panel.curves:
        dashes, width = _LINES[curve.style]
        axes.plot(
            curve.x,
            curve.y,
            label=curve.label,
            color=COLOURS[curve.colour],
            linestyle=dashes,
            linewidth=width if curve.width is None else curve.width,
            marker="o" if curve.style == "points" else "",
            markersize=4.5,
        )
    for x, colour in panel.verticals:
        axes.axvline(x, color=COLOURS[colour], linestyle="-.", linewidth=0.9)
    _draw_marks(axes, panel.marks)
    if panel.y_log:
        axes.set_yscale("log")
    if panel.x_log:
        axes.set_xscale("log")
    if panel.x_ticks:
        axes.set_xticks(panel.x_ticks, labels=[f"{x:g}" for x in panel.x_ticks])
        axes.set_xticks([], minor=True)
    if panel.x_limits:
        axes.set_xlim(panel.x_limits)
    if panel.y_limits:
        axes.set_ylim(panel.y_limits)
    if panel.equal_axes:
        axes.set_aspect("equal")
    axes.grid(visible=True, which="major", color="#dddddd", linewidth=0.7)
    axes.set_axisbelow(True)
    if panel.legend == "below":
        columns = panel.legend_columns
        axes.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=columns, frameon=False)
    else:
        axes.legend(fontsize=8, loc=panel.legend, framealpha=0.9)


def _draw_image(axes: Axes, panel: ImagePanel, picture: Figure) -> None:
    mesh = axes.pcolormesh(
        panel.x, panel.y, panel.level_db, cmap="viridis", vmin=-30, vmax=0, shading="gouraud", rasterized=True
    )
    picture.colorbar(mesh, ax=axes, label=panel.level_label)
    for mark in panel.truth:
        axes.plot(mark.x, mark.y, "o", mec="white", mfc="none", markersize=11, markeredgewidth=1.6, label=mark.label)
    if panel.equal_axes:
        axes.set_aspect("equal")
    if panel.truth:
        axes.legend(fontsize=8, loc="upper left", facecolor="#333333", labelcolor="white")


def _draw_marks(axes: Axes, marks: tuple[Mark, ...]) -> None:
    for index, mark in enumerate(marks):
        shape = "ovs^Dp*<>"[index % 9]
        axes.plot(mark.x, mark.y, shape, mec="black", mfc="none", markersize=10, markeredgewidth=1.4, label=mark.label)


def _rows(panel: Panel | ImagePanel) -> Iterator[tuple[str, ...]]:
    if isinstance(panel, ImagePanel):
        grid = zip(panel.x.flat, panel.y.flat, panel.level_db.flat, strict=True)
        for x, y, z in grid:
            yield *_row(panel, "image", x, y)[:-2], panel.level_label, f"{z:.4g}"
        return
    for curve in panel.curves:
        if curve.label.startswith("_"):  # the points of a line that is there already
            continue
        for x, y in zip(curve.x, curve.y, strict=True):
            yield _row(panel, curve.label, x, y)
    for mark in panel.marks:
        yield _row(panel, mark.label, mark.x, mark.y)


def _row(panel: Panel | ImagePanel, curve: str, x: float, y: float) -> tuple[str, ...]:
    """Return the cells of `COLUMNS`, the last two empty."""
    return panel.title, curve, panel.x_label, f"{x:.8g}", panel.y_label, f"{y:.8g}", "", ""
