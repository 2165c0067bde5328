"""What a network adds to a supposed position: to its range, and to its direction as the sub-arrays that see it do.

An array knows directions from the middle of the elements that see a user, whatever the range. Seen from the array's
centre the direction that belongs to a range changes with it, at 5 m and for an outer sub-array by 7e-4 rad per centimetre.
Corrections turn about the middle, so that one of the range leaves what is known of the direction alone.
"""

import math
from dataclasses import dataclass

from bs_controller.sweeps import Covariance

_LARGEST_SINE = 1 - 1e-9
_SHORTEST_RANGE_M = 0.1  # in front of the array, and where no sub-array's middle is farther from the centre


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """A supposed position, the place on the array that it is seen from, and the units of a network's outputs."""

    range_m: float
    angle_rad: float
    middle_m: float  # along the array, from its centre
    range_scale_m: float
    sine_scale: float

    def position(self, range_units: float, sine_units: float) -> tuple[float, float]:
        """Return the corrected range, m, and angle, rad, both from the array's centre."""
        range_m = max(self.range_m + self.range_scale_m * range_units, abs(self.middle_m) + _SHORTEST_RANGE_M)
        sine = sine_from(self.range_m, self.angle_rad, self.middle_m) + self.sine_scale * sine_units
        return range_m, angle_from(range_m, sine, self.middle_m)

    def units(self, range_m: float, angle_rad: float) -> tuple[float, float]:
        """Return the outputs that would correct to a position: what a network is trained to say."""
        sine = sine_from(range_m, angle_rad, self.middle_m)
        supposed = sine_from(self.range_m, self.angle_rad, self.middle_m)
        return (range_m - self.range_m) / self.range_scale_m, (sine - supposed) / self.sine_scale

    def covariance(
        self, range_units: float, sine_units: float, range_deviation: float, sine_deviation: float
    ) -> Covariance:
        """Return the covariance of a corrected position whose two outputs err independently with these deviations."""
        range_m, angle_rad = self.position(range_units, sine_units)
        by_range, by_sine = angle_slopes(range_m, sine_from(range_m, angle_rad, self.middle_m), self.middle_m)
        range_m2 = (self.range_scale_m * range_deviation) ** 2
        return Covariance(
            range_m2=range_m2,
            range_angle_m_rad=by_range * range_m2,
            angle_rad2=by_range**2 * range_m2 + (by_sine * self.sine_scale * sine_deviation) ** 2,
        )


def sine_from(range_m: float, angle_rad: float, middle_m: float) -> float:
    """Return the sine of the direction of a point as a place on the array sees it."""
    along_m = range_m * math.sin(angle_rad) - middle_m
    return along_m / math.hypot(along_m, range_m * math.cos(angle_rad))


def angle_from(range_m: float, sine: float, middle_m: float) -> float:
    """Return the angle, from the array's centre, of the point at a range that a place on the array sees at a sine."""
    sine = min(max(sine, -_LARGEST_SINE), _LARGEST_SINE)
    along = (middle_m * (1 - sine**2) + sine * _chord_m(range_m, sine, middle_m)) / range_m
    return math.asin(min(max(along, -_LARGEST_SINE), _LARGEST_SINE))


def angle_slopes(range_m: float, sine: float, middle_m: float) -> tuple[float, float]:
    """Return the derivatives of `angle_from` by range, rad/m, and by sine, rad."""
    chord_m, angle_rad = _chord_m(range_m, sine, middle_m), angle_from(range_m, sine, middle_m)
    by_range = sine / chord_m - math.sin(angle_rad) / range_m
    by_sine = (chord_m - 2 * middle_m * sine + middle_m**2 * sine**2 / chord_m) / range_m
    return by_range / math.cos(angle_rad), by_sine / math.cos(angle_rad)


def _chord_m(range_m: float, sine: float, middle_m: float) -> float:
    """Return ``sqrt(r^2 - c^2 cos^2 a)``, by which the ray from the middle is longer than its way past the centre."""
    return math.sqrt(range_m**2 - middle_m**2 * (1 - sine**2))
