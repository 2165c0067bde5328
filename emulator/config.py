"""The ``emulator:`` section of a testbed file as typed structs, checked once and trusted afterwards.

A person writes this file, so that angles are in degrees here and in radians everywhere else. Unknown keys, numbers that
are not finite and values that no scene can have are errors.
"""

import math
from typing import Annotated, Literal

from msgspec import Meta

from protocol import config
from protocol.messages import PeerName
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


class FrontEndSection(Section, frozen=True):
    """What the emulated front end can do; the fields mean what `FrontEndLimits` says."""

    groups: Annotated[int, Meta(ge=1, le=4096)] = 4096
    phase_bits: Annotated[int, Meta(ge=0, le=16)] = 0
    delay_step_s: NonNegative = 0.0
    delay_span_s: Positive = 100e-9
    settle_s: NonNegative = 0.0

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


class UserSection(Section, frozen=True):
    """A user's place at time zero, its velocity (along broadside, along the array) and who sees it."""

    range_m: Positive
    angle_deg: FrontAngleDeg
    velocity_m_s: tuple[float, float] = (0.0, 0.0)
    visible_subarrays: tuple[SubarrayIndex, ...] | Literal["all"] = "all"

    def __post_init__(self) -> None:
        super().__post_init__()
        visible = self.visible_subarrays
        if visible != "all" and (not visible or len(set(visible)) != len(visible)):
            raise ValueError(f"visible_subarrays must be 'all' or distinct indices, at least one, got {visible}")


class ScattererSection(Section, frozen=True):
    """A scatterer's place, and the gain of the path over it relative to the user's line of sight."""

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
    """The whole ``emulator:`` section."""

    users: dict[PeerName, UserSection]
    seed: Seed = 1
    front_end: FrontEndSection = FrontEndSection()
    downlink_noise: Noise = SweepMean(snr_db=10.0)
    uplink_noise: Noise = SweepMean(snr_db=10.0)
    scatterers: tuple[ScattererSection, ...] = ()
    link_faults: LinkFaultsSection = LinkFaultsSection()
