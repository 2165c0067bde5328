"""Run directories record by record, in memory that does not grow with the run; refuses what `recorded.open_run` refuses.

Damage is found where it lies, so that records before it have been handed out by then: whoever writes something from them
must throw that away.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bs_controller.recorded import (
    RecordingError,
    Samples,
    config_text_of,
    document_of,
    require_header,
    samples_of,
)
from protocol.journal import DamagedJournalError, Record, record_from_line, streamed_records

LAST_BYTES = 1 << 20  # in which the latest time is looked for


@dataclass(slots=True, kw_only=True)
class Tail:
    """What the end of a run's files was like; known once all records were taken."""

    records: int = 0
    missing: int = 0
    torn_bytes: int = 0
    truth_torn_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedRecord:
    """A record, and the byte of the journal after it."""

    record: Record
    end_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamedRun:
    """A finished, killed or still running recording; the fields are those of `RecordedRun`."""

    path: Path
    config_text: str
    document: Mapping[str, object]
    tail: Tail = field(default_factory=Tail)

    @property
    def journal_bytes(self) -> int:
        """Return the length of the journal."""
        try:
            return (self.path / "journal.jsonl").stat().st_size
        except OSError as error:
            raise RecordingError(
                f"{self.path}/journal.jsonl: expected a file of a run, got: {error.strerror}"
            ) from error

    def placed_records(self, begin_bytes: int = 0) -> Iterator[PlacedRecord]:
        """Yield the records of the journal from where one ends, by default its header, each with where it ends.

        Raises
        ------
        RecordingError
            Where the journal is damaged.
        """
        path = self.path / "journal.jsonl"
        try:
            with path.open("rb") as lines:
                lines.seek(begin_bytes)
                records = streamed_records(lines)
                if begin_bytes == 0:
                    require_header(path, next(records, None))
                for record in records:
                    yield PlacedRecord(record=record, end_bytes=lines.tell())
        except OSError as error:
            raise RecordingError(f"{path}: expected a file of a run, got: {error.strerror}") from error
        except DamagedJournalError as damage:
            where = f"{damage.line}" if begin_bytes == 0 else f"{damage.line} lines after byte {begin_bytes}"
            raise RecordingError(f"{path}:{where}: {damage}") from damage

    def lasted_s(self) -> float:
        """Return the latest time of the records at the end of the journal, 0 if none of them has one."""
        records, _ = last_records(self.path / "journal.jsonl", LAST_BYTES)
        times_s = [record["time_s"] for record in records if isinstance(record.get("time_s"), int | float)]
        return float(max(times_s, default=0.0))

    def records(self) -> Iterator[Record]:
        """Yield the records of the journal after its header.

        Raises
        ------
        RecordingError
            Where the journal is damaged.
        """
        path, count = self.path / "journal.jsonl", 0
        for record in self._journal(path, "torn_bytes"):
            seq = record["seq"]
            assert isinstance(seq, int)  # noqa: S101 - an intact line has one
            count += 1
            self.tail.records, self.tail.missing = count - 1, seq + 1 - count
            if count > 1:
                yield record
            else:
                require_header(path, record)
        if not count:
            require_header(path, None)

    def truth(self) -> Iterator[Record]:
        """Yield the records of ``truth.jsonl``; none if the emulator wrote elsewhere.

        Raises
        ------
        RecordingError
            Where the file is damaged.
        """
        path = self.path / "truth.jsonl"
        if path.exists():
            yield from self._journal(path, "truth_torn_bytes")

    def samples(self, record: Mapping[str, object]) -> dict[str, Samples]:
        """Return the arrays of a record; see `RecordedRun.samples`."""
        return samples_of(self.path, record)

    def _journal(self, path: Path, torn: str) -> Iterator[Record]:
        try:
            with path.open("rb") as lines:
                torn_bytes = yield from streamed_records(lines)
        except OSError as error:
            raise RecordingError(f"{path}: expected a file of a run, got: {error.strerror}") from error
        except DamagedJournalError as damage:
            raise RecordingError(f"{path}:{damage.line}: {damage}") from damage
        setattr(self.tail, torn, torn_bytes)


def stream_run(path: Path) -> StreamedRun:
    """Return a recorded run of which nothing but configuration and documents has been read.

    Raises
    ------
    RecordingError
        If this is no run.
    """
    path = Path(path)
    return StreamedRun(path=path, config_text=config_text_of(path), document=document_of(path))


def last_records(journal: Path, size_bytes: int) -> tuple[list[dict[str, Any]], bool]:
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
