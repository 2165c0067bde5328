"""Records of a run that is going on which its events did not bring, from the end of its journal (shell)."""

from pathlib import Path
from typing import Any

from protocol.journal import record_from_line

FIRST_BYTES, MOST_BYTES = 1 << 18, 1 << 24


def records_between(journal: Path, after: int, before: int) -> list[dict[str, Any]]:
    """Return the records with numbers between two, as far as they lie in the last `MOST_BYTES` of a journal, in order."""
    size = FIRST_BYTES
    while True:
        records, whole = _last_records(journal, size)
        if whole or size >= MOST_BYTES or (records and records[0]["seq"] <= after + 1):
            return [record for record in records if after < record["seq"] < before]
        size *= 4


def _last_records(journal: Path, size_bytes: int) -> tuple[list[dict[str, Any]], bool]:
    """Return the records in the last bytes of a journal, and whether these are all there are."""
    try:
        with journal.open("rb") as file:
            begin = max(0, file.seek(0, 2) - size_bytes)
            file.seek(begin)
            lines = file.read().split(b"\n")
    except OSError:
        return [], True
    records: list[dict[str, Any]] = []
    for line in lines:
        try:
            records.append(record_from_line(line))
        except ValueError:  # the first may be the rest of one, the last may be on its way
            continue
    return records, begin == 0
