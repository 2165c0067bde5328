"""A run directory on a disk that fills up: recording stops and says so, locating goes on."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from bs_controller.record import open_run
from bs_controller.recorded import RecordedRun
from tests.qualification.conftest import LabFactory
from tests.qualification.processes import fixes, identity

pytestmark = pytest.mark.requirement("a full disk stops recording, not locating")
ROUNDS = 40


class FullDisk(NamedTuple):
    """What is left of a run on a full disk."""

    status: int
    errors: str
    fixes: list[dict[str, Any]]
    run: RecordedRun


@pytest.fixture(scope="module")
def small_disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Yield a file system of 192 KiB."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    path = tmp_path_factory.mktemp("disk")
    command = ["mount", "-t", "tmpfs", "-o", "size=192k", "tmpfs", str(path)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"cannot mount a small file system: {mounted.stderr.strip()}")
    try:
        yield path
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


@pytest.fixture(scope="module")
def full(small_disk: Path, module_lab_of: LabFactory) -> FullDisk:
    """Run a testbed whose records need more room than there is."""
    lab = module_lab_of(controller={"rounds": ROUNDS})
    process = lab.command("run", str(lab.file), "--run-dir", str(small_disk / "run"), "--json")
    status = process.ended()
    document = json.loads("".join(process.out))
    return FullDisk(status, process.errors, document["fixes"], open_run(small_disk / "run"))


def test_full_disk_is_named_on_standard_error(full: FullDisk) -> None:
    assert "No space left on device; the run goes on, but its further fixes are not recorded" in full.errors


def test_full_disk_is_named_once(full: FullDisk) -> None:
    assert full.errors.count("the run goes on, but its further fixes are not recorded") == 1


def test_all_users_are_located_though_the_disk_is_full(full: FullDisk) -> None:
    expected = {(ue, number) for ue in ("ue-1", "ue-2") for number in range(ROUNDS)}
    for scheme in ("cbs", "cbs_bt", "backprojection"):
        assert {(fix["ue"], fix["round"]) for fix in full.fixes if fix["scheme"] == scheme} == expected


def test_fixes_beyond_the_room_are_flagged_as_not_recorded(full: FullDisk) -> None:
    assert {fix["recorded"] for fix in full.fixes} == {True, False}


def test_every_fix_told_as_recorded_is_in_the_journal(full: FullDisk) -> None:
    acknowledged = {identity(fix) for fix in full.fixes if fix["recorded"]}
    assert acknowledged == {identity(fix) for fix in fixes(full.run.records)}


def test_run_that_could_not_be_recorded_to_its_end_has_status_1(full: FullDisk) -> None:
    assert full.status == 1


def test_nothing_but_the_message_is_said(full: FullDisk) -> None:
    assert "Traceback" not in full.errors
