"""A run read record by record is the run that is read at once, and what is refused is refused in the same words."""

from pathlib import Path

import pytest

from bs_controller.record import Recorder, RecordingError, RunDirectory, open_run
from bs_controller.streamed import StreamedRun, Tail, stream_run
from protocol.journal import line_from_record


def recorded(path: Path, count: int = 5) -> Path:
    run = RunDirectory.create(path, config_text="name: lab\n", start={"seed": 7})
    recorder = Recorder(run, call_soon=lambda callback: callback())
    for number in range(count):
        recorder.append({"kind": "fix", "number": number})
    recorder.close()
    (path / "truth.jsonl").write_bytes(b"".join(line_from_record(seq, {"kind": "truth"}) for seq in (1, 2)))
    return path


def taken(run: StreamedRun) -> tuple[list[dict[str, object]], list[dict[str, object]]]:
    return list(run.records()), list(run.truth())


def test_records_truth_and_documents_are_those_of_reading_at_once(tmp_path: Path) -> None:
    path = recorded(tmp_path / "run")
    whole, run = open_run(path), stream_run(path)
    assert taken(run) == (whole.records, whole.truth)
    assert (run.config_text, run.document) == (whole.config_text, whole.document)
    assert run.tail == Tail(records=5)


@pytest.mark.parametrize("name", ["journal.jsonl", "truth.jsonl"])
def test_torn_tail_is_counted_as_when_reading_at_once(tmp_path: Path, name: str) -> None:
    path = recorded(tmp_path / "run")
    file = path / name
    file.write_bytes(file.read_bytes()[:-4])
    whole, run = open_run(path), stream_run(path)
    assert taken(run) == (whole.records, whole.truth)
    assert (run.tail.torn_bytes, run.tail.truth_torn_bytes) == (whole.torn_bytes, whole.truth_torn_bytes)
    assert run.tail.torn_bytes + run.tail.truth_torn_bytes > 0


def test_records_that_could_not_be_written_are_counted(tmp_path: Path) -> None:
    path = recorded(tmp_path / "run")
    journal = path / "journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join([*lines[:2], *lines[4:]]))
    run = stream_run(path)
    list(run.records())
    assert (run.tail.records, run.tail.missing) == (3, 2) == (len(open_run(path).records), open_run(path).missing)


@pytest.mark.parametrize("line", [0, 2])
def test_damage_is_refused_in_the_same_words(tmp_path: Path, line: int) -> None:
    path = recorded(tmp_path / "run")
    journal = path / "journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    lines[line] = b"0" * 8 + lines[line][8:]
    journal.write_bytes(b"".join(lines))
    with pytest.raises(RecordingError) as at_once:
        open_run(path)
    with pytest.raises(RecordingError) as streamed:
        list(stream_run(path).records())
    assert str(streamed.value) == str(at_once.value)


@pytest.mark.parametrize("text", [b"", b"torn"])
def test_journal_without_a_header_is_refused(tmp_path: Path, text: bytes) -> None:
    path = recorded(tmp_path / "run")
    (path / "journal.jsonl").write_bytes(text)
    with pytest.raises(RecordingError, match="expected a header of nftestbed-journal 1, got no intact line"):
        list(stream_run(path).records())
