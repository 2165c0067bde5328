"""Rules of one UE: which pilot to listen for, what to report, what to refuse. No socket, no clock.

A request repeated after a lost answer gets the same answer. A grid of another epoch than the one asked for is never
measured: an older one means that the pilot is still to come, a newer one that it has been missed.
"""

from collections import Counter, OrderedDict
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from protocol.errors import OurFaultError
from protocol.messages import Declined, FeedbackKind, Measure, Message
from ue_agent.measure import report_from_samples

ComplexArray = npt.NDArray[np.complex128]
REMEMBERED_REPORTS = 8


@dataclass(frozen=True, slots=True)
class Listen:
    """Command: tune the receiver to the pilot of this epoch."""

    epoch: int


@dataclass(frozen=True, slots=True)
class Say:
    """Command: send this to the controller."""

    message: Message


Command = Listen | Say


class Agent:
    """What one UE is doing: at most one measurement, and the reports it may be asked for again."""

    def __init__(self) -> None:
        self.counters: Counter[str] = Counter()
        self._wanted: Measure | None = None
        self._reports: OrderedDict[tuple[int, FeedbackKind], Message] = OrderedDict()

    def reset(self) -> None:
        """Forget everything: a new session may count its epochs anew."""
        self._wanted = None
        self._reports.clear()

    def hear(self, message: Message) -> list[Command]:
        """Take a message of the controller."""
        if not isinstance(message, Measure):
            return []
        known = self._reports.get((message.epoch, message.kind))
        if known is not None:
            self.counters["repeated"] += 1
            return [Say(known)]
        self._wanted = message  # a newer request replaces one that the controller has given up
        return [Listen(message.epoch)]

    def receive(self, epoch: int, samples: ComplexArray) -> list[Command]:
        """Take a received grid, ``(subcarrier,)``, of the setting with this epoch."""
        wanted = self._wanted
        if wanted is None:
            self.counters["unwanted_grids"] += 1
            return []
        if epoch < wanted.epoch:
            self.counters["stale_grids"] += 1
            return [Listen(wanted.epoch)]
        self._wanted = None
        if epoch > wanted.epoch:
            self.counters["missed_pilots"] += 1
            return [Say(Declined(epoch=wanted.epoch, clause="5.3", text=f"the air carries epoch {epoch} by now"))]
        try:
            with np.errstate(over="ignore"):  # what overflows is refused by the report itself
                report = report_from_samples(wanted.kind, epoch, samples, wanted.groups)
        except ValueError as error:
            return [Say(Declined(epoch=epoch, clause="7.3", text=str(error)))]
        except OurFaultError as error:  # beyond what the report's numbers can hold
            return [Say(Declined(epoch=epoch, clause=error.clause, text=error.text))]
        self.counters["reports"] += 1
        self._remember(wanted, report)
        return [Say(report)]

    def _remember(self, request: Measure, report: Message) -> None:
        self._reports[request.epoch, request.kind] = report
        if len(self._reports) > REMEMBERED_REPORTS:
            self._reports.popitem(last=False)
