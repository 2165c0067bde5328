"""The `controller` section of the testbed file."""

from typing import Annotated

from msgspec import Meta, field

from bs_controller.schemes import SchemeOptions
from protocol.config import Section
from protocol.messages import PeerName

Seconds = Annotated[float, Meta(gt=0, le=3600)]


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
    rates_hz: dict[PeerName, RateHz] = field(default_factory=dict)
    duration_s: Annotated[float, Meta(gt=0, le=1e8)] | None = None
    locate_every: Annotated[int, Meta(ge=1, le=1_000_000)] = 20
    answer_within_s: Seconds = 0.25
    acceleration_m2_s3: Annotated[float, Meta(gt=0, le=1e6)] = 1.0
    speed_rms_m_s: Annotated[float, Meta(gt=0, le=1e3)] = 1.5
    fix_rms_m: Annotated[float, Meta(gt=0, le=1e3)] = 0.1


class ControllerSection(Section, frozen=True):
    """Whom to locate, how, and how long to wait for whom.

    Times are seconds: `gather_s` is how long a run waits for all UEs before it starts, so that they share their first
    sweeps; `rejoin_s` how long an absent peer may take to return before its work is given up; `request_deadline_s` how
    long one request may take before it is missed, and `retries` how often it is tried again.
    """

    ues: Annotated[tuple[PeerName, ...], Meta(min_length=1, max_length=4096)]
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
        if len(set(self.ues)) != len(self.ues):
            raise ValueError(f"ues: expected distinct names, got {', '.join(self.ues)}")
        if self.track is not None and (strangers := sorted(set(self.track.rates_hz) - set(self.ues))):
            raise ValueError(f"track.rates_hz: expected names of ues, got {', '.join(strangers)}")
        if self.track is not None and self.rounds != 1:
            raise ValueError(f"rounds: expected nothing beside track, whose rounds go by time, got {self.rounds}")
        if self.liveness_s < 2 * self.heartbeat_s:
            raise ValueError(
                f"liveness_s: expected at least twice heartbeat_s ({self.heartbeat_s:g} s), got {self.liveness_s:g}"
            )
