"""Files that must survive a crash: append and sync, replace as a whole; no retry, since a failed sync has lost its data.

After a failed fsync the kernel may call the pages clean, and a second fsync would report success for data that is gone.
"""

import contextlib
import os
from pathlib import Path


class AppendedFile:
    """A file that only grows, and knows up to where it is on disk."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        self._durable_bytes = self._written_bytes = os.fstat(self._descriptor).st_size

    def append(self, data: bytes) -> None:
        """Write all data at the end; it is safe only after `sync`."""
        self._written_bytes += len(data)
        write_all(self._descriptor, data)

    def sync(self) -> None:
        """Wait until all that was appended is on disk; a failure is final and must not be tried again."""
        os.fdatasync(self._descriptor)
        self._durable_bytes = self._written_bytes

    def rewind(self) -> None:
        """Cut off what was never synced: nobody was told of it."""
        with contextlib.suppress(OSError):  # the disk is failing; the reader copes with a torn tail
            os.ftruncate(self._descriptor, self._durable_bytes)

    def close(self) -> None:
        """Give the file back."""
        os.close(self._descriptor)


def write_all(descriptor: int, data: bytes) -> None:
    """Write all data, in as many parts as the disk takes it."""
    rest = memoryview(data)
    while rest:  # a disk that fills up writes a part first and complains only about the next
        rest = rest[os.write(descriptor, rest) :]


def replace_file(path: Path, data: bytes) -> None:
    """Put data under a name, whole and on disk, or leave what was there."""
    part = path.with_name(f"{path.name}.part")
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        try:
            write_all(descriptor, data)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        part.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Wait until the names in a directory are on disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
