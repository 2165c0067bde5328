"""Recorded tracks: what a CSV file may say, and that every error names file, line and value."""

import math
from pathlib import Path

import msgspec
import pytest

from emulator.config import EmulatorSection
from emulator.motion import Way
from emulator.tracks import read_tracks, with_absolute_tracks
from protocol.testbed import default_facts


def track(folder: Path, text: str, repeat: str = "once") -> Way:
    (folder / "track.csv").write_text(text, encoding="utf-8")
    raw = {"users": {"a": {"motion": {"kind": "recorded", "file": "track.csv", "repeat": repeat}}}}
    return read_tracks(msgspec.convert(raw, EmulatorSection), folder, default_facts().region)["a"]


@pytest.mark.parametrize(
    "text",
    [
        "time_s,range_m,angle_deg\n0,10,0\n2,10,30\n",
        "\ufeffangle_deg, range_m, time_s\r\n0,10,100\r\n30,10,102\r\n",
        f"time_s,x_m,y_m\n-1,10,0\n1,{10 * math.cos(math.pi / 6)!r},{10 * math.sin(math.pi / 6)!r}\n",
    ],
)
def test_track_is_read_in_polar_and_in_cartesian_coordinates(tmp_path: Path, text: str) -> None:
    x_m, y_m = track(tmp_path, text).position_m(2.0)
    assert (x_m, y_m) == pytest.approx((8.660254037844387, 5.0), rel=1e-14)  # rounding


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", ":1: expected the columns time_s,range_m,angle_deg or time_s,x_m,y_m, got nothing"),
        ("time_s,range_m,angle_rad\n0,10,0\n", ":1: expected the columns .*, got time_s,range_m,angle_rad"),
        ("time_s,x_m,y_m\n0,10,0\n", ": expected two rows at least, got 1"),
        ("time_s,x_m,y_m\n0,10,0\n1,10\n", ":3: expected 3 values, got 2"),
        ("time_s,x_m,y_m\n0,10,0\n\n1,10,0\n", ":3: expected 3 values, got 0"),
        ("time_s,x_m,y_m\n0,10,0\n1,ten,0\n", ":3: x_m: expected a finite number, got 'ten'"),
        ("time_s,x_m,y_m\n0,10,0\n1,10,inf\n", ":3: y_m: expected a finite number, got 'inf'"),
        ("time_s,x_m,y_m\n1,10,0\n1,10,1\n", ":3: time_s: expected more than 1, got 1"),
        ("time_s,x_m,y_m\n0,10,0\n1,-10,1\n", ":3: expected a place within 5 .. 50 m .*, got 10.0499 m at 174"),
        ("time_s,range_m,angle_deg\n0,6,-55\n1,6,55\n", ":3: expected a straight way from .*track.csv:2 within"),
    ],
)
def test_file_that_is_none_of_a_track_is_refused_with_line_and_value(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ValueError, match="track.csv" + said):
        track(tmp_path, text)


def test_way_back_of_a_loop_may_not_leave_the_region_either(tmp_path: Path) -> None:
    text = "time_s,range_m,angle_deg\n0,6,-55\n1,20,0\n2,6,55\n"
    track(tmp_path, text)
    with pytest.raises(ValueError, match=r"track\.csv:2: expected a straight way from .*track\.csv:4 within"):
        track(tmp_path, text, "loop")


def test_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    raw = {"users": {"a": {"motion": {"kind": "recorded", "file": "none.csv"}}}}
    with pytest.raises(ValueError, match=r"none\.csv: expected a readable track, got: .*No such file"):
        read_tracks(msgspec.convert(raw, EmulatorSection), tmp_path, default_facts().region)


def test_absolute_tracks_are_the_same_files_and_all_else_stays(tmp_path: Path) -> None:
    raw: dict[str, object] = {
        "users": {
            "a": {"motion": {"kind": "recorded", "file": "track.csv"}},
            "b": {"range_m": 9.0, "angle_deg": 0.0, "motion": {"kind": "random_walk", "speed_m_s": 1.0}},
            "c": {"range_m": 9.0, "angle_deg": 0.0},
        },
        "seed": 3,
    }
    moved = with_absolute_tracks(raw, tmp_path)
    users = moved["users"]
    assert isinstance(users, dict)
    assert users.pop("a") == {"motion": {"kind": "recorded", "file": str(tmp_path / "track.csv")}}
    assert moved == {"users": {name: raw["users"][name] for name in ("b", "c")}, "seed": 3}  # type: ignore[index]
