"""The campaign's judges: each kind of broken promise is found, and nothing else is."""

import math
from pathlib import Path

import pytest

from protocol.journal import line_from_record
from tests.faults.invariants import Place, RunLedger, nearest_user
from tests.qualification.processes import Record

PLACES = {"ue-1": Place(range_m=3.0, angle_deg=-30.0), "ue-2": Place(range_m=4.0, angle_deg=30.0)}


def fix(ue: str = "ue-1", number: int = 0, angle_deg: float = -28.0, **more: object) -> Record:
    """A fix as the journal holds it."""
    angle_rad = math.radians(angle_deg)
    return {"kind": "fix", "ue": ue, "scheme": "cbs", "round": number, "angle_rad": angle_rad, **more}


@pytest.fixture
def ledger(tmp_path: Path) -> RunLedger:
    return RunLedger(tmp_path, PLACES, [])


def write(ledger: RunLedger, *records: Record, first: int = 1, tail: bytes = b"") -> None:
    """Append records to the journal."""
    with (ledger.directory / "journal.jsonl").open("ab") as file:
        file.write(b"".join(line_from_record(seq, one) for seq, one in enumerate(records, start=first)) + tail)


def test_acknowledged_fix_in_the_journal_is_right(ledger: RunLedger) -> None:
    ledger.acknowledge(fix(recorded=True))
    write(ledger, fix())
    assert ledger.check() == []
    assert ledger.astray == []


def test_acknowledged_fix_that_is_not_in_the_journal_is_told_once(ledger: RunLedger) -> None:
    ledger.acknowledge(fix(number=7, recorded=True))
    write(ledger, fix())
    (told,) = ledger.check()
    assert "acknowledged, but not in the journal: ('ue-1', 'cbs', 7)" in told
    assert ledger.check() == []


def test_acknowledged_fix_in_a_torn_tail_is_lost(ledger: RunLedger) -> None:
    ledger.acknowledge(fix(recorded=True))
    write(ledger, tail=line_from_record(1, fix())[:-1])
    assert len(ledger.check()) == 1


def test_fix_told_of_as_not_recorded_promises_nothing(ledger: RunLedger) -> None:
    ledger.acknowledge(fix(recorded=False))
    write(ledger)
    assert ledger.check() == []


def test_localization_that_ends_twice_is_told_across_checks(ledger: RunLedger) -> None:
    write(ledger, fix())
    assert ledger.check() == []
    write(ledger, {**fix(), "kind": "failure"}, first=2)
    assert ledger.check() == [f"{ledger.directory.name}: recorded twice: ('ue-1', 'cbs', 0)"]


def test_damaged_line_is_told(ledger: RunLedger) -> None:
    write(ledger, tail=line_from_record(1, fix()).replace(b"cbs", b"cbt"))
    (told,) = ledger.check()
    assert "damaged line" in told


def test_fix_in_the_direction_of_another_user_is_put_aside(ledger: RunLedger) -> None:
    write(ledger, fix(), fix("ue-2", angle_deg=-25.0))
    assert ledger.check() == []
    assert [record["ue"] for record in ledger.astray] == ["ue-2"]


def test_nearest_user_is_that_of_the_nearest_direction_whatever_the_range() -> None:
    assert nearest_user(fix(angle_deg=1.0, range_m=400.0), PLACES) == "ue-2"
