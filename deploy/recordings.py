"""A recorded run as the commands for recordings need it: its testbed, and what was missing or cut."""

from collections.abc import Mapping

import msgspec

from bs_controller.calibration.correction import Correction
from bs_controller.calibration.stored import read_calibration
from bs_controller.calibration.validity import correction_of
from bs_controller.config import ControllerSection
from bs_controller.recorded import CALIBRATION_COPY, RecordingError
from bs_controller.streamed import StreamedRun
from protocol.config import ConfigError, LoadedTestbed, facts, read_testbed


class Recording(msgspec.Struct, frozen=True, kw_only=True):
    """What a recording is like: whether it was ended in order, and what its files lack.

    ``missing`` counts records that the writer could not take, ``torn_bytes`` what a killed writer left of its last record.
    """

    name: str
    started_utc: str
    ended: bool
    records: int
    missing: int
    torn_bytes: int
    truth_torn_bytes: int
    versions: dict[str, str]

    @property
    def cuts(self) -> list[str]:
        """Return what was cut, one sentence each."""
        told = []
        if not self.ended:
            told.append("the recording was not ended in order: its controller was killed, or still runs")
        if self.torn_bytes:
            told.append(f"the journal ends in a torn record, of which {self.torn_bytes} bytes are left out")
        if self.missing:
            told.append(f"the journal lacks {self.missing} records that could not be written")
        if self.truth_torn_bytes:
            told.append(f"the truth ends in a torn record, of which {self.truth_torn_bytes} bytes are left out")
        return told


def recording_of(run: StreamedRun) -> Recording:
    """Return what a run of which all records were taken is like."""
    start, tail = _mapping(run.document.get("start")), run.tail
    return Recording(
        name=str(start.get("name", "")),
        started_utc=str(start.get("started_utc", "")),
        ended="stop" in run.document,
        records=tail.records,
        missing=tail.missing,
        torn_bytes=tail.torn_bytes,
        truth_torn_bytes=tail.truth_torn_bytes,
        versions={str(name): str(version) for name, version in _mapping(start.get("versions")).items()},
    )


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def testbed_of(run: StreamedRun) -> LoadedTestbed:
    """Return the testbed file that a run resolved, if it is that of the run's digest.

    Raises
    ------
    RecordingError
        If it cannot be read or describes other facts than were recorded.
    """
    path = run.path / "config.yaml"
    try:
        loaded = read_testbed(path)
    except ConfigError as error:
        raise RecordingError(f"{error} (in the configuration of a run)") from error
    recorded = _mapping(run.document.get("start")).get("digest")
    digest = facts(loaded.file).digest()
    if recorded is not None and recorded != digest:
        raise RecordingError(f"{path}: expected the facts of digest {recorded}, with which the run began, got {digest}")
    return loaded


def correction_of_run(run: StreamedRun) -> Correction | None:
    """Return the correction that a run made of its settings, by the copy of the calibration beside its journal.

    Raises
    ------
    RecordingError
        If the copy is missing or is not whole.
    """
    loaded = testbed_of(run)
    section = loaded.section("controller", ControllerSection).calibration
    if section is None:
        return None
    try:
        stored = read_calibration(run.path / CALIBRATION_COPY)
    except ConfigError as error:
        raise RecordingError(f"{error} (in a run that used a calibration)") from error
    return correction_of(stored, facts(loaded.file), section.paths)
