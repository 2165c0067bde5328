"""The forward model of a sweep whose groups of subcarriers have settings of their own [CBS, Algorithm 1].

Each group is a one-group sweep of which only the group's own subcarriers are computed; phases and delays of all groups
count from the grid's first subcarrier, so that the parts join to one sweep.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from bs_controller.response import Derivatives, DownlinkResponse, Window
from protocol.testbed import Setting, TestbedFacts

Floats = npt.NDArray[np.float64]


class GroupedResponse:
    """The noise-free sweep of a setting of equal groups; must not be used by two threads at once.

    Raises
    ------
    ValueError
        If the setting is for another array or the groups do not divide the subcarriers.
    """

    def __init__(self, facts: TestbedFacts, setting: Setting) -> None:
        groups, count = len(setting.phase_cycles), facts.downlink.grid.count
        if count % groups:
            raise ValueError(f"{count} subcarriers cannot be cut into {groups} equal groups")
        size = count // groups
        self.frequency_hz: Floats = facts.downlink.grid.frequency_hz
        self._parts = tuple(
            DownlinkResponse(facts, _group(setting, group), window=Window(first=group * size, count=size))
            for group in range(groups)
        )

    def steered(self, setting: Setting) -> "GroupedResponse":
        """Return the response to another setting of as many groups; both share plans and must stay in one thread.

        Raises
        ------
        ValueError
            If the number of groups or of elements differs.
        """
        if len(setting.phase_cycles) != len(self._parts):
            raise ValueError(f"a setting of {len(self._parts)} groups expected, got {len(setting.phase_cycles)}")
        other = object.__new__(GroupedResponse)
        other.frequency_hz = self.frequency_hz
        other._parts = tuple(part.steered(_group(setting, group)) for group, part in enumerate(self._parts))
        return other

    def gain(self, range_m: float) -> float:
        """Return the free-space gain that the response leaves out [CBS, eq. (1)]."""
        return self._parts[0].gain(range_m)

    def seen_with_derivatives(self, range_m: float, angle_rad: float, visible: Sequence[int]) -> Derivatives:
        """Return what a user sees of these sub-arrays together, ``(subcarrier,)``."""
        parts = [part.seen_with_derivatives(range_m, angle_rad, visible) for part in self._parts]
        return Derivatives(rows=np.concatenate([part.rows for part in parts], axis=-1))


def _group(setting: Setting, group: int) -> Setting:
    return Setting(
        phase_cycles=setting.phase_cycles[group : group + 1],
        delay_s=setting.delay_s[group : group + 1],
        groups_per_pilot=1,
    )
