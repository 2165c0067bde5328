"""How a network does while it is trained: users that it is never trained on, in a few named conditions (kernel)."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from bs_controller.beams import setting_from_focus
from bs_controller.representations import HeardSweep, NetworkInput
from bs_controller.sweeps import ComplexFeedback, Sweep, Trajectory
from deploy.results import error_m
from deploy.simulation import SimulatedRadio, User
from deploy.study_users import drawn_mask
from deploy.training_sweeps import planned
from emulator.config import FrontEndErrorsSection, FrontEndSection, SweepMean
from emulator.scene import drawn_paths
from protocol.messages import FeedbackKind
from protocol.testbed import TestbedFacts

Floats = npt.NDArray[np.float64]

SEED = 77
SNR_DB = 10.0
_PERFECT = FrontEndSection()


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """What users of one kind meet; clocks are normal with this rms, and known to be."""

    masks: Literal["all", "random"] = "random"
    mixed: bool = False
    timing_rms_s: float = 0.0
    front_end: FrontEndSection = _PERFECT


#: few phase bits, erring delay lines, dead elements, and paths that a line-of-sight model lacks, all together
WRONG_FRONT_END = FrontEndSection(
    phase_bits=3, errors=FrontEndErrorsSection(phase_rms_deg=2.0, dead_fraction=0.05, delay_rms_s=10e-12)
)
CONDITIONS: Mapping[str, Condition] = {
    "all": Condition(masks="all"),
    "masks": Condition(),
    "mixed": Condition(mixed=True),
    "clocks": Condition(timing_rms_s=1e-9),
    "wrong": Condition(mixed=True, front_end=WRONG_FRONT_END),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """An input, and where the user is."""

    shown: NetworkInput
    range_m: float
    angle_rad: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Viewing:
    """Some users of one condition, to be seen in a process of its own."""

    facts: TestbedFacts
    representation: str
    condition: str
    first_user: int
    users: int


def seen(viewing: Viewing) -> list[Seen]:
    """Return inputs of users at 10 dB, the same however they are divided among processes."""
    return [_seen(viewing, number) for number in range(viewing.first_user, viewing.first_user + viewing.users)]


def rmse_m(inputs: list[Seen], outputs: Floats) -> float:
    """Return the root mean square location error of a network's outputs, ``(user, output)``."""
    errors = []
    for one, (range_units, sine_units) in zip(inputs, outputs[:, :2].tolist(), strict=True):
        range_m, angle_rad = one.shown.correction.position(range_units, sine_units)
        errors.append(error_m(range_m, angle_rad, one.range_m, one.angle_rad))
    return float(np.sqrt(np.mean(np.square(errors))))


def heard_sweeps(viewing: Viewing, number: int) -> tuple[HeardSweep, HeardSweep, User]:
    """Return what a user hears of both sweeps, and the user."""
    facts, condition = viewing.facts, CONDITIONS[viewing.condition]
    draw_rng, radio_rng = np.random.default_rng((SEED, list(CONDITIONS).index(viewing.condition), number)).spawn(2)
    user = _user(facts, condition, draw_rng)
    radio = SimulatedRadio(facts, rng=radio_rng, downlink_noise=SweepMean(snr_db=SNR_DB), front_end=condition.front_end)
    frame = planned(facts, viewing.representation)
    first = _heard(radio, frame.first(), user, facts)
    return first, _heard(radio, frame.second(first), user, facts), user


def _seen(viewing: Viewing, number: int) -> Seen:
    first, second, user = heard_sweeps(viewing, number)
    timing_rms_m = CONDITIONS[viewing.condition].timing_rms_s * viewing.facts.speed_of_light_m_s
    shown = planned(viewing.facts, viewing.representation).of(first, second, timing_rms_m)
    return Seen(shown=shown, range_m=user.range_m, angle_rad=user.angle_rad)


def _user(facts: TestbedFacts, condition: Condition, rng: np.random.Generator) -> User:
    region, subarrays = facts.region, facts.downlink.array.subarrays
    visible = drawn_mask(condition.masks, subarrays, rng)
    return User(
        range_m=float(rng.uniform(region.range_min_m, region.range_max_m)),
        angle_rad=float(rng.uniform(region.angle_min_rad, region.angle_max_rad)),
        visible_subarrays=visible,
        timing_offset_s=condition.timing_rms_s * float(rng.standard_normal()),
        paths=drawn_paths("mixed", facts, rng) if condition.mixed else (),
    )


def _heard(radio: SimulatedRadio, focus: Trajectory, user: User, facts: TestbedFacts) -> HeardSweep:
    feedback = radio.answer(Sweep(focus=focus, kind=FeedbackKind.COMPLEX), user)
    if not isinstance(feedback, ComplexFeedback):
        raise TypeError(f"complex samples expected, got {type(feedback).__name__}")
    setting = feedback.applied or _setting(focus, facts)
    return HeardSweep(samples=feedback.samples, focus=focus, setting=setting)


_setting = functools.lru_cache(maxsize=2)(setting_from_focus)
