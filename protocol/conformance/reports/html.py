"""The report to read and to show: one HTML page without anything from elsewhere, with the wire log of each case."""

from collections.abc import Iterator
from html import escape
from pathlib import Path

from protocol.conformance.case import Outcome
from protocol.conformance.clauses import requirement
from protocol.conformance.reports import Report
from protocol.conformance.runner import Result
from protocol.conformance.wire_log import Entry

PAGE = Path(__file__).with_name("page.html")
SHOWN_ENTRIES = 200


def text(report: Report) -> str:
    """Return the page."""
    values = {
        "title": f"Protocol conformance of {report.role}",
        "verdict": "conforming" if report.conforming else "not conforming",
        "testee": report.testee,
        "seed": str(report.seed),
        "versions": ", ".join(f"{name} {version}" for name, version in report.versions.items()),
    }
    page = PAGE.read_text(encoding="utf-8")
    for name, value in values.items():
        page = page.replace(f"{{{{{name}}}}}", escape(value))
    page = page.replace("{{filters}}", "".join(_filters(report)))
    return page.replace("{{cases}}", "\n".join(_case(result) for result in report.results))


def _filters(report: Report) -> Iterator[str]:
    for outcome, count in report.counts().items():
        name = escape(outcome)
        yield f'<label class="{name}"><input type="checkbox" value="{name}" checked> {name} {count}</label> '


def _case(result: Result) -> str:
    case = result.case
    broken = requirement(result.clause)
    surprise = "" if result.outcome is Outcome.PASS and result.expected else " open"
    rows = [
        ("clause", f"{case.clause} ({result.level}): {requirement(case.clause).text}"),
        ("the other side", case.description),
        ("expected", case.expectation),
    ]
    if result.detail:
        rows.append(("found", result.detail))
    if result.clause != case.clause:
        rows.append(("broken", f"{broken.number} ({broken.level}): {broken.text}"))
    if result.known is not None:
        rows.append(("known failure", result.known))
    rows.append(
        ("took", f"{result.took_s:.3f} s, on a machine that was at most {result.late_s * 1e3:.1f} ms late itself")
    )
    facts = "".join(f"<dt>{name}</dt><dd>{escape(value)}</dd>" for name, value in rows)
    wire = "\n".join(_entry(entry) for entry in result.wire[:SHOWN_ENTRIES])
    left_out = len(result.wire) - SHOWN_ENTRIES
    more = f"<p>{left_out} more</p>" if left_out > 0 else ""
    output = f"<h4>output of the testee</h4><pre>{escape(result.output)}</pre>" if result.output else ""
    return (
        f'<details class="case {result.outcome}" data-outcome="{result.outcome}"{surprise if surprise else ""}>'
        f"<summary><b>{result.outcome}</b> {escape(case.id)}</summary><dl>{facts}</dl>"
        f'<h4>wire</h4><div class="wire">{wire}</div>{more}{output}</details>'
    )


def _entry(entry: Entry) -> str:
    frames = escape("\n".join(entry.hexadecimal()))
    line = escape(entry.line())
    if not frames:
        return f"<div>{line}</div>"
    return f"<details><summary>{line}</summary><pre>{frames}</pre></details>"
