"""What variants of `likelihood` share: sweeps beyond the region by a margin, and what must hold for them. No scheme is here.

Without the margin a user at the region's edge would lose half of the subcarriers that light it.
"""

from collections.abc import Generator

import numpy as np
import numpy.typing as npt

from bs_controller.beams import setting_from_focus
from bs_controller.schemes.answers import complex_from
from bs_controller.sweeps import Answer, ComplexFeedback, PowerFeedback, Sweep, Trajectory
from protocol.messages import FeedbackKind
from protocol.testbed import Setting, TestbedFacts

ComplexArray = npt.NDArray[np.complex128]


class EmptyFeedbackError(ValueError):
    """A user reported a sweep as zero throughout."""


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


def setting_of(feedback: ComplexFeedback | PowerFeedback, focus: Trajectory, facts: TestbedFacts) -> Setting:
    """Return what was applied for a sweep: a front end of few phase bits points elsewhere than was asked for."""
    return setting_from_focus(focus, facts) if feedback.applied is None else feedback.applied


def complex_swept(
    focus: Trajectory, facts: TestbedFacts
) -> Generator[Sweep, Answer, tuple[ComplexArray, Setting, int]]:
    """Ask for all samples of a sweep and return them, ``(subcarrier,)``, with what was applied and the pilots it took.

    Raises
    ------
    EmptyFeedbackError
        If the user heard nothing at all.
    """
    answer = yield Sweep(focus=focus, kind=FeedbackKind.COMPLEX)
    feedback = complex_from(answer, facts.downlink.grid.count)
    if not feedback.samples.any():
        raise EmptyFeedbackError("all samples of a sweep are zero, so there is nothing to fit")
    return feedback.samples, setting_of(feedback, focus, facts), feedback.pilots


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
