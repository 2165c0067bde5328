"""``nftestbed export``: what h5py, pandas and SciPy read is what was recorded, with units and axes beside it."""

import json
import re
import resource
import shutil
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from scipy.io import loadmat
from typer.testing import CliRunner

from bs_controller.beams import fitted, setting_from_focus
from bs_controller.localizations import focus_from_record
from bs_controller.record import open_run
from bs_controller.recorded import RecordedRun
from bs_controller.streamed import StreamedRun
from bs_controller.sweeps import Sounding
from deploy.cli import app
from deploy.export import FORMATS, ExportError
from deploy.export.command import export_run
from deploy.export.hdf5 import Hdf5Writer
from deploy.export.tables import TABLES
from protocol.config import facts, read_testbed
from protocol.messages import FeedbackKind
from tests.bs_controller.rehearsal import Asking, group_sweep, sweep_to
from tests.deploy.recorded_runs import CBS_AND_OTHERS, COARSE, recorded_run, rewritten, tear

#: Every kind of report, twice for each of two users, and a setting of several groups.
EVERYTHING = Asking(
    requests=(
        sweep_to(7.0, FeedbackKind.PEAK),
        group_sweep(8, 4),
        sweep_to(7.0, FeedbackKind.POWER),
        sweep_to(8.0, FeedbackKind.COMPLEX),
        Sounding(),
    )
)
UNITS = {"range_m": "m", "angle_rad": "rad", "latency_ms": "ms", "covariance_range_angle_m_rad": "m rad", "round": ""}


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return recorded_run(tmp_path_factory.mktemp("recorded"), played=[EVERYTHING], rounds=2)


@pytest.fixture(scope="module")
def recorded(path: Path) -> RecordedRun:
    return open_run(path)


def records_of(run: RecordedRun, form: str) -> list[dict[str, Any]]:
    return [record for record in run.records if form in {record["kind"], record.get("form")}]


def arrays_of(run: RecordedRun, form: str, stream: str) -> np.ndarray:
    return np.stack([run.samples(record)[stream] for record in records_of(run, form)])


def column(run: RecordedRun, form: str, name: str) -> list[Any]:
    return [record[name] for record in records_of(run, form)]


@pytest.fixture(scope="module")
def h5(path: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    file = tmp_path_factory.mktemp("h5") / "run.h5"
    export_run(path, "h5", file, settings=True)
    with h5py.File(file) as opened:
        yield opened


@pytest.fixture(scope="module")
def parquet(path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("parquet") / "run"
    export_run(path, "parquet", folder)
    return folder


@pytest.fixture(scope="module")
def mat(path: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    file = tmp_path_factory.mktemp("mat") / "run.mat"
    export_run(path, "mat", file)
    return loadmat(file, squeeze_me=True, simplify_cells=True)["run"]


# --- HDF5 by h5py ----------------------------------------------------------------------------------------------------


def test_hdf5_holds_samples_and_powers_bit_for_bit(h5: Any, recorded: RecordedRun) -> None:
    for name, form, stream in (
        ("reports/complex/samples_sqrt_w", "ComplexFeedback", "report"),
        ("reports/power/power_w", "PowerFeedback", "power"),
        ("snapshots/samples_sqrt_w", "Snapshot", "snapshot"),
    ):
        expected = arrays_of(recorded, form, stream)
        assert (h5[name].dtype, h5[name][:].tobytes()) == (expected.dtype, expected.tobytes()), name


def test_hdf5_arrays_are_sweep_by_subcarrier_with_scales_of_epoch_time_and_frequency(h5: Any, path: Path) -> None:
    samples, grid = h5["reports/complex/samples_sqrt_w"], facts(read_testbed(path / "config.yaml").file).downlink.grid
    assert [dim.label for dim in samples.dims] == ["sweep", "subcarrier"]
    np.testing.assert_array_equal(samples.dims[1]["downlink_frequency_hz"][:], grid.frequency_hz)
    assert samples.dims[1][0].attrs["unit"] == "Hz"
    assert samples.dims[0]["time_s"][:].tolist() == h5["reports/complex/time_s"][:].tolist()
    assert samples.dims[0]["epoch"][:].tolist() == h5["reports/complex/epoch"][:].tolist()
    assert [dim.label for dim in h5["snapshots/samples_sqrt_w"].dims] == ["sounding", "element", "subcarrier"]


def test_hdf5_names_units_of_all_that_has_one(h5: Any) -> None:
    for table in TABLES.values():
        for one in table.columns if table.name in h5 else ():
            assert h5[table.name][one.name].attrs.get("unit", "") == one.unit
    assert h5["reports/power/power_w"].attrs["unit"] == "W"
    assert {name: h5["fixes"][name].attrs.get("unit", "") for name in UNITS} == UNITS


@pytest.mark.parametrize(
    ("name", "form", "key"), [("peak", "PeakFeedback", "subcarrier"), ("group", "GroupFeedback", "group")]
)
def test_hdf5_holds_reports_by_kind(h5: Any, recorded: RecordedRun, name: str, form: str, key: str) -> None:
    table = h5[f"reports/{name}"]
    assert table[key][:].tolist() == column(recorded, form, key)
    assert table["ue"].asstr()[:].tolist() == column(recorded, form, "ue")
    assert table["measure_ms"][:].tolist() == column(recorded, form, "measure_ms")


def test_hdf5_holds_the_foci_asked_for_and_what_the_front_end_was_sent(
    h5: Any, path: Path, recorded: RecordedRun
) -> None:
    shared = facts(read_testbed(path / "config.yaml").file)
    sweeps = records_of(recorded, "sweep")
    assert h5["sweeps/epoch"][:].tolist() == [sweep["epoch"] for sweep in sweeps]
    grouped = h5["sweeps/form"].asstr()[:].tolist().index("GroupFoci")
    assert h5["sweeps/focus_range_m"][grouped].tolist() == [5.0] * 8
    applied = [fitted(setting_from_focus(focus_from_record(sweep["focus"]), shared), COARSE) for sweep in sweeps]
    for name in ("phase_cycles", "delay_s"):
        expected = np.concatenate([getattr(setting, name) for setting in applied])
        assert h5["settings"][name][:].tobytes() == expected.tobytes()
    groups = [number for setting in applied for number in range(setting.groups)]
    assert h5["settings/group"][:].tolist() == groups


def test_hdf5_holds_fixes_truth_and_what_is_known_of_the_run(h5: Any, recorded: RecordedRun) -> None:
    assert h5["fixes/range_m"][:].tolist() == column(recorded, "fix", "range_m")
    assert [epochs.tolist() for epochs in h5["fixes/epochs"]] == column(recorded, "fix", "epochs")
    assert np.isnan(h5["fixes/covariance_range_m2"][:]).all(), "the scheme knows none"
    assert h5["truth/path_gain_db"][0].tolist() == [-10.0]
    assert len(h5["truth/range_m"]) == len(recorded.truth)
    assert np.isnan(h5["truth/velocity_x_m_s"][0]), "an early recording does not tell it"
    assert set(h5["truth/scene_s"][1:]) == {3.0}
    assert set(h5["truth/velocity_x_m_s"][1:]) == {0.5}
    assert set(h5["truth/velocity_y_m_s"][1:]) == {-1.0}
    assert h5["run/config_yaml"].asstr()[()] == recorded.config_text
    assert json.loads(h5["run/run_json"].asstr()[()]) == recorded.document
    assert (h5.attrs["ended"], h5.attrs["records"]) == (1, len(recorded.records))


# --- Parquet by pandas -----------------------------------------------------------------------------------------------


def test_parquet_has_a_table_for_sweeps_reports_snapshots_fixes_and_truth(parquet: Path) -> None:
    names = {file.name for file in parquet.iterdir()}
    assert names >= {f"{name}.parquet" for name in ("sweeps", "reports", "snapshots", "fixes", "truth", "axes")}


def test_pandas_reads_reports_of_all_kinds_as_one_table(parquet: Path, recorded: RecordedRun) -> None:
    reports = pd.read_parquet(parquet / "reports.parquet")
    assert sorted(reports["kind"].unique()) == ["complex", "group", "peak", "power"]
    assert len(reports) == len(records_of(recorded, "report"))
    found = reports[reports.kind == "complex"]
    samples = np.stack(list(found.samples_real_sqrt_w)) + 1j * np.stack(list(found.samples_imag_sqrt_w))
    np.testing.assert_array_equal(samples, arrays_of(recorded, "ComplexFeedback", "report"))
    powers = np.stack(list(reports[reports.kind == "power"].power_w))
    np.testing.assert_array_equal(powers, arrays_of(recorded, "PowerFeedback", "power"))
    assert reports[reports.kind == "peak"].subcarrier.astype(int).tolist() == column(
        recorded, "PeakFeedback", "subcarrier"
    )
    assert reports[reports.kind == "peak"].power_w.isna().all()


def test_pandas_joins_fixes_with_the_truth_of_their_last_epoch(parquet: Path, recorded: RecordedRun) -> None:
    fixes, truth = pd.read_parquet(parquet / "fixes.parquet"), pd.read_parquet(parquet / "truth.parquet")
    fixes["epoch"] = [epochs[-1] for epochs in fixes.epochs]
    joined = fixes.merge(truth, on=["ue", "epoch"], suffixes=("", "_truth"))
    assert len(joined) == len(records_of(recorded, "fix"))
    assert joined.range_m_truth.tolist() == [5.0] * len(joined)


def test_parquet_names_units_axes_and_frequencies(parquet: Path, path: Path) -> None:
    grid = facts(read_testbed(path / "config.yaml").file).downlink.grid
    schema = pq.read_schema(parquet / "reports.parquet")
    power = schema.field("power_w").metadata
    assert power == {b"unit": b"W", b"axes": b"subcarrier", b"axes_values": b"downlink_frequency_hz"}
    axes = pd.read_parquet(parquet / "axes.parquet")
    assert axes[axes.axis == "downlink_frequency_hz"].value.tolist() == grid.frequency_hz.tolist()
    assert set(axes[axes.axis == "downlink_frequency_hz"].unit) == {"Hz"}
    for file in ("reports", "fixes"):
        metadata = pq.ParquetFile(parquet / f"{file}.parquet").metadata.metadata
        assert metadata[b"name"] == b"small"
        assert b"subcarriers: 128" in metadata[b"config_yaml"]


def test_pandas_reads_snapshots_that_were_flattened_slow_axis_first(parquet: Path, recorded: RecordedRun) -> None:
    snapshots = pd.read_parquet(parquet / "snapshots.parquet")
    expected = arrays_of(recorded, "Snapshot", "snapshot")
    real = np.stack(list(snapshots.samples_real_sqrt_w)).reshape(expected.shape)
    np.testing.assert_array_equal(real, expected.real)


# --- .mat by SciPy ---------------------------------------------------------------------------------------------------


def test_mat_is_one_struct_of_tables_with_units_and_axes(mat: Any, recorded: RecordedRun, path: Path) -> None:
    assert mat["fixes"]["range_m"].tolist() == column(recorded, "fix", "range_m")
    assert mat["fixes"]["ue"].tolist() == column(recorded, "fix", "ue")
    assert [epochs.tolist() for epochs in mat["fixes"]["epochs"]] == column(recorded, "fix", "epochs")
    assert mat["units"]["reports"]["power"]["power_w"] == "W"
    grid = facts(read_testbed(path / "config.yaml").file).downlink.grid
    assert mat["axes"]["downlink_frequency_hz"].tolist() == grid.frequency_hz.tolist()
    assert mat["about"]["name"] == "small"


def test_mat_holds_samples_and_powers_bit_for_bit(mat: Any, recorded: RecordedRun) -> None:
    reports = mat["reports"]
    np.testing.assert_array_equal(
        reports["complex"]["samples_sqrt_w"], arrays_of(recorded, "ComplexFeedback", "report")
    )
    np.testing.assert_array_equal(reports["power"]["power_w"], arrays_of(recorded, "PowerFeedback", "power"))
    np.testing.assert_array_equal(mat["snapshots"]["samples_sqrt_w"], arrays_of(recorded, "Snapshot", "snapshot"))
    assert reports["complex"]["samples_sqrt_w"].dtype == np.complex64


# --- all formats -----------------------------------------------------------------------------------------------------


def nftestbed(*words: str | Path) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, [str(word) for word in words])
    return result.exit_code, result.stdout, result.stderr


def test_command_says_what_it_wrote_and_where(path: Path, tmp_path: Path) -> None:
    status, out, err = nftestbed("export", path, "--format", "h5", "--out", tmp_path / "a.h5", "--json")
    document = json.loads(out)
    assert (status, document["file"], document["format"]) == (0, str(tmp_path / "a.h5"), "h5"), err
    assert document["rows"]["fixes"] == 4
    assert (tmp_path / "a.h5").is_file()


def test_default_place_is_a_folder_of_the_run(path: Path, tmp_path: Path) -> None:
    run = shutil.copytree(path, tmp_path / "run")
    assert nftestbed("export", run)[0] == 0
    assert [file.name for file in (run / "export").iterdir()] == ["run.h5"]


@pytest.mark.parametrize("kind", FORMATS)
def test_what_is_there_is_not_overwritten(path: Path, tmp_path: Path, kind: str) -> None:
    target = tmp_path / "taken"
    target.write_text("precious")
    status, _, err = nftestbed("export", path, "--format", kind, "--out", target)
    assert status == 2
    assert f"{target}: expected a name that is free" in err
    assert target.read_text() == "precious"


@pytest.mark.parametrize("kind", FORMATS)
def test_killed_run_is_exported_to_its_end_and_says_what_was_cut(tmp_path: Path, kind: str) -> None:
    run = recorded_run(tmp_path, ended=False, schemes=CBS_AND_OTHERS)
    torn = tear(run)
    fixes = len(records_of(open_run(run), "fix"))
    status, out, err = nftestbed("export", run, "--format", kind, "--out", tmp_path / "out", "--json")
    assert status == 0
    assert json.loads(out)["rows"]["fixes"] == fixes
    assert "the recording was not ended in order" in err
    assert f"{torn} bytes are left out" in err


def test_file_of_a_killed_run_says_what_was_cut(tmp_path: Path) -> None:
    run = recorded_run(tmp_path, ended=False)
    torn = tear(run)
    export_run(run, "h5", tmp_path / "run.h5")
    with h5py.File(tmp_path / "run.h5") as file:
        assert (file.attrs["ended"], file.attrs["torn_bytes"]) == (0, torn)
        assert f"{torn} bytes" in file.attrs["cuts"]


@pytest.mark.parametrize("kind", FORMATS)
def test_damaged_recording_leaves_no_file_behind(path: Path, tmp_path: Path, kind: str) -> None:
    run = shutil.copytree(path, tmp_path / "run")
    data = run / "iq" / "snapshot.sigmf-data"
    data.write_bytes(data.read_bytes()[:-1])
    (tmp_path / "out").mkdir()
    status, _, err = nftestbed("export", run, "--format", kind, "--out", tmp_path / "out" / "file")
    assert status == 2
    assert f"{data}: expected CRC32" in err
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("limit_bytes", [1 << 10, 1 << 14])
def test_disk_that_fills_up_is_named_and_leaves_no_file_behind(
    path: Path, tmp_path: Path, kind: str, limit_bytes: int
) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, before[1]))  # the smallest file of this run takes more
    try:
        status, _, err = nftestbed("export", path, "--format", kind, "--out", tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert status == 2
    assert f"{tmp_path}/out: expected a place to write to, got: " in err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("kind", "package"), [("h5", "h5py"), ("parquet", "pyarrow")])
def test_missing_package_is_named_with_the_extra_that_has_it(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, package: str
) -> None:
    monkeypatch.delitem(sys.modules, {"h5": "deploy.export.hdf5", "parquet": "deploy.export.parquet"}[kind])
    monkeypatch.setitem(sys.modules, package, None)  # as if it were not installed
    status, _, err = nftestbed("export", path, "--format", kind, "--out", tmp_path / "out")
    assert status == 2
    assert re.search(rf"\(pip install 'nftestbed\[export\]'\), got: .*{package}", err)


@pytest.mark.parametrize("kind", FORMATS)
def test_words_of_a_peer_are_exported_whatever_they_are(path: Path, tmp_path: Path, kind: str) -> None:
    run = shutil.copytree(path, tmp_path / "run")
    words = "\0 'quoted' \n \U0001f4e1"
    rewritten(run, lambda record: record | {"text": words} if record.get("kind") == "peer" else record)
    export_run(run, kind, tmp_path / "out")
    if kind == "h5":
        with h5py.File(tmp_path / "out") as file:
            assert file["peers/text"].asstr()[0] == words.replace("\0", "\N{REPLACEMENT CHARACTER}")


def test_run_too_large_for_mat_is_refused_with_what_to_use(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deploy.export.matlab.MAX_BYTES", 1 << 12)
    with pytest.raises(ExportError, match="use --format h5"):
        export_run(path, "mat", tmp_path / "run.mat")


def test_settings_of_an_unknown_front_end_are_refused_and_all_else_is_exported(tmp_path: Path) -> None:
    run = recorded_run(tmp_path)
    rewritten(run, lambda record: {key: value for key, value in record.items() if key != "front_end"})
    with pytest.raises(ExportError, match="leave --settings out"):
        export_run(run, "h5", tmp_path / "run.h5", settings=True)
    assert export_run(run, "h5", tmp_path / "run.h5").rows["fixes"] == 2


def test_reports_without_samples_are_counted(tmp_path: Path) -> None:
    run = recorded_run(tmp_path, played=[EVERYTHING], record_samples=False)
    document = export_run(run, "h5", tmp_path / "run.h5")
    assert document.without_samples == 6, "power, complex and snapshot of two users"
    assert "6 reports were recorded without samples" in document.cuts[-1]


def test_samples_are_read_as_they_are_written(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploy.export.rows.BATCH_BYTES", 1)
    unwritten, most = 0, 0
    samples, write = StreamedRun.samples, Hdf5Writer.write

    def read(run: StreamedRun, record: Any) -> Any:
        nonlocal unwritten, most
        unwritten, most = unwritten + 1, max(most, unwritten + 1)
        return samples(run, record)

    def written(writer: Any, table: Any, rows: Any) -> None:
        nonlocal unwritten
        unwritten -= len(rows) if any(one.axes for one in table.columns) else 0
        write(writer, table, rows)

    monkeypatch.setattr(StreamedRun, "samples", read)
    monkeypatch.setattr(Hdf5Writer, "write", written)
    export_run(path, "h5", tmp_path / "run.h5")
    assert (unwritten, most) == (0, 1), "with batches of one row, never more than one array is held"
