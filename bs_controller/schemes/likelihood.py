"""Maximum likelihood over range, angle and visible sub-arrays from complex feedback, on the Cramer-Rao bound.

One complex gain per sweep is unknown and projected out, so transmit power, path gain and carrier phase need not be known;
delays must be (the `coherent` bound). Two plans:

- ``angle_range``: the angle sweep, then a range sweep of the user's own, aimed by the likelihood of the angle sweep. The
  strongest subcarrier would aim it at a reflection, or beside a user that few sub-arrays see.
- ``pair``: the angle sweep forward and backward, equal for all users, so that a run sends two sweeps however many there are.
"""

import math
import threading
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, ClassVar, Literal

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Meta

from bs_controller.beams import setting_from_focus
from bs_controller.estimation.apart import midway, most_likely_apart
from bs_controller.estimation.candidates import LIT_BOX, AngleSweep, Candidate, Searcher
from bs_controller.estimation.in_beam import elements_of, in_beam_pull_m, pull_step_m
from bs_controller.estimation.lobes import NATS, Lobe, lobes
from bs_controller.estimation.newton import Estimate, Observation, most_likely
from bs_controller.estimation.observed import Observer
from bs_controller.estimation.quality import (
    covariance_from_information,
    goodness_of_fit,
    goodness_of_residual,
    mean_fit,
    rival_share,
)
from bs_controller.estimation.second_look import LARGEST_CURVATURE_GAIN, WORTH_A_LOOK_SHARE, second_look
from bs_controller.features import Dechirper
from bs_controller.schemes.warm_up import warm_up
from bs_controller.schemes.whole_sweeps import complex_swept
from bs_controller.sweeps import Answer, Fix, GoodnessOfFit, Integrity, Localization, Sweep, Trajectory, Visibility
from bs_controller.trajectories import range_trajectory, require_room, wide_trajectory
from protocol.testbed import Setting, TestbedFacts

ComplexArray = npt.NDArray[np.complex128]

# How many deviations the fit of the range sweep, which is aimed at the user, is off before an echo in its beam is looked for:
# noise alone left 4.3 at most (1200 users without echoes at 0 and 20 dB).
WORTH_A_SPLIT_DEVIATIONS = 5.0
# Half of what counts as off, because few elements tell two waves badly apart: of 62 users that echoes at -6 dB pulled by a
# decimetre or more 60 became suspect so, or by an earlier path; so did 4 in 1000 of all good fixes beside such echoes.
LARGEST_PULL_M = 0.05
# Few elements far away do not tell a small pull from none. Where pulls are told apart to no better than this, and the fit is
# off by this much, so that an echo is surely in the beam, the fix is suspect whatever pull was found. At 10 dB and with
# echoes at -6 dB in the beam 3.8 % of 183 gross errors are missed so, where pulls alone missed 6 %; 1.3 % of good fixes
# beside echoes at -6 dB anywhere are doubted.
COARSE_PULL_M = 0.04
SURELY_OFF_DEVIATIONS = 150.0
# Of some 640 residuals the statistic of noise is 1 with a standard deviation of 0.04; on a wrong lobe it is far above.
POOR_FIT = 1.25
NEARBY_M = (-0.15, -0.1, -0.05, 0.05, 0.1, 0.15)  # from one lobe of the range, 5 cm, to the next


class LikelihoodOptions(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="likelihood", tag_field="scheme"
):
    """Which sweeps are sent, how far beyond the region, and from when on an earlier path makes a fix suspect.

    ``model``: what is unknown beside position and gains, by the names of `bounds.Unknown`. ``earlier_db``: the power of a line
    of sight nearer than the fix in what the angle sweeps leave unexplained, relative to the fitted path. No echo arrives
    before the line of sight, so that such a path says that an echo was fitted. ``delay_span_s``: the largest delay of an
    unsynchronised user, on either side of none; where the range is known badly it is what the fix rests on. ``moving``: with
    plan ``pair`` and coherent samples a user may move by decimetres between the sweeps, as continuous runs suppose in any case;
    the fix is where it was midway.
    """

    plan: Literal["angle_range", "pair"] = "angle_range"
    model: Literal["coherent", "unsynchronised", "unsynchronised_together", "power"] = "coherent"
    margin_deg: Annotated[float, Meta(ge=0, le=10)] = 2.0
    earlier_db: Annotated[float, Meta(le=0, ge=-60)] = -2.0
    delay_span_s: Annotated[float, Meta(gt=0, le=30e-9)] = 10e-9
    moving: bool = False

    def __post_init__(self) -> None:
        if self.moving and (self.plan, self.model) != ("pair", "coherent"):
            got = f"{self.plan} and {self.model}"
            raise ValueError(f"moving: expected plan pair and model coherent with it, got {got}")


@dataclass(slots=True)
class _Workspace:
    """What the estimates of one thread share: tables, and models to be steered to each sweep."""

    searcher: Searcher
    observer: Observer
    dechirper: Dechirper


@dataclass(frozen=True, slots=True, kw_only=True)
class Likelihood:
    """The scheme `likelihood`.

    Raises
    ------
    ValueError
        If region and margin together reach 90 degrees, or the subcarriers are too far apart to tell the region's ranges.
    """

    options: LikelihoodOptions
    facts: TestbedFacts
    name: ClassVar[str] = "likelihood"
    heavy: ClassVar[bool] = True
    _own: threading.local = field(default_factory=threading.local, compare=False, repr=False)

    def __post_init__(self) -> None:
        require_room(self.facts, self.options.margin_deg)

    def prepare(self) -> None:
        """Compile what is not yet, and plan the transforms of the calling thread; others plan theirs on first use."""
        warm_up(self, self.facts)

    def locate(self) -> Localization:
        """Return a fresh localization; see `Scheme`."""
        if self.options.plan == "pair":
            return (yield from self._located_by_pair(moving=self.options.moving))
        return (yield from self._located_by_range_sweep())

    @property
    def finds_movers(self) -> bool:
        """Return whether both sweeps are common to all users, so that each tells a place of its own."""
        return self.options.plan == "pair"

    def locate_moving(self) -> Localization:
        """Return a fresh localization; see `MovingScheme`."""
        if self.options.plan == "pair":
            return (yield from self._located_by_pair(moving=True))
        return (yield from self._located_by_range_sweep())

    def _located_by_pair(self, *, moving: bool) -> Localization:
        forward, pilots = yield from self._angle_swept(forward=True)
        backward, more = yield from self._angle_swept(forward=False)
        sweeps, work = (forward, backward), self._workspace()
        candidate = work.searcher.from_angle_sweeps(sweeps, moving=moving)[0]
        whole = work.observer.pair((forward.samples, forward.setting), (backward.samples, backward.setting))
        best = midway(most_likely_apart(whole, candidate, self.facts)) if moving else self._best_of(whole, [candidate])
        return self._fix(best, goodness_of_fit(best.residuals), sweeps, best.residuals, pilots + more)

    def _located_by_range_sweep(self) -> Localization:
        angle, pilots = yield from self._angle_swept(forward=True)
        aim_rad = self._workspace().searcher.from_angle_sweeps((angle,))[0].angle_rad
        samples, setting, more = yield from complex_swept(range_trajectory(self.facts, aim_rad), self.facts)
        work = self._workspace()
        arrivals_m = work.searcher.arrivals_m(samples, setting, aim_rad)
        best = self._most_likely_near(arrivals_m, angle, (samples, setting), aim_rad)
        fits = [goodness_of_residual(residual) for residual in best.residuals]
        if mean_fit(fits).statistic > POOR_FIT:
            nearby_m = [arrival_m + shift_m for arrival_m in arrivals_m for shift_m in NEARBY_M]
            again = self._most_likely_near(nearby_m, angle, (samples, setting), aim_rad)
            best = max(best, again, key=lambda estimate: estimate.log_likelihood)
            fits = [goodness_of_residual(residual) for residual in best.residuals]
        left = work.observer.reducer.left(angle.samples, angle.lit, best.residuals[0])
        fix = self._fix(best, mean_fit(fits), (angle,), (left,), pilots + more)
        if fix.integrity is Integrity.TRUSTED and self._is_pulled(best, fits[-1], angle, left):
            return replace(fix, integrity=Integrity.SUSPECT)
        return fix

    def _most_likely_near(
        self, range_m: Sequence[float], angle: AngleSweep, over_range: tuple[ComplexArray, Setting], aim_rad: float
    ) -> Estimate:
        """Return the most likely estimate of those that start at some ranges, from an angle sweep and one over the range."""
        work, estimates = self._workspace(), []
        for start_m in range_m:
            candidate = work.searcher.at_range(angle, start_m, aim_rad)
            at = (candidate.range_m, candidate.angle_rad)
            reduced = work.observer.angle_and_range((angle.samples, angle.setting), angle.lit, over_range, *at)
            estimates.append(self._best_of(reduced, [candidate]))
        return max(estimates, key=lambda estimate: estimate.log_likelihood)

    def _angle_swept(self, *, forward: bool) -> Generator[Sweep, Answer, tuple[AngleSweep, int]]:
        trajectory = self._common(forward=forward)
        samples, setting, pilots = yield from complex_swept(trajectory, self.facts)
        # the workspace of the thread that goes on, which may be another than before the sweep
        return self._workspace().searcher.angle_sweep(samples, trajectory, setting), pilots

    def _fix(
        self,
        estimate: Estimate,
        fit: GoodnessOfFit,
        sweeps: Sequence[AngleSweep],
        left: Sequence[ComplexArray],
        pilots: int,
    ) -> Fix:
        """Return the fix, doubted by what the estimate leaves of all subcarriers of the angle sweeps."""
        return Fix(
            range_m=estimate.range_m,
            angle_rad=estimate.angle_rad,
            sweeps=pilots,
            covariance=covariance_from_information(estimate.information),
            visibility=Visibility(subarrays=tuple(np.flatnonzero(estimate.mask).tolist())),
            fit=fit,
            integrity=Integrity.SUSPECT if self._is_suspect(estimate, sweeps, left) else Integrity.TRUSTED,
        )

    def _is_suspect(self, estimate: Estimate, sweeps: Sequence[AngleSweep], left: Sequence[ComplexArray]) -> bool:
        pairs = zip(sweeps, left, strict=True)
        if max(rival_share(sweep.samples, residual, LIT_BOX) for sweep, residual in pairs) < WORTH_A_LOOK_SHARE:
            return False
        look = second_look(self._workspace().searcher, sweeps, left, estimate.range_m, estimate.angle_rad)
        earlier_share = 10 ** (self.options.earlier_db / 10)
        return look.earlier_share > earlier_share or look.curvature_gain > LARGEST_CURVATURE_GAIN

    def _is_pulled(self, estimate: Estimate, fit: GoodnessOfFit, angle: AngleSweep, left: ComplexArray) -> bool:
        """Return whether an echo in the beam of a range sweep, which has this fit, may pull the direction of the estimate."""
        deviations = (fit.statistic - 1) * math.sqrt(fit.degrees)
        if deviations < WORTH_A_SPLIT_DEVIATIONS:
            return False
        array, grid = self.facts.downlink.array, self.facts.downlink.grid
        position, work = (estimate.range_m, estimate.angle_rad), self._workspace()
        visible = np.isin(array.element_subarray, np.flatnonzero(estimate.mask))
        x_m = array.element_x_m[visible]
        cycles_per_m = (grid.first_hz + grid.last_hz) / 2 / self.facts.speed_of_light_m_s
        if deviations > SURELY_OFF_DEVIATIONS and pull_step_m(x_m, cycles_per_m, estimate.range_m) > COARSE_PULL_M:
            return True
        elements = elements_of(work.dechirper, angle, left, position, visible)
        pull_m = in_beam_pull_m(elements, x_m, cycles_per_m, position, self.facts.region.range_min_m)
        return pull_m > LARGEST_PULL_M

    def _best_of(self, observations: Sequence[Observation], candidates: Sequence[Candidate]) -> Estimate:
        """Return the most likely of what the candidates converge to, leaving out those that start far below the best."""
        starts = [(candidate, lobe) for candidate in candidates for lobe in self._lobes(candidate, observations)]
        best = max(lobe.log_likelihood for _, lobe in starts)
        estimates = [
            most_likely(
                observations,
                candidate.range_m + lobe.shift_m,
                candidate.angle_rad,
                candidate.mask,
                mask_is_clear=candidate.mask_is_clear,
            )
            for candidate, lobe in starts
            if lobe.log_likelihood > best - NATS
        ]
        return max(estimates, key=lambda estimate: estimate.log_likelihood)

    def _lobes(self, candidate: Candidate, observations: Sequence[Observation]) -> list[Lobe]:
        visible = np.flatnonzero(candidate.mask).tolist()
        expected = [one.response.seen_value(candidate.range_m, candidate.angle_rad, visible) for one in observations]
        cycles_per_m = self.facts.downlink.grid.spacing_hz / self.facts.speed_of_light_m_s
        cycles = [cycles_per_m * one.block for one in observations]
        return lobes([one.samples for one in observations], expected, cycles)

    def _common(self, *, forward: bool) -> Trajectory:
        return wide_trajectory(self.facts, self.options.margin_deg, forward=forward)

    def _workspace(self) -> _Workspace:
        work: _Workspace | None = getattr(self._own, "workspace", None)
        if work is None:
            forward = setting_from_focus(self._common(forward=True), self.facts)
            work = _Workspace(
                searcher=Searcher(self.facts),
                observer=Observer(self.facts, forward),
                dechirper=Dechirper(self.facts),
            )
            self._own.workspace = work
        return work
