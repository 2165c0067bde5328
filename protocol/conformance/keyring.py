"""The keys of a testbed on trial: a pair for everybody, and the folder that the machine of the testee has (README, Security).

A case may change the folder; `restore` puts it back. The kit holds the other secrets in memory alone.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from protocol.conformance.case import Role
from protocol.conformance.curve import Door, Pair, Pass, new_pair

CONTROLLER, RADIO = "controller", "radio"
ENROLLED = "enrolled.txt"


class Keyring:
    """Everybody's keys; whoever is a radio or a UE is enrolled."""

    def __init__(self, folder: Path, role: Role, ues: list[str], name: str) -> None:
        self.folder = folder
        self._role = role
        self.ues = tuple(ues)
        self.own = {Role.CONTROLLER: CONTROLLER, Role.RADIO: RADIO, Role.UE: name}[role]  # whose machine it is
        self.pairs = {one: new_pair() for one in (CONTROLLER, RADIO, *ues)}
        self._changed = False
        folder.mkdir(mode=0o700)
        self.restore()

    @property
    def secret(self) -> Path:
        """Return the file with the secret key of the testee."""
        return self.folder / f"{self.own}.secret"

    def restore(self) -> bool:
        """Write what the folder holds at first; return whether it held something else."""
        changed, self._changed = self._changed, False
        secret = f"{self.pairs[self.own].secret}\n"
        _write(self.secret, secret, 0o600)
        known = {Role.CONTROLLER: (), Role.RADIO: (CONTROLLER,), Role.UE: (CONTROLLER, RADIO)}[self._role]
        for name in known:
            _write(self.folder / f"{name}.public", f"{self.pairs[name].public}\n", 0o644)
        if self._role is not Role.UE:
            _write(self.folder / ENROLLED, self._list({}), 0o644)
        return changed

    def list(self) -> str:
        """Return the list of who is enrolled."""
        return (self.folder / ENROLLED).read_text(encoding="ascii")

    def enrol_instead(self, changes: dict[str, str | None]) -> None:
        """Enrol under these names other public keys, or nobody for None."""
        self.write_list(self._list(changes))

    def write_list(self, text: str | None) -> None:
        """Write any list, or leave none."""
        self._changed = True
        if text is None:
            (self.folder / ENROLLED).unlink()
        else:
            _write(self.folder / ENROLLED, text, 0o644)

    @contextmanager
    def mode_of_secret(self, mode: int) -> Iterator[None]:
        """Let others than its owner at the secret key for a while."""
        self.secret.chmod(mode)
        try:
            yield
        finally:
            self.secret.chmod(0o600)

    def pass_of(self, name: str, server: str = CONTROLLER) -> Pass:
        """Return what `name` shows to a server."""
        return self.pass_with(self.pairs[name], server)

    def pass_with(self, pair: Pair, server: str = CONTROLLER) -> Pass:
        """Return what the holder of any pair shows to a server."""
        return Pass(pair=pair, server=self.pairs[server].public)

    def door_of(self, name: str) -> Door:
        """Return a door of `name` that lets the testee in alone."""
        return Door(pair=self.pairs[name], admitted={self.pairs[self.own].public})

    def _list(self, changes: dict[str, str | None]) -> str:
        keys = {name: pair.public for name, pair in self.pairs.items() if name != CONTROLLER} | changes
        lines = [
            f"{name} {'radio' if name == RADIO else 'ue'} {key}\n" for name, key in keys.items() if key is not None
        ]
        return "".join(["# name, role, public key\n", *lines])


def _write(path: Path, text: str, mode: int) -> None:
    """Put a file in its place, whole: whoever reads it meanwhile reads the old one."""
    draft = path.with_name(f".{path.name}")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="ascii") as file:
        file.write(text)
    draft.chmod(mode)  # whatever the umask is
    draft.replace(path)
