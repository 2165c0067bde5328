"""What `nftestbed reproduce` prints for people: printed values beside ours."""

from rich import box
from rich.console import Console
from rich.table import Table

from deploy.reproduce.plates import Document


def print_document(document: Document, console: Console) -> None:
    """Print one figure's values, those that the paper prints first, and its notes."""
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
    for note in document.notes:
        console.print(f"note: {note}", markup=False, highlight=False)
    console.print()
