"""Progress of a run for people: a bar per user on a terminal, one line per event elsewhere; both on standard error."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

Record = Mapping[str, object]


class Display(Protocol):
    """Something that shows records as they come."""

    def show(self, record: Record) -> None:
        """Take one record of the run."""

    def __enter__(self) -> Self:
        """Start to show."""

    def __exit__(self, *failure: object) -> None:
        """Leave the terminal as it was."""


#: What is left out where users are tracked: many a second, of which none is news.
_OF_ROUNDS = frozenset({"report", "snapshot", "fix"})


def display(ues: Sequence[str], fixes_per_ue: int | None, console: Console, *, tracked: bool) -> Display:
    """Return the display that suits the console; of tracked users it shows how many fixes there are, not each."""
    if console.is_terminal:
        return _Bars(ues, fixes_per_ue, console, _OF_ROUNDS - {"fix"} if tracked else frozenset())
    return _Lines(console, _OF_ROUNDS if tracked else frozenset())


def line_from_record(record: Record, step: int) -> str | None:
    """Return what a person is told of a record, if anything; `step` counts the answers since the UE's last fix."""
    who = f"{record.get('ue', record.get('name'))}"
    match record["kind"]:
        case "report" | "snapshot":
            return f"{who}: {record['scheme']}, answer {step} (epoch {record['epoch']})"
        case "fix":
            return f"{who}: {record['scheme']} fix {record['range_m']:.2f} m {record['angle_rad']:+.4f} rad"
        case "failure":
            return f"{who}: {record['scheme']} without a fix: {record['reason']}: {record['text']}"
        case "peer":
            return f"{who} {record['event']}: {record['text']}"
        case _:
            return None


class _Steps:
    """Counts each UE's answers since its last fix."""

    def __init__(self) -> None:
        self._steps: Counter[object] = Counter()

    def count(self, record: Record) -> int:
        ue = record.get("ue")
        if record["kind"] in {"report", "snapshot"}:
            self._steps[ue] += 1
        elif record["kind"] in {"fix", "failure"}:
            del self._steps[ue]
        return self._steps[ue]


class _Lines:
    def __init__(self, console: Console, left_out: frozenset[str]) -> None:
        self._console, self._left_out = console, left_out
        self._steps = _Steps()

    def show(self, record: Record) -> None:
        line = None if record["kind"] in self._left_out else line_from_record(record, self._steps.count(record))
        if line is not None:
            self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        pass


class _Bars:
    def __init__(
        self, ues: Sequence[str], fixes_per_ue: int | None, console: Console, left_out: frozenset[str]
    ) -> None:
        self._left_out = left_out
        columns = (TextColumn("{task.fields[ue]}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
        self._progress = Progress(*columns, TimeElapsedColumn(), console=console)
        self._tasks: dict[object, TaskID] = {
            ue: self._progress.add_task("waiting to join", total=fixes_per_ue, ue=ue) for ue in ues
        }
        self._steps = _Steps()

    def show(self, record: Record) -> None:
        line = None if record["kind"] in self._left_out else line_from_record(record, self._steps.count(record))
        task = self._tasks.get(record.get("ue", record.get("name")))
        if line is None or task is None:
            return
        advance = 1 if record["kind"] in {"fix", "failure"} else 0
        self._progress.update(task, description=line.partition(": ")[2] or line, advance=advance)
        if record["kind"] == "failure":
            self._progress.console.print(line, markup=False)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *failure: object) -> None:
        self._progress.stop()
