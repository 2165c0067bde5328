"""Which models the scheme `network` takes: those that were made for this testbed, these features and these outputs."""

from pathlib import Path

import msgspec
import pytest

from bs_controller.model_metadata import ModelError, ModelMismatchError, Output
from bs_controller.models import shipped_model
from bs_controller.schemes import Network, NetworkOptions, scheme_from_options
from bs_controller.schemes.network import REPRESENTATION_OF_PLAN
from tests.bs_controller.handmade_onnx import constant_model
from tests.bs_controller.hearing import FACTS
from tests.bs_controller.trained import metadata_of, model_file

PLANS = ("angle_range", "pair")
OTHERS: dict[str, tuple[dict[str, object], str, str]] = {
    "testbed": ({"downlink_digest": "f" * 64}, "f" * 64, FACTS.downlink_digest()),
    "features": ({"features": "element-999"}, "element-999", "element-1"),
    "outputs": (
        {"outputs": (Output(name="range", unit="m", scale=1.0),) * 4},
        r"range \[m\]",
        r"range_correction \[1\]",
    ),
}


@pytest.mark.parametrize("what", OTHERS)
def test_model_made_for_something_else_is_refused_with_both_values(tmp_path: Path, what: str) -> None:
    changes, theirs, ours = OTHERS[what]
    path = model_file(tmp_path, metadata_of("angle_range", **changes))
    with pytest.raises(ModelMismatchError, match=f"{path}.*{theirs}.* in the model, {ours}.* here"):
        scheme_from_options(NetworkOptions(model=str(path)), FACTS)


def test_model_of_the_other_plan_is_refused(tmp_path: Path) -> None:
    path = model_file(tmp_path, metadata_of("angle_range"))
    with pytest.raises(ModelMismatchError, match="features: element-1 in the model, pair-1 here"):
        scheme_from_options(NetworkOptions(plan="pair", model=str(path)), FACTS)


def test_model_of_other_inputs_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(constant_model((0, 0, 0, 0), (3, 4), metadata_of("angle_range").props()))
    with pytest.raises(ModelMismatchError, match=r"expected a network of inputs \(9, 128\), got one of \(3, 4\)"):
        scheme_from_options(NetworkOptions(model=str(path)), FACTS)


def test_model_that_is_not_shipped_is_named() -> None:
    with pytest.raises(ModelError, match=r"nowhere\.onnx: expected the model shipped for 'nowhere', got no such file"):
        shipped_model("nowhere")


@pytest.mark.parametrize("plan", PLANS)
def test_plan_without_a_model_of_its_own_takes_the_shipped_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plan: str
) -> None:
    monkeypatch.setattr("bs_controller.models._FOLDER", tmp_path)
    options = msgspec.convert({"scheme": "network", "plan": plan}, NetworkOptions)
    shipped = tmp_path / f"{REPRESENTATION_OF_PLAN[plan]}.onnx"
    with pytest.raises(ModelError, match=f"{shipped}: expected the model shipped for"):
        scheme_from_options(options, FACTS)
    model_file(tmp_path, metadata_of(plan), plan=plan).rename(shipped)
    assert isinstance(scheme_from_options(options, FACTS), Network)
