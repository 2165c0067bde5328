"""A controller killed at random moments: whatever it acknowledged is on disk, and the run directory opens."""

import random
import signal

import pytest

from bs_controller.record import RunDirectory, open_run
from tests.qualification.conftest import LabFactory
from tests.qualification.processes import Lab, fixes, identity

pytestmark = pytest.mark.requirement("a killed run loses nothing it acknowledged")


@pytest.fixture(scope="module")
def lab(module_lab_of: LabFactory) -> Lab:
    """Keep an emulator and two UEs running, which outlive every controller of this module."""
    found = module_lab_of(controller={"rounds": 100_000})
    found.emulator()
    for ue in found.ues:
        found.ue(ue)
    return found


@pytest.mark.parametrize("seed", range(5))
def test_every_fix_acknowledged_before_the_kill_is_in_the_journal(lab: Lab, seed: int) -> None:
    wanted = random.Random(seed).randrange(1, 300)
    directory = lab.folder / f"run-{seed}"
    controller = lab.controller(directory)
    controller.told(lambda records: len(records) >= wanted and fixes(records), f"{wanted} records")
    controller.signal(signal.SIGKILL)
    assert controller.ended() == -signal.SIGKILL
    acknowledged = {identity(fix) for fix in fixes(controller.records, recorded=True)}
    run = open_run(directory, writable=True)
    assert acknowledged
    assert acknowledged <= {identity(fix) for fix in fixes(run.records)}
    assert "stop" not in run.document, "nobody claims that the run ended in order"
    assert open_run(directory).torn_bytes == 0


def test_next_controller_refuses_the_directory_of_a_killed_one(lab: Lab) -> None:
    directory = lab.folder / "run-again"
    RunDirectory.create(directory, config_text="", start={}).release()
    second = lab.start("-m", "bs_controller", str(lab.file), "--run-dir", str(directory))
    assert second.ended() == 2
    assert "expected a directory without a run" in second.errors
