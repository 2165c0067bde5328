"""`nftestbed calibrate` before and after the air: what it refuses, and what a recording must hold to be solved."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from bs_controller.calibration.pilots import Place
from bs_controller.config import ControllerSection
from bs_controller.schemes import CalibrationOptions
from deploy.calibrate import CannotCalibrateError, Survey, calibrating, calibration_from_run
from deploy.cli import app
from tests.deploy.recorded_runs import recorded_run, written_testbed

DEMO = Path(__file__).parents[2] / "deploy" / "testbeds" / "demo.yaml"
SURVEY = Survey(ue="ue-a", place=Place(range_m=3.0, angle_rad=0.1))
PLACE = ("--ue", "ue-1", "--range-m", "8", "--angle-deg", "5")


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--ue", "ue-1", "--range-m", "8"), "--angle-deg"),
        ((*PLACE, "--ue", "ue-2"), "expected --ue, --range-m and --angle-deg once for each user, got 2, 1 and 1"),
        ((*PLACE, *PLACE), "once for each user"),
        (("--ue", "ue-1", "--range-m", "-8", "--angle-deg", "5"), "expected a range above 0 m"),
        (("--ue", "ue-9", "--range-m", "8", "--angle-deg", "5"), "expected a user of the emulator"),
        ((*PLACE, "--codes", "12"), "codes: expected a power of two up to 512, got 12"),
    ],
)
def test_request_that_makes_no_sense_is_refused_at_once(tmp_path: Path, words: tuple[str, ...], complaint: str) -> None:
    done = CliRunner().invoke(app, ["calibrate", str(DEMO), *words, "--out", str(tmp_path / "cal.yaml")])
    assert done.exit_code == 2
    assert complaint in " ".join(done.output.replace("│", " ").split())


def test_folder_that_is_not_there_is_told_before_the_measurement(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["calibrate", str(DEMO), *PLACE, "--out", str(tmp_path / "nowhere" / "cal.yaml")])
    assert done.exit_code == 2
    assert "expected --out in a folder that is there" in " ".join(done.output.replace("│", " ").split())


def test_calibrating_measures_the_surveyed_alone_and_without_an_older_calibration(tmp_path: Path) -> None:
    loaded = written_testbed(tmp_path / "testbed.yaml", calibration={"file": "old.yaml"}, rounds=7)
    changed = calibrating(loaded, [SURVEY], CalibrationOptions(codes=16))
    controller = changed.file.controller
    assert (controller["ues"], controller["rounds"]) == (["ue-a"], 1)
    assert controller["schemes"] == [{"scheme": "calibration", "codes": 16, "delay_span_s": 50e-9}]
    assert "calibration" not in controller
    assert changed.section("controller", dict) == controller


def test_recording_of_noise_is_no_calibration(tmp_path: Path) -> None:
    options = {"scheme": "calibration", "codes": 4, "delay_span_s": 5e-9}
    run = recorded_run(tmp_path, schemes=[options])
    with pytest.raises(CannotCalibrateError, match=r"ue-a: expected pilots of which elements at 3 m explain"):
        calibration_from_run(run, [SURVEY], 30.0)


def test_recording_of_other_sweeps_is_no_calibration(tmp_path: Path) -> None:
    with pytest.raises(CannotCalibrateError, match="expected coded sweeps that ue-a heard, got none"):
        calibration_from_run(recorded_run(tmp_path), [SURVEY], 30.0)


def test_scheme_of_coded_sweeps_stands_in_a_testbed_file_as_any_other(tmp_path: Path) -> None:
    loaded = written_testbed(tmp_path / "testbed.yaml", schemes=[{"scheme": "calibration", "codes": 8}])
    assert loaded.section("controller", ControllerSection).schemes == (CalibrationOptions(codes=8),)
