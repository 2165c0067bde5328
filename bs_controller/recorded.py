"""Run directories for readers: journal, truth and raw samples of a finished, killed or still running recording.

A torn tail is what a killed writer leaves behind: it is left out and counted, and cut off if asked to. Damage anywhere
else is refused with file and line. Nothing is ever repaired by guessing.
"""

import fcntl
import json
import os
import re
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Meta

from protocol.journal import Record, fault_in_rest, intact_records

Samples = npt.NDArray[np.complex64] | npt.NDArray[np.float64]
Array = npt.NDArray[np.complexfloating] | npt.NDArray[np.float64]
Datatype = Literal["cf32_le", "rf64_le"]

JOURNAL_FORMAT = "nftestbed-journal"
JOURNAL_VERSION = 1
#: The calibration that a run used, beside its journal.
CALIBRATION_COPY = "calibration.yaml"
SIGMF_VERSION = "1.2.0"
#: The names are those of SigMF.
DTYPES: Mapping[Datatype, np.dtype[np.generic]] = {"cf32_le": np.dtype("<c8"), "rf64_le": np.dtype("<f8")}
STREAM_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,63}$"

Size = Annotated[int, Meta(ge=0)]


class RecordingError(Exception):
    """A run cannot be recorded or read; the text says which file, and why."""


class StoredArray(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """Where an array of a record lies: in which stream, from which byte, of which numbers, and the CRC-32 of its bytes."""

    stream: Annotated[str, Meta(pattern=STREAM_PATTERN)]
    offset_bytes: Size
    shape: Annotated[tuple[Size, ...], Meta(max_length=8)]
    crc32: Annotated[str, Meta(pattern=r"^[0-9a-f]{8}$")]
    datatype: Datatype = "cf32_le"

    @property
    def size_bytes(self) -> int:
        """Return the length of the array in its stream."""
        return int(np.prod(self.shape, dtype=object)) * DTYPES[self.datatype].itemsize


def datatype_of(stream: str, array: Array) -> Datatype:
    """Return as what the numbers of an array are stored.

    Raises
    ------
    TypeError
        If they are neither complex nor float64.
    """
    if np.iscomplexobj(array):
        return "cf32_le"
    if array.dtype == np.float64:
        return "rf64_le"
    raise TypeError(f"expected complex or float64 samples for stream {stream}, got {array.dtype}")


def data_path(run: Path, stream: str) -> Path:
    """Return the file of raw samples of a stream."""
    return run / "iq" / f"{stream}.sigmf-data"


def sigmf_meta(stream: str, datatype: Datatype) -> bytes:
    """Return the SigMF metadata that make the raw samples of a stream readable to others."""
    description = f"Stream {stream} of a testbed run: arrays of the journal's records, one after the other. "
    meta = {
        "global": {
            "core:datatype": datatype,
            "core:version": SIGMF_VERSION,
            "core:num_channels": 1,
            "core:description": description + "Samples are subcarriers, not instants: there is no sample rate.",
        },
        "captures": [{"core:sample_start": 0}],
        "annotations": [],
    }
    return json.dumps(meta, indent=2).encode() + b"\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedRun:
    """A run as it was found on disk.

    `header` is the journal's first record, `records` are all others, `missing` says how many the writer could not take.
    `document` is ``run.json``; it has no ``stop`` if the run was killed or still runs.
    """

    path: Path
    config_text: str
    document: Mapping[str, object]
    header: Record
    records: list[Record]
    torn_bytes: int
    missing: int
    truth: list[Record]
    truth_torn_bytes: int

    def samples(self, record: Mapping[str, object]) -> dict[str, Samples]:
        """Return the arrays of a record by stream name, complex64 or float64, each in the shape in which it was appended.

        Raises
        ------
        RecordingError
            If the raw samples are missing or damaged.
        """
        return samples_of(self.path, record)


def samples_of(run: Path, record: Mapping[str, object]) -> dict[str, Samples]:
    """Return the arrays of a record of a run directory; see `RecordedRun.samples`."""
    return {array.stream: _array(run, array, record) for array in stored_arrays(record)}


def _array(run: Path, array: StoredArray, record: Mapping[str, object]) -> Samples:
    path = data_path(run, array.stream)
    try:
        with path.open("rb") as file:
            file.seek(array.offset_bytes)
            available = path.stat().st_size - array.offset_bytes
            data = file.read(array.size_bytes) if available >= array.size_bytes else b""
    except OSError as error:
        raise RecordingError(f"{path}: expected raw samples, got: {error.strerror}") from error
    found = f"{zlib.crc32(data):08x}"
    if len(data) != array.size_bytes or found != array.crc32:
        place = f"{array.size_bytes} bytes at {array.offset_bytes} of record {record.get('seq')}"
        raise RecordingError(f"{path}: expected CRC32 {array.crc32} of {place}, got {found} of {len(data)} bytes")
    return np.frombuffer(data, dtype=DTYPES[array.datatype]).reshape(array.shape)


def stored_arrays(record: Mapping[str, object]) -> list[StoredArray]:
    """Return where the arrays of a record lie."""
    try:
        return msgspec.convert(record.get("arrays", []), list[StoredArray])
    except msgspec.ValidationError as error:
        raise RecordingError(f"record {record.get('seq')}: {error}") from error


def open_run(path: Path, *, writable: bool = False) -> RecordedRun:
    """Return a recorded run.

    Parameters
    ----------
    path
        The run directory.
    writable
        Cut off the torn tail of the journal, and raw samples that no record mentions. Refused while a controller
        records.

    Raises
    ------
    RecordingError
        If this is no run, or if it is damaged elsewhere than at its end.
    """
    path = Path(path)
    if writable:
        with run_lock(path):
            run = _read(path)
            _cut_tails(run)
            return run
    return _read(path)


def _read(path: Path) -> RecordedRun:
    document, config_text = document_of(path), config_text_of(path)
    records, torn_bytes = _journal(path / "journal.jsonl")
    has_truth = (path / "truth.jsonl").exists()
    truth, truth_torn_bytes = _journal(path / "truth.jsonl") if has_truth else ([], 0)
    require_header(path / "journal.jsonl", records[0] if records else None)
    return RecordedRun(
        path=path,
        config_text=config_text,
        document=document,
        header=records[0],
        records=records[1:],
        torn_bytes=torn_bytes,
        missing=_missing(records),
        truth=truth,
        truth_torn_bytes=truth_torn_bytes,
    )


def require_header(journal: Path, record: Record | None) -> None:
    """Refuse a journal whose first record, if any, is not the header of a run."""
    if record is None or record.get("format") != JOURNAL_FORMAT or record.get("version") != JOURNAL_VERSION:
        found = "no intact line" if record is None else record
        raise RecordingError(f"{journal}:1: expected a header of {JOURNAL_FORMAT} {JOURNAL_VERSION}, got {found}")


def config_text_of(run: Path) -> str:
    """Return the resolved configuration of a run directory."""
    return _bytes(run / "config.yaml").decode("utf-8", "replace")


def _missing(records: list[Record]) -> int:
    last = records[-1]["seq"]
    return last + 1 - len(records) if isinstance(last, int) else 0


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise RecordingError(f"{path}: expected a file of a run, got: {error.strerror}") from error


def document_of(run: Path) -> Mapping[str, object]:
    """Return ``run.json`` of a run directory."""
    path = run / "run.json"
    try:
        document = json.loads(_bytes(path))
    except ValueError as error:
        raise RecordingError(f"{path}: expected JSON, got: {error}") from error
    if not isinstance(document, dict):
        raise RecordingError(f"{path}: expected an object, got {type(document).__name__}")
    return document


def _journal(path: Path) -> tuple[list[Record], int]:
    data = _bytes(path)
    records, valid_bytes = intact_records(data)
    fault = fault_in_rest(data[valid_bytes:])
    if fault is not None:
        raise RecordingError(f"{path}:{len(records) + 1}: {fault}")
    return records, len(data) - valid_bytes


def _cut_tails(run: RecordedRun) -> None:
    """Cut off what nobody was told to be on disk; the emulator's truth is not ours to cut."""
    ends: dict[str, int] = {}
    for record in run.records:
        ends |= {array.stream: array.offset_bytes + array.size_bytes for array in stored_arrays(record)}
    journal = run.path / "journal.jsonl"
    _cut(journal, journal.stat().st_size - run.torn_bytes)
    for data in sorted((run.path / "iq").glob("*.sigmf-data")):
        _cut(data, ends.get(data.name.removesuffix(".sigmf-data"), 0))


def _cut(path: Path, size_bytes: int) -> None:
    if path.stat().st_size > size_bytes:
        with path.open("r+b") as file:
            file.truncate(size_bytes)
            os.fsync(file.fileno())


@contextmanager
def run_lock(path: Path) -> Iterator[None]:
    """Hold the lock of a run directory, or raise `RecordingError` if another process holds it."""
    descriptor = locked_descriptor(path)
    try:
        yield
    finally:
        os.close(descriptor)


def locked_descriptor(path: Path) -> int:
    """Return an open file that holds the lock of a run directory until it is closed, by us or by the death of this process.

    Raises
    ------
    RecordingError
        If another writer holds it.
    """
    try:
        descriptor = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise RecordingError(f"{path}/lock: expected a file that can be locked, got: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        holder = re.sub(r"[^0-9]", "", os.read(descriptor, 20).decode("latin-1")) or "unknown"
        os.close(descriptor)
        raise RecordingError(f"{path}: expected a run that nobody records, got one held by process {holder}") from error
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)
    return descriptor
