"""Parts started by hand, in any order, stopped and started again, over TCP on the loopback interface."""

import json
import os
import shutil
import signal
from contextlib import suppress
from pathlib import Path

import pytest

from tests.qualification.conftest import LabFactory
from tests.qualification.processes import Lab, Process, fixes, of_kind, wait_until

pytestmark = pytest.mark.long

STOP_WITHIN_S = 2.0
ORPHANS_END_WITHIN_S = 5.0
MANY = {"controller": {"rounds": 100_000}}
SIGNALS = [signal.SIGTERM, signal.SIGINT]


@pytest.mark.requirement("parts start in any order")
def test_parts_started_before_their_controller_are_located_by_it(lab_of: LabFactory) -> None:
    lab = lab_of()
    for name in lab.ues:
        lab.command("ue", str(lab.file), "--name", name)
    lab.command("emulator", str(lab.file), "--run-dir", str(lab.run_directory)).said("emulating 2 users")
    controller = lab.command("controller", str(lab.file), "--run-dir", str(lab.run_directory), "--json")
    assert controller.ended() == 0, controller.errors
    document = json.loads("".join(controller.out))
    assert len(document["fixes"]) == 6
    assert all(fix["error_m"] is not None for fix in document["fixes"]), "the emulator wrote its truth into the run"


@pytest.mark.requirement("UEs join at any time")
def test_ue_started_late_is_located_by_a_patient_controller(lab_of: LabFactory) -> None:
    lab = lab_of(controller={"gather_s": 0.2, "rejoin_s": 0.2})
    controller = lab.command("controller", str(lab.file), "--run-dir", str(lab.run_directory), "--json")
    lab.emulator()
    lab.ue("ue-1")
    controller.said("ue-1: backprojection fix")
    lab.ue("ue-2")
    assert controller.ended() == 0, controller.errors
    assert len(json.loads("".join(controller.out))["fixes"]) == 6


@pytest.mark.requirement("UEs leave and return")
def test_ue_killed_and_started_again_gets_all_its_fixes(lab_of: LabFactory) -> None:
    lab = lab_of(controller={"rounds": 25, "rejoin_s": 20.0})
    lab.emulator()
    lab.ue("ue-1")
    victim = lab.ue("ue-2")
    controller = lab.controller()
    controller.told(lambda records: len(fixes(records, "ue-2")) > 5, "fixes of ue-2")
    victim.signal(signal.SIGKILL)
    controller.said("ue-2 left")
    lab.ue("ue-2")
    assert controller.ended() == 0, controller.errors
    assert [len(fixes(controller.records, ue)) for ue in lab.ues] == [75, 75]
    assert of_kind(controller.records, "failure") == []


def running(lab: Lab) -> dict[str, Process]:
    """Start all parts by hand and wait until the run is under way."""
    parts = {"controller": lab.controller(), "emulator": lab.emulator(), **{ue: lab.ue(ue) for ue in lab.ues}}
    parts["controller"].told(lambda records: len(fixes(records)) > 3, "the first fixes")
    return parts


def being_read(pipe: Path) -> int:
    """Return a descriptor of a named pipe that somebody has begun to read, zero while nobody has."""
    with suppress(OSError):
        return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
    return 0


@pytest.mark.parametrize("words", [("controller",), ("emulator",), ("ue", "--name", "ue-1")])
def test_part_that_is_ended_while_it_starts_says_why_and_leaves_nothing(
    lab_of: LabFactory, words: tuple[str, ...]
) -> None:
    lab = lab_of()
    file = lab.folder / "slow.yaml"
    os.mkfifo(file)  # whose text does not come
    part = lab.command(*words, str(file), "--run-dir", str(lab.folder / "never"))
    descriptor = wait_until(lambda: being_read(file), "somebody who reads the file")
    part.signal(signal.SIGTERM)
    os.close(descriptor)  # a signal just before a read is seen after it
    assert part.ended() == -signal.SIGTERM, "as systemd and shells know it"
    assert part.errors == "nftestbed: ended by SIGTERM\n"
    assert not (lab.folder / "never" / "run.json").exists()


IN_A_CONTAINER = """
import os, sys
os.execvp("unshare", ["unshare", "--fork", "--pid", "--kill-child", sys.executable, *sys.argv[1:]])
"""


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("unshare") is None, reason="only root can make a process 1")
def test_process_1_of_a_container_is_ended_while_it_starts(lab_of: LabFactory) -> None:
    lab = lab_of()
    file = lab.folder / "slow.yaml"
    os.mkfifo(file)
    outside = lab.start("-c", IN_A_CONTAINER, "-m", "deploy.cli", "emulator", str(file))
    descriptor = wait_until(lambda: being_read(file), "somebody who reads the file")
    (inside,) = Path(f"/proc/{outside.pid}/task/{outside.pid}/children").read_text().split()
    os.kill(int(inside), signal.SIGTERM)
    os.close(descriptor)
    assert outside.ended() == 128 + signal.SIGTERM


@pytest.mark.requirement("every part stops within two seconds")
@pytest.mark.parametrize("number", SIGNALS)
def test_each_part_stops_soon_after_a_signal(lab_of: LabFactory, number: signal.Signals) -> None:
    lab = lab_of(**MANY)
    stopped: dict[str, int] = {}
    for name, part in reversed(running(lab).items()):
        part.signal(number)
        stopped[name] = part.ended(STOP_WITHIN_S)
    assert stopped == {"controller": 130, "emulator": 0, "ue-1": 0, "ue-2": 0}


@pytest.mark.requirement("every part stops within two seconds")
@pytest.mark.parametrize("number", SIGNALS)
def test_launcher_ends_all_it_started_soon_after_a_signal(lab_of: LabFactory, number: signal.Signals) -> None:
    lab = lab_of(**MANY)
    launcher = lab.command("run", str(lab.file), "--json")
    launcher.said("ue-2: backprojection fix")
    assert len(lab.alive()) == 5, "launcher, controller, emulator and two UEs"
    launcher.signal(number)
    assert launcher.ended(STOP_WITHIN_S) == 130
    assert lab.alive() == []
    assert json.loads("".join(launcher.out))["complete"] is False, "what was found is told all the same"


@pytest.mark.requirement("no process outlives its launcher")
def test_killed_launcher_leaves_no_orphan(lab_of: LabFactory) -> None:
    lab = lab_of(**MANY)
    launcher = lab.command("run", str(lab.file), "--json")
    launcher.said("ue-2: backprojection fix")
    launcher.signal(signal.SIGKILL)
    wait_until(lambda: not lab.alive(), "the end of all processes", ORPHANS_END_WITHIN_S)
