"""How a benchmark row is measured: ours and its baseline in turn, in one process, each by its median."""

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of `nftestbed bench`."""

    name: str
    ours_ms: float
    baseline_ms: float | None
    error: float | None
    target: str
    met: bool
    details: dict[str, float | int | str | dict[str, float]]

    @property
    def ratio(self) -> float | None:
        """Return the ratio of medians, baseline over ours; null for a row without a baseline."""
        return None if self.baseline_ms is None else self.baseline_ms / self.ours_ms


def median_ms(
    ours: Callable[[], object], baseline: Callable[[], object], *, ours_runs: int, baseline_runs: int
) -> tuple[float, float]:
    """Return the median milliseconds of both, run in alternating blocks after one warm-up each.

    The machine's speed wanders; blocks in turn let both see the same weather.
    """
    ours()
    baseline()
    ours_s: list[float] = []
    baseline_s: list[float] = []
    per_block = max(1, ours_runs // baseline_runs)
    for _ in range(baseline_runs):
        baseline_s.append(_seconds(baseline))
        ours_s.extend(_seconds(ours) for _ in range(per_block))
    return 1e3 * sorted(ours_s)[len(ours_s) // 2], 1e3 * sorted(baseline_s)[len(baseline_s) // 2]


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
