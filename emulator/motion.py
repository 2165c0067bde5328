"""How users move: straight on, and along ways of straight legs; positions and velocities at any time.

Points are ``(x, y)`` in metres: broadside is the x axis, the linear array lies on the y axis. Time is seconds since the scene
began. A motion answers for any time, in any order, and the same each time. Pure: no I/O, no clock, no random numbers.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from emulator.config import Repeat, WaypointsSection
from protocol.testbed import Region

Floats = npt.NDArray[np.float64]
Point = tuple[float, float]

# On a border of the region, polar to Cartesian and back: a few roundings of 50 m.
ROUNDING_M = 1e-9


class Motion(Protocol):
    """A user's place and velocity over time."""

    def position_m(self, time_s: float) -> Point:
        """Return where the user is."""

    def velocity_m_s(self, time_s: float) -> Point:
        """Return how fast it moves along both axes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Straight:
    """Straight on for ever."""

    start_m: Point
    speed_m_s: Point

    def position_m(self, time_s: float) -> Point:
        """Return where the user is."""
        return self.start_m[0] + self.speed_m_s[0] * time_s, self.start_m[1] + self.speed_m_s[1] * time_s

    def velocity_m_s(self, time_s: float) -> Point:
        """Return how fast it moves along both axes."""
        return self.speed_m_s


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Way:
    """Straight legs, each at constant speed, and what happens at the end.

    ``time_s`` is ``(point,)``, begins at zero and grows; ``point_m`` is ``(point, xy)``. One that loops ends where it begins.
    """

    time_s: Floats
    point_m: Floats
    repeat: Repeat

    def position_m(self, time_s: float) -> Point:
        """Return where the user is."""
        leg, into_s, _ = self._leg(time_s)
        x_m, y_m = self.point_m[leg] + into_s * self._leg_velocity_m_s(leg)
        return float(x_m), float(y_m)

    def velocity_m_s(self, time_s: float) -> Point:
        """Return how fast it moves along both axes; where it changes, that of the leg that begins."""
        leg, _, direction = self._leg(time_s)
        vx_m_s, vy_m_s = direction * self._leg_velocity_m_s(leg)
        return float(vx_m_s), float(vy_m_s)

    def _leg(self, time_s: float) -> tuple[int, float, int]:
        """Return the leg, the time since its beginning, and 1, -1 on the way back, 0 after the end."""
        lasts_s, direction = float(self.time_s[-1]), 1
        if self.repeat == "once" and time_s >= lasts_s:
            time_s, direction = lasts_s, 0
        elif self.repeat == "loop":
            time_s %= lasts_s
        elif self.repeat == "back_and_forth":
            time_s %= 2 * lasts_s
            if time_s >= lasts_s:
                time_s, direction = 2 * lasts_s - time_s, -1
        leg = int(np.searchsorted(self.time_s, time_s, side="right" if direction > 0 else "left")) - 1
        leg = min(max(leg, 0), self.time_s.size - 2)
        return leg, time_s - float(self.time_s[leg]), direction

    def _leg_velocity_m_s(self, leg: int) -> Floats:
        velocity_m_s: Floats = np.subtract(*self.point_m[[leg + 1, leg]]) / np.subtract(*self.time_s[[leg + 1, leg]])
        return velocity_m_s


def point_m(range_m: float, angle_rad: float) -> Point:
    """Return a place in polar coordinates as a point."""
    return range_m * math.cos(angle_rad), range_m * math.sin(angle_rad)


def way_from_waypoints(section: WaypointsSection, region: Region) -> Way:
    """Return the way through the points of a testbed file.

    Raises
    ------
    ValueError
        If it leaves the region, stands still where it has a speed, or is somewhere before it was at the place before.
    """
    stops = section.points + (section.points[:1] if section.repeat == "loop" else ())
    points_m = np.array([point_m(stop.range_m, math.radians(stop.angle_deg)) for stop in stops])
    refuse_outside(points_m, region, [f"points[{index % len(section.points)}]" for index in range(len(stops))])
    times_s = [0.0]
    for index, stop in enumerate(stops[1:], start=1):
        where = f"points[{index % len(section.points)}]"
        length_m = math.dist(points_m[index - 1], points_m[index])
        if stop.speed_m_s is not None and length_m == 0:
            raise ValueError(f"{where}: expected at_s for a place that is the one before, got speed_m_s")
        at_s = stop.at_s if stop.speed_m_s is None else times_s[-1] + length_m / stop.speed_m_s
        if at_s is None or at_s <= times_s[-1]:
            raise ValueError(
                f"{where}: expected at_s after {times_s[-1]:g} s, the time at the point before, got {at_s}"
            )
        times_s.append(at_s)
    return Way(time_s=np.array(times_s), point_m=points_m, repeat=section.repeat)


def way_from_track(time_s: Floats, points_m: Floats, repeat: Repeat) -> Way:
    """Return the way along a track; a loop goes back to its beginning as fast as the track is on average.

    Parameters
    ----------
    time_s
        ``(row,)`` that grows, at least two.
    points_m
        ``(row, xy)``.
    repeat
        What happens at the end.
    """
    time_s = time_s - time_s[0]
    length_m = float(np.linalg.norm(np.diff(points_m, axis=0), axis=1).sum())
    back_m = math.dist(points_m[-1], points_m[0])
    if repeat == "loop" and back_m > 0:
        time_s = np.append(time_s, time_s[-1] * (1 + back_m / length_m))
        points_m = np.append(points_m, points_m[:1], axis=0)
    return Way(time_s=time_s, point_m=points_m, repeat=repeat)


def refuse_outside(points_m: Floats, region: Region, names: Sequence[str]) -> None:
    """Refuse points and legs ``(point, xy)`` beyond the region, by their names, one for each point.

    Raises
    ------
    ValueError
        If one is; a leg may leave the region between two points within, since its inner border is bent.
    """
    range_m, angle_rad = np.hypot(*points_m.T), np.arctan2(points_m[:, 1], points_m[:, 0])
    slack_rad = ROUNDING_M / region.range_min_m
    is_outside = (range_m < region.range_min_m - ROUNDING_M) | (range_m > region.range_max_m + ROUNDING_M)
    is_outside |= (angle_rad < region.angle_min_rad - slack_rad) | (angle_rad > region.angle_max_rad + slack_rad)
    if is_outside.any():
        index = int(np.argmax(is_outside))
        got = f"{range_m[index]:g} m at {math.degrees(angle_rad[index]):g} deg"
        raise ValueError(f"{names[index]}: expected a place within {_shown(region)}, got {got}")
    nearest_m = _nearest_m(points_m[:-1], points_m[1:])
    if nearest_m.size and nearest_m.min() < region.range_min_m - ROUNDING_M:
        leg = int(np.argmin(nearest_m))
        text = f"expected a straight way from {names[leg]} within {_shown(region)}, got one that passes at"
        raise ValueError(f"{names[leg + 1]}: {text} {nearest_m[leg]:g} m")


def _nearest_m(begin_m: Floats, end_m: Floats) -> Floats:
    """Return how near legs ``(leg, xy)`` come to the array's centre, ``(leg,)``."""
    step_m = end_m - begin_m
    square_m2 = np.maximum((step_m**2).sum(axis=1), np.finfo(np.float64).tiny)
    share = np.clip(-(begin_m * step_m).sum(axis=1) / square_m2, 0.0, 1.0)
    nearest_m: Floats = np.linalg.norm(begin_m + share[:, np.newaxis] * step_m, axis=1)
    return nearest_m


def _shown(region: Region) -> str:
    low_deg, high_deg = math.degrees(region.angle_min_rad), math.degrees(region.angle_max_rad)
    return f"{region.range_min_m:g} .. {region.range_max_m:g} m and {low_deg:g} .. {high_deg:g} deg"
