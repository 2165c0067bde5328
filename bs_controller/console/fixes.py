"""From a fix as it is recorded to what the map draws (kernel)."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

Record = Mapping[str, Any]


def fix_values(
    record: Record, point: tuple[float, float], truth: tuple[float, float] | None, error_m: float | None
) -> dict[str, object]:
    """Return a fix with its place, that of the truth and the distance between both, m, where there is a truth."""
    covariance = record.get("covariance") or {}
    return {
        **{key: record[key] for key in ("ue", "scheme", "round", "range_m", "angle_rad", "sweeps", "latency_ms")},
        "time_s": record.get("time_s"),
        "point": point,
        "truth": truth,
        "error_m": error_m,
        "covariance": covariance_m2(record["range_m"], record["angle_rad"], covariance),
        "integrity": record["integrity"] if isinstance(record.get("integrity"), str) else None,
    }


def covariance_m2(range_m: float, angle_rad: float, covariance: Record) -> tuple[float, float, float] | None:
    """Return the variances of x and y and their covariance, in that order xx, xy, yy, of a polar covariance."""
    if "range_m2" not in covariance:
        return None
    cosine, sine = math.cos(angle_rad), math.sin(angle_rad)
    turn = np.array([[cosine, -range_m * sine], [sine, range_m * cosine]])
    mixed = covariance["range_angle_m_rad"]
    polar = np.array([[covariance["range_m2"], mixed], [mixed, covariance["angle_rad2"]]])
    cartesian = turn @ polar @ turn.T
    return float(cartesian[0, 0]), float(cartesian[0, 1]), float(cartesian[1, 1])
