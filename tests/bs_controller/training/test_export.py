"""Exported networks: what their files compute against torch, at any batch, and what is not exported."""

import copy
import logging
from pathlib import Path

import msgspec
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="networks are exported with torch, of the train extra")

from torch import nn

from bs_controller.inference import Model, Runner
from bs_controller.model_metadata import ModelError, ModelMetadata, Output
from bs_controller.training import export as exporting
from bs_controller.training.counting import preset_cost
from bs_controller.training.export import OPSET, PARITY, ExportError, export
from bs_controller.training.networks import PRESETS, ConvNextPreset, Preset, build
from protocol.testbed import default_facts

FACTS = default_facts(subcarriers=64, elements=16)
OUTPUTS = (("range", "m"), ("angle_sine", "1"))
METADATA = ModelMetadata(
    preset="small",
    features="element-3",
    outputs=(Output(name="range", unit="m", scale=0.02, offset=5.0), Output(name="angle_sine", unit="1", scale=5e-4)),
    downlink_digest=FACTS.downlink_digest(),
    training={"steps": 0, "rate": 2e-3},
    data_digest="0" * 64,
)
# an even kernel, a hidden layer and two stages: all that a file may hold
SMALL = ConvNextPreset(shape=(3, 16), widths=(4, 8), depths=(1, 1), stem=2, kernel=4, hidden=6)


def seeded(preset: Preset) -> nn.Module:
    torch.manual_seed(1)
    return build(preset)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "small.onnx"
    export(seeded(SMALL), path, shape=SMALL.shape, metadata=METADATA)
    return path


@pytest.fixture(scope="module")
def linear() -> nn.Module:
    torch.manual_seed(2)
    return nn.Sequential(nn.Flatten(), nn.Linear(6, 2))


@pytest.fixture(scope="module")
def linear_content(linear: nn.Module) -> bytes:
    return exporting._onnx_content(linear, (2, 3), {})


@pytest.mark.parametrize("batch", [1, 2, 3, 8, 100])
def test_file_computes_what_torch_does_at_any_batch(small: Path, batch: int) -> None:
    model = Model.load(small, FACTS, features="element-3", outputs=OUTPUTS)
    features = np.random.default_rng(batch).standard_normal((batch, *SMALL.shape), dtype=np.float32)
    with torch.no_grad():
        raw = seeded(SMALL)(torch.from_numpy(features)).numpy()
    assert model.predict(features) == pytest.approx(raw * [0.02, 5e-4] + [5.0, 0.0], abs=PARITY * 0.02)


def test_file_says_what_its_metadata_do_and_no_more(small: Path) -> None:
    assert Runner(small.read_bytes()).props == METADATA.props()


def test_file_names_nothing_of_the_machine_that_wrote_it(small: Path) -> None:
    content = small.read_bytes()
    package = Path(exporting.__file__).parents[1]
    assert str(package).encode() not in content
    assert b".py" not in content
    assert len(content) < 4 * preset_cost(SMALL).parameters + 8000  # weights, and 35 nodes with names of 100 bytes


def test_same_network_gives_the_same_file(linear: nn.Module, linear_content: bytes) -> None:
    assert exporting._onnx_content(linear, (2, 3), {}) == linear_content


def test_file_stands_alone_in_its_folder(small: Path) -> None:
    assert list(small.parent.iterdir()) == [small]


def test_file_has_the_operators_that_are_fast(small: Path) -> None:
    onnx = pytest.importorskip("onnx", reason="the file is read with onnx, of the train extra")
    model = onnx.load(small)
    operators = [node.op_type for node in model.graph.node]
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", OPSET)]
    assert (operators.count("Gelu"), operators.count("LayerNormalization")) == (3, 5)


def test_exporting_says_nothing_and_leaves_the_network_training(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    network = nn.Sequential(nn.Flatten(), nn.Dropout(), nn.Linear(6, 2)).train()
    export(network, tmp_path / "linear.onnx", shape=(2, 3), metadata=METADATA)
    assert capfd.readouterr() == ("", "")
    assert [record for record in caplog.records if record.levelno > logging.DEBUG] == []
    assert network.training
    assert all(layer.training for layer in network)


def test_network_with_other_outputs_than_its_metadata_is_not_exported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, linear: nn.Module, linear_content: bytes
) -> None:
    monkeypatch.setattr(exporting, "_onnx_content", lambda *_: linear_content)
    metadata = msgspec.structs.replace(METADATA, outputs=METADATA.outputs[:1])
    with pytest.raises(ExportError, match=r"expected a network from \(2, 3\) to 1 outputs, got one from \(2, 3\) to 2"):
        export(linear, tmp_path / "linear.onnx", shape=(2, 3), metadata=metadata)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("change", [3e-5, float("nan")])
def test_file_that_computes_something_else_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, linear: nn.Module, linear_content: bytes, change: float
) -> None:
    monkeypatch.setattr(exporting, "_onnx_content", lambda *_: linear_content)
    changed = copy.deepcopy(linear)
    with torch.no_grad():
        changed[1].bias[0] += change  # all outputs by three times what is allowed
    with pytest.raises(ExportError, match=r"expected torch's outputs within 1\..e-05 at batch 1, got .* off"):
        export(changed, tmp_path / "linear.onnx", shape=(2, 3), metadata=METADATA)
    assert list(tmp_path.iterdir()) == []


def test_metadata_that_would_be_refused_are_not_exported(tmp_path: Path) -> None:
    metadata = msgspec.structs.replace(METADATA, features="")
    with pytest.raises(ModelError, match='field features: expected a name of 1 to 64 characters, got ""'):
        export(seeded(SMALL), tmp_path / "small.onnx", shape=SMALL.shape, metadata=metadata)


@pytest.mark.long
@pytest.mark.parametrize("name", ["convnext-element", "paper-micro", "paper-atto", "chisel-like-1"])
def test_preset_is_exported_and_runs(tmp_path: Path, name: str) -> None:
    preset, path = PRESETS[name], tmp_path / "model.onnx"
    export(seeded(preset), path, shape=preset.shape, metadata=METADATA)  # which compares with torch's outputs
    model = Model.load(path, FACTS, features="element-3", outputs=OUTPUTS)
    assert model.predict(np.zeros((5, *preset.shape), dtype=np.float32)).shape == (5, 2)
