"""What `nftestbed reproduce` prints for people: printed values beside ours."""

from rich import box
from rich.console import Console
from rich.table import Table

from deploy.reproduce.plates import Cell, Document
from deploy.reproduce.plates import Table as PlateTable


def print_document(document: Document, console: Console) -> None:
    """Print one figure's values, those that the paper prints first, its tables and its notes."""
    title = f"{document.figure}: {document.title}{' (quick)' if document.quick else ''}"
    table = Table(title=title, title_justify="left", box=box.SIMPLE, show_edge=False, pad_edge=False)
    table.add_column("value", overflow="fold")
    for column in ("ours", "printed", "difference"):
        table.add_column(column, justify="right")
    for value in sorted(document.values, key=lambda one: one.printed is None):
        table.add_row(
            value.name, *("-" if n is None else f"{n:.5g}" for n in (value.ours, value.printed, value.difference))
        )
    console.print(table)
    for one in document.tables:
        _print_table(one, console)
    for note in document.notes:
        console.print(f"note: {note}", markup=False, highlight=False)
    console.print()


def _print_table(found: PlateTable, console: Console) -> None:
    table = Table(title=found.title, title_justify="left", box=box.SIMPLE, show_edge=False, pad_edge=False)
    table.add_column("", overflow="fold")
    for column in found.columns:
        table.add_column(column, justify="right")
    for row in found.rows:
        table.add_row(row.name, *map(_cell_text, row.cells))
    console.print(table)


def _cell_text(cell: Cell) -> str:
    """Return a number with its interval, if it has one."""
    interval = "" if cell.low is None or cell.high is None else f" ({cell.low:.3g}-{cell.high:.3g})"
    return f"{cell.value:.4g}{interval}"
