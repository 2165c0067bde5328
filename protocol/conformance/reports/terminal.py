"""The report for a person at a terminal: counts by layer, then each surprise with its reason and the end of its wire log."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from protocol.conformance.case import Layer, Outcome
from protocol.conformance.clauses import requirement
from protocol.conformance.reports import Report
from protocol.conformance.runner import Result

SHOWN_WIRE_LINES = 12
COLOURS = {
    Outcome.PASS: "green",
    Outcome.FAIL: "bold red",
    Outcome.NON_STRICT: "yellow",
    Outcome.UNSUPPORTED: "dim",
    Outcome.INCONCLUSIVE: "magenta",
}


def print_report(report: Report, console: Console) -> None:
    """Print everything."""
    for result in report.results:
        if result.outcome in {Outcome.FAIL, Outcome.NON_STRICT, Outcome.INCONCLUSIVE} or not result.expected:
            _print_result(result, console)
    for name in sorted(set(report.known) - {result.case.id for result in report.results}):
        console.print(Text(f"{name} is on the list of known failures and was not run"))
    table = Table("layer", *(str(outcome) for outcome in Outcome), title=f"{report.role}: {report.testee}")
    for layer in Layer:
        of_layer = [result.outcome for result in report.results if result.case.layer is layer]
        if of_layer:
            table.add_row(str(layer), *(str(of_layer.count(outcome) or "") for outcome in Outcome))
    table.add_section()
    table.add_row("all", *(str(count or "") for count in report.counts().values()))
    console.print(table)
    verdict = "conforming" if report.conforming else "not conforming"
    took_s = sum(result.took_s for result in report.results)
    console.print(f"{verdict}: {len(report.results)} cases in {took_s:.0f} s, seed {report.seed}")


def _print_result(result: Result, console: Console) -> None:
    console.print(Text.assemble((str(result.outcome), COLOURS[result.outcome]), f" {result.case.id}"))
    if result.known is not None:
        said = "which is known" if result.expected else "though it is on the list of known failures"
        console.print(Text(f"  {said}: {result.known}"))
    console.print(Text(f"  SPEC {result.clause}: {requirement(result.clause).text}"))
    console.print(Text(f"  {result.detail or 'as expected'}"))
    for entry in result.wire[-SHOWN_WIRE_LINES:]:
        console.print(Text(f"    {entry.line()}", overflow="ellipsis", no_wrap=True))
