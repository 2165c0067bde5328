"""The report for programs, one JSON document."""

from typing import Any

import msgspec

from protocol.conformance.reports import Report


def document(report: Report) -> dict[str, Any]:
    """Return the document."""
    return {
        "role": str(report.role),
        "testee": report.testee,
        "conforming": report.conforming,
        "seed": report.seed,
        "versions": dict(report.versions),
        "summary": report.counts(),
        "cases": [
            {
                "id": result.case.id,
                "clause": result.case.clause,
                "level": str(result.level),
                "role": str(result.case.role),
                "outcome": str(result.outcome),
                "detail": result.detail,
                "broken": result.clause if result.detail else None,
                "known": result.known,
                "took_s": round(result.took_s, 4),
            }
            for result in report.results
        ],
    }


def text(report: Report) -> str:
    """Return the document as it is written."""
    return msgspec.json.format(msgspec.json.encode(document(report)), indent=2).decode() + "\n"
