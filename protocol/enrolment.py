"""How a key folder is changed: new pairs, enrolment, revocation. Every write is atomic, nothing is overwritten silently."""

import fcntl
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from protocol.keys import CONTROLLER, ENROLLED, Identity, KeyFileError, checked_name, read_enrolled

HEADING = "# name, role, public key: who may connect; processes read it again within a second of a change\n"


def write_pair(folder: Path, name: str, public: str, secret: str) -> tuple[Path, Path]:
    """Write the two keys of a new pair into files of their own, and return their paths.

    Raises
    ------
    KeyFileError
        If one of the files is there already, or cannot be written.
    """
    secret_path, public_path = (folder / f"{checked_name(name)}.{kind}" for kind in ("secret", "public"))
    with _locked(folder):
        for path in (secret_path, public_path):
            if path.exists():
                raise KeyFileError(f"{path}: expected no such file, got one; keys are never overwritten")
        _write(secret_path, f"{secret}\n", 0o600)
        _write(public_path, f"{public}\n", 0o644)
    return secret_path, public_path


def enrol(folder: Path, identity: Identity) -> bool:
    """Let a key in under a name and a role; return whether it was not yet.

    Raises
    ------
    KeyFileError
        If the name or the key is enrolled otherwise, or the file cannot be used.
    """
    if checked_name(identity.name) == CONTROLLER:
        raise KeyFileError(f"expected the name of a radio or a UE, got {CONTROLLER}, which connects to nobody")
    with _locked(folder):
        enrolled = read_enrolled(folder / ENROLLED) if (folder / ENROLLED).exists() else []
        if identity in enrolled:
            return False
        for other in enrolled:
            if identity.name == other.name or identity.key == other.key:
                raise KeyFileError(
                    f"{folder / ENROLLED}: expected neither {identity.name} nor its key to be enrolled, got "
                    f"{other.name} as {other.role} with the key {other.key}; revoke that first"
                )
        _write_enrolled(folder, [*enrolled, identity])
    return True


def revoke(folder: Path, name: str) -> Identity:
    """Let a name in no more, and return who it was.

    Raises
    ------
    KeyFileError
        If the name is not enrolled, or the file cannot be used.
    """
    with _locked(folder):
        enrolled = read_enrolled(folder / ENROLLED)
        found = next((one for one in enrolled if one.name == name), None)
        if found is None:
            known = ", ".join(one.name for one in enrolled) or "nobody"
            raise KeyFileError(f"{folder / ENROLLED}: expected a name that is enrolled ({known}), got {name}")
        _write_enrolled(folder, [one for one in enrolled if one is not found])
    return found


def _write_enrolled(folder: Path, enrolled: Sequence[Identity]) -> None:
    lines = [f"{one.name} {one.role} {one.key}\n" for one in enrolled]
    _write(folder / ENROLLED, HEADING + "".join(lines), 0o644)


def _write(path: Path, text: str, mode: int) -> None:
    """Put a file in its place, whole, with its mode from the first moment on."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode), "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise KeyFileError(f"{path}: expected to write it, got: {error.strerror}") from error


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the folder against another command that changes it, and see its changes to disk."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise KeyFileError(f"{folder}: expected a folder, got: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
