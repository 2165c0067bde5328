"""What is to be located next, and when: so many rounds as fast as they go, or each user again and again at its rate.

Rules: `now_s` in, decisions out. A `Run` asks its agenda whenever a user has nothing to do, and tells it what was found.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Protocol

from bs_controller.config import ControllerSection
from bs_controller.jobs import Job, Plans
from bs_controller.records import Record
from bs_controller.schemes.follow import Follow
from bs_controller.sweeps import Fix, Scheme
from protocol.testbed import TestbedFacts


class Agenda(Protocol):
    """Whose turn it is with what."""

    @property
    def answers_within_s(self) -> float:
        """Return how long one request may take."""

    @property
    def retries(self) -> int:
        """Return how often a request that was missed is tried again."""

    @property
    def waits(self) -> bool:
        """Return whether absent peers are waited for, however long, and those who are there served meanwhile."""

    def job(self, ue: str) -> Job:
        """Return the work of a user, not begun."""

    def begin(self, job: Job, now_s: float) -> bool:
        """Start the user's next localization; return whether there is one now."""

    def found(self, job: Job, fix: Fix, now_s: float) -> list[Record]:
        """Take a fix, and return what more there is to record of it."""

    def failed(self, job: Job, now_s: float) -> None:
        """Take note that a localization ended without a fix."""


class Rounds:
    """All schemes of the first round for each user, then of the next."""

    waits = False

    def __init__(self, schemes: Sequence[Scheme], section: ControllerSection) -> None:
        self._schemes, self._section = schemes, section
        self.answers_within_s, self.retries = section.request_deadline_s, section.retries

    def job(self, ue: str) -> Job:
        """Return the work of a user, not begun."""
        return Job(ue, Plans(self._schemes, self._section.rounds))

    def begin(self, job: Job, now_s: float) -> bool:
        """Start the user's next localization; return whether there is one."""
        job.rank = float(job.at + 1)
        return job.begin_next(now_s)

    def found(self, job: Job, fix: Fix, now_s: float) -> list[Record]:
        """Return nothing: a fix says all."""
        return []

    def failed(self, job: Job, now_s: float) -> None:
        """Take note of nothing: the next localization comes at once."""


def agenda_of(
    facts: TestbedFacts, section: ControllerSection, schemes: Sequence[Scheme], counters: Counter[str], now_s: float
) -> Agenda:
    """Return what a testbed file wants to be done; what is left out is added to the counters."""
    if section.track is None:
        return Rounds(schemes, section)
    from bs_controller.tracker import Tracker  # noqa: PLC0415 - half a second of statistics that other runs do not need

    return Tracker(schemes, section, section.track, follow=Follow(facts=facts), counters=counters, now_s=now_s)
