"""From records of kind ``track`` to what the map draws; what a tracker does not say is left out (rules)."""

from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bs_controller.places import point_m

Record = Mapping[str, Any]

TRAIL_POINTS, TRAIL_S = 200, 15.0  # are drawn of where a user went last
WAY_POINTS = 400
STATES = 4


@dataclass(slots=True)
class Way:
    """Where a user went in the whole run, in at most `WAY_POINTS`: once there are more, every other one is forgotten."""

    every: int = 1  # so manieth place is a point
    count: int = 0
    axes_m: "array[float]" = field(default_factory=lambda: array("d"))  # x and y in turn
    newest: tuple[float, float] | None = None

    def add(self, point: tuple[float, float]) -> None:
        """Go on to a place."""
        self.newest = point
        if self.count % self.every == 0:
            self.axes_m.extend(point)
        self.count += 1
        if len(self.axes_m) > 2 * WAY_POINTS:
            self.axes_m = array("d", (value for x in range(0, len(self.axes_m), 4) for value in self.axes_m[x : x + 2]))
            self.every *= 2

    def points(self) -> list[tuple[float, float]]:
        """Return its points, from the first place to the newest."""
        points = list(zip(self.axes_m[::2], self.axes_m[1::2], strict=True))
        return points if self.newest is None or points[-1] == self.newest else [*points, self.newest]


def track_values(record: Record, before: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return where a user is tracked, with covariance, velocity and the way so far."""
    point = _point(record)
    time_s = float(record.get("at_s", record.get("time_s", 0.0)))
    trail = [] if before is None else before["trail"]
    times_s = [*([] if before is None else before["times_s"]), time_s][-TRAIL_POINTS:]
    recent = sum(time_s - one_s <= TRAIL_S for one_s in times_s)
    velocity = [record[key] for key in ("vx_m_s", "vy_m_s") if key in record]
    return {
        "ue": record["ue"],
        "time_s": time_s,
        "point": point,
        "covariance": _covariance(record),
        "velocity": velocity or None,
        "age_ms": record.get("age_ms"),
        "trail": [*trail, point][-recent:],
        "times_s": times_s[-recent:],
    }


def _point(record: Record) -> tuple[float, float]:
    if "x_m" in record:
        return float(record["x_m"]), float(record["y_m"])
    return point_m(float(record["range_m"]), float(record["angle_rad"]))


def _covariance(record: Record) -> tuple[float, float, float] | None:
    """Return the variances of x and y with their covariance between them; the state is x, y and their velocities."""
    covariance = record.get("covariance")
    if not isinstance(covariance, list) or len(covariance) != STATES**2:
        return None
    return float(covariance[0]), float(covariance[1]), float(covariance[STATES + 1])
