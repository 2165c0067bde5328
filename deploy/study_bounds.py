"""The Cramer-Rao bound of what a scheme sent and knew, for one located user (kernel).

The bound is conditional on the true visible sub-arrays and the line of sight. It takes the sweeps as the scheme asked for
them, on an ideal front end, with the noise power that was really in each: how far errors of hardware, clocks and further
paths throw a scheme off is then seen as a ratio to what was possible without them.
"""

from collections.abc import Sequence

from bs_controller.beams import setting_from_focus
from bs_controller.bounds import (
    Bound,
    MeasuredSweep,
    Unknown,
    UnobservableError,
    downlink_bound,
    uplink_bound,
)
from bs_controller.scheme_bounds import PlannedResponses
from bs_controller.sweeps import Sounding, Sweep
from deploy.simulation import Heard, User
from protocol.testbed import TestbedFacts


class BoundModel:
    """Bounds of one testbed's users, with models that are planned once; must not be used by two threads at once."""

    def __init__(self, facts: TestbedFacts) -> None:
        self._facts = facts
        self._responses = PlannedResponses(facts)

    def bound(self, heard: Sequence[Heard], user: User, unknown: Unknown) -> Bound | None:
        """Return the bound of all that a user heard; of one sounding, where there is one.

        Parameters
        ----------
        heard
            Every sweep of a localization, or its sounding.
        user
            Where the user is, and who sees it.
        unknown
            What the scheme does not know.

        Returns
        -------
        bound
            None where it does not exist: the noise is not flat, or what was sent does not tell range and angle apart.
        """
        powers_w = [one.sigma2_w for one in heard if one.sigma2_w]
        if not heard or len(powers_w) < len(heard):
            return None
        try:
            if any(isinstance(one.request, Sounding) for one in heard):
                return self._of_sounding(heard, user, unknown, powers_w[0])
            return self._of_sweeps(heard, user, unknown, powers_w)
        except UnobservableError:
            return None

    def _of_sounding(self, heard: Sequence[Heard], user: User, unknown: Unknown, sigma2_w: float) -> Bound:
        if len(heard) > 1:
            raise ValueError(f"one sounding and nothing else expected, got {len(heard)} requests")
        return uplink_bound(self._facts, user.range_m, user.angle_rad, sigma2_w, unknown)

    def _of_sweeps(self, heard: Sequence[Heard], user: User, unknown: Unknown, powers_w: Sequence[float]) -> Bound:
        sweeps = [
            MeasuredSweep(
                response=self._responses.response(setting_from_focus(one.request.focus, self._facts)), sigma2_w=power_w
            )
            for one, power_w in zip(heard, powers_w, strict=True)
            if isinstance(one.request, Sweep)
        ]
        visible = user.visible_subarrays or tuple(range(self._facts.downlink.array.subarrays))
        return downlink_bound(sweeps, user.range_m, user.angle_rad, visible, unknown)
