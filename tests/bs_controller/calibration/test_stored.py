"""The file of a calibration: what is written is read, and what was cut, changed or made up is refused with its place."""

import re
from pathlib import Path

import pytest

from bs_controller.calibration.stored import StoredCalibration, read_calibration
from protocol.config import ConfigError
from tests.bs_controller.calibration.stored_examples import example

EXAMPLE = example()
TEXT = EXAMPLE.text()


def read(folder: Path, text: str) -> StoredCalibration:
    path = folder / "cal.yaml"
    path.write_text(text)
    return read_calibration(path)


def test_what_is_written_is_read_to_the_last_bit(tmp_path: Path) -> None:
    assert read(tmp_path, TEXT) == EXAMPLE
    assert read(tmp_path, TEXT).text() == TEXT


def test_each_element_has_a_line_of_its_own() -> None:
    lines = [line for line in TEXT.splitlines() if line.startswith("- {gain_db")]
    assert len(lines) == 16
    assert [number for number, line in enumerate(lines) if "alive: false" in line] == [5]


CHANGES = {
    "another number": (r"gain_db: (-?)\d", r"gain_db: \g<1>7", r":3:\d+: digest: expected [0-9a-f]{64}, the digest of"),
    "another date": (r"valid_until_utc: 2026", "valid_until_utc: 2036", r":3:\d+: digest: expected"),
    "unknown key": (r"pilots: 32", "pilots: 32\nauthor: me", r"author: expected one of .*, got the unknown key"),
    "no number": (
        r"gain_db: -?[\d.]+",
        "gain_db: loud",
        r'elements\[0\].gain_db: expected a number, got "loud"|gain_db',
    ),
    "no time zone": (r"(measured_utc: [^Z]*)Z", r"\1", r"measured_utc: expected a time zone, got 2026-03-01T12:00:00"),
    "another format": ("format: nftestbed-calibration", "format: other", r'format: expected .*, got "other"'),
    "later version": ("version: 1", "version: 2", r"version: expected .*1.*, got 2"),
    "not finite": (r"gain_db: -?[\d.]+", "gain_db: .nan", r"expected a finite number, got .nan"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_changed_file_is_refused_with_file_place_and_value(tmp_path: Path, change: str) -> None:
    pattern, instead, complaint = CHANGES[change]
    changed = re.sub(pattern, instead, TEXT, count=1)
    assert changed != TEXT
    with pytest.raises(ConfigError) as refused:
        read(tmp_path, changed)
    assert re.search(rf"^{re.escape(str(tmp_path / 'cal.yaml'))}:\d+:\d+: ", str(refused.value))
    assert re.search(complaint, str(refused.value)), str(refused.value)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_cut_file_is_refused(tmp_path: Path, share: float) -> None:
    with pytest.raises(ConfigError):
        read(tmp_path, TEXT[: int(share * len(TEXT))])


def test_file_that_lost_whole_lines_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"elements: expected 16, got 15"):
        read(tmp_path, TEXT[: TEXT.rindex("- {gain_db")])
