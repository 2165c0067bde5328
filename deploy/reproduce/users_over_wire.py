"""How schemes scale with the number of users when every user is a process of its own: the live testbed, over its wire.

A run locates K users of the demo's testbed, spread over its region, by four schemes one after the other. A user begins a
scheme when it has its fix of the one before, and users that are behind go first. Times are the controller's own.
"""

import asyncio
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from deploy.checks import checked
from deploy.launch import run_testbed
from deploy.reproduce.plates import Curve, Panel, Plate, value
from deploy.results import FixResult, result_from_records
from deploy.truth import truth_records
from protocol.config import read_testbed
from protocol.strict_yaml import text_from_values

Floats = npt.NDArray[np.float64]
Record = Mapping[str, object]

TEMPLATE = Path(__file__).parents[1] / "testbeds" / "demo.yaml"
FULL_USERS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
QUICK_USERS = (1, 4, 16)
SEED, SNR_DB = 1, 10.0
GATHER_S = 600.0  # as many interpreters start on few cores
# a scheme's options, the label that the controller gives it, and its name here
SCHEMES: tuple[tuple[dict[str, str], str, str], ...] = (
    ({"scheme": "cbs"}, "cbs", "CBS"),
    ({"scheme": "cbs_bt"}, "cbs_bt", "CBS-BT"),
    ({"scheme": "likelihood", "plan": "angle_range"}, "likelihood", "likelihood, own range sweep"),
    ({"scheme": "likelihood", "plan": "pair"}, "likelihood.2", "likelihood, common pair"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """What one scheme did for all users of a run; without a single fix all but the counts are not a number."""

    users: int
    fixes: int
    sweeps: int  # on the air, whoever shared them
    until_all_s: float  # from the first user that begins to the last one that has a fix
    latency_p50_ms: float
    latency_p99_ms: float
    error_median_m: float
    error_p99_m: float


def over_users(quick: bool) -> Plate:
    """Return sweeps on the air, time, latency and error against the number of users."""
    users = QUICK_USERS if quick else FULL_USERS
    runs = {count: served(count) for count in users}
    largest = users[-1]
    return Plate(
        figure="testbed-users",
        title="users over the wire, each a process of its own",
        panels=_panels(users, runs),
        values=tuple(
            value(f"{name}, {count} users, {what}", getattr(runs[count][label], field))
            for count in (1, largest)
            for _, label, name in SCHEMES
            for what, field in (("fixes", "fixes"), ("sweeps", "sweeps"), ("s until all fixes", "until_all_s"))
        ),
        notes=("Times are of this machine, on which all processes share the cores, start-up not counted.",),
        settings={"seed": SEED, "snr_db": SNR_DB, "noise": "sweep_mean", "most users": largest},
    )


def served(users: int) -> dict[str, Served]:
    """Run the testbed once and return what each scheme did, by its label."""
    records: list[tuple[Record, bool]] = []

    def on_record(record: dict[str, object], recorded: bool) -> None:
        records.append((record, recorded))

    with tempfile.TemporaryDirectory(prefix="users-") as private:
        directory = Path(private)
        file = directory / "testbed.yaml"
        file.write_text(_testbed(users), encoding="utf-8")
        testbed = checked(read_testbed(file))
        asyncio.run(run_testbed(testbed, directory / "run", on_record))
        result = result_from_records("", records, truth_records(directory / "run"), {}, expected=testbed.expected_fixes)
    epochs: dict[str, set[object]] = {label: set() for _, label, _ in SCHEMES}
    for record, _ in records:
        if record["kind"] == "report":
            epochs[str(record["scheme"])].add(record["epoch"])
    ends_s: dict[str, float] = dict.fromkeys(testbed.controller.ues, 0.0)  # since the run began with its users
    found = {}
    for label, heard in epochs.items():
        fixes, begun_s = [fix for fix in result.fixes if fix.scheme == label], min(ends_s.values())
        ends_s |= {fix.ue: ends_s[fix.ue] + fix.latency_ms / 1e3 for fix in fixes}
        found[label] = _served(users, fixes, len(heard), max(ends_s.values()) - begun_s)
    return found


def _served(users: int, fixes: list[FixResult], sweeps: int, until_all_s: float) -> Served:
    nothing = [float("nan")]
    p50_ms, p99_ms = np.percentile([fix.latency_ms for fix in fixes] or nothing, (50, 99)).tolist()
    errors_m = [fix.error_m for fix in fixes if fix.error_m is not None] or nothing
    median_m, p99_m = np.percentile(errors_m, (50, 99)).tolist()
    return Served(
        users=users,
        fixes=len(fixes),
        sweeps=sweeps,
        until_all_s=until_all_s,
        latency_p50_ms=p50_ms,
        latency_p99_ms=p99_ms,
        error_median_m=median_m,
        error_p99_m=p99_m,
    )


def _testbed(users: int) -> str:
    """Return the demo's file with this many users, spread over the region, and the schemes."""
    values: dict[str, Any] = msgspec.to_builtins(read_testbed(TEMPLATE).file)
    rng, names = np.random.default_rng(SEED), [f"ue-{number}" for number in range(1, users + 1)]
    (low_m, high_m), (low_deg, high_deg) = values["region"]["range_m"], values["region"]["angle_deg"]
    places = rng.uniform((low_m, low_deg), (high_m, high_deg), size=(users, 2)).tolist()
    values["controller"] = {
        "ues": names,
        "schemes": [options for options, _, _ in SCHEMES],
        "gather_s": GATHER_S,
        "request_deadline_s": 20.0,  # of a machine whose cores are shared by all
        "liveness_s": 60.0,
        "rejoin_s": 60.0,
        "record_samples": False,
    }
    values["emulator"]["users"] = {
        name: {"range_m": range_m, "angle_deg": angle_deg}
        for name, (range_m, angle_deg) in zip(names, places, strict=True)
    }
    values["emulator"]["downlink_noise"] = {"mode": "sweep_mean", "snr_db": SNR_DB}
    return text_from_values(values)


def _panels(users: tuple[int, ...], runs: dict[int, dict[str, Served]]) -> tuple[Panel, ...]:
    wanted: tuple[tuple[str, str, tuple[tuple[str, str, Any], ...]], ...] = (
        ("sweeps on the air", "sweeps", (("sweeps", "", "line"),)),
        ("time until all users have a fix", "time, s", (("until_all_s", "", "line"),)),
        (
            "latency of a fix",
            "latency, ms",
            (("latency_p50_ms", ", median", "line"), ("latency_p99_ms", ", p99", "dashed")),
        ),
        (
            "location error",
            "error, m",
            (("error_median_m", ", median", "line"), ("error_p99_m", ", p99", "dashed")),
        ),
    )
    x: Floats = np.array(users, dtype=np.float64)
    return tuple(
        Panel(
            title=title,
            x_label="users",
            y_label=y_label,
            curves=tuple(
                Curve(
                    label=f"{name}{suffix}",
                    x=x,
                    y=np.array([getattr(runs[count][label], field) for count in users], dtype=np.float64),
                    style=style,
                    colour=colour,
                    width=5.0 - 1.2 * colour if field == "sweeps" else None,  # some schemes send as many
                )
                for colour, (_, label, name) in enumerate(SCHEMES)
                for field, suffix, style in fields
            ),
            x_log=True,
            y_log=True,
        )
        for title, y_label, fields in wanted
    )
