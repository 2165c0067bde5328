"""Figures drawn again: the list, the printed digits of [CBS, Figs. 3-4], and three files for each."""

import csv
import itertools
import json
import struct
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from deploy.cli import app
from deploy.reproduce import FIGURES, OWN_FIGURES, CannotReproduceError, entries, reproduced, users_over_wire
from deploy.reproduce.systems import sector_facts
from tests.bs_controller.trained import PLAN, metadata_of, model_file
from tests.oracles import dense_snapshot, direct_backprojection, linear_distance_m

DRAWABLE = [entry.name for entry in FIGURES]
# Monte-Carlo over users, in processes of their own, or a run time that is measured
HEAVY = {"cbs-fig8", "cbs-fig9", "cbs-fig10", "cbs-table1", "suca-fig5", "suca-table1"}
NETWORKS = ["cbs-fig9", "cbs-fig10", "cbs-table1"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all tests, so that a figure is computed once."""
    return tmp_path_factory.mktemp("figures")


def _values(name: str, folder: Path) -> dict[str, tuple[float, float | None]]:
    pytest.importorskip("matplotlib")
    if not (folder / f"{name}.json").exists():
        reproduced(entries([name])[0], folder, quick=True, models=_models(folder))
    document = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    return {one["name"]: (one["ours"], one["printed"]) for one in document["values"]}


def _models(folder: Path) -> Path:
    """A folder with one trained network of the paper's."""
    models = folder / "models"
    models.mkdir(exist_ok=True)
    model_file(models, metadata_of("image"), plan="image").rename(models / "chisel-like-4.onnx")
    return models


def _require_three_files(name: str, folder: Path) -> None:
    values = _values(name, folder)
    picture = (folder / f"{name}.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    width, height = struct.unpack(">II", picture[16:24])
    assert min(width, height) > 500
    with (folder / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows
    assert not [row for row in rows if row["curve"].startswith("_")], "points of a line are in the file once"
    assert np.isfinite([float(row["y"]) for row in rows]).all()
    document = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    assert document["figure"] == name
    assert [one["name"] for one in document["values"]] == list(values)
    for one in document["values"]:
        assert one["difference"] == (None if one["printed"] is None else one["ours"] - one["printed"])


def test_list_names_every_figure() -> None:
    output = CliRunner().invoke(app, ["reproduce", "--list"]).output
    assert [line.split()[0] for line in output.splitlines()] == [entry.name for entry in (*FIGURES, *OWN_FIGURES)]


def test_all_means_every_figure_of_the_papers() -> None:
    assert [entry.name for entry in entries(["all"])] == DRAWABLE


def test_unknown_figure_is_refused_with_status_2_and_the_names_there_are() -> None:
    result = CliRunner().invoke(app, ["reproduce", "cbs-fig99"])
    assert result.exit_code == 2
    assert "cbs-fig99" in result.output
    assert "suca-table1" in result.output


@pytest.mark.parametrize("name", NETWORKS)
def test_figure_of_networks_is_refused_without_the_shipped_one(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.setattr("bs_controller.models._FOLDER", tmp_path)
    with pytest.raises(CannotReproduceError, match=r"element\.onnx: expected the model shipped for 'element'"):
        reproduced(entries([name])[0], tmp_path, quick=True)


@pytest.mark.parametrize("name", NETWORKS)
def test_model_made_for_something_else_is_refused_with_status_2(name: str, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    model_file(tmp_path, metadata_of(PLAN)).rename(tmp_path / "paper-micro.onnx")
    result = CliRunner().invoke(app, ["reproduce", name, "--quick", "--models", str(tmp_path), "--out", str(tmp_path)])
    assert result.exit_code == 2
    assert (
        "paper-micro.onnx: model made for something else: features: element-1 in the model, image-1 here"
        in result.output
    )


def test_no_name_is_refused_with_status_2() -> None:
    assert CliRunner().invoke(app, ["reproduce"]).exit_code == 2


def test_figure_3_has_every_printed_digit(folder: Path) -> None:
    values = _values("cbs-fig3", folder)
    printed = {name: both for name, both in values.items() if both[1] is not None}
    assert len(printed) == 6
    for ours, theirs in printed.values():
        assert theirs is not None
        assert ours == pytest.approx(theirs, abs=0.005)  # half a unit of the last printed digit


def test_figure_4_has_the_printed_digits_where_the_text_and_its_experiment_agree(folder: Path) -> None:
    values = _values("cbs-fig4", folder)
    for name in ("all elements, absolute angle_deg", "all elements, range_m", "elements 1-128, range_m"):
        ours, printed = values[name]
        assert ours == pytest.approx(printed, abs=0.00005)  # half a unit of the last printed digit
    counts = {f"elements 1-128, subcarriers above half, {stage} sweep" for stage in ("angle", "range")}
    assert {values[name] for name in counts} == {(22, 22), (688, 688)}


def test_printed_angle_of_figure_4_is_that_of_the_second_quarter_of_the_array(folder: Path) -> None:
    values = _values("cbs-fig4", folder)
    assert values["elements 1-128, angle_deg"][1] == 0.0871
    assert values["elements 129-256, angle_deg"][0] == pytest.approx(0.0871, abs=0.00005)
    assert values["elements 1-128, angle_deg"][0] == pytest.approx(0.2813, abs=0.00005)


def test_eight_times_the_subcarriers_lower_the_root_bound_by_the_root_of_eight(folder: Path) -> None:
    ours, printed = _values("cbs-fig6", folder)["angle, 2048 below 256 subcarriers, 10 dB, percent"]
    # 256 subcarriers sample the lit band's edges worse: 65.9 over 2000 users
    assert ours == pytest.approx(100 * (1 - 8**-0.5), abs=2)
    assert printed == 85.26


def test_element_counts_of_the_circular_array_are_those_printed(folder: Path) -> None:
    values = _values("suca-fig3", folder)
    assert [ours for ours, printed in values.values() if printed is not None] == [49, 392]


@pytest.mark.parametrize("name", [name for name in DRAWABLE if name not in HEAVY])
def test_quick_figure_writes_picture_table_and_document(name: str, folder: Path) -> None:
    _require_three_files(name, folder)


@pytest.mark.long
@pytest.mark.parametrize("name", sorted(HEAVY))
def test_quick_heavy_figure_writes_picture_table_and_document(name: str, folder: Path) -> None:
    _require_three_files(name, folder)


@pytest.mark.long
def test_table_of_networks_has_printed_rows_beside_ours_with_intervals(folder: Path) -> None:
    _values("cbs-table1", folder)
    document = json.loads((folder / "cbs-table1.json").read_text(encoding="utf-8"))
    rows = {row["name"]: row["cells"] for row in document["tables"][0]["rows"]}
    assert [cell["value"] for cell in rows["printed: ConvNeXt-S"]] == [0.2018, 0.1077, 0.0838, 0.0768]
    assert {"network", "likelihood, 1 + 1", "CBS", "chisel-like-4", "network angle, CBS range"} <= set(rows)
    for name, cells in rows.items():
        assert len(cells) == 4
        if not name.startswith("printed"):
            assert all(cell["low"] <= cell["value"] <= cell["high"] for cell in cells)


@pytest.mark.long
def test_network_that_is_shown_elements_is_nearer_than_any_printed_one(folder: Path) -> None:
    values = _values("cbs-table1", folder)
    compared = [both for name, both in values.items() if ", network (printed: ConvNeXt-L)" in name]
    assert len(compared) == 3 * 4
    for ours, printed in compared:
        assert printed is not None
        assert ours < printed / 2  # a tenth with 2000 users, and with 60 one of them may be a decimetre off


def test_json_prints_the_documents_and_nothing_else(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    result = CliRunner().invoke(app, ["reproduce", "suca-fig3", "--quick", "--json", "--out", str(tmp_path)])
    assert result.exit_code == 0
    (document,) = json.loads(result.stdout)["figures"]
    assert document == json.loads((tmp_path / "suca-fig3.json").read_text(encoding="utf-8"))


def test_rows_of_the_timed_images_are_those_of_the_double_sum() -> None:
    pytest.importorskip("matplotlib")
    from deploy.reproduce.circular_costs import double_sum_of_one_range, published_fft_of_one_range  # noqa: PLC0415

    facts, rng = sector_facts(3.5e9, 5), np.random.default_rng(3)
    samples = rng.standard_normal((49, 5)) + 1j * rng.standard_normal((49, 5))
    uplink, c_m_s = facts.uplink, facts.speed_of_light_m_s
    expected = direct_backprojection(uplink, samples, np.array([7.0]), uplink.array.element_angle_rad, c_m_s)[0]
    for row in (double_sum_of_one_range(facts, samples, 7.0), published_fft_of_one_range(facts, samples, 7.0)):
        # phases of 1e3 rad in double precision, 245 terms
        np.testing.assert_allclose(row, expected, atol=1e-9)


def test_patterns_of_exact_distances_are_cuts_of_the_double_sum() -> None:
    pytest.importorskip("matplotlib")
    from deploy.reproduce import circular_lobes as lobes  # noqa: PLC0415

    facts = sector_facts(3.5e9, 5)
    uplink, c_m_s, target = facts.uplink, facts.speed_of_light_m_s, lobes.TARGET_RANGE_M
    wave = dense_snapshot(uplink, [(1.0, target, 0.0, 0.0)], c_m_s)
    range_m = np.array([4.0, target, 17.0])
    over_range = np.abs(direct_backprojection(uplink, wave, range_m, np.zeros(1), c_m_s))[:, 0] / wave.size
    np.testing.assert_allclose(lobes.sum_over_range(uplink, range_m), over_range, atol=1e-9)  # as above
    first = sector_facts(3.5e9, 2).uplink
    alone = dense_snapshot(first, [(1.0, target, 0.0, 0.0)], c_m_s) * np.array([1.0, 0.0])
    angle_rad = np.array([-0.1, 0.0, 0.03])
    over_angle = np.abs(direct_backprojection(first, alone, np.array([target]), angle_rad, c_m_s))[0] / 49
    np.testing.assert_allclose(lobes.sum_over_elements(first, angle_rad), over_angle, atol=1e-9)


def test_image_of_the_linear_array_is_the_double_sum() -> None:
    pytest.importorskip("matplotlib")
    from deploy.reproduce.circular_images import linear_image  # noqa: PLC0415

    facts, rng, x_m = sector_facts(3.5e9, 4), np.random.default_rng(4), np.linspace(-0.5, 0.5, 6)
    samples = rng.standard_normal((6, 4)) + 1j * rng.standard_normal((6, 4))
    range_m, angle_rad = np.array([3.0, 8.0]), np.array([-0.5, 0.2, 0.9])
    image = linear_image(facts, x_m, samples, range_m, angle_rad)
    for (i, r), (j, theta) in itertools.product(enumerate(range_m), enumerate(angle_rad)):
        path_m = linear_distance_m(x_m, float(r), float(theta))
        wave = np.exp(2j * np.pi / facts.speed_of_light_m_s * np.outer(path_m, facts.uplink.grid.frequency_hz))
        assert image[i, j] == pytest.approx(abs(np.sum(samples * wave)), abs=1e-9)  # as above


def test_all_leaves_out_the_testbed_s_own_figures() -> None:
    assert [entry.name for entry in entries(["testbed-users"])] == ["testbed-users"]
    assert "testbed-users" not in DRAWABLE


def test_users_over_the_wire_share_the_common_sweeps() -> None:
    found = users_over_wire.served(3)
    assert {label: one.fixes for label, one in found.items()} == dict.fromkeys(found, 3)
    assert found["likelihood.2"].sweeps == 2  # both common to all
    assert found["cbs"].sweeps == found["likelihood"].sweeps == 1 + 3  # one common, one each
    assert found["likelihood.2"].error_p99_m < 0.1
