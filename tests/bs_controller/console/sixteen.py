"""A controller's events without a controller: sixteen users on circles, located ten times a second, recorded and told.

``python -m tests.bs_controller.console.sixteen TESTBED_FILE RUN_DIR``; it goes on until it is killed. The records are those of
a run, and the journal has all that is told.
"""

import asyncio
import math
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from bs_controller.commands import Keep
from bs_controller.config import ControllerSection
from bs_controller.record import Recorder, RunDirectory
from bs_controller.telling import Teller
from protocol.config import facts, read_testbed, resolved
from protocol.journal import line_from_record
from protocol.messages import PeerName
from protocol.testbed import TestbedFacts
from protocol.versions import versions

PERIOD_S = 0.1
ARC = {"form": "Trajectory", "start_range_m": 5.0, "start_angle_rad": 1.0, "end_range_m": 5.0, "end_angle_rad": -1.0}
UNKNOWN = {"reason": "not looked for"}


def place(number: int, time_s: float) -> tuple[float, float]:
    """Return range and angle of a user that walks around its own circle."""
    return 8 + 2.2 * number + math.cos(0.3 * time_s), -0.9 + 0.12 * number + 0.05 * math.sin(0.3 * time_s)


def round_of(
    number: int, ues: tuple[PeerName, ...], shared: TestbedFacts, rng: np.random.Generator
) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Yield the records of one round with their samples."""
    time_s, epoch = number * PERIOD_S, number + 1
    yield {"kind": "sweep", "epoch": epoch, "focus": ARC, "ues": list(ues), "pilots": 1, "configure_ms": 1.0}, {}
    for index, ue in enumerate(ues):
        whose = {"ue": ue, "scheme": "likelihood", "round": number}
        samples = rng.standard_normal(shared.downlink.grid.count) * (1e-4 + 0j)
        report = {"kind": "report", "epoch": epoch, **whose, "form": "ComplexFeedback"}
        yield {**report, "measure_ms": 2.0 + index / 10}, {"report": samples}
        range_m, angle_rad = place(index, time_s)
        covariance = {"range_m2": 1e-4, "range_angle_m_rad": 0.0, "angle_rad2": 1e-7}
        fix = {"kind": "fix", **whose, "range_m": range_m + 0.01 * rng.standard_normal(), "angle_rad": angle_rad}
        fix |= {"sweeps": 1, "targets": [], "covariance": covariance, "visibility": {"subarrays": [0, 1, 3]}}
        fix |= {"fit": UNKNOWN, "integrity": "trusted", "delay": UNKNOWN, "epochs": [epoch]}
        yield {**fix, "latency_ms": 5.0 + index, "sweep_latency_ms": [3.0]}, {}
        track = {"kind": "track", "ue": ue, "round": number, "at_s": time_s, "age_ms": 5.0}
        track |= {"x_m": range_m * math.cos(angle_rad), "y_m": range_m * math.sin(angle_rad)}
        yield {**track, "vx_m_s": 0.1, "vy_m_s": 0.1, "covariance": [1e-4 * (n % 5 == 0) for n in range(16)]}, {}
    array = shared.uplink.array.elements, shared.uplink.grid.count
    snapshot = {"kind": "snapshot", "epoch": epoch, "ue": ues[number % len(ues)], "scheme": "backprojection"}
    snapshot |= {"round": number, "form": "Snapshot", "capture_ms": 4.0}
    yield snapshot, {"snapshot": rng.standard_normal(array) + 0j}


async def main(file: Path, directory: Path) -> None:
    """Record and tell rounds until killed."""
    loop, rng = asyncio.get_running_loop(), np.random.default_rng(1)
    loaded = read_testbed(file)
    shared, ues = facts(loaded.file), loaded.section("controller", ControllerSection).ues
    endpoint = loaded.file.links.events
    assert endpoint is not None
    run = RunDirectory.create(directory, config_text=resolved(loaded), start={"versions": versions()})
    recorder, teller = Recorder(run, call_soon=loop.call_soon_threadsafe), Teller(endpoint)
    teller.about(directory, resolved(loaded))
    began_s, seq, number = loop.time(), 0, 0
    with (directory / "truth.jsonl").open("ab", buffering=0) as truth:
        peers = ((name, "radio" if name == "radio" else "ue") for name in ("radio", *ues))
        records: Any = [({"kind": "peer", "name": n, "event": "opened", "text": f"{r}, test 1"}, {}) for n, r in peers]
        while True:
            for record, samples in records:
                seq += 1
                keep = Keep(record={**record, "time_s": round(loop.time() - began_s, 6)}, samples=samples)
                recorder.append(keep.record, keep.samples, partial(teller.tell, seq, keep, True))
            teller.announce(loop.time())
            await asyncio.sleep(max(0.0, began_s + number * PERIOD_S - loop.time()))
            for index, ue in enumerate(ues):
                range_m, angle_rad = place(index, number * PERIOD_S)
                line = {"kind": "truth", "epoch": number + 1, "ue": ue, "range_m": range_m, "angle_rad": angle_rad}
                truth.write(line_from_record(number * len(ues) + index + 1, line))
            records, number = list(round_of(number, ues, shared, rng)), number + 1


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2])))
