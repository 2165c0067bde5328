"""Costs of networks against counts by hand, and against the figures that the paper's table prints."""

import pytest

torch = pytest.importorskip("torch", reason="networks are built with torch, of the train extra")

from torch import nn

from bs_controller.training.counting import Cost, cost, preset_cost
from bs_controller.training.networks import PRESETS, ConvNextPreset


@pytest.mark.parametrize(
    ("layer", "shape", "multiply_adds", "parameters"),
    [
        (nn.Linear(5, 3), (5,), 5 * 3, 5 * 3 + 3),
        (nn.Linear(5, 3, bias=False), (7, 5), 7 * 5 * 3, 5 * 3),
        (nn.Conv1d(4, 6, 3, padding=1), (4, 10), 10 * 6 * 4 * 3, 6 * 4 * 3 + 6),
        (nn.Conv1d(4, 6, 2, stride=2), (4, 10), 5 * 6 * 4 * 2, 6 * 4 * 2 + 6),
        (nn.Conv2d(4, 6, 3), (4, 10, 8), 8 * 6 * 6 * 4 * 9, 6 * 4 * 9 + 6),
        (nn.Conv2d(6, 6, 7, padding=3, groups=6), (6, 8, 8), 64 * 6 * 49, 6 * 49 + 6),
        (nn.LayerNorm(5), (5,), 0, 10),
    ],
    ids=["linear", "linear at 7 places", "1-d", "1-d strided", "2-d", "depthwise", "norm"],
)
def test_layer_costs_what_its_loops_do(
    layer: nn.Module, shape: tuple[int, ...], multiply_adds: int, parameters: int
) -> None:
    assert cost(layer, shape) == Cost(multiply_adds=multiply_adds, parameters=parameters)


def test_small_network_costs_what_is_counted_by_hand() -> None:
    preset = ConvNextPreset(
        shape=(3, 16), widths=(4, 8), depths=(1, 2), stem=2, kernel=3, expansion=2, hidden=5, outputs=2
    )
    stem, half = 8 * 4 * 3 * 2, 4 * 8 * 4 * 2
    blocks = 8 * (4 * 3 + 2 * 4 * 8) + 2 * 4 * (8 * 3 + 2 * 8 * 16)
    assert preset_cost(preset).multiply_adds == stem + half + blocks + 8 * 5 + 5 * 2
    # weights and biases, norms of two per channel, one scale per channel of a block
    block_of_4, block_of_8 = 4 * 3 + 4 + 8 + 4 * 8 + 8 + 8 * 4 + 4 + 4, 8 * 3 + 8 + 16 + 8 * 16 + 16 + 16 * 8 + 8 + 8
    ends = (4 * 3 * 2 + 4 + 8) + (8 + 8 * 4 * 2 + 8) + (16 + 8 * 5 + 5 + 5 * 2 + 2)
    assert preset_cost(preset).parameters == ends + block_of_4 + 2 * block_of_8


def test_layer_that_runs_twice_costs_twice_but_holds_its_parameters_once() -> None:
    layer = nn.Linear(4, 4)
    assert cost(nn.Sequential(layer, nn.ReLU(), layer), (4,)) == Cost(multiply_adds=32, parameters=20)


def test_decoder_that_localization_does_not_reach_does_not_count() -> None:
    # encoder and head written out; the decoder would add 56 548 parameters
    encoder = 9 * (4 * 32 + 32 * 64 + 64 * 64) + 32 + 64 + 64
    assert preset_cost(PRESETS["chisel-like-1"]).parameters == encoder + 9 * (64 * 64 + 64 * 96) + 64 + 96 + 2 * 96 + 2


def test_counting_leaves_the_network_as_it_was() -> None:
    torch.manual_seed(1)
    network = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    cost(network.eval(), (4,))
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert not network[0]._forward_hooks


def test_layer_whose_matrix_would_be_missed_is_refused() -> None:
    with pytest.raises(
        TypeError, match="expected matrices in Conv1d, Conv2d and Linear only, got one in ConvTranspose1d"
    ):
        cost(nn.ConvTranspose1d(4, 4, 2), (4, 10))


@pytest.mark.parametrize(
    ("name", "millions"),
    # [CBS, Table I] prints 1.26 and 4.98 "M" for S and L: thousands of these, with what else its authors counted
    [("convnext-element", 2.3), ("paper-micro", 9.1), ("paper-atto", 44.8), ("paper-S", 1253.9), ("paper-L", 4974.0)],
)
def test_preset_takes_this_many_million_multiply_adds(name: str, millions: float) -> None:
    assert preset_cost(PRESETS[name]).multiply_adds / 1e6 == pytest.approx(millions, abs=0.05)  # as printed


@pytest.mark.parametrize(
    ("name", "millions"),
    [("convnext-element", 0.25), ("paper-micro", 0.67), ("paper-atto", 3.38), ("paper-S", 87.57), ("paper-L", 348.16)],
)
def test_preset_holds_this_many_million_parameters(name: str, millions: float) -> None:
    assert preset_cost(PRESETS[name]).parameters / 1e6 == pytest.approx(millions, abs=0.005)  # as printed


def test_small_paper_network_of_the_text_is_cheaper_than_that_of_the_table() -> None:
    of_text = preset_cost(PRESETS["paper-S-text"])
    assert of_text.multiply_adds / 1e6 == pytest.approx(957.6, abs=0.05)
    assert of_text.parameters / 1e6 == pytest.approx(66.9, abs=0.05)
