import io
import math

import pytest
from rich.console import Console

from deploy.results import error_m, print_result, quantiles, result_from_records

FIX = {
    "kind": "fix",
    "ue": "ue-1",
    "scheme": "cbs",
    "round": 0,
    "range_m": 10.0,
    "angle_rad": 0.1,
    "sweeps": 2,
    "targets": [],
    "epochs": [1, 2],
    "latency_ms": 12.0,
    "sweep_latency_ms": [4.0, 6.0],
}
TRUTH = {"kind": "truth", "epoch": 2, "ue": "ue-1", "link": "downlink", "range_m": 10.0, "angle_rad": 0.2}
END = {"kind": "end", "finished": True, "counters": {"missed_deadlines": 3}}
SWEEP = {"kind": "sweep", "epoch": 1, "configure_ms": 2.0}


def test_fix_is_joined_with_where_the_user_was_midway_between_its_epochs() -> None:
    earlier, other = {**TRUTH, "epoch": 1, "range_m": 9.0}, {**TRUTH, "epoch": 3, "range_m": 99.0}
    (fix,) = result_from_records("run", [(FIX, True)], [earlier, TRUTH, other], {}, 1).fixes
    assert (fix.truth_range_m, fix.truth_angle_rad) == pytest.approx((9.5, 0.2))


def test_fix_with_the_truth_of_half_its_epochs_has_no_error() -> None:
    (fix,) = result_from_records("run", [(FIX, True)], [TRUTH], {}, 1).fixes
    assert fix.error_m is None


def test_error_is_the_distance_between_the_two_points() -> None:
    ours, truth = 10 * complex(math.cos(0.1), math.sin(0.1)), 12 * complex(math.cos(0.3), math.sin(0.3))
    assert error_m(10, 0.1, 12, 0.3) == pytest.approx(abs(ours - truth), rel=1e-12)  # rounding


def test_fix_without_truth_has_no_error() -> None:
    (fix,) = result_from_records("run", [(FIX, True)], [], {}, 1).fixes
    assert fix.error_m is None


def test_run_is_complete_only_with_every_fix_on_disk() -> None:
    assert result_from_records("run", [(FIX, True)], [], {}, 1).complete
    assert not result_from_records("run", [(FIX, False)], [], {}, 1).complete
    assert not result_from_records("run", [(FIX, True)], [], {}, 2).complete


def test_counters_are_those_of_the_last_record_and_latencies_those_of_their_kind() -> None:
    result = result_from_records("run", [(SWEEP, True), (END, True)], [], {}, 0)
    assert result.counters == {"missed_deadlines": 3}
    assert result.latency_ms["configure"] == quantiles([2.0])


def test_table_names_user_scheme_error_and_run_directory() -> None:
    text = io.StringIO()
    failure = {"kind": "failure", "ue": "ue-2", "scheme": "cbs", "round": 0, "reason": "UE absent", "text": "gone"}
    records = [(FIX, True), (failure, True), (END, True)]
    print_result(
        result_from_records("runs/x", records, [{**TRUTH, "epoch": 1}, TRUTH], {}, 2), Console(file=text, width=120)
    )
    for part in ("ue-1", "cbs", "10.00 +5.73", "1.000", "no fix: ue-2", "missed deadlines 3", "runs/x"):
        assert part in text.getvalue()
