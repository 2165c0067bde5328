"""The `controller` section of the testbed file."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from bs_controller.schemes import SchemeOptions
from protocol.config import Section
from protocol.names import PeerNames, every_name

Seconds = Annotated[float, Meta(gt=0, le=3600)]
MAX_UES = 4096


Paths = Literal["own", "common", "none"]


class CalibrationSection(Section, frozen=True):
    """Which calibration of the front end is taken off every setting: a file, seen from the testbed file.

    One that is stale, or of another front end, is refused, or used with a warning if `stale` says so. `paths` says which
    delay is taken off what a user reports: that of its `own` path, if it was measured; the mean of those measured, which is
    `common` to users that are alike and synchronised; or none, where clocks begin anew with each connection.
    """

    file: Annotated[str, Meta(min_length=1)]
    stale: Literal["refuse", "warn"] = "refuse"
    paths: Paths = "own"


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
    calibration: CalibrationSection | None = None

    def __post_init__(self) -> None:
        try:
            names = every_name(self.ues)
        except ValueError as error:
            raise ValueError(f"ues: {error}") from error
        if len(names) > MAX_UES:
            raise ValueError(f"ues: expected at most {MAX_UES} names, got {len(names)}")
        msgspec.structs.force_setattr(self, "ues", names)
        if self.liveness_s < 2 * self.heartbeat_s:
            raise ValueError(
                f"liveness_s: expected at least twice heartbeat_s ({self.heartbeat_s:g} s), got {self.liveness_s:g}"
            )
