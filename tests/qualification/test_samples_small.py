"""`nftestbed run` over samples and a small array: every part may die, and no pilot is ever measured through a wrong beam."""

import json
import os
import signal
import threading

import pytest

from tests.qualification.conftest import LabFactory
from tests.qualification.processes import wait_until
from tests.qualification.samples import (
    NUMPY_MODULE,
    RED_PITAYA_MODULE,
    SOAPY,
    count_of,
    error_m,
    require,
    samples_lab,
    small,
)

pytestmark = pytest.mark.requirement("the same controller locates users over samples")

ROUNDS, SOAPY_ROUNDS = 25, 6
HELD_S = 1.5
# The Cramer-Rao bounds of 64 elements over 0.75 GHz at 27 dB are 2 and 3 mm; tails of the taps and the echo, both 30 to 40 dB
# below, move a fix by as much again. A beam of another setting is off by metres, one sample of delay by 0.4 m.
RIGHT_M = 0.1
LONG = {"controller": {"rounds": ROUNDS, "request_deadline_s": 1.0, "rejoin_s": 30.0, "retries": 20}}


@pytest.fixture(params=["numpy", "red_pitaya"])
def program(request: pytest.FixtureRequest) -> str:
    """Return a channel program whose ends this machine has."""
    name = str(request.param)
    if name == "red_pitaya":
        require(SOAPY)
    return name


def test_run_over_samples_locates_every_user_and_nothing_goes_wrong(lab_of: LabFactory, program: str) -> None:
    lab, file = samples_lab(lab_of, program, small(program))
    process = lab.command("run", str(file), "--json")
    assert process.ended(60) == 0, process.errors
    document = json.loads("".join(process.out))
    assert {(fix["ue"], fix["scheme"]) for fix in document["fixes"]} == {("ue-1", "likelihood"), ("ue-2", "likelihood")}
    assert max(error_m(fix) for fix in document["fixes"]) < RIGHT_M
    wrong = {name: count for name, count in document["counters"].items() if count}
    assert not wrong.keys() - {"duplicates", "resent", "missed_deadlines", "retries"}


@pytest.mark.parametrize(
    "words",
    [(NUMPY_MODULE,), ("emulator.air",), ("sdr_backend",), ("ue_agent", "ue-2")],
    ids=["channel", "air", "radio", "ue"],
)
def test_run_survives_the_death_of_each_part_without_a_wrong_fix(lab_of: LabFactory, words: tuple[str, ...]) -> None:
    lab, file = samples_lab(lab_of, "numpy", small("numpy"), LONG)
    process = lab.command("run", str(file), "--json")
    wait_until(lambda: count_of(process) >= 4, "the first fixes", 60)
    lab.kill_one(*words)
    assert process.ended(100) == 0, process.errors
    document = json.loads("".join(process.out))
    assert len(document["fixes"]) == 2 * ROUNDS
    assert max(error_m(fix) for fix in document["fixes"]) < RIGHT_M


@pytest.mark.long
@pytest.mark.parametrize(
    ("number", "words"),
    [
        (signal.SIGKILL, (RED_PITAYA_MODULE,)),
        (signal.SIGKILL, ("sdr_backend",)),
        (signal.SIGKILL, ("ue_agent", "ue-2")),
        (signal.SIGSTOP, (RED_PITAYA_MODULE,)),
        (signal.SIGSTOP, ("sdr_backend",)),
        (signal.SIGSTOP, ("ue_agent", "ue-2")),
    ],
    ids=["device-killed", "radio-killed", "ue-killed", "device-held", "radio-held", "ue-held"],
)
def test_run_over_a_clock_of_its_own_survives_what_happens_to_each_part_without_a_wrong_fix(
    lab_of: LabFactory, number: signal.Signals, words: tuple[str, ...]
) -> None:
    require(SOAPY)
    lab, file = samples_lab(lab_of, "red_pitaya", small("red_pitaya"), LONG, {"controller": {"rounds": SOAPY_ROUNDS}})
    process = lab.command("run", str(file), "--json")
    wait_until(lambda: count_of(process) >= 4, "the first fixes", 60)
    pid = lab.one(*words)
    os.kill(pid, number)
    if number == signal.SIGSTOP:  # longer than a device is fed ahead, and than it holds what it has received
        threading.Event().wait(HELD_S)
        os.kill(pid, signal.SIGCONT)
    assert process.ended(100) == 0, process.errors
    document = json.loads("".join(process.out))
    assert len(document["fixes"]) == 2 * SOAPY_ROUNDS
    assert max(error_m(fix) for fix in document["fixes"]) < RIGHT_M
