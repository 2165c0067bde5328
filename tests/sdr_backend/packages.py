"""Packages of drivers as a third party installs them."""

from pathlib import Path


def installed(folder: Path, entry_points: str) -> None:
    """Have the modules of a folder found by these entry points wherever the folder is on the path."""
    info = folder / "theirs-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(entry_points, encoding="utf-8")
