"""`nftestbed calibrate` over real processes: injected errors come back, and fixes are as of a perfect front end."""

import json
import re
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from bs_controller.calibration.pilots import Place
from bs_controller.calibration.stored import StoredCalibration, read_calibration
from bs_controller.record import open_run
from deploy.calibrate import Survey, calibration_from_run
from emulator.config import EmulatorSection
from emulator.hardware import FrontEndErrors
from protocol.config import read_testbed
from tests.qualification.conftest import LabFactory
from tests.qualification.processes import Lab, merged, said_of_a_refused
from tests.qualification.samples import samples_lab, small

pytestmark = pytest.mark.requirement(
    "a front end is calibrated, and its calibration is refused when stale or another's"
)

#: Phases all around, as of an array that was put together and never measured.
ASSEMBLED = {"gain_rms_db": 0.5, "phase_rms_deg": 180.0, "dead_fraction": 0.03, "delay_rms_s": 10e-12}
FRONT_END = {"groups": 1, "phase_bits": 6, "delay_step_s": 3e-12, "delay_span_s": 100e-9}
CLOCKS = {"phase_noise_rms_deg": 5.0, "timing_jitter_rms_s": 5e-12}
QUIET = {"mode": "sweep_mean", "snr_db": 20}
SCHEMES = [{"scheme": "likelihood"}, {"scheme": "likelihood", "plan": "pair"}, {"scheme": "cbs"}]


def erring(lab_of: LabFactory, **controller: object) -> Lab:
    """Return a testbed of an array that errs."""
    return lab_of(
        downlink={"subcarriers": 256},
        region={"range_m": [2, 10], "angle_deg": [-45, 45]},
        controller={"schemes": SCHEMES, "request_deadline_s": 3.0, **controller},
        emulator={
            "front_end": {**FRONT_END, "errors": ASSEMBLED},
            "clocks": CLOCKS,
            "downlink_noise": QUIET,
        },
    )


def calibrated(lab: Lab, file: Path, *words: str, timeout_s: float = 60.0) -> dict[str, Any]:
    """Calibrate with the first user at its place; return the document."""
    places = ("--ue", "ue-1", *(words or ("--range-m", "3", "--angle-deg", "10")))
    out = ("--out", str(lab.folder / "calibration.yaml"), "--run-dir", str(lab.folder / "coded"), "--json")
    process = lab.command("calibrate", str(file), "--all-here", *places, *out)
    assert process.ended(timeout_s) == 0, process.errors
    document: dict[str, Any] = json.loads("".join(process.out))
    return document


def injected(file: Path) -> FrontEndErrors:
    """Return the errors that the emulator of a testbed file drew."""
    loaded = read_testbed(file)
    section = loaded.section("emulator", EmulatorSection)
    rng = np.random.default_rng([section.seed, zlib.crc32(b"front end")])
    return FrontEndErrors.drawn(section.front_end.errors, loaded.file.downlink.elements, rng)


def misses(stored: StoredCalibration, truth: FrontEndErrors) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return errors of living elements over their standard errors: level, phase, delay, ``(3, element)``."""
    alive = truth.element.amplitude > 0
    living = [element for element in stored.elements if element.alive]
    table = {name: np.array([getattr(one, name) for one in living]) for name in living[0].__struct_fields__}
    gain_db = table["gain_db"] - 20 * np.log10(truth.element.amplitude[alive])
    turn = np.exp(1j * (table["phase_rad"] - truth.element.phase_rad[alive]))
    phase_rad = np.angle(turn * np.conj(turn.mean()))
    delay_s = table["delay_s"] - truth.delay_s[alive]
    return np.stack(
        [
            (gain_db - gain_db.mean()) / table["gain_error_db"],
            phase_rad / table["phase_error_rad"],
            (delay_s - delay_s.mean()) / table["delay_error_s"],
        ]
    )


def assert_recovered(path: Path, file: Path, most: float) -> None:
    """Check that dead elements are found and all others come back to `most` standard errors rms."""
    stored, truth = read_calibration(path), injected(file)
    dead = [number for number, element in enumerate(stored.elements) if not element.alive]
    assert dead == np.flatnonzero(truth.element.amplitude == 0).tolist()
    rms = np.sqrt(np.mean(misses(stored, truth) ** 2, axis=1))
    assert rms.max() < most, rms


def rms_error_m(document: Mapping[str, Any], scheme: str) -> float:
    """Return the root mean square error of a scheme's fixes."""
    errors = [fix["error_m"] for fix in document["fixes"] if fix["scheme"] == scheme]
    assert errors
    return float(np.sqrt(np.mean(np.square(errors))))


def located(lab: Lab, name: str, values: Mapping[str, Any], *words: str) -> dict[str, Any]:
    """Run a testbed and return its document."""
    process = lab.command("run", str(lab.write(f"{name}.yaml", values)), "--json", *words)
    assert process.ended(90) in {0, 1}, process.errors
    document: dict[str, Any] = json.loads("".join(process.out))
    return document


@pytest.fixture(scope="module")
def measured(module_lab_of: LabFactory) -> Lab:
    """Calibrate once a small array."""
    lab = erring(module_lab_of)
    document = calibrated(lab, lab.file)
    assert document["pilots"] == 128
    return lab


def test_injected_errors_come_back_within_their_standard_errors(measured: Lab) -> None:
    # 62 elements: 1 with a deviation of 0.09; jitter and noise of clocks are fitted pilot by pilot
    assert_recovered(measured.folder / "calibration.yaml", measured.file, most=1.3)


def test_calibration_of_another_front_end_is_refused_before_anything_starts(measured: Lab) -> None:
    named = {
        "controller": {"calibration": {"file": "calibration.yaml"}, "schemes": [{"scheme": "cbs"}]},
        "downlink": {"bandwidth_hz": 5e9},
    }
    file = measured.write("narrow.yaml", merged(measured.values, named))
    complaint = (
        r"controller\.calibration\.file: expected a calibration for this front end .* was calibrated, .* is here"
    )
    assert re.search(rf"^{re.escape(str(file))}:\d+:\d+: {complaint}", said_of_a_refused(file))


def old(lab: Lab) -> None:
    """Write a calibration that is stale: solved of the same recording, valid for no time at all."""
    place = Place(range_m=3.0, angle_rad=float(np.deg2rad(10)))
    stored = calibration_from_run(lab.folder / "coded", [Survey(ue="ue-1", place=place)], 0.0)
    (lab.folder / "old.yaml").write_text(stored.text())


def test_stale_calibration_is_refused_and_used_with_a_warning_if_the_file_says_so(measured: Lab) -> None:
    old(measured)
    named = {"controller": {"calibration": {"file": "old.yaml"}, "schemes": [{"scheme": "cbs"}]}}
    assert "stale: valid until" in said_of_a_refused(measured.write("stale.yaml", merged(measured.values, named)))
    warned = merged(named, {"controller": {"calibration": {"stale": "warn"}}})
    run = measured.folder / "warned"
    document = located(measured, "warned", merged(measured.values, warned), "--run-dir", str(run))
    assert document["complete"]
    (record,) = [record for record in open_run(run).records if record["kind"] == "calibration"]
    assert "stale: valid until" in str(record["warnings"])
    assert "is used all the same: stale" in (run / "logs" / "controller.jsonl").read_text()


@pytest.mark.long
def test_radio_with_another_front_end_ends_the_run(measured: Lab) -> None:
    changes = {
        "controller": {"calibration": {"file": "calibration.yaml"}},
        "emulator": {"front_end": {"phase_bits": 4}},
    }
    file = measured.write("coarse.yaml", merged(measured.values, changes))
    process = measured.command("run", str(file), "--json")
    assert process.ended(60) == 1
    assert "is of another front end: limits.phase_bits: 6 was calibrated, 4 is here" in process.errors


@pytest.mark.long
def test_fixes_are_as_good_as_of_a_perfect_front_end_and_were_not_before(measured: Lab) -> None:
    rounds = {"controller": {"rounds": 6}, "emulator": {"clocks": {"timing_jitter_rms_s": 0.0}}}
    values = merged(measured.values, rounds)
    perfect = merged(values, {"emulator": {"front_end": {"errors": dict.fromkeys(ASSEMBLED, 0.0)}}})
    named = {"controller": {"calibration": {"file": "calibration.yaml", "paths": "common"}}}
    run = measured.folder / "corrected"
    before, best = located(measured, "before", values), located(measured, "best", perfect)
    after = located(measured, "after", merged(values, named), "--run-dir", str(run))
    for scheme in ("likelihood", "likelihood.2"):
        # 3 % of elements are dead and all are off by a hundredth of a radian still
        assert rms_error_m(after, scheme) < 2 * rms_error_m(best, scheme) + 1e-3
        assert rms_error_m(before, scheme) > 20 * rms_error_m(after, scheme)
    assert rms_error_m(after, "cbs") < 1.5 * rms_error_m(best, "cbs")
    process = measured.command("replay", str(run), "--json")
    assert process.ended(90) == 0, process.errors
    assert {fix["verdict"] for fix in json.loads("".join(process.out))["fixes"]} == {"same"}


@pytest.mark.long
def test_full_array_is_calibrated_to_the_bound(lab_of: LabFactory) -> None:
    full: dict[str, Any] = {
        "downlink": {"subcarriers": 2048, "elements": 512},
        "region": {"range_m": [5, 50], "angle_deg": [-60, 60]},
        "emulator": {"users": {"ue-1": {"range_m": 8.0, "angle_deg": 20.0, "carrier_offset_hz": 1e3}}},
    }
    lab = erring(lab_of, ues=["ue-1"])
    values = merged({**lab.values, "emulator": {**lab.values["emulator"], "users": {}}}, full)  # type: ignore[dict-item]
    file = lab.write("full.yaml", values)
    document = calibrated(lab, file, "--range-m", "8", "--angle-deg", "20", timeout_s=110.0)
    # 128 pilots at 20 dB: an element has 100 x 2048 x 128 / 512 times the energy of the noise
    energy = 100 * 2048 * 128 / 512
    assert document["gain_error_db"] == pytest.approx(20 / np.log(10) / np.sqrt(2 * energy), rel=0.1)
    assert_recovered(lab.folder / "calibration.yaml", file, most=1.15)


@pytest.mark.long
def test_array_over_samples_is_calibrated_by_the_same_command(lab_of: LabFactory) -> None:
    errors = {"emulator": {"front_end": {"errors": {**ASSEMBLED, "delay_rms_s": 50e-12}}}}
    lab, file = samples_lab(lab_of, "numpy", small("numpy"), errors)
    calibrated(lab, file, "--range-m", "8", "--angle-deg", "5", timeout_s=110.0)
    # what tails of taps and an echo at -30 dB leave counts as noise in the standard errors; 64 elements tell an rms to 9 %
    assert_recovered(lab.folder / "calibration.yaml", file, most=1.3)
    assert (
        yaml.safe_load((lab.folder / "calibration.yaml").read_text())["measured_on"]["driver"]["driver"] == "simulated"
    )
