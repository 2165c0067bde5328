"""Real runs replayed as a user does it: every scheme finds what it found, and so it does on what a killed run left."""

import json
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from bs_controller.record import open_run
from tests.qualification.conftest import LabFactory
from tests.qualification.processes import Lab, fixes, merged

pytestmark = pytest.mark.requirement("a recording gives the same fixes again")

SCHEMES = [
    {"scheme": "cbs"},
    {"scheme": "cbs", "feedback": "complex", "angle_beams": 2},
    {"scheme": "cbs_bt", "groups": "realizable", "angle_groups": 8, "range_groups": 8},
    {"scheme": "likelihood"},
    {"scheme": "likelihood", "plan": "pair"},
    {"scheme": "likelihood", "model": "power"},
    {"scheme": "likelihood", "model": "unsynchronised_together"},
    {"scheme": "network"},
    {"scheme": "network", "plan": "pair", "refine": True},
    {"scheme": "backprojection"},
    {"scheme": "music"},
    {"scheme": "uplink_likelihood"},
]
#: Few phase bits and coarse delays: what was applied is not what schemes asked for.
COARSE = {"groups": 64, "phase_bits": 4, "delay_step_s": 1e-12, "delay_span_s": 100e-9}
FULL_SIZE: dict[str, Any] = {
    "downlink": {"subcarriers": 2048, "elements": 512},
    "uplink": {"subcarriers": 100, "elements": 392, "radius_m": 1.0},
    "region": {"range_m": [5, 50]},
    "emulator": {
        "front_end": COARSE,
        "downlink_noise": {"mode": "sweep_mean", "snr_db": 20},
        "uplink_noise": {"mode": "sweep_mean", "snr_db": 10},
        "users": {"ue-1": {"range_m": 8.0, "angle_deg": 5.0}, "ue-2": {"range_m": 12.0, "angle_deg": -32.0}},
    },
}


def document_of(lab: Lab, *words: str) -> tuple[int, dict[str, Any]]:
    """Return status and document of ``nftestbed replay``."""
    process = lab.command("replay", *words, "--json")
    status = process.ended(90)
    return status, json.loads("".join(process.out))


@pytest.fixture(scope="module")
def located(module_lab_of: LabFactory) -> Lab:
    """Locate two users once with every scheme, at full size, through private links."""
    controller = {"controller": {"schemes": SCHEMES, "rejoin_s": 10.0, "request_deadline_s": 5.0}}
    lab = module_lab_of(**merged(FULL_SIZE, controller))
    assert lab.command("run", str(lab.file), "--run-dir", str(lab.run_directory)).ended(120) == 0
    return lab


def test_every_scheme_finds_again_what_it_found_to_the_last_bit(located: Lab) -> None:
    status, document = document_of(located, str(located.run_directory))
    assert status == 0
    assert Counter(fix["verdict"] for fix in document["fixes"]) == {"same": 2 * len(SCHEMES)}
    assert None not in [fix["error_m"] for fix in document["fixes"]], "the truth is beside them"


def test_scheme_that_was_not_in_the_run_finds_the_users_on_its_sweeps(located: Lab) -> None:
    late_clocks = {"scheme": "likelihood", "plan": "pair", "model": "unsynchronised_together"}
    other = located.write("other.yaml", merged(located.values, {"controller": {"schemes": [late_clocks]}}))
    status, document = document_of(located, str(located.run_directory), "--testbed", str(other))
    assert status == 0
    assert [fix["verdict"] for fix in document["fixes"]] == ["not recorded"] * 2
    # the range of late clocks comes of the wavefront's curvature: some centimetres at 20 dB, of which this leaves ten times
    assert max(fix["error_m"] for fix in document["fixes"]) < 0.5


@pytest.fixture(scope="module")
def killed(module_lab_of: LabFactory) -> Path:
    """Kill a controller in the middle of its work, and then tear the last line that it wrote."""
    lab = module_lab_of(controller={"rounds": 100_000})
    lab.emulator()
    for ue in lab.ues:
        lab.ue(ue)
    controller = lab.controller()
    controller.told(lambda records: len(fixes(records)) >= 40, "40 fixes")
    controller.signal(signal.SIGKILL)
    assert controller.ended() == -signal.SIGKILL
    journal = lab.run_directory / "journal.jsonl"
    journal.write_bytes(journal.read_bytes()[:-3])
    return lab.run_directory


def test_fixes_of_a_killed_run_with_a_torn_tail_come_out_the_same(killed: Path, module_lab_of: LabFactory) -> None:
    before = open_run(killed)
    status, document = document_of(module_lab_of(), str(killed))
    assert status == 0
    verdicts = Counter(fix["verdict"] for fix in document["fixes"])
    assert verdicts["same"] == len(fixes(before.records)) >= 39, "the torn record may be a fix"
    assert verdicts["differs"] == 0
    assert not document["recording"]["ended"]
    assert document["recording"]["torn_bytes"] == before.torn_bytes > 0
    assert all(one["expected"] for one in document["not_replayed"])
