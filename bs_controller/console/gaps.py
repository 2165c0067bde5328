"""Records of a run that is going on which its events did not bring, from the end of its journal (shell)."""

from pathlib import Path
from typing import Any

from bs_controller.streamed import last_records

FIRST_BYTES, MOST_BYTES = 1 << 18, 1 << 24


def records_between(journal: Path, after: int, before: int) -> list[dict[str, Any]]:
    """Return the records with numbers between two, as far as they lie in the last `MOST_BYTES` of a journal, in order."""
    size = FIRST_BYTES
    while True:
        records, whole = last_records(journal, size)
        if whole or size >= MOST_BYTES or (records and records[0]["seq"] <= after + 1):
            return [record for record in records if after < record["seq"] < before]
        size *= 4
