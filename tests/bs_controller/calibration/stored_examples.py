"""A small calibration as a file has it."""

from datetime import UTC, datetime, timedelta

from bs_controller.calibration.elements import element_errors
from bs_controller.calibration.stored import StoredCalibration, measured_on, stored, stored_path
from tests.bs_controller.calibration.front_ends import CODES, FACTS, LIMITS, PLACE, Erring, Turned, heard, with_noise

MEASURED_UTC = datetime(2026, 3, 1, 12, tzinfo=UTC)
DRIVER: dict[str, object] = {"driver": "my-array", "options": {"tty": "/dev/ttyACM0", "serial": "30A1"}}


def example() -> StoredCalibration:
    """Return what is stored of a measurement with one dead element."""
    pilots, _ = with_noise(heard(Erring.drawn(1, dead=(5,)), Turned.drawn(2, 2 * CODES)), 20.0, 3)
    solved = element_errors(pilots, FACTS)
    return stored(
        on=measured_on(FACTS, LIMITS, DRIVER, "a radio"),
        paths=(stored_path("ue-1", PLACE, solved, 0.0),),
        errors=solved.errors,
        pilots=2 * CODES,
        measured_utc=MEASURED_UTC,
        valid_until_utc=MEASURED_UTC + timedelta(days=30),
    )
