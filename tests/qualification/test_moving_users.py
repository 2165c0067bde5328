"""Users who move, over the wire: the file says how, in few lines, and the truth says where each was and how fast."""

import cmath
import itertools
import json
import math
from pathlib import Path
from typing import Any

import pytest

from deploy.checks import checked
from deploy.truth import truth_records
from protocol.config import read_testbed
from tests.qualification.conftest import LabFactory
from tests.qualification.processes import Lab, wait_until

pytestmark = pytest.mark.requirement("users move")

WALK = {"kind": "random_walk", "speed_m_s": 1.4}
TRACK = "time_s,x_m,y_m\n0,5,0\n600,5,6\n"  # along the array


def moving(lab: Lab, rounds: int) -> Path:
    """Write a testbed into a folder beside its track, as it is not read from where processes start."""
    (lab.folder / "beds").mkdir()
    (lab.folder / "beds" / "track.csv").write_text(TRACK)
    users = {
        "ue-1..2": {"range_m": "drawn", "angle_deg": "drawn", "motion": WALK},
        "cart": {"motion": {"kind": "recorded", "file": "track.csv"}},
    }
    controller = {"ues": ["ue-1..2", "cart"], "schemes": [{"scheme": "cbs"}], "rounds": rounds}
    emulator: dict[str, Any] = {**lab.loaded.file.emulator, "users": users}
    return lab.write("beds/testbed.yaml", {**lab.values, "controller": controller, "emulator": emulator})


def truth_of(lab: Lab) -> list[dict[str, Any]]:
    return [dict(record) for record in truth_records(lab.run_directory)]


def test_users_of_a_run_move_as_the_file_says_and_the_truth_tells(lab_of: LabFactory) -> None:
    lab = lab_of()
    process = lab.command("run", str(moving(lab, 3)), "--run-dir", "run", "--json")
    assert process.ended(60) == 0, process.errors
    fixes = json.loads("".join(process.out))["fixes"]
    assert {fix["ue"] for fix in fixes if fix["truth_range_m"] is not None} == {"ue-1", "ue-2", "cart"}
    truth = truth_of(lab)
    for name in ("ue-1", "ue-2"):
        walked = [record for record in truth if record["ue"] == name]
        assert len({record["range_m"] for record in walked}) == len(walked) > 3
        # what lies between steps is as fast as they are to a thousandth, see the walk's own tests
        assert [math.hypot(*record["velocity_m_s"]) for record in walked] == pytest.approx(
            [1.4] * len(walked), rel=2e-3
        )
    ridden = [record for record in truth if record["ue"] == "cart"]
    assert [record["range_m"] * math.cos(record["angle_rad"]) for record in ridden] == pytest.approx(
        [5.0] * len(ridden)
    )
    assert [record["velocity_m_s"] for record in ridden] == [pytest.approx([0.0, 0.01])] * len(ridden)
    # the run's own file can be run again from where it lies
    assert checked(read_testbed(lab.run_directory / "config.yaml")).emulator.users.keys() == {"ue-1", "ue-2", "cart"}


@pytest.mark.long
def test_nobody_jumps_when_the_emulator_was_killed(lab_of: LabFactory) -> None:
    lab = lab_of()
    process = lab.command("run", str(moving(lab, 200)), "--run-dir", "run", "--json")
    wait_until(lambda: len(truth_of(lab)) > 100, "users who move", 60)
    lab.kill_one("emulator")
    assert process.ended(100) == 0, process.errors
    truth = truth_of(lab)
    assert len(truth) > 1000
    assert truth[-1]["scene_s"] > truth[100]["scene_s"] > 0
    for name in ("ue-1", "ue-2"):
        walked = [record for record in truth if record["ue"] == name]
        for one, other in itertools.pairwise(walked):
            step_m = abs(
                cmath.rect(one["range_m"], one["angle_rad"]) - cmath.rect(other["range_m"], other["angle_rad"])
            )
            # a thousandth is what a cubic may be faster, the rest is rounding
            assert step_m <= 1.4 * 1.002 * (other["scene_s"] - one["scene_s"]) + 1e-9
