"""Places in polar coordinates and on the axes of the array, broadside first, and where somebody is whom several sweeps met."""

import math
from collections.abc import Iterable

Position = tuple[float, float]  # range, m, and angle, rad
Point = tuple[float, float]  # x and y, m


def point_m(range_m: float, angle_rad: float) -> Point:
    """Return x and y of a polar position."""
    return range_m * math.cos(angle_rad), range_m * math.sin(angle_rad)


def midway(positions: Iterable[Position | None]) -> Position | None:
    """Return the mean of where a user was in the sweeps of a fix, which a fix is of; none if one is unknown."""
    found = list(positions)
    known = [position for position in found if position is not None]
    if not known or len(known) < len(found):
        return None
    if len(set(known)) == 1:
        return known[0]  # without rounding
    x_m, y_m = (sum(axis) / len(known) for axis in zip(*(point_m(*one) for one in known), strict=True))
    return math.hypot(x_m, y_m), math.atan2(y_m, x_m)
