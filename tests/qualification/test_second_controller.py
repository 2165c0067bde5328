"""Two controllers where one may be: the second is refused with the reason, and the first does not notice."""

import pytest

from tests.qualification.conftest import LabFactory
from tests.qualification.processes import Lab, Process, fixes

pytestmark = pytest.mark.requirement("a second controller is refused")


def first_finishes(lab: Lab, first: Process) -> None:
    """Let the first controller's peers come, and see it locate them all."""
    lab.emulator()
    for ue in lab.ues:
        lab.ue(ue)
    assert first.ended() == 0, first.errors
    assert len(fixes(first.records)) == 6


@pytest.mark.parametrize("tcp", [True, False], ids=["tcp", "ipc"])
def test_second_controller_on_the_same_endpoint_is_refused(lab_of: LabFactory, tcp: bool) -> None:
    lab = lab_of(tcp=tcp)
    first = lab.controller()
    second = lab.start("-m", "bs_controller", str(lab.file), "--run-dir", str(lab.folder / "other"))
    assert second.ended() == 2
    assert f"cannot bind {lab.control}" in second.errors
    first_finishes(lab, first)


def test_second_controller_in_the_same_run_directory_is_refused(lab_of: LabFactory) -> None:
    lab = lab_of()
    first = lab.controller()
    elsewhere = lab_of()
    second = elsewhere.start("-m", "bs_controller", str(elsewhere.file), "--run-dir", str(lab.run_directory))
    assert second.ended() == 2
    assert f"{lab.run_directory}: expected a run that nobody records, got one held by process {first.pid}" in (
        second.errors
    )
    first_finishes(lab, first)


def test_controller_that_could_not_start_leaves_its_run_directory_free(lab_of: LabFactory) -> None:
    lab = lab_of()
    first = lab.controller()
    refused = lab.start("-m", "bs_controller", str(lab.file), "--run-dir", str(lab.folder / "other"))
    assert refused.ended() == 2
    first.end()
    first_finishes(lab, lab.controller(lab.folder / "other"))


def test_controller_started_without_a_run_directory_says_what_it_lacks(lab_of: LabFactory) -> None:
    lab = lab_of()
    process = lab.start("-m", "bs_controller", str(lab.file))
    assert process.ended() == 2
    assert "--run-dir" in process.errors
    assert "Traceback" not in process.errors
