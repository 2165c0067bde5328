"""The run directory: what was acknowledged is on disk, whatever happens next, and damage is named and never guessed away."""

import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from bs_controller.record import Recorder, RecordingError, RunDirectory, open_run
from protocol.journal import line_from_record

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 30.0  # generous: reached only by a writer that hangs


def run_at(path: Path) -> RunDirectory:
    return RunDirectory.create(path, config_text="name: lab\n", start={"seed": 7})


def recorder_of(run: RunDirectory, max_pending: int = 4096) -> Recorder:
    return Recorder(run, call_soon=lambda callback: callback(), max_pending=max_pending)


def append_durably(recorder: Recorder, record: dict[str, object], **arrays: np.ndarray) -> None:
    durable = threading.Event()
    assert recorder.append(record, arrays, durable.set)
    assert durable.wait(TIMEOUT_S)


def recorded(path: Path, count: int) -> Path:
    """Return a closed run of that many records with two samples each."""
    recorder = recorder_of(run_at(path))
    for number in range(count):
        recorder.append({"number": number}, {"ue-a": np.array([number, 1j], np.complex64)})
    recorder.close()
    return path


def test_closed_run_says_how_it_began_and_how_it_ended(tmp_path: Path) -> None:
    recorder = recorder_of(run_at(tmp_path / "run"))
    recorder.append({"kind": "fix"})
    recorder.close({"reason": "asked"})
    run = open_run(tmp_path / "run")
    start, stop = run.document["start"], run.document["stop"]
    assert isinstance(start, dict)
    assert isinstance(stop, dict)
    assert start["seed"] == 7
    assert (stop["reason"], stop["records"], stop["unrecorded"]) == ("asked", 1, 0)
    assert run.config_text == "name: lab\n"
    assert run.records == [{"seq": 1, "kind": "fix"}]
    assert (run.torn_bytes, run.missing, run.truth) == (0, 0, [])


def test_arrays_come_back_as_they_were_in_their_shapes(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    arrays = [rng.standard_normal((3, 5)) + 1j * rng.standard_normal((3, 5)) for _ in range(20)]
    recorder = recorder_of(run_at(tmp_path / "run"))
    for array in arrays:
        recorder.append({"kind": "snapshot"}, {"uplink": array, "ue-a": array[0]})
    recorder.close()
    run = open_run(tmp_path / "run")
    for record, array in zip(run.records, arrays, strict=True):
        found = run.samples(record)
        # exact: stored as complex64, which is what the wire carries
        np.testing.assert_array_equal(found["uplink"], array.astype(np.complex64))
        np.testing.assert_array_equal(found["ue-a"], array[0].astype(np.complex64))


def test_float64_comes_back_bit_for_bit_and_its_stream_says_what_it_is(tmp_path: Path) -> None:
    power_w = np.array([1e-300, 1 / 3, 5e-324])  # none of them is a single-precision number
    recorder = recorder_of(run_at(tmp_path / "run"))
    recorder.append({"kind": "report"}, {"power": power_w})
    recorder.close()
    run = open_run(tmp_path / "run")
    assert run.samples(run.records[0])["power"].tobytes() == power_w.tobytes()
    assert '"core:datatype": "rf64_le"' in (tmp_path / "run" / "iq" / "power.sigmf-meta").read_text()


def test_stream_holds_numbers_of_one_type(tmp_path: Path) -> None:
    recorder = recorder_of(run_at(tmp_path / "run"))
    recorder.append({}, {"power": np.ones(2)})
    with pytest.raises(ValueError, match="expected rf64_le in stream power, got cf32_le"):
        recorder.append({}, {"power": np.ones(2, np.complex64)})
    recorder.close()


def test_array_changed_after_append_is_recorded_as_it_was(tmp_path: Path) -> None:
    recorder = recorder_of(run_at(tmp_path / "run"))
    array = np.ones(4, np.complex64)
    recorder.append({}, {"ue-a": array})
    array[:] = 0
    recorder.close()
    run = open_run(tmp_path / "run")
    assert run.samples(run.records[0])["ue-a"].tolist() == [1, 1, 1, 1]


def test_sample_file_is_the_raw_arrays_one_after_the_other(tmp_path: Path) -> None:
    path = recorded(tmp_path / "run", 3)
    raw = np.fromfile(path / "iq" / "ue-a.sigmf-data", dtype="<c8")
    assert raw.tolist() == [0, 1j, 1, 1j, 2, 1j]
    assert '"core:datatype": "cf32_le"' in (path / "iq" / "ue-a.sigmf-meta").read_text()


@pytest.mark.parametrize("writer", ["controller", "repair"])
def test_second_writer_is_refused_and_told_who_holds_the_run(tmp_path: Path, writer: str) -> None:
    run = run_at(tmp_path / "run")
    with pytest.raises(RecordingError, match=rf"held by process {os.getpid()}"):
        run_at(tmp_path / "run") if writer == "controller" else open_run(tmp_path / "run", writable=True)
    run.release()


def test_directory_that_holds_a_run_is_not_written_over(tmp_path: Path) -> None:
    run_at(tmp_path / "run").release()
    with pytest.raises(RecordingError, match="expected a directory without a run"):
        run_at(tmp_path / "run")


def test_run_can_be_read_while_it_is_recorded(tmp_path: Path) -> None:
    recorder = recorder_of(run_at(tmp_path / "run"))
    append_durably(recorder, {"number": 1})
    run = open_run(tmp_path / "run")
    assert [record["number"] for record in run.records] == [1]
    assert "stop" not in run.document
    recorder.close()


def test_close_twice_is_close_once(tmp_path: Path) -> None:
    recorder = recorder_of(run_at(tmp_path / "run"))
    recorder.close({"reason": "first"})
    recorder.close({"reason": "second"})
    stop = open_run(tmp_path / "run").document["stop"]
    assert isinstance(stop, dict)
    assert stop["reason"] == "first"


def test_append_after_close_is_counted_and_not_taken(tmp_path: Path) -> None:
    recorder = recorder_of(run_at(tmp_path / "run"))
    recorder.close()
    assert not recorder.append({})
    assert recorder.unrecorded == 1


@pytest.mark.parametrize(
    ("record", "arrays"),
    [
        ({"x": float("nan")}, {}),
        ({"x": object()}, {}),
        ({"seq": 3}, {}),
        ({"arrays": []}, {}),
        ({}, {"../x": np.ones(1, complex)}),
        ({}, {"single": np.ones(1, np.float32)}),
    ],
)
def test_record_that_cannot_be_stored_is_the_callers_error_and_leaves_no_trace(
    tmp_path: Path, record: dict[str, object], arrays: dict[str, np.ndarray]
) -> None:
    recorder = recorder_of(run_at(tmp_path / "run"))
    with pytest.raises((ValueError, TypeError)):
        recorder.append(record, arrays)
    append_durably(recorder, {"good": True})
    recorder.close()
    assert open_run(tmp_path / "run").records == [{"seq": 1, "good": True}]


def test_record_beyond_the_queue_is_dropped_at_once_and_leaves_a_gap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = recorder_of(run_at(tmp_path / "run"), max_pending=2)
    syncing, go_on = threading.Event(), threading.Event()
    fdatasync = os.fdatasync

    def slow(descriptor: int) -> None:
        syncing.set()
        assert go_on.wait(TIMEOUT_S)
        fdatasync(descriptor)

    monkeypatch.setattr(os, "fdatasync", slow)
    recorder.append({"number": 0})
    assert syncing.wait(TIMEOUT_S)
    taken = [recorder.append({"number": number}) for number in range(1, 5)]
    go_on.set()
    append_durably_when_room(recorder)
    recorder.close()
    assert taken == [True, True, False, False]
    run = open_run(tmp_path / "run")
    assert [record.get("number") for record in run.records] == [0, 1, 2, 9]
    assert run.missing == recorder.unrecorded >= 2


def append_durably_when_room(recorder: Recorder) -> None:
    """Append record 9 as soon as the queue takes it."""
    durable = threading.Event()
    while not recorder.append({"number": 9}, on_durable=durable.set):
        assert recorder.failure is None
    assert durable.wait(TIMEOUT_S)


def test_failed_sync_stops_recording_for_good_and_is_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failures: list[RecordingError] = []
    failed = threading.Event()
    syncs: list[int] = []

    def broken(descriptor: int) -> None:
        syncs.append(descriptor)
        raise OSError(5, "Input/output error")

    def on_failure(error: RecordingError) -> None:
        failures.append(error)
        failed.set()

    recorder = Recorder(run_at(tmp_path / "run"), call_soon=lambda callback: callback(), on_failure=on_failure)
    acknowledged: list[int] = []
    append_durably(recorder, {"number": 0})
    monkeypatch.setattr(os, "fdatasync", broken)
    recorder.append({"number": 1}, on_durable=lambda: acknowledged.append(1))
    assert failed.wait(TIMEOUT_S)
    monkeypatch.undo()
    assert not recorder.append({"number": 2}, on_durable=lambda: acknowledged.append(2))
    recorder.close()
    run = open_run(tmp_path / "run")
    stop = run.document["stop"]
    assert isinstance(stop, dict)
    assert (len(failures), len(syncs), acknowledged, recorder.unrecorded) == (1, 1, [], 2)
    assert [record["number"] for record in run.records] == [0], "what was never synced is cut off again"
    assert stop["failure"] == str(recorder.failure)
    assert "Input/output error" in stop["failure"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Yield a file system of 96 KiB."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    path = tmp_path / "small"
    path.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=96k", "tmpfs", str(path)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"cannot mount a small file system: {mounted.stderr.strip()}")
    yield path
    subprocess.run(["umount", "--lazy", str(path)], check=True)


@pytest.mark.parametrize("samples", [0, 300])
def test_full_disk_stops_recording_but_loses_nothing_acknowledged(small_disk: Path, samples: int) -> None:
    failed = threading.Event()
    acknowledged: list[int] = []
    recorder = Recorder(run_at(small_disk / "run"), call_soon=lambda done: done(), on_failure=lambda _: failed.set())
    arrays = {"ue-a": np.ones(samples, np.complex64)} if samples else {}
    for number in range(100_000):
        done = threading.Event()
        recorder.append({"number": number, "pad": "x" * 100}, arrays, partial(acknowledged.append, number))
        recorder.append({"kind": "pause"}, None, done.set)
        while not done.wait(0.01) and recorder.failure is None:
            pass
        if recorder.failure is not None:
            break
    assert failed.wait(TIMEOUT_S)
    recorder.close()
    assert "No space left on device" in str(recorder.failure)
    assert recorder.unrecorded > 0
    run = open_run(small_disk / "run")
    assert run.torn_bytes == 0
    assert acknowledged
    assert [record["number"] for record in run.records if "number" in record] == acknowledged
    for record in run.records:
        assert all((array == 1).all() for array in run.samples(record).values())


WRITER = """
import os, sys, threading
import numpy as np
from pathlib import Path
from bs_controller.record import Recorder, RunDirectory

run = RunDirectory.create(Path(sys.argv[1]), config_text="", start={})
recorder = Recorder(run, call_soon=lambda callback: callback())
room = threading.Semaphore(int(sys.argv[2]))

def acknowledge(number):
    os.write(1, b"%d\\n" % number)
    room.release()

number = 0
while True:
    room.acquire()
    samples = np.full(64, number, np.complex64)
    recorder.append({"number": number}, {"ue-a": samples}, lambda n=number: acknowledge(n))
    number += 1
"""


@pytest.mark.parametrize("seed", range(8))
def test_killed_writer_loses_nothing_it_acknowledged(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    path, room = tmp_path / "run", chance.choice([1, 7, 64])
    command = [sys.executable, "-c", WRITER, str(path), str(room)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as writer:
        assert writer.stdout is not None
        lines = [writer.stdout.readline() for _ in range(chance.randrange(1, 400))]
        writer.send_signal(signal.SIGKILL)
        lines += writer.stdout.readlines()
    acknowledged = [int(line) for line in lines if line.endswith(b"\n")]
    run = open_run(path, writable=True)
    numbers = [record["number"] for record in run.records]
    assert acknowledged
    assert numbers[: len(acknowledged)] == acknowledged
    for record in run.records[: len(acknowledged)]:
        assert (run.samples(record)["ue-a"] == record["number"]).all()
    assert open_run(path).torn_bytes == 0, "opened for writing, the tail is gone"


def test_torn_tail_is_counted_and_cut_off_only_when_asked_to(tmp_path: Path) -> None:
    path = recorded(tmp_path / "run", 3)
    journal, data = path / "journal.jsonl", path / "iq" / "ue-a.sigmf-data"
    whole = journal.read_bytes()
    journal.write_bytes(whole[:-7])
    torn = len(whole[:-7].split(b"\n")[-1])
    assert [len(open_run(path).records), open_run(path).torn_bytes] == [2, torn]
    assert open_run(path, writable=True).torn_bytes == torn
    run = open_run(path)
    assert (len(run.records), run.torn_bytes) == (2, 0)
    assert data.stat().st_size == 32, "samples that no record mentions are cut off too: two records of two samples"


def flipped(path: Path, offset: int) -> None:
    data = bytearray(path.read_bytes())
    data[offset] ^= 1
    path.write_bytes(data)


def test_damage_before_the_end_is_refused_with_file_and_line(tmp_path: Path) -> None:
    path = recorded(tmp_path / "run", 5)
    lines = (path / "journal.jsonl").read_bytes().split(b"\n")
    flipped(path / "journal.jsonl", len(b"\n".join(lines[:2])) + 20)
    with pytest.raises(RecordingError, match=r"journal\.jsonl:3: expected a line that begins with "):
        open_run(path)


def test_line_that_stands_twice_is_refused(tmp_path: Path) -> None:
    path = recorded(tmp_path / "run", 2)
    lines = (path / "journal.jsonl").read_bytes().splitlines(keepends=True)
    (path / "journal.jsonl").write_bytes(b"".join([*lines, lines[-1]]))
    with pytest.raises(RecordingError, match=r"journal\.jsonl:4: expected a growing seq, got 2"):
        open_run(path)


@pytest.mark.parametrize("damage", ["flip", "cut", "gone"])
def test_damaged_samples_are_refused(tmp_path: Path, damage: str) -> None:
    path = recorded(tmp_path / "run", 3)
    data = path / "iq" / "ue-a.sigmf-data"
    actions: dict[str, Callable[[], object]] = {
        "flip": lambda: flipped(data, 17),
        "cut": lambda: os.truncate(data, 20),
        "gone": data.unlink,
    }
    actions[damage]()
    run = open_run(path)
    with pytest.raises(RecordingError, match=r"ue-a\.sigmf-data: expected "):
        run.samples(run.records[1])


@pytest.mark.parametrize("name", ["run.json", "config.yaml", "journal.jsonl"])
def test_directory_without_one_of_its_files_is_no_run(tmp_path: Path, name: str) -> None:
    path = recorded(tmp_path / "run", 1)
    (path / name).unlink()
    with pytest.raises(RecordingError, match=rf"{name}: expected a file of a run"):
        open_run(path)


def test_journal_without_its_header_is_no_run(tmp_path: Path) -> None:
    path = recorded(tmp_path / "run", 1)
    (path / "journal.jsonl").write_bytes(line_from_record(0, {}))
    with pytest.raises(RecordingError, match=r"journal\.jsonl:1: expected a header"):
        open_run(path)


def test_truth_is_read_beside_the_journal_and_its_torn_tail_left_alone(tmp_path: Path) -> None:
    path = recorded(tmp_path / "run", 1)
    (path / "truth.jsonl").write_bytes(line_from_record(0, {"x_m": 1.5}) + b"torn")
    run = open_run(path, writable=True)
    assert (run.truth, run.truth_torn_bytes) == ([{"seq": 0, "x_m": 1.5}], 4)
    assert (path / "truth.jsonl").read_bytes().endswith(b"torn"), "the emulator may still be writing it"
