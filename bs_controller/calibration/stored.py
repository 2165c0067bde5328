"""A calibration as a file: strict YAML, one line per element, with date, what it was measured on, and a digest of its own text.

Numbers are rounded to far below their standard errors. The digest is the SHA-256 of the canonical JSON of all but itself:
a file that was cut or changed is refused. Reading touches the file, nothing else here touches the world.
"""

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import numpy as np
from msgspec import Meta

from bs_controller.calibration.elements import ElementErrors, Solved
from bs_controller.calibration.pilots import Place
from protocol.messages import PeerName
from protocol.strict_yaml import converted, read_document, text_from_values
from protocol.testbed import FrontEndLimits, NonNegative, Positive, SubcarrierGrid, TestbedFacts
from protocol.yaml_errors import Complaint

FORMAT: Literal["nftestbed-calibration"] = "nftestbed-calibration"
NO_DIGEST = "0" * 64
ERROR_NAMES = ("gain_error_db", "phase_error_rad", "delay_error_s")


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A part of the file."""


class MeasuredOn(_Part, frozen=True):
    """The front end: band, array, what it says it can do, and the driver and its options, a serial among them if it has one.

    ``radio`` is what the radio said of its software, for people; it is not compared.
    """

    grid: SubcarrierGrid
    spacing_m: Positive
    speed_of_light_m_s: Positive
    limits: FrontEndLimits
    driver: dict[str, object]
    radio: str


class StoredElement(_Part, frozen=True, omit_defaults=True):
    """One element beside its setting, means over the living being zero, each with its standard error; of a dead one zeros."""

    gain_db: float
    phase_rad: Annotated[float, Meta(ge=-3.15, le=3.15)]
    delay_s: float
    gain_error_db: NonNegative
    phase_error_rad: NonNegative
    delay_error_s: NonNegative
    alive: bool = True


class StoredPath(_Part, frozen=True):
    """What was common to all elements on the way to a user that stood here, see `elements.Path`."""

    ue: PeerName
    range_m: Positive
    angle_rad: float
    gain_db: float
    delay_s: float
    delay_error_s: NonNegative
    phase_rms_rad: NonNegative
    timing_rms_s: NonNegative
    noise_w: NonNegative
    snr_db: float
    agreement: NonNegative


class StoredCalibration(_Part, frozen=True):
    """The whole file."""

    format: Literal["nftestbed-calibration"]
    version: Literal[1]
    digest: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    measured_utc: datetime
    valid_until_utc: datetime
    pilots: Annotated[int, Meta(ge=1)]
    measured_on: MeasuredOn
    paths: Annotated[tuple[StoredPath, ...], Meta(min_length=1)]
    elements: Annotated[tuple[StoredElement, ...], Meta(min_length=2)]

    def __post_init__(self) -> None:
        if len(self.elements) != self.measured_on.limits.elements:
            raise ValueError(f"elements: expected {self.measured_on.limits.elements}, got {len(self.elements)}")
        for name in ("measured_utc", "valid_until_utc"):
            if getattr(self, name).tzinfo is None:
                raise ValueError(f"{name}: expected a time zone, got {getattr(self, name).isoformat()}")

    def content_digest(self) -> str:
        """Return the SHA-256 of all but the digest."""
        bare = msgspec.structs.replace(self, digest=NO_DIGEST)
        # through plain values and back, so that 5 and 5.0 are the same
        again = msgspec.convert(msgspec.to_builtins(bare), StoredCalibration)
        return hashlib.sha256(msgspec.json.encode(again, order="sorted")).hexdigest()

    def text(self) -> str:
        """Return the file."""
        return text_from_values(msgspec.to_builtins(self), flow_leaves=True)


def read_calibration(path: Path) -> StoredCalibration:
    """Return a calibration that is whole.

    Raises
    ------
    ConfigError
        If the file cannot be read, is no calibration, or is not what was written; it names file, line, path and value.
    """
    document = read_document(path)
    stored = converted(document, (), StoredCalibration)
    if stored.digest != (found := stored.content_digest()):
        text = f"expected {found}, the digest of what the file holds: it was changed or cut, got {stored.digest}"
        raise document.error(Complaint(path=("digest",), node=("digest",), text=text))
    return stored


def measured_on(facts: TestbedFacts, limits: FrontEndLimits, driver: dict[str, object], radio: str) -> MeasuredOn:
    """Return the front end that a testbed's file and a radio's hello describe."""
    return MeasuredOn(
        grid=facts.downlink.grid,
        spacing_m=facts.downlink.array.spacing_m,
        speed_of_light_m_s=facts.speed_of_light_m_s,
        limits=limits,
        driver=driver,
        radio=radio,
    )


def stored_path(ue: str, place: Place, solved: Solved, agreement: float) -> StoredPath:
    """Return one user's part of the file."""
    path = solved.path
    return StoredPath(
        ue=ue,
        range_m=place.range_m,
        angle_rad=place.angle_rad,
        gain_db=round(path.gain_db, 4),
        delay_s=round(path.delay_s, 16),
        delay_error_s=_rounded(path.delay_error_s),
        phase_rms_rad=_rounded(path.phase_rms_rad),
        timing_rms_s=_rounded(path.timing_rms_s),
        noise_w=_rounded(path.noise_w),
        snr_db=round(path.snr_db, 2),
        agreement=_rounded(agreement),
    )


def stored_elements(errors: ElementErrors) -> tuple[StoredElement, ...]:
    """Return the elements as the file has them."""
    finite = {name: np.where(errors.alive, getattr(errors, name), 0.0) for name in ERROR_NAMES}
    return tuple(
        StoredElement(
            gain_db=round(float(errors.gain_db[n]), 4),
            phase_rad=round(float(errors.phase_rad[n]), 5),
            delay_s=round(float(errors.delay_s[n]), 16),
            alive=bool(errors.alive[n]),
            **{name: _rounded(float(values[n])) for name, values in finite.items()},
        )
        for n in range(errors.alive.size)
    )


def stored(
    *,
    on: MeasuredOn,
    paths: tuple[StoredPath, ...],
    errors: ElementErrors,
    pilots: int,
    measured_utc: datetime,
    valid_until_utc: datetime,
) -> StoredCalibration:
    """Return a calibration with its digest."""
    bare = StoredCalibration(
        format=FORMAT,
        version=1,
        digest=NO_DIGEST,
        measured_utc=measured_utc.astimezone(UTC).replace(microsecond=0),
        valid_until_utc=valid_until_utc.astimezone(UTC).replace(microsecond=0),
        pilots=pilots,
        measured_on=on,
        paths=paths,
        elements=stored_elements(errors),
    )
    return msgspec.structs.replace(bare, digest=bare.content_digest())


def _rounded(value: float) -> float:
    return float(f"{value:.3g}")
