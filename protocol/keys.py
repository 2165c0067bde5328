"""The keys of a testbed: what the files of a key folder say, who is enrolled, and what makes a file be refused (SPEC 10).

No socket, clock or log. A folder holds what its machine needs and no more:

- ``NAME.secret``, mode 0600: the secret key of controller, radio or UE, on the machine of NAME alone;
- ``NAME.public``: its public key, on each machine that connects to NAME, and where NAME is enrolled;
- ``enrolled.txt``: who may connect, a line ``name role key`` each, on the machines of controller and radio.
"""

import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from protocol.config import LoadedTestbed
from protocol.messages import Role
from protocol.yaml_errors import shown

CONTROLLER, RADIO = "controller", "radio"  # names of the two that others connect to
ENROLLED = "enrolled.txt"
PRIVATE_BITS, WRITABLE_BITS = 0o077, 0o022
MAX_BYTES = 1 << 20
KEY_CHARACTERS = 40  # 32 bytes in Z85 (ZeroMQ RFC 32), as libzmq reads and writes keys
_Z85 = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")


class KeyFileError(Exception):
    """A file of keys cannot be used; the text is ``file: expected ..., got ...``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who a key is: the name and the role that it is enrolled for."""

    name: str
    role: Role
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientKeys:
    """What a connecting end needs: its own secret key, and the public key of whom it connects to."""

    secret: str = field(repr=False)
    server: str
    server_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerKeys:
    """What a binding end needs: its secret key, and whom it lets in."""

    secret: str = field(repr=False)
    allowed: "AllowList"


class AllowList:
    """The enrolled keys of some roles, by public key, read again when their file has changed.

    A file that cannot be used admits nobody: the last good one might hold a key that has been revoked since.
    """

    def __init__(self, path: Path, roles: Iterable[Role]) -> None:
        self.complaint: str | None = None
        self._path = path
        self._roles = frozenset(roles)
        self._by_key: Mapping[str, Identity] = {}
        self._stamp = _stamp(path)
        self._by_key = self._read()

    def identity(self, key: str) -> Identity | None:
        """Return who may speak with this public key, or None."""
        return self._by_key.get(key)

    def holds(self, identity: Identity) -> bool:
        """Return whether the identity is enrolled as it was."""
        return self._by_key.get(identity.key) == identity

    def refresh(self) -> bool:
        """Read the file again if it is another one than before; return whether that changed anything."""
        stamp = _stamp(self._path)
        if stamp == self._stamp:
            return False
        before = (self._by_key, self.complaint)
        self._stamp, self.complaint = stamp, None
        try:
            self._by_key = self._read()
        except KeyFileError as error:
            self._by_key, self.complaint = {}, str(error)
            self._stamp = None  # it may have been for want of a descriptor: look again
        return before != (self._by_key, self.complaint)

    def _read(self) -> Mapping[str, Identity]:
        return {one.key: one for one in read_enrolled(self._path) if one.role in self._roles}


def server_keys(loaded: LoadedTestbed, endpoint: str, name: str, roles: Iterable[Role]) -> ServerKeys | None:
    """Return the keys of the end that binds `endpoint`, or None for a link without keys.

    Raises
    ------
    ConfigError
        If the testbed file names a key folder that lacks them, or in which they are open to others.
    """
    folder = _folder(loaded, endpoint)
    if folder is None:
        return None
    with _complaints_about(loaded, name):
        return ServerKeys(secret=read_secret(folder, name), allowed=AllowList(folder / ENROLLED, roles))


def client_keys(loaded: LoadedTestbed, endpoint: str, name: str, server_name: str) -> ClientKeys | None:
    """Return the keys of the end that connects to `endpoint`, or None for a link without keys.

    Raises
    ------
    ConfigError
        If the testbed file names a key folder that lacks them, or in which they are open to others.
    """
    folder = _folder(loaded, endpoint)
    if folder is None:
        return None
    with _complaints_about(loaded, name):
        server = read_public(folder / f"{server_name}.public")
        return ClientKeys(secret=read_secret(folder, name), server=server, server_name=server_name)


@contextmanager
def _complaints_about(loaded: LoadedTestbed, name: str) -> Iterator[None]:
    try:
        yield
    except KeyFileError as error:
        raise loaded.error(("links", "keys"), f"expected a folder with the keys of {name}, got: {error}") from error


def _folder(loaded: LoadedTestbed, endpoint: str) -> Path | None:
    keys = loaded.file.links.keys
    return loaded.path.parent / keys if keys is not None and endpoint.startswith("tcp://") else None


def checked_name(name: str) -> str:
    """Return a name that may stand in a hello, and so in the name of a file."""
    if _NAME.fullmatch(name) is None:
        raise KeyFileError(f"expected a name of a-z, 0-9 and -, at most 32 of them, got {shown(name)}")
    return name


def read_secret(folder: Path, name: str) -> str:
    """Return the secret key of a name.

    Raises
    ------
    KeyFileError
        If there is none, or others than its owner may read it.
    """
    path = folder / f"{checked_name(name)}.secret"
    return _key(path, _text(path, PRIVATE_BITS, "0600, since it is secret"))


def read_public(path: Path) -> str:
    """Return the public key in a file.

    Raises
    ------
    KeyFileError
        If there is none, or others than its owner may change it.
    """
    return _key(path, _text(path, WRITABLE_BITS, "0644 or less, since whoever changes it is trusted"))


def read_enrolled(path: Path) -> list[Identity]:
    """Return who is enrolled, in the order of the file.

    Raises
    ------
    KeyFileError
        If the file is missing, others may change it, or a line is not ``name role key``, each name and key once.
    """
    enrolled: list[Identity] = []
    for number, line in enumerate(_text(path, WRITABLE_BITS, "0644 or less, since it says who is let in").split("\n")):
        if line.strip() and not line.startswith("#"):
            enrolled.append(_identity(f"{path}:{number + 1}", line, enrolled))
    return enrolled


def _identity(where: str, line: str, others: list[Identity]) -> Identity:
    words = line.split()
    if len(words) != 3 or words[1] not in {*Role} or _NAME.fullmatch(words[0]) is None or not is_key(words[2]):
        roles = " or ".join(Role)
        raise KeyFileError(f"{where}: expected a name, {roles} and a public key of {KEY_CHARACTERS} characters, got "
                           f"{shown(line)}")  # fmt: skip
    identity = Identity(name=words[0], role=Role(words[1]), key=words[2])
    for other in others:
        if other.name == identity.name or other.key == identity.key:
            raise KeyFileError(
                f"{where}: expected each name and each key once, got {identity.name} beside {other.name}"
            )
    return identity


def is_key(text: str) -> bool:
    """Return whether a text stands for 32 bytes in Z85."""
    if len(text) != KEY_CHARACTERS or not set(text) <= set(_Z85):
        return False
    values = [_Z85.index(character) for character in text]
    words = [sum(value * 85 ** (4 - n) for n, value in enumerate(values[i : i + 5])) for i in range(0, len(values), 5)]
    return int(max(words)) < 2**32


def _key(path: Path, text: str) -> str:
    if not is_key(text.strip()):  # what came is not shown: it may be most of a secret
        raise KeyFileError(f"{path}: expected one key of {KEY_CHARACTERS} characters, got something else")
    return text.strip()


def _text(path: Path, forbidden_bits: int, expected_mode: str) -> str:
    """Return what a file says, if its mode is fit for what it is."""
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            status = os.fstat(file.fileno())
            mode = stat.S_IMODE(status.st_mode)
            if not stat.S_ISREG(status.st_mode):
                raise KeyFileError(f"{path}: expected a plain file, got another kind")
            if mode & forbidden_bits:
                raise KeyFileError(f"{path}: expected mode {expected_mode}, got {mode:04o}")
            text = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise KeyFileError(f"{path}: expected a readable file, got: {error.strerror}") from error
    if len(text) > MAX_BYTES or not text.isascii():
        raise KeyFileError(f"{path}: expected at most {MAX_BYTES} bytes of ASCII, got something else")
    return text.decode("ascii")


def _stamp(path: Path) -> tuple[int, ...] | None:
    """Return what changes when a file is replaced, written or given another mode; None if there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
