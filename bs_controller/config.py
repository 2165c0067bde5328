"""The `controller` section of the testbed file."""

from typing import Annotated

import msgspec
from msgspec import Meta, field

from bs_controller.schemes import SchemeOptions
from protocol.config import Section
from protocol.names import PeerNames, each_name, every_name

Seconds = Annotated[float, Meta(gt=0, le=3600)]
MAX_UES = 4096


RateHz = Annotated[float, Meta(gt=0, le=1000)]


class TrackSection(Section, frozen=True):
    """How users who move are tracked, for `duration_s` or until the run is stopped.

    Each user is located `rate_hz` times a second, or as `rates_hz` says of it, by one of the schemes after another. Between
    every `locate_every` of these a user who is tracked well is followed with one sweep; 1 is never. `answer_within_s`
    takes the place of a longer `request_deadline_s`: a late answer is worth less than the next round. Motion is a velocity
    that wanders with the spectral density `acceleration_m2_s3`, at first `speed_rms_m_s` along each axis; `fix_rms_m` is how
    far off fixes are along each axis that do not say so.
    """

    rate_hz: RateHz = 10.0
    rates_hz: dict[PeerNames, RateHz] = field(default_factory=dict)
    duration_s: Annotated[float, Meta(gt=0, le=1e8)] | None = None
    locate_every: Annotated[int, Meta(ge=1, le=1_000_000)] = 20
    answer_within_s: Seconds = 0.25
    acceleration_m2_s3: Annotated[float, Meta(gt=0, le=1e6)] = 1.0
    speed_rms_m_s: Annotated[float, Meta(gt=0, le=1e3)] = 1.5
    fix_rms_m: Annotated[float, Meta(gt=0, le=1e3)] = 0.1

    def __post_init__(self) -> None:
        try:
            every_name(self.rates_hz)
        except ValueError as error:
            raise ValueError(f"rates_hz: {error}") from error
        rates = {name: rate for names, rate in self.rates_hz.items() for name in each_name(names)}
        msgspec.structs.force_setattr(self, "rates_hz", rates)


class ControllerSection(Section, frozen=True):
    """Whom to locate, how, and how long to wait for whom.

    `ues` may be written as ``ue-1..16``; once read they are one by one.
    Times are seconds: `gather_s` is how long a run waits for all UEs before it starts, so that they share their first
    sweeps; `rejoin_s` how long an absent peer may take to return before its work is given up; `request_deadline_s` how
    long one request may take before it is missed, and `retries` how often it is tried again.
    """

    ues: Annotated[tuple[PeerNames, ...], Meta(min_length=1, max_length=MAX_UES)]
    schemes: Annotated[tuple[SchemeOptions, ...], Meta(min_length=1, max_length=64)]
    rounds: Annotated[int, Meta(ge=1, le=1_000_000)] = 1
    gather_s: Seconds = 20.0
    rejoin_s: Seconds = 5.0
    request_deadline_s: Seconds = 1.0
    retries: Annotated[int, Meta(ge=0, le=100)] = 2
    heartbeat_s: Seconds = 0.5
    liveness_s: Seconds = 2.0
    record_samples: bool = True
    track: TrackSection | None = None

    def __post_init__(self) -> None:
        try:
            names = every_name(self.ues)
        except ValueError as error:
            raise ValueError(f"ues: {error}") from error
        if len(names) > MAX_UES:
            raise ValueError(f"ues: expected at most {MAX_UES} names, got {len(names)}")
        msgspec.structs.force_setattr(self, "ues", names)
        if self.track is not None and (strangers := sorted(set(self.track.rates_hz) - set(self.ues))):
            raise ValueError(f"track.rates_hz: expected names of ues, got {', '.join(strangers)}")
        if self.track is not None and self.rounds != 1:
            raise ValueError(f"rounds: expected nothing beside track, whose rounds go by time, got {self.rounds}")
        if self.liveness_s < 2 * self.heartbeat_s:
            raise ValueError(
                f"liveness_s: expected at least twice heartbeat_s ({self.heartbeat_s:g} s), got {self.liveness_s:g}"
            )
