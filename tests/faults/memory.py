"""What processes keep of memory, weighed again and again, and whether it grows (shell)."""

import time
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from deploy.soak_rows import Slope

WEIGH_EVERY_S = 2.0
#: Reading code, compiled loops, caches and the allocator come first, for so long or for this part of a shorter run; growth is
#: sought in the rest.
WARM_UP_S, WARM_UP = 240.0, 0.4
#: In less time the warm-up is all that can be seen.
SHORTEST_FIT_S = 300.0
#: What counts: pages of its own, wherever they lie. Those of files come and go with what else the machine does.
OWN_PAGES = ("Anonymous:", "Swap:")

Floats = npt.NDArray[np.float64]


def own_mib(pid: int) -> float:
    """Return the memory that a process has of its own; nothing if it has ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith(OWN_PAGES)) / 1024


class Scales:
    """Processes, and what they have weighed so far."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._pids = dict(pids)
        self._at_s: list[float] = []
        self._mib: dict[str, list[float]] = {name: [] for name in pids}

    def weigh(self) -> None:
        """Weigh all processes, if it is time to."""
        now_s = time.monotonic()
        if self._at_s and now_s - self._at_s[-1] < WEIGH_EVERY_S:
            return
        self._at_s.append(now_s)
        for name, pid in self._pids.items():
            mib = own_mib(pid)
            assert mib, f"{name} has ended"
            self._mib[name].append(mib)

    def slopes(self) -> tuple[Slope, ...]:
        """Return the growth of each process."""
        return tuple(slope(name, np.array(self._at_s), np.array(mib)) for name, mib in self._mib.items())

    def curve_mib(self, name: str) -> tuple[float, ...]:
        """Return the mean weight of a process in each minute."""
        minute = ((np.array(self._at_s) - self._at_s[0]) / 60.0).astype(int)
        mib = np.array(self._mib[name])
        return tuple(float(mib[minute == one].mean()) for one in np.unique(minute))


def slope(process: str, at_s: Floats, mib: Floats) -> Slope:
    """Return the growth of a process after its warm-up, by a straight line.

    Successive weighings are alike: the error of as many independent ones is widened by their correlation.
    """
    late = at_s >= at_s[0] + min(WARM_UP_S, WARM_UP * (at_s[-1] - at_s[0]))
    hours, weight = at_s[late] / 3600.0, mib[late]
    spread = hours - hours.mean()
    growth = float(spread @ weight / (spread @ spread))
    rest = weight - weight.mean() - growth * spread
    power = float(rest @ rest)
    alike = min(max(float(rest[1:] @ rest[:-1]) / power, 0.0), 0.99) if power > 0 else 0.0
    error = np.sqrt(power / (hours.size - 2) / (spread @ spread) * (1 + alike) / (1 - alike))
    return Slope(
        process=process,
        first_mib=float(weight[0]),
        last_mib=float(weight[-1]),
        mib_per_hour=growth,
        standard_error=float(error),
    )


def grown(memory: Iterable[Slope], most_mib_per_hour: float) -> tuple[Slope, ...]:
    """Return the processes that are seen to grow by more than so much, whatever the scatter of what they weighed."""
    return tuple(part for part in memory if part.mib_per_hour - 2 * part.standard_error > most_mib_per_hour)
