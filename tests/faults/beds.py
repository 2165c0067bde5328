"""Testbeds to be hurt: processes as a user starts them, wired so that faults can reach them, and what they say (shell).

A bed outlives its controllers: each next one records into a run directory of its own. Names of users differ in two bits, so
that no single wrong bit makes one of another.
"""

import json
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from tests.faults.chaos_proxy import ChaosProxy, chaos_proxies
from tests.faults.invariants import ENDS, Place, RunLedger
from tests.faults.memory import own_mib
from tests.faults.network_namespace import Cables, laid_cables
from tests.qualification.processes import Lab, Process, Record, merged

RADIO = "radio"
CONTROLLER = "controller"
#: Far enough apart that the nearest direction tells whose fix it is.
PLACES: Mapping[str, Place] = {
    "ue-1": Place(range_m=3.0, angle_deg=-45.0),
    "ue-2": Place(range_m=4.0, angle_deg=-15.0),
    "ue-4": Place(range_m=5.0, angle_deg=15.0),
    "ue-7": Place(range_m=3.5, angle_deg=45.0),
}
PEERS = (RADIO, *PLACES)
REQUEST_DEADLINE_S, RETRIES = 0.3, 5
_CONTROLLER: Mapping[str, object] = {
    "ues": list(PLACES),
    "rounds": 1_000_000,
    "gather_s": 60.0,
    "rejoin_s": 60.0,  # longer than any fault: whoever is hit comes back
    "request_deadline_s": REQUEST_DEADLINE_S,
    "retries": RETRIES,
    "heartbeat_s": 0.1,
    "liveness_s": 0.5,
}
_EMULATOR: Mapping[str, object] = {
    "users": {ue: {"range_m": place.range_m, "angle_deg": place.angle_deg} for ue, place in PLACES.items()},
    "downlink_noise": {"mode": "sweep_mean", "snr_db": 30.0},  # a wrong fix shall be a fault's work, not the noise's
    "uplink_noise": {"mode": "sweep_mean", "snr_db": 30.0},
    "front_end": {"settle_s": 0.005},  # a pace that leaves processors time to start processes again
}


class Wiring(Enum):
    """How the processes of a bed are joined."""

    DIRECT = "over the loopback interface"
    PROXIED = "through relays, one per peer and link, each peer with a clock of its own"
    CABLED = "every user a host of its own, in a network namespace"


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A fix or failure that a controller has told of, and when that was read."""

    at_s: float
    record: Record


class Bed(Lab):
    """An emulator, some users, and one controller after the other."""

    def __init__(self, folder: Path, wiring: Wiring, *, seed: int, held: ExitStack) -> None:
        super().__init__(folder, ues=0, controller=_CONTROLLER, emulator=_EMULATOR)
        self.wiring = wiring
        self.parts: dict[str, Process] = {}
        self.proxies: dict[tuple[str, str], ChaosProxy] = {}
        self.cables: Cables | None = None
        self._links = {name: self._endpoint(name) for name in ("control", "air")}
        self.astray: list[Record] = []
        self._told: list[Told] = []
        self._controllers = self._read = 0
        if wiring is Wiring.PROXIED:
            proxy_to = held.enter_context(chaos_proxies(seed))
            pairs = [(peer, link) for peer in PEERS for link in self._links if (peer, link) != (RADIO, "air")]
            self.proxies = {(peer, link): proxy_to(self._links[link]) for peer, link in pairs}
        if wiring is Wiring.CABLED:
            self.cables = held.enter_context(laid_cables(tuple(PLACES)))
        for part in (CONTROLLER, *PEERS):
            self.write(f"{part}.yaml", merged(self.values, {"links": self._links_of(part)}))
            self.set_clock(part, 0.0)
        self.ledger = self._next_ledger()

    def _endpoint(self, name: str) -> int:
        links = self.values["links"]
        assert isinstance(links, dict)
        return int(str(links[name]).rpartition(":")[2])

    def _links_of(self, part: str) -> dict[str, object]:
        """Return the endpoints of one part's own testbed file."""
        host = "127.0.0.1"
        if self.cables is not None:
            host = self.cables.hub_address(part) if part in PLACES else "0.0.0.0"
        ports = {link: self._links[link] for link in self._links}
        ports |= {link: proxy.port for (peer, link), proxy in self.proxies.items() if peer == part}
        links = {link: f"tcp://{host}:{port}" for link, port in ports.items()}
        if part == RADIO and self.cables is not None:
            links["control"] = f"tcp://127.0.0.1:{ports['control']}"
        return {**links, "insecure": self.cables is not None}

    def _next_ledger(self) -> RunLedger:
        self._controllers += 1
        return RunLedger(self.folder / f"run-{self._controllers}", PLACES, self.astray)

    # --- processes ---------------------------------------------------------------------------------------------------

    def start_all(self) -> None:
        """Start every part."""
        for part in (CONTROLLER, *PEERS):
            self.start_part(part)

    def start_part(self, part: str) -> None:
        """Start a part, or start it again."""
        file = str(self.folder / f"{part}.yaml")
        words: tuple[str, ...]
        match part:
            case "controller":
                words = ("bs_controller", file, "--run-dir", str(self.ledger.directory))
            case "radio":
                words = ("emulator", file, "--run-dir", str(self.folder / "truth"))
            case _:
                words = ("ue_agent", file, "--name", part)
        if self.wiring is Wiring.PROXIED:
            words = ("tests.faults.shifted_clock", str(self._clock(part)), *words)
        if self.cables is not None:
            host = self.cables.host(part) if part in PLACES else self.cables.hub
            words = ("tests.faults.network_namespace", host, *words)
        self.parts[part] = self.start("-m", *words)

    def kill(self, part: str) -> None:
        """Kill a part without warning; what it said before is read."""
        self.parts[part].signal(signal.SIGKILL)
        self.parts[part].ended()
        self.parts[part].end()

    def next_controller(self) -> list[str]:
        """Start a controller in a new run directory, its forerunner having ended; return what that one broke."""
        self.parts[CONTROLLER].ended()
        self._listen()
        broken = self.ledger.check()
        self.parts[CONTROLLER].end()
        self.ledger, self._read = self._next_ledger(), 0
        self.start_part(CONTROLLER)
        return broken

    # --- what they say and take --------------------------------------------------------------------------------------

    def news(self) -> list[Told]:
        """Return the fixes and failures that controllers have told of since the last call."""
        self._listen()
        told, self._told = self._told, []
        return told

    def _listen(self) -> None:
        at_s = time.monotonic()
        for line in self.parts[CONTROLLER].out[self._read :]:
            if not line.endswith("\n"):
                break  # the controller was killed while it spoke
            self._read += 1
            record = json.loads(line)
            self.ledger.acknowledge(record)
            if record["kind"] in ENDS:
                self._told.append(Told(at_s=at_s, record=record))

    def memory_mib(self) -> dict[str, float]:
        """Return the memory of each part that runs, by its role; of all users' the largest."""
        found: dict[str, float] = {}
        for part, process in self.parts.items():
            role = "ue" if part in PLACES else part
            found[role] = max(found.get(role, 0.0), own_mib(process.pid))
        return found

    def _clock(self, part: str) -> Path:
        return self.folder / f"{part}.clock"

    def set_clock(self, part: str, ahead_s: float) -> None:
        """Move the wall clock of a part."""
        whole = self.folder / f"{part}.clock.new"
        whole.write_text(str(ahead_s))
        whole.replace(self._clock(part))


@contextmanager
def started_bed(folder: Path, wiring: Wiring, *, seed: int) -> Iterator[Bed]:
    """Yield a bed whose parts have been started; all of it has ended when the context ends."""
    folder.mkdir()
    with ExitStack() as held:
        bed = Bed(folder, wiring, seed=seed, held=held)
        try:
            bed.start_all()
            yield bed
        finally:
            bed.end()
