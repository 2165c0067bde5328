"""Users of a case: who they are, whose errors are whose, and which trained networks a folder holds."""

import io
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from bs_controller.schemes import CbsOptions, LikelihoodOptions, NetworkOptions
from deploy.reproduce import CannotReproduceError, cases
from deploy.reproduce.cases import LOCATION, RANGE, SCENARIOS, Case, Errors, image_models, image_note, located
from deploy.study_file import DrawSection
from emulator.config import NoNoise, PerSubcarrier, SweepMean
from protocol.testbed import default_facts
from tests.bs_controller.trained import PLAN, metadata_of, model_file


@pytest.fixture(autouse=True)
def one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    def here(work: Callable[[object], object], jobs: Iterable[object]) -> list[object]:
        return [work(job) for job in jobs]

    monkeypatch.setattr(cases, "results", here)


def a_case(**schemes: CbsOptions | LikelihoodOptions | NetworkOptions) -> Case:
    return Case(draw=DrawSection(), noise=SweepMean(snr_db=20.0), schemes=schemes)


def network_that_says(folder: Path, range_units: float) -> NetworkOptions:
    folder.mkdir()
    return NetworkOptions(model=str(model_file(folder, metadata_of(PLAN), (range_units, 0.0, 0.0, 0.0))))


def test_system_is_the_default_testbed() -> None:
    assert cases._setup(a_case(any=CbsOptions())).facts() == default_facts()


def test_errors_stand_under_the_names_of_their_schemes(tmp_path: Path) -> None:
    far = network_that_says(tmp_path / "far", 2e4)  # units of half a millimetre
    still = network_that_says(tmp_path / "still", 0.0)
    (found,) = located([a_case(far=far, still=still, model=LikelihoodOptions())], 2)
    assert found["far"].rmse[[RANGE, LOCATION]] == pytest.approx(10.0, abs=0.01)
    # at 20 dB the position that a network corrects is right to a bound or two, less than a millimetre
    assert found["still"].rmse[RANGE] < 1e-3
    assert found["still"].errors.shape == (2, 3)
    # of the same users, sweeps and noise; range sweeps point a little elsewhere
    assert found["far"].bound == pytest.approx(found["model"].bound, rel=1e-3)


def test_users_of_a_case_are_the_same_whatever_the_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    (whole,) = located([a_case(cbs=CbsOptions())], 3)
    monkeypatch.setattr(cases, "_BLOCK", 2)
    (cut,) = located([a_case(cbs=CbsOptions())], 3)
    assert (cut["cbs"].errors == whole["cbs"].errors).all()


@pytest.mark.parametrize("noise", [NoNoise(), PerSubcarrier(snr_db=10.0)])
def test_noise_that_is_not_flat_has_no_bound(noise: NoNoise | PerSubcarrier) -> None:
    (found,) = located([Case(draw=DrawSection(), noise=noise, schemes={"model": LikelihoodOptions()})], 1)
    assert np.isnan(found["model"].bounds).all()
    assert found["model"].rmse[LOCATION] < 0.1


def test_scenarios_are_those_of_the_table() -> None:
    masks_and_paths = [(draw.masks, draw.paths) for draw in SCENARIOS.values()]
    assert masks_and_paths == [("all", ()), ("random", ()), ("random", "mixed")]


def test_users_without_a_fix_are_counted_and_no_part_of_the_rmse() -> None:
    nothing = [np.nan, np.nan, np.nan]
    errors = Errors(errors=np.array([[3.0, 0.3, 3.1], nothing, [4.0, 0.4, 4.1]]), bounds=np.ones((3, 3)))
    assert errors.failures == 1
    assert errors.rmse[RANGE] == pytest.approx(12.5**0.5)
    low, high = errors.interval(np.random.default_rng(1))
    assert low[RANGE] == pytest.approx(3.0)  # resamples of two users hold one of them twice a quarter of the time
    assert high[RANGE] == pytest.approx(4.0)
    assert cases.failure_notes([{"a": errors}]) == ("1 of 3 fixes failed and are no part of the errors.",)
    assert cases.failure_notes([]) == ()


def test_trained_networks_of_a_folder_have_the_names_of_their_files(tmp_path: Path) -> None:
    assert image_models(tmp_path / "nowhere") == {}
    for name in ("paper-micro", "chisel-like-4", "other"):
        model_file(tmp_path, metadata_of("image"), plan="image").rename(tmp_path / f"{name}.onnx")
    assert image_models(tmp_path) == {name: tmp_path / f"{name}.onnx" for name in ("paper-micro", "chisel-like-4")}


def test_network_made_for_something_else_is_named(tmp_path: Path) -> None:
    metadata = metadata_of("image", downlink_digest="f" * 64)
    model_file(tmp_path, metadata, plan="image").rename(tmp_path / "paper-atto.onnx")
    with pytest.raises(CannotReproduceError, match=r"paper-atto\.onnx: .*" + "f" * 64):
        image_models(tmp_path)


def test_where_no_network_is_at_hand_the_note_says_how_to_train_one(tmp_path: Path) -> None:
    assert f"nftestbed train paper-micro --minutes 30 --out {tmp_path}" in image_note({}, tmp_path)
    assert "paper-micro" in image_note({"paper-micro": tmp_path / "paper-micro.onnx"}, tmp_path)


def test_tables_are_printed_with_intervals_where_there_are_some() -> None:
    pytest.importorskip("matplotlib")
    from deploy.reproduce.plates import Cell, Document, Row, Table  # noqa: PLC0415
    from deploy.reproduce.report import print_document  # noqa: PLC0415

    cells = (Cell(value=0.1077), Cell(value=0.002, low=0.0015, high=0.0024))
    table = Table(title="location", columns=("0 dB", "10 dB"), rows=(Row(name="ours", cells=cells),))
    document = Document(figure="any", title="any", quick=True, settings={}, values=(), tables=(table,), notes=())
    printed = io.StringIO()
    print_document(document, Console(width=100, file=printed))
    assert ["ours", "0.1077", "0.002", "(0.0015-0.0024)"] in [line.split() for line in printed.getvalue().splitlines()]
