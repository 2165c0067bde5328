"""A recorded run to one file or folder of a format; what is half written is removed, what is there is never overwritten."""

import contextlib
import importlib
import json
import tempfile
from pathlib import Path

import msgspec

from bs_controller.recorded import RecordingError
from bs_controller.streamed import StreamedRun, stream_run
from deploy.export import ExportError
from deploy.export.contents import About, Values, Writer, axes_of
from deploy.export.rows import RunRows, batches
from deploy.recordings import Recording, correction_of_run, recording_of, testbed_of
from protocol.config import LoadedTestbed, facts

_WRITERS = {
    "h5": ("deploy.export.hdf5", "Hdf5Writer", "run.h5"),
    "parquet": ("deploy.export.parquet", "ParquetWriter", "parquet"),
    "mat": ("deploy.export.matlab", "MatWriter", "run.mat"),
}


class ExportDocument(msgspec.Struct, frozen=True, kw_only=True):
    """The document that ``--json`` prints; ``rows`` by table."""

    run_dir: str
    file: str
    format: str
    rows: dict[str, int]
    without_samples: int
    recording: Recording

    @property
    def cuts(self) -> list[str]:
        """Return what the file lacks, one sentence each."""
        lacking = f"{self.without_samples} reports were recorded without samples and are left out"
        return [*self.recording.cuts, *([lacking] if self.without_samples else [])]


def export_run(path: Path, kind: str, out: Path | None = None, *, settings: bool = False) -> ExportDocument:
    """Write a recorded run in a format and return what was written.

    Parameters
    ----------
    path
        The run directory.
    kind
        One of `FORMATS`.
    out
        The file or folder to be made; by default ``export/`` in the run directory.
    settings
        Also write the phases and delays of every element, which may be more than all else.

    Raises
    ------
    ExportError
        If the run cannot be read, the file is there already, or it cannot be written.
    """
    module, name, default = _WRITERS[kind]
    target = path / "export" / default if out is None else out
    try:
        maker = getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        raise ExportError(
            f"expected the packages of an export (pip install 'nftestbed[export]'), got: {error}"
        ) from error
    try:
        run = stream_run(path)
        loaded = testbed_of(run)
        return _written(run, loaded, kind, target, maker, settings=settings)
    except RecordingError as error:
        raise ExportError(str(error)) from error
    except OSError as error:
        raise ExportError(f"{target}: expected a place to write to, got: {error.strerror or error}") from error


def _written(
    run: StreamedRun, loaded: LoadedTestbed, kind: str, target: Path, maker: type[Writer], *, settings: bool
) -> ExportDocument:
    if target.exists():
        raise ExportError(f"{target}: expected a name that is free, for nothing is overwritten, got one that is taken")
    correction = correction_of_run(run) if settings else None
    rows = RunRows(run, facts(loaded.file), settings=settings, correction=correction)
    counts = dict[str, int]()
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as private:
        part = Path(private) / target.name
        writer = maker(part, _about(run, loaded))  # type: ignore[call-arg]
        try:
            for table, batch in batches(rows):
                writer.write(table, batch)
                counts[table.name] = counts.get(table.name, 0) + len(batch)
            recording = recording_of(run)
            writer.finish(_values(loaded, recording, rows))
        except BaseException:
            with contextlib.suppress(Exception):  # a file that cannot be written may not be closed in order either
                writer.close()
            raise
        writer.close()
        part.rename(target)
    return ExportDocument(
        run_dir=str(run.path.resolve()),
        file=str(target.resolve()),
        format=kind,
        rows=counts,
        without_samples=rows.samples_missing,
        recording=recording,
    )


def _about(run: StreamedRun, loaded: LoadedTestbed) -> About:
    texts = {"config_yaml": run.config_text, "run_json": json.dumps(run.document, indent=2)}
    return About(texts=texts, axes=axes_of(facts(loaded.file)))


def _values(loaded: LoadedTestbed, recording: Recording, rows: RunRows) -> Values:
    shared = facts(loaded.file)
    return {
        "name": recording.name,
        "started_utc": recording.started_utc,
        "ended": int(recording.ended),
        "cuts": "; ".join(recording.cuts),
        "records": recording.records,
        "missing": recording.missing,
        "torn_bytes": recording.torn_bytes,
        "digest": shared.digest(),
        "speed_of_light_m_s": shared.speed_of_light_m_s,
        "downlink_element_spacing_m": shared.downlink.array.spacing_m,
        "downlink_subarrays": shared.downlink.array.subarrays,
        "uplink_radius_m": shared.uplink.array.radius_m,
        "counters": json.dumps(rows.counters),
        "versions": json.dumps(recording.versions),
    }
