"""One localization before the first: what is compiled or planned at its first use is ready afterwards. No scheme is here."""

import contextlib
import math

from bs_controller.beams import setting_from_focus
from bs_controller.response import DownlinkResponse
from bs_controller.sweeps import (
    Answer,
    ComplexFeedback,
    GroupFeedback,
    MovingScheme,
    PowerFeedback,
    Request,
    Scheme,
    Sweep,
    localization_of,
)
from protocol.messages import FeedbackKind
from protocol.testbed import TestbedFacts


def warm_up(scheme: Scheme, facts: TestbedFacts) -> None:
    """Locate a user in the middle of the region by a scheme that asks for whole sweeps, and forget it.

    It is located in all ways that the scheme has. Where such a user cannot be located, users find out themselves.
    """
    for moving in (False, True) if isinstance(scheme, MovingScheme) else (False,):
        with contextlib.suppress(ArithmeticError, RuntimeError, ValueError):
            localization = localization_of(scheme, moving=moving)
            request = next(localization)
            with contextlib.suppress(StopIteration):
                while True:
                    request = localization.send(_answer(request, facts))


def _answer(request: Request, facts: TestbedFacts) -> Answer:
    """Return what a user that all sub-arrays see reports where there is no noise."""
    if not isinstance(request, Sweep):
        raise TypeError(f"a sweep expected, got {request}")
    if request.kind is FeedbackKind.GROUP:
        return GroupFeedback(group=0)  # any will do: what follows it compiles nothing
    region = facts.region
    range_m = math.sqrt(region.range_min_m * region.range_max_m)
    angle_rad = (region.angle_min_rad + region.angle_max_rad) / 2
    response = DownlinkResponse(facts, setting_from_focus(request.focus, facts))
    samples = response.seen_value(range_m, angle_rad, range(facts.downlink.array.subarrays))
    if request.kind is FeedbackKind.POWER:
        return PowerFeedback(power_w=samples.real**2 + samples.imag**2)
    return ComplexFeedback(samples=samples)
