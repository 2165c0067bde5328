"""Means over the ranges that powers leave open, against sums over a grid of the whole position."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from bs_controller.estimation.power.posterior import BROAD, Posterior, covariance_about_best, distinct, posteriors
from bs_controller.estimation.power.scoring import PowerEstimate, PowerObservation, climbed, started
from bs_controller.response import DownlinkResponse, Window
from bs_controller.trajectories import range_trajectory
from tests.bs_controller.hearing import FACTS, FORWARD, heard, noise, response_of, setting_of
from tests.bs_controller.oracles_of_powers import PowersHeard, VisibleUser

Floats = npt.NDArray[np.float64]

LIMITS_M = (5.0, 50.0)
ANGLE_RAD = 0.2


def estimate(
    range_m: float, visible: tuple[int, ...], snr_db: float, seed: int
) -> tuple[list[PowerObservation], PowerEstimate]:
    rng, observations, sigma2_w = np.random.default_rng(seed), [], []
    for sweep in (FORWARD, range_trajectory(FACTS, ANGLE_RAD)):
        samples = heard(sweep, range_m, ANGLE_RAD, visible)
        power_w = np.abs(samples + noise(samples, snr_db, rng)) ** 2
        observations.append(PowerObservation(power_w=power_w, response=response_of(sweep)))
        sigma2_w.append(float(np.mean(np.abs(samples) ** 2)) / 10 ** (snr_db / 10))
    mask = np.isin(np.arange(4), visible).astype(float)
    start = started(observations, range_m, ANGLE_RAD, mask, sigma2_w)
    return observations, climbed(observations, start, range_limits_m=LIMITS_M)


def moments_on_a_grid(observations: list[PowerObservation], best: PowerEstimate) -> tuple[Floats, Floats]:
    """Oracle: each range with its likelihood at the best angle of many, gains and noise powers refitted."""
    range_m = np.linspace(*LIMITS_M, 91)
    height, angle = np.empty(range_m.size), np.empty(range_m.size)
    for index, at_m in enumerate(range_m.tolist()):
        tried = []
        for turn in (-1.0, 0.0, 1.0):
            ridge_rad = -float(best.information[0, 1] / best.information[1, 1]) * (1 / at_m - best.curvature_per_m)
            sigma2_w = [level.sigma2_w for level in best.levels]
            begin = started(observations, at_m, best.angle_rad + ridge_rad + turn * 1e-3, best.mask, sigma2_w)
            tried.append(climbed(observations, begin, range_limits_m=(at_m, at_m)))
        top = max(tried, key=lambda one: one.log_likelihood)
        height[index] = top.log_likelihood - np.log(top.information[1, 1]) / 2
        angle[index] = top.angle_rad
    weight = np.exp(height - height.max())
    weight /= weight.sum()
    points = np.stack([range_m, angle])
    mean = points @ weight
    return mean, ((points - mean[:, np.newaxis]) * weight) @ (points - mean[:, np.newaxis]).T


@pytest.mark.long
def test_broad_posterior_has_the_moments_of_a_grid_over_the_region() -> None:
    observations, best = estimate(25.0, (1,), 0, seed=1)
    found = posteriors(observations, [best], LIMITS_M)[0]
    mean, covariance = moments_on_a_grid(observations, best)
    deviation_m = np.sqrt(covariance[0, 0])
    assert deviation_m > 3  # or the test says nothing of broad ones
    # straight lines between steps of 0.7 standard deviations
    assert found.mean[0] == pytest.approx(mean[0], abs=0.1 * deviation_m)
    assert np.sqrt(found.covariance[0, 0]) == pytest.approx(deviation_m, rel=0.1)


def points_along_a_direction(best: PowerEstimate, subarray: int, widest_rad: float) -> tuple[Floats, Floats]:
    """Return ranges of the region and angles around those of the direction that one sub-array sees, ``(range, angle)``."""
    centre_x_m = float(FACTS.downlink.array.element_x_m.reshape(4, -1).mean(axis=1)[subarray])
    best_m = 1 / best.curvature_per_m
    direction = np.arctan2(best_m * np.sin(best.angle_rad) - centre_x_m, best_m * np.cos(best.angle_rad))
    edges_m = np.linspace(*LIMITS_M, 47)
    range_m = (edges_m[:-1] + edges_m[1:]) / 2
    # the triangle of array centre, sub-array and user, in which the angle at the user is the difference of directions
    angle_rad = direction + np.arcsin(centre_x_m * np.cos(direction) / range_m)
    offset_rad = np.linspace(-widest_rad, widest_rad, 13)
    return np.broadcast_to(range_m[:, np.newaxis], (46, 13)), angle_rad[:, np.newaxis] + offset_rad


@pytest.mark.long
@pytest.mark.parametrize(("subarray", "range_m", "snr_db"), [(1, 25.0, 10), (2, 12.0, 0)])
def test_posterior_of_one_subarray_has_the_moments_of_all_positions_by_the_formulas_of_the_paper(
    subarray: int, range_m: float, snr_db: float
) -> None:
    rng, observations, sweeps, sigma2_w = np.random.default_rng(subarray), [], [], []
    for sweep, chosen in ((FORWARD, slice(640, 896)), (range_trajectory(FACTS, ANGLE_RAD), slice(832, 1216))):
        samples = heard(sweep, range_m, ANGLE_RAD, (subarray,))
        power_w = (np.abs(samples + noise(samples, snr_db, rng)) ** 2)[chosen]
        window = Window(first=chosen.start, count=power_w.size)
        response = DownlinkResponse(FACTS, setting_of(sweep), window=window)
        observations.append(PowerObservation(power_w=power_w, response=response))
        sweeps.append(PowersHeard(power_w=power_w, first=chosen.start, setting=setting_of(sweep)))
        sigma2_w.append(float(np.mean(np.abs(samples) ** 2)) / 10 ** (snr_db / 10))
    mask = np.arange(4) == subarray
    start = started(observations, range_m, ANGLE_RAD, mask.astype(float), sigma2_w)
    best = climbed(observations, start, range_limits_m=LIMITS_M)
    found = posteriors(observations, [best], LIMITS_M)[0]

    user = VisibleUser(FACTS, sweeps, FACTS.downlink.array.element_subarray == subarray)
    angle_deviation_rad = float(best.information[1, 1]) ** -0.5
    mean, covariance = user.moments(*points_along_a_direction(best, subarray, 5 * angle_deviation_rad))
    assert np.sqrt(covariance[0, 0]) > 0.1 * mean[0]  # or the test says nothing of bent ridges
    across = np.linalg.inv(np.linalg.cholesky(covariance))
    # the steps of this grid, a metre, and straight lines of the angle's deviation between those of the scan
    assert np.abs(across @ (found.mean - mean)).max() < 0.02
    assert across @ found.covariance @ across.T == pytest.approx(np.eye(2), abs=0.03)


def test_likelihood_that_is_broader_than_its_information_says_is_seen_to_be() -> None:
    observations, best = estimate(15.0, (1, 2), 10, seed=2)
    right = posteriors(observations, [best], LIMITS_M)[0]
    info = best.information
    of_curvature = info[0, 0] - info[0, 1] ** 2 / info[1, 1]
    assert of_curvature * (BROAD * best.curvature_per_m) ** 2 > 1  # or it is scanned in any case
    too_sure = replace(best, information=info + np.diag([3 * of_curvature, 0.0]))
    wrong = posteriors(observations, [too_sure], LIMITS_M)[0]
    # only the first step of the scan depends on the information at its start; unseen, the ratio would be a half
    assert np.sqrt(wrong.covariance[0, 0] / right.covariance[0, 0]) == pytest.approx(1, abs=0.03)


def test_what_one_maximum_was_integrated_over_counts_for_no_other() -> None:
    observations, best = estimate(12.0, (0,), 10, seed=2)
    aside = climbed(observations, best, range_limits_m=(40.0, 40.0))  # from where a scan would climb to the best
    first, second = posteriors(observations, [best, aside], LIMITS_M)
    assert second.curvatures_per_m[1] <= first.curvatures_per_m[0]
    assert second.log_evidence < first.log_evidence - 5


def test_narrow_posterior_is_the_estimate_with_its_information() -> None:
    observations, best = estimate(15.0, (0, 1, 2, 3), 10, seed=2)
    found = posteriors(observations, [best], LIMITS_M)[0]
    by_range = np.diag([-((best.curvature_per_m**2) ** -1), 1.0])
    expected = by_range @ np.linalg.inv(best.information) @ by_range
    deviation_m = np.sqrt(expected[0, 0])
    # the flat prior in range and the curvature of the ridge move it by (deviation / range) of a deviation
    assert found.mean[0] == pytest.approx(1 / best.curvature_per_m, abs=0.2 * deviation_m)
    assert found.covariance == pytest.approx(expected, rel=0.03)


def test_posterior_beyond_the_region_stays_inside() -> None:
    observations, best = estimate(50.0, (1,), 0, seed=3)
    found = posteriors(observations, [best], LIMITS_M)[0]
    assert LIMITS_M[0] < found.mean[0] < LIMITS_M[1]


def test_rival_far_away_widens_the_covariance_by_its_share() -> None:
    _, best = estimate(15.0, (0, 1, 2, 3), 10, seed=2)

    def hypothesis(range_m: float, log_evidence: float) -> Posterior:
        return Posterior(
            mean=np.array([range_m, 0.2]),
            covariance=np.diag([1e-2, 1e-8]),
            log_evidence=log_evidence,
            estimate=best,
            curvatures_per_m=(0.0, 1.0),
        )

    pair = [hypothesis(15.0, 0.0), hypothesis(25.0, -np.log(3))]
    assert covariance_about_best(pair)[0, 0] == pytest.approx(1e-2 + 0.25 * 10**2)


def test_the_same_maximum_found_twice_counts_once() -> None:
    observations, best = estimate(15.0, (0, 1, 2, 3), 10, seed=2)
    sigma2_w = [level.sigma2_w for level in best.levels]
    begin = started(observations, 15.1, ANGLE_RAD, best.mask, sigma2_w)
    again = climbed(observations, begin, range_limits_m=LIMITS_M)
    assert isinstance(observations[0].response, DownlinkResponse)
    assert len(distinct([best, again])) == 1
