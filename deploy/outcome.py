"""What a run tells its launcher: shown while it goes on, printed when it is over."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from bs_controller.streamed import stream_run
from deploy.checks import CheckedTestbed
from deploy.output import output_console, print_json
from deploy.progress import Display, display
from deploy.results import print_result, result_from_records
from deploy.tracking_results import print_tracking, tracking_result
from deploy.truth import truth_records
from protocol.versions import versions


@dataclass(slots=True)
class Told:
    """The records of a run so far, as its result is made of them; called with each."""

    shown: Display
    tracked: bool
    found: bool = False  # a fix
    records: list[tuple[Mapping[str, object], bool]] = field(default_factory=list)

    def __call__(self, record: Mapping[str, object], recorded: bool) -> None:
        """Take and show one record, and whether it is on disk."""
        self.found = self.found or record["kind"] == "fix"
        if not self.tracked:  # tracks are read again from disk: their records would fill the memory
            self.records.append((record, recorded))
        self.shown.show(record)


@contextmanager
def told(testbed: CheckedTestbed) -> Iterator[Told]:
    """Show on standard error what a run tells while the context lasts."""
    tracked = testbed.controller.track is not None
    with display(testbed.controller.ues, testbed.fixes_per_ue, Console(stderr=True), tracked=tracked) as shown:
        yield Told(shown, tracked)


def printed_status(testbed: CheckedTestbed, directory: Path, what: Told, status: int, *, as_json: bool) -> int:
    """Print the result of a run, if there is one; return the exit status in the light of it."""
    if status not in {0, 1} and not what.found:
        return status
    complete = (
        _print_tracks(testbed, directory, as_json=as_json)
        if what.tracked
        else _print_fixes(testbed, directory, what, as_json=as_json)
    )
    return status if status != 0 or complete else 1


def _print_fixes(testbed: CheckedTestbed, directory: Path, what: Told, *, as_json: bool) -> bool:
    """Print the result of a run; return whether it is what was asked for."""
    truth = truth_records(directory)
    result = result_from_records(str(directory.resolve()), what.records, truth, versions(), testbed.expected_fixes)
    if as_json:
        print_json(result)
    else:
        print_result(result, output_console())
    return result.complete


def _print_tracks(testbed: CheckedTestbed, directory: Path, *, as_json: bool) -> bool:
    """Print the result of a continuous run; return whether it is what was asked for."""
    run = stream_run(directory)
    result = tracking_result(str(directory.resolve()), run.records(), run.truth(), versions(), testbed.wanted)
    if as_json:
        print_json(result)
    else:
        print_tracking(result, output_console())
    return result.complete
