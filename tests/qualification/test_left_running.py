"""Users tracked for ten minutes: no process grows, nobody is lost, and fixes are as old at the end as at the beginning."""

import pytest

from deploy.soak_rows import TrackReport
from tests.faults.memory import grown
from tests.faults.tracked import AGE_GROWTH_MS, FLAT_MIB_PER_HOUR, tracked
from tests.qualification.processes import ROOT

MINUTES = 10.0

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(1200),
    pytest.mark.requirement("a continuous run can be left alone"),
]


@pytest.fixture(scope="module")
def report() -> TrackReport:
    """Track sixteen users who walk, located up to ten times a second each."""
    return tracked(ROOT / "deploy" / "testbeds" / "tracking.yaml", MINUTES)


def test_no_process_grows(report: TrackReport) -> None:
    parts = {part.process for part in report.memory}
    assert parts >= {"bs_controller", "emulator"}
    assert any(name.startswith("ue") for name in parts)
    # The line of each process, less two errors as its samples scatter, rises by no more. After four minutes the emulator's
    # rose by 1.2 +- 1.4 MiB an hour, the controller's by 0.12 +- 0.09, a UE's by 0.21 +- 0.09 at most.
    assert grown(report.memory, FLAT_MIB_PER_HOUR) == ()


def test_fixes_are_no_older_at_the_end(report: TrackReport) -> None:
    first, last = report.minutes[0], report.minutes[-1]
    assert last.age_p50_ms - first.age_p50_ms <= AGE_GROWTH_MS, report.minutes


def test_users_are_found_in_every_minute(report: TrackReport) -> None:
    assert report.users == 16
    assert [minute.minute for minute in report.minutes] == list(range(len(report.minutes)))
    assert len(report.minutes) >= MINUTES - 1
    # ten a second of each user are asked for; a machine that has other work as well does not stand still for ten seconds
    assert min(minute.fixes for minute in report.minutes) >= 16 * 6
