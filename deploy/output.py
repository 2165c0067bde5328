"""Where results go: one JSON document, or a table as wide as the terminal and 120 columns wide in a file."""

import sys

import msgspec
from rich.console import Console

WIDTH_OF_FILES = 120


def print_json(document: object) -> None:
    """Print one JSON document on standard output."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n")


def output_console() -> Console:
    """Return the console of standard output."""
    return Console(width=None if sys.stdout.isatty() else WIDTH_OF_FILES)
