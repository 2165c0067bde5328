"""A placeholder."""

from pathlib import Path


def report_page(run: Path) -> str:
    """Return the page."""
    raise NotImplementedError(run)
