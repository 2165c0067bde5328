"""A second testee of the same command, on the testbed file of the run with some of it changed.

`VARIANTS` are those that a case names; the runner has one of them at a time.
"""

import dataclasses
import shutil
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import msgspec

from protocol.config import TestbedFile, facts
from protocol.conformance.case import UnsupportedError
from protocol.conformance.facts import digest_of, facts_of
from protocol.conformance.keyring import Keyring
from protocol.conformance.rig import Rig, placeholders
from protocol.conformance.testee import CommandTestee
from protocol.strict_yaml import text_from_values

Changes = Mapping[str, Mapping[str, object]]  # section: key: value
KNOWS_OF_KEYS = ("{keys}", "{testbed}")  # a command without both of them cannot


@contextmanager
def variant_of(rig: Rig, name: str, changes: Changes) -> Iterator[Rig]:
    """Yield a rig beside that of the run; its testee is not started yet, and ended at the end.

    Parameters
    ----------
    name
        Of its folder, in which its endpoints are.

    Raises
    ------
    UnsupportedError
        If the kit does not start the testee.
    """
    with _folder_of(rig, name) as folder:
        yield from _rig_in(rig, folder, changes, None)


@contextmanager
def _folder_of(rig: Rig, name: str) -> Iterator[Path]:
    if rig.target.command is None:
        raise UnsupportedError("the kit did not start the testee, and so cannot start another")
    folder = rig.folder / name
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _rig_in(rig: Rig, folder: Path, changes: Changes, ring: Keyring | None) -> Iterator[Rig]:
    sections = _changed(rig, folder, changes)
    links = (sections["links"]["control"], sections["links"]["air"])
    file = folder / "testbed.yaml"
    file.write_text(text_from_values(sections), encoding="utf-8")
    shared = facts(msgspec.convert(sections, TestbedFile))
    known = facts_of(shared)
    values = placeholders(rig.target, links, file, known, folder)
    if ring is not None:
        values["keys"] = str(ring.folder)
    assert rig.target.command is not None  # noqa: S101 - there is a folder
    testee = CommandTestee(rig.target.command, values, folder)
    about = {"control": links[0], "air": links[1], "shared": shared, "facts": known, "digest": digest_of(known)}
    try:
        yield dataclasses.replace(rig, **about, values=values, folder=folder, testee=testee, ring=ring)
    finally:
        testee.close()


def _changed(rig: Rig, folder: Path, changes: Changes) -> dict[str, Any]:
    sections: dict[str, Any] = msgspec.to_builtins(rig.loaded.file)
    sections["links"] = {"control": f"ipc://{folder}/control", "air": f"ipc://{folder}/air"}
    for section, entries in changes.items():
        sections[section] = {**sections[section], **entries}
    return sections


@contextmanager
def with_keys(rig: Rig) -> Iterator[Rig]:
    """Yield a rig whose links are TCP on loopback, with keys.

    Raises
    ------
    UnsupportedError
        If the testee cannot be told of keys.
    """
    with _folder_of(rig, "keys") as folder:
        command = rig.target.command or ""
        if not any(placeholder in command for placeholder in KNOWS_OF_KEYS):
            raise UnsupportedError(f"its command has neither {' nor '.join(KNOWS_OF_KEYS)}, and so no keys")
        ues = sorted({"ue-1", "ue-2", rig.target.name})
        ring = Keyring(folder / "keys", rig.target.role, ues, rig.target.name)
        control, air = (f"tcp://127.0.0.1:{port}" for port in _free_ports(2))
        yield from _rig_in(rig, folder, {"links": {"control": control, "air": air, "keys": "keys"}}, ring)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]
    finally:
        for one in sockets:
            one.close()


VARIANTS: Mapping[str, Callable[[Rig], AbstractContextManager[Rig]]] = {"keys": with_keys}
