"""The `FrontEnd` seam: phases and delays of one pilot, loaded, then latched.

A driver is a callable registered under the entry-point group ``nftestbed.front_ends``. It holds what one pilot needs, at most
``limits.groups`` groups of subcarriers; a setting of more is sent in consecutive pilots, each loaded and latched anew.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from protocol.testbed import FrontEndLimits, Setting
from sdr_backend.drivers import OptionValue, driver

Floats = npt.NDArray[np.float64]
ENTRY_POINTS = "nftestbed.front_ends"


@dataclass(frozen=True, slots=True, kw_only=True)
class PilotSetting:
    """What the front end holds during one pilot: the groups from `first_group` on of a setting of `groups` groups.

    `epoch` is the setting's, for whoever keeps a record of what was on the air.
    """

    phase_cycles: Floats  # (group of the pilot, element)
    delay_s: Floats  # (group of the pilot, element)
    first_group: int
    groups: int
    epoch: int = 0

    def subcarriers(self, count: int) -> slice:
        """Return those of `count` subcarriers that this pilot is about."""
        size = count // self.groups
        return slice(self.first_group * size, (self.first_group + len(self.delay_s)) * size)


def pilots_from_setting(setting: Setting, limits: FrontEndLimits, epoch: int = 0) -> list[PilotSetting]:
    """Return the consecutive pilots that a setting takes (SPEC 6.2)."""
    held = min(setting.groups_per_pilot, limits.groups)
    return [
        PilotSetting(
            phase_cycles=setting.phase_cycles[first : first + held],
            delay_s=setting.delay_s[first : first + held],
            first_group=first,
            groups=setting.groups,
            epoch=epoch,
        )
        for first in range(0, setting.groups, held)
    ]


def setting_from_pilot(pilot: PilotSetting) -> Setting:
    """Return what a pilot does to the whole band: subcarriers of groups that are not held pass the nearest one that is."""
    held = len(pilot.delay_s)
    rows = (
        np.zeros(1, dtype=np.intp) if held == 1 else np.clip(np.arange(pilot.groups) - pilot.first_group, 0, held - 1)
    )
    return Setting(phase_cycles=pilot.phase_cycles[rows], delay_s=pilot.delay_s[rows], groups_per_pilot=len(rows))


def deviations(asked: Sequence[PilotSetting], loaded: Sequence[PilotSetting]) -> tuple[float, float]:
    """Return the largest deviations of phases, in cycles modulo whole ones, and of delays, in s (SPEC 6.2.3)."""
    pairs = list(zip(asked, loaded, strict=True))
    turns = [there.phase_cycles - here.phase_cycles for here, there in pairs]
    phase_cycles = max(float(np.max(np.abs(turn - np.rint(turn)))) for turn in turns)
    return phase_cycles, max(float(np.max(np.abs(there.delay_s - here.delay_s))) for here, there in pairs)


class FrontEnd(Protocol):
    """Phase shifters and true-time delays behind a transmitter."""

    @property
    def limits(self) -> FrontEndLimits:
        """Return what it can do."""

    def load(self, pilot: PilotSetting) -> PilotSetting:
        """Take what is to be latched next, and return what it will really be.

        Raises
        ------
        ValueError
            If it is for another number of elements or holds too many groups.
        """

    def latch(self, at: int) -> None:
        """Put on the air what was loaded last, for samples from the index `at` of the transmitter on.

        One that knows nothing of samples latches at once; it is called when everything before has left.
        """

    def close(self) -> None:
        """Release the device; idempotent."""


class AirHook(Protocol):
    """What a front end of software tells of its beams, so that an air can be made of them."""

    def latched(self, pilot: PilotSetting, at: int) -> None:
        """Take note that this holds from the transmitter's sample `at` on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontEndContext:
    """What a front-end driver is given: the elements of the array, options of the file, who is told of beams."""

    elements: int
    options: Mapping[str, OptionValue]
    hook: AirHook | None = None


FrontEndFactory = Callable[[FrontEndContext], FrontEnd]


def opened_front_end(name: str, context: FrontEndContext) -> FrontEnd:
    """Return the front end of the driver with this name.

    Raises
    ------
    LookupError
        If there is no such driver.
    ValueError
        If the options do not fit it.
    """
    factory: FrontEndFactory = driver(ENTRY_POINTS, "front-end", name)
    return factory(context)
