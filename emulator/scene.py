"""Where everything really is: users at rest or in motion, and scatterers; the ground truth of a run.

Positions are polar around the array's centre: broadside is the x axis, the linear array lies on the y axis. Time is
seconds since the scene began, with a controller's first request. A user that has walked behind the array is refused.
What the file leaves open is drawn once, from the seed and the user's name alone: other users and other fields do not
change it.
"""

import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from emulator.config import (
    MIXED,
    EmulatorSection,
    PathSection,
    RandomWalkSection,
    RecordedSection,
    ScattererSection,
    UserSection,
    WaypointsSection,
)
from emulator.impairments import check_carrier_offset
from emulator.motion import Motion, Point, Straight, Way, point_m, way_from_waypoints
from emulator.propagation import scattered_gain, separation_m
from emulator.random_walk import RandomWalk
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
class Path:
    """A downlink path from the linear array over a scatterer to a user, beside its line of sight.

    ``weight`` is ``(element,)``: 0 where the path is hidden, within 0..1 for a diffracted one. ``coefficient`` is the
    scatterer's strength where the path ``spreads``; where it does not, its square is the power of the path against that
    of the line of sight, each added up over the elements.
    """

    kind: Literal["reflected", "diffracted"]
    scatterer: Position
    coefficient: complex
    spreads: bool
    weight: Floats

    def extra_m(self, user: Position) -> float:
        """Return the distance from the scatterer to the user."""
        place = self.scatterer
        return separation_m(place.range_m, place.angle_rad, user.range_m, user.angle_rad)

    def gain(self, user: Position, visible: Floats) -> complex:
        """Return the gain on one element before the weight, relative to a line of sight of the mask ``(element,)``."""
        if not self.spreads:
            return self.coefficient * math.sqrt(float(visible @ visible) / float(self.weight @ self.weight))
        return scattered_gain(self.coefficient, user.range_m, self.scatterer.range_m, self.extra_m(user))


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A user's place at time zero, how it moves from there, and its mask over the linear array, ``(element,)``.

    Its clock makes pilots look late by ``timing_offset_s`` and turns their phase by ``carrier_offset_hz``.
    """

    start: Position
    motion: Motion | None
    visible: Floats
    paths: tuple[Path, ...] = ()
    timing_offset_s: float = 0.0
    carrier_offset_hz: float = 0.0


class SceneClock:
    """Seconds since the scene began; it begins when it is first asked for, which is at a controller's first request.

    A radio may wait for long before that, as for a controller that compiles its loops; nobody has walked off meanwhile. One
    that was started again goes on at `resumed_s`, as if everybody had stood still.
    """

    def __init__(self, resumed_s: float = 0.0) -> None:
        self._resumed_s = resumed_s
        self._began_s: float | None = None

    def since_s(self, now_s: float) -> float:
        """Return how long ago the scene began, not counting while it stood still."""
        if self._began_s is None:
            self._began_s = now_s - self._resumed_s
        return now_s - self._began_s


class Scene:
    """The users and scatterers of one run."""

    def __init__(self, users: Mapping[str, User], scatterers: tuple[Scatterer, ...]) -> None:
        self._users = dict(users)
        self._scatterers = scatterers

    @classmethod
    def from_section(
        cls, section: EmulatorSection, facts: TestbedFacts, tracks: Mapping[str, Way] | None = None
    ) -> "Scene":
        """Return the scene that a testbed file describes; `tracks` are the recorded ones, by their users' names.

        Raises
        ------
        ValueError
            If a user cannot be where the file puts it or leaves the region by its way, names a sub-array that the array does
            not have, or has a carrier offset beyond what is modelled.
        """
        known = tracks or {}
        users = {name: _user(name, user, section.seed, facts, known.get(name)) for name, user in section.users.items()}
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
        if user.motion is None:
            return user.start
        x_m, y_m = user.motion.position_m(now_s)
        if x_m <= 0:
            raise ValueError(f"user {name!r} must stay in front of the array, is at x = {x_m:g} m after {now_s:g} s")
        return _position(x_m, y_m)

    def velocity_m_s(self, name: str, now_s: float) -> Point:
        """Return how fast a user moves along broadside and along the array; a KeyError if unknown."""
        motion = self._users[name].motion
        return (0.0, 0.0) if motion is None else motion.velocity_m_s(now_s)

    def user(self, name: str) -> User:
        """Return what is known of a user from the start; a KeyError if unknown."""
        return self._users[name]

    def visible(self, name: str) -> Floats:
        """Return which elements of the linear array see a user, 1 or 0, ``(element,)``; a KeyError if unknown."""
        return self._users[name].visible


def drawn_paths(
    sections: tuple[PathSection, ...] | Literal["mixed"], facts: TestbedFacts, rng: np.random.Generator
) -> tuple[Path, ...]:
    """Return paths with what their sections leave open drawn.

    Scatterers are uniform in range and angle over the testbed's region; a mask is a run of neighbouring sub-arrays, its
    length uniform over 1..S and then its place; a diffracted path weighs each element by U(0,1).

    Raises
    ------
    ValueError
        If a section names a sub-array that the array does not have.
    """
    wanted = MIXED if sections == "mixed" else sections
    streams = rng.spawn(len(wanted))
    return tuple(_path(section, facts, stream) for section, stream in zip(wanted, streams, strict=True))


def _path(section: PathSection, facts: TestbedFacts, rng: np.random.Generator) -> Path:
    array, region = facts.downlink.array, facts.region
    # everything is drawn whether it is used or not, so that fixing one value leaves the others
    range_m = rng.uniform(region.range_min_m, region.range_max_m)
    angle_rad = rng.uniform(region.angle_min_rad, region.angle_max_rad)
    strength = complex(*rng.standard_normal(2)) / math.sqrt(2)  # CN(0, 1)
    run = _contiguous_run(array.subarrays, rng)
    share = rng.random(array.elements)
    seen = run if section.visible_subarrays == "drawn" else section.visible_subarrays
    mask = _mask(seen, array)
    weight = mask * share if section.kind == "diffracted" else mask
    weight.flags.writeable = False  # every sweep of the user shares it
    fixed = None if section.gain_db == "drawn" else 10 ** (section.gain_db / 20)
    return Path(
        kind=section.kind,
        scatterer=Position(
            range_m=range_m if section.range_m == "drawn" else section.range_m,
            angle_rad=angle_rad if section.angle_deg == "drawn" else math.radians(section.angle_deg),
        ),
        coefficient=0.5 * strength if fixed is None else fixed * strength / abs(strength),
        spreads=fixed is None,
        weight=weight,
    )


def _contiguous_run(subarrays: int, rng: np.random.Generator) -> tuple[int, ...]:
    length = int(rng.integers(1, subarrays + 1))
    first = int(rng.integers(subarrays - length + 1))
    return tuple(range(first, first + length))


def _user(name: str, section: UserSection, seed: int, facts: TestbedFacts, track: Way | None) -> User:
    grid, array = facts.downlink.grid, facts.downlink.array
    rng = np.random.default_rng(_seed(seed, name, "paths"))
    try:
        check_carrier_offset(section.carrier_offset_hz, grid.spacing_hz)
        motion = _motion(name, section, seed, facts, track)
        return User(
            start=_place(name, section, seed, facts) if motion is None else _position(*motion.position_m(0.0)),
            motion=motion,
            visible=_mask(section.visible_subarrays, array),
            paths=drawn_paths(section.paths, facts, rng),
            timing_offset_s=section.timing_offset_s,
            carrier_offset_hz=section.carrier_offset_hz,
        )
    except ValueError as error:
        raise ValueError(f"user {name!r}: {error}") from error


def _seed(seed: int, name: str, part: str) -> tuple[int, int, int]:
    return seed, zlib.crc32(name.encode()), zlib.crc32(part.encode())


def _motion(name: str, section: UserSection, seed: int, facts: TestbedFacts, track: Way | None) -> Motion | None:
    """Return how a user moves; None for one that stays where it is."""
    match section.motion:
        case WaypointsSection() as way:
            return way_from_waypoints(way, facts.region)
        case RecordedSection() as recorded:
            if track is None:
                raise ValueError(f"file: expected the track {recorded.file} to be read, got none")
            return track
    start = _place(name, section, seed, facts)
    start_m = point_m(start.range_m, start.angle_rad)
    if isinstance(section.motion, RandomWalkSection):
        return RandomWalk(
            start_m=start_m,
            speed_m_s=section.motion.speed_m_s,
            turn_rms_rad_s=math.radians(section.motion.turn_rms_deg_s),
            turn_time_s=section.motion.turn_time_s,
            region=facts.region,
            seed=_seed(seed, name, "walk"),
        )
    if section.velocity_m_s in {None, (0.0, 0.0)}:
        return None
    return Straight(start_m=start_m, speed_m_s=section.velocity_m_s)


def _place(name: str, section: UserSection, seed: int, facts: TestbedFacts) -> Position:
    """Return where a user begins; what is drawn is uniform in range and angle over the region."""
    region, rng = facts.region, np.random.default_rng(_seed(seed, name, "place"))
    # both are drawn whether they are used or not, so that fixing one leaves the other
    range_m = rng.uniform(region.range_min_m, region.range_max_m)
    angle_rad = rng.uniform(region.angle_min_rad, region.angle_max_rad)
    if section.range_m is not None and section.range_m != "drawn":
        range_m = section.range_m
    if section.angle_deg is not None and section.angle_deg != "drawn":
        angle_rad = math.radians(section.angle_deg)
    return Position(range_m=range_m, angle_rad=angle_rad)


def _position(x_m: float, y_m: float) -> Position:
    return Position(range_m=math.hypot(x_m, y_m), angle_rad=math.atan2(y_m, x_m))


def _mask(subarrays: tuple[int, ...] | Literal["all"], array: LinearArray) -> Floats:
    indices = range(array.subarrays) if subarrays == "all" else subarrays
    outside = [index for index in indices if not 0 <= index < array.subarrays]
    if outside:
        raise ValueError(f"sub-arrays must lie in 0..{array.subarrays - 1}, got {outside}")
    mask = np.isin(array.element_subarray, list(indices)).astype(np.float64)
    mask.flags.writeable = False  # every sweep of the user shares it
    return mask


def _scatterer(section: ScattererSection) -> Scatterer:
    amplitude, phase_rad = 10 ** (section.gain_db / 20), math.radians(section.phase_deg)
    return Scatterer(
        position=Position(range_m=section.range_m, angle_rad=math.radians(section.angle_deg)),
        gain=amplitude * complex(math.cos(phase_rad), math.sin(phase_rad)),
    )
