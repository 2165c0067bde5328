"""The calibration that a testbed file names: read, judged by its date and front end, and either refused or used.

Reads a file; the clock is the caller's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import msgspec

from bs_controller.calibration.correction import Correction
from bs_controller.calibration.stored import StoredCalibration, read_calibration
from bs_controller.calibration.validity import complaints, correction_of, limits_complaints
from bs_controller.config import CalibrationSection, ControllerSection
from protocol.config import LoadedTestbed
from protocol.testbed import FrontEndLimits, TestbedFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """A calibration in use, and what speaks against it all the same."""

    section: CalibrationSection
    path: Path
    calibration: StoredCalibration
    correction: Correction
    warnings: tuple[str, ...]

    def record(self, complaints: Sequence[str]) -> dict[str, object]:
        """Return what the journal says of it, and of what speaks against it."""
        stored = self.calibration
        return {
            "kind": "calibration",
            "file": str(self.path),
            "digest": stored.digest,
            "measured_utc": stored.measured_utc.isoformat(),
            "valid_until_utc": stored.valid_until_utc.isoformat(),
            "paths": self.section.paths,
            "warnings": list(complaints),
        }

    def complaints_of(self, limits: FrontEndLimits) -> tuple[list[str], bool]:
        """Return what speaks against it once a radio has said what it can do, and whether that forbids its use."""
        told = limits_complaints(self.calibration, limits)
        fits = limits.elements == self.calibration.measured_on.limits.elements
        return told, bool(told) and (self.section.stale == "refuse" or not fits)


def driver_of(loaded: LoadedTestbed) -> dict[str, object]:
    """Return the front-end driver and its options as the testbed file has them; empty where it names none."""
    driver = loaded.file.sdr_backend.get("front_end", {})
    return dict(driver) if isinstance(driver, Mapping) else {}


def calibration_path(loaded: LoadedTestbed, section: CalibrationSection) -> Path:
    """Return where the file is, seen from the testbed file."""
    return loaded.path.parent / section.file


def with_absolute_calibration(loaded: LoadedTestbed) -> LoadedTestbed:
    """Return a testbed file whose calibration is found from everywhere."""
    section = loaded.section("controller", ControllerSection).calibration
    if section is None:
        return loaded
    values = {**msgspec.to_builtins(section), "file": str(calibration_path(loaded, section).resolve())}
    return loaded.with_section("controller", {**loaded.file.controller, "calibration": values})


def chosen_calibration(loaded: LoadedTestbed, shared: TestbedFacts, now_utc: datetime) -> Chosen | None:
    """Return the calibration of a testbed file, if it names one.

    Raises
    ------
    ConfigError
        If it cannot be read, is for another array, or is stale or of another front end and the file does not say ``warn``.
    """
    section = loaded.section("controller", ControllerSection).calibration
    if section is None:
        return None
    path = calibration_path(loaded, section)
    stored = read_calibration(path)
    told = complaints(stored, shared, driver_of(loaded), now_utc)
    elements = shared.downlink.array.elements
    if len(stored.elements) != elements:
        text = f"expected a calibration of {elements} elements, got one of {len(stored.elements)}: {path}"
        raise loaded.error(("controller", "calibration", "file"), text)
    if told and section.stale == "refuse":
        text = f"expected a calibration for this front end and today, or stale: warn, got {path}: {'; '.join(told)}"
        raise loaded.error(("controller", "calibration", "file"), text)
    correction = correction_of(stored, shared, section.paths)
    return Chosen(section=section, path=path, calibration=stored, correction=correction, warnings=tuple(told))
