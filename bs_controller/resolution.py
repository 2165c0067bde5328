"""How much array a resolution takes: minimum element counts. Pure functions, no propagation."""

import math


def minimum_elements(half_sector_rad: float, radius_m: float, carrier_hz: float, c_m_s: float) -> int:
    """Return the fewest elements of a sectored circular array without grating lobes [SUCA, eqs. (14)-(15)].

    Neighbours may differ by half a cycle at most. Seen from within the sector, the steepest delay along the circle lies
    at a right angle, which sectors of half-width pi/4 or more contain; narrower ones reach ``sin(2 alpha)`` of it.

    Raises
    ------
    ValueError
        If the sector is not within (0, pi/2], where the equations hold.
    """
    if not 0 < half_sector_rad <= math.pi / 2:
        raise ValueError(f"half_sector_rad must be within (0, pi/2], got {half_sector_rad:g} rad")
    alpha, wavelength_m = half_sector_rad, c_m_s / carrier_hz
    steepest = 1.0 if alpha >= math.pi / 4 else math.sin(2 * alpha)
    # a count that is whole in exact arithmetic must not grow by one through rounding
    return math.ceil(4 * alpha * radius_m * steepest / wavelength_m - 1e-9)
