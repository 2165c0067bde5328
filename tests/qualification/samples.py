"""Testbeds whose pilots travel as samples through a channel program, and what is needed to start one."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from deploy.children import absence
from protocol.config import read_testbed
from tests.qualification.conftest import LabFactory
from tests.qualification.processes import ROOT, Lab, Process, Record, fixes, merged, wait_until

FULL = ROOT / "deploy" / "testbeds" / "gnuradio.yaml"
SOAPY = ROOT / "deploy" / "testbeds" / "soapy.yaml"
GNURADIO_MODULE = str(ROOT / "sdr_backend" / "peers" / "gnuradio_channel.py")
NUMPY_MODULE = "sdr_backend.peers.numpy_channel"
RED_PITAYA_MODULE = "sdr_backend.peers.red_pitaya_channel"
#: An eighth of the band and of the array, so that delay lines stay shorter than half a symbol. Frames are 7.5 symbols. Taps are
#: late by 76 samples of the delay lines and 26 for tails, a channel program by 37 as the file says less 3 of a resampler.
SMALL: Mapping[str, object] = {
    "downlink": {"bandwidth_hz": 0.75e9, "subcarriers": 256, "elements": 64},
    "controller": {"ues": ["ue-1", "ue-2"], "schemes": [{"scheme": "likelihood", "plan": "pair"}]},
    "emulator": {
        "users": {"ue-1": {"range_m": 8.0, "angle_deg": 5.0}, "ue-2": {"range_m": 12.0, "angle_deg": -32.0}},
    },
    "ue_agent": {"options": {"counted": 1920, "frame_delay_samples": 76 + 26 + 37 - 3}},
}
#: What the drivers call the length of a frame.
FRAMES = {"red_pitaya": "counted", "numpy": "stride", "gnuradio": "stride"}


def small(program: str) -> dict[str, object]:
    """Return the changes that make a shipped testbed a small one."""
    changes = {**SMALL, "sdr_backend": {"radio": {"options": {FRAMES[program]: 1920}}}}
    if program == "red_pitaya":  # whose users have devices by name
        changes["sdr"] = {"receive": {"ue-2": "tcp://127.0.0.1:5778"}}
    return changes


#: Only soundings. At 27 dB the bounds of 32 antennas over 48 MHz are 2 mm in range and 1 mm across at 20 m; the echo 30 dB
#: below and 56 m longer moves a fix by millimetres. One sample of time is 6.2 m, a wrong slot somebody else's place.
SOUNDED: Mapping[str, object] = {"controller": {"schemes": [{"scheme": "backprojection"}]}}
HEARD_M = 0.02


def require_gnuradio() -> None:
    """Skip where the system's interpreter has no GNU Radio."""
    require(FULL)


def require(file: Path) -> None:
    """Skip where what a testbed sends its samples through is not installed."""
    section = read_testbed(file).file.sdr
    assert section is not None
    if (reason := absence(section)) is not None:
        pytest.skip(reason)


def samples_lab(lab_of: LabFactory, program: str, *changes: Mapping[str, object]) -> tuple[Lab, Path]:
    """Return a folder for processes, and a testbed file in it, as shipped but for changes; none of them sends by hand."""
    lab = lab_of(ues=0)
    shipped = SOAPY if program == "red_pitaya" else FULL
    values = yaml.safe_load(shipped.read_text(encoding="utf-8"))
    for change in changes:
        users = change.get("emulator", {})
        if isinstance(users, Mapping) and "users" in users:
            values["emulator"]["users"] = {}
        values = merged(values, change)
    values["sdr"]["program"] = program
    return lab, lab.write("samples.yaml", values)


def error_m(fix: Record) -> float:
    """Return how far a fix of a document with truth is off."""
    error = fix["error_m"]
    assert isinstance(error, float)
    return error


def count_of(process: Process) -> int:
    """Return how many fixes a run has told of on standard error."""
    return process.errors.count(" fix ")


def fixes_in_spite_of(lab: Lab, file: Path, words: tuple[str, ...], within_s: float = 100) -> list[Record]:
    """Return the fixes of a run of which the process with these words is killed after its first ones."""
    process = lab.command("run", str(file), "--json")
    wait_until(lambda: count_of(process) >= 4, "the first fixes", 60)
    lab.kill_one(*words)
    assert process.ended(within_s) == 0, process.errors
    found: list[Record] = json.loads("".join(process.out))["fixes"]
    return found


__all__ = [
    "FULL",
    "GNURADIO_MODULE",
    "HEARD_M",
    "NUMPY_MODULE",
    "RED_PITAYA_MODULE",
    "SOAPY",
    "SOUNDED",
    "count_of",
    "error_m",
    "fixes",
    "fixes_in_spite_of",
    "require",
    "require_gnuradio",
    "samples_lab",
    "small",
]
