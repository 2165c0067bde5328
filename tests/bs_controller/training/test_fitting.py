"""Fits: what they learn, that they go on as if they had not been stopped, and what they refuse."""

import math
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pytest

torch = pytest.importorskip("torch", reason="networks are trained with torch, of the train extra")

from torch import nn

from bs_controller.training.fitting import CheckpointError, Fit, FitConfiguration, learning_rate, weighted_likelihood
from bs_controller.training.networks import PRESETS, ChiselLike, ChiselPreset, ConvNextPreset

Features = npt.NDArray[np.float32]

SMALL = ConvNextPreset(shape=(2, 8), widths=(8,), depths=(1,), stem=2, kernel=3, hidden=8, outputs=4)
CONFIGURATION = FitConfiguration(seed=3, steps=300, batch=64, warm_up_steps=20, batches="means of noise")


def batch(step: int, shape: tuple[int, ...] = (2, 8)) -> tuple[Features, Features]:
    """Return noise, and targets around 1 and -2 with deviations of 0.1 and 0.4, which a network can but state."""
    rng = np.random.default_rng((7, step))
    features = rng.standard_normal((64, *shape)).astype(np.float32)
    return features, rng.normal((1.0, -2.0), (0.1, 0.4), size=(64, 2)).astype(np.float32)


def fitted(steps: int, configuration: FitConfiguration = CONFIGURATION) -> Fit:
    fit = Fit(SMALL, configuration, "cpu")
    for step in range(steps):
        fit.step(*batch(step))
    return fit


def test_fit_learns_means_and_their_deviations() -> None:
    outputs = fitted(300).outputs(batch(1000)[0])
    # a batch of 64 tells a mean to an eighth of the deviation, and the averaged weights are still on their way
    assert outputs[:, :2].mean(axis=0) == pytest.approx([1.0, -2.0], abs=0.1)
    assert np.exp(outputs[:, 2:]).mean(axis=0) == pytest.approx([0.1, 0.4], rel=0.3)


def test_stopped_fit_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    whole, half = fitted(40), fitted(25)
    half.keep(tmp_path / "fit")
    again = Fit(SMALL, CONFIGURATION, "cpu")
    again.resume(tmp_path / "fit")
    for step in range(25, 40):
        again.step(*batch(step))
    features = batch(1000)[0]
    assert again.done == whole.done == 40
    assert np.array_equal(again.outputs(features), whole.outputs(features))  # bit by bit on one machine
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fit"]


def test_equal_seeds_fit_equal_networks_and_others_do_not() -> None:
    features = batch(1000)[0]
    first, second = fitted(5).outputs(features), fitted(5).outputs(features)
    other = fitted(5, msgspec.structs.replace(CONFIGURATION, seed=4)).outputs(features)
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)


def test_length_that_the_pace_gives_changes_nothing_of_the_warm_up(tmp_path: Path) -> None:
    unknown = msgspec.structs.replace(CONFIGURATION, steps=10**6)
    fit = fitted(15, unknown)
    fit.plan(300)
    assert np.array_equal(fit.outputs(batch(1000)[0]), fitted(15).outputs(batch(1000)[0]))
    fit.keep(tmp_path / "fit")
    again = Fit(SMALL, unknown, "cpu")
    again.resume(tmp_path / "fit")
    assert again.configuration.steps == 300
    with pytest.raises(ValueError, match="expected a length before step 20, got it at 21"):
        fitted(21).plan(400)


def test_fit_goes_on_with_no_other_batches_and_from_no_other_file(tmp_path: Path) -> None:
    path = tmp_path / "fit"
    fitted(1).keep(path)
    other = Fit(SMALL, msgspec.structs.replace(CONFIGURATION, batches="others"), "cpu")
    with pytest.raises(
        CheckpointError, match=r"expected a fit with .*batches='others'.*, got one with .*means of noise"
    ):
        other.resume(path)
    larger = Fit(ConvNextPreset(shape=(2, 8), widths=(9,), depths=(1,), stem=2, outputs=4), CONFIGURATION, "cpu")
    with pytest.raises(CheckpointError, match=r"expected a kept fit of this network, got: Error.* for ConvNext:$"):
        larger.resume(path)
    path.write_bytes(b"torn")
    with pytest.raises(CheckpointError, match="expected a kept fit of this network"):
        Fit(SMALL, CONFIGURATION, "cpu").resume(path)


def test_device_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected the device cpu.*, got tpu"):
        Fit(SMALL, CONFIGURATION, "tpu")


def test_rate_rises_then_falls_to_a_hundredth() -> None:
    rates = [learning_rate(CONFIGURATION, step) for step in range(301)]
    assert rates[0] == pytest.approx(2e-3 / 20)
    assert max(rates) == rates[20] == pytest.approx(2e-3)
    assert rates[160] == pytest.approx(2e-3 * 0.505)
    assert rates[300] == pytest.approx(2e-5)


def test_loss_is_that_of_its_formula() -> None:
    outputs = torch.tensor([[0.3, -0.2, math.log(0.5), math.log(2.0)]], dtype=torch.float64)
    targets = torch.tensor([[0.8, -30.2]], dtype=torch.float64)
    near = 0.5 * (0.5 / 0.5) ** 2 + math.log(0.5)
    far = 5 * (30.0 / 2 - 2.5) + math.log(2.0)  # beyond five deviations linear
    expected = (0.5 * near + 2.0 * far) / 2
    assert float(weighted_likelihood(outputs, targets, CONFIGURATION)) == pytest.approx(expected, rel=1e-12)


def test_encoder_is_fitted_to_reproduce_its_input_and_stays_then() -> None:
    preset, configuration = ChiselPreset(shape=(2, 8, 8), outputs=4), msgspec.structs.replace(CONFIGURATION, steps=10)
    fit = Fit(preset, configuration, "cpu")
    network = fit._network
    assert isinstance(network, ChiselLike)

    def weights(part: nn.Module) -> list[Any]:
        return [parameter.detach().clone() for parameter in part.parameters()]

    head = weights(network.head)
    for step in range(3):
        fit.step(*batch(step, (2, 8, 8)))
    encoder = weights(network.encoder)
    assert all(torch.equal(one, other) for one, other in zip(weights(network.head), head, strict=True))
    for step in range(3, 6):
        fit.step(*batch(step, (2, 8, 8)))
    assert all(torch.equal(one, other) for one, other in zip(weights(network.encoder), encoder, strict=True))
    assert not all(torch.equal(one, other) for one, other in zip(weights(network.head), head, strict=True))


def test_presets_are_trained_for_what_their_representations_show() -> None:
    assert PRESETS["convnext-element"].shape == (9, 128)
    assert PRESETS["convnext-pair"].shape == (15, 128)
