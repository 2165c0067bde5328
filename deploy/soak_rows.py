"""What campaigns of faults and runs under load report, as it is measured and as it is printed."""

import msgspec


class FaultRow(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of fault: how often, how soon who was hit was located again, and what the others felt of it.

    Where a fault hits all users, nobody is healthy and `healthy_*` are null. `altered` counts fixes that a wrong bit moved,
    `ended` peers that a wrong bit made give up and that were started again: without keys nobody can tell it from the truth.
    """

    kind: str
    count: int
    violations: int
    recovery_p50_s: float
    recovery_p95_s: float
    recovery_max_s: float
    healthy_fixes: int
    healthy_p50_ms: float | None
    healthy_p99_ms: float | None
    memory_max_mib: dict[str, float]
    altered: int
    ended: int


class FaultReport(msgspec.Struct, frozen=True, kw_only=True):
    """A campaign; `violations` tells each broken invariant in words, `skipped` what could not be done here, and why."""

    seed: int
    count: int
    lasted_s: float
    healthy_bound_ms: float
    recovery_bound_s: float
    growth_bound_mib: float
    rows: tuple[FaultRow, ...]
    violations: tuple[str, ...]
    skipped: dict[str, str]


class Slope(msgspec.Struct, frozen=True, kw_only=True):
    """Growth of what a process has of memory of its own over a run, and its standard error."""

    process: str
    first_mib: float
    last_mib: float
    mib_per_hour: float
    standard_error: float


class LoadReport(msgspec.Struct, frozen=True, kw_only=True):
    """A run under load; `unexplained` counts requests that were neither answered nor explained by a counter."""

    ues: int
    lasted_s: float
    fixes: int
    fixes_per_s: float
    fix_p50_ms: dict[str, float]
    fix_p99_ms: dict[str, float]
    requests: int
    answered: int
    under_way: int
    unexplained: int
    failures: int
    counters: dict[str, int]
    memory: tuple[Slope, ...]
    met: bool


class MinuteOfTracking(msgspec.Struct, frozen=True, kw_only=True):
    """One minute of a continuous run."""

    minute: int
    fixes: int
    age_p50_ms: float
    age_p99_ms: float


class TrackReport(msgspec.Struct, frozen=True, kw_only=True):
    """A continuous run that was watched; `curves_mib` are the mean weights of each process, minute by minute."""

    users: int
    lasted_s: float
    fixes_per_s: float
    track_rmse_m: float | None
    counters: dict[str, int]
    minutes: tuple[MinuteOfTracking, ...]
    memory: tuple[Slope, ...]
    curves_mib: dict[str, tuple[float, ...]]
    met: bool
