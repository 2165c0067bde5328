"""Run directories of a small testbed whose users report noise: made in a moment, without a process."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from bs_controller.config import ControllerSection
from bs_controller.record import Recorder, RunDirectory, open_run
from bs_controller.schemes import scheme_from_options
from bs_controller.sweeps import Scheme
from protocol.config import LoadedTestbed, facts, read_testbed, resolved
from protocol.journal import line_from_record
from protocol.testbed import FrontEndLimits
from protocol.versions import versions
from tests.bs_controller.rehearsal import Noisy, Rehearsal

COARSE = FrontEndLimits(elements=64, groups=64, phase_bits=4, delay_step_s=1e-12, delay_span_s=100e-9, settle_s=0.0)
SMALL: Mapping[str, object] = {
    "name": "small",
    "downlink": {"carrier_hz": 100e9, "bandwidth_hz": 6e9, "subcarriers": 128, "elements": 64, "subarrays": 4},
    "uplink": {
        "carrier_hz": 28e9,
        "spacing_hz": 480e3,
        "subcarriers": 16,
        "elements": 32,
        "radius_m": 0.1,
        "half_sector_deg": 60,
    },
    "region": {"range_m": [1, 10], "angle_deg": [-60, 60]},
    "links": {"control": "tcp://127.0.0.1:1", "air": "tcp://127.0.0.1:2"},
    "controller": {"ues": ["ue-a", "ue-b"], "schemes": [{"scheme": "cbs"}]},
    "emulator": {},
}
CBS_AND_OTHERS = (
    {"scheme": "cbs"},
    {"scheme": "cbs", "feedback": "complex"},
    {"scheme": "cbs_bt", "angle_groups": 8, "range_groups": 8},
    {"scheme": "backprojection", "range_points": 50},
)


def written_testbed(path: Path, **controller: object) -> LoadedTestbed:
    """Write a small testbed with these values of its controller, and return it."""
    section = SMALL["controller"]
    assert isinstance(section, dict)
    path.write_text(yaml.safe_dump({**SMALL, "controller": {**section, **controller}}))
    return read_testbed(path)


def recorded_run(
    folder: Path,
    *,
    played: Sequence[Scheme] = (),
    peers: type[Rehearsal] = Noisy,
    ended: bool = True,
    **controller: object,
) -> Path:
    """Return the directory of a recorded run, of other schemes than its configuration names if they are given."""
    loaded = written_testbed(folder / "testbed.yaml", **controller)
    shared, section = facts(loaded.file), loaded.section("controller", ControllerSection)
    chosen = played or [scheme_from_options(options, shared) for options in section.schemes]
    rehearsal = peers(chosen, section.ues, section, facts=shared, limits=COARSE)
    rehearsal.begin()
    rehearsal.play()
    start = {"name": "small", "digest": shared.digest(), "versions": versions()}
    directory = RunDirectory.create(folder / "run", config_text=resolved(loaded), start=start)
    recorder = Recorder(directory, call_soon=lambda callback: callback())
    for keep in rehearsal.kept:
        recorder.append(keep.record, keep.samples)
    recorder.close({"finished": True})
    _write_truth(folder / "run", rehearsal)
    if not ended:
        document = json.loads((folder / "run" / "run.json").read_text())
        del document["stop"]
        (folder / "run" / "run.json").write_text(json.dumps(document))
    return folder / "run"


def _write_truth(run: Path, rehearsal: Rehearsal) -> None:
    lines: list[bytes] = []
    for record in rehearsal.records:
        if record["kind"] in {"report", "snapshot"}:
            link = "downlink" if record["kind"] == "report" else "uplink"
            path = {"kind": "reflected", "range_m": 4.0, "angle_rad": 0.5}
            path |= {"gain_db": -10.0, "phase_rad": 1.0, "weight_rms": 1.0}
            place: dict[str, object] = {"range_m": 5.0, "angle_rad": 0.25, "paths": [path]}
            if lines:  # the first is as early recordings have it
                place |= {"velocity_m_s": [0.5, -1.0], "scene_s": 3.0}
            truth = {"kind": "truth", "epoch": record["epoch"], "ue": record["ue"], "link": link, **place}
            lines.append(line_from_record(len(lines) + 1, truth))
    (run / "truth.jsonl").write_bytes(b"".join(lines))


def tear(run: Path, count: int = 7) -> int:
    """Cut the last bytes of the journal, as a kill in the middle of a write does; return how many of that line are left."""
    journal = run / "journal.jsonl"
    data = journal.read_bytes()[:-count]
    journal.write_bytes(data)
    return len(data) - data.rindex(b"\n") - 1


def rewritten(run: Path, change: Callable[[dict[str, Any]], dict[str, Any] | None]) -> None:
    """Write the journal anew with some records changed, or left out where the change returns None."""
    found = open_run(run)
    lines = []
    for record in [found.header, *found.records]:
        changed = change(dict(record))
        if changed is not None:
            lines.append(line_from_record(changed.pop("seq"), changed))
    (run / "journal.jsonl").write_bytes(b"".join(lines))
