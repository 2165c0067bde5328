"""When a calibration may be used: its date and every fact of its front end."""

from datetime import timedelta

import msgspec
import pytest

from bs_controller.calibration.validity import complaints, correction_of, limits_complaints
from protocol.testbed import FrontEndLimits, default_facts
from tests.bs_controller.calibration.front_ends import FACTS, LIMITS
from tests.bs_controller.calibration.stored_examples import DRIVER, MEASURED_UTC, example

EXAMPLE = example()
NOW = MEASURED_UTC + timedelta(days=3)


def test_fresh_calibration_of_this_front_end_has_nothing_against_it() -> None:
    assert complaints(EXAMPLE, FACTS, DRIVER, NOW) == []
    assert limits_complaints(EXAMPLE, LIMITS) == []


@pytest.mark.parametrize("days", [31, -1])
def test_calibration_that_is_too_old_or_of_tomorrow_says_until_when_it_is_valid(days: int) -> None:
    (told,) = complaints(EXAMPLE, FACTS, DRIVER, MEASURED_UTC + timedelta(days=days))
    assert ("valid until 2026-03-31T12:00:00+00:00" in told) if days > 0 else ("after now" in told)


def test_other_band_is_another_front_end() -> None:
    told = complaints(EXAMPLE, default_facts(subcarriers=128, elements=16), DRIVER, NOW)
    assert "grid.count: 64 was calibrated, 128 is here" in told


def test_other_uplink_or_region_is_the_same_front_end() -> None:
    assert complaints(EXAMPLE, msgspec.structs.replace(FACTS, region=default_facts().region), DRIVER, NOW) == []
    other = default_facts(subcarriers=64, elements=16, uplink_subcarriers=7)
    assert complaints(EXAMPLE, other, DRIVER, NOW) == []


def test_other_serial_and_other_driver_are_another_front_end() -> None:
    other = {"driver": "my-array", "options": {"tty": "/dev/ttyACM0", "serial": "30A2"}}
    assert complaints(EXAMPLE, FACTS, other, NOW) == ["driver.options.serial: 30A1 was calibrated, 30A2 is here"]
    assert len(complaints(EXAMPLE, FACTS, {}, NOW)) == 2


@pytest.mark.parametrize(
    ("name", "value"),
    [("elements", 32), ("groups", 4), ("phase_bits", 6), ("delay_step_s", 1e-12), ("delay_span_s", 5e-9)],
)
def test_other_limits_are_another_front_end(name: str, value: float) -> None:
    other = msgspec.convert({**msgspec.to_builtins(LIMITS), name: value}, FrontEndLimits)
    (told,) = limits_complaints(EXAMPLE, other)
    assert told.startswith(f"limits.{name}: ")


def test_path_delays_are_those_of_ones_own_the_common_or_none() -> None:
    late_s = EXAMPLE.paths[0].delay_s
    assert late_s != 0
    own, common, none = (correction_of(EXAMPLE, FACTS, paths) for paths in ("own", "common", "none"))
    assert (own.path_delay_s, own.other_delay_s) == ({"ue-1": late_s}, 0.0)
    assert (common.path_delay_s, common.other_delay_s) == ({}, late_s)
    assert (none.path_delay_s, none.other_delay_s) == ({}, 0.0)
