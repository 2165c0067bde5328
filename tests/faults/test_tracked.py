"""What is told of a continuous run that was watched."""

import io

import numpy as np
import pytest
from rich.console import Console

from deploy.soak import print_track
from deploy.soak_rows import TrackReport
from tests.faults.memory import slope
from tests.faults.tracked import minutes_of


def tracks(*minutes_and_ages_ms: tuple[float, float]) -> list[dict[str, object]]:
    return [{"kind": "track", "time_s": 5.0 + 60 * minute, "age_ms": age_ms} for minute, age_ms in minutes_and_ages_ms]


def test_ages_are_told_by_whole_minutes_since_the_first_track() -> None:
    found = minutes_of([{"kind": "fix"}, *tracks((0, 10.0), (0.5, 20.0), (0.9, 60.0), (1.0, 7.0), (2.0, 900.0))])
    assert [(minute.minute, minute.fixes, minute.age_p50_ms) for minute in found] == [(0, 3, 20.0), (1, 1, 7.0)]


def test_run_of_less_than_a_minute_is_told_of_as_one() -> None:
    (minute,) = minutes_of(tracks((0, 10.0), (0.5, 20.0)))
    assert minute.age_p50_ms == pytest.approx(15.0)


def test_curve_of_an_hour_fits_a_page() -> None:
    minutes = minutes_of(tracks(*((minute, 80.0) for minute in range(61))))
    memory = slope("bs_controller", np.linspace(0.0, 3600.0, 100), np.linspace(100.0, 112.0, 100))
    report = TrackReport(
        users=16,
        lasted_s=3600.0,
        fixes_per_s=150.0,
        track_rmse_m=0.01,
        counters={},
        minutes=minutes,
        memory=(memory,),
        curves_mib={"bs_controller": tuple(100.0 + minute / 5 for minute in range(60))},
        met=True,
    )
    page = io.StringIO()
    print_track(report, Console(file=page, width=120))
    (row,) = [line for line in page.getvalue().splitlines() if "bs_controller" in line]
    assert "100.0 101.2 102.4 103.6 104.8 106.0 107.2 108.4 109.6 110.8" in " ".join(row.split())
    assert "+12.0 +- 0.0 MiB an hour" in row
