"""Many agents located for a while: every request has its answer, and what has none is counted."""

import json

import pytest

from tests.faults.load import Log, load


class Talker:
    """Stands in for a controller: what it has printed."""

    def __init__(self, *records: dict[str, object]) -> None:
        self.out = [json.dumps({"recorded": True, **record}) + "\n" for record in records]


def log_of(*records: dict[str, object]) -> Log:
    log = Log()
    log.read(Talker(*records))  # type: ignore[arg-type]
    return log


SWEEP: dict[str, object] = {"kind": "sweep", "epoch": 1, "ues": ["ue-1", "ue-2"]}
REPORT: dict[str, object] = {"kind": "report", "epoch": 1, "ue": "ue-1"}
NEXT: dict[str, object] = {"kind": "sweep", "epoch": 2, "ues": ["ue-1"]}


def test_request_without_answer_or_counter_is_unexplained() -> None:
    log = log_of(SWEEP, REPORT, NEXT, {"kind": "end", "counters": {"retries": 1}})
    assert (log.requests, log.answered, log.under_way, log.unexplained) == (3, 1, 1, 1)


def test_request_that_missed_its_deadline_is_explained() -> None:
    assert log_of(SWEEP, REPORT, NEXT, {"kind": "end", "counters": {"missed_deadlines": 1}}).unexplained == 0


def test_answer_to_another_epoch_answers_nothing() -> None:
    log = log_of(SWEEP, {**REPORT, "epoch": 3}, NEXT, {"kind": "end", "counters": {}})
    assert log.unexplained == 2


@pytest.mark.long
@pytest.mark.timeout(500)
@pytest.mark.requirement("many users at once lose no request")
def test_sixty_four_agents_lose_no_request() -> None:
    report = load(64, minutes=0.3)
    assert report.unexplained == 0
    assert report.failures == 0
    assert report.requests == report.answered + report.under_way + report.counters.get("missed_deadlines", 0)
    assert set(report.fix_p99_ms) == {"cbs", "likelihood"}
    assert report.fixes >= 64
