"""On whom networks are trained: users, channels, front ends and noise, drawn far wider than any one testbed (kernel).

Half of all users are seen by every sub-array, half by a random subset. Four in ten have paths beside the line of sight, drawn
as the emulator draws them or as strong as is told here; three in ten meet a front end with few phase bits, erring delay
lines, phases and amplitudes, and dead elements. Noise and clocks are drawn anew whenever a user is shown again.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from deploy.simulation import User
from deploy.study_users import drawn_mask
from emulator.config import FrontEndErrorsSection, FrontEndSection, Noise, PathSection, PerSubcarrier, SweepMean
from emulator.scene import drawn_paths
from protocol.testbed import TestbedFacts

VERSION = 1  # a change of what is drawn is another data set

_PATHS_SHARE, _MIXED_SHARE = 0.4, 0.65
_STRONGEST_ECHO_DB, _WEAKEST_ECHO_DB = -6.0, -25.0
_HARDWARE_SHARE = 0.3
_PHASE_BITS = (0, 0, 2, 3, 4)
_EDGE_SHARE = 0.02  # exactly at one or the other end of the angles, where sweeps end

SNR_DB = (-2.0, 32.0)
_MORE_IN_SECOND_DB = 20.0
_PER_SUBCARRIER_SHARE = 0.2
_LATE_SHARE = 0.5
_TIMING_RMS_S = (3e-11, 3e-9)


@dataclass(frozen=True, slots=True, kw_only=True)
class Showing:
    """How a user is shown once: the noise of both sweeps, how late its clock is, and how late it is known to be."""

    noise: tuple[Noise, Noise]
    late_s: float
    timing_rms_s: float


def trained_user(facts: TestbedFacts, rng: np.random.Generator) -> tuple[User, FrontEndSection]:
    """Return a user and the front end that it meets."""
    region, subarrays = facts.region, facts.downlink.array.subarrays
    range_m = rng.uniform(region.range_min_m, region.range_max_m)
    angle_rad = rng.uniform(region.angle_min_rad, region.angle_max_rad)
    if rng.random() < _EDGE_SHARE:
        angle_rad = region.angle_max_rad if rng.random() < 0.5 else region.angle_min_rad
    masks = "random" if rng.random() < 0.5 else "all"
    user = User(
        range_m=float(range_m),
        angle_rad=float(angle_rad),
        visible_subarrays=drawn_mask(masks, subarrays, rng),
        paths=drawn_paths(_path_sections(rng), facts, rng) if rng.random() < _PATHS_SHARE else (),
    )
    return user, _front_end(rng) if rng.random() < _HARDWARE_SHARE else FrontEndSection()


def showing(rng: np.random.Generator) -> Showing:
    """Return how a user is shown once.

    The second sweep may have a better ratio, as a range sweep has by its focus where the noise is the receiver's own. The
    power of the noise is flat, or follows each subcarrier's as in the tables of [CBS].
    """
    first_db = rng.uniform(*SNR_DB)
    second_db = first_db + (rng.uniform(0.0, _MORE_IN_SECOND_DB) if rng.random() < 0.3 else 0.0)
    kind = PerSubcarrier if rng.random() < _PER_SUBCARRIER_SHARE else SweepMean
    low_s, high_s = np.log(_TIMING_RMS_S)
    timing_rms_s = float(np.exp(rng.uniform(low_s, high_s))) if rng.random() < _LATE_SHARE else 0.0
    return Showing(
        noise=(kind(snr_db=first_db), kind(snr_db=second_db)),
        late_s=timing_rms_s * float(rng.standard_normal()),
        timing_rms_s=timing_rms_s,
    )


def _path_sections(rng: np.random.Generator) -> tuple[PathSection, ...] | Literal["mixed"]:
    if rng.random() < _MIXED_SHARE:
        return "mixed"
    gains_db = rng.uniform(_WEAKEST_ECHO_DB, _STRONGEST_ECHO_DB, size=int(rng.integers(1, 3)))
    return tuple(PathSection(kind="reflected", gain_db=float(gain_db)) for gain_db in gains_db)


def _front_end(rng: np.random.Generator) -> FrontEndSection:
    return FrontEndSection(
        phase_bits=int(rng.choice(_PHASE_BITS)),
        errors=FrontEndErrorsSection(
            gain_rms_db=rng.uniform(0.0, 1.0),
            phase_rms_deg=rng.uniform(0.0, 5.0),
            dead_fraction=rng.uniform(0.0, 0.1),
            delay_rms_s=rng.uniform(0.0, 15e-12),
        ),
    )
