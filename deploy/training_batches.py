"""Batches for a training: kept users shown with fresh noise, in processes beside the one that trains.

What is in a batch depends on the data set, the seed and the number of its step alone, not on which process made it or when:
a training that is stopped and goes on sees what it would have seen.
"""

import collections
from collections.abc import Generator
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bs_controller.representations import NetworkInput
from deploy.training_sweeps import DataSet, kept_user, planned, shown_sweeps
from deploy.training_users import showing

Features = npt.NDArray[np.float32]

AHEAD = 8  # batches under way, so that neither side waits for the other


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchSource:
    """Where batches come from."""

    data: DataSet
    folder: Path
    batch: int
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Inputs and what a network should say of them."""

    features: Features  # (sample, *shape)
    targets: Features  # (sample, 2) the corrections of range and direction, in their units


def batches(source: BatchSource, executor: Executor, first_step: int) -> Generator[Batch, None, None]:
    """Yield the batch of each step from one on, without end."""
    under_way: collections.deque[Future[Batch]] = collections.deque()
    step = first_step
    try:
        while True:
            while len(under_way) < AHEAD:
                under_way.append(executor.submit(batch_of_step, source, step))
                step += 1
            yield under_way.popleft().result()
    finally:
        for future in under_way:
            future.cancel()


def batch_of_step(source: BatchSource, step: int) -> Batch:
    """Return the batch of a step: users in a random order of each epoch, so that all are shown as often."""
    samples = [_sample(source, source.batch * step + index) for index in range(source.batch)]
    return Batch(
        features=np.stack([shown.features for shown, _ in samples]),
        targets=np.array([units for _, units in samples], dtype=np.float32),
    )


def _sample(source: BatchSource, number: int) -> tuple[NetworkInput, tuple[float, float]]:
    epoch, place = divmod(number, source.data.users)
    record = kept_user(source.folder, user_in_order(place, source.data.users, epoch))
    rng, frame = np.random.default_rng((source.seed, 1, number)), planned(source.data.facts, source.data.representation)
    shown = showing(rng)
    first, second = shown_sweeps(record, shown, source.data.facts, frame.first(), rng)
    seen = frame.of(first, second, shown.timing_rms_s * source.data.facts.speed_of_light_m_s)
    return seen, seen.correction.units(float(record["range_m"]), float(record["angle_rad"]))


def user_in_order(place: int, users: int, epoch: int) -> int:
    """Return a user by its place in an epoch's order: a walk whose stride has no divisor in common with the number of users."""
    stride = int(users * 0.6180339887) + epoch
    while np.gcd(stride, users) > 1:
        stride += 1
    return (place * stride + epoch) % users
