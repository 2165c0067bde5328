"""Everything that a driver works with: endpoints, facts, files for the testee, sockets, clock meter, chance."""

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from protocol.codec import largest_frame_bytes
from protocol.config import ConfigError, LoadedTestbed, facts, read_testbed
from protocol.conformance.case import CannotRunError, Role, UnsupportedError
from protocol.conformance.facts import canonical, digest_of, facts_of
from protocol.conformance.keyring import Keyring
from protocol.conformance.sockets import Pump
from protocol.conformance.testee import AttachedTestee, CommandTestee, Testee
from protocol.conformance.timing import EchoMeter
from protocol.conformance.wire_log import WireLog
from protocol.testbed import MAX_GROUPS, TestbedFacts

TEMPLATE = Path(__file__).with_name("testbed.yaml")
LONGEST_FRAME_GROUPS = {Role.UE: 1, Role.RADIO: MAX_GROUPS, Role.CONTROLLER: MAX_GROUPS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What is to be tested, as a user says it; without a command the testee is attached at a file's endpoints."""

    role: Role
    command: str | None
    testbed: Path | None = None
    name: str = "ue-1"
    has_air: bool = True
    seed: int = 1


@dataclass(slots=True, kw_only=True)
class Rig:
    """The kit's side of one run."""

    target: Target
    control: str
    air: str
    shared: TestbedFacts
    facts: dict[str, Any]
    digest: str
    loaded: LoadedTestbed
    folder: Path
    scene: Mapping[str, object]  # the file's section of the emulator, raw
    testee: Testee
    pump: Pump
    meter: EchoMeter
    log: WireLog
    values: Mapping[str, str]  # the placeholders of the command line
    ring: Keyring | None = None  # of links with keys
    random: Random = field(default_factory=lambda: Random(1))  # noqa: S311 - to be repeated, not secret

    @property
    def largest_frame_bytes(self) -> int:
        """Return the size of the largest frame that is legal (SPEC 2.4)."""
        return largest_frame_bytes(self.shared, LONGEST_FRAME_GROUPS[self.target.role])

    def draw_for(self, case: str) -> None:
        """Begin the random numbers of a case, which depend on the seed and its id alone."""
        self.random = Random(f"{self.target.seed} {case}")  # noqa: S311

    def restore_keys(self) -> None:
        """Undo what a case has changed about the keys; the testee starts anew then."""
        if self.ring is not None and self.ring.restore():
            self.testee.close()

    @property
    def keys(self) -> Keyring:
        """Return the keys of the links, in a case of the variant that has some."""
        if self.ring is None:
            raise CannotRunError("expected a case of the variant with keys, got one without")
        return self.ring

    @contextmanager
    def elsewhere(self, control: str) -> Iterator[Testee]:
        """Start a second testee that is told another control endpoint; everything of it lies in a folder of its own.

        Raises
        ------
        UnsupportedError
            If the kit does not start testees.
        """
        if self.target.command is None:
            raise UnsupportedError("the kit has not started the process and cannot start it elsewhere")
        folder = Path(tempfile.mkdtemp(prefix="nftestbed-conform-"))
        file, air = folder / "testbed.yaml", f"ipc://{folder}/air"
        text = Path(self.values["testbed"]).read_text(encoding="utf-8")
        file.write_text(text.replace(self.control, control).replace(self.air, air), encoding="utf-8")
        there = {"control": control, "air": air, "testbed": str(file), "folder": str(folder)}
        testee = CommandTestee(self.target.command, {**self.values, **there}, folder)
        testee.ensure_running()
        try:
            yield testee
        finally:
            testee.close()
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def rig_for(target: Target) -> Iterator[Rig]:
    """Set up a run, and take everything down again.

    Raises
    ------
    CannotRunError
        If the testbed file is wrong.
    """
    folder = Path(tempfile.mkdtemp(prefix="nftestbed-conform-"))  # mode 0700
    try:
        file = target.testbed or _written_testbed(folder)
        loaded = _read(file)
        shared = facts(loaded.file)
        known = facts_of(shared)
        links = loaded.file.links
        values = placeholders(target, (links.control, links.air), file, known, folder)
        testee = AttachedTestee() if target.command is None else CommandTestee(target.command, values, folder)
        log = WireLog()
        rig = Rig(
            target=target,
            control=links.control,
            air=links.air,
            shared=shared,
            facts=known,
            digest=digest_of(known),
            loaded=loaded,
            folder=folder,
            scene=loaded.file.emulator,
            testee=testee,
            pump=Pump(log),
            meter=EchoMeter(),
            log=log,
            values=values,
        )
        try:
            yield rig
        finally:
            testee.close()
            rig.pump.close()
            rig.meter.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _written_testbed(folder: Path) -> Path:
    file = folder / "testbed.yaml"
    text = TEMPLATE.read_text(encoding="utf-8")
    text = text.replace("{control}", f"ipc://{folder}/control").replace("{air}", f"ipc://{folder}/air")
    file.write_text(text, encoding="utf-8")
    return file


def _read(file: Path) -> LoadedTestbed:
    try:
        return read_testbed(file)
    except ConfigError as error:
        raise CannotRunError(str(error)) from error


def placeholders(
    target: Target, links: tuple[str, str], file: Path, known: dict[str, Any], folder: Path
) -> dict[str, str]:
    """Return the placeholders of a command line; `links` are control and air, `known` the facts."""
    document = folder / "facts.json"
    document.write_text(canonical(known), encoding="utf-8")
    return {
        "control": links[0],
        "air": links[1],
        "name": target.name if target.role is Role.UE else "radio",
        "testbed": str(file),
        "facts": str(document),
        "folder": str(folder),
        "keys": "",
    }
