import json
import math
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from bs_controller import CbsBtOptions, CbsOptions
from deploy.cli import app
from deploy.executors import cluster_executor, local_executor
from deploy.study import ChunkError, chunks, run_study
from deploy.study_file import Study, read_study, scheme_label
from deploy.study_store import StoreError, SummaryRow, opened_store
from deploy.study_users import Chunk, Located, located_users
from protocol.config import ConfigError
from tests.deploy.studies import DEMO, ROOT, TEXT, written

KILLED = """
import os, signal, sys
from pathlib import Path
from deploy.executors import local_executor
from deploy.study import run_study
from deploy.study_file import read_study
from deploy.study_store import opened_store

def on_progress(done, total):
    if done >= 5:
        os.kill(os.getpid(), signal.SIGKILL)

if __name__ == "__main__":
    study = read_study(Path(sys.argv[1]))
    with opened_store(Path(sys.argv[2]), study) as store, local_executor(1) as executor:
        run_study(study, store, executor, on_progress)
"""


@pytest.fixture
def thread() -> Iterator[Executor]:
    with ThreadPoolExecutor(1) as executor:
        yield executor


def _results(study: Study, directory: Path, executor: Executor) -> tuple[pa.Table, list[SummaryRow]]:
    with opened_store(directory, study) as store:
        summary = run_study(study, store, executor, lambda done, total: None)
    return pq.read_table(directory / "results.parquet"), summary


# --- the file --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ("users: 5", "usres: 5", r":6:1: usres: .*did you mean users"),
        ("users: 5", "users: 0", r":6:8: users: .*got 0"),
        ("masks: random", "masks: some", r":10:10: draw\.masks: "),
        ("masks: random", "masks: 5", r"draw\.masks: expected at most the 4 sub-arrays"),
        ("downlink.elements: [64]", "downlink.elemnts: [64]", r":13:22: axes\.downlink\.elemnts\[0\]: .*did you mean"),
        ("downlink.elements: [64]", "downlink.elements: [64, 66]", r":13:27: axes\.downlink\.elements\[1\]: .*66"),
        ("downlink.elements: [64]", "downlonk.elements: [64]", r":13:23: axes\.downlonk\.elements\[0\]: .*downlonk"),
        ("snr_db: [0, 20]", "snr_db: [0, 0]", r":14:30: .*distinct values, got 0 twice"),
        ("snr_db: [0, 20]", "snr_db: [0, high]", r":14:30: .*expected a number, got .high"),
        ("[128]", "[100]", r":12:26: .*cannot be cut into 32 equal groups"),
        ("rounds: 2}", "rounds: 2}\n  - {scheme: cbs}", r":6:5: schemes\[2\]: expected distinct schemes"),
        (str(DEMO), "gone.yaml", r":2:10: testbed: expected a testbed file"),
    ],
)
def test_wrong_file_is_refused_with_its_place(tmp_path: Path, old: str, new: str, place: str) -> None:
    assert old in TEXT
    wrong = written(tmp_path, TEXT.replace(old, new, 1))
    with pytest.raises(ConfigError, match=re.escape(str(wrong)) + ".*" + place):
        read_study(wrong)


def test_model_that_is_not_there_is_refused_at_its_scheme(tmp_path: Path) -> None:
    full_size = TEXT.replace("[128]", "[2048]").replace("[64]", "[512]")
    wrong = written(tmp_path, full_size.replace("{scheme: cbs}", "{scheme: network, model: no/where.onnx}"))
    with pytest.raises(ConfigError, match=r":4:5: schemes\[0\]: expected a scheme that fits .*no/where\.onnx"):
        read_study(wrong)


def test_cells_are_the_product_of_the_axes_in_the_order_of_the_file(tmp_path: Path) -> None:
    axes = "axes:\n  downlink.elements: [64, 128]\n  downlink_noise.snr_db: [0, 5, 10]\n"
    study = read_study(written(tmp_path, TEXT[: TEXT.index("axes:")] + axes))
    found = [(cell.setup.downlink.elements, cell.setup.downlink_noise) for cell in study.cells]
    assert [(elements, getattr(noise, "snr_db", None)) for elements, noise in found] == [
        (elements, snr_db) for elements in (64, 128) for snr_db in (0, 5, 10)
    ]


def test_schemes_whole_sections_and_numbers_of_users_may_be_axes(tmp_path: Path) -> None:
    axes = (
        "axes:\n  schemes: [[{scheme: cbs}]]\n  draw: [{masks: 2}]\n  downlink_noise: [{mode: none}]\n  users: [1, 9]\n"
    )
    study = read_study(written(tmp_path, TEXT[: TEXT.index("axes:")] + axes))
    assert [cell.setup.users for cell in study.cells] == [1, 9]
    assert study.cells[0].setup.schemes == (CbsOptions(),)
    assert study.cells[0].setup.draw.masks == 2


def test_resolved_study_is_the_same_study_without_the_testbed_file(file: Path, tmp_path: Path) -> None:
    study = read_study(file)
    resolved = written(tmp_path, study.resolved())
    assert str(DEMO) not in study.resolved()
    assert read_study(resolved) == study


def test_shipped_studies_can_be_read() -> None:
    files = sorted((ROOT / "deploy" / "studies").glob("*.yaml"))
    assert {path.name for path in files} >= {
        "cbs-snr.yaml",
        "likelihood-bound.yaml",
        "likelihood-impairments.yaml",
        "smoke.yaml",
    }
    assert all(read_study(path).cells for path in files)


def test_label_names_a_scheme_and_what_is_not_its_default() -> None:
    assert scheme_label(CbsOptions()) == "cbs"
    assert scheme_label(CbsBtOptions(rounds=2, groups="realizable")) == "cbs_bt(rounds=2, groups=realizable)"


# --- the study -------------------------------------------------------------------------------------------------------


def test_one_worker_and_two_give_the_same_table(file: Path, tmp_path: Path) -> None:
    study, tables = read_study(file), []
    for workers in (1, 2):
        with local_executor(workers) as executor:
            tables.append(_results(study, tmp_path / f"{workers}", executor))
    assert tables[0][0].equals(tables[1][0])
    assert tables[0][1] == tables[1][1]


def test_killed_study_continues_and_ends_with_the_table_of_an_uninterrupted_one(
    file: Path, tmp_path: Path, thread: Executor
) -> None:
    program, killed = tmp_path / "killed.py", tmp_path / "killed"
    program.write_text(KILLED, encoding="utf-8")
    # its worker holds the same pipes: reading them to their end waits until that has gone, too
    ended = subprocess.run(
        [sys.executable, program, file, killed], check=False, timeout=60, cwd=ROOT, capture_output=True
    )
    assert ended.returncode == -signal.SIGKILL
    study, done = read_study(file), []
    with opened_store(killed, study) as store:
        assert 3 <= len(store.finished()) < len(list(chunks(study)))
        run_study(study, store, thread, lambda now, total: done.append(now))
    assert done[0] >= 5  # those are not computed again
    table, _ = _results(study, tmp_path / "whole", thread)
    assert pq.read_table(killed / "results.parquet").equals(table)


def test_finished_study_computes_nothing_again(file: Path, tmp_path: Path, thread: Executor) -> None:
    study = read_study(file)
    first = _results(study, tmp_path / "out", thread)
    with ThreadPoolExecutor(1) as closed:
        pass
    again = _results(study, tmp_path / "out", closed)  # which takes no task
    assert first[0].equals(again[0])
    assert first[1] == again[1]


def test_table_has_a_row_per_cell_user_and_scheme_in_this_order_with_its_axes(
    file: Path, tmp_path: Path, thread: Executor
) -> None:
    table, _ = _results(read_study(file), tmp_path / "out", thread)
    keys = [(row["cell"], row["user"], row["scheme"], row["downlink_noise.snr_db"]) for row in table.to_pylist()]
    schemes = ("cbs", "cbs_bt(rounds=2)")
    assert keys == [
        (cell, user, scheme, snr_db)
        for cell, snr_db in enumerate((0.0, 20.0))
        for user in range(5)
        for scheme in schemes
    ]


def test_summary_is_of_the_rows_of_its_cell_and_scheme(file: Path, tmp_path: Path, thread: Executor) -> None:
    table, _ = _results(read_study(file), tmp_path / "out", thread)
    line = pq.read_table(tmp_path / "out" / "summary.parquet").to_pylist()[3]
    rows = [row for row in table.to_pylist() if (row["cell"], row["scheme"]) == (1, "cbs_bt(rounds=2)")]
    assert (line["cell"], line["scheme"], line["n"], line["downlink_noise.snr_db"]) == (1, "cbs_bt(rounds=2)", 5, 20.0)
    square = sum((row["range_m"] - row["truth_range_m"]) ** 2 for row in rows) / 5
    assert line["range_rmse_m"] == pytest.approx(math.sqrt(square), rel=1e-12)  # rounding
    bound_square = sum(row["bound_range_m"] ** 2 for row in rows) / 5
    assert line["range_ratio"] == pytest.approx(math.sqrt(square / bound_square), rel=1e-12)
    assert line["range_ratio_low"] < line["range_ratio"] < line["range_ratio_high"]
    assert line["nees"] is line["wrong_mask_rate"] is None  # the scheme says nothing of its errors
    assert line["range_rmse_low_m"] < line["range_rmse_m"] < line["range_rmse_high_m"]


def test_folder_of_another_study_is_refused(file: Path, tmp_path: Path, thread: Executor) -> None:
    _results(read_study(file), tmp_path / "out", thread)
    other = read_study(written(tmp_path, TEXT.replace("seed: 7", "seed: 8")))
    with pytest.raises(StoreError, match="the same study"), opened_store(tmp_path / "out", other):
        pass


def test_folder_begun_with_other_software_is_refused(file: Path, tmp_path: Path, thread: Executor) -> None:
    _results(read_study(file), tmp_path / "out", thread)
    (tmp_path / "out" / "versions.json").write_text("{}", encoding="utf-8")
    with pytest.raises(StoreError, match="versions"), opened_store(tmp_path / "out", read_study(file)):
        pass


def test_folder_in_use_is_refused(file: Path, tmp_path: Path) -> None:
    study = read_study(file)
    with (
        opened_store(tmp_path / "out", study),
        pytest.raises(StoreError, match="another process"),
        opened_store(tmp_path / "out", study),
    ):
        pass


class _Failing(ThreadPoolExecutor):
    """Fails at one chunk."""

    def submit(self, fn: object, /, *args: object, **kwargs: object) -> Future[list[Located]]:  # type: ignore[override]
        (chunk,) = args
        assert isinstance(chunk, Chunk)
        if (chunk.cell, chunk.first_user) != (1, 2):
            return super().submit(located_users, chunk)
        future: Future[list[Located]] = Future()
        future.set_exception(MemoryError("too much"))
        return future


def test_failed_task_is_named_and_the_others_are_kept(file: Path, tmp_path: Path) -> None:
    study = read_study(file)
    with (
        opened_store(tmp_path / "out", study) as store,
        _Failing(1) as executor,
        pytest.raises(ChunkError, match="cell 1, users 2 to 3: MemoryError: too much"),
    ):
        run_study(study, store, executor, lambda done, total: None)


@pytest.mark.long  # starts a scheduler and two workers, some 10 s
@pytest.mark.filterwarnings("default")  # what Dask and Tornado warn of is theirs
def test_dask_cluster_gives_the_same_table(file: Path, tmp_path: Path, thread: Executor) -> None:
    distributed = pytest.importorskip("distributed", reason="dask is not installed: pip install 'nftestbed[study]'")
    study = read_study(file)
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster,
        cluster_executor(cluster.scheduler_address) as executor,
    ):
        table, summary = _results(study, tmp_path / "cluster", executor)
    expected, expected_summary = _results(study, tmp_path / "here", thread)
    assert table.equals(expected)
    assert summary == expected_summary


# --- the command -----------------------------------------------------------------------------------------------------


def test_command_prints_one_document_and_leaves_results_beside_the_resolved_file(file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = CliRunner().invoke(app, ["study", str(file), "--out", str(out), "--workers", "1", "--json"])
    assert result.exit_code == 0
    document = json.loads(result.stdout)
    assert [(row["cell"], row["scheme"], row["errors"]["n"]) for row in document["rows"]] == [
        (cell, scheme, 5) for cell in (0, 1) for scheme in ("cbs", "cbs_bt(rounds=2)")
    ]
    assert {path.name for path in out.iterdir()} >= {"study.yaml", "results.parquet", "summary.parquet"}
    assert read_study(out / "study.yaml") == read_study(file)


def test_command_prints_a_table_for_people_and_progress_beside_it(file: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["study", str(file), "--out", str(tmp_path / "out"), "--workers", "1"])
    assert "cbs_bt(rounds=2)" in result.stdout
    assert "bound" in result.stdout
    assert "nees" not in result.stdout  # no scheme of this study has a covariance
    assert "little: 10 of 10 users" in result.stderr


def test_command_refuses_a_wrong_file_with_status_2_and_its_place(tmp_path: Path) -> None:
    wrong = written(tmp_path, TEXT.replace("chunk: 2", "chunk: two"))
    result = CliRunner().invoke(app, ["study", str(wrong)])
    assert result.exit_code == 2
    assert re.search(r"study\.yaml:7:8: chunk: expected an integer", result.output)


def test_command_refuses_workers_of_two_kinds(file: Path) -> None:
    result = CliRunner().invoke(app, ["study", str(file), "--workers", "1", "--scheduler", "tcp://127.0.0.1:1"])
    assert result.exit_code == 2


def test_example_of_the_command_is_a_call_that_it_takes() -> None:
    text = " ".join(CliRunner().invoke(app, ["study", "--help"]).output.split())
    found = re.search(r"Example: nftestbed ([^>]*)", text)
    assert found is not None
    assert CliRunner().invoke(app, [*found[1].split(), "--help"]).exit_code == 0
