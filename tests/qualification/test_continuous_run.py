"""Continuous runs as a user starts them: users who walk are tracked, lost ones are found again, recordings give the same."""

import json
import signal
from collections import Counter
from typing import Any

import pytest

from bs_controller.record import open_run
from tests.qualification.conftest import LabFactory
from tests.qualification.processes import Lab, wait_until

pytestmark = pytest.mark.requirement("users who move are tracked")

TRACKING: dict[str, Any] = {
    "downlink": {"subcarriers": 2048, "elements": 512},
    "region": {"range_m": [5, 50]},
    "controller": {
        "schemes": [{"scheme": "likelihood", "plan": "pair"}],
        "track": {"rate_hz": 10, "locate_every": 10},
    },
    "emulator": {
        "front_end": {"delay_span_s": 100e-9},
        "downlink_noise": {"mode": "sweep_mean", "snr_db": 20},
        "users": {
            "ue-1": {"range_m": 8, "angle_deg": 10, "velocity_m_s": [0.2, 0.1]},
            "ue-2": {"range_m": 15, "angle_deg": -20, "velocity_m_s": [-0.1, 0.2]},
        },
    },
}


def document_of(lab: Lab, *words: str) -> tuple[int, dict[str, Any]]:
    process = lab.command(*words, "--json")
    status = process.ended(60)
    return status, json.loads("".join(process.out))


def run_of(lab: Lab, seconds: int) -> tuple[int, dict[str, Any]]:
    return document_of(lab, "run", str(lab.file), "--run-dir", str(lab.run_directory), "--seconds", str(seconds))


@pytest.fixture(scope="module")
def tracked(module_lab_of: LabFactory) -> tuple[Lab, int, dict[str, Any]]:
    """Track two users for six seconds."""
    lab = module_lab_of(**TRACKING)
    return lab, *run_of(lab, 6)


def test_users_who_walk_are_found_at_their_rate(tracked: tuple[Lab, int, dict[str, Any]]) -> None:
    _, status, document = tracked
    assert status == 0
    for user in document["users"]:
        assert user["rate_hz"] >= 0.9 * 10
        assert user["followed"] > user["fixes"] / 2
        # the bound is a millimetre at 20 dB, and users walk by more than that while the two sweeps of a pair are sent
        assert user["fix_rmse_m"] < 0.003
        assert user["track_rmse_m"] < 0.003


def test_tracks_say_how_users_move(tracked: tuple[Lab, int, dict[str, Any]]) -> None:
    lab, _, _ = tracked
    last = {record["ue"]: record for record in open_run(lab.run_directory).records if record["kind"] == "track"}
    for ue, (vx_m_s, vy_m_s) in {"ue-1": (0.2, 0.1), "ue-2": (-0.1, 0.2)}.items():
        covariance = last[ue]["covariance"]
        assert isinstance(covariance, list)
        for name, expected, place in (("vx_m_s", vx_m_s, 10), ("vy_m_s", vy_m_s, 15)):
            value = last[ue][name]
            assert isinstance(value, float)
            assert abs(value - expected) < 5 * covariance[place] ** 0.5


def test_replay_finds_every_fix_again_bit_for_bit(tracked: tuple[Lab, int, dict[str, Any]]) -> None:
    lab, _, _ = tracked
    recorded = Counter(record["scheme"] for record in open_run(lab.run_directory).records if record["kind"] == "fix")
    status, document = document_of(lab, "replay", str(lab.run_directory))
    assert status == 0
    assert Counter(fix["scheme"] for fix in document["fixes"]) == recorded
    assert recorded.keys() == {"likelihood", "follow"}
    assert {fix["verdict"] for fix in document["fixes"]} == {"same"}


def test_run_without_end_is_stopped_and_says_what_it_found(lab_of: LabFactory) -> None:
    lab = lab_of(**TRACKING)
    process = lab.command("run", str(lab.file), "--run-dir", str(lab.run_directory), "--json")
    process.said("ue-2 opened")
    wait_until(lambda: (lab.run_directory / "journal.jsonl").read_text().count('"kind":"track"') > 20, "tracks")
    process.signal(signal.SIGINT)
    assert process.ended(30) == 130
    assert sum(user["fixes"] for user in json.loads("".join(process.out))["users"]) >= 20
