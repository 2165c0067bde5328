"""What networks are trained on: kept sweeps are the emulator's, showings are fresh, and batches come whoever makes them."""

import dataclasses
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from bs_controller.representations import representation
from bs_controller.sweeps import Sweep, Trajectory
from deploy.simulation import SimulatedRadio, User
from deploy.training_batches import AHEAD, BatchSource, batch_of_step, batches, user_in_order
from deploy.training_sweeps import BLOCK_USERS, FOCUS_FIELDS, DataSet, keep, kept_user, shown_sweeps
from deploy.training_users import SNR_DB, Showing, showing, trained_user
from emulator.config import FrontEndSection, NoNoise, PerSubcarrier
from protocol.messages import FeedbackKind
from protocol.testbed import default_facts

FACTS = default_facts()
DATA = DataSet(facts=FACTS, representation="element", seed=5, users=300)
SILENT = Showing(noise=(NoNoise(), NoNoise()), late_s=0.0, timing_rms_s=0.0)


class Here(ThreadPoolExecutor):
    """An executor that does at once what it is given, and counts it."""

    calls = 0

    def submit(self, work: Callable[..., Any], /, *args: Any, **options: Any) -> Future[Any]:
        self.calls += 1
        done: Future[Any] = Future()
        done.set_result(work(*args, **options))
        return done


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder of kept sweeps."""
    return keep(DATA, tmp_path_factory.mktemp("sweeps"), Here(), lambda done, total: None)


def source(folder: Path, seed: int = 2) -> BatchSource:
    return BatchSource(data=DATA, folder=folder, batch=32, seed=seed)


def test_kept_sweeps_are_what_the_emulator_sends_to_the_drawn_user(folder: Path) -> None:
    for number in (0, 17):
        record = kept_user(folder, number)
        draw_rng, radio_rng, _ = np.random.default_rng((DATA.seed, number)).spawn(3)
        user, front_end = trained_user(FACTS, draw_rng)
        radio = SimulatedRadio(FACTS, rng=radio_rng, front_end=front_end)
        second = Trajectory(**dict(zip(FOCUS_FIELDS, record["second_focus"].tolist(), strict=True)))
        for kept, focus in zip(record["samples"], (representation("element", FACTS).first(), second), strict=True):
            samples = radio.received(Sweep(focus=focus, kind=FeedbackKind.COMPLEX), user)[0]
            samples /= np.sqrt(np.mean(np.abs(samples) ** 2))
            assert np.abs(kept - samples).max() < 1e-6 * np.abs(samples).max()  # complex64
        assert [float(record["range_m"]), float(record["angle_rad"])] == [user.range_m, user.angle_rad]


def test_second_sweep_is_aimed_at_the_user_by_what_it_heard(folder: Path) -> None:
    aims = [
        float(kept_user(folder, number)["second_focus"][FOCUS_FIELDS.index("start_angle_rad")]) for number in range(200)
    ]
    angles = [float(kept_user(folder, number)["angle_rad"]) for number in range(200)]
    off = np.abs(np.sin(aims) - np.sin(angles))
    # half a beam of one sub-array is 8e-3; at -2 dB, or to an echo, a few aims go elsewhere
    assert np.mean(off > 8e-3) < 0.05


def test_sweeps_that_are_kept_are_not_made_again(folder: Path, tmp_path: Path) -> None:
    executor, told = Here(), list[tuple[int, int]]()
    assert keep(DATA, folder.parent, executor, lambda done, total: told.append((done, total))) == folder
    assert (executor.calls, told) == (0, [(1, 1)])
    more = dataclasses.replace(DATA, users=BLOCK_USERS + 1)
    assert more.digest() == DATA.digest()
    assert dataclasses.replace(DATA, seed=6).digest() != DATA.digest()
    assert dataclasses.replace(DATA, representation="pair").digest() != DATA.digest()


def test_silent_showing_is_the_kept_sweep_with_the_setting_that_is_known(folder: Path) -> None:
    record, first = kept_user(folder, 3), representation("element", FACTS).first()
    one, other = shown_sweeps(record, SILENT, FACTS, first, np.random.default_rng(1))
    assert np.array_equal(one.samples, record["samples"][0])
    assert np.array_equal(other.samples, record["samples"][1])
    assert one.focus == first
    bits = {int(kept_user(folder, number)["phase_bits"]) for number in range(100)}
    assert bits == {0, 2, 3, 4}
    coarse = next(number for number in range(100) if kept_user(folder, number)["phase_bits"] == 2)
    setting = shown_sweeps(kept_user(folder, coarse), SILENT, FACTS, first, np.random.default_rng(1))[0].setting
    assert np.array_equal(4 * setting.phase_cycles, np.rint(4 * setting.phase_cycles))


def test_late_clock_delays_both_sweeps_alike(folder: Path) -> None:
    record, first = kept_user(folder, 3), representation("element", FACTS).first()
    late = dataclasses.replace(SILENT, late_s=2e-9)
    turn = np.exp(2j * np.pi * 2e-9 * FACTS.downlink.grid.offset_hz)
    for sweep, kept in zip(
        shown_sweeps(record, late, FACTS, first, np.random.default_rng(1)), record["samples"], strict=True
    ):
        assert sweep.samples == pytest.approx(kept * turn, abs=1e-6 * float(np.abs(kept).max()))


def test_batch_is_the_same_whoever_makes_it_and_fresh_at_each_step(folder: Path) -> None:
    first = batch_of_step(source(folder), 3)
    again = batch_of_step(source(folder), 3)
    assert first.features.shape == (32, 9, 128)
    assert np.array_equal(first.features, again.features)
    assert np.array_equal(first.targets, again.targets)
    assert not np.array_equal(batch_of_step(source(folder, seed=3), 3).features, first.features)
    executor = Here()
    stream = batches(source(folder), executor, 3)
    assert np.array_equal(next(stream).features, first.features)
    assert executor.calls == AHEAD
    stream.close()


def test_targets_are_the_corrections_to_where_the_user_is(folder: Path) -> None:
    targets = np.concatenate([batch_of_step(source(folder), step).targets for step in range(4)])
    # supposed positions are about a unit off at all noises and clocks; an echo or noise loses a few
    assert ((np.median(np.abs(targets), axis=0) > 0.1) & (np.median(np.abs(targets), axis=0) < 1)).all()
    assert np.isfinite(targets).all()


def test_all_users_are_shown_as_often(folder: Path) -> None:
    for epoch in (0, 1, 7):
        assert sorted(user_in_order(place, 300, epoch) for place in range(300)) == list(range(300))
    assert [user_in_order(place, 300, 0) for place in range(9)] != [user_in_order(place, 300, 1) for place in range(9)]


def test_draws_reach_what_they_are_meant_to_reach() -> None:
    rng = np.random.default_rng(8)
    drawn = [trained_user(FACTS, rng) for _ in range(2000)]
    users = [user for user, _ in drawn]
    share = np.mean([len(user.visible_subarrays) == 4 for user in users])
    assert share == pytest.approx(0.5 + 0.5 / 15, abs=5 * np.sqrt(0.25 / 2000))
    assert np.mean([bool(user.paths) for user in users]) == pytest.approx(0.4, abs=5 * np.sqrt(0.24 / 2000))
    assert np.mean([front_end != FrontEndSection() for _, front_end in drawn]) == pytest.approx(
        0.3, abs=5 * np.sqrt(0.21 / 2000)
    )
    assert {len(user.paths) for user in users} == {0, 1, 2}
    assert all(isinstance(user, User) and FACTS.region.range_min_m <= user.range_m <= 50 for user in users)


def test_showings_reach_what_they_are_meant_to_reach() -> None:
    rng = np.random.default_rng(9)
    shown = [showing(rng) for _ in range(2000)]
    late = [one for one in shown if one.timing_rms_s]
    assert len(late) / 2000 == pytest.approx(0.5, abs=5 * np.sqrt(0.25 / 2000))
    assert all(3e-11 <= one.timing_rms_s <= 3e-9 for one in late)
    assert all(one.late_s == 0 for one in shown if not one.timing_rms_s)
    deviations = np.array([one.late_s / one.timing_rms_s for one in late])
    assert deviations.std() == pytest.approx(1, abs=5 * np.sqrt(0.5 / len(late)))
    first_db = np.array([msgspec.to_builtins(one.noise[0])["snr_db"] for one in shown])
    assert SNR_DB[0] <= first_db.min() < SNR_DB[0] + 1 < SNR_DB[1] - 1 < first_db.max() <= SNR_DB[1]
    assert np.mean([isinstance(one.noise[0], PerSubcarrier) for one in shown]) == pytest.approx(
        0.2, abs=5 * np.sqrt(0.16 / 2000)
    )
