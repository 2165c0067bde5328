"""Maximum likelihood for users whose clock is not synchronised: a delay is unknown beside the gain of each sweep.

Either one delay per sweep (the bound `unsynchronised`), or one for both (`unsynchronised_together`: a clock that runs
freely but does not drift between two pilots). Then range shows in the wavefront's curvature alone: to centimetres where
many sub-arrays see a user that is near, and hardly at all far away or with one sub-array, where the fix is the mean over the
ranges that the region and the delays' span allow. The sweeps are those of the coherent `likelihood`.
"""

import threading
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from bs_controller.beams import setting_from_focus
from bs_controller.estimation.candidates import LIT_BOX, AngleSweep, Searcher
from bs_controller.estimation.quality import STRONG_RIVAL_SHARE, goodness_of_fit, rival_share
from bs_controller.estimation.unsynchronised.delayed import Delayed, DelayedObservation
from bs_controller.estimation.unsynchronised.hypotheses import Hypothesis, hypotheses, is_rival
from bs_controller.estimation.unsynchronised.posterior import Prior, second_moments_about
from bs_controller.estimation.unsynchronised.ridge import RidgeSearcher, Start
from bs_controller.response import DownlinkResponse
from bs_controller.schemes.likelihood import LikelihoodOptions
from bs_controller.schemes.warm_up import warm_up
from bs_controller.schemes.whole_sweeps import complex_swept
from bs_controller.sweeps import (
    Answer,
    ClockOffset,
    Covariance,
    Fix,
    Integrity,
    Localization,
    Sweep,
    Visibility,
)
from bs_controller.trajectories import range_trajectory, require_room, wide_trajectory
from protocol.testbed import Setting, TestbedFacts

Floats = npt.NDArray[np.float64]
ComplexArray = npt.NDArray[np.complex128]


@dataclass(slots=True)
class _Workspace:
    """What the estimates of one thread share: tables, and a model to be steered to each sweep."""

    searcher: Searcher
    ridge: RidgeSearcher
    model: DownlinkResponse
    turn_rad_m: Floats
    carrier_rad_m: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LikelihoodUnsynchronised:
    """The scheme `likelihood` with a model that has unknown delays.

    Raises
    ------
    ValueError
        If region and margin together reach 90 degrees, or the subcarriers are too far apart to tell ranges and delays.
    """

    options: LikelihoodOptions
    facts: TestbedFacts
    name: ClassVar[str] = "likelihood"
    heavy: ClassVar[bool] = True
    _own: threading.local = field(default_factory=threading.local, compare=False, repr=False)

    def __post_init__(self) -> None:
        require_room(self.facts, self.options.margin_deg, self.options.delay_span_s)

    def prepare(self) -> None:
        """Compile what is not yet, and plan the transforms of the calling thread; others plan theirs on first use."""
        warm_up(self, self.facts)

    def locate(self) -> Localization:
        """Return a fresh localization; see `Scheme`."""
        if self.options.plan == "pair":
            return (yield from self._located_by_pair())
        return (yield from self._located_by_range_sweep())

    @property
    def _together(self) -> bool:
        return self.options.model == "unsynchronised_together"

    @property
    def _prior(self) -> Prior:
        region = self.facts.region
        return Prior(
            range_min_m=region.range_min_m,
            range_max_m=region.range_max_m,
            delay_span_m=self.facts.speed_of_light_m_s * self.options.delay_span_s,
        )

    def _located_by_pair(self) -> Localization:
        forward, pilots = yield from self._angle_swept(forward=True)
        backward, more = yield from self._angle_swept(forward=False)
        sweeps, ridge = (forward, backward), self._workspace().ridge
        blocks = ridge.blocks(sweeps, together=self._together)
        starts = [start for block in blocks for start in ridge.starts(sweeps, block)]
        starts = starts or ridge.starts(sweeps, blocks[0], anywhere=True)
        if self._together:
            starts = [replace(start, place=replace(start.place, delay_m=start.place.delay_m[:1])) for start in starts]
        return self._fix([(sweep.samples, sweep.setting) for sweep in sweeps], starts, sweeps, pilots + more)

    def _located_by_range_sweep(self) -> Localization:
        angle, pilots = yield from self._angle_swept(forward=True)
        aim_rad = self._aim_rad(angle)
        samples, setting, more = yield from complex_swept(range_trajectory(self.facts, aim_rad), self.facts)
        arrivals_m = self._workspace().ridge.arrivals_m(samples, setting, aim_rad)
        starts = [start for arrival_m in arrivals_m for start in self._starts_at(angle, arrival_m)]
        starts = starts or self._starts_at(angle, arrivals_m[0], anywhere=True)
        received = [(angle.samples, angle.setting), (samples, setting)]
        return self._fix(received, starts, (angle,), pilots + more)

    def _aim_rad(self, sweep: AngleSweep) -> float:
        ridge = self._workspace().ridge
        starts = [start for block in ridge.blocks([sweep], together=True) for start in ridge.starts([sweep], block)]
        if not starts:
            return float(np.arcsin(sweep.lit_sine))
        return max(starts, key=lambda start: start.log_likelihood).place.angle_rad

    def _starts_at(self, angle: AngleSweep, arrival_m: float, *, anywhere: bool = False) -> list[Start]:
        """Return starts with as many delays as are unknown, given where on the delay axis the range sweep arrived."""
        ridge, together = self._workspace().ridge, self._together
        blocks = ridge.blocks_at(angle, arrival_m, 0.0 if together else 2 * self._prior.delay_span_m)
        others_m = () if together else (arrival_m,)
        found = [start for block in blocks for start in ridge.starts([angle], block, others_m, anywhere=anywhere)]
        return found if together else [_with_delay(start, arrival_m - start.place.range_m) for start in found]

    def _fix(
        self,
        received: Sequence[tuple[ComplexArray, Setting]],
        starts: Sequence[Start],
        sweeps: Sequence[AngleSweep],
        pilots: int,
    ) -> Fix:
        """Return the fix from all sweeps, those over the angle first."""
        quarter_beam_sine = 1 / (2 * self.facts.downlink.array.elements)
        found = hypotheses(self._delayed(received, len(sweeps)), starts, self._prior, quarter_beam_sine)
        best = found[0]
        delay_s = best.moments.delay_m / self.facts.speed_of_light_m_s
        covariance = second_moments_about(best.moments, [one.moments for one in found])
        return Fix(
            range_m=float(best.moments.mean[0]),
            angle_rad=float(best.moments.mean[1]),
            sweeps=pilots,
            covariance=Covariance(
                range_m2=float(covariance[0, 0]),
                range_angle_m_rad=float(covariance[0, 1]),
                angle_rad2=float(covariance[1, 1]),
            ),
            visibility=Visibility(subarrays=tuple(np.flatnonzero(best.expansion.mask).tolist())),
            fit=goodness_of_fit(best.expansion.residuals),
            integrity=self._integrity(found, sweeps),
            delay=ClockOffset(delay_s=tuple(np.broadcast_to(delay_s, len(received)).tolist())),
        )

    def _integrity(self, found: Sequence[Hypothesis], sweeps: Sequence[AngleSweep]) -> Integrity:
        """Return whether the best hypothesis has no rival, is allowed by the prior, and leaves no second path."""
        best = found[0]
        rivals = [
            rival_share(sweep.samples, residual, LIT_BOX)
            for sweep, residual in zip(sweeps, best.expansion.residuals, strict=False)  # angle sweeps come first
        ]
        echoed = max(rivals) > STRONG_RIVAL_SHARE
        ambiguous = any(is_rival(one, best) for one in found[1:])
        return Integrity.SUSPECT if echoed or ambiguous or not best.moments.allowed else Integrity.TRUSTED

    def _angle_swept(self, *, forward: bool) -> Generator[Sweep, Answer, tuple[AngleSweep, int]]:
        trajectory = wide_trajectory(self.facts, self.options.margin_deg, forward=forward)
        samples, setting, pilots = yield from complex_swept(trajectory, self.facts)
        # the workspace of the thread that goes on, which may be another than before the sweep
        return self._workspace().searcher.angle_sweep(samples, trajectory, setting), pilots

    def _delayed(self, received: Sequence[tuple[ComplexArray, Setting]], angle_sweeps: int) -> Delayed:
        work = self._workspace()
        return Delayed(
            observations=tuple(
                DelayedObservation(samples=samples, response=work.model.steered(setting))
                for samples, setting in received
            ),
            angle_sweeps=angle_sweeps,
            together=self._together,
            turn_rad_m=work.turn_rad_m,
            carrier_rad_m=work.carrier_rad_m,
            subarray_x_m=work.ridge.subarray_x_m,
        )

    def _workspace(self) -> _Workspace:
        work: _Workspace | None = getattr(self._own, "workspace", None)
        if work is None:
            forward = wide_trajectory(self.facts, self.options.margin_deg, forward=True)
            model = DownlinkResponse(self.facts, setting_from_focus(forward, self.facts))
            grid = self.facts.downlink.grid
            offset_hz = grid.frequency_hz - grid.frequency_hz.mean()
            work = _Workspace(
                searcher=Searcher(self.facts),
                ridge=RidgeSearcher(self.facts, self._prior),
                model=model,
                turn_rad_m=2 * np.pi / self.facts.speed_of_light_m_s * offset_hz,
                carrier_rad_m=float(2 * np.pi / self.facts.speed_of_light_m_s * grid.frequency_hz.mean()),
            )
            self._own.workspace = work
        return work


def _with_delay(start: Start, delay_m: float) -> Start:
    """Return a start with the delay of one more sweep."""
    place = replace(start.place, delay_m=np.append(start.place.delay_m, delay_m))
    return replace(start, place=place)
