"""Run directories record by record, in memory that does not grow with the run; refuses what `recorded.open_run` refuses.

Damage is found where it lies, so that records before it have been handed out by then: whoever writes something from them
must throw that away.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bs_controller.recorded import (
    RecordingError,
    Samples,
    config_text_of,
    document_of,
    require_header,
    samples_of,
)
from protocol.journal import DamagedJournalError, Record, streamed_records


@dataclass(slots=True, kw_only=True)
class Tail:
    """What the end of a run's files was like; known once all records were taken."""

    records: int = 0
    missing: int = 0
    torn_bytes: int = 0
    truth_torn_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamedRun:
    """A finished, killed or still running recording; the fields are those of `RecordedRun`."""

    path: Path
    config_text: str
    document: Mapping[str, object]
    tail: Tail = field(default_factory=Tail)

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
