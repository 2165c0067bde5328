"""Maximum likelihood over range, angle and visible sub-arrays from reported powers alone (the bound `power`).

No phase is reported, so that carrier, clock and cable of a user do not matter; what is left is the shape of the band that an
angle sweep lights, and the rise and fall of a range sweep of the user's own. Beside the position each sweep's amplitude and
noise power are unknown. Range shows in curvature alone: to decimetres where several sub-arrays see a near user, and hardly at
all with one sub-array far away, where the fix is the mean over the ranges that the region allows.

The plan `pair` is refused: by powers, a curvature and its mirror image about the sweeps' focus look alike in both directions
(with all elements visible, the likelihoods at 10 dB differ by 6 nats or less for a quarter of the users whose image is in the
region, at 0 dB by a tenth of that), and a sub-array alone cannot be told from its neighbours.
"""

import threading
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from bs_controller.beams import setting_from_focus
from bs_controller.estimation.power.candidates import PowerCandidate, RangeScorer, candidates
from bs_controller.estimation.power.posterior import Posterior, covariance_about_best, posteriors
from bs_controller.estimation.power.profiles import ProfileScores, ProfileTable, require_profiles
from bs_controller.estimation.power.quality import goodness_of_fit, rival_power_share
from bs_controller.estimation.power.scoring import PowerEstimate, PowerObservation
from bs_controller.estimation.power.search import maxima
from bs_controller.estimation.quality import STRONG_RIVAL_SHARE
from bs_controller.response import DownlinkResponse, Window
from bs_controller.schemes.answers import power_from
from bs_controller.schemes.likelihood import LikelihoodOptions
from bs_controller.schemes.warm_up import warm_up
from bs_controller.schemes.whole_sweeps import EmptyFeedbackError, setting_of
from bs_controller.sweeps import Answer, Covariance, Fix, Integrity, Localization, Sweep, Trajectory, Visibility
from bs_controller.trajectories import range_trajectory, require_room, wide_trajectory
from protocol.messages import FeedbackKind
from protocol.testbed import Setting, TestbedFacts

Floats = npt.NDArray[np.float64]

MOST_STARTS = 8
# A rival mask or range this close in evidence makes a fix suspect: it is the true one once in e^4 + 1 times, about 2 %.
RIVAL_NATS = 4.0
# Maxima of one mask whose ranges differ by less than this many standard deviations are no rivals.
RIVAL_SIGMA = 3.0


@dataclass(slots=True)
class _Shared:
    """What all threads share, made once: the table of profiles."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    table: ProfileTable | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LikelihoodPower:
    """The scheme `likelihood` with the model ``power``.

    Raises
    ------
    ValueError
        If the plan is ``pair``, region and margin together reach 90 degrees, the subcarriers are too far apart to tell the
        region's ranges, or the band that a user lights is too wide for the table.
    """

    options: LikelihoodOptions
    facts: TestbedFacts
    name: ClassVar[str] = "likelihood"
    heavy: ClassVar[bool] = True
    _own: threading.local = field(default_factory=threading.local, compare=False, repr=False)
    _shared: _Shared = field(default_factory=_Shared, compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.options.plan == "pair":
            raise ValueError(
                "plan `pair` does not go with model `power`: powers of two sweeps with one focus do not tell a range from its "
                "mirror image about it; use plan `angle_range`"
            )
        require_room(self.facts, self.options.margin_deg)
        require_profiles(self.facts, self._common())

    def prepare(self) -> None:
        """Make the table of profiles, about a second, and the plans of the calling thread; compile what is not yet."""
        warm_up(self, self.facts)

    def locate(self) -> Localization:
        """Return a fresh localization; see `Scheme`."""
        angle_w, common, pilots = yield from self._swept(self._common())
        scores = self._table().scores(angle_w)
        trajectory = range_trajectory(self.facts, self._candidates(scores, 1)[0].angle_rad)
        range_w, setting, more = yield from self._swept(trajectory)
        scorer = RangeScorer(self.facts, setting, range_w)
        observations = self._observations((angle_w, common), scores.window, (range_w, setting))
        found = maxima(
            observations,
            self._candidates(scores, MOST_STARTS, scorer),
            (scores.sigma2_w, scorer.sigma2_w),
            self._limits_m(),
        )
        hypotheses = posteriors(observations, found, self._limits_m())
        return self._fix(hypotheses, (angle_w, common), range_w, pilots + more)

    def _fix(self, hypotheses: Sequence[Posterior], angle: tuple[Floats, Setting], range_w: Floats, pilots: int) -> Fix:
        angle_w, common = angle
        best, spread = hypotheses[0], covariance_about_best(hypotheses)
        expected_w = (self._expected_of_angle_sweep(best.estimate, common), best.estimate.expected_w[1])
        noise_w = [levels.sigma2_w for levels in best.estimate.levels]
        rival = rival_power_share(angle_w, expected_w[0], noise_w[0], self._table().lit_box)
        suspect = rival > STRONG_RIVAL_SHARE or any(_rivals(best, one) for one in hypotheses[1:])
        return Fix(
            range_m=float(best.mean[0]),
            angle_rad=float(best.mean[1]),
            sweeps=pilots,
            covariance=Covariance(
                range_m2=float(spread[0, 0]), range_angle_m_rad=float(spread[0, 1]), angle_rad2=float(spread[1, 1])
            ),
            visibility=Visibility(subarrays=tuple(np.flatnonzero(best.estimate.mask).tolist())),
            fit=goodness_of_fit((angle_w, range_w), expected_w, noise_w),
            integrity=Integrity.SUSPECT if suspect else Integrity.TRUSTED,
        )

    def _expected_of_angle_sweep(self, estimate: PowerEstimate, setting: Setting) -> Floats:
        """Return noise-free powers on all subcarriers, also those that the estimate did not look at, ``(subcarrier,)``."""
        visible = np.flatnonzero(estimate.mask).tolist()
        model, range_m = self._model().steered(setting), 1 / estimate.curvature_per_m
        value = model.seen_value(range_m, estimate.angle_rad, visible)
        expected_w: Floats = estimate.levels[0].gain * (value.real**2 + value.imag**2)
        return expected_w

    def _swept(self, trajectory: Trajectory) -> Generator[Sweep, Answer, tuple[Floats, Setting, int]]:
        answer = yield Sweep(focus=trajectory, kind=FeedbackKind.POWER)
        feedback = power_from(answer, self.facts.downlink.grid.count)
        if not feedback.power_w.any():
            raise EmptyFeedbackError("all powers of a sweep are zero, so there is nothing to fit")
        return feedback.power_w, setting_of(feedback, trajectory, self.facts), feedback.pilots

    def _candidates(self, scores: ProfileScores, most: int, swept: RangeScorer | None = None) -> list[PowerCandidate]:
        return candidates(self.facts, scores, self._table().masks, most=most, swept=swept)

    def _observations(
        self, angle: tuple[Floats, Setting], window: slice, over_range: tuple[Floats, Setting]
    ) -> tuple[PowerObservation, PowerObservation]:
        """Return what is fitted of powers and applied setting of each sweep."""
        lit = Window(first=window.start, count=window.stop - window.start)
        return (
            PowerObservation(power_w=angle[0][window], response=DownlinkResponse(self.facts, angle[1], window=lit)),
            PowerObservation(power_w=over_range[0], response=self._model().steered(over_range[1])),
        )

    def _limits_m(self) -> tuple[float, float]:
        return self.facts.region.range_min_m, self.facts.region.range_max_m

    def _common(self) -> Trajectory:
        return wide_trajectory(self.facts, self.options.margin_deg, forward=True)

    def _table(self) -> ProfileTable:
        with self._shared.lock:
            if self._shared.table is None:
                self._shared.table = ProfileTable(self.facts, self._common(), self._model())
            return self._shared.table

    def _model(self) -> DownlinkResponse:
        """Return the calling thread's model, to be steered to each sweep."""
        model: DownlinkResponse | None = getattr(self._own, "model", None)
        if model is None:
            model = DownlinkResponse(self.facts, setting_from_focus(self._common(), self.facts))
            self._own.model = model
        return model


def _rivals(best: Posterior, other: Posterior) -> bool:
    """Return whether another hypothesis is nearly as probable and says something else."""
    if other.log_evidence < best.log_evidence - RIVAL_NATS:
        return False
    apart_m = abs(float(best.mean[0] - other.mean[0]))
    elsewhere = apart_m > RIVAL_SIGMA * float(np.sqrt(best.covariance[0, 0]))
    return elsewhere or bool((best.estimate.mask != other.estimate.mask).any())
