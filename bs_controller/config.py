"""The `controller` section of the testbed file."""

from typing import Annotated, Literal

from msgspec import Meta

from bs_controller.schemes import SchemeOptions
from protocol.config import Section
from protocol.messages import PeerName

Seconds = Annotated[float, Meta(gt=0, le=3600)]


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
    calibration: CalibrationSection | None = None

    def __post_init__(self) -> None:
        if len(set(self.ues)) != len(self.ues):
            raise ValueError(f"ues: expected distinct names, got {', '.join(self.ues)}")
        if self.liveness_s < 2 * self.heartbeat_s:
            raise ValueError(
                f"liveness_s: expected at least twice heartbeat_s ({self.heartbeat_s:g} s), got {self.liveness_s:g}"
            )
