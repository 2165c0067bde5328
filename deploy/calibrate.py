"""A calibration from the recording of its coded sweeps: what surveyed users heard, solved, and as a file.

The recording is that of any run of the scheme `calibration`, whatever radio took part; nothing here knows which.
"""

import datetime
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import numpy as np

from bs_controller.beams import fitted
from bs_controller.calibration.chosen import driver_of
from bs_controller.calibration.codes import coded_setting, coded_sweeps
from bs_controller.calibration.combining import combined
from bs_controller.calibration.elements import Solved, element_errors
from bs_controller.calibration.pilots import HeardCodes, Place
from bs_controller.calibration.stored import StoredCalibration, StoredPath, measured_on, stored, stored_path
from bs_controller.config import ControllerSection
from bs_controller.localizations import RecordedLocalization, recorded_localizations
from bs_controller.schemes import CalibrationOptions
from bs_controller.streamed import stream_run
from bs_controller.sweeps import Coded
from deploy.recordings import testbed_of
from protocol.config import LoadedTestbed, facts
from protocol.keys import CONTROLLER, RADIO
from protocol.testbed import FrontEndLimits, TestbedFacts


class CannotCalibrateError(Exception):
    """A recording does not tell what each element does; the text says what is missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """A user's name and where it was surveyed to be."""

    ue: str
    place: Place


def calibrating(loaded: LoadedTestbed, surveys: Sequence[Survey], options: CalibrationOptions) -> LoadedTestbed:
    """Return a testbed file of which only the surveyed users are measured, by coded sweeps, without a calibration.

    Raises
    ------
    ConfigError
        If the section does not fit its type.
    """
    loaded.section("controller", ControllerSection)  # refuses what would only show once it is changed
    controller = {
        **loaded.file.controller,
        "ues": [survey.ue for survey in surveys],
        "schemes": [msgspec.to_builtins(options)],
        "rounds": 1,
        "record_samples": True,
    }
    for key in ("calibration", "track"):
        controller.pop(key, None)
    kept = {CONTROLLER, RADIO, *(survey.ue for survey in surveys)}
    metrics = msgspec.structs.replace(
        loaded.file.metrics, at={name: at for name, at in loaded.file.metrics.at.items() if name in kept}
    )
    changed = loaded.with_section("controller", controller)
    return replace(changed, file=msgspec.structs.replace(changed.file, metrics=metrics))


def calibration_from_run(path: Path, surveys: Sequence[Survey], valid_days: float) -> StoredCalibration:
    """Return the calibration that a recording of coded sweeps tells.

    Raises
    ------
    RecordingError
        If this is no intact run.
    CannotCalibrateError
        If a user has not heard all sweeps, or heard nothing.
    """
    run = stream_run(path)
    loaded = testbed_of(run)
    shared = facts(loaded.file)
    records = list(run.records())
    found = {one.ue: one for one in recorded_localizations(records) if one.answers and _is_coded(one)}
    solved = [_solved(found.get(survey.ue), survey, shared, run.samples) for survey in surveys]
    errors, agreements = combined([one.errors for one in solved])
    limits, radio = _radio(records)
    start = run.document.get("start")
    began = str(start["started_utc"]) if isinstance(start, Mapping) else ""
    measured_utc = datetime.datetime.fromisoformat(began)
    parts = zip(surveys, solved, agreements, strict=True)
    return stored(
        on=measured_on(shared, limits, driver_of(loaded), radio),
        paths=tuple(stored_path(survey.ue, survey.place, one, agreement) for survey, one, agreement in parts),
        errors=errors,
        pilots=sum(len(one.answers) for one in found.values()),
        measured_utc=measured_utc,
        valid_until_utc=measured_utc + datetime.timedelta(days=valid_days),
    )


def _is_coded(recorded: RecordedLocalization) -> bool:
    return isinstance(recorded.answers[0].focus, Coded)


def _radio(records: Sequence[Mapping[str, object]]) -> tuple[FrontEndLimits, str]:
    """Return what the radio of a run said that it can do, and what it is."""
    for record in reversed(records):
        if "front_end" in record:
            return msgspec.convert(record["front_end"], FrontEndLimits), str(record.get("text", ""))
    raise CannotCalibrateError("expected a recording with a radio, got one without")


def _solved(recorded: RecordedLocalization | None, survey: Survey, shared: TestbedFacts, fetch: object) -> Solved:
    """Return what one user's answers say, all of which must be there."""
    if recorded is None or not isinstance(recorded.answers[0].focus, Coded) or recorded.answers[0].limits is None:
        raise CannotCalibrateError(f"expected coded sweeps that {survey.ue} heard, got none")
    first, limits = recorded.answers[0].focus, recorded.answers[0].limits
    heard = {answer.focus: answer for answer in recorded.answers}
    wanted = coded_sweeps(shared, first.codes, first.delay_span_s)
    missing = [code for code in wanted if code not in heard]
    if missing:
        raise CannotCalibrateError(
            f"expected {len(wanted)} sweeps that {survey.ue} heard, got {len(heard)}: {_end(recorded)}"
        )
    assert callable(fetch)  # noqa: S101 - narrows the type
    samples = np.stack([fetch(heard[code].record)["report"] for code in wanted]).astype(np.complex128)
    told = [fitted(coded_setting(code, shared), limits) for code in wanted[:: first.codes]]
    pilots = HeardCodes(
        samples=samples.reshape(Coded.ARRANGEMENTS, first.codes, -1),
        delay_s=np.concatenate([setting.delay_s for setting in told]),
        place=survey.place,
    )
    try:
        return element_errors(pilots, shared)
    except ValueError as error:
        raise CannotCalibrateError(f"{survey.ue}: {error}") from error


def _end(recorded: RecordedLocalization) -> str:
    return "the recording ends first" if recorded.end is None else str(recorded.end.get("text", recorded.end["kind"]))


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What a calibration found, in a few numbers; the rms are over the elements that are alive."""

    file: str
    run_dir: str
    digest: str
    valid_until_utc: str
    pilots: int
    elements: int
    dead: list[int]
    gain_rms_db: float
    gain_error_db: float
    phase_rms_rad: float
    phase_error_rad: float
    delay_rms_s: float
    delay_error_s: float
    paths: list[StoredPath]

    def lines(self) -> list[str]:
        """Return it for people."""
        dead = ", ".join(map(str, self.dead[:16])) + (" and others" if len(self.dead) > 16 else "")
        told = [
            f"{self.elements} elements by {self.pilots} pilots, {len(self.dead)} dead{': ' if dead else ''}{dead}",
            f"gain {self.gain_rms_db:.3f} dB rms, known to {self.gain_error_db:.3f} dB",
            f"phase {math.degrees(self.phase_rms_rad):.2f} deg rms, known to {math.degrees(self.phase_error_rad):.2f} deg",
            f"delay {1e12 * self.delay_rms_s:.2f} ps rms, known to {1e12 * self.delay_error_s:.2f} ps",
        ]
        for path in self.paths:
            clock = f"turns {math.degrees(path.phase_rms_rad):.1f} deg rms, jitter {1e12 * path.timing_rms_s:.1f} ps"
            agreement = f", agreement {path.agreement:.2f}" if len(self.paths) > 1 else ""
            told.append(
                f"path to {path.ue}: {path.gain_db:+.2f} dB, {1e9 * path.delay_s:+.4f} ns, {clock}, "
                f"{path.snr_db:.1f} dB over noise{agreement}"
            )
        return [*told, f"valid until {self.valid_until_utc}", f"written to {self.file} (recorded in {self.run_dir})"]


def summary(calibration: StoredCalibration, file: Path, run_dir: Path) -> Summary:
    """Return a calibration in a few numbers."""
    alive = [element for element in calibration.elements if element.alive]

    def rms(name: str) -> float:
        return float(np.sqrt(np.mean([getattr(element, name) ** 2 for element in alive])))

    return Summary(
        file=str(file),
        run_dir=str(run_dir),
        digest=calibration.digest,
        valid_until_utc=calibration.valid_until_utc.isoformat(),
        pilots=calibration.pilots,
        elements=len(calibration.elements),
        dead=[n for n, element in enumerate(calibration.elements) if not element.alive],
        gain_rms_db=rms("gain_db"),
        gain_error_db=rms("gain_error_db"),
        phase_rms_rad=rms("phase_rad"),
        phase_error_rad=rms("phase_error_rad"),
        delay_rms_s=rms("delay_s"),
        delay_error_s=rms("delay_error_s"),
        paths=list(calibration.paths),
    )
