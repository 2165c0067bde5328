"""A training from start to model: sweeps kept on disk, batches from processes beside, a fit that may be stopped, an export.

Nothing else outside `bs_controller.training` imports torch.
"""

import contextlib
import dataclasses
import itertools
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import torch

from bs_controller.model_metadata import ModelMetadata, Output
from bs_controller.representations import OUTPUTS, REPRESENTATIONS
from bs_controller.training.counting import preset_cost
from bs_controller.training.export import export
from bs_controller.training.fitting import Fit, FitConfiguration
from bs_controller.training.networks import PRESETS, Preset
from deploy.training_batches import BatchSource, batches
from deploy.training_sweeps import DataSet, keep
from deploy.training_validation import CONDITIONS, Seen, Viewing, rmse_m, seen
from protocol.testbed import TestbedFacts

#: what each network is shown; those that are not here are shown images
REPRESENTATION_OF = {"convnext-element": "element", "convnext-pair": "pair"}
IMAGE = "image"

UNKNOWN_STEPS = 1_000_000  # while the length of a training is not known, which its first steps do not depend upon
_PACE_STEPS = (30, 90)  # from which to which the machine's pace is taken, within the warm-up of the rate
_NOTED_EVERY_S = 30.0
_VALIDATION_USERS, _VIEWED_AT_ONCE = 400, 50

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """What a training is asked for; `steps`, or else about `minutes`, says how long.

    Raises
    ------
    ValueError
        If there is no preset of this name.
    """

    preset: str
    facts: TestbedFacts
    out: Path
    cache: Path
    minutes: float
    steps: int | None
    device: str
    seed: int
    users: int

    def __post_init__(self) -> None:
        if self.preset not in PRESETS:
            raise ValueError(f"expected a preset ({', '.join(PRESETS)}), got {self.preset!r}")

    @property
    def network(self) -> Preset:
        """Return the preset with a fit's outputs, and with its representation's input."""
        shape = REPRESENTATIONS[self.data.representation].shape
        preset: Preset = dataclasses.replace(PRESETS[self.preset], outputs=len(OUTPUTS), shape=shape)  # type: ignore[arg-type]
        return preset

    @property
    def data(self) -> DataSet:
        """Return what the sweeps are."""
        name = REPRESENTATION_OF.get(self.preset, IMAGE)
        return DataSet(facts=self.facts, representation=name, seed=self.seed, users=self.users)

    def file(self, suffix: str) -> Path:
        """Return one of the training's own files."""
        return self.out / f"{self.preset}.{suffix}"


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """Where a fit stood, one line of the history: the median loss since the line before, location errors at 10 dB.

    Single users that are lost to an echo scatter the mean by as much as it falls.
    """

    step: int
    steps: int
    seconds: float
    loss: float
    rmse_m: dict[str, float]


def trained(training: Training, executor: Executor, say: Say) -> Standing:
    """Train, or go on training, and write the model; return where it ended.

    Raises
    ------
    CheckpointError
        If there is a training under this name that this cannot go on from.
    """
    torch.set_num_threads(1)
    training.out.mkdir(parents=True, exist_ok=True)
    cost = preset_cost(training.network)
    say(f"{training.preset}: {cost.multiply_adds / 1e6:.2f} M multiply-adds, {cost.parameters / 1e6:.3f} M parameters")
    folder = keep(training.data, training.cache, executor, lambda done, total: say(f"sweeps: {done} of {total} blocks"))
    fit = _begun(training, say)
    source = BatchSource(data=training.data, folder=folder, batch=fit.configuration.batch, seed=training.seed)
    watch = _Watch(training, fit, _validation(training, executor), say)
    with contextlib.closing(batches(source, executor, fit.done)) as stream:
        while fit.done < fit.configuration.steps:
            batch = next(stream)
            watch.after(fit.step(batch.features, batch.targets))
    export(fit.network, training.file("onnx"), shape=training.network.shape, metadata=_metadata(training, fit))
    say(f"written: {training.file('onnx')}")
    return watch.last


def _begun(training: Training, say: Say) -> Fit:
    configuration = FitConfiguration(
        seed=training.seed,
        steps=training.steps or UNKNOWN_STEPS,
        batches=f"{training.users} users of {training.data.digest()}",
    )
    fit, kept = Fit(training.network, configuration, training.device), training.file("checkpoint")
    if kept.exists():
        fit.resume(kept)
        say(f"going on from step {fit.done} of {fit.configuration.steps}, see {kept}")
    return fit


class _Watch:
    """Looks at a fit now and then: how long it will take, how well it does, and that it can go on if it is stopped.

    `last` is where it stood then.
    """

    def __init__(self, training: Training, fit: Fit, inputs: Mapping[str, list[Seen]], say: Say) -> None:
        self._training, self._fit, self._inputs, self._say = training, fit, inputs, say
        self._began_s = self._noted_s = self._paced_s = time.monotonic()
        self._losses: list[float] = []
        self.last = self._standing()
        self._say(self._text(self.last))

    def after(self, loss: float) -> None:
        """Look at what a step with this loss has made of the fit."""
        self._losses.append(loss)
        if self._fit.configuration.steps == UNKNOWN_STEPS:
            self._pace()
        elif time.monotonic() - self._noted_s > _NOTED_EVERY_S or self._fit.done == self._fit.configuration.steps:
            self._note()

    def _standing(self) -> Standing:
        errors_m = {
            condition: rmse_m(found, self._fit.outputs(np.stack([one.shown.features for one in found])))
            for condition, found in self._inputs.items()
        }
        return Standing(
            step=self._fit.done,
            steps=self._fit.configuration.steps,
            seconds=time.monotonic() - self._began_s,
            loss=float(np.median(self._losses)) if self._losses else float("nan"),
            rmse_m=errors_m,
        )

    def _pace(self) -> None:
        """Take the pace, and with it the number of steps that the minutes allow."""
        first, last = _PACE_STEPS
        if self._fit.done == first:
            self._paced_s = time.monotonic()
        if self._fit.done == last:
            step_s = (time.monotonic() - self._paced_s) / (last - first)
            self._fit.plan(max(round(60 * self._training.minutes / step_s), last + 1))
            self._say(f"{1e3 * step_s:.0f} ms a step: --steps {self._fit.configuration.steps} trains the same again")

    def _note(self) -> None:
        self.last = self._standing()
        with self._training.file("jsonl").open("ab") as history:
            history.write(msgspec.json.encode(self.last) + b"\n")
        self._fit.keep(self._training.file("checkpoint"))
        self._say(self._text(self.last))
        self._noted_s, self._losses = time.monotonic(), []

    def _text(self, standing: Standing) -> str:
        errors = ", ".join(f"{condition} {1e3 * error_m:.2f}" for condition, error_m in standing.rmse_m.items())
        where = f"step {standing.step} of {standing.steps}, {standing.seconds:.0f} s"
        return f"{where}: loss {standing.loss:.4f}; location RMSE at 10 dB in mm: {errors}"


def _validation(training: Training, executor: Executor) -> dict[str, list[Seen]]:
    def parts(condition: str) -> Iterator[Viewing]:
        for first in range(0, _VALIDATION_USERS, _VIEWED_AT_ONCE):
            yield Viewing(
                facts=training.facts,
                representation=training.data.representation,
                condition=condition,
                first_user=first,
                users=_VIEWED_AT_ONCE,
            )

    found = {condition: executor.map(seen, parts(condition)) for condition in CONDITIONS}
    return {condition: list(itertools.chain.from_iterable(chunks)) for condition, chunks in found.items()}


def _metadata(training: Training, fit: Fit) -> ModelMetadata:
    data, cost = training.data, preset_cost(training.network)
    return ModelMetadata(
        preset=training.preset,
        features=f"{data.representation}-{REPRESENTATIONS[data.representation].version}",
        outputs=tuple(Output(name=name, unit=unit, scale=1.0) for name, unit in OUTPUTS),
        downlink_digest=training.facts.downlink_digest(),
        training={
            **msgspec.to_builtins(fit.configuration),
            "multiply_adds": cost.multiply_adds,
            "parameters": cost.parameters,
            "torch": str(torch.__version__),
        },
        data_digest=data.digest(),
    )
