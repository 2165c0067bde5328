"""Many agents located for a while: every request has its answer, and what memory grows by is told with its error."""

import json

import numpy as np
import pytest

from tests.faults.load import Log, load, slope


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


def test_growth_after_the_warm_up_is_the_slope() -> None:
    at_s = np.linspace(0.0, 600.0, 301)
    mib = np.where(at_s < 100.0, at_s, 100.0 + 12.0 * (at_s - 100.0) / 3600.0)  # warm-up, then 12 MiB an hour
    found = slope("x", at_s, mib)
    assert found.mib_per_hour == pytest.approx(12.0, rel=1e-9)  # rounding of sums of 240 values
    assert found.standard_error < 1e-6


def test_stated_error_of_a_slope_covers_steps_that_are_alike() -> None:
    rng, at_s, runs = np.random.default_rng(5), np.linspace(0.0, 600.0, 301), 400
    found = []
    for _ in range(runs):
        noise = np.zeros(at_s.size)
        for step in range(1, at_s.size):
            noise[step] = 0.7 * noise[step - 1] + rng.standard_normal()
        found.append(slope("x", at_s, 50.0 + noise))
    spread = np.std([one.mib_per_hour for one in found])
    stated = np.sqrt(np.mean([one.standard_error**2 for one in found]))
    # 240 weighings at a correlation of 0.7 are 42 independent ones: their correlation is known to a tenth, the spread to 4 %
    assert stated == pytest.approx(spread, rel=0.25)


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
