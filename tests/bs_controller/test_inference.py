"""Model files at run time: what they compute against the sum written out, and what is refused."""

import hashlib
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import numpy as np
import pytest

from bs_controller.inference import Model, Runner, sha256_of
from bs_controller.model_metadata import ModelError, ModelMetadata, ModelMismatchError, Output
from protocol.testbed import default_facts
from tests.bs_controller.handmade_onnx import DOUBLE, FLOAT, doubling_model, linear_model

FACTS = default_facts(subcarriers=64, elements=16)
SHAPE = (3, 4)
OUTPUTS = (("range", "m"), ("angle_sine", "1"))
METADATA = ModelMetadata(
    preset="element",
    features="element-3",
    outputs=(Output(name="range", unit="m", scale=0.02, offset=5.0), Output(name="angle_sine", unit="1", scale=5e-4)),
    downlink_digest=FACTS.downlink_digest(),
    training={"steps": 10},
    data_digest="0" * 64,
)
RNG = np.random.default_rng(1)
WEIGHT = RNG.standard_normal((12, 2), dtype=np.float32)
BIAS = RNG.standard_normal(2, dtype=np.float32)
TASKS = Path("/proc/self/task")
FEATURES = RNG.standard_normal((8, *SHAPE), dtype=np.float32)


def written(path: Path, metadata: ModelMetadata = METADATA) -> Path:
    file = path / "model.onnx"
    file.write_bytes(linear_model(WEIGHT, BIAS, SHAPE, metadata.props()))
    return file


def loaded(file: Path) -> Model:
    return Model.load(file, FACTS, features="element-3", outputs=OUTPUTS)


@pytest.mark.parametrize("batch", [0, 1, 2, 8])
def test_predictions_are_the_network_scaled_to_units(tmp_path: Path, batch: int) -> None:
    features = FEATURES[:batch]
    raw = features.reshape(batch, 12).astype(np.float64) @ WEIGHT + BIAS
    predicted = loaded(written(tmp_path)).predict(features)
    assert predicted.dtype == np.float64
    assert predicted.shape == (batch, 2)
    # twelve float32 products of order one: rounding of 1e-7 each
    np.testing.assert_allclose((predicted - [5.0, 0.0]) / [0.02, 5e-4], raw, atol=5e-6)


def test_rows_of_another_array_are_predicted_as_their_copy_is(tmp_path: Path) -> None:
    model = loaded(written(tmp_path))
    assert np.array_equal(model.predict(FEATURES[::2]), model.predict(FEATURES[::2].copy()))


def test_not_a_number_stays_in_its_row(tmp_path: Path) -> None:
    features = FEATURES.copy()
    features[3, 1, 2] = np.nan
    assert np.isnan(loaded(written(tmp_path)).predict(features)).any(axis=1).tolist() == [row == 3 for row in range(8)]


def test_threads_share_a_model(tmp_path: Path) -> None:
    model = loaded(written(tmp_path))
    expected = [model.predict(FEATURES[row : row + 1]) for row in range(8)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda row: model.predict(FEATURES[row % 8 : row % 8 + 1]), range(400)))
    assert all(np.array_equal(one, expected[row % 8]) for row, one in enumerate(found))


@pytest.mark.skipif(not TASKS.exists(), reason="threads are counted where Linux lists them")
def test_model_starts_no_thread_of_its_own(tmp_path: Path) -> None:
    before = {task.name for task in TASKS.iterdir()}
    model = loaded(written(tmp_path))  # kept: its threads would end with it
    model.predict(FEATURES)
    assert {task.name for task in TASKS.iterdir()} <= before


def test_model_says_what_it_is(tmp_path: Path) -> None:
    file = written(tmp_path)
    model = loaded(file)
    assert model.metadata == METADATA
    assert model.shape == SHAPE
    assert model.sha256 == sha256_of(file) == hashlib.sha256(file.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    "features",
    [FEATURES.astype(np.float64), FEATURES[0], FEATURES[:, :2], FEATURES.transpose(0, 2, 1), np.float32(1.0)],
    ids=["float64", "no batch", "channel missing", "axes swapped", "scalar"],
)
def test_features_of_another_kind_are_refused(tmp_path: Path, features: np.ndarray) -> None:
    model = loaded(written(tmp_path))
    with pytest.raises(ValueError, match=r"features: expected float32 of shape \(batch, 3, 4\), got float") as error:
        model.predict(features)
    assert str(error.value).endswith(f"{features.dtype} of shape {features.shape}")


def test_model_for_another_testbed_is_refused_with_file_and_both_digests(tmp_path: Path) -> None:
    file = written(tmp_path)
    other = default_facts(subcarriers=128, elements=16)
    with pytest.raises(ModelMismatchError) as error:
        Model.load(file, other, features="element-3", outputs=OUTPUTS)
    assert str(file) in str(error.value)
    assert f"downlink_digest: {FACTS.downlink_digest()} in the model, {other.downlink_digest()} here" in str(
        error.value
    )


def test_model_for_other_features_is_refused_with_both_versions(tmp_path: Path) -> None:
    with pytest.raises(ModelMismatchError, match="features: element-3 in the model, element-4 here"):
        Model.load(written(tmp_path), FACTS, features="element-4", outputs=OUTPUTS)


def test_network_without_metadata_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    file.write_bytes(linear_model(WEIGHT, BIAS, SHAPE, {"author": "somebody"}))
    with pytest.raises(ModelError, match=rf"{file}: expected metadata named nftestbed\.\*, got author"):
        loaded(file)


def test_metadata_with_more_outputs_than_the_network_are_refused(tmp_path: Path) -> None:
    third = Output(name="delay", unit="s", scale=1e-9)
    file = written(tmp_path, msgspec.structs.replace(METADATA, outputs=(*METADATA.outputs, third)))
    with pytest.raises(ModelError, match="expected a network of 3 outputs, got one of 2"):
        Model.load(file, FACTS, features="element-3", outputs=(*OUTPUTS, ("delay", "s")))


@pytest.mark.parametrize(
    "content",
    [b"", b"garbage" * 100, b"\x08\x07", linear_model(WEIGHT, BIAS, SHAPE, METADATA.props())[:-200]],
    ids=["empty", "garbage", "no graph", "cut off"],
)
def test_file_that_is_no_model_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "model.onnx"
    file.write_bytes(content)
    with pytest.raises(ModelError, match=f"{file}: expected an ONNX model, got {len(content)} bytes"):
        loaded(file)


def test_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="expected a model file, got: No such file or directory"):
        loaded(tmp_path / "model.onnx")


@pytest.mark.parametrize(
    "content",
    [
        doubling_model(DOUBLE, ("batch", 4)),
        doubling_model(FLOAT, ("batch", 3, 4)),
        doubling_model(FLOAT, (1, 4)),
        linear_model(WEIGHT, BIAS, SHAPE, {}, batch=2),
    ],
    ids=["float64", "three axes", "one at a time", "two at a time"],
)
def test_network_of_another_kind_is_refused(content: bytes) -> None:
    with pytest.raises(ModelError, match=r"expected one float32 input \(batch, ...\) and one output \(batch, output\)"):
        Runner(content)


def test_command_and_inference_start_without_torch() -> None:
    script = "import sys, deploy.cli, bs_controller.inference; print(sorted({'torch', 'onnx'} & sys.modules.keys()))"
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"
