"""From records of kind ``track`` to what the map draws; what a tracker does not say is left out (rules)."""

import math
from collections.abc import Mapping
from typing import Any

Record = Mapping[str, Any]

TRAIL_POINTS = 200


def track_values(record: Record, before: Mapping[str, object] | None) -> dict[str, object]:
    """Return where a user is tracked, with covariance, velocity and the way so far."""
    point = _point(record)
    trail = list(before["trail"]) if before is not None and isinstance(before["trail"], list) else []
    velocity = (record.get("x_m_s"), record.get("y_m_s"))
    known = all(isinstance(value, int | float) for value in velocity)
    return {
        "ue": record["ue"],
        "time_s": record.get("time_s"),
        "point": point,
        "covariance": _covariance(record),
        "velocity": velocity if known else record.get("velocity_m_s"),
        "schemes": record.get("schemes", []),
        "trail": [*trail[-TRAIL_POINTS + 1 :], point],
    }


def _point(record: Record) -> tuple[float, float]:
    if "x_m" in record:
        return float(record["x_m"]), float(record["y_m"])
    range_m, angle_rad = float(record["range_m"]), float(record["angle_rad"])
    return range_m * math.cos(angle_rad), range_m * math.sin(angle_rad)


def _covariance(record: Record) -> tuple[float, float, float] | None:
    """Return the variances of x and y with their covariance between them."""
    covariance = record.get("covariance")
    if not isinstance(covariance, Mapping) or "x_m2" not in covariance:
        return None
    return float(covariance["x_m2"]), float(covariance["xy_m2"]), float(covariance["y_m2"])
