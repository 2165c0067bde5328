"""What uplink schemes share: ranges outside the array's circle, and a plan made once. No scheme lives here."""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from protocol.testbed import SectorArray

Plan = TypeVar("Plan")


class PlanOnce(Generic[Plan]):
    """A plan, made by whoever comes first; localizations may run in several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._plan: Plan | None = None

    def get(self, make: Callable[[], Plan]) -> Plan:
        """Return the plan, which the first caller makes while others wait."""
        with self._lock:
            if self._plan is None:
                self._plan = make()
            return self._plan


def range_limits_m(array: SectorArray, nearest_m: float | None, farthest_m: float | None) -> tuple[float, float]:
    """Return the first and last range of a grid, by default 1 m and 20 m outside the array's circle.

    Raises
    ------
    ValueError
        If the ranges do not grow or reach into the circle.
    """
    radius_m = array.radius_m
    first_m = radius_m + 1 if nearest_m is None else nearest_m
    last_m = radius_m + 20 if farthest_m is None else farthest_m
    if not radius_m < first_m < last_m:
        raise ValueError(
            f"the grid's ranges must grow outside the array's {radius_m:g} m, got {first_m:g} to {last_m:g} m"
        )
    return first_m, last_m
