"""`nftestbed run` over samples and a small array: every part may die, and no pilot is ever measured through a wrong beam."""

import json
import os
import signal
import threading
from pathlib import Path

import numpy as np
import pytest

from bs_controller.record import open_run
from bs_controller.recorded import samples_of
from emulator.config import EmulatorSection
from emulator.scene import Scene
from emulator.uplink import UplinkEmulator
from protocol.config import facts, read_testbed
from tests.qualification.conftest import LabFactory
from tests.qualification.processes import wait_until
from tests.qualification.samples import (
    HEARD_M,
    NUMPY_MODULE,
    RED_PITAYA_MODULE,
    SOAPY,
    SOUNDED,
    count_of,
    error_m,
    fixes_in_spite_of,
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


def test_run_over_samples_locates_every_user_by_soundings_as_the_emulator_would(lab_of: LabFactory) -> None:
    lab, file = samples_lab(lab_of, "numpy", small("numpy"), SOUNDED, {"controller": {"rounds": 5}})
    process = lab.command("run", str(file), "--json", "--run-dir", str(lab.run_directory))
    assert process.ended(60) == 0, process.errors
    document = json.loads("".join(process.out))
    assert len(document["fixes"]) == 10
    assert max(error_m(fix) for fix in document["fixes"]) < HEARD_M
    assert document["latency_ms"]["capture"]["count"] == 10
    wrong = {name: count for name, count in document["counters"].items() if count}
    assert not wrong.keys() - {"duplicates", "resent", "missed_deadlines", "retries"}
    differences = differences_of_snapshots(lab.run_directory)
    assert len(differences) == 10
    # 20 dB of one symbol are 27 dB in the mean of five; 3200 exponential powers add up to that within 9 %, five deviations.
    # What is left of the echo beyond the prefix adds 3 %.
    assert min(differences) / 0.002 > 0.91
    assert max(differences) / 0.002 < 1.12


def differences_of_snapshots(run_directory: Path) -> list[float]:
    """Return the power by which each snapshot differs from the emulator's behind the file's echo, but for one phase."""
    run = open_run(run_directory)
    loaded = read_testbed(run_directory / "config.yaml")
    shared = facts(loaded.file)
    scene = Scene.from_section(loaded.section("emulator", EmulatorSection), shared)
    emulator = UplinkEmulator(shared.uplink, shared.speed_of_light_m_s)
    # 9 samples later, 30 dB below, a quarter of a turn ahead
    echo = 1 + 10 ** (-30 / 20) * 1j * np.exp(-2j * np.pi * 9 * np.arange(shared.uplink.grid.count) / 100)
    found = []
    for record in run.records:
        if record["kind"] == "snapshot":
            (samples,) = samples_of(run_directory, record).values()
            emulated = echo * emulator.received(scene.position(str(record["ue"]), 0.0))
            turned = samples * np.exp(1j * np.angle(np.vdot(samples, emulated)))
            found.append(float(np.linalg.norm(turned - emulated) ** 2 / np.linalg.norm(emulated) ** 2))
    return found


@pytest.mark.parametrize(
    "words",
    [(NUMPY_MODULE,), ("emulator.air",), ("sdr_backend",), ("ue_agent", "ue-2")],
    ids=["channel", "air", "radio", "ue"],
)
@pytest.mark.long
def test_run_by_soundings_survives_the_death_of_each_part_without_a_wrong_fix(
    lab_of: LabFactory, words: tuple[str, ...]
) -> None:
    lab, file = samples_lab(lab_of, "numpy", small("numpy"), LONG, SOUNDED)
    found = fixes_in_spite_of(lab, file, words)
    assert len(found) == 2 * ROUNDS
    assert max(error_m(fix) for fix in found) < HEARD_M


@pytest.mark.parametrize(
    "words",
    [
        pytest.param((NUMPY_MODULE,), id="channel"),
        pytest.param(("emulator.air",), id="air", marks=pytest.mark.long),
        pytest.param(("sdr_backend",), id="radio", marks=pytest.mark.long),
        pytest.param(("ue_agent", "ue-2"), id="ue", marks=pytest.mark.long),
    ],
)
def test_run_survives_the_death_of_each_part_without_a_wrong_fix(lab_of: LabFactory, words: tuple[str, ...]) -> None:
    lab, file = samples_lab(lab_of, "numpy", small("numpy"), LONG)
    found = fixes_in_spite_of(lab, file, words)
    assert len(found) == 2 * ROUNDS
    assert max(error_m(fix) for fix in found) < RIGHT_M


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
