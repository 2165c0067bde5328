"""A user who wanders: constant speed, a heading whose turn rate is an Ornstein-Uhlenbeck process, borders that turn it away.

Steps of `STEP_S` make blocks, each with a random stream of its own; where a block begins is kept for ever, 32 bytes each, and
what lies between is walked again when it is asked for. So a walk is the same whatever the times at which it is asked for, and
times that were passed are at hand; a leap ahead takes as long as its steps. Between two steps position is a cubic, so that the
velocity has no jumps. Near a border the walker turns inwards, in good time.
"""

import math
from array import array
from collections import OrderedDict

import numpy as np
import numpy.typing as npt

from emulator.motion import Point, refuse_outside
from protocol.testbed import Region

Floats = npt.NDArray[np.float64]

STEP_S = 0.1
BLOCK_STEPS = 100
KEPT_BLOCKS = 2
LEAST_STEERING_RAD_S = math.radians(45.0)
NARROWEST_STEPS = 12.0  # across a region
NEAR_SHARE = 0.6  # of the region's least width, so that there are headings for who is in the middle of it


#: Where it is along x and y, its heading, and its turn rate.
_Walker = tuple[float, float, float, float]


class RandomWalk:
    """One user's walk.

    Parameters
    ----------
    start_m
        Where it begins, within the region.
    speed_m_s
        Its speed at all times.
    turn_rms_rad_s, turn_time_s
        Of the turn rate: its rms, and how long until it is another.
    region
        Which the walk never leaves.
    seed
        What this walk alone is drawn from.

    Raises
    ------
    ValueError
        If it begins outside the region, or that is too narrow for the speed.
    """

    def __init__(
        self,
        *,
        start_m: Point,
        speed_m_s: float,
        turn_rms_rad_s: float,
        turn_time_s: float,
        region: Region,
        seed: tuple[int, ...],
    ) -> None:
        refuse_outside(np.array([start_m]), region, ["random_walk"])
        self._speed_m_s, self._turn_rms_rad_s, self._seed = speed_m_s, turn_rms_rad_s, seed
        self._memory = math.exp(-STEP_S / turn_time_s)
        self._borders = _Borders(region, speed_m_s, 2 * turn_rms_rad_s)
        rng = np.random.default_rng((*seed, 0))
        heading_rad, turn_rad_s = rng.uniform(-math.pi, math.pi), turn_rms_rad_s * rng.standard_normal()
        if self._borders.is_outside(*start_m):
            heading_rad = self._borders.home_rad(*start_m)
        self._begins = array("d", (*start_m, heading_rad, turn_rad_s))  # of each block, one walker after another
        self._blocks: OrderedDict[int, Floats] = OrderedDict()

    def position_m(self, time_s: float) -> Point:
        """Return where the user is."""
        begin, end, share = self._step(time_s)
        # Hermite's cubic through both ends with their velocities
        late = share * share * (3 - 2 * share)
        into_begin, into_end = share * (1 - share) ** 2 * STEP_S, share * share * (share - 1) * STEP_S
        x_m, y_m = (
            begin[axis] + late * (end[axis] - begin[axis]) + into_begin * begin[axis + 2] + into_end * end[axis + 2]
            for axis in (0, 1)
        )
        return x_m, y_m

    def velocity_m_s(self, time_s: float) -> Point:
        """Return how fast it moves along both axes: the derivative of its position."""
        begin, end, share = self._step(time_s)
        late = 6 * share * (1 - share) / STEP_S
        into_begin, into_end = (1 - share) * (1 - 3 * share), share * (3 * share - 2)
        vx_m_s, vy_m_s = (
            late * (end[axis] - begin[axis]) + into_begin * begin[axis + 2] + into_end * end[axis + 2]
            for axis in (0, 1)
        )
        return vx_m_s, vy_m_s

    def _step(self, time_s: float) -> tuple[list[float], list[float], float]:
        """Return ``x, y, vx, vy`` at both ends of a step, and how much of it is over."""
        steps = max(time_s, 0.0) / STEP_S
        block, index = divmod(int(steps), BLOCK_STEPS)
        begin, end = self._block(block)[index : index + 2].tolist()
        return begin, end, steps - int(steps)

    def _block(self, block: int) -> Floats:
        """Return ``x, y, vx, vy`` at the steps of a block, ``(step + 1, 4)``; walk there if nobody was there yet."""
        known = self._blocks.get(block)
        if known is not None:
            self._blocks.move_to_end(block)
            return known
        for number in range(min(block, len(self._begins) // 4 - 1), block + 1):
            walked, last = self._walked(number)
            if 4 * (number + 1) == len(self._begins):
                self._begins.extend(last)
        self._blocks[block] = walked
        if len(self._blocks) > KEPT_BLOCKS:
            self._blocks.popitem(last=False)
        return walked

    def _walked(self, block: int) -> tuple[Floats, _Walker]:
        """Return a block, and with whom the next one begins."""
        innovation_rad_s = self._turn_rms_rad_s * math.sqrt(1 - self._memory**2)
        # numpy takes a trailing zero for no number at all: it stands for the walk's beginning
        normals = np.random.default_rng((*self._seed, 1 + block)).standard_normal(BLOCK_STEPS)
        x_m, y_m, heading_rad, turn_rad_s = self._begins[4 * block : 4 * block + 4]
        walkers: list[_Walker] = [(x_m, y_m, heading_rad, turn_rad_s)]
        for shock_rad_s in (innovation_rad_s * normals).tolist():
            walkers.append(self._next(*walkers[-1], shock_rad_s))
        knots = np.array(walkers)
        knots[:, 2], knots[:, 3] = np.cos(knots[:, 2]), np.sin(knots[:, 2])
        knots[:, 2:] *= self._speed_m_s
        return knots, walkers[-1]

    def _next(self, x_m: float, y_m: float, heading_rad: float, turn_rad_s: float, shock_rad_s: float) -> _Walker:
        borders, length_m = self._borders, self._speed_m_s * STEP_S
        turned_rad = STEP_S * borders.steered_rad_s(x_m, y_m, heading_rad, turn_rad_s)
        # an arc's chord, but for terms of the fourth order
        middle_rad, chord_m = heading_rad + turned_rad / 2, length_m * (1 - turned_rad**2 / 24)
        there_m = x_m + chord_m * math.cos(middle_rad), y_m + chord_m * math.sin(middle_rad)
        heading_rad += turned_rad
        if borders.is_outside(*there_m):
            heading_rad = borders.home_rad(x_m, y_m)
            there_m = x_m + length_m * math.cos(heading_rad), y_m + length_m * math.sin(heading_rad)
        return *there_m, heading_rad, self._memory * turn_rad_s + shock_rad_s


class _Borders:
    """The region less a margin of one step, within which all steps end: what is between them stays within the region."""

    def __init__(self, region: Region, speed_m_s: float, usual_rad_s: float) -> None:
        self._margin_m = margin_m = speed_m_s * STEP_S
        self._range_m = (region.range_min_m + margin_m, region.range_max_m - margin_m)
        self._angle_rad = (region.angle_min_rad, region.angle_max_rad)
        self._middle = (region.range_min_m + region.range_max_m) / 2, sum(self._angle_rad) / 2
        width_m = min(region.range_max_m - region.range_min_m, region.range_min_m * -np.subtract(*self._angle_rad))
        if width_m < NARROWEST_STEPS * margin_m:
            largest_m_s = width_m / (NARROWEST_STEPS * STEP_S)
            raise ValueError(
                f"speed_m_s: expected at most {largest_m_s:g} in a region {width_m:g} m wide, got {speed_m_s:g}"
            )
        # a border is near within four turning radii: who comes straight on is turned round in half of it
        fastest_rad_s = 4 * speed_m_s / (NEAR_SHARE * width_m)
        self._steering_rad_s = max(LEAST_STEERING_RAD_S, usual_rad_s, fastest_rad_s)
        self._near_m = 4 * speed_m_s / self._steering_rad_s

    def is_outside(self, x_m: float, y_m: float) -> bool:
        """Return whether a step may not end here."""
        range_m, angle_rad = math.hypot(x_m, y_m), math.atan2(y_m, x_m)
        return min(self._distances_m(range_m, angle_rad)) < 0

    def home_rad(self, x_m: float, y_m: float) -> float:
        """Return a heading towards the middle, in range and in angle, which leads away from every border."""
        range_m, angle_rad = math.hypot(x_m, y_m), math.atan2(y_m, x_m)
        return angle_rad + math.atan2(range_m * (self._middle[1] - angle_rad), self._middle[0] - range_m)

    def steered_rad_s(self, x_m: float, y_m: float, heading_rad: float, turn_rad_s: float) -> float:
        """Return the turn rate, or one towards the middle for who heads for a border that is near."""
        range_m, angle_rad = math.hypot(x_m, y_m), math.atan2(y_m, x_m)
        distances_m = self._distances_m(range_m, angle_rad)
        if min(distances_m) >= self._near_m:
            return turn_rad_s
        radial, sideways = math.cos(heading_rad - angle_rad), math.sin(heading_rad - angle_rad)
        for distance_m, towards in zip(distances_m, (-radial, radial, -sideways, sideways), strict=True):
            # straight at a border from afar, along it at half the distance, away from it at the border
            if towards > 2 * distance_m / self._near_m - 1:
                left_rad = math.remainder(self.home_rad(x_m, y_m) - heading_rad, 2 * math.pi)
                return math.copysign(self._steering_rad_s, left_rad)
        return turn_rad_s

    def _distances_m(self, range_m: float, angle_rad: float) -> tuple[float, float, float, float]:
        """Return how far within the margin a point is from the borders in range and angle; negative beyond."""
        (near_m, far_m), (low_rad, high_rad) = self._range_m, self._angle_rad
        low_m = range_m * math.sin(min(angle_rad - low_rad, math.pi / 2)) - self._margin_m
        high_m = range_m * math.sin(min(high_rad - angle_rad, math.pi / 2)) - self._margin_m
        return range_m - near_m, far_m - range_m, low_m, high_m
