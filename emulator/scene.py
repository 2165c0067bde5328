"""Where everything really is: users at rest or on straight tracks, and scatterers; the ground truth of a run.

Positions are polar around the array's centre: broadside is the x axis, the linear array lies on the y axis. Time is
seconds since the scene began. A user that has walked behind the array is refused.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from emulator.config import EmulatorSection, ScattererSection, UserSection
from protocol.testbed import LinearArray, TestbedFacts

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """A point in front of the array, seen from the array's centre."""

    range_m: float
    angle_rad: float

    def __post_init__(self) -> None:
        if not (self.range_m > 0 and math.isfinite(self.range_m)):
            raise ValueError(f"range_m must be positive and finite, got {self.range_m:g} m")
        if not abs(self.angle_rad) < math.pi / 2:
            raise ValueError(f"angle_rad must lie within +-pi/2, in front of the array, got {self.angle_rad:g} rad")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scatterer:
    """A point that sends a user's signal on; ``gain`` is complex and relative to the user's line of sight."""

    position: Position
    gain: complex


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A user's place at time zero, its velocity along x and y, and its mask over the linear array, ``(element,)``."""

    start: Position
    velocity_m_s: tuple[float, float]
    visible: Floats


class Scene:
    """The users and scatterers of one run."""

    def __init__(self, users: Mapping[str, User], scatterers: tuple[Scatterer, ...]) -> None:
        self._users = dict(users)
        self._scatterers = scatterers

    @classmethod
    def from_section(cls, section: EmulatorSection, facts: TestbedFacts) -> "Scene":
        """Return the scene that a testbed file describes.

        Raises
        ------
        ValueError
            If a user cannot be where the file puts it, or names a sub-array that the array does not have.
        """
        array = facts.downlink.array
        users = {name: _user(name, user, array) for name, user in section.users.items()}
        return cls(users, tuple(_scatterer(scatterer) for scatterer in section.scatterers))

    @property
    def names(self) -> tuple[str, ...]:
        """Return the users' names in the order of the file."""
        return tuple(self._users)

    @property
    def scatterers(self) -> tuple[Scatterer, ...]:
        """Return the scatterers, common to all users."""
        return self._scatterers

    def position(self, name: str, now_s: float) -> Position:
        """Return where a user is ``now_s`` seconds after the scene began.

        Raises
        ------
        KeyError
            If the scene has no such user.
        ValueError
            If the user has left the half-space in front of the array.
        """
        user = self._users[name]
        vx_m_s, vy_m_s = user.velocity_m_s
        if vx_m_s == vy_m_s == 0:
            return user.start
        x_m = user.start.range_m * math.cos(user.start.angle_rad) + vx_m_s * now_s
        y_m = user.start.range_m * math.sin(user.start.angle_rad) + vy_m_s * now_s
        if x_m <= 0:
            raise ValueError(f"user {name!r} must stay in front of the array, is at x = {x_m:g} m after {now_s:g} s")
        return Position(range_m=math.hypot(x_m, y_m), angle_rad=math.atan2(y_m, x_m))

    def visible(self, name: str) -> Floats:
        """Return which elements of the linear array see a user, 1 or 0, ``(element,)``; a KeyError if unknown."""
        return self._users[name].visible


def _user(name: str, section: UserSection, array: LinearArray) -> User:
    try:
        start = Position(range_m=section.range_m, angle_rad=math.radians(section.angle_deg))
    except ValueError as error:
        raise ValueError(f"user {name!r}: {error}") from error
    return User(
        start=start, velocity_m_s=section.velocity_m_s, visible=_visible(name, section.visible_subarrays, array)
    )


def _visible(name: str, subarrays: tuple[int, ...] | Literal["all"], array: LinearArray) -> Floats:
    indices = range(array.subarrays) if subarrays == "all" else subarrays
    outside = [index for index in indices if not 0 <= index < array.subarrays]
    if outside:
        raise ValueError(f"user {name!r}: sub-arrays must lie in 0..{array.subarrays - 1}, got {outside}")
    mask = np.isin(array.element_subarray, list(indices)).astype(np.float64)
    mask.flags.writeable = False  # every sweep of the user shares it
    return mask


def _scatterer(section: ScattererSection) -> Scatterer:
    amplitude, phase_rad = 10 ** (section.gain_db / 20), math.radians(section.phase_deg)
    return Scatterer(
        position=Position(range_m=section.range_m, angle_rad=math.radians(section.angle_deg)),
        gain=amplitude * complex(math.cos(phase_rad), math.sin(phase_rad)),
    )
