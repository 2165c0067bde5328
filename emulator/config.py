"""The ``emulator:`` section of a testbed file as typed structs, checked once and trusted afterwards.

A person writes this file, so that angles are in degrees here and in radians everywhere else. Unknown keys, numbers that
are not finite and values that no scene can have are errors.
"""

import math
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from protocol import config
from protocol.names import PeerNames, each_name, every_name
from protocol.testbed import FrontEndLimits, NonNegative, Positive

Probability = Annotated[float, Meta(ge=0, le=1)]
Seed = Annotated[int, Meta(ge=0)]
SubarrayIndex = Annotated[int, Meta(ge=0)]
FrontAngleDeg = Annotated[float, Meta(gt=-90, lt=90)]


class Section(config.Section, frozen=True, kw_only=True):
    """A part of the file; every number in it is finite, also where a program builds it."""

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            for number in value if isinstance(value, tuple) else (value,):
                # YAML can write .nan and .inf, which bounds alone let through
                if isinstance(number, float) and not math.isfinite(number):
                    raise ValueError(f"{name} must be finite, got {number}")


class ElementErrorsSection(Section, frozen=True):
    """Errors of an array's elements, drawn once per run: normal with these rms values, and a share that is dead."""

    gain_rms_db: NonNegative = 0.0
    phase_rms_deg: NonNegative = 0.0
    dead_fraction: Probability = 0.0


class FrontEndErrorsSection(ElementErrorsSection, frozen=True):
    """Errors of the front end that no controller is told of; delays err beside their steps, once per run as well."""

    delay_rms_s: NonNegative = 0.0


class FrontEndSection(Section, frozen=True):
    """What the emulated front end can do; the fields mean what `FrontEndLimits` says, ``errors`` is its secret."""

    groups: Annotated[int, Meta(ge=1, le=4096)] = 4096
    phase_bits: Annotated[int, Meta(ge=0, le=16)] = 0
    delay_step_s: NonNegative = 0.0
    delay_span_s: Positive = 100e-9
    settle_s: NonNegative = 0.0
    errors: FrontEndErrorsSection = FrontEndErrorsSection()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.delay_step_s > self.delay_span_s:
            raise ValueError(
                f"delay_step_s must not exceed delay_span_s, got {self.delay_step_s:g} and {self.delay_span_s:g} s"
            )

    def limits(self, elements: int) -> FrontEndLimits:
        """Return what the front end of an array of this many elements advertises."""
        return FrontEndLimits(
            elements=elements,
            groups=self.groups,
            phase_bits=self.phase_bits,
            delay_step_s=self.delay_step_s,
            delay_span_s=self.delay_span_s,
            settle_s=self.settle_s,
        )


class SweepMean(Section, frozen=True, tag_field="mode", tag="sweep_mean"):
    """Flat noise, so strong that the mean power over all samples has this ratio to it."""

    snr_db: float


class PerSubcarrier(Section, frozen=True, tag_field="mode", tag="per_subcarrier"):
    """Noise that follows the power of each subcarrier at this ratio, as the authors of [CBS] simulate."""

    snr_db: float


class LinkBudget(Section, frozen=True, tag_field="mode", tag="link_budget"):
    """Flat thermal noise against a transmit power; what hardware does."""

    transmit_power_dbm: float
    noise_figure_db: NonNegative
    temperature_k: Positive = 290.0


class NoNoise(Section, frozen=True, tag_field="mode", tag="none"):
    """No noise at all."""


Noise = SweepMean | PerSubcarrier | LinkBudget | NoNoise


class ClocksSection(Section, frozen=True):
    """How unsteady the clocks of the UEs are: normal with these rms values, drawn anew for each pilot or sweep."""

    phase_noise_rms_deg: NonNegative = 0.0  # common to all subcarriers of a pilot, another for the next pilot
    timing_jitter_rms_s: NonNegative = 0.0  # common to all pilots of a sweep, beside the user's ``timing_offset_s``


def _check_subarrays(visible: tuple[int, ...] | str) -> None:
    if not isinstance(visible, str) and (not visible or len(set(visible)) != len(visible)):
        raise ValueError(f"visible_subarrays must be 'all' or distinct indices, at least one, got {visible}")


class PathSection(Section, frozen=True):
    """A downlink path over one scatterer; what the file does not fix is drawn once from the seed and the user's name.

    ``gain_db`` is the power of the path against that of the line of sight, each added up over the elements that see it,
    weights included; it stays whatever the user does, and its phase is drawn. Drawn, the gain on one element is
    ``0.5 CN(0,1) / (r_s d_su)`` against the line of sight's ``1 / r``.
    """

    kind: Literal["reflected", "diffracted"]
    range_m: Positive | Literal["drawn"] = "drawn"
    angle_deg: FrontAngleDeg | Literal["drawn"] = "drawn"
    gain_db: float | Literal["drawn"] = "drawn"
    visible_subarrays: tuple[SubarrayIndex, ...] | Literal["all", "drawn"] = "drawn"

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_subarrays(self.visible_subarrays)


MIXED = (PathSection(kind="reflected"), PathSection(kind="diffracted"))


#: What a user does at the end of its way: it stays, begins again, or turns round.
Repeat = Literal["once", "loop", "back_and_forth"]


class WaypointSection(Section, frozen=True):
    """A place on a user's way, reached from the one before with this speed, or at this time since the scene began."""

    range_m: Positive
    angle_deg: FrontAngleDeg
    speed_m_s: Positive | None = None
    at_s: Positive | None = None


class WaypointsSection(Section, frozen=True, tag_field="kind", tag="waypoints"):
    """Straight legs at constant speed from point to point, and what happens at the end.

    The user begins at the first point, which says no more than where it is; a ``loop`` goes straight back to it, at the
    ``speed_m_s`` that it says then. ``once`` stays at the last.
    """

    points: Annotated[tuple[WaypointSection, ...], Meta(min_length=2, max_length=1000)]
    repeat: Repeat

    def __post_init__(self) -> None:
        super().__post_init__()
        first, loops = self.points[0], self.repeat == "loop"
        if first.at_s is not None or (first.speed_m_s is not None) != loops:
            wanted = "the speed_m_s of the way back to it alone" if loops else "neither speed_m_s nor at_s"
            got = f"speed_m_s {first.speed_m_s} and at_s {first.at_s}"
            raise ValueError(f"points: expected {wanted} at the first with repeat {self.repeat}, got {got}")
        for index, point in enumerate(self.points[1:], start=1):
            if (point.speed_m_s is None) == (point.at_s is None):
                both = "neither" if point.at_s is None else "both"
                raise ValueError(f"points: expected either speed_m_s or at_s at index {index}, got {both}")


class RandomWalkSection(Section, frozen=True, tag_field="kind", tag="random_walk"):
    """A walk at constant speed whose turn rate is normal with this rms and is forgotten within ``turn_time_s``.

    It begins at the user's place and turns away from the region's borders.
    """

    speed_m_s: Positive
    turn_rms_deg_s: NonNegative = 20.0
    turn_time_s: Positive = 2.0


class RecordedSection(Section, frozen=True, tag_field="kind", tag="recorded"):
    """A track in a CSV file, seen from the testbed file: ``time_s`` and ``range_m, angle_deg`` or ``x_m, y_m``.

    The scene begins with its first row. ``once`` stays at the last; a ``loop`` goes straight back to the first, as fast as
    the track is on average.
    """

    file: Annotated[str, Meta(min_length=1)]
    repeat: Repeat = "once"


class UserSection(Section, frozen=True):
    """A user's place, how it moves, who sees it, and its clock.

    It stands in its place until a controller first asks this emulator for anything, and moves from then on. A place may be
    ``drawn`` from the region; ways and tracks begin at one of their own. ``velocity_m_s`` is along broadside and along the
    array, for ever. ``paths`` are downlink paths beside the line of sight; ``mixed`` is one reflected and one diffracted,
    both drawn. A positive ``timing_offset_s`` makes pilots look late; a positive ``carrier_offset_hz`` turns their phase
    forwards.
    """

    range_m: Positive | Literal["drawn"] | None = None
    angle_deg: FrontAngleDeg | Literal["drawn"] | None = None
    velocity_m_s: tuple[float, float] | None = None
    motion: WaypointsSection | RandomWalkSection | RecordedSection | None = None
    visible_subarrays: tuple[SubarrayIndex, ...] | Literal["all"] = "all"
    paths: tuple[PathSection, ...] | Literal["mixed"] = ()
    timing_offset_s: float = 0.0
    carrier_offset_hz: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_subarrays(self.visible_subarrays)
        has_way = isinstance(self.motion, WaypointsSection | RecordedSection)
        for key, value in (("range_m", self.range_m), ("angle_deg", self.angle_deg)):
            if has_way and value is not None:
                raise ValueError(f"{key}: expected nothing beside a motion that says where it begins, got {value}")
            if not has_way and value is None:
                raise ValueError(f"{key}: expected a value, got nothing")
        if self.motion is not None and self.velocity_m_s is not None:
            raise ValueError(f"velocity_m_s: expected nothing beside motion, got {list(self.velocity_m_s)}")


class ScattererSection(Section, frozen=True):
    """A scatterer of the uplink, and the gain of the path over it relative to the user's line of sight."""

    range_m: Positive
    angle_deg: FrontAngleDeg
    gain_db: float
    phase_deg: float = 0.0


class LinkFaultsSection(Section, frozen=True):
    """What goes wrong on a link, for tests: probabilities per item and a delay common to all."""

    drop: Probability = 0.0
    duplicate: Probability = 0.0
    reorder: Probability = 0.0
    delay_s: NonNegative = 0.0
    seed: Seed = 1


class EmulatorSection(Section, frozen=True):
    """The whole ``emulator:`` section; users may be written as ``ue-1..16``, and are one by one once they are read."""

    users: dict[PeerNames, UserSection]
    seed: Seed = 1
    front_end: FrontEndSection = FrontEndSection()
    downlink_noise: Noise = SweepMean(snr_db=10.0)
    uplink_noise: Noise = SweepMean(snr_db=10.0)
    uplink_errors: ElementErrorsSection = ElementErrorsSection()
    clocks: ClocksSection = ClocksSection()
    scatterers: tuple[ScattererSection, ...] = ()
    link_faults: LinkFaultsSection = LinkFaultsSection()

    def __post_init__(self) -> None:
        super().__post_init__()
        try:
            every_name(self.users)
        except ValueError as error:
            raise ValueError(f"users: {error}") from error
        users = {name: user for names, user in self.users.items() for name in each_name(names)}
        msgspec.structs.force_setattr(self, "users", users)
