"""One sweep, common to all users, to improve on where a track says that a user is.

A forward angle sweep tells direction and range of a user whose range is known to some decimetres: the delay axis, which alone
cannot tell a range from a shift by whole sub-arrays, need not be searched. Nobody asks for this scheme in a testbed file; it
takes the place of whole localizations between which a user is tracked.
"""

import threading
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from bs_controller.beams import setting_from_focus
from bs_controller.estimation.apart import Supposed, most_likely_of_one
from bs_controller.estimation.candidates import Searcher
from bs_controller.estimation.newton import Observation
from bs_controller.estimation.observed import Observer
from bs_controller.estimation.quality import covariance_from_information, goodness_of_fit
from bs_controller.schemes.whole_sweeps import complex_swept
from bs_controller.sweeps import Fix, GoodnessOfFit, Integrity, Localization, Prior, Trajectory, Visibility
from bs_controller.trajectories import wide_trajectory
from protocol.testbed import TestbedFacts

MARGIN_DEG = 2.0  # as in `likelihood`, with whose sweep that of this scheme is shared
# The fit of an honest model of 2048 samples is 1 with a standard deviation of 0.023.
POOR_FIT = 1.25


@dataclass(slots=True)
class _Workspace:
    """What the estimates of one thread share."""

    searcher: Searcher
    observer: Observer


@dataclass(frozen=True, slots=True, kw_only=True)
class Follow:
    """The scheme `follow`: complex feedback, synchronised clocks."""

    facts: TestbedFacts
    name: ClassVar[str] = "follow"
    heavy: ClassVar[bool] = True
    _own: threading.local = field(default_factory=threading.local, compare=False, repr=False)

    @property
    def sweep(self) -> Trajectory:
        """Return the foci that all users share."""
        return wide_trajectory(self.facts, MARGIN_DEG, forward=True)

    def locate_from(self, prior: Prior) -> Localization:
        """Return a fresh localization of a user who is thought to be there; see `Scheme`."""
        samples, setting, pilots = yield from complex_swept(self.sweep, self.facts)
        work = self._workspace()
        swept = work.searcher.angle_sweep(samples, self.sweep, setting)
        candidate = work.searcher.at_range(swept, prior.range_m, prior.angle_rad)
        observation = Observation.of(samples, work.observer.whole(setting))
        supposed = Supposed(range_m=prior.range_m, variance_m2=prior.covariance.range_m2)
        estimate = most_likely_of_one(observation, candidate, self.facts, supposed)
        fit = goodness_of_fit(estimate.residuals)
        return Fix(
            range_m=estimate.range_m,
            angle_rad=estimate.angle_rad,
            sweeps=pilots,
            covariance=covariance_from_information(estimate.information),
            visibility=Visibility(subarrays=tuple(np.flatnonzero(estimate.mask).tolist())),
            fit=fit,
            integrity=_integrity(fit),
        )

    def _workspace(self) -> _Workspace:
        work: _Workspace | None = getattr(self._own, "workspace", None)
        if work is None:
            setting = setting_from_focus(self.sweep, self.facts)
            work = _Workspace(searcher=Searcher(self.facts), observer=Observer(self.facts, setting))
            self._own.workspace = work
        return work


def _integrity(fit: GoodnessOfFit) -> Integrity:
    return Integrity.TRUSTED if fit.statistic < POOR_FIT else Integrity.SUSPECT
