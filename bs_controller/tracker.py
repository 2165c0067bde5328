"""The agenda of a continuous run: each user again and again at its rate, with its track. Rules: no clock, no I/O."""

import math
import sys
from collections import Counter
from collections.abc import Sequence
from typing import Protocol

from bs_controller.config import ControllerSection, TrackSection
from bs_controller.jobs import Job, Plan, Stage, labels
from bs_controller.records import Record, track_record
from bs_controller.sweeps import Fix, Localization, Prior, Scheme, finds_movers, localization_of
from bs_controller.tracking import MotionModel, Track, begun, continued

# A sweep came on the air between request and answer of the radio, and when exactly is known no better than by a message.
ON_AIR_RMS_S = 0.5e-3
# How many users share the sweeps of a round. More would wait for each other's reports and fixes, a millisecond or two each,
# while a sweep takes few: in groups, due one after another, fixes are younger.
SHARING = 16
LEFT_ALONE_S = 5.0  # at most is a user left alone who fails again and again
# How well a position must be predicted for one sweep to do: within the reach of its search of 0.4 m at three deviations.
FOLLOWED_RMS_M = 0.13


class Following(Protocol):
    """A way to locate a user who is thought to be somewhere."""

    def locate_from(self, prior: Prior) -> Localization:
        """Return a fresh localization."""


class Turns:
    """The localizations of one user by number: one scheme after another, each in its turn."""

    def __init__(self, schemes: Sequence[Scheme], rounds: int) -> None:
        self._labelled = list(zip(schemes, labels([scheme.name for scheme in schemes]), strict=True))
        self._rounds = rounds

    def __len__(self) -> int:
        return self._rounds

    def __getitem__(self, position: int) -> Plan:
        number = range(len(self))[position]
        scheme, label = self._labelled[number % len(self._labelled)]
        return Plan(scheme=scheme, label=label, position=position, round=number)


class Tracker:
    """The agenda of users who move.

    Rounds are due at multiples of a user's period since one time, so that users of one rate share sweeps; of many users
    `SHARING` do, and other groups are due in between. A round that is due while the one before is under way is skipped and
    counted: nothing queues. A user who fails is asked for less and less often, so that one who is silent leaves the air to
    others. A user whose position is predicted well enough is followed with one sweep; every so many rounds a scheme locates it
    as if nothing were known.
    """

    waits = True
    retries = 0  # the next round comes soon

    def __init__(
        self,
        schemes: Sequence[Scheme],
        section: ControllerSection,
        options: TrackSection,
        *,
        follow: Following,
        counters: Counter[str],
        now_s: float,
    ) -> None:
        self.answers_within_s = min(section.request_deadline_s, options.answer_within_s)
        self._schemes, self._options, self._follow = schemes, options, follow
        self._counters, self._began_s = counters, now_s
        self._model = MotionModel(
            acceleration_m2_s3=options.acceleration_m2_s3,
            speed_rms_m_s=options.speed_rms_m_s,
            fix_rms_m=options.fix_rms_m,
        )
        # users are located from nothing in different rounds, so that no round has all of that work
        self._places = {ue: place for place, ue in enumerate(section.ues)}
        groups = -(-len(section.ues) // SHARING)
        self._phase = {ue: place % groups / groups for ue, place in self._places.items()}
        self._tracks: dict[str, Track] = {}
        self._failures: Counter[str] = Counter()

    def job(self, ue: str) -> Job:
        """Return the work of a user, not begun."""
        duration_s = self._options.duration_s
        rounds = sys.maxsize if duration_s is None else max(1, round(duration_s * self._rate_hz(ue)))
        return Job(ue, Turns(self._schemes, rounds), stage=Stage.RESTING)

    def _rate_hz(self, ue: str) -> float:
        return self._options.rates_hz.get(ue, self._options.rate_hz)

    def _latest(self, ue: str, now_s: float) -> int:
        """Return the number of the round that was due last, -1 before the first."""
        return math.floor((now_s - self._began_s) * self._rate_hz(ue) - self._phase[ue])

    def begin(self, job: Job, now_s: float) -> bool:
        """Start the user's round that is due; return whether there is one."""
        rate_hz = self._rate_hz(job.ue)
        latest = self._latest(job.ue, now_s)
        number = max(job.at + 1 + self._left_out(job.ue, rate_hz), latest)
        if min(number, latest) >= len(job.plans):
            job.finish()
            return False
        if number > latest or not job.present:
            job.rest()
            return False
        prior = self._prior(job.ue, number, now_s)
        localization = (
            localization_of(job.plans[number].scheme, moving=True) if prior is None else self._follow.locate_from(prior)
        )
        due_s = self._began_s + (number + self._phase[job.ue]) / rate_hz
        job.begin_at(number, localization, now_s, rank=due_s)
        job.followed_from = prior
        return True

    def _left_out(self, ue: str, rate_hz: float) -> int:
        """Return how many rounds more a user is left alone who failed in the last ones."""
        rounds: int = (1 << min(self._failures[ue], 30)) - 1
        return min(rounds, math.floor(LEFT_ALONE_S * rate_hz))

    def _prior(self, ue: str, number: int, now_s: float) -> Prior | None:
        """Return where a user is who is to be followed."""
        track = self._tracks.get(ue)
        every = self._options.locate_every
        if track is None or track.refused or every == 1 or (number + self._places[ue]) % every == 0:
            return None
        predicted = track.at(now_s, self._model)
        return predicted.prior() if predicted.position_rms_m < FOLLOWED_RMS_M else None

    def found(self, job: Job, fix: Fix, now_s: float) -> list[Record]:
        """Take a fix into the user's track, and return the record of it."""
        self._failures.pop(job.ue, None)
        self._count_skipped(job, now_s)
        times_s = [(asked_s + ready_s) / 2 for asked_s, ready_s in job.on_air_s]
        at_s, before = sum(times_s) / len(times_s), self._tracks.get(job.ue)
        # a time that may be any within a span is off by the root of a twelfth of it
        within_s = [max(ON_AIR_RMS_S, (ready_s - asked_s) / math.sqrt(12)) for asked_s, ready_s in job.on_air_s]
        spread_s = math.hypot(*within_s) / len(times_s)
        if not finds_movers(job.plan.scheme):  # its sweeps were of one who is at one place
            spread_s = math.hypot(spread_s, *((time_s - at_s) / math.sqrt(len(times_s)) for time_s in times_s))
        track = begun(fix, at_s, self._model) if before is None else continued(before, fix, at_s, spread_s, self._model)
        self._tracks[job.ue] = track
        self._counters["refused_fixes"] += track.refused > 0
        return [track_record(job, track, self._began_s, age_ms=1e3 * (now_s - times_s[0]))]

    def failed(self, job: Job, now_s: float) -> None:
        """Take note that a localization ended without a fix."""
        self._failures[job.ue] += 1
        self._count_skipped(job, now_s)

    def _count_skipped(self, job: Job, now_s: float) -> None:
        """Count the rounds that were due while this one was under way, but for the last, which comes now."""
        latest = self._latest(job.ue, now_s)
        self._counters["skipped_rounds"] += max(0, latest - job.at - 1)
