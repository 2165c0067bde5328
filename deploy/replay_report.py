"""What a replay found, as a document and as a table."""

import math
from typing import Literal

import msgspec
from rich import box
from rich.console import Console
from rich.table import Table

from deploy.recordings import Recording

#: How many lines of a kind people are shown.
LINES_OF_A_KIND = 20

Verdict = Literal["same", "differs", "not recorded"]


class ReplayedFix(msgspec.Struct, frozen=True, kw_only=True):
    """A fix beside the truth and beside the recorded one, from which it lies ``moved_m`` away.

    ``verdict``: whether the recorded fix is the same bit for bit, in all that a scheme states. ``epochs`` are those of the
    answers that it was given.
    """

    ue: str
    scheme: str
    round: int
    range_m: float
    angle_rad: float
    truth_range_m: float | None
    truth_angle_rad: float | None
    error_m: float | None
    sweeps: int
    epochs: list[int]
    verdict: Verdict
    moved_m: float | None


class ReplayedFailure(msgspec.Struct, frozen=True, kw_only=True):
    """A scheme that had its answers and failed on them; ``verdict``: whether it failed so when it was recorded."""

    ue: str
    scheme: str
    round: int
    text: str
    verdict: Verdict


class NotReplayed(msgspec.Struct, frozen=True, kw_only=True):
    """A localization that the recording has no answers for; ``expected`` if the recorded one lacked them too."""

    ue: str
    scheme: str
    round: int
    text: str
    expected: bool


class ReplayDocument(msgspec.Struct, frozen=True, kw_only=True):
    """The document that ``--json`` prints.

    ``complete``: of the run's own schemes, all that is recorded came out the same; of others, every round gave a fix.
    """

    run_dir: str
    complete: bool
    fixes: list[ReplayedFix]
    failures: list[ReplayedFailure]
    not_replayed: list[NotReplayed]
    recording: Recording
    versions: dict[str, str]


def print_replay(document: ReplayDocument, console: Console) -> None:
    """Print fixes as a table, one row per user and scheme, and below it whatever went another way."""
    console.print(_table(document.fixes))
    differing = [fix for fix in document.fixes if fix.verdict == "differs"]
    lines = [
        *_first([f"differs: {_who(fix)}, {_moved(fix)}" for fix in differing]),
        *_first([f"no fix: {_who(failure)}: {failure.text} ({failure.verdict})" for failure in document.failures]),
        *_first([f"not replayed: {_who(one)}: {one.text}" for one in document.not_replayed]),
        *_other_versions(document),
        *document.recording.cuts,
        f"run directory: {document.run_dir}",
    ]
    for line in lines:
        console.print(line, markup=False, soft_wrap=True)


def _first(lines: list[str]) -> list[str]:
    more = len(lines) - LINES_OF_A_KIND
    return [*lines[:LINES_OF_A_KIND], *([f"and {more} more; --json has them all"] if more > 0 else [])]


def _moved(fix: ReplayedFix) -> str:
    return "recorded as a failure" if fix.moved_m is None else f"by {fix.moved_m:.3g} m"


def _other_versions(document: ReplayDocument) -> list[str]:
    recorded = document.recording.versions
    return [
        f"recorded with {name} {recorded[name]}, replayed with {version}: last digits may differ"
        for name, version in document.versions.items()
        if recorded.get(name, version) != version
    ]


def _who(one: ReplayedFix | ReplayedFailure | NotReplayed) -> str:
    return f"{one.ue} by {one.scheme} in round {one.round}"


def _table(fixes: list[ReplayedFix]) -> Table:
    table = Table(title="Replayed fixes, the last of each user and scheme", box=box.SIMPLE)
    for column in (
        "user",
        "scheme",
        "range\nm",
        "angle\ndeg",
        "rms error\nm",
        "fixes",
        "same",
        "differ",
        "not\nrecorded",
    ):
        table.add_column(column, justify="left" if column in {"user", "scheme"} else "right")
    rows: dict[tuple[str, str], list[ReplayedFix]] = {}
    for fix in fixes:
        rows.setdefault((fix.ue, fix.scheme), []).append(fix)
    for (ue, scheme), found in sorted(rows.items(), key=lambda row: row[0][0]):
        errors = [fix.error_m for fix in found if fix.error_m is not None]
        rms = f"{math.sqrt(sum(error**2 for error in errors) / len(errors)):.3f}" if errors else "-"
        last, verdicts = found[-1], [fix.verdict for fix in found]
        counts = [str(verdicts.count(verdict)) for verdict in ("same", "differs", "not recorded")]
        place = f"{last.range_m:.2f}", f"{math.degrees(last.angle_rad):+.2f}"
        table.add_row(ue, scheme, *place, rms, str(len(found)), *counts)
    return table
