"""Recorded tracks of users: CSV files that a testbed file names, read once and checked to the last value (shell).

The first line names the columns: ``time_s`` and either ``range_m, angle_deg`` or ``x_m, y_m``, in any order. Times grow; what
lies between two rows is a straight line. Errors name file, line and value.
"""

import csv
import math
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from emulator.config import EmulatorSection, RecordedSection
from emulator.motion import Point, Way, point_m, refuse_outside, way_from_track
from protocol.testbed import Region

MAX_BYTES = 64 << 20
POLAR, CARTESIAN = ("time_s", "range_m", "angle_deg"), ("time_s", "x_m", "y_m")


def read_tracks(section: EmulatorSection, folder: Path, region: Region) -> dict[str, Way]:
    """Return the ways of all users who follow a recorded track, by their names.

    Parameters
    ----------
    section
        What the testbed file says of the users.
    folder
        Where that file is.
    region
        Which no track may leave.

    Raises
    ------
    ValueError
        If a file cannot be read, is none of a track, or leaves the region.
    """
    return {
        name: _way(folder / user.motion.file, user.motion, region)
        for name, user in section.users.items()
        if isinstance(user.motion, RecordedSection)
    }


def with_absolute_tracks(raw: Mapping[str, object], folder: Path) -> dict[str, object]:
    """Return a checked ``emulator`` section as plain values that name the same tracks wherever it is read."""
    users = raw["users"]
    assert isinstance(users, Mapping)  # noqa: S101 - it was checked
    return {**raw, "users": {name: _with_absolute_track(user, folder) for name, user in users.items()}}


def _with_absolute_track(user: Mapping[str, object], folder: Path) -> Mapping[str, object]:
    motion = user.get("motion")
    if not isinstance(motion, Mapping) or motion["kind"] != "recorded":
        return user
    return {**user, "motion": {**motion, "file": str((folder / str(motion["file"])).resolve())}}


def _way(path: Path, section: RecordedSection, region: Region) -> Way:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError(f"{path}: expected at most {MAX_BYTES} bytes, got {path.stat().st_size}")
        # a byte-order mark is what spreadsheets begin with
        times_s, points, lines = _rows(path, path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeError, csv.Error) as error:
        raise ValueError(f"{path}: expected a readable track, got: {error}") from error
    if len(times_s) < 2:
        raise ValueError(f"{path}: expected two rows at least, got {len(times_s)}")
    way = way_from_track(np.array(times_s), np.array(points), section.repeat)
    refuse_outside(way.point_m, region, [*lines, lines[0]])
    return way


def _rows(path: Path, text: str) -> tuple[list[float], list[Point], list[str]]:
    """Return times, points, and where in the file each row stands."""
    times_s: list[float] = []
    points: list[Point] = []
    lines: list[str] = []
    rows = csv.reader(text.splitlines())
    columns = _columns(path, next(rows, []))
    for row in rows:
        where = f"{path}:{rows.line_num}"
        values = _values(where, columns, row)
        if times_s and values["time_s"] <= times_s[-1]:
            raise ValueError(f"{where}: time_s: expected more than {times_s[-1]:g}, got {values['time_s']:g}")
        times_s.append(values["time_s"])
        points.append(_point(values))
        lines.append(where)
    return times_s, points, lines


def _columns(path: Path, header: Iterable[str]) -> tuple[str, ...]:
    columns = tuple(name.strip() for name in header)
    if sorted(columns) not in (sorted(POLAR), sorted(CARTESIAN)):
        wanted = f"{','.join(POLAR)} or {','.join(CARTESIAN)}"
        raise ValueError(f"{path}:1: expected the columns {wanted}, got {','.join(columns) or 'nothing'}")
    return columns


def _values(where: str, columns: tuple[str, ...], row: list[str]) -> dict[str, float]:
    if len(row) != len(columns):
        raise ValueError(f"{where}: expected {len(columns)} values, got {len(row)}")
    values: dict[str, float] = {}
    for column, text in zip(columns, row, strict=True):
        try:
            values[column] = float(text)
        except ValueError:
            values[column] = math.nan
        if not math.isfinite(values[column]):
            raise ValueError(f"{where}: {column}: expected a finite number, got {text!r}")
    return values


def _point(values: Mapping[str, float]) -> Point:
    if "x_m" in values:
        return values["x_m"], values["y_m"]
    return point_m(values["range_m"], math.radians(values["angle_deg"]))
