"""The networks: shapes, what each block does, and their symmetries."""

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy.special import erf

torch = pytest.importorskip("torch", reason="networks are built with torch, of the train extra")

from bs_controller.training.networks import (
    PRESETS,
    Block,
    ChannelNorm,
    ChiselLike,
    ChiselPreset,
    ConvNextPreset,
    build,
)

Floats = npt.NDArray[np.float64]

LINE = ConvNextPreset(shape=(3, 32), widths=(4, 8), depths=(1, 1), stem=2, outputs=5)
IMAGE = ConvNextPreset(shape=(3, 16, 32), widths=(4, 8), depths=(1, 1), stem=2, outputs=5)
SMALL_CHISEL = ChiselPreset(shape=(4, 16, 24), outputs=5)


@pytest.mark.parametrize("name", PRESETS)
def test_preset_maps_a_batch_of_its_shape_to_its_outputs(name: str) -> None:
    preset = PRESETS[name]
    with torch.device("meta"):
        outputs = build(preset)(torch.zeros(3, *preset.shape))
    assert outputs.shape == (3, 2)


@pytest.mark.parametrize("preset", [LINE, IMAGE, SMALL_CHISEL], ids=["line", "image", "chisel"])
def test_rows_of_a_batch_do_not_touch_each_other(preset: ConvNextPreset | ChiselPreset) -> None:
    torch.manual_seed(1)
    network, batch = build(preset), torch.randn(4, *preset.shape)
    with torch.no_grad():
        together, alone = network(batch), torch.cat([network(batch[row : row + 1]) for row in range(4)])
    assert together.shape == (4, 5)
    torch.testing.assert_close(together, alone, atol=1e-6, rtol=0)  # float32 sums of order one, in another order


@pytest.mark.parametrize("preset", [LINE, IMAGE, SMALL_CHISEL], ids=["line", "image", "chisel"])
def test_same_seed_builds_the_same_network(preset: ConvNextPreset | ChiselPreset) -> None:
    def weights() -> list[object]:
        torch.manual_seed(2)
        return list(build(preset).state_dict().values())

    assert all(torch.equal(one, other) for one, other in zip(weights(), weights(), strict=True))


def block_written_out(block: Block, x: Floats, kernel: int) -> Floats:
    """The block's output, place by place: taps, normalisation, two matrices, scale, sum. A depthwise tap is ``(width,)``."""
    weights = {name: value.detach().numpy() for name, value in block.named_parameters()}
    taps = next(value for name, value in weights.items() if name.startswith("places") and value.ndim > 1)
    bias = next(value for name, value in weights.items() if name.startswith("places") and value.ndim == 1)
    (batch, _, *places), expected = x.shape, x.copy()
    for row, *place in np.ndindex(batch, *places):
        mixed = bias.copy()
        for tap in np.ndindex(*(kernel,) * len(places)):
            seen = np.array(place) + tap - (kernel - 1) // 2
            if (seen >= 0).all() and (seen < places).all():
                mixed += taps[:, 0, *tap] * x[row, :, *seen]
        normed = (mixed - mixed.mean()) / np.sqrt(mixed.var() + 1e-6)
        wide = weights["channels.0.weight"] @ normed + weights["channels.0.bias"]
        curved = wide * (1 + erf(wide / np.sqrt(2))) / 2
        narrow = weights["channels.2.weight"] @ curved + weights["channels.2.bias"]
        expected[row, :, *place] += weights["scale"] * narrow
    return expected


@pytest.mark.parametrize(("axes", "kernel"), [(1, 7), (1, 8), (2, 7), (2, 8)])
def test_block_is_the_sum_that_its_layers_write_out(axes: int, kernel: int) -> None:
    torch.manual_seed(3)
    block, x = Block(axes, 3, kernel, 3).double(), torch.randn(2, 3, *(6, 5)[:axes], dtype=torch.float64)
    expected = block_written_out(block, x.numpy(), kernel)
    np.testing.assert_allclose(block(x).detach().numpy(), expected, atol=1e-13)  # float64 rounding


def test_blocks_start_as_small_corrections() -> None:
    assert torch.equal(Block(1, 3, 7, 4).scale.detach(), torch.full((3,), 0.1))


def test_channel_norm_leaves_no_mean_and_unit_variance_at_each_place() -> None:
    torch.manual_seed(4)
    normed = ChannelNorm(16)(5 + 3 * torch.randn(2, 16, 7, 6)).detach()
    torch.testing.assert_close(normed.mean(1), torch.zeros(2, 7, 6), atol=1e-6, rtol=0)  # float32 rounding
    torch.testing.assert_close(normed.var(1, unbiased=False), torch.ones(2, 7, 6), atol=1e-5, rtol=0)


def test_element_network_sees_all_places_of_all_channels() -> None:
    torch.manual_seed(5)
    features = torch.randn(1, 9, 128, requires_grad=True)
    build(PRESETS["convnext-element"])(features).sum().backward()
    assert features.grad is not None
    assert (features.grad != 0).all()


def test_encoder_halves_twice_and_decoder_gives_the_image_back_in_shape() -> None:
    network, image = ChiselLike(SMALL_CHISEL), torch.zeros(2, 4, 16, 24)
    assert network.encoder(image).shape == (2, 64, 4, 6)
    assert network.reconstructed(image).shape == image.shape


def test_frozen_encoder_stays_while_the_head_learns() -> None:
    torch.manual_seed(6)
    network = ChiselLike(SMALL_CHISEL)
    network.encoder.requires_grad_(False)
    network(torch.randn(2, 4, 16, 24)).square().sum().backward()
    assert all(parameter.grad is None for parameter in (*network.encoder.parameters(), *network.decoder.parameters()))
    assert all(parameter.grad.any() for parameter in network.head.parameters())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shape": (128,)}, r"shape must be \(channel, place\) or \(channel, row, column\), got \(128,\)"),
        ({"depths": (1,)}, r"each stage needs a width and a depth, got \(4, 8\) and \(1,\)"),
        ({"widths": (), "depths": ()}, "each stage needs a width and a depth"),
        ({"kernel": 0}, "all sizes but hidden must be at least 1"),
        ({"hidden": -1}, "all sizes but hidden must be at least 1"),
        ({"shape": (3, 30)}, r"each axis must be a multiple of 4 places, got \(30,\)"),
    ],
)
def test_sizes_that_make_no_network_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(LINE, **change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"width_multiple": 0}, "all sizes must be at least 1"),
        ({"shape": (4, 12, 16)}, "must be a multiple of 8 places"),
    ],
)
def test_sizes_that_make_no_autoencoder_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(SMALL_CHISEL, **change)
