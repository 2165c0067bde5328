"""Processes that die, hang and return in the middle of a run: the others get their fixes, and nothing is lost."""

import json
import signal

import pytest

from bs_controller.record import open_run
from tests.qualification.conftest import LabFactory
from tests.qualification.processes import Lab, Process, counters_of, fixes, of_kind, wait_until

pytestmark = pytest.mark.long

ROUNDS = 20
LONG = {"controller": {"rounds": ROUNDS, "rejoin_s": 20.0}}


def started(lab: Lab) -> dict[str, Process]:
    """Start all parts by hand."""
    return {"emulator": lab.emulator(), **{ue: lab.ue(ue) for ue in lab.ues}, "controller": lab.controller()}


def under_way(lab: Lab) -> dict[str, Process]:
    """Start all parts of a long run and wait until fixes of every UE have come."""
    parts = started(lab)
    parts["controller"].told(lambda records: all(len(fixes(records, ue)) > 5 for ue in lab.ues), "the first fixes")
    return parts


@pytest.mark.requirement("a UE that is gone costs the others nothing")
def test_ue_that_dies_for_good_fails_alone(lab_of: LabFactory) -> None:
    lab = lab_of(controller={"rounds": ROUNDS, "rejoin_s": 1.0})
    parts = under_way(lab)
    parts["ue-2"].signal(signal.SIGKILL)
    controller = parts["controller"]
    assert controller.ended() == 0, controller.errors
    failures = of_kind(controller.records, "failure")
    assert len(fixes(controller.records, "ue-1")) == 3 * ROUNDS
    assert {(failure["ue"], failure["text"]) for failure in failures} == {("ue-2", "ue-2 is absent for 1 s")}
    assert len(fixes(controller.records, "ue-2")) + len(failures) == 3 * ROUNDS, "every localization has its end"


@pytest.mark.requirement("a UE that is gone costs the others nothing")
def test_others_are_located_and_recorded_while_the_long_rest_of_a_dead_ue_is_given_up(lab_of: LabFactory) -> None:
    lab = lab_of(controller={"rounds": 100_000, "rejoin_s": 1.0})
    parts = under_way(lab)
    parts["ue-2"].signal(signal.SIGKILL)
    controller = parts["controller"]
    controller.told(lambda records: of_kind(records, "failure"), "the first localization given up")
    before = len(fixes(controller.records, "ue-1"))
    controller.told(lambda records: len(fixes(records, "ue-1")) > before + 20, "further fixes of ue-1")
    assert len(of_kind(controller.records, "failure")) < 300_000, "they came before the end of all that"
    assert [record for record in controller.records if not record["recorded"]] == []


@pytest.mark.requirement("processes hang and come back")
def test_emulator_that_hung_and_came_back_costs_no_fix(lab_of: LabFactory) -> None:
    lab = lab_of(**LONG)
    parts = under_way(lab)
    controller = parts["controller"]
    parts["emulator"].signal(signal.SIGSTOP)
    controller.said("radio left: nothing heard for 0.5 s")
    parts["emulator"].signal(signal.SIGCONT)
    assert controller.ended() == 0, controller.errors
    assert [len(fixes(controller.records, ue)) for ue in lab.ues] == [3 * ROUNDS, 3 * ROUNDS]
    assert of_kind(controller.records, "failure") == []


@pytest.mark.requirement("processes hang and come back")
def test_others_are_located_while_one_ue_hangs_and_it_is_when_it_comes_back(lab_of: LabFactory) -> None:
    lab = lab_of(**LONG)
    parts = under_way(lab)
    controller = parts["controller"]
    parts["ue-2"].signal(signal.SIGSTOP)
    controller.told(lambda records: len(fixes(records, "ue-1")) == 3 * ROUNDS, "all fixes of ue-1")
    assert "ue-2 left: nothing heard for 0.5 s" in controller.errors
    assert len(fixes(controller.records, "ue-2")) < 3 * ROUNDS
    parts["ue-2"].signal(signal.SIGCONT)
    assert controller.ended() == 0, controller.errors
    assert len(fixes(controller.records, "ue-2")) == 3 * ROUNDS


@pytest.mark.requirement("processes hang and come back")
def test_controller_that_hung_finds_its_peers_again(lab_of: LabFactory) -> None:
    lab = lab_of(**LONG)
    parts = under_way(lab)
    controller = parts["controller"]
    controller.signal(signal.SIGSTOP)
    # the UE notices within its own patience and starts over
    parts["ue-1"].said("nothing heard for 0.5 s")
    controller.signal(signal.SIGCONT)
    assert controller.ended() == 0, controller.errors
    assert len(fixes(controller.records)) == 6 * ROUNDS


@pytest.mark.requirement("processes are started again")
def test_emulator_killed_and_started_by_hand_in_mid_run_is_used_again(lab_of: LabFactory) -> None:
    lab = lab_of(**LONG)
    parts = under_way(lab)
    controller = parts["controller"]
    parts["emulator"].signal(signal.SIGKILL)
    controller.said("radio left")
    lab.emulator()
    assert controller.ended() == 0, controller.errors
    assert len(fixes(controller.records)) == 6 * ROUNDS


def launched(lab: Lab) -> Process:
    """Start a long run with one command and wait until fixes come."""
    launcher = lab.command("run", str(lab.file), "--run-dir", str(lab.run_directory), "--json")
    wait_until(lambda: launcher.errors.count(" fix ") > 20, "the first fixes")
    return launcher


@pytest.fixture(scope="module")
def revived(module_lab_of: LabFactory) -> tuple[Lab, Process]:
    """Carry out a run of which a UE and the emulator are killed on the way."""
    lab = module_lab_of(**LONG)
    launcher = launched(lab)
    lab.kill_one("ue_agent", "ue-2")
    lab.kill_one("emulator")
    assert launcher.ended() == 0, launcher.errors
    return lab, launcher


@pytest.mark.requirement("processes are started again")
@pytest.mark.parametrize("name", ["ue-2", "emulator"])
def test_launcher_says_whom_it_starts_again(revived: tuple[Lab, Process], name: str) -> None:
    assert f"{name} was killed by SIGKILL; starting it again" in revived[1].errors


@pytest.mark.requirement("processes are started again")
def test_run_whose_parts_were_killed_ends_with_all_fixes_and_opens(revived: tuple[Lab, Process]) -> None:
    assert len(fixes(open_run(revived[0].run_directory).records)) == 6 * ROUNDS


@pytest.mark.requirement("processes are started again")
def test_every_fix_has_its_truth_though_the_emulator_was_killed(revived: tuple[Lab, Process]) -> None:
    document = json.loads("".join(revived[1].out))
    assert [fix for fix in document["fixes"] if fix["error_m"] is None] == []


@pytest.mark.requirement("a broken run says so")
def test_launcher_whose_controller_was_killed_ends_with_what_was_found(lab_of: LabFactory) -> None:
    lab = lab_of(**LONG)
    launcher = launched(lab)
    lab.kill_one("bs_controller")
    assert launcher.ended(5.0) == 1, launcher.errors
    assert lab.alive() == []
    found = {(fix["ue"], fix["scheme"], fix["round"]) for fix in json.loads("".join(launcher.out))["fixes"]}
    on_disk = {(fix["ue"], fix["scheme"], fix["round"]) for fix in fixes(open_run(lab.run_directory).records)}
    assert found
    assert found <= on_disk
    assert "controller was killed by SIGKILL" in launcher.errors


@pytest.mark.requirement("a lossy link costs time, not fixes")
def test_lossy_radio_link_delays_fixes_and_loses_none(lab_of: LabFactory) -> None:
    faults = {"drop": 0.2, "duplicate": 0.5, "reorder": 0.3}
    options = {"rounds": 4, "request_deadline_s": 0.15, "retries": 12}
    lab = lab_of(controller=options, emulator={"link_faults": faults})
    controller = started(lab)["controller"]
    assert controller.ended() == 0, controller.errors
    assert len(fixes(controller.records)) == 24
    counters = counters_of(controller.records)
    assert counters["missed_deadlines"] > 0, "what was lost was asked for again"
    assert counters["refused_stale"] > 0, "what came twice was refused"
