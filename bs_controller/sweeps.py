"""What a scheme asks for and gets back, and the contract of a scheme: a generator without I/O.

A scheme yields a `Sweep` or a `Sounding`, is sent the `Feedback` or `Snapshot` that came of it, and returns a `Fix`. It
knows no socket, no clock and no UE's name, so the same object runs in the live testbed, in a study and on a recording.
"""

from collections.abc import Generator
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from protocol.messages import FeedbackKind
from protocol.testbed import Setting

ComplexArray = npt.NDArray[np.complex128]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trajectory:
    """Foci from a start point at the first subcarrier to an end point at the last [CBS, eqs. (8)-(9)]."""

    start_range_m: float
    start_angle_rad: float
    end_range_m: float
    end_angle_rad: float


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupFoci:
    """One focus without squint per group of subcarriers [CBS, Algorithm 1].

    ``groups_per_pilot`` says how many groups the scheme wants in one pilot: their number for the paper's ideal front
    end, one for what phase shifters and delay lines can realise. The front end's own limit holds in any case.
    """

    range_m: tuple[float, ...]  # (group,)
    angle_rad: tuple[float, ...]  # (group,)
    groups_per_pilot: int

    def __post_init__(self) -> None:
        if not self.range_m or len(self.range_m) != len(self.angle_rad):
            raise ValueError(
                f"each group needs a range and an angle, got {len(self.range_m)} and {len(self.angle_rad)}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Coded:
    """No focus: a row of an orthogonal code over the elements, each with a delay of its own, see `calibration.codes`."""

    ARRANGEMENTS: ClassVar[int] = 2  # of delays over elements

    row: int
    codes: int
    arrangement: int
    delay_span_s: float


Focus = Trajectory | GroupFoci | Coded


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """A downlink pilot with these foci, measured by the UE as `kind` says. Equal foci of several UEs are sent once."""

    focus: Focus
    kind: FeedbackKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Sounding:
    """An uplink pilot of the UE, captured by the sectored circular array."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeakFeedback:
    """Index of the strongest subcarrier."""

    subcarrier: int
    pilots: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupFeedback:
    """Index of the group with the largest sum of amplitudes [CBS, Algorithm 1, lines 11 and 19]."""

    group: int
    pilots: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerFeedback:
    """Received power of every subcarrier, W, ``(subcarrier,)``, and what the front end applied, if not what was asked for."""

    power_w: Floats
    pilots: int = 1
    applied: Setting | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ComplexFeedback:
    """Received sample of every subcarrier, ``(subcarrier,)``, in square roots of W, and the applied setting as for powers."""

    samples: ComplexArray
    pilots: int = 1
    applied: Setting | None = None


Feedback = PeakFeedback | GroupFeedback | PowerFeedback | ComplexFeedback


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What the uplink array received of one UE's pilot, ``(element, subcarrier)``."""

    samples: ComplexArray
    pilots: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A further reflecting or radiating point found beside the user; `power` is relative to the user's peak."""

    range_m: float
    angle_rad: float
    power: float


@dataclass(frozen=True, slots=True, kw_only=True)
class NotEstimated:
    """Something that the scheme cannot know, and why; never a NaN in the place of a number."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Covariance:
    """Second moments of a fix's error, as the scheme itself expects them."""

    range_m2: float
    range_angle_m_rad: float
    angle_rad2: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Visibility:
    """The sub-arrays from which the user was found to be seen."""

    subarrays: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GoodnessOfFit:
    """Residual energy over what noise alone would leave; 1 with a standard deviation of ``sqrt(1 / degrees)``."""

    statistic: float
    degrees: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockOffset:
    """How late the user's clock made each sweep look, in the order of the sweeps; the error is that of the range, negated."""

    delay_s: tuple[float, ...]


class Integrity(StrEnum):
    """Whether a fix may be relied upon."""

    TRUSTED = "trusted"
    SUSPECT = "suspect"


_SILENT = NotEstimated(reason="the scheme has no model of its error")
_SYNCHRONOUS = NotEstimated(reason="the scheme takes clocks for synchronised, or does not need them")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fix:
    """Where the user is, how many pilots it took to find out, and what the scheme knows of its own error."""

    range_m: float
    angle_rad: float
    sweeps: int
    targets: tuple[Target, ...] = ()
    covariance: Covariance | NotEstimated = _SILENT
    visibility: Visibility | NotEstimated = _SILENT
    fit: GoodnessOfFit | NotEstimated = _SILENT
    integrity: Integrity | NotEstimated = _SILENT
    delay: ClockOffset | NotEstimated = _SYNCHRONOUS


@dataclass(frozen=True, slots=True, kw_only=True)
class Prior:
    """Where a user is thought to be before it is looked for."""

    range_m: float
    angle_rad: float
    covariance: Covariance


Request = Sweep | Sounding
Answer = Feedback | Snapshot
Localization = Generator[Request, Answer, Fix]
Measurement = Generator[Request, Answer, Fix | None]  # one that may end without a fix, having been heard


class Scheme(Protocol):
    """A way to locate one user; `locate` starts afresh each time it is called."""

    @property
    def name(self) -> str:
        """Return the scheme's name in files and tables."""

    @property
    def heavy(self) -> bool:
        """Return whether one step may compute for more than 5 ms, so that a shell runs it in a thread."""

    def prepare(self) -> None:
        """Compute and compile what all localizations share; optional, may take seconds, is then not waited for in `locate`."""

    def locate(self) -> Measurement:
        """Return a fresh localization; the caller sends it one answer per request until it returns a `Fix`.

        A scheme that only measures returns None instead: its answers are what it is for.
        """


@runtime_checkable
class MovingScheme(Scheme, Protocol):
    """A scheme that can also locate a user who moves by centimetres between its sweeps, if its plan allows."""

    @property
    def finds_movers(self) -> bool:
        """Return whether it can, as it is planned; else it takes users for still."""

    def locate_moving(self) -> Localization:
        """Return a fresh localization, whose fix is where the user was in the middle of the sweeps; see `locate`."""


def finds_movers(scheme: Scheme) -> bool:
    """Return whether fixes of users who move are of one moment, midway between the sweeps."""
    return isinstance(scheme, MovingScheme) and scheme.finds_movers


def localization_of(scheme: Scheme, *, moving: bool) -> Measurement:
    """Return a fresh localization, of a user who may be moving if the scheme can do that."""
    return scheme.locate_moving() if moving and isinstance(scheme, MovingScheme) else scheme.locate()


class FeedbackMismatchError(TypeError):
    """An answer is not of the kind that the scheme asked for."""
