"""The localizations that a journal tells of: whose, by which scheme, on which answers, and how each ended.

Pure functions of records. Only answers that a run used are in its journal, so what came of merging, retries, missed deadlines
and declined requests is here as it was.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Annotated

import msgspec
from msgspec import Meta

from bs_controller.records import Record
from bs_controller.sweeps import Coded, Focus, GroupFoci, Trajectory
from protocol.messages import FeedbackKind
from protocol.testbed import FrontEndLimits

_KIND_OF_FORM = {
    "PeakFeedback": FeedbackKind.PEAK,
    "GroupFeedback": FeedbackKind.GROUP,
    "PowerFeedback": FeedbackKind.POWER,
    "ComplexFeedback": FeedbackKind.COMPLEX,
}


class _SweepRecord(msgspec.Struct, frozen=True, kw_only=True):
    epoch: int
    pilots: Annotated[int, Meta(ge=1)]
    focus: dict[str, object]


class _AnswerRecord(msgspec.Struct, frozen=True, kw_only=True):
    ue: str
    scheme: str
    round: int
    epoch: int
    form: str
    subcarrier: int = 0
    group: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedAnswer:
    """An answer that a run used; `focus` and `pilots` are those of its sweep, of which a sounding has none.

    `limits` are those of the front end that held the setting; None in recordings that do not tell.
    """

    epoch: int
    form: str
    record: Record
    subcarrier: int = 0
    group: int = 0
    focus: Focus | None = None
    pilots: int = 1
    limits: FrontEndLimits | None = None

    @property
    def kind(self) -> FeedbackKind | None:
        """Return how the sweep was measured; None of a sounding."""
        return _KIND_OF_FORM.get(self.form)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedLocalization:
    """One localization as it was recorded: whose, by which scheme, its answers in order, and how it ended.

    There is no `end` where the recording ends first.
    """

    ue: str
    label: str
    round: int
    answers: tuple[RecordedAnswer, ...]
    end: Record | None


def recorded_localizations(records: Iterable[Record]) -> Iterator[RecordedLocalization]:
    """Yield the localizations of a recording as they end, and then those that did not; memory is that of the open ones."""
    limits: FrontEndLimits | None = None
    sweep: _SweepRecord | None = None
    under_way: dict[tuple[str, str, int], list[RecordedAnswer]] = {}
    for record in records:
        match record["kind"]:
            case "peer" if "front_end" in record:
                limits = msgspec.convert(record["front_end"], FrontEndLimits)
            case "sweep":
                sweep = msgspec.convert(record, _SweepRecord)
            case "report" | "snapshot":
                under_way.setdefault(_whose(record), []).append(_recorded_answer(record, sweep, limits))
            case "fix" | "failure" | "measured":
                ue, label, number = _whose(record)
                answers = tuple(under_way.pop((ue, label, number), ()))
                yield RecordedLocalization(ue=ue, label=label, round=number, answers=answers, end=record)
    for (ue, label, number), found in under_way.items():
        yield RecordedLocalization(ue=ue, label=label, round=number, answers=tuple(found), end=None)


def recorded_rounds(localizations: Iterable[RecordedLocalization]) -> Iterator[RecordedLocalization]:
    """Yield all that each user answered in a round as one localization without label, and without end.

    A user's rounds follow each other, so that a round is complete when the next begins.
    """
    under_way: dict[str, RecordedLocalization] = {}
    for localization in localizations:
        if not localization.answers:
            continue
        before = under_way.get(localization.ue)
        if before is not None and before.round != localization.round:
            yield before
        same = before is not None and before.round == localization.round
        answers = (*(before.answers if before is not None and same else ()), *localization.answers)
        under_way[localization.ue] = replace(localization, label="", answers=answers, end=None)
    yield from under_way.values()


def _whose(record: Record) -> tuple[str, str, int]:
    return msgspec.convert((record["ue"], record["scheme"], record["round"]), tuple[str, str, int])


def _recorded_answer(record: Record, sweep: _SweepRecord | None, limits: FrontEndLimits | None) -> RecordedAnswer:
    answer = msgspec.convert(record, _AnswerRecord)
    recorded = RecordedAnswer(
        epoch=answer.epoch, form=answer.form, record=record, subcarrier=answer.subcarrier, group=answer.group
    )
    # one setting is on the air at a time; a sounding has no sweep, and neither has a report whose sweep was not recorded
    if answer.form == "Snapshot" or sweep is None or sweep.epoch != answer.epoch:
        return recorded
    return replace(recorded, focus=focus_from_record(sweep.focus), pilots=sweep.pilots, limits=limits)


def focus_from_record(record: Mapping[str, object]) -> Focus:
    """Return what the focus of a sweep record was made of."""
    values = {key: value for key, value in record.items() if key != "form"}
    if record.get("form") == "GroupFoci":
        return msgspec.convert(values, GroupFoci)
    if record.get("form") == "Coded":
        return msgspec.convert(values, Coded)
    return msgspec.convert(values, Trajectory)
