"""Where sweeps focus, from the first subcarrier to the last: over all angles at the nearest range, or over the range.

A sweep over the angle is common to all users. Beyond the region by a margin, a user at its edge is lit by as many
subcarriers as any other.
"""

import numpy as np

from bs_controller.beams import setting_from_focus
from bs_controller.sweeps import Trajectory
from protocol.testbed import TestbedFacts


def angle_trajectory(facts: TestbedFacts) -> Trajectory:
    """Return the sweep from the largest to the smallest angle at the nearest range, common to all users."""
    region = facts.region
    return Trajectory(
        start_range_m=region.range_min_m,
        start_angle_rad=region.angle_max_rad,
        end_range_m=region.range_min_m,
        end_angle_rad=region.angle_min_rad,
    )


def range_trajectory(facts: TestbedFacts, angle_rad: float) -> Trajectory:
    """Return the sweep from the farthest to the nearest range at one angle."""
    region = facts.region
    return Trajectory(
        start_range_m=region.range_max_m,
        start_angle_rad=angle_rad,
        end_range_m=region.range_min_m,
        end_angle_rad=angle_rad,
    )


def wide_trajectory(facts: TestbedFacts, margin_deg: float, *, forward: bool) -> Trajectory:
    """Return the sweep over all angles at the nearest range, from the largest to the smallest or back, common to all users."""
    region, margin_rad = facts.region, np.deg2rad(margin_deg)
    ends = (region.angle_max_rad + margin_rad, region.angle_min_rad - margin_rad)
    start_rad, end_rad = ends if forward else ends[::-1]
    return Trajectory(
        start_range_m=region.range_min_m,
        start_angle_rad=float(start_rad),
        end_range_m=region.range_min_m,
        end_angle_rad=float(end_rad),
    )


def require_room(facts: TestbedFacts, margin_deg: float, delay_span_s: float = 0.0) -> None:
    """Check that a sweep over the region and a margin can be told apart on the delay axis, delays of clocks included.

    Raises
    ------
    ValueError
        If region and margin together reach 90 degrees, or the subcarriers are too far apart to tell the region's ranges.
    """
    trajectory = wide_trajectory(facts, margin_deg, forward=True)
    if max(trajectory.start_angle_rad, -trajectory.end_angle_rad) >= np.pi / 2:
        raise ValueError(f"region and a margin of {margin_deg:g} deg reach beyond 90 deg")
    c_m_s, region, spacing_hz = facts.speed_of_light_m_s, facts.region, facts.downlink.grid.spacing_hz
    # the delay axis holds all ranges of the region and, around each, the delay lines of all elements
    lines_s = float(setting_from_focus(trajectory, facts).delay_s.max()) + 2 * delay_span_s
    span_m = region.range_max_m - region.range_min_m + c_m_s * lines_s
    if c_m_s / spacing_hz < span_m:
        raise ValueError(
            f"subcarriers {spacing_hz:g} Hz apart repeat every {c_m_s / spacing_hz:.1f} m of path, "
            f"region and delay lines span {span_m:.1f} m"
        )
