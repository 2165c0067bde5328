"""What the Cramer-Rao bound of a scheme's fix needs beside what was sent: its unknowns, and responses planned once (kernel)."""

from bs_controller.bounds import Response, Unknown
from bs_controller.grouped_response import GroupedResponse
from bs_controller.response import DownlinkResponse
from bs_controller.schemes import LikelihoodOptions, NetworkOptions, SchemeOptions
from protocol.testbed import Setting, TestbedFacts


def unknown_of(options: SchemeOptions) -> Unknown:
    """Return what a scheme's bound takes as unknown: its own model's, and for schemes without one a gain per sweep.

    Schemes that report a peak or a group know far less. Against the `coherent` bound of their own sweeps all schemes
    compare: it says what those sweeps would have been good for. A network that is told of clocks that are off has one
    delay for all sweeps unknown, as the model `unsynchronised_together` has; a bound has no prior for it.
    """
    match options:
        case LikelihoodOptions():
            return Unknown(options.model)
        case NetworkOptions() if options.timing_rms_s > 0:
            return Unknown("unsynchronised_together")
        case _:
            return Unknown.GAIN


class PlannedResponses:
    """Responses of one testbed to any setting, with transforms that are planned once; for one thread at a time."""

    def __init__(self, facts: TestbedFacts) -> None:
        self._facts = facts
        self._single: DownlinkResponse | None = None
        self._grouped: dict[int, GroupedResponse] = {}

    def response(self, setting: Setting) -> Response:
        """Return the response to a setting of any number of groups."""
        groups = len(setting.phase_cycles)
        if groups == 1:
            self._single = self._single or DownlinkResponse(self._facts, setting)
            return self._single.steered(setting)
        if groups not in self._grouped:
            self._grouped[groups] = GroupedResponse(self._facts, setting)
        return self._grouped[groups].steered(setting)
