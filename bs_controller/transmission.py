"""What a run puts on the air: a request as the radio is told of it, and who waits for the answer. Rules: no clock, no file."""

from dataclasses import dataclass

import numpy as np

from bs_controller.answers import Report, feedback_from_report
from bs_controller.beams import fitted, setting_from_focus
from bs_controller.calibration.correction import Correction
from bs_controller.sweeps import Feedback, Sounding, Sweep
from protocol import messages as msg
from protocol.messages import Message
from protocol.testbed import FrontEndLimits, Setting, TestbedFacts


@dataclass(slots=True)
class Transmission:
    """What is on the air, or on its way there."""

    epoch: int
    request: Sweep | Sounding
    message: Message  # Configure or Capture, sent again as it is
    waiting: dict[str, Sweep | Sounding]
    asked_s: float
    sent_s: float
    attempts: int = 0
    ready: msg.Ready | None = None
    correction: Correction | None = None

    def feedback(self, ue: str, report: Report, request: Sweep, facts: TestbedFacts) -> Feedback:
        """Return what a scheme is sent for a UE's report of a sweep that is on the air.

        Raises
        ------
        PeerFaultError
            If the report is of another kind than asked for, or its contents cannot be of this sweep.
        """
        pilots = 1 if self.ready is None else self.ready.pilots
        feedback = feedback_from_report(report, request, facts, pilots, self.applied())
        return feedback if self.correction is None else self.correction.heard(ue, feedback)

    def applied(self) -> Setting | None:
        """Return what elements send, as far as is known: the setting told, rounded to its steps already; none of a sounding."""
        if not isinstance(self.message, msg.Configure):
            return None
        told = Setting(
            phase_cycles=np.asarray(self.message.phase_cycles, dtype=np.float64),
            delay_s=np.asarray(self.message.delay_s, dtype=np.float64),
            groups_per_pilot=self.message.groups_per_pilot,
        )
        return told if self.correction is None else self.correction.sent(told)


def message_for(
    epoch: int,
    ue: str,
    request: Sweep | Sounding,
    facts: TestbedFacts,
    limits: FrontEndLimits,
    *,
    correction: Correction | None = None,
) -> msg.Configure | msg.Capture:
    """Return what the radio is asked for: to capture a UE's pilot, or to apply a setting that the front end has.

    With a correction it is told what makes its elements send the setting that is meant.

    Raises
    ------
    ValueError
        If no setting makes the sweep, or the front end cannot apply it.
    """
    if isinstance(request, Sounding):
        return msg.Capture(epoch=epoch, ue=ue)
    meant = setting_from_focus(request.focus, facts)
    setting = fitted(meant if correction is None else correction.told(meant, limits), limits)
    return msg.Configure(
        epoch=epoch,
        groups_per_pilot=setting.groups_per_pilot,
        phase_cycles=setting.phase_cycles,
        delay_s=setting.delay_s,
    )
