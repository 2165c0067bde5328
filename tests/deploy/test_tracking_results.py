"""The result of a continuous run: rates, ages and errors, from records as they stand in a run directory."""

import math
from collections.abc import Iterator
from io import StringIO

import pytest
from rich.console import Console

from deploy.checks import Wanted
from deploy.tracking_results import Record, TrackingResult, print_tracking, tracking_result

WANTED = Wanted(rate_hz={"ue-1": 10.0, "ue-2": 5.0}, duration_s=1.0)


def fix(ue: str, at_s: float, range_m: float, epochs: list[int], scheme: str = "network") -> Record:
    fixed = {"range_m": range_m, "angle_rad": 0.0, "epochs": epochs}
    return {"kind": "fix", "ue": ue, "scheme": scheme, "time_s": at_s, **fixed}


def track(ue: str, at_s: float, x_m: float, age_ms: float) -> Record:
    return {"kind": "track", "ue": ue, "time_s": at_s, "x_m": x_m, "y_m": 0.0, "age_ms": age_ms}


def truth(ue: str, epoch: int, range_m: float, angle_rad: float = 0.0) -> Record:
    return {"kind": "truth", "ue": ue, "epoch": epoch, "range_m": range_m, "angle_rad": angle_rad}


def result_of(records: list[Record], truths: list[Record]) -> TrackingResult:
    return tracking_result("runs/x", iter(records), iter(truths), {}, WANTED)


def steady() -> Iterator[Record]:
    """Eleven rounds of one user and six of the other within a second."""
    for number in range(11):
        yield fix("ue-1", 0.1 * number, 10.003, [2 * number, 2 * number + 1], "follow" if number % 5 else "network")
        yield track("ue-1", 0.1 * number, 10.001, 20.0 + number)
        if number % 2 == 0:
            yield fix("ue-2", 0.1 * number, 20.0, [2 * number])
            yield track("ue-2", 0.1 * number, 20.0, 40.0)
    yield {"kind": "failure", "ue": "ue-2", "scheme": "network"}
    yield {"kind": "end", "counters": {"skipped_rounds": 3}}


def test_errors_are_from_where_the_user_was_on_the_average_of_its_sweeps() -> None:
    truths = [truth("ue-1", epoch, 10.0 + (0.5 if epoch % 2 else -0.5)) for epoch in range(22)]
    result = result_of(list(steady()), truths)
    first, second = result.users
    assert [first.fix_rmse_m, first.track_rmse_m] == pytest.approx([0.003, 0.001])
    assert (second.fix_rmse_m, second.track_rmse_m) == (None, None)  # of whom nobody wrote the truth
    assert [result.fix_rmse_m, result.track_rmse_m] == pytest.approx([0.003, 0.001])


def test_rates_and_ages_are_over_all_rounds() -> None:
    result = result_of(list(steady()), [])
    assert [(user.fixes, user.followed, user.failures) for user in result.users] == [(11, 8, 0), (6, 0, 1)]
    assert [user.rate_hz for user in result.users] == pytest.approx([11.0, 6.0])
    assert result.age_ms is not None
    assert (result.age_ms.count, result.age_ms.p50) == (17, 28.0)
    assert (result.complete, result.counters) == (True, {"skipped_rounds": 3})


def test_run_in_which_a_user_was_found_too_rarely_is_not_complete() -> None:
    rare = [record for record in steady() if record.get("ue") == "ue-1" or record.get("time_s") not in {0.2, 0.4}]
    assert not result_of(rare, []).complete


def test_run_without_a_fix_has_no_figures() -> None:
    result = result_of([{"kind": "end", "counters": {}}], [])
    assert (result.complete, result.age_ms, result.fix_rmse_m, result.track_rmse_m) == (False, None, None, None)


def test_truth_is_found_again_that_was_read_for_another_user() -> None:
    records = [fix("ue-2", 0.0, 20.0, [9]), fix("ue-1", 0.0, 10.0, [8]), fix("ue-2", 0.1, math.hypot(3, 4), [12])]
    truths = [truth("ue-1", 8, 10.0), truth("ue-2", 9, 21.0), truth("ue-2", 12, 5.0)]
    users = result_of(records, truths).users
    assert [user.fix_rmse_m for user in users] == pytest.approx([0.0, math.sqrt(0.5)])


def test_people_are_shown_a_row_for_each_user() -> None:
    text = StringIO()
    print_tracking(result_of(list(steady()), []), Console(width=120, file=text))
    assert "ue-1" in text.getvalue()
    assert "age of a fix: p50 28.0" in text.getvalue()
