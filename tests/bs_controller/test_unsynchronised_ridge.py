"""Starts along the ridge: what energies, arrivals and the scan find of users whose delay is unknown."""

import numpy as np
import numpy.typing as npt
import pytest

from bs_controller.beams import setting_from_focus
from bs_controller.estimation.candidates import AngleSweep, Searcher
from bs_controller.estimation.unsynchronised.posterior import Prior
from bs_controller.estimation.unsynchronised.ridge import CURVATURE_STEP_PER_M, RidgeSearcher
from bs_controller.sweeps import Trajectory
from bs_controller.trajectories import range_trajectory
from tests.bs_controller.hearing import ALL, BACKWARD, FACTS, FORWARD, heard, noise, setting_of

ComplexArray = npt.NDArray[np.complex128]

C = FACTS.speed_of_light_m_s
OFFSET_HZ = FACTS.downlink.grid.frequency_hz - FACTS.downlink.grid.frequency_hz.mean()
RIDGE = RidgeSearcher(FACTS, Prior(range_min_m=5.0, range_max_m=50.0, delay_span_m=3.0))
SEARCHER = Searcher(FACTS)


def late(
    trajectory: Trajectory, range_m: float, angle_rad: float, visible: tuple[int, ...], delay_m: float
) -> ComplexArray:
    samples = heard(trajectory, range_m, angle_rad, visible) * np.exp(2j * np.pi * OFFSET_HZ * delay_m / C)
    received: ComplexArray = samples + noise(samples, 10, np.random.default_rng(1))
    return received


def swept(
    trajectory: Trajectory, range_m: float, angle_rad: float, visible: tuple[int, ...], delay_m: float
) -> AngleSweep:
    samples = late(trajectory, range_m, angle_rad, visible, delay_m)
    return SEARCHER.angle_sweep(samples, trajectory, setting_of(trajectory))


@pytest.mark.parametrize("delay_m", [-3.0, 0.0, 2.9])
@pytest.mark.parametrize("visible", [ALL, (1,), (0, 2)])
def test_two_sweeps_show_mask_and_path_by_energies_alone(visible: tuple[int, ...], delay_m: float) -> None:
    sweeps = [swept(focus, 20.0, 0.4, visible, delay_m) for focus in (FORWARD, BACKWARD)]
    best = RIDGE.blocks(sweeps, together=True)[0]
    assert tuple(np.flatnonzero(best.mask)) == visible
    # a stride of two bins of 5 cm, and as much for the rounding of blocks to bins
    assert best.path_m == pytest.approx(20 + delay_m, abs=0.2)


def test_delays_of_their_own_are_told_apart() -> None:
    sweeps = [swept(FORWARD, 20.0, 0.4, (1, 2), 2.0), swept(BACKWARD, 20.0, 0.4, (1, 2), -2.5)]
    best = RIDGE.blocks(sweeps, together=False)[0]
    assert best.path_m == pytest.approx([22.0, 17.5], abs=0.2)


def test_one_sweep_leaves_shifts_by_a_sub_array_as_rivals() -> None:
    blocks = RIDGE.blocks([swept(FORWARD, 20.0, 0.4, (1,), 0.0)], together=True)
    found = {tuple(np.flatnonzero(block.mask).tolist()): float(block.path_m[0]) for block in blocks}
    assert set(found) == {(0,), (1,), (2,), (3,)}
    assert found[1,] == pytest.approx(20.0, abs=0.2)
    assert abs(found[2,] - found[1,]) == pytest.approx(5.7, abs=0.3)  # the delay lines of 128 elements


@pytest.mark.parametrize("delay_m", [-2.0, 2.5])
def test_range_sweep_arrives_at_range_plus_delay(delay_m: float) -> None:
    trajectory = range_trajectory(FACTS, 0.4)
    samples = late(trajectory, 49.0, 0.4, ALL, delay_m)
    found = RIDGE.arrivals_m(samples, setting_from_focus(trajectory, FACTS), 0.4)
    assert found[0] == pytest.approx(49 + delay_m, abs=0.15)  # as said there, and a bin


@pytest.mark.parametrize("range_m", [5.0, 8.0, 50.0])
@pytest.mark.parametrize("visible", [ALL, (0, 1), (3,)])
def test_best_start_is_within_a_step_and_half_a_beam(range_m: float, visible: tuple[int, ...]) -> None:
    sweep = swept(FORWARD, range_m, -0.6, visible, 2.0)
    (block,) = RIDGE.blocks_at(sweep, range_m + 2.0, 0.0)[:1]
    best = RIDGE.starts([sweep], block)[0]
    assert tuple(np.flatnonzero(best.mask)) == visible
    if visible == ALL:  # one sub-array tells a curvature at 10 dB to 0.05 per m only
        assert abs(1 / best.place.range_m - 1 / range_m) < CURVATURE_STEP_PER_M
        assert abs(np.sin(best.place.angle_rad) - np.sin(-0.6)) < 1 / 512
    # limits hold in the direction where the user was lit, which is not yet its own
    assert 5.0 - 0.01 <= best.place.range_m <= 50.0 + 0.01
    assert abs(best.place.delay_m[0]) <= 3.0 + 0.01


def test_path_that_the_prior_excludes_has_no_start_unless_asked_for() -> None:
    sweep = swept(FORWARD, 20.0, 0.4, ALL, 2.0)
    (block,) = RIDGE.blocks_at(sweep, 22.0, 0.0)[:1]
    assert RIDGE.starts([sweep], block, others_m=(29.0,)) == []
    assert RIDGE.starts([sweep], block, others_m=(29.0,), anywhere=True)
