"""Fisher scoring by powers: where it ends, and its information against one by finite differences of every unknown."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from bs_controller.beams import setting_from_focus
from bs_controller.estimation.power.scoring import PowerEstimate, PowerObservation, climbed, started
from bs_controller.response import DownlinkResponse, Window
from bs_controller.trajectories import range_trajectory
from tests.bs_controller.hearing import ALL, FACTS, FORWARD, heard, noise, response_of, setting_of

Floats = npt.NDArray[np.float64]

FULL = np.ones(4)
LIMITS_M = (5.0, 50.0)
ANGLE_RAD = 0.2
RANGE_SWEEP = range_trajectory(FACTS, ANGLE_RAD)
SWEEPS = (FORWARD, RANGE_SWEEP)


def observed(
    range_m: float, snr_db: float, seed: int, visible: tuple[int, ...] = ALL
) -> tuple[list[PowerObservation], list[float]]:
    """Observations of both sweeps and the noise power of each."""
    rng, found, sigma2_w = np.random.default_rng(seed), [], []
    for sweep in SWEEPS:
        samples = heard(sweep, range_m, ANGLE_RAD, visible)
        power_w = np.abs(samples + noise(samples, snr_db, rng)) ** 2
        found.append(PowerObservation(power_w=power_w, response=response_of(sweep)))
        sigma2_w.append(float(np.mean(np.abs(samples) ** 2)) / 10 ** (snr_db / 10))
    return found, sigma2_w


def log_likelihood(
    observations: Sequence[PowerObservation],
    range_m: float,
    angle_rad: float,
    gains: Sequence[float],
    noise_w: Sequence[float],
) -> float:
    """Oracle: scipy's noncentral chi-square of every power."""
    total = 0.0
    for one, gain, sigma2_w in zip(observations, gains, noise_w, strict=True):
        assert isinstance(one.response, DownlinkResponse)
        expected_w = gain * np.abs(one.response.value(range_m, angle_rad).sum(axis=0)) ** 2
        part_w = sigma2_w / 2
        total += float(np.sum(stats.ncx2.logpdf(one.power_w / part_w, 2, expected_w / part_w) - np.log(part_w)))
    return total


def of_estimate(observations: Sequence[PowerObservation], best: PowerEstimate, move: Sequence[float]) -> float:
    """Likelihood moved by so many units of range, angle, and the logarithms of both gains and both noise powers."""
    gains = [level.gain * np.exp(step) for level, step in zip(best.levels, move[2:4], strict=True)]
    noise_w = [level.sigma2_w * np.exp(step) for level, step in zip(best.levels, move[4:6], strict=True)]
    return log_likelihood(observations, 1 / best.curvature_per_m + move[0], best.angle_rad + move[1], gains, noise_w)


def found(observations: Sequence[PowerObservation], sigma2_w: Sequence[float], range_m: float) -> PowerEstimate:
    return climbed(
        observations, started(observations, range_m, ANGLE_RAD + 1e-4, FULL, sigma2_w), range_limits_m=LIMITS_M
    )


def test_estimate_is_a_maximum_over_position_gains_and_noise_powers() -> None:
    observations, sigma2_w = observed(15.0, 5, seed=1)
    best = found(observations, sigma2_w, 15.3)
    assert best.converged
    top = of_estimate(observations, best, np.zeros(6).tolist())
    assert best.log_likelihood == pytest.approx(top, abs=1e-3)
    sigma_m = np.sqrt(np.linalg.inv(best.information)[0, 0]) / best.curvature_per_m**2
    sigma_rad = np.sqrt(np.linalg.inv(best.information)[1, 1])
    # scoring stops with a seventh of a standard deviation left at most
    for index, step in enumerate((0.4 * sigma_m, 0.4 * sigma_rad, 0.03, 0.03, 0.03, 0.03)):
        for sign in (-1, 1):
            move = np.zeros(6)
            move[index] = sign * step
            assert of_estimate(observations, best, move.tolist()) < top


def test_information_is_that_of_position_beside_four_unknown_levels() -> None:
    # few subcarriers, or the oracle takes minutes
    brightest = [int(np.argmax(np.abs(heard(sweep, 15.0, ANGLE_RAD)))) for sweep in SWEEPS]
    windows = [Window(first=min(max(middle - 64, 0), 2048 - 128), count=128) for middle in brightest]
    pairs = zip(SWEEPS, windows, strict=True)
    responses = [DownlinkResponse(FACTS, setting_from_focus(sweep, FACTS), window=window) for sweep, window in pairs]
    gain, noise_w = 4e-8, 4e-9
    observations = [
        PowerObservation(power_w=gain * np.abs(one.value(15.0, ANGLE_RAD).sum(axis=0)) ** 2, response=one)
        for one in responses
    ]
    start = started(observations, 15.0, ANGLE_RAD, FULL, (noise_w, noise_w))

    def expected_w(at: Floats) -> list[Floats]:
        return [
            np.exp(at[2 + k]) * np.abs(one.value(1 / at[0], at[1]).sum(axis=0)) ** 2 for k, one in enumerate(responses)
        ]

    at = np.array([1 / 15.0, ANGLE_RAD, *np.log([level.gain for level in start.levels]), *np.log([noise_w] * 2)])
    information = information_by_differences(expected_w, at)
    covariance = np.linalg.inv(information)[:2, :2]
    # straight lines in the table of the information: 2e-5 of it, times what the levels take off
    assert np.linalg.inv(start.information) == pytest.approx(covariance, rel=3e-3)


def information_by_differences(expected_w: Callable[[Floats], list[Floats]], at: Floats) -> Floats:
    """Oracle: means over powers of products of slopes by all unknowns, each by central differences."""
    steps = np.array([1e-6, 1e-7, 1e-4, 1e-4, 1e-4, 1e-4])
    scores, weights = [], []
    for sweep in range(2):
        sigma2_w = np.exp(at[4 + sweep])
        centre = expected_w(at)[sweep][:, np.newaxis]
        x = np.sqrt(centre) + np.sqrt(sigma2_w / 2) * np.linspace(-8, 8, 321)
        x = np.where(x > 0, x, np.nan)
        sides = []
        for index, step in enumerate(steps):
            both = []
            for sign in (1, -1):
                moved = at.copy()
                moved[index] += sign * step
                part_w = np.exp(moved[4 + sweep]) / 2
                mean = expected_w(moved)[sweep][:, np.newaxis] / part_w
                both.append(stats.ncx2.logpdf(x**2 / part_w, 2, mean) - np.log(part_w))
            sides.append((both[0] - both[1]) / (2 * step))
        density = np.exp(stats.ncx2.logpdf(2 * x**2 / sigma2_w, 2, 2 * centre / sigma2_w)) * 2 * x * 2 / sigma2_w
        weights.append(np.nan_to_num(density * np.sqrt(sigma2_w / 2) * 16 / 320))
        scores.append(np.nan_to_num(np.stack(sides)))
    return sum(
        (np.einsum("ipx,jpx,px->ij", score, score, weight) for score, weight in zip(scores, weights, strict=True)),
        start=np.zeros((6, 6)),
    )


def test_slope_of_a_start_points_uphill() -> None:
    observations, sigma2_w = observed(15.0, 10, seed=2)
    assert started(observations, 15.4, ANGLE_RAD, FULL, sigma2_w).slope[0] > 0  # curvature must grow
    assert started(observations, 14.6, ANGLE_RAD, FULL, sigma2_w).slope[0] < 0


def test_equal_limits_hold_the_range() -> None:
    observations, sigma2_w = observed(15.0, 10, seed=3)
    start = started(observations, 15.0, ANGLE_RAD, FULL, sigma2_w)
    held = climbed(observations, start, range_limits_m=(15.1, 15.1))
    free = climbed(observations, start, range_limits_m=LIMITS_M)
    assert 1 / held.curvature_per_m == pytest.approx(15.1, abs=1e-9)
    assert held.log_likelihood < free.log_likelihood


def test_noise_free_user_is_found_from_a_start_beside_it() -> None:
    observations, _ = observed(15.0, 300, seed=4)
    best = found(observations, (1e-10, 1e-10), 15.2)
    # the responses' own rounding, 1e-9 of an amplitude, is what is left to fit
    assert 1 / best.curvature_per_m == pytest.approx(15.0, abs=1e-5)
    assert best.angle_rad == pytest.approx(ANGLE_RAD, abs=1e-8)


def test_window_of_the_angle_sweep_keeps_the_information() -> None:
    observations, sigma2_w = observed(15.0, 10, seed=5)
    middle = int(np.argmax(np.abs(heard(FORWARD, 15.0, ANGLE_RAD))))
    lit = slice(middle - 256, middle + 256)
    window = DownlinkResponse(FACTS, setting_of(FORWARD), window=Window(first=lit.start, count=512))
    narrow = replace(observations[0], power_w=observations[0].power_w[lit], response=window)
    both = [started(obs, 15.0, ANGLE_RAD, FULL, sigma2_w) for obs in (observations, [narrow, observations[1]])]
    whole, part = (np.linalg.inv(one.information) for one in both)
    assert np.sqrt(np.diag(part) / np.diag(whole)).max() < 1.01
