"""One fix of a trained network from its two sweeps, against the same features from dense sums in numpy; and its batches.

The baseline is what one would write: the position in whose frame features are computed is given to it for free, where ours
looks for it. It runs the same network on them. Needs the model that is shipped for the plan `angle_range`.
"""

import math
import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from bs_controller.estimation.reduced import neighbours
from bs_controller.features import element_path_s, neighbours_together, network_features
from bs_controller.model_metadata import ModelError
from bs_controller.representations import HeardSweep, NetworkInput, representation
from bs_controller.schemes import Network, NetworkOptions
from bs_controller.sweeps import ComplexFeedback, Fix, Sweep, Trajectory
from deploy.bench import BenchmarkError
from deploy.simulation import SimulatedRadio, User
from emulator.config import SweepMean
from protocol.testbed import Setting, TestbedFacts, default_facts
from tests.benchmarks.harness import Row, median_ms

Features = npt.NDArray[np.float32]
ComplexArray = npt.NDArray[np.complex128]

FIX_TARGET, BATCH_TARGET = 40.0, 1.1
RUNS = 400
BATCH = 64
USER = User(range_m=15.0, angle_rad=0.3)


def rows() -> list[Row]:
    """Return a row of one fix, and one of many users' features at once."""
    facts = default_facts()
    try:
        scheme = Network.loaded(NetworkOptions(), facts)
    except ModelError as error:
        raise BenchmarkError(f"network_fix needs the shipped model: {error}") from error
    scheme.prepare()
    sweeps = _recorded(scheme, facts)
    shown = representation("element", facts).of(*sweeps, 0.0)
    return [_fix_row(scheme, facts, sweeps, shown), _batch_row(scheme, shown)]


def _fix_row(scheme: Network, facts: TestbedFacts, sweeps: tuple[HeardSweep, HeardSweep], shown: NetworkInput) -> Row:
    supposed = shown.correction.position(0.0, 0.0)

    def dense() -> Features:
        features = _dense_features(facts, sweeps, *supposed)
        scheme.model.predict(features[np.newaxis])
        return features

    error = float(np.abs(dense() - shown.features).max())
    ours_ms, baseline_ms = median_ms(lambda: _fix(scheme, sweeps), dense, ours_runs=RUNS, baseline_runs=4)
    return Row(
        name="one network fix, plan angle_range, one core",
        ours_ms=ours_ms,
        baseline_ms=baseline_ms,
        error=error,
        target=f">= {FIX_TARGET:g} x",
        met=baseline_ms / ours_ms >= FIX_TARGET,
        details={
            **_quantiles(lambda: _fix(scheme, sweeps)),
            "error is": "largest difference of features",
            "runs": RUNS,
        },
    )


def _batch_row(scheme: Network, shown: NetworkInput) -> Row:
    rng = np.random.default_rng(2)
    batch = shown.features + rng.normal(scale=0.1, size=(BATCH, *shown.features.shape)).astype(np.float32)

    def one_by_one() -> list[npt.NDArray[np.float64]]:
        return [scheme.model.predict(batch[user : user + 1]) for user in range(BATCH)]

    error = float(np.abs(scheme.model.predict(batch) - np.concatenate(one_by_one())).max())
    ours_ms, baseline_ms = median_ms(
        lambda: scheme.model.predict(batch), one_by_one, ours_runs=RUNS // 8, baseline_runs=RUNS // 8
    )
    return Row(
        name=f"network outputs of {BATCH} users at once, one core",
        ours_ms=ours_ms,
        baseline_ms=baseline_ms,
        error=error,
        target=f">= {BATCH_TARGET:g} x",
        met=baseline_ms / ours_ms >= BATCH_TARGET,
        details={"ms a user": round(ours_ms / BATCH, 3), "error is": "largest difference of outputs"},
    )


def _recorded(scheme: Network, facts: TestbedFacts) -> tuple[HeardSweep, HeardSweep]:
    """Return the two sweeps that the scheme asks for, as one user hears them."""
    radio = SimulatedRadio(facts, rng=np.random.default_rng(1), downlink_noise=SweepMean(snr_db=10))
    localization, sweeps = scheme.locate(), list[HeardSweep]()
    request = next(localization)
    while True:
        assert isinstance(request, Sweep)
        assert isinstance(request.focus, Trajectory)
        answer = radio.answer(request, USER)
        assert isinstance(answer, ComplexFeedback)
        assert answer.applied is not None
        sweeps.append(HeardSweep(samples=answer.samples, focus=request.focus, setting=answer.applied))
        try:
            request = localization.send(answer)
        except StopIteration:
            first, second = sweeps
            return first, second


def _fix(scheme: Network, sweeps: tuple[HeardSweep, HeardSweep]) -> Fix:
    localization = scheme.locate()
    next(localization)
    try:
        for sweep in sweeps:
            localization.send(ComplexFeedback(samples=sweep.samples, applied=sweep.setting))
    except StopIteration as end:
        fix: Fix = end.value
        return fix
    raise AssertionError("the scheme asked for another sweep")


def _quantiles(work: Callable[[], object]) -> dict[str, float]:
    times_ms = []
    for _ in range(RUNS):
        start = time.perf_counter()
        work()
        times_ms.append(1e3 * (time.perf_counter() - start))
    p50, p99 = np.percentile(times_ms, (50, 99)).tolist()
    return {"p50 ms": round(p50, 3), "p99 ms": round(p99, 3)}


def _dense_features(
    facts: TestbedFacts, sweeps: tuple[HeardSweep, HeardSweep], range_m: float, angle_rad: float
) -> Features:
    """Return the features of a user that all sub-arrays see, from sums over elements and subcarriers."""
    (first, second), grid = sweeps, facts.downlink.grid
    block, subcarrier = neighbours(grid), np.arange(grid.count)
    expected = (_tones(facts, second.setting, range_m, angle_rad) / grid.frequency_hz).sum(axis=0)
    path_s = element_path_s(facts, range_m, angle_rad)
    turn = np.exp(-2j * np.pi * grid.spacing_hz * float((path_s - second.setting.delay_s[0]).mean()) * subcarrier)
    heard, modelled = ((turn * samples).reshape(-1, block).sum(axis=1) for samples in (second.samples, expected))
    elements = _tones(facts, first.setting, range_m, angle_rad).conj() @ first.samples
    parts = [neighbours_together(elements), heard * modelled.conj()]
    return network_features(parts, range_m / facts.region.range_max_m, math.sin(angle_rad), 0.0)


def _tones(facts: TestbedFacts, setting: Setting, range_m: float, angle_rad: float) -> ComplexArray:
    """Return what each element is heard as, of amplitude one, ``(element, subcarrier)``."""
    grid = facts.downlink.grid
    cycles = np.outer(element_path_s(facts, range_m, angle_rad), grid.frequency_hz)
    cycles -= np.outer(setting.delay_s[0], grid.offset_hz)
    tones: ComplexArray = np.exp(2j * np.pi * (cycles - setting.phase_cycles[0][:, np.newaxis]))
    return tones
