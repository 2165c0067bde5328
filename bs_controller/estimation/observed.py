"""The sweeps of a plan as observations for the search, and a search that must improve on where it starts."""

import numpy as np
import numpy.typing as npt

from bs_controller.estimation.newton import (
    Estimate,
    Observation,
    UnresolvableError,
    log_likelihood_at,
    most_likely,
)
from bs_controller.estimation.reduced import Reducer
from bs_controller.response import DownlinkResponse
from protocol.testbed import Setting, TestbedFacts

Floats = npt.NDArray[np.float64]
ComplexArray = npt.NDArray[np.complex128]
Swept = tuple[ComplexArray, Setting]  # samples, (subcarrier,), and what was applied


class Observer:
    """Makes observations of the sweeps of one testbed; owns the models of all their samples, one thread at a time."""

    def __init__(self, facts: TestbedFacts, setting: Setting) -> None:
        """Plan for settings like this one."""
        self._whole, self.reducer = DownlinkResponse(facts, setting), Reducer(facts, setting)

    def whole(self, setting: Setting) -> DownlinkResponse:
        """Return the model of all samples of a sweep."""
        return self._whole.steered(setting)

    def pair(self, forward: Swept, backward: Swept) -> list[Observation]:
        """Return two angle sweeps, of which nothing can be left out."""
        return [Observation.of(samples, self._whole.steered(setting)) for samples, setting in (forward, backward)]

    def angle_and_range(
        self, angle: Swept, lit: float, over_range: Swept, range_m: float, angle_rad: float
    ) -> list[Observation]:
        """Return what tells most of an angle sweep, around the subcarrier in the middle of its lit part, and of a range sweep.

        The position is a supposed one, see `Reducer.blocks`.
        """
        return [self.reducer.lit(*angle, lit), self.reducer.blocks(*over_range, range_m, angle_rad)]


def improved(observations: list[Observation], range_m: float, angle_rad: float, mask: Floats) -> Estimate | None:
    """Return the most likely estimate that the search finds from a position, if it is likelier than that position is.

    Both are taken with the estimate's mask, so that the position is not left for what another mask alone explains.

    Parameters
    ----------
    observations
        The sweeps.
    range_m, angle_rad, mask
        Where the search starts; mask is ``(subarray,)``.

    Returns
    -------
    estimate
        None if the position is as likely, or the sweeps do not determine one.
    """
    try:
        estimate = most_likely(observations, range_m, angle_rad, mask)
    except UnresolvableError:
        return None
    start = log_likelihood_at(observations, range_m, angle_rad, estimate.mask)
    return estimate if estimate.log_likelihood > start else None
