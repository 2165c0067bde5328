"""The scheme `calibration`: coded sweeps that tell what each element does. It finds no user; its answers are what it is for.

Equal for all users, so that a run sends each sweep once however many listen. `nftestbed calibrate` solves the recording.
"""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta

from bs_controller.calibration.codes import coded_sweeps, require_codes
from bs_controller.sweeps import Measurement, Sweep
from protocol.messages import FeedbackKind
from protocol.testbed import TestbedFacts


class CalibrationOptions(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="calibration", tag_field="scheme"
):
    """How many codes, a power of two, each sent in two arrangements of delays, and how far apart delays may be."""

    codes: Annotated[int, Meta(ge=1, le=16384)] = 64
    delay_span_s: Annotated[float, Meta(gt=0)] = 50e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationSweeps:
    """The scheme `calibration`.

    Raises
    ------
    ValueError
        If the number of codes does not suit the array.
    """

    options: CalibrationOptions
    facts: TestbedFacts
    name: ClassVar[str] = "calibration"
    heavy: ClassVar[bool] = False

    def __post_init__(self) -> None:
        require_codes(self.facts, self.options.codes)

    def prepare(self) -> None:
        """Do nothing: there is nothing to plan."""

    def locate(self) -> Measurement:
        """Return a fresh measurement; see `Scheme`."""
        for code in coded_sweeps(self.facts, self.options.codes, self.options.delay_span_s):
            yield Sweep(focus=code, kind=FeedbackKind.COMPLEX)
        return None
