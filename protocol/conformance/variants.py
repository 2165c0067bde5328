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
        Of its folder, in which its endpoints are.

    Raises
    ------
    UnsupportedError
        If the kit does not start the testee.
    """
    if rig.target.command is None:
        raise UnsupportedError("the kit did not start the testee, and so cannot start another")
    folder = rig.folder / name
    folder.mkdir(mode=0o700)
    sections = _changed(rig, folder, changes)
    links = (sections["links"]["control"], sections["links"]["air"])
    file = folder / "testbed.yaml"
    file.write_text(text_from_values(sections), encoding="utf-8")
    shared = facts(msgspec.convert(sections, TestbedFile))
    known = facts_of(shared)
    values = placeholders(rig.target, links, file, known, folder)
    testee = CommandTestee(rig.target.command, values, folder)
    about = {"control": links[0], "air": links[1], "shared": shared, "facts": known, "digest": digest_of(known)}
    try:
        yield dataclasses.replace(rig, **about, values=values, folder=folder, testee=testee)
    finally:
        testee.close()
        shutil.rmtree(folder, ignore_errors=True)


def _changed(rig: Rig, folder: Path, changes: Changes) -> dict[str, Any]:
    sections: dict[str, Any] = msgspec.to_builtins(rig.loaded.file)
    sections["links"] = {"control": f"ipc://{folder}/control", "air": f"ipc://{folder}/air"}
    for section, entries in changes.items():
        sections[section] = {**sections[section], **entries}
    return sections
