"""The Cramer-Rao bound of a fix in an emulated run: its sweeps, the true place and the emulator's own ratio of signal to noise.

It is that of the line of sight on an ideal front end; there is none where the noise is not flat, or nobody knows it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bs_controller.beams import setting_from_focus
from bs_controller.bounds import (
    MeasuredSweep,
    Unknown,
    UnobservableError,
    downlink_bound,
    sweep_mean_sigma2_w,
    uplink_bound,
)
from bs_controller.scheme_bounds import PlannedResponses
from bs_controller.sweeps import GroupFoci, Trajectory
from protocol.testbed import TestbedFacts

#: What the radio was asked for: the foci of a sweep, or none for a sounding.
Request = Trajectory | GroupFoci | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Emulated:
    """What an emulator does: ratios to the mean power of a sweep, if noise is set that way, and which sub-arrays see whom."""

    downlink_snr_db: float | None = None
    uplink_snr_db: float | None = None
    visible: Mapping[str, tuple[int, ...]]


class FixBounds:
    """Bounds of one testbed's fixes; planned once, for one thread."""

    def __init__(self, facts: TestbedFacts, emulated: Emulated, unknowns: Mapping[str, Unknown]) -> None:
        self._facts, self._emulated, self._unknowns = facts, emulated, unknowns
        self._responses = PlannedResponses(facts)

    def bound_m(self, scheme: str, ue: str, requests: Sequence[Request], place: tuple[float, float]) -> float | None:
        """Return the root mean square distance to the truth that no unbiased fix of these requests goes below.

        Parameters
        ----------
        scheme
            Its label; what it does not know is in the run's configuration.
        ue
            Whose sub-arrays those are that see the user.
        requests
            All that the fix was made of.
        place
            The true range (m) and angle (rad).
        """
        unknown = self._unknowns.get(scheme)
        if unknown is None or not requests:
            return None
        try:
            if any(request is None for request in requests):
                return self._of_sounding(requests, place, unknown)
            return self._of_sweeps(ue, [request for request in requests if request is not None], place, unknown)
        except UnobservableError:
            return None

    def _of_sounding(self, requests: Sequence[Request], place: tuple[float, float], unknown: Unknown) -> float | None:
        if len(requests) > 1 or self._emulated.uplink_snr_db is None:
            return None
        grid, c_m_s = self._facts.uplink.grid, self._facts.speed_of_light_m_s
        power_w = (c_m_s / (4 * math.pi * grid.first_hz * place[0])) ** 2
        sigma2_w = power_w / 10 ** (self._emulated.uplink_snr_db / 10)
        return uplink_bound(self._facts, *place, sigma2_w, unknown).position_rms_m(place[0])

    def _of_sweeps(
        self, ue: str, foci: Sequence[Trajectory | GroupFoci], place: tuple[float, float], unknown: Unknown
    ) -> float | None:
        snr_db = self._emulated.downlink_snr_db
        if snr_db is None:
            return None
        visible = self._emulated.visible.get(ue) or tuple(range(self._facts.downlink.array.subarrays))
        sweeps = []
        for focus in foci:
            response = self._responses.response(setting_from_focus(focus, self._facts))
            sigma2_w = sweep_mean_sigma2_w(response, *place, visible, snr_db)
            sweeps.append(MeasuredSweep(response=response, sigma2_w=sigma2_w))
        return downlink_bound(sweeps, *place, visible, unknown).position_rms_m(place[0])
