"""Run directory writer: everything a run says goes to disk before anybody is told that it happened.

One thread writes. Each batch is raw samples first, then journal lines, then one fdatasync per file, then the callbacks.
After a failed write or sync nothing is ever tried again: recording is over, the controller lives on and says so.
"""

import contextlib
import datetime
import hashlib
import json
import os
import re
import threading
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import msgspec
import numpy as np

from bs_controller.disk import AppendedFile, replace_file, sync_directory
from bs_controller.recorded import (
    CALIBRATION_COPY,
    DTYPES,
    JOURNAL_FORMAT,
    JOURNAL_VERSION,
    STREAM_PATTERN,
    Array,
    Datatype,
    RecordedRun,
    RecordingError,
    StoredArray,
    data_path,
    datatype_of,
    locked_descriptor,
    open_run,
    sigmf_meta,
)
from protocol.journal import line_from_record

__all__ = ["RecordedRun", "Recorder", "RecordingError", "RunDirectory", "open_run"]

Arrays = Mapping[str, Array]
Done = Callable[[], None]

RUN_FORMAT = 1
MAX_PENDING = 4096
MAX_PENDING_BYTES = 1 << 28


class RunDirectory:
    """The directory of one run, locked until `release`; refuses a directory that holds a run already."""

    def __init__(self, path: Path, document: Mapping[str, object], lock: int) -> None:
        self.path = path
        self._document = dict(document)
        self._lock = lock

    @classmethod
    def create(
        cls, path: Path, *, config_text: str, start: Mapping[str, object], calibration_text: str | None = None
    ) -> "RunDirectory":
        """Return a new run directory with configuration, start document and an empty journal, all of it on disk.

        Parameters
        ----------
        path
            The directory; made if need be.
        config_text
            The resolved configuration file.
        start
            What ``run.json`` says of the start: versions, seeds, digest; plain JSON.
        calibration_text
            The calibration that the run uses, if any: a replay needs the very one.

        Raises
        ------
        RecordingError
            If another controller records there, a run lies there already, or the disk refuses.
        """
        path = Path(path)
        try:
            (path / "iq").mkdir(mode=0o755, parents=True, exist_ok=True)
            (path / "logs").mkdir(mode=0o755, exist_ok=True)
            sync_directory(path.parent)
            lock = locked_descriptor(path)
        except OSError as error:
            raise RecordingError(f"{path}: expected a directory for a run, got: {error.strerror}") from error
        run = cls(path, {"format": RUN_FORMAT, "start": {"started_utc": _now_utc(), **start}}, lock)
        try:
            run._begin(config_text, calibration_text)
        except OSError as error:
            run.release()
            raise RecordingError(f"{path}: expected room for a run, got: {error.strerror}") from error
        except BaseException:
            run.release()
            raise
        return run

    def _begin(self, config_text: str, calibration_text: str | None) -> None:
        if (self.path / "journal.jsonl").exists():
            raise RecordingError(f"{self.path}: expected a directory without a run, got one with a journal")
        digest = hashlib.sha256(config_text.encode()).hexdigest()
        header = {"format": JOURNAL_FORMAT, "version": JOURNAL_VERSION, "config_sha256": digest}
        replace_file(self.path / "config.yaml", config_text.encode())
        if calibration_text is not None:
            replace_file(self.path / CALIBRATION_COPY, calibration_text.encode())
        self._write_document()
        replace_file(self.path / "journal.jsonl", line_from_record(0, header))

    def _write_document(self) -> None:
        replace_file(self.path / "run.json", json.dumps(self._document, indent=2, allow_nan=False).encode() + b"\n")

    def finish(self, stop: Mapping[str, object]) -> None:
        """Add the stop document to ``run.json``."""
        self._document["stop"] = {"stopped_utc": _now_utc(), **stop}
        self._write_document()

    def release(self) -> None:
        """Give the lock back; idempotent."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    line: bytes
    payloads: Mapping[str, bytes]
    on_durable: Done | None

    @property
    def size_bytes(self) -> int:
        return len(self.line) + sum(map(len, self.payloads.values()))


class Recorder:
    """Appends records to a run without ever waiting for the disk; the run directory is its own from then on."""

    def __init__(
        self,
        run: RunDirectory,
        *,
        call_soon: Callable[[Done], object],
        on_failure: Callable[[RecordingError], None] | None = None,
        max_pending: int = MAX_PENDING,
        max_pending_bytes: int = MAX_PENDING_BYTES,
    ) -> None:
        """Start the writer thread; it hands each callback to `call_soon`, e.g. ``loop.call_soon_threadsafe``."""
        self.failure: RecordingError | None = None
        self.recorded = 0
        self.unrecorded = 0
        self._run, self._call_soon, self._on_failure = run, call_soon, on_failure
        self._max_pending, self._max_pending_bytes = max_pending, max_pending_bytes
        self._changed = threading.Condition()
        self._pending: list[_Entry] = []
        self._pending_bytes = 0
        self._seq = 0
        self._offsets: dict[str, int] = {}
        self._datatypes: dict[str, Datatype] = {}
        self._closing = False
        self._finished = False
        self._files = {"": AppendedFile(run.path / "journal.jsonl")}
        self._thread = threading.Thread(target=self._write_batches, name=f"recorder {run.path.name}", daemon=True)
        self._thread.start()

    def append(
        self, record: Mapping[str, object], arrays: Arrays | None = None, on_durable: Done | None = None
    ) -> bool:
        """Take a record and its arrays to be written; `on_durable` is called once both are on disk.

        Arrays are copied; complex ones are stored as complex64, float64 as they are, a stream holds one of the two.

        Returns
        -------
        taken
            False if recording has stopped or the disk is too far behind: then the record is counted in `unrecorded`,
            leaves a gap in `seq`, and is never acknowledged.

        Raises
        ------
        ValueError, TypeError
            If the record is not plain finite JSON, or an array is neither complex nor float64: a bug of the caller.
        """
        arrays = arrays or {}
        payloads = {stream: _payload(stream, array) for stream, array in arrays.items()}
        stored = [(stream, array, zlib.crc32(payloads[stream])) for stream, array in arrays.items()]
        if "arrays" in record:
            raise ValueError("expected a record without arrays, which are passed by themselves")
        with self._changed:
            seq = self._seq + 1
            places = [self._place(stream, array, crc) for stream, array, crc in stored]
            line = line_from_record(seq, {**record, "arrays": places} if places else record)
            self._seq = seq
            return self._take(_Entry(line=line, payloads=payloads, on_durable=on_durable))

    def _place(self, stream: str, array: Array, crc: int) -> object:
        datatype, offset_bytes = datatype_of(stream, array), self._offsets.get(stream, 0)
        if self._datatypes.setdefault(stream, datatype) != datatype:
            raise ValueError(f"expected {self._datatypes[stream]} in stream {stream}, got {datatype}")
        shape = np.shape(array)
        place = StoredArray(
            stream=stream, offset_bytes=offset_bytes, shape=shape, crc32=f"{crc:08x}", datatype=datatype
        )
        return msgspec.to_builtins(place)

    def _take(self, entry: _Entry) -> bool:
        full = (
            len(self._pending) >= self._max_pending or self._pending_bytes + entry.size_bytes > self._max_pending_bytes
        )
        if self.failure is not None or self._closing or full:
            self.unrecorded += 1
            return False
        for stream, payload in entry.payloads.items():
            self._offsets[stream] = self._offsets.get(stream, 0) + len(payload)
        self._pending.append(entry)
        self._pending_bytes += entry.size_bytes
        self._changed.notify()
        return True

    def close(self, stop: Mapping[str, object] | None = None) -> None:
        """Write what is pending and the stop document, and release the run; idempotent, blocks for the disk."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()
        if self._finished:
            return
        self._finished = True
        for file in self._files.values():
            file.close()
        counts = {"records": self.recorded, "unrecorded": self.unrecorded}
        failure = {"failure": str(self.failure)} if self.failure is not None else {}
        try:
            self._run.finish({**(stop or {}), **counts, **failure})
        except OSError as error:
            self.failure = self.failure or RecordingError(f"{self._run.path}/run.json: {error.strerror}")
        finally:
            self._run.release()

    def _write_batches(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._pending or self._closing)
                batch, self._pending, self._pending_bytes = self._pending, [], 0
            if not batch:
                return
            try:
                self._commit(batch)
            except Exception as error:  # the thread's edge: whatever it was, the controller must hear that it is over
                self._fail(error, batch)
                return

    def _commit(self, batch: list[_Entry]) -> None:
        journal = self._files[""]
        touched: dict[str, AppendedFile] = {}
        for entry in batch:
            for stream, payload in entry.payloads.items():
                touched[stream] = self._stream(stream)
                touched[stream].append(payload)
        journal.append(b"".join(entry.line for entry in batch))
        for file in (*touched.values(), journal):
            file.sync()
        self.recorded += len(batch)
        for entry in batch:
            if entry.on_durable is not None:
                self._tell(entry.on_durable)

    def _stream(self, stream: str) -> AppendedFile:
        if stream not in self._files:
            replace_file(self._run.path / "iq" / f"{stream}.sigmf-meta", sigmf_meta(stream, self._datatypes[stream]))
            self._files[stream] = AppendedFile(data_path(self._run.path, stream))
            sync_directory(self._run.path / "iq")
        return self._files[stream]

    def _fail(self, error: Exception, batch: list[_Entry]) -> None:
        why = error.strerror if isinstance(error, OSError) else repr(error)
        failure = RecordingError(f"{self._run.path}: recording stopped after {self.recorded} records: {why}")
        failure.__cause__ = error
        for file in self._files.values():
            file.rewind()
        with self._changed:
            self.failure = failure
            self.unrecorded += len(batch) + len(self._pending)
            self._pending, self._pending_bytes = [], 0
        if self._on_failure is not None:
            self._tell(partial(self._on_failure, failure))

    def _tell(self, callback: Done) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: there is nobody left to be told
            self._call_soon(callback)


def _payload(stream: str, array: Array) -> bytes:
    if not re.fullmatch(STREAM_PATTERN, stream):
        raise ValueError(f"expected a stream name that matches {STREAM_PATTERN}, got {stream!r}")
    return array.astype(DTYPES[datatype_of(stream, array)]).tobytes()


def _now_utc() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
