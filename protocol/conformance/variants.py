"""A second testee of the same command, on the testbed file of the run with some of it changed."""

import dataclasses
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from protocol.config import TestbedFile, facts
from protocol.conformance.case import UnsupportedError
from protocol.conformance.facts import digest_of, facts_of
from protocol.conformance.rig import Rig, placeholders
from protocol.conformance.testee import CommandTestee
from protocol.strict_yaml import text_from_values

Changes = Mapping[str, Mapping[str, object]]  # section: key: value


@contextmanager
def variant_of(rig: Rig, name: str, changes: Changes) -> Iterator[Rig]:
    """Yield a rig beside that of the run; its testee is not started yet, and ended at the end.

    Parameters
    ----------
    name
        Of its folder, in which its endpoints are unless `changes` say otherwise.

    Raises
    ------
    UnsupportedError
        If the kit does not start the testee.
    """
    if rig.target.command is None:
        raise UnsupportedError("the kit did not start the testee, and so cannot start another")
    folder = rig.folder / name
    folder.mkdir(mode=0o700)
    values = _changed(rig, folder, changes)
    links = (values["links"]["control"], values["links"]["air"])
    file = folder / "testbed.yaml"
    file.write_text(text_from_values(values), encoding="utf-8")
    # the links may be of those that no file may have
    shared = facts(msgspec.convert({**values, "links": msgspec.to_builtins(rig.loaded.file.links)}, TestbedFile))
    known = facts_of(shared)
    testee = CommandTestee(rig.target.command, placeholders(rig.target, links, file, known, folder), folder)
    about = {"control": links[0], "air": links[1], "shared": shared, "facts": known, "digest": digest_of(known)}
    try:
        yield dataclasses.replace(rig, **about, folder=folder, testee=testee)
    finally:
        testee.close()
        shutil.rmtree(folder, ignore_errors=True)


def _changed(rig: Rig, folder: Path, changes: Changes) -> dict[str, Any]:
    values: dict[str, Any] = msgspec.to_builtins(rig.loaded.file)
    values["links"] = {"control": f"ipc://{folder}/control", "air": f"ipc://{folder}/air", "insecure": False}
    for section, entries in changes.items():
        values[section] = {**values[section], **entries}
    return values
