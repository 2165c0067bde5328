"""A seeded campaign of faults against real processes, and what it did to those that were hit and to the others (shell).

Each kind has a testbed of its own, which lives for all faults of that kind; few faults of a kind share one with others. At
most two users are hit at a time, so that two are healthy. Nothing waits for a fixed time but for what a fault's own length is.
"""

import random
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

import numpy as np

from deploy.soak_rows import FaultReport, FaultRow
from tests.faults.beds import CONTROLLER, PLACES, REQUEST_DEADLINE_S, RETRIES, Bed, Told, Wiring, started_bed
from tests.faults.kinds import KINDS, Kind, Wound, hit_users
from tests.faults.network_namespace import refusal

MAX_HIT = 2
#: A localization nobody disturbs, on a machine whose processors are busy with starting processes.
UNDISTURBED_S = 2.0
#: A user who is furthest behind goes first, and holds up the others until its request is given up: in one localization of
#: theirs, once for each user that is hit (DECISIONS, "The UE that is furthest behind goes first").
HEALTHY_BOUND_S = MAX_HIT * (RETRIES + 1) * REQUEST_DEADLINE_S + UNDISTURBED_S
#: Silence noticed (0.5 s; 3 s before a welcome), a pause (2 s), a connection (2 s) that TCP tries again after as long as it
#: was cut (2 s), a handshake (2 s), and a process's start on a busy machine, twice if its controller's started with it.
RECOVERY_BOUND_S = 30.0
#: Queues are bounded: 64 messages of at most 16 KiB per peer, twice, and what the allocator keeps.
GROWTH_BOUND_MIB = 48.0
SHARED_BELOW = 20
TICK_S = 0.01
MEMORY_EVERY_S = 0.5

Say = Callable[[str], None]


@dataclass(slots=True)
class Fault:
    """One fault, and who has been located since it ended.

    The first fix after it may have been under way before: only a user's second one counts.
    """

    victim: str
    wound: Wound
    hit: frozenset[str]
    heals_at_s: float
    healed_s: float | None = None
    fixes: dict[str, int] = field(default_factory=dict)

    def located(self, ue: str) -> bool:
        """Take note of a fix; return whether all who were hit have recovered."""
        if self.healed_s is not None and ue in self.hit:
            self.fixes[ue] = self.fixes.get(ue, 0) + 1
        return all(self.fixes.get(one, 0) >= 2 for one in self.hit)


@dataclass(slots=True)
class Tally:
    """What has come of the faults of one kind."""

    kind: Kind
    recovery_s: list[float] = field(default_factory=list)
    healthy_ms: list[float] = field(default_factory=list)
    memory_mib: dict[str, float] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)
    altered: int = 0
    ended: int = 0

    def break_(self, texts: Iterable[str]) -> None:
        """Take note of broken invariants."""
        self.violations += [f"{self.kind.name}: {text}" for text in texts]

    def row(self) -> FaultRow:
        """Return the figures."""
        p50_s, p95_s, max_s = np.percentile(self.recovery_s or [float("nan")], [50, 95, 100])
        healthy = np.percentile(self.healthy_ms, [50, 99]) if self.healthy_ms else None
        return FaultRow(
            kind=self.kind.name,
            count=len(self.recovery_s),
            violations=len(self.violations),
            recovery_p50_s=float(p50_s),
            recovery_p95_s=float(p95_s),
            recovery_max_s=float(max_s),
            healthy_fixes=len(self.healthy_ms),
            healthy_p50_ms=None if healthy is None else float(healthy[0]),
            healthy_p99_ms=None if healthy is None else float(healthy[1]),
            memory_max_mib=self.memory_mib,
            altered=self.altered,
            ended=self.ended,
        )


class Batch:
    """Faults of one kind against one bed."""

    def __init__(self, bed: Bed, kind: Kind, count: int, rng: random.Random, warm_mib: dict[str, float]) -> None:
        self.tally = Tally(kind)
        self._bed, self._kind, self._left, self._rng, self._warm_mib = bed, kind, count, rng, warm_mib
        self._active: list[Fault] = []
        self._next_s = self._weighed_s = time.monotonic()
        self._healthy_from_s = dict.fromkeys(PLACES, time.monotonic())
        self._sound = set(PLACES)  # who has been located since the last fault and what was done about it

    def carry_out(self) -> None:
        """Inflict all faults and wait until everybody has recovered."""
        while self._left or self._active:
            self._listen()
            self._heal()
            self._look_after()
            self._strike()
            time.sleep(TICK_S)
        self._settle_accounts()

    def _strike(self) -> None:
        now_s = time.monotonic()
        if not self._left or now_s < self._next_s or len(self._active) >= MAX_HIT:
            return
        busy = frozenset[str]().union(*(fault.hit for fault in self._active))
        free = [victim for victim in self._kind.victims if hit_users(victim) <= self._sound - busy]
        if not free:
            self._wait_in_vain(now_s)
            return
        victim = self._rng.choice(free)
        wound = self._kind.strike(self._bed, victim, self._rng)
        self._left -= 1
        self._active.append(Fault(victim, wound, hit_users(victim), heals_at_s=now_s + wound.lasts_s))
        self._next_s = time.monotonic() + self._rng.uniform(0.2, 0.6)

    def _wait_in_vain(self, now_s: float) -> None:
        """End the batch if nobody is hit any more and nobody is located either."""
        if not self._active and now_s - self._next_s > RECOVERY_BOUND_S:
            self.tally.break_([f"located of all users: {sorted(self._sound)}; {self._left} faults are left out"])
            self._left = 0

    def _heal(self) -> None:
        for fault in self._active:
            if fault.healed_s is None and time.monotonic() >= fault.heals_at_s:
                fault.wound.heal()
                fault.healed_s = time.monotonic()

    def _listen(self) -> None:
        for told in self._bed.news():
            if told.record["kind"] != "fix":
                continue
            self._sound.add(str(told.record["ue"]))
            self._weigh_latency(told)
            for fault in [fault for fault in self._active if fault.located(str(told.record["ue"]))]:
                self._recovered(fault, told.at_s)
        late = [
            fault for fault in self._active if fault.healed_s and time.monotonic() - fault.healed_s > RECOVERY_BOUND_S
        ]
        for fault in late:
            self._given_up(fault)

    def _weigh_latency(self, told: Told) -> None:
        """Count the latency of a user who is healthy while others are not."""
        ue, latency_ms = str(told.record["ue"]), told.record["latency_ms"]
        assert isinstance(latency_ms, float)
        hit = any(ue in fault.hit for fault in self._active)
        if self._active and not hit and told.at_s - latency_ms / 1e3 >= self._healthy_from_s[ue]:
            self.tally.healthy_ms.append(latency_ms)

    def _recovered(self, fault: Fault, at_s: float) -> None:
        assert fault.healed_s is not None
        self.tally.recovery_s.append(at_s - fault.healed_s)
        self._over(fault)

    def _given_up(self, fault: Fault) -> None:
        missing = sorted(ue for ue in fault.hit if fault.fixes.get(ue, 0) < 2)
        self.tally.break_([f"{', '.join(missing)} not located {RECOVERY_BOUND_S:g} s after the fault"])
        self.tally.recovery_s.append(RECOVERY_BOUND_S)
        self._over(fault)
        self._bed.kill(fault.victim)
        if fault.victim == CONTROLLER:
            self.tally.break_(self._bed.next_controller())
        else:
            self._bed.start_part(fault.victim)

    def _over(self, fault: Fault) -> None:
        self._active.remove(fault)
        self._healthy_from_s |= dict.fromkeys(fault.hit, time.monotonic())
        self.tally.break_(fault.wound.afterwards())
        self._sound -= fault.hit
        self._settle_accounts()

    def _settle_accounts(self) -> None:
        """Check what must hold after every fault."""
        self.tally.break_(self._bed.ledger.check())
        astray, self._bed.astray[:] = list(self._bed.astray), []
        if self._kind.alters:
            self.tally.altered += len(astray)
        else:
            self.tally.break_(f"a fix of {record['ue']} lies at another user: {record}" for record in astray)

    def _look_after(self) -> None:
        """Start parts again that have ended by themselves, and weigh all of them."""
        for part, process in list(self._bed.parts.items()):
            if process.status is None:
                continue
            if self._kind.alters and part in PLACES:
                self.tally.ended += 1
            else:
                self.tally.break_([f"{part} ended with status {process.status}: {process.errors[-500:]}"])
            process.end()
            if part == CONTROLLER:
                self.tally.break_(self._bed.next_controller())
            else:
                self._bed.start_part(part)
        if time.monotonic() - self._weighed_s > MEMORY_EVERY_S:
            self._weighed_s = time.monotonic()
            for role, mib in self._bed.memory_mib().items():
                self.tally.memory_mib[role] = max(self.tally.memory_mib.get(role, 0.0), mib)

    def bound(self) -> None:
        """Hold memory and the healthy users' latency of the whole batch to their bounds."""
        for role, mib in self.tally.memory_mib.items():
            if mib > self._warm_mib[role] + GROWTH_BOUND_MIB:
                self.tally.break_([f"{role} took {mib:.0f} MiB, {self._warm_mib[role]:.0f} before the first fault"])
        p99_ms = self.tally.row().healthy_p99_ms
        if p99_ms is not None and p99_ms > 1e3 * HEALTHY_BOUND_S:
            self.tally.break_([f"99 % of healthy users' fixes took up to {p99_ms:.0f} ms"])


def planned(count: int) -> list[tuple[Kind, int]]:
    """Return how many faults of each kind a campaign has, one at least."""
    total = sum(kind.share for kind in KINDS)
    ends = np.rint(np.cumsum([kind.share for kind in KINDS]) * count / total).astype(int)
    counts = np.diff(ends, prepend=0)
    return [(kind, max(1, int(number))) for kind, number in zip(KINDS, counts, strict=True)]


def campaign(count: int, seed: int, say: Say = lambda _line: None) -> FaultReport:
    """Carry out a campaign; folders of a broken one are kept and named."""
    began_s, rng = time.monotonic(), random.Random(seed)
    why_not = refusal()
    plan = [(kind, number) for kind, number in planned(count) if not (why_not and kind.wiring is Wiring.CABLED)]
    folder, tallies = Path(tempfile.mkdtemp(prefix="faults-")), list[Tally]()
    for number, (_, group) in enumerate(groupby(plan, key=_bed_key)):
        tallies += _on_one_bed(folder / f"bed-{number}", list(group), rng, say)
    violations = [text for tally in tallies for text in tally.violations]
    if violations:
        say(f"the processes' files are kept in {folder}")
    else:
        shutil.rmtree(folder)
    return FaultReport(
        seed=seed,
        count=sum(len(tally.recovery_s) for tally in tallies),
        lasted_s=time.monotonic() - began_s,
        healthy_bound_ms=1e3 * HEALTHY_BOUND_S,
        recovery_bound_s=RECOVERY_BOUND_S,
        growth_bound_mib=GROWTH_BOUND_MIB,
        rows=tuple(tally.row() for tally in tallies),
        violations=tuple(violations),
        skipped={kind.name: why_not for kind in KINDS if why_not and kind.wiring is Wiring.CABLED},
    )


def _bed_key(planned_kind: tuple[Kind, int]) -> tuple[Wiring, str]:
    kind, number = planned_kind
    return kind.wiring, kind.name if number >= SHARED_BELOW else ""


def _on_one_bed(folder: Path, plan: Sequence[tuple[Kind, int]], rng: random.Random, say: Say) -> list[Tally]:
    tallies: list[Tally] = []
    with started_bed(folder, plan[0][0].wiring, seed=rng.randrange(2**31)) as bed:
        warm_mib = _warm(bed)
        for kind, number in plan:
            batch = Batch(bed, kind, number, rng, warm_mib)
            batch.carry_out()
            batch.bound()
            tallies.append(batch.tally)
            say(f"{kind.name}: {number} faults, {len(batch.tally.violations)} violations")
    return tallies


def _warm(bed: Bed) -> dict[str, float]:
    """Wait until every user has fixes of every scheme, and return what the parts weigh then."""
    deadline_s, fixes = time.monotonic() + 2 * RECOVERY_BOUND_S, dict.fromkeys(PLACES, 0)
    while min(fixes.values()) < 6:
        if time.monotonic() > deadline_s:
            raise AssertionError(
                f"expected six fixes of each user, got {fixes}: {bed.parts[CONTROLLER].errors[-2000:]}"
            )
        for told in bed.news():
            fixes[str(told.record["ue"])] += told.record["kind"] == "fix"
        time.sleep(TICK_S)
    return bed.memory_mib()
