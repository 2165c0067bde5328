"""A recording as a source of feedback: what a scheme asks for is answered by what was reported then, or refused with a reason.

Pure functions; the arrays of a record are fetched by a function that the caller brings.

A request is answered by a report of the same user in the same round whose sweep had the same foci. On the machine that
recorded they are the same numbers; others may round the last digits of a focus in another way, which moves it by nanometres
at most, and are told apart from another sweep by `FOCUS_TOLERANCE`.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from bs_controller.answers import Report, feedback_from_report, groups_of
from bs_controller.beams import fitted, setting_from_focus
from bs_controller.jobs import Broken, Found, Wanted, step
from bs_controller.localizations import RecordedAnswer
from bs_controller.records import Record, found_record
from bs_controller.sweeps import (
    Answer,
    ComplexFeedback,
    Fix,
    GroupFeedback,
    GroupFoci,
    Localization,
    PeakFeedback,
    PowerFeedback,
    Request,
    Snapshot,
    Sweep,
    Trajectory,
)
from protocol.errors import PeerFaultError
from protocol.messages import FeedbackKind, Message
from protocol.testbed import Setting, TestbedFacts

Samples = npt.NDArray[np.complex64] | npt.NDArray[np.float64]
#: Returns the arrays of a record by stream.
Fetch = Callable[[Mapping[str, object]], Mapping[str, Samples]]
#: Returns what a UE reports of samples: kind, epoch, samples ``(subcarrier,)``, groups.
Measure = Callable[[FeedbackKind, int, npt.NDArray[np.complex128], int], Message]

#: Relative; neighbouring foci that a scheme may mean to tell apart differ by a millionth and more.
FOCUS_TOLERANCE = 1e-9

_STREAM_OF_FORM = {"PowerFeedback": "power", "ComplexFeedback": "report", "Snapshot": "snapshot"}


class CannotReplayError(Exception):
    """A recording does not hold what a scheme asks for; the text says which request, and what there is instead.

    `exhausted` if every answer of the localization had been given by then.
    """

    def __init__(self, text: str, *, exhausted: bool = False) -> None:
        super().__init__(text)
        self.exhausted = exhausted


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """What became of a localization on recorded feedback, and the epochs of the answers that it was given."""

    outcome: Found | Broken
    epochs: tuple[int, ...]


@dataclass(slots=True, kw_only=True)
class Source:
    """Answers requests with recorded answers, each of which is given once to a localization.

    `measure` makes other reports of recorded samples, as a UE would have; without it a report answers its own kind alone.
    """

    facts: TestbedFacts
    answers: Sequence[RecordedAnswer]
    fetch: Fetch
    measure: Measure | None = None
    epochs: list[int] = field(default_factory=list)
    _used: set[int] = field(default_factory=set)

    def answer(self, request: Request) -> Answer:
        """Return the answer to a request.

        Raises
        ------
        CannotReplayError
            If there is none.
        """
        place = self._place(request)
        if place is None:
            text = f"request {len(self.epochs) + 1} is for {_told(request)}; {self._left()}"
            raise CannotReplayError(text, exhausted=len(self._used) == len(self.answers))
        self._used.add(place)
        recorded = self.answers[place]
        self.epochs.append(recorded.epoch)
        return self._answer(recorded, request)

    def _place(self, request: Request) -> int | None:
        """Return where the answer is: the first that was measured as asked, or else the first that holds all samples."""
        kinds: list[FeedbackKind | None] = [request.kind if isinstance(request, Sweep) else None]
        kinds += [FeedbackKind.COMPLEX] if self.measure is not None and isinstance(request, Sweep) else []
        for kind in kinds:
            for at, recorded in enumerate(self.answers):
                if at not in self._used and recorded.kind is kind and _fits(recorded, request):
                    return at
        return None

    def _answer(self, recorded: RecordedAnswer, request: Request) -> Answer:
        samples = self._samples(recorded)
        if not isinstance(request, Sweep):
            return Snapshot(samples=np.asarray(samples, dtype=np.complex128))
        applied = None
        if request.kind in {FeedbackKind.POWER, FeedbackKind.COMPLEX}:
            applied = _applied(recorded, self.facts)
        if recorded.kind is not request.kind:
            return self._measured(recorded, request, samples, applied)
        match request.kind:
            case FeedbackKind.PEAK:
                return PeakFeedback(subcarrier=recorded.subcarrier, pilots=recorded.pilots)
            case FeedbackKind.GROUP:
                return GroupFeedback(group=recorded.group, pilots=recorded.pilots)
            case FeedbackKind.POWER:  # early recordings hold powers as complex samples of single precision
                return PowerFeedback(power_w=samples.real.astype(np.float64), pilots=recorded.pilots, applied=applied)
            case FeedbackKind.COMPLEX:
                return ComplexFeedback(
                    samples=np.asarray(samples, dtype=np.complex128), pilots=recorded.pilots, applied=applied
                )

    def _samples(self, recorded: RecordedAnswer) -> Samples:
        stream = _STREAM_OF_FORM.get(recorded.form)
        if stream is None:
            return np.zeros(0, np.float64)
        found = self.fetch(recorded.record)
        if stream not in found:
            raise CannotReplayError(f"epoch {recorded.epoch} was recorded without samples (record_samples: false)")
        return found[stream]

    def _measured(self, recorded: RecordedAnswer, request: Sweep, samples: Samples, applied: Setting | None) -> Answer:
        """Return what the UE would have reported, had it been asked in this kind."""
        assert self.measure is not None  # noqa: S101 - else only reports of the kind asked for are chosen
        groups = groups_of(request)
        report = self.measure(request.kind, recorded.epoch, np.asarray(samples, dtype=np.complex128), groups)
        assert isinstance(report, Report)  # noqa: S101 - narrows the type
        try:
            return feedback_from_report(report, request, self.facts, recorded.pilots, applied)
        except PeerFaultError as fault:
            raise CannotReplayError(f"epoch {recorded.epoch}: {fault.text}") from fault

    def _left(self) -> str:
        """Return what answers there still are, in words."""
        left = [recorded for at, recorded in enumerate(self.answers) if at not in self._used]
        told = [f"epoch {one.epoch}: {_told_recorded(one)}" for one in left[:4]]
        more = [f"and {len(left) - len(told)} more"] if len(left) > len(told) else []
        return "; ".join(["the recording has " + ("left" if left else "no answer left"), *told, *more])


def replayed(localization: Localization, source: Source) -> Replayed:
    """Run a scheme's localization on a recording to its fix or its own failure.

    Raises
    ------
    CannotReplayError
        If the recording lacks an answer; the text names the request and what there is instead.
    """
    result = step(localization, None)
    while isinstance(result, Wanted):
        result = step(localization, source.answer(result.request))
    return Replayed(outcome=result, epochs=tuple(source.epochs))


def is_same_fix(fix: Fix, record: Record) -> bool:
    """Return whether a fix is the recorded one, bit for bit, in all that the record says a scheme found."""
    found = {key: value for key, value in found_record(fix).items() if key in record}
    return json.dumps(found) == json.dumps({key: record[key] for key in found})


def _applied(recorded: RecordedAnswer, facts: TestbedFacts) -> Setting:
    """Return what the front end was sent for the recorded sweep."""
    if recorded.focus is None or recorded.limits is None:
        raise CannotReplayError(
            f"the recording does not say what the front end could do in epoch {recorded.epoch}, "
            "so what it applied is not known (recordings of earlier versions lack it)"
        )
    return fitted(setting_from_focus(recorded.focus, facts), recorded.limits)


def _fits(recorded: RecordedAnswer, request: Request) -> bool:
    if not isinstance(request, Sweep):
        return recorded.form == "Snapshot"
    return recorded.focus is not None and _same(recorded.focus, request.focus)


def _same(left: Trajectory | GroupFoci, right: Trajectory | GroupFoci) -> bool:
    if isinstance(left, Trajectory) or isinstance(right, Trajectory):
        return type(left) is type(right) and _close(_numbers(left), _numbers(right))
    return left.groups_per_pilot == right.groups_per_pilot and _close(_numbers(left), _numbers(right))


def _numbers(focus: Trajectory | GroupFoci) -> tuple[float, ...]:
    if isinstance(focus, GroupFoci):
        return (*focus.range_m, *focus.angle_rad)
    return focus.start_range_m, focus.start_angle_rad, focus.end_range_m, focus.end_angle_rad


def _close(left: tuple[float, ...], right: tuple[float, ...]) -> bool:
    return len(left) == len(right) and all(
        math.isclose(one, other, rel_tol=FOCUS_TOLERANCE, abs_tol=FOCUS_TOLERANCE)
        for one, other in zip(left, right, strict=True)
    )


def _told(request: Request) -> str:
    return f"{_told_focus(request.focus)} measured as {request.kind}" if isinstance(request, Sweep) else "a sounding"


def _told_recorded(recorded: RecordedAnswer) -> str:
    if recorded.kind is None:
        return "a sounding"
    what = "a sweep whose record is missing" if recorded.focus is None else _told_focus(recorded.focus)
    return f"{what} measured as {recorded.kind}"


def _told_focus(focus: Trajectory | GroupFoci) -> str:
    if isinstance(focus, GroupFoci):
        ends = f"{_point(focus.range_m[0], focus.angle_rad[0])} to {_point(focus.range_m[-1], focus.angle_rad[-1])}"
        return f"a sweep of {len(focus.range_m)} groups from {ends}"
    start, end = _point(focus.start_range_m, focus.start_angle_rad), _point(focus.end_range_m, focus.end_angle_rad)
    return f"a sweep from {start} to {end}"


def _point(range_m: float, angle_rad: float) -> str:
    return f"{range_m:.6g} m {math.degrees(angle_rad):+.6g} deg"
