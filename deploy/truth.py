"""The emulator's truth file as records, for those who join it with fixes after the run."""

from pathlib import Path

from emulator.truth import FILE_NAME
from protocol.journal import Record, intact_records


def truth_records(run_directory: Path) -> list[Record]:
    """Return the intact records of ``truth.jsonl``; none if the emulator wrote elsewhere."""
    try:
        data = (run_directory / FILE_NAME).read_bytes()
    except FileNotFoundError:
        return []
    return intact_records(data)[0]
