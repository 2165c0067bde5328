"""A recorded run through schemes, one localization after the other, to the document of what they found.

Localizations are taken from the journal as they end, and their samples are read when a scheme is given them, so that memory
grows with what is found and not with what was recorded.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from bs_controller.calibration.correction import Correction
from bs_controller.jobs import FOLLOWED, Broken, Found, Measured, Reason
from bs_controller.localizations import RecordedLocalization, recorded_localizations, recorded_rounds
from bs_controller.places import Position, midway
from bs_controller.recorded import RecordingError
from bs_controller.replay import CannotReplayError, Replayed, Source, is_same_fix, replayed
from bs_controller.schemes.follow import Follow
from bs_controller.streamed import StreamedRun, stream_run
from bs_controller.sweeps import Fix, Measurement, Prior, localization_of
from deploy.recordings import correction_of_run, recording_of, testbed_of
from deploy.replay_choice import Choice, choice_of
from deploy.replay_report import NotReplayed, ReplayDocument, ReplayedFailure, ReplayedFix, Verdict
from deploy.results import error_m, positions_by_epoch
from protocol.versions import versions
from ue_agent.measure import report_from_samples

Outcome = ReplayedFix | ReplayedFailure | NotReplayed


def replay_run(path: Path, scheme: str | None = None, testbed: Path | None = None) -> ReplayDocument:
    """Return what schemes find on a recording; by default those of its own configuration, see `choice_of`.

    Raises
    ------
    RecordingError, ConfigError, ChoiceError
        If this is no intact run, or there is no such scheme for it.
    """
    run = stream_run(path)
    choice = choice_of(testbed_of(run), scheme, testbed)
    try:
        outcomes = list(
            _Replay(
                run=run, choice=choice, where=positions_by_epoch(run.truth()), correction=correction_of_run(run)
            ).outcomes()
        )
    except (KeyError, msgspec.ValidationError) as error:
        raise RecordingError(f"{path}: expected records of a run, got one that is none: {error!r}") from error
    return _document(run, choice, outcomes)


def _document(run: StreamedRun, choice: Choice, outcomes: list[Outcome]) -> ReplayDocument:
    fixes = [one for one in outcomes if isinstance(one, ReplayedFix)]
    failures = [one for one in outcomes if isinstance(one, ReplayedFailure)]
    not_replayed = [one for one in outcomes if isinstance(one, NotReplayed)]
    verdicts = [*(one.verdict for one in fixes), *(one.verdict for one in failures)]
    recorded_came_out = "differs" not in verdicts and all(one.expected for one in not_replayed)
    return ReplayDocument(
        run_dir=str(run.path.resolve()),
        complete=recorded_came_out if choice.own else not failures and not not_replayed,
        fixes=fixes,
        failures=failures,
        not_replayed=not_replayed,
        recording=recording_of(run),
        versions=versions(),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Replay:
    run: StreamedRun
    choice: Choice
    where: Mapping[tuple[object, object], Position]
    correction: Correction | None

    def outcomes(self) -> Iterator[Outcome]:
        localizations = recorded_localizations(self.run.records())
        for recorded in localizations if self.choice.own else recorded_rounds(localizations):
            if self.choice.follow is not None and recorded.answers and recorded.label == FOLLOWED:
                yield self._followed(self.choice.follow, recorded)
            for label, scheme in self.choice.schemes.items():
                if recorded.answers and recorded.label in {label, ""}:  # a round has no label: it is for all
                    yield self._outcome(label, localization_of(scheme, moving=self.choice.moving), recorded)

    def _followed(self, follow: Follow, recorded: RecordedLocalization) -> Outcome:
        if recorded.end is None:  # and with it where the user was thought to be
            text = f"{_recorded_end(recorded)}nothing says where the user was thought to be"
            return NotReplayed(ue=recorded.ue, scheme=FOLLOWED, round=recorded.round, text=text, expected=True)
        prior = msgspec.convert(recorded.end["prior"], Prior)
        return self._outcome(FOLLOWED, follow.locate_from(prior), recorded)

    def _outcome(self, label: str, localization: Measurement, recorded: RecordedLocalization) -> Outcome:
        ue, number = recorded.ue, recorded.round
        measure = None if self.choice.own else report_from_samples
        source = Source(
            facts=self.choice.facts,
            answers=recorded.answers,
            fetch=self.run.samples,
            measure=measure,
            correction=self.correction,
            ue=ue,
        )
        try:
            found = replayed(localization, source)
        except CannotReplayError as error:
            expected = self.choice.own and error.exhausted and not _has_outcome(recorded)
            text = f"{_recorded_end(recorded)}{error}" if expected else str(error)
            return NotReplayed(ue=ue, scheme=label, round=number, text=text, expected=expected)
        match found.outcome:
            case Broken(text=text):
                return ReplayedFailure(
                    ue=ue, scheme=label, round=number, text=text, verdict=_on_failure(recorded, text)
                )
            case Measured():
                text = "it was measured and finds nothing"
                return NotReplayed(ue=ue, scheme=label, round=number, text=text, expected=True)
            case Found(fix=fix):
                return self._fix(label, fix, found, recorded)

    def _fix(self, label: str, fix: Fix, found: Replayed, recorded: RecordedLocalization) -> ReplayedFix:
        truth = midway(self.where.get((recorded.ue, epoch)) for epoch in found.epochs)
        verdict, moved_m = _on_fix(recorded, fix)
        return ReplayedFix(
            ue=recorded.ue,
            scheme=label,
            round=recorded.round,
            range_m=fix.range_m,
            angle_rad=fix.angle_rad,
            truth_range_m=truth[0] if truth else None,
            truth_angle_rad=truth[1] if truth else None,
            error_m=error_m(fix.range_m, fix.angle_rad, *truth) if truth else None,
            sweeps=fix.sweeps,
            epochs=list(found.epochs),
            verdict=verdict,
            moved_m=moved_m,
        )


def _has_outcome(recorded: RecordedLocalization) -> bool:
    """Return whether the scheme itself came to an end when it was recorded, by a fix or by an error of its own."""
    end = recorded.end
    return end is not None and (end["kind"] == "fix" or end["reason"] == Reason.SCHEME_FAILED.value)


def _recorded_end(recorded: RecordedLocalization) -> str:
    if recorded.end is None:
        return "the recording ends here: "
    return f"recorded without a fix ({recorded.end['reason']}: {recorded.end['text']}): "


def _on_fix(recorded: RecordedLocalization, fix: Fix) -> tuple[Verdict, float | None]:
    end = recorded.end
    if end is None or not _has_outcome(recorded):
        return "not recorded", None
    if end["kind"] != "fix":
        return "differs", None
    range_m, angle_rad = msgspec.convert((end["range_m"], end["angle_rad"]), Position)
    return "same" if is_same_fix(fix, end) else "differs", error_m(fix.range_m, fix.angle_rad, range_m, angle_rad)


def _on_failure(recorded: RecordedLocalization, text: str) -> Verdict:
    if recorded.end is None or not _has_outcome(recorded):
        return "not recorded"
    return "same" if recorded.end.get("text") == text else "differs"
