"""`nftestbed run` over samples and a small array: every part may die, and no pilot is ever measured through a wrong beam."""

import json

import pytest

from tests.qualification.conftest import LabFactory
from tests.qualification.processes import wait_until
from tests.qualification.samples import HEARD_M, NUMPY_MODULE, SMALL, SOUNDED, count_of, error_m, samples_lab

pytestmark = pytest.mark.requirement("the same controller locates users over samples")

ROUNDS = 25
# The Cramer-Rao bounds of 64 elements over 0.75 GHz at 27 dB are 2 and 3 mm; tails of the taps and the echo, both 30 to 40 dB
# below, move a fix by as much again. A beam of another setting is off by metres, one sample of delay by 0.4 m.
RIGHT_M = 0.1
LONG = {"controller": {"rounds": ROUNDS, "request_deadline_s": 1.0, "rejoin_s": 30.0, "retries": 20}}


def test_run_over_samples_locates_every_user_and_nothing_goes_wrong(lab_of: LabFactory) -> None:
    lab, file = samples_lab(lab_of, "numpy", SMALL)
    process = lab.command("run", str(file), "--json")
    assert process.ended(60) == 0, process.errors
    document = json.loads("".join(process.out))
    assert {(fix["ue"], fix["scheme"]) for fix in document["fixes"]} == {("ue-1", "likelihood"), ("ue-2", "likelihood")}
    assert max(error_m(fix) for fix in document["fixes"]) < RIGHT_M
    wrong = {name: count for name, count in document["counters"].items() if count}
    assert not wrong.keys() - {"duplicates", "resent", "missed_deadlines", "retries"}


def test_run_over_samples_locates_every_user_by_soundings_as_the_emulator_would(lab_of: LabFactory) -> None:
    lab, file = samples_lab(lab_of, "numpy", SMALL, SOUNDED, {"controller": {"rounds": 5}})
    process = lab.command("run", str(file), "--json")
    assert process.ended(60) == 0, process.errors
    document = json.loads("".join(process.out))
    assert len(document["fixes"]) == 10
    assert max(error_m(fix) for fix in document["fixes"]) < HEARD_M
    assert document["latency_ms"]["capture"]["count"] == 10
    wrong = {name: count for name, count in document["counters"].items() if count}
    assert not wrong.keys() - {"duplicates", "resent", "missed_deadlines", "retries"}


@pytest.mark.parametrize(
    "words",
    [(NUMPY_MODULE,), ("emulator.air",), ("sdr_backend",), ("ue_agent", "ue-2")],
    ids=["channel", "air", "radio", "ue"],
)
@pytest.mark.long
def test_run_by_soundings_survives_the_death_of_each_part_without_a_wrong_fix(
    lab_of: LabFactory, words: tuple[str, ...]
) -> None:
    lab, file = samples_lab(lab_of, "numpy", SMALL, LONG, SOUNDED)
    process = lab.command("run", str(file), "--json")
    wait_until(lambda: count_of(process) >= 4, "the first fixes", 60)
    lab.kill_one(*words)
    assert process.ended(100) == 0, process.errors
    document = json.loads("".join(process.out))
    assert len(document["fixes"]) == 2 * ROUNDS
    assert max(error_m(fix) for fix in document["fixes"]) < HEARD_M


@pytest.mark.parametrize(
    "words",
    [(NUMPY_MODULE,), ("emulator.air",), ("sdr_backend",), ("ue_agent", "ue-2")],
    ids=["channel", "air", "radio", "ue"],
)
def test_run_survives_the_death_of_each_part_without_a_wrong_fix(lab_of: LabFactory, words: tuple[str, ...]) -> None:
    lab, file = samples_lab(lab_of, "numpy", SMALL, LONG)
    process = lab.command("run", str(file), "--json")
    wait_until(lambda: count_of(process) >= 4, "the first fixes", 60)
    lab.kill_one(*words)
    assert process.ended(100) == 0, process.errors
    document = json.loads("".join(process.out))
    assert len(document["fixes"]) == 2 * ROUNDS
    assert max(error_m(fix) for fix in document["fixes"]) < RIGHT_M
