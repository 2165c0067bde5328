"""What a network costs: multiply-adds of its convolutions and linear layers, and its parameters. Nothing is computed."""

import copy
from dataclasses import dataclass

import torch
from torch import nn

from bs_controller.training.networks import Preset, build

_COUNTED = (nn.Conv1d, nn.Conv2d, nn.Linear)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Multiply-adds for one input, and parameters that take part in them; biases, norms and activations are free.

    [CBS, Table I] calls multiply-adds FLOPs, and prints M where it counts thousands of millions.
    """

    multiply_adds: int
    parameters: int


def preset_cost(preset: Preset) -> Cost:
    """Return the cost of a preset's network, without memory for its weights."""
    with torch.device("meta"):
        network = build(preset)
    return cost(network, preset.shape)


def cost(network: nn.Module, shape: tuple[int, ...]) -> Cost:
    """Return the cost of one input of `shape`, without the batch. What the forward pass does not reach does not count.

    Raises
    ------
    TypeError
        If a layer of another kind holds a matrix: its multiply-adds would be missed.
    """
    twin = copy.deepcopy(network).to("meta")  # has shapes, not values; the hooks go with it
    multiply_adds: list[int] = []
    parameters: dict[int, int] = {}  # by identity: weights that are shared count once

    def note(module: nn.Module, _inputs: object, output: torch.Tensor) -> None:
        own = list(module.parameters(recurse=False))
        parameters.update({id(parameter): parameter.numel() for parameter in own})
        if isinstance(module, _COUNTED):
            multiply_adds.append(output.numel() * module.weight[0].numel())
        elif any(parameter.ndim > 1 for parameter in own):
            raise TypeError(f"expected matrices in Conv1d, Conv2d and Linear only, got one in {type(module).__name__}")

    for module in twin.modules():
        module.register_forward_hook(note)
    with torch.no_grad():
        twin(torch.zeros(1, *shape, device="meta"))
    return Cost(multiply_adds=sum(multiply_adds), parameters=sum(parameters.values()))
