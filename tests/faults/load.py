"""Many UE agents located again and again for minutes: how fast, whether memory grows, and whether any request is lost (shell).

Every agent has its own connections over TCP on the loopback interface; few processes host them, so that one machine will do.
The arrays are small, since what is loaded is the protocol, the run and the recorder, not the physics.
"""

import json
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from deploy.soak_rows import LoadReport, Slope
from tests.faults.memory import SHORTEST_FIT_S, Scales, grown
from tests.qualification.processes import Lab, Process, Record, wait_until

AGENTS_PER_PROCESS = 64
GATHER_S = 120.0  # as many agents join on few cores
TICK_S = 0.1
#: A hundred bytes kept of each fix would be twice as much at 150 fixes a second.
FLAT_MIB_PER_HOUR = 24.0
#: What may keep a request from being answered.
EXPLAINING = ("missed_deadlines", "declined", "peers_lost", "refused_reports", "refused_stale")

Say = Callable[[str], None]


@dataclass(slots=True)
class Log:
    """What the controller has told of so far."""

    fixes: int = 0
    failures: int = 0
    answered: int = 0
    requests: int = 0
    waiting: set[tuple[object, str]] = field(default_factory=set)  # epoch and UE of requests without an answer
    newest_epoch: object = None
    latency_ms: dict[str, list[float]] = field(default_factory=dict)
    counters: Counter[str] = field(default_factory=Counter)
    _read: int = 0

    def read(self, controller: Process) -> None:
        """Take what the controller has printed since the last call."""
        new = controller.out[self._read :]
        self._read += len(new)
        for line in new:
            self._take(json.loads(line))

    def _take(self, record: Record) -> None:
        match record:
            case {"kind": "sweep", "epoch": epoch, "ues": list(ues)}:
                self.requests += len(ues)
                self.newest_epoch = epoch
                self.waiting |= {(epoch, ue) for ue in ues}
            case {"kind": "report", "epoch": epoch, "ue": str(ue)}:
                self.answered += 1
                self.waiting.discard((epoch, ue))
            case {"kind": "fix", "scheme": str(scheme), "latency_ms": float(latency_ms)}:
                self.fixes += 1
                self.latency_ms.setdefault(scheme, []).append(latency_ms)
            case {"kind": "failure"}:
                self.failures += 1
            case {"kind": "end", "counters": dict(counters)}:
                self.counters.update({name: count for name, count in counters.items() if count})

    @property
    def under_way(self) -> int:
        """Return how many requests were on the air when the run was stopped."""
        return sum(epoch == self.newest_epoch for epoch, _ in self.waiting)

    @property
    def unexplained(self) -> int:
        """Return how many requests have neither an answer nor a counter that says why."""
        explained = sum(self.counters[name] for name in EXPLAINING)
        return max(0, len(self.waiting) - self.under_way - explained)


def load(ues: int, minutes: float, say: Say = lambda _line: None) -> LoadReport:
    """Locate so many UEs for so long, and report."""
    with tempfile.TemporaryDirectory(prefix="load-") as folder:
        lab = _lab(Path(folder), ues)
        try:
            return _loaded(lab, ues, 60.0 * minutes, say)
        finally:
            lab.end()


def _lab(folder: Path, ues: int) -> Lab:
    names, rng = [f"ue-{number}" for number in range(1, ues + 1)], np.random.default_rng(1)
    places = zip(names, rng.uniform(1.5, 9.5, ues), rng.uniform(-58, 58, ues), strict=True)
    controller = {
        "ues": names,
        "schemes": [{"scheme": "cbs"}, {"scheme": "likelihood", "plan": "pair"}],
        "rounds": 1_000_000,
        "gather_s": GATHER_S,
        "rejoin_s": 30.0,
        "request_deadline_s": 5.0,  # hundreds of agents share the processors with their emulator
        "retries": 3,
        "heartbeat_s": 0.5,
        "liveness_s": 5.0,
    }
    users = {name: {"range_m": float(range_m), "angle_deg": float(angle_deg)} for name, range_m, angle_deg in places}
    downlink = {
        "subcarriers": 256
    }  # with half of them `likelihood` could not tell one end of the region from the other
    lab = Lab(folder, ues=0, downlink=downlink, controller=controller, emulator={"users": users})
    lab.ues = tuple(names)
    return lab


def _loaded(lab: Lab, ues: int, lasts_s: float, say: Say) -> LoadReport:
    parts = {"controller": lab.controller(), "emulator": lab.emulator()}
    for number, first in enumerate(range(0, ues, AGENTS_PER_PROCESS), start=1):
        names = lab.ues[first : first + AGENTS_PER_PROCESS]
        parts[f"agents {number}"] = lab.start("-m", "tests.faults.many_agents", str(lab.file), *names)
    log, controller = Log(), parts["controller"]
    wait_until(lambda: any('"kind":"fix"' in line for line in controller.out[-500:]), "the first fix", 2 * GATHER_S)
    say(f"{ues} UEs are being located")
    began_s, scales = time.monotonic(), Scales({name: part.pid for name, part in parts.items()})
    while time.monotonic() < began_s + lasts_s:
        log.read(controller)
        for name, part in parts.items():
            assert part.status is None, f"{name} ended: {part.errors[-2000:]}"
        scales.weigh()
        time.sleep(TICK_S)
    controller.signal(signal.SIGINT)
    controller.ended()
    log.read(controller)
    return _report(log, ues, time.monotonic() - began_s, scales.slopes())


def _report(log: Log, ues: int, lasted_s: float, memory: tuple[Slope, ...]) -> LoadReport:
    lossless = log.unexplained == 0 and log.failures == 0 and log.fixes >= ues
    percentiles = {name: np.percentile(ms, [50, 99]) for name, ms in log.latency_ms.items()}
    return LoadReport(
        ues=ues,
        lasted_s=lasted_s,
        fixes=log.fixes,
        fixes_per_s=log.fixes / lasted_s,
        fix_p50_ms={name: float(p50) for name, (p50, _) in percentiles.items()},
        fix_p99_ms={name: float(p99) for name, (_, p99) in percentiles.items()},
        requests=log.requests,
        answered=log.answered,
        under_way=log.under_way,
        unexplained=log.unexplained,
        failures=log.failures,
        counters=dict(log.counters),
        memory=memory,
        met=lossless and (lasted_s < SHORTEST_FIT_S or not grown(memory, FLAT_MIB_PER_HOUR)),
    )
