"""Whether a calibration may be used here and now: its date, and its front end against the one at hand. Rules."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec
import numpy as np

from bs_controller.calibration.correction import Correction
from bs_controller.calibration.stored import StoredCalibration
from bs_controller.config import Paths
from protocol.testbed import FrontEndLimits, TestbedFacts


def complaints(
    calibration: StoredCalibration, facts: TestbedFacts, driver: Mapping[str, object], now_utc: datetime
) -> list[str]:
    """Return what speaks against a calibration before a radio is there, one line each."""
    on, told = calibration.measured_on, []
    if now_utc > calibration.valid_until_utc:
        told.append(f"stale: valid until {calibration.valid_until_utc.isoformat()}, now is {now_utc.isoformat()}")
    if now_utc < calibration.measured_utc:
        told.append(f"measured {calibration.measured_utc.isoformat()}, after now, {now_utc.isoformat()}")
    here = {
        "grid": msgspec.to_builtins(facts.downlink.grid),
        "spacing_m": facts.downlink.array.spacing_m,
        "speed_of_light_m_s": facts.speed_of_light_m_s,
        "driver": dict(driver),
    }
    there = msgspec.to_builtins(on)
    for name, value in here.items():
        told += _differences(name, value, there[name])
    return told


def limits_complaints(calibration: StoredCalibration, limits: FrontEndLimits) -> list[str]:
    """Return what speaks against a calibration once a radio has said what its front end can do, one line each."""
    return _differences("limits", msgspec.to_builtins(limits), msgspec.to_builtins(calibration.measured_on.limits))


def _differences(path: str, here: Any, there: Any) -> list[str]:
    if isinstance(here, Mapping) and isinstance(there, Mapping):
        names = sorted({*here, *there})
        return [line for name in names for line in _differences(f"{path}.{name}", here.get(name), there.get(name))]
    return [] if here == there else [f"{path}: {there} was calibrated, {here} is here"]


def correction_of(calibration: StoredCalibration, facts: TestbedFacts, paths: Paths) -> Correction:
    """Return the correction that a calibration makes, with these delays of paths."""
    late_s = {path.ue: path.delay_s for path in calibration.paths}
    return Correction(
        phase_rad=np.array([element.phase_rad for element in calibration.elements]),
        delay_s=np.array([element.delay_s for element in calibration.elements]),
        path_delay_s=late_s if paths == "own" else {},
        other_delay_s=float(np.mean([*late_s.values()])) if paths == "common" else 0.0,
        grid=facts.downlink.grid,
    )
