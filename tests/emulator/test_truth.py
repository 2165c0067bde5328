"""The truth file: what a line says, and how an emulator that was started again goes on."""

import math
from pathlib import Path

import pytest

from emulator.scene import Position, SceneClock
from emulator.server import Truth
from emulator.truth import FILE_NAME, TruthFile
from protocol.journal import intact_records, line_from_record


def truth(scene_s: float) -> Truth:
    position = Position(range_m=12.0, angle_rad=0.5)
    return Truth(epoch=4, ue="ue-1", link="downlink", scene_s=scene_s, position=position, velocity_m_s=(0.5, -1.0))


def test_line_says_where_a_user_was_when_and_how_fast(tmp_path: Path) -> None:
    file = TruthFile(tmp_path)
    file.append(truth(2.5))
    file.close()
    (record,), _ = intact_records((tmp_path / FILE_NAME).read_bytes())
    assert (record["range_m"], record["angle_rad"]) == (12.0, 0.5)
    assert (record["scene_s"], record["velocity_m_s"]) == (2.5, [0.5, -1.0])


@pytest.mark.parametrize("torn", [b"", b"1234abcd {torn"])
def test_file_goes_on_after_the_last_whole_line(tmp_path: Path, torn: bytes) -> None:
    file = TruthFile(tmp_path)
    assert file.scene_s == 0.0
    file.append(truth(2.5))
    file.append(truth(7.25))
    file.close()
    with (tmp_path / FILE_NAME).open("ab") as written:
        written.write(torn)
    again = TruthFile(tmp_path)
    assert again.scene_s == 7.25
    again.append(truth(8.0))
    again.close()
    records, _ = intact_records((tmp_path / FILE_NAME).read_bytes())
    assert [record["seq"] for record in records] == [1, 2, 3]


def test_early_file_does_not_tell_the_time(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(line_from_record(6, {"kind": "truth"}))
    assert TruthFile(tmp_path).scene_s == 0.0


def test_scene_that_is_resumed_goes_on_as_if_everybody_had_stood_still() -> None:
    clock = SceneClock(7.25)
    assert clock.since_s(1000.0) == 7.25
    assert math.isclose(clock.since_s(1000.5), 7.75)
