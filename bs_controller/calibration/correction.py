"""A calibration at work: what the front end is told so that its elements send what was meant, and a user's delay taken off.

One place for each: every setting passes `told` on its way to the radio, what schemes are shown of it passes `sent`, and every
complex report passes `heard`. Gains, and elements that are dead, are nobody's to correct: phase shifters and delay lines
have no level. Pure.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from bs_controller.sweeps import ComplexFeedback, Feedback
from protocol.testbed import FrontEndLimits, Setting, SubcarrierGrid

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """How elements err, ``(element,)``, and how late users look: by name, and all others."""

    phase_rad: Floats
    delay_s: Floats
    path_delay_s: Mapping[str, float]
    other_delay_s: float
    grid: SubcarrierGrid

    def told(self, meant: Setting, limits: FrontEndLimits) -> Setting:
        """Return the setting to ask for, so that elements send the one that is meant.

        Delays stay within the front end's span if they were: all of a group are moved up where one would be negative, by
        picoseconds, and what is beyond the end stays there. `sent` tells of both.
        """
        delay_s = meant.delay_s - self.delay_s
        delay_s = delay_s - np.minimum(delay_s.min(axis=1, keepdims=True), 0.0)
        if meant.delay_s.max() <= limits.delay_span_s:
            delay_s = np.minimum(delay_s, limits.delay_span_s)
        return replace(meant, phase_cycles=(meant.phase_cycles + self.phase_rad / (2 * np.pi)) % 1.0, delay_s=delay_s)

    def sent(self, told: Setting) -> Setting:
        """Return what elements send when the front end is told this; delays may be negative by an element's error."""
        return replace(
            told,
            phase_cycles=(told.phase_cycles - self.phase_rad / (2 * np.pi)) % 1.0,
            delay_s=told.delay_s + self.delay_s,
        )

    def heard(self, ue: str, feedback: Feedback) -> Feedback:
        """Return a user's feedback without the delay of its path."""
        late_s = self.path_delay_s.get(ue, self.other_delay_s)
        if late_s == 0.0 or not isinstance(feedback, ComplexFeedback):
            return feedback
        turn = np.exp(-2j * np.pi * late_s * self.grid.offset_hz)
        return replace(feedback, samples=feedback.samples * turn)
