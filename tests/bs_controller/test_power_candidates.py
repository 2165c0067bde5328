"""Where searches by powers start: the table of profiles, the blurred range sweep, and both together."""

from functools import cache

import numpy as np
import numpy.typing as npt
import pytest

from bs_controller.estimation.power.candidates import RangeScorer, candidates, neighbours_noise_w
from bs_controller.estimation.power.profiles import ProfileTable
from bs_controller.trajectories import range_trajectory
from tests.bs_controller.hearing import ALL, FACTS, FORWARD, heard, noise, response_of, setting_of

Floats = npt.NDArray[np.float64]

USERS = [(8.0, 0.5, ALL), (17.0, -0.9, (1, 2)), (22.7, 0.0, ALL), (30.0, 1.04, (0, 3)), (6.0, -1.04, (2,))]


@cache
def table() -> ProfileTable:
    return ProfileTable(FACTS, FORWARD, response_of(FORWARD))


def row_of(visible: tuple[int, ...]) -> int:
    mask = np.isin(np.arange(4), visible)
    return int(np.flatnonzero((table().masks == mask).all(axis=1))[0])


def powers(samples: npt.NDArray[np.complex128], snr_db: float, seed: int) -> Floats:
    noisy: Floats = np.abs(samples + noise(samples, snr_db, np.random.default_rng(seed))) ** 2
    return noisy


def test_table_is_as_large_as_it_may_be() -> None:
    assert table().nbytes < 100e6


@pytest.mark.parametrize(("range_m", "angle_rad", "visible"), USERS)
def test_profile_of_the_right_mask_and_curvature_lies_at_the_users_sine(
    range_m: float, angle_rad: float, visible: tuple[int, ...]
) -> None:
    scores = table().scores(powers(heard(FORWARD, range_m, angle_rad, visible), 20, seed=1))
    nearest = int(np.abs(scores.curvature_per_m - np.cos(angle_rad) ** 2 / range_m).argmin())
    mask = row_of(visible)
    # half a step of the curvature moves a sub-array 0.29 m off the centre by 4e-4, the middle of a profile by less
    assert scores.sine[nearest, mask] == pytest.approx(np.sin(angle_rad), abs=5e-4)
    # and costs a few per cent of the likelihood
    assert scores.nats[nearest, mask] > 0.9 * scores.nats.max()


def test_noise_power_of_an_angle_sweep_is_that_of_its_dark_subcarriers() -> None:
    samples = heard(FORWARD, 15.0, 0.3)
    scores = table().scores(powers(samples, 0, seed=2))
    # the median of 1536 exponential powers is good to 1.44 / sqrt(1536) = 3.7 %; skirts of the band add a little
    assert scores.sigma2_w == pytest.approx(np.mean(np.abs(samples) ** 2), rel=4 * 0.037)


@pytest.mark.parametrize("snr_db", [0, 10, 20])
def test_noise_power_of_a_range_sweep_shows_in_how_neighbours_differ(snr_db: float) -> None:
    samples = heard(range_trajectory(FACTS, 0.3), 15.0, 0.3)
    found_w = [neighbours_noise_w(powers(samples, snr_db, seed)) for seed in range(8)]
    sigma2_w = float(np.mean(np.abs(samples) ** 2)) / 10 ** (snr_db / 10)
    # a second difference squared varies by 1.4 of itself or more, its square root near 0 dB by four times as much as at 10 dB
    assert np.mean(found_w) == pytest.approx(sigma2_w, rel=0.15)


@pytest.mark.parametrize(("range_m", "angle_rad", "visible"), USERS)
def test_range_sweep_speaks_for_the_right_hypothesis(
    range_m: float, angle_rad: float, visible: tuple[int, ...]
) -> None:
    sweep = range_trajectory(FACTS, angle_rad)
    scorer = RangeScorer(FACTS, setting_of(sweep), powers(heard(sweep, range_m, angle_rad, visible), 10, seed=3))
    mask = np.isin(np.arange(4), visible).astype(float)
    right, beside = scorer.nats(
        np.array([range_m, range_m]), angle_rad + np.array([0, 0.0156]) / np.cos(angle_rad), np.tile(mask, (2, 1))
    )
    # half the squares of 64 bins: chi-square with 62 degrees, whose half is 31 with a deviation of 5.6; the blur adds a little
    assert -31 - 5 * 5.6 < right < 0
    assert right > beside  # by the width of one sub-array's beam


def dense_powers(range_m: float, angle_rad: float, visible: tuple[int, ...], aim_rad: float) -> Floats:
    """Oracle: the exact sweep's powers averaged over blocks."""
    power_w: Floats = np.abs(heard(range_trajectory(FACTS, aim_rad), range_m, angle_rad, visible)) ** 2
    blocks: Floats = power_w.reshape(64, -1).mean(axis=1)
    return blocks


@pytest.mark.parametrize(("range_m", "angle_rad", "visible"), USERS)
def test_blurred_powers_are_those_of_the_exact_model(
    range_m: float, angle_rad: float, visible: tuple[int, ...]
) -> None:
    aim_rad = angle_rad + 0.01
    sweep = range_trajectory(FACTS, aim_rad)
    scorer = RangeScorer(FACTS, setting_of(sweep), np.ones(2048))
    mask = np.isin(np.arange(4), visible).astype(float)[np.newaxis]
    blurred = scorer.expected(np.array([range_m]), np.array([angle_rad]), mask)[0]
    exact = dense_powers(range_m, angle_rad, visible, aim_rad)
    # groups of elements, bins instead of blocks, and a gain that falls with frequency by 6 %
    assert np.abs(blurred / blurred.max() - exact / exact.max()).max() < 0.08


@pytest.mark.parametrize(("range_m", "angle_rad", "visible"), USERS)
def test_best_candidate_of_both_sweeps_is_beside_the_user(
    range_m: float, angle_rad: float, visible: tuple[int, ...]
) -> None:
    sweep = range_trajectory(FACTS, angle_rad)
    scorer = RangeScorer(FACTS, setting_of(sweep), powers(heard(sweep, range_m, angle_rad, visible), 20, seed=4))
    scores = table().scores(powers(heard(FORWARD, range_m, angle_rad, visible), 20, seed=5))
    best = candidates(FACTS, scores, table().masks, most=8, swept=scorer)[0]
    assert (best.mask == np.isin(np.arange(4), visible)).all()
    # two steps of the curvature
    assert abs(1 / best.range_m - 1 / range_m) * np.cos(angle_rad) ** 2 < 0.005
