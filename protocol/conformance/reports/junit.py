"""The report for continuous integration: JUnit's XML. What fails as expected is skipped; what passes in spite is a failure."""

import re
from xml.etree.ElementTree import Element, SubElement, tostring

from protocol.conformance.case import Outcome
from protocol.conformance.reports import Report
from protocol.conformance.runner import Result

_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def text(report: Report) -> str:
    """Return the document."""
    results = report.results
    suite = Element(
        "testsuite",
        name=f"protocol conformance of {report.role}",
        tests=str(len(results)),
        failures=str(sum(not result.expected for result in results)),
        skipped=str(sum(_skipped(result) for result in results)),
        errors="0",
        time=f"{sum(result.took_s for result in results):.3f}",
    )
    for result in results:
        _add(suite, result)
    return tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def _skipped(result: Result) -> bool:
    return result.expected and result.outcome not in {Outcome.PASS, Outcome.NON_STRICT}


def _add(suite: Element, result: Result) -> None:
    role, layer, name = result.case.id.split("/")
    case = SubElement(suite, "testcase", classname=f"{role}.{layer}", name=name, time=f"{result.took_s:.3f}")
    message = _NO_XML.sub("?", f"{result.outcome}: SPEC {result.clause}: {result.detail}")
    if not result.expected:
        failure = SubElement(case, "failure", message=message)
        failure.text = _NO_XML.sub("?", "\n".join(entry.line() for entry in result.wire[-30:]))
    elif _skipped(result):
        SubElement(case, "skipped", message=message)
    elif result.outcome is Outcome.NON_STRICT:
        SubElement(case, "system-out").text = message
