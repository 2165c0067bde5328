"""Fitting a network to batches: the loss, the optimiser and its schedule, the averaged weights, and where it stands.

The first two outputs are means, in units of the corrections they stand for, the other two natural logarithms of the
deviations of the first two. What a fit does depends on its configuration, the batches and the machine alone: it may be
stopped between any two steps and goes on as if it had not been.
"""

import math
import os
import pickle  # noqa: TID251 - for the name of an error alone
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from bs_controller.representations import LOG_DEVIATION_LIMITS
from bs_controller.training.networks import ChiselLike, Preset, build

Features = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]

# What torch raises for a file that is cut short, or is none of its own.
_TORN = (OSError, EOFError, LookupError, pickle.UnpicklingError)


class FitConfiguration(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How a network is fitted.

    The rate rises for `warm_up_steps`, then falls along a cosine to a hundredth of itself at `steps`. `averaging` is the share
    that averaged weights, which are those that count, keep of themselves at each step. `deviation_weight`: the gradient of the
    means is weighted with this power of twice the deviation, so that 0 is a likelihood, which neglects what it finds hard,
    and 1 a squared error. Beyond `largest_deviations` errors count linearly. Of a network with a decoder this share of
    all steps trains it to reproduce its input first. `batches` names what the batches are: a fit goes on with no others.
    """

    seed: int
    steps: int
    batches: str = ""
    batch: int = 128
    learning_rate: float = 2e-3
    warm_up_steps: int = 100
    weight_decay: float = 0.01
    averaging: float = 0.999
    largest_gradient: float = 1.0
    deviation_weight: float = 0.5
    largest_deviations: float = 5.0
    decoder_share: float = 0.3


class CheckpointError(Exception):
    """A fit cannot go on from a file; the text says what was expected and what came."""


class Fit:
    """A network on its way; `step` moves it on by one batch.

    Torch's random numbers are seeded here; nothing else in the process should draw any.

    Raises
    ------
    ValueError
        If torch cannot compute on the device.
    """

    def __init__(self, preset: Preset, configuration: FitConfiguration, device: str) -> None:
        self.configuration, self.done, self._device = configuration, 0, usable_device(device)
        torch.manual_seed(configuration.seed)
        self._network = build(preset).to(self._device)
        self._averaged = AveragedModel(self._network, avg_fn=averaging(configuration.averaging))
        self._optimiser = torch.optim.AdamW(
            self._network.parameters(), lr=configuration.learning_rate, weight_decay=configuration.weight_decay
        )

    @property
    def network(self) -> nn.Module:
        """Return the network with averaged weights, to be evaluated or exported."""
        averaged: nn.Module = self._averaged.module
        return averaged.eval()

    def plan(self, steps: int) -> None:
        """Let the fit end after so many steps; not after the warm-up, where the rate begins to depend on it."""
        if self.done > self.configuration.warm_up_steps:
            raise ValueError(f"expected a length before step {self.configuration.warm_up_steps}, got it at {self.done}")
        self.configuration = msgspec.structs.replace(self.configuration, steps=steps)

    def step(self, features: Features, targets: Features) -> float:
        """Take one step on a batch, ``(sample, *shape)`` and ``(sample, 2)``, and return its loss."""
        rate = learning_rate(self.configuration, self.done)
        for group in self._optimiser.param_groups:
            group["lr"] = rate
        self._network.train()
        shown, wanted = torch.from_numpy(features).to(self._device), torch.from_numpy(targets).to(self._device)
        loss = self._loss(shown, wanted)
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self._network.parameters(), self.configuration.largest_gradient)
        self._optimiser.step()
        self._averaged.update_parameters(self._network)
        self.done += 1
        return float(loss.detach())

    def outputs(self, features: Features, batch: int = 256) -> Floats:
        """Return what the averaged network says of features, ``(sample, output)``."""
        parts, network = [], self.network
        with torch.no_grad():
            for first in range(0, len(features), batch):
                shown = torch.from_numpy(features[first : first + batch]).to(self._device)
                parts.append(network(shown).cpu().numpy().astype(np.float64))
        return np.concatenate(parts)

    def _loss(self, features: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        configuration = self.configuration
        if isinstance(self._network, ChiselLike):
            if self.done < configuration.decoder_share * configuration.steps:
                return nn.functional.mse_loss(self._network.reconstructed(features), features)
            with torch.no_grad():
                encoded = self._network.encoder(features)
            return weighted_likelihood(self._network.head(encoded), targets, configuration)
        return weighted_likelihood(self._network(features), targets, configuration)

    def keep(self, path: Path) -> None:
        """Write all that going on needs, whole or not at all."""
        state = {
            "configuration": msgspec.to_builtins(self.configuration),
            "done": self.done,
            "network": self._network.state_dict(),
            "averaged": self._averaged.state_dict(),
            "optimiser": self._optimiser.state_dict(),
        }
        partial = path.with_name(f"{path.name}.{os.getpid()}")
        torch.save(state, partial)
        partial.replace(path)

    def resume(self, path: Path) -> None:
        """Go on from a file that `keep` wrote.

        Raises
        ------
        CheckpointError
            If it is none, or of another network or configuration; the number of steps is the file's.
        """
        try:
            state: Mapping[str, Any] = torch.load(path, map_location=self._device, weights_only=True)
            kept = msgspec.convert(state["configuration"], FitConfiguration)
            wanted = msgspec.structs.replace(self.configuration, steps=kept.steps)
            if kept != wanted:
                raise CheckpointError(f"{path}: expected a fit with {wanted}, got one with {kept}")
            self._network.load_state_dict(state["network"])
            self._averaged.load_state_dict(state["averaged"])
            self._optimiser.load_state_dict(state["optimiser"])
            self.configuration, self.done = kept, int(state["done"])
        except (*_TORN, RuntimeError, ValueError) as error:
            came = str(error).partition("\n")[0]  # torch goes on with every weight
            raise CheckpointError(f"{path}: expected a kept fit of this network, got: {came}") from error


def usable_device(name: str) -> torch.device:
    """Return a device by its name, ``cpu`` or ``cuda``, and make torch repeat itself there as far as it can.

    Raises
    ------
    ValueError
        If there is no such device.
    """
    if name != "cpu" and not (name == "cuda" and torch.cuda.is_available()):
        raise ValueError(
            f"expected the device cpu{' or cuda' if torch.cuda.is_available() else ' of this torch'}, got {name}"
        )
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it torch refuses matrix products there
    torch.use_deterministic_algorithms(
        True, warn_only=name != "cpu"
    )  # some gradients of pooling have but one way there
    return torch.device(name)


def learning_rate(configuration: FitConfiguration, step: int) -> float:
    """Return the rate of a step, counted from zero."""
    if step < configuration.warm_up_steps:
        return configuration.learning_rate * (step + 1) / configuration.warm_up_steps
    left = max(configuration.steps - configuration.warm_up_steps, 1)
    share = min((step - configuration.warm_up_steps) / left, 1.0)
    return configuration.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * share)))


def averaging(largest_share: float) -> Callable[[torch.Tensor, torch.Tensor, torch.Tensor | int], torch.Tensor]:
    """Return how weights are averaged: over the last tenth of all steps at first, later over a fixed number of them."""

    def averaged(kept: torch.Tensor, current: torch.Tensor, count: torch.Tensor | int) -> torch.Tensor:
        share = min(largest_share, (1 + int(count)) / (10 + int(count)))
        return torch.lerp(current, kept, share)

    return averaged


def weighted_likelihood(outputs: torch.Tensor, targets: torch.Tensor, configuration: FitConfiguration) -> torch.Tensor:
    """Return the loss: minus the log-likelihood of Gaussian errors, weighted with a power of the deviation.

    ``mean(sg(s)^(2 b) (h(z) + log s))`` with ``z = (t - m) / s``, ``h`` Huber's function, and ``sg`` without a gradient.
    """
    mean, log_deviation = outputs[:, :2], outputs[:, 2:].clamp(*LOG_DEVIATION_LIMITS)
    deviation = log_deviation.exp()
    normalised = (targets - mean) / deviation
    error = nn.functional.huber_loss(
        normalised, torch.zeros_like(normalised), reduction="none", delta=configuration.largest_deviations
    )
    weight = deviation.detach() ** (2 * configuration.deviation_weight)
    return (weight * (error + log_deviation)).mean()
