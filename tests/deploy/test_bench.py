import os
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from deploy import bench
from deploy.bench import BENCHMARKS, compute_in_one_thread, scaling_plot
from deploy.bench_rows import RowDocument
from deploy.cli import app
from tests.benchmarks.scaling import power_law

FOLDER = Path(bench.__file__).parents[1] / "tests" / "benchmarks"


def scaling_row(work: str, varies: str) -> RowDocument:
    details: dict[str, object] = {
        "work": work,
        "varies": varies,
        "exponent": 1.0,
        "standard_error": 0.02,
        "ms": {"100": 1.0, "200": 2.1, "400": 3.9},
        "band_terms": {"100": 13},
    }
    return RowDocument(
        name=work, ours_ms=3.9, baseline_ms=None, ratio=None, error=None, target="", met=True, details=details
    )


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    # the command lets this process and its children compute in one thread; the tests after these shall not know
    monkeypatch.setattr(os, "environ", dict(os.environ))


def test_benchmarks_compute_in_one_thread_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(os.environ, "OPENBLAS_NUM_THREADS", raising=False)
    monkeypatch.setitem(os.environ, "OMP_NUM_THREADS", "2")
    compute_in_one_thread()
    assert os.environ["OPENBLAS_NUM_THREADS"] == "1"
    assert os.environ["OMP_NUM_THREADS"] == "2"


def test_table_of_names_is_that_of_the_modules() -> None:
    modules = {path.stem for path in FOLDER.glob("*.py")} - {"__init__", "harness"}
    assert set(BENCHMARKS) == modules
    assert "scaling" in modules


def test_benchmark_of_networks_without_the_shipped_model_says_what_it_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bs_controller.models._FOLDER", tmp_path)
    monkeypatch.chdir(FOLDER.parents[1])
    result = CliRunner().invoke(app, ["bench", "--only", "network_fix"])
    assert result.exit_code == 2
    assert "network_fix needs the shipped model" in result.output
    assert f"{tmp_path / 'element.onnx'}: expected the model shipped for 'element'" in result.output


def test_fit_of_an_exact_power_law_gives_its_exponent() -> None:
    size = np.array([64.0, 128.0, 256.0, 512.0])
    law = power_law(size, 0.37 * size**1.7)
    # logarithms of numbers below 1e5 are rounded to 1e-15; the fit divides by a spread of 1
    assert law.exponent == pytest.approx(1.7, abs=1e-13)
    assert law.standard_error < 1e-13
    assert law.at_one == pytest.approx(0.37, rel=1e-12)


def test_fit_says_how_far_scatter_moves_its_exponent() -> None:
    rng, size, sigma, runs = np.random.default_rng(31), 2.0 ** np.arange(6, dtype=np.float64), 0.05, 2000
    laws = [power_law(size, size**1.2 * np.exp(sigma * rng.standard_normal(size.size))) for _ in range(runs)]
    spread = np.std([law.exponent for law in laws])
    expected = sigma / np.sqrt(np.sum((np.log(size) - np.log(size).mean()) ** 2))
    # a variance from so many normal values is itself known to sqrt(2 / runs); four times that, halved by the root
    tolerance = 2 * np.sqrt(2 / runs)
    assert spread == pytest.approx(expected, rel=tolerance)
    # the mean square of the stated errors is unbiased; it has four degrees of freedom each
    assert np.sqrt(np.mean([law.standard_error**2 for law in laws])) == pytest.approx(expected, rel=tolerance)


def test_exponent_of_two_sizes_is_refused() -> None:
    with pytest.raises(ValueError, match="at least three sizes expected for an exponent and its error, got 2"):
        power_law(np.array([1.0, 2.0]), np.array([1.0, 2.0]))


def test_plot_leaves_out_rows_that_tell_of_no_scaling(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    other = RowDocument(
        name="one", ours_ms=1.0, baseline_ms=2.0, ratio=2.0, error=None, target="", met=True, details={"runs": 3}
    )
    rows = [scaling_row("images, 100 subcarriers", "elements"), other, scaling_row("images", "subcarriers")]
    path = scaling_plot([])(rows, tmp_path / "new")
    assert path == tmp_path / "new" / "scaling.png"
    assert path.read_bytes().startswith(b"\x89PNG")


def test_plot_without_matplotlib_is_refused_before_anything_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("deploy.bench_plot", "deploy.reproduce.plates"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    result = CliRunner().invoke(app, ["bench", "--plot", str(tmp_path)])
    assert result.exit_code == 2
    assert "pip install 'nftestbed[study]'" in result.output


def test_plot_without_the_benchmark_of_scaling_is_refused(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["bench", "--only", "sweep_synthesis", "--plot", str(tmp_path)])
    assert result.exit_code == 2
    assert "expected scaling among the benchmarks to have a picture, got sweep_synthesis" in result.output
