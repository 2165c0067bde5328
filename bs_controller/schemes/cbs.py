"""Controllable beam squint: the strongest subcarrier of one sweep gives the angle, that of a second the range.

The two-stage scheme that [CBS, section III-B] starts from. Stage one is the same sweep for every user, so a run transmits
it once. With T beams a sweep is asked for T times, with fresh noise each time, and the estimates are averaged. The UE names
its strongest subcarrier, or reports all samples and the controller takes the strongest of what was sent: complex64, whose
rounding may decide between neighbours where the amplitudes are as flat as in the range sweep.
"""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import msgspec
import numpy as np
from msgspec import Meta

from bs_controller.beams import focus_of_subcarrier
from bs_controller.schemes.answers import complex_from, peak_from
from bs_controller.sweeps import Answer, Fix, Localization, Sweep, Trajectory
from bs_controller.trajectories import angle_trajectory, range_trajectory
from protocol.messages import FeedbackKind
from protocol.testbed import TestbedFacts

BeamCount = Annotated[int, Meta(ge=1, le=1024)]


class CbsOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="cbs", tag_field="scheme"):
    """How many identical sweeps each stage averages, and what the UE reports of each."""

    angle_beams: BeamCount = 1
    range_beams: BeamCount = 1
    feedback: Literal["peak", "complex"] = "peak"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cbs:
    """The scheme `cbs`."""

    options: CbsOptions
    facts: TestbedFacts
    name: ClassVar[str] = "cbs"
    heavy: ClassVar[bool] = False

    def prepare(self) -> None:
        """Do nothing: there is nothing to plan."""

    def locate(self) -> Localization:
        """Return a fresh localization; see `Scheme`."""
        kind, options = FeedbackKind(self.options.feedback), self.options
        angle_rad, angle_pilots = yield from estimated_angle(self.facts, options.angle_beams, kind)
        range_m, range_pilots = yield from estimated_range(self.facts, angle_rad, options.range_beams, kind)
        return Fix(range_m=range_m, angle_rad=angle_rad, sweeps=angle_pilots + range_pilots)


def estimated_angle(
    facts: TestbedFacts, beams: int, kind: FeedbackKind = FeedbackKind.PEAK
) -> Generator[Sweep, Answer, tuple[float, int]]:
    """Sweep over the angle and return the angle, rad [CBS, eq. (8)], and the pilots it took."""
    trajectory = angle_trajectory(facts)
    peaks, pilots = yield from _peaks(trajectory, facts, beams, kind)
    return float(np.mean(focus_of_subcarrier(trajectory, facts)[1][peaks])), pilots


def estimated_range(
    facts: TestbedFacts, angle_rad: float, beams: int, kind: FeedbackKind = FeedbackKind.PEAK
) -> Generator[Sweep, Answer, tuple[float, int]]:
    """Sweep over the range at one angle and return the range, m [CBS, eq. (9)], and the pilots it took."""
    trajectory = range_trajectory(facts, angle_rad)
    peaks, pilots = yield from _peaks(trajectory, facts, beams, kind)
    return float(np.mean(focus_of_subcarrier(trajectory, facts)[0][peaks])), pilots


def _peaks(
    trajectory: Trajectory, facts: TestbedFacts, beams: int, kind: FeedbackKind
) -> Generator[Sweep, Answer, tuple[list[int], int]]:
    peaks, pilots = [], 0
    for _ in range(beams):
        answer = yield Sweep(focus=trajectory, kind=kind)
        if kind is FeedbackKind.COMPLEX:
            feedback = complex_from(answer, facts.downlink.grid.count)
            peaks.append(int(np.argmax(np.abs(feedback.samples))))
            pilots += feedback.pilots
        else:
            peak = peak_from(answer, facts.downlink.grid.count)
            peaks.append(peak.subcarrier)
            pilots += peak.pilots
    return peaks, pilots
