"""The card of a model: what it says of a file and of the studies that were run with it."""

import msgspec
import pytest

from bs_controller.model_metadata import ModelMetadata, Output
from bs_controller.schemes import CbsOptions, LikelihoodOptions, NetworkOptions
from deploy.error_calibration import Calibration
from deploy.model_card import Timing, card_text, schemes_with
from deploy.statistics import ErrorSummary, Interval
from deploy.study_store import SummaryRow

METADATA = ModelMetadata(
    preset="convnext-element",
    features="element-1",
    outputs=(Output(name="range_correction", unit="1", scale=1.0),),
    downlink_digest="a" * 64,
    training={"seed": 1, "steps": 300, "multiply_adds": 2270000},
    data_digest="b" * 64,
)
TIMING = Timing(input_ms=0.5, one_ms=0.2, of_64_ms=8.0)


def row(scheme: str, snr_db: int, rmse_m: float, ratio: float | None = 1.25) -> SummaryRow:
    errors = ErrorSummary(
        n=2000,
        failures=0,
        error_rmse_m=rmse_m,
        error_rmse_interval_m=Interval(low=0.9 * rmse_m, high=1.1 * rmse_m),
        error_median_m=rmse_m / 2,
        error_p99_m=3 * rmse_m,
        outlier_rate=0.001,
        outlier_rate_interval=Interval(low=0.0, high=0.01),
    )
    axes: dict[str, object] = {"downlink_noise.snr_db": snr_db, "downlink_noise.mode": "sweep_mean"}
    return SummaryRow(
        cell=0, axes=axes, scheme=scheme, errors=errors, calibration=Calibration(error_ratio=ratio, nees=1.1)
    )


def test_card_names_the_file_its_training_and_its_errors_beside_the_bound() -> None:
    rows = [row("network(model=/a/b.onnx)", 0, 2e-3), row("likelihood", 10, 1.23456e-3, None)]
    card = card_text(METADATA, "c" * 64, 1_030_000, TIMING, {"network": rows})
    assert card.startswith("# convnext-element\n\nSHA-256 `" + "c" * 64 + "`, 1.03 MB.")
    assert "seed 1, steps 300, multiply_adds 2270000. Data: `" + "b" * 64 in card
    assert "64 inputs at once 8.0 ms, 1600 fixes/s" in card  # 64 inputs of 0.5 ms and one batch of 8 ms
    assert "### network\n\nmode" in card.replace("downlink_noise.mode", "mode")
    assert "| 0 | network | 2000 | 2.00 [1.80, 2.20] | 1.00 | 6.00 | 0.1 % | 1.60 | 1.10 |" in card
    assert "| 10 | likelihood | 2000 | 1.23 [1.11, 1.36] | 0.617 | 3.70 | 0.1 % | - | 1.10 |" in card
    assert "## Not trained on" in card


@pytest.mark.parametrize(
    ("label", "shown"),
    [
        ("network(model=/a/b.onnx, refine=True)", "network(refine=True)"),
        ("network(plan=pair, model=/a/b.onnx)", "network(plan=pair)"),
        ("likelihood(plan=pair)", "likelihood(plan=pair)"),
    ],
)
def test_card_does_not_tell_where_the_file_lies(label: str, shown: str) -> None:
    card = card_text(METADATA, "c" * 64, 1, TIMING, {"network": [row(label, 0, 1.0)]})
    assert f"| {shown} |" in card
    assert "/a/b" not in card


def test_studies_of_a_model_have_the_schemes_of_its_plan_with_this_model() -> None:
    schemes = (
        NetworkOptions(),
        LikelihoodOptions(),
        NetworkOptions(plan="pair"),
        LikelihoodOptions(plan="pair"),
        CbsOptions(),
    )
    changed = msgspec.structs.replace(schemes[0], model="/m.onnx")
    assert schemes_with("/m.onnx", "angle_range", schemes) == (changed, schemes[1], schemes[4])
    pair = msgspec.structs.replace(schemes[2], model="/m.onnx")
    assert schemes_with("/m.onnx", "pair", schemes) == (pair, schemes[3], schemes[4])
