"""A trained network corrects the position that two sweeps speak for, and says how far off it may still be.

What a network is shown, and which two sweeps that takes, is a representation (`bs_controller.representations`): the same
objects as in its training. A model made for another testbed, other features or other outputs is refused when the scheme is
made. Hybrids [CBS, Fig. 8 (b)] take the angle of the network and the range of `cbs` or `cbs_bt` at that angle.
"""

import math
import threading
from collections.abc import Generator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Meta

from bs_controller.beams import setting_from_focus
from bs_controller.estimation.candidates import LIT_BOX
from bs_controller.estimation.newton import Observation
from bs_controller.estimation.observed import Observer, improved
from bs_controller.estimation.quality import covariance_from_information, goodness_of_fit
from bs_controller.features import lit_subcarrier
from bs_controller.inference import Model
from bs_controller.model_metadata import ModelMismatchError
from bs_controller.models import shipped_model
from bs_controller.representations import (
    LOG_DEVIATION_LIMITS,
    OUTPUTS,
    HeardSweep,
    MovingRepresentation,
    NetworkInput,
    Representation,
    combined,
    representation,
)
from bs_controller.schemes.cbs import BeamCount, estimated_range
from bs_controller.schemes.cbs_bt import CbsBt, CbsBtOptions
from bs_controller.schemes.warm_up import warm_up
from bs_controller.schemes.whole_sweeps import complex_swept
from bs_controller.sweeps import Answer, Fix, Localization, NotEstimated, Sweep, Trajectory, Visibility
from protocol.messages import FeedbackKind
from protocol.testbed import TestbedFacts

Floats = npt.NDArray[np.float64]

REPRESENTATION_OF_PLAN = {"angle_range": "element", "pair": "pair", "image": "image"}

_NOT_FITTED = NotEstimated(reason="the network fits no model to the samples, so nothing is left of them to judge")
_NO_INTEGRITY = NotEstimated(reason="the network does not say whether it answers for the line of sight or for an echo")
_NO_MASK = NotEstimated(reason="what the network is shown names no sub-arrays")
_NO_RANGE_ERROR = NotEstimated(reason="the range is that of a scheme without a model of its error")
_NO_DELAY = NotEstimated(reason="the network is told how far clocks are off, and does not say by how much one is")


class NetworkOptions(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="network", tag_field="scheme"
):
    """Which sweeps are sent and how often, which model corrects, and what is done with its answer.

    ``plan``: ``angle_range`` is an angle sweep common to all users and a range sweep of each, ``pair`` two angle sweeps,
    forward and backward, common to all, ``image`` the two sweeps of `cbs`, shown as [CBS, section III-C] says. ``angle_beams``
    first and ``range_beams`` second sweeps are asked for, with ``pair`` forward and backward ones, and become one each.
    ``model``: an ONNX file, by default the one that is shipped for the plan; ``image`` has none and needs a file. A relative
    path is seen from where the process was started. ``timing_rms_s``: how far users' clocks are known to be off, rms, by as
    much in all sweeps of a user. ``range_from``: by ``cbs`` the range of one more range sweep at the network's angle, by
    ``cbs_bt`` that of the shrinking rounds of its stage three, with its default options. ``refine``: the network's position is
    where the search of `likelihood` starts, and stands unless that finds a likelier one. ``moving``: with plan ``pair`` a user
    may move by decimetres between the sweeps, as continuous runs suppose in any case; the fix is where it was midway.
    """

    plan: Literal["angle_range", "pair", "image"] = "angle_range"
    model: Annotated[str, Meta(min_length=1)] | None = None
    angle_beams: BeamCount = 1
    range_beams: BeamCount = 1
    timing_rms_s: Annotated[float, Meta(ge=0, le=3e-9)] = 0.0
    range_from: Literal["network", "cbs", "cbs_bt"] = "network"
    refine: bool = False
    moving: bool = False

    def __post_init__(self) -> None:
        if self.moving and self.plan != "pair":
            raise ValueError(f"moving: expected plan pair with it, got {self.plan}")
        if self.plan == "image" and self.model is None:
            raise ValueError("model: expected a file with plan image, for which none is shipped, got none")
        if self.refine and self.range_from != "network":
            raise ValueError(f"refine: expected false with the range of {self.range_from}, got true")
        if self.refine and self.timing_rms_s > 0:
            raise ValueError(
                f"refine: expected false with timing_rms_s {self.timing_rms_s:g}, got true: its search takes clocks for right"
            )


class UnusableOutputError(ArithmeticError):
    """A network's outputs are no finite numbers."""


@dataclass(slots=True)
class _Workspace:
    """What the localizations of one thread share: tables, and models to be steered to each sweep."""

    representation: Representation
    observer: Observer


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """The scheme `network`, with its model, which threads share, and the focus of its first sweep; `loaded` makes one."""

    options: NetworkOptions
    facts: TestbedFacts
    model: Model
    first: Trajectory
    name: ClassVar[str] = "network"
    heavy: ClassVar[bool] = True
    _own: threading.local = field(default_factory=threading.local, compare=False, repr=False)

    @classmethod
    def loaded(cls, options: NetworkOptions, facts: TestbedFacts) -> "Network":
        """Return the scheme with the model that its options name.

        Raises
        ------
        ModelError
            If there is no such model, or it was made for something else.
        ValueError
            If the testbed does not suit the representation or the rounds of `cbs_bt`.
        """
        shown = representation(REPRESENTATION_OF_PLAN[options.plan], facts)
        path = shipped_model(shown.name) if options.model is None else Path(options.model)
        model = Model.load(path, facts, features=f"{shown.name}-{shown.version}", outputs=OUTPUTS)
        if model.shape != shown.shape:
            raise ModelMismatchError(f"{path}: expected a network of inputs {shown.shape}, got one of {model.shape}")
        if options.range_from == "cbs_bt":
            CbsBt(options=CbsBtOptions(), facts=facts)  # refuses what it cannot cut into groups
        return cls(options=options, facts=facts, model=model, first=shown.first())

    def prepare(self) -> None:
        """Compile what is not yet, and plan the transforms of the calling thread; others plan theirs on first use."""
        warm_up(self, self.facts)

    def locate(self) -> Localization:
        """Return a fresh localization; see `Scheme`."""
        return self._located(moving=self.options.moving)

    @property
    def finds_movers(self) -> bool:
        """Return whether both sweeps are common to all users, so that each tells a place of its own."""
        return self.options.plan == "pair"

    def locate_moving(self) -> Localization:
        """Return a fresh localization; see `MovingScheme`. It starts where `refine` would end, which adds nothing then."""
        return self._located(moving=True)

    def _located(self, *, moving: bool) -> Localization:
        first, pilots = yield from self._heard(self.first, self.options.angle_beams)
        # the workspace of the thread that goes on, which may be another than before the sweep
        second_focus = self._workspace().representation.second(first)
        second, more = yield from self._heard(second_focus, self.options.range_beams)
        fix = self._fix(first, second, pilots + more, moving=moving)
        if self.options.range_from == "network":
            return fix
        range_m, more = yield from self._range_of_another(fix.angle_rad)
        return replace(fix, range_m=range_m, sweeps=fix.sweeps + more, covariance=_NO_RANGE_ERROR)

    def _heard(self, focus: Trajectory, times: int) -> Generator[Sweep, Answer, tuple[HeardSweep, int]]:
        """Ask for a sweep some times and return all of them as one, and the pilots they took."""
        sweeps, pilots = list[HeardSweep](), 0
        for _ in range(times):
            samples, setting, more = yield from complex_swept(focus, self.facts)
            sweeps.append(HeardSweep(samples=samples, focus=focus, setting=setting))
            pilots += more
        return combined(sweeps), pilots

    def _range_of_another(self, angle_rad: float) -> Generator[Sweep, Answer, tuple[float, int]]:
        """Return the range of the scheme that the options name, m, and the pilots it took."""
        if self.options.range_from == "cbs":
            return (yield from estimated_range(self.facts, angle_rad, 1, FeedbackKind.COMPLEX))
        return (yield from CbsBt(options=CbsBtOptions(), facts=self.facts).trained_range(angle_rad))

    def _fix(self, first: HeardSweep, second: HeardSweep, pilots: int, *, moving: bool) -> Fix:
        shown, apart = self._shown(first, second, moving=moving)
        outputs = self.model.predict(shown.features[np.newaxis])[0].tolist()
        if not all(map(math.isfinite, outputs)):
            raise UnusableOutputError(f"expected {len(OUTPUTS)} finite outputs of the network, got {outputs}")
        range_units, sine_units, log_range, log_sine = outputs
        range_m, angle_rad = shown.correction.position(range_units, sine_units)
        deviations = _deviation(log_range), _deviation(log_sine)
        fix = Fix(
            range_m=range_m,
            angle_rad=angle_rad,
            sweeps=pilots,
            covariance=shown.correction.covariance(range_units, sine_units, *deviations),
            visibility=_NO_MASK if shown.mask is None else _visibility(shown.mask),
            fit=_NOT_FITTED,
            integrity=_NO_INTEGRITY,
            delay=_NO_DELAY,
        )
        return self._refined(fix, first, second, shown.mask) if self.options.refine and not apart else fix

    def _shown(self, first: HeardSweep, second: HeardSweep, *, moving: bool) -> tuple[NetworkInput, bool]:
        """Return the input, and whether the user was sought in each sweep by itself."""
        timing_rms_m = self.options.timing_rms_s * self.facts.speed_of_light_m_s
        shows = self._workspace().representation
        if moving and isinstance(shows, MovingRepresentation):
            return shows.of_moving(first, second, timing_rms_m), True
        return shows.of(first, second, timing_rms_m), False

    def _refined(self, fix: Fix, first: HeardSweep, second: HeardSweep, mask: Floats | None) -> Fix:
        """Return the fix that the search of `likelihood` finds from a network's, or the network's if that is as likely."""
        start = np.ones(self.facts.downlink.array.subarrays) if mask is None else mask
        found = improved(self._observations(first, second, fix), fix.range_m, fix.angle_rad, start)
        if found is None:
            return fix
        return replace(
            fix,
            range_m=found.range_m,
            angle_rad=found.angle_rad,
            covariance=covariance_from_information(found.information),
            visibility=_visibility(found.mask),
            fit=goodness_of_fit(found.residuals),
        )

    def _observations(self, first: HeardSweep, second: HeardSweep, supposed: Fix) -> list[Observation]:
        """Return the sweeps as `likelihood` looks at those of this plan."""
        observer, sweeps = self._workspace().observer, [(sweep.samples, sweep.setting) for sweep in (first, second)]
        if self.options.plan == "pair":
            return observer.pair(*sweeps)
        lit = lit_subcarrier(first.samples, LIT_BOX)
        return observer.angle_and_range(sweeps[0], lit, sweeps[1], supposed.range_m, supposed.angle_rad)

    def _workspace(self) -> _Workspace:
        work: _Workspace | None = getattr(self._own, "workspace", None)
        if work is None:
            work = _Workspace(
                representation=representation(REPRESENTATION_OF_PLAN[self.options.plan], self.facts),
                observer=Observer(self.facts, setting_from_focus(self.first, self.facts)),
            )
            self._own.workspace = work
        return work


def _deviation(logarithm: float) -> float:
    low, high = LOG_DEVIATION_LIMITS
    return math.exp(min(max(logarithm, low), high))


def _visibility(mask: Floats) -> Visibility:
    return Visibility(subarrays=tuple(np.flatnonzero(mask).tolist()))
