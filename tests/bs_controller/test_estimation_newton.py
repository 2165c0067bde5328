"""The refinement against finite differences of the likelihood, and where it ends."""

import numpy as np
import pytest

from bs_controller.estimation.masks import log_likelihood
from bs_controller.estimation.newton import Observation, UnresolvableError, most_likely
from bs_controller.estimation.quality import covariance_from_information
from tests.bs_controller.hearing import ALL, BACKWARD, FORWARD, heard, noise, response_of

FULL = np.ones(4)


def observed(range_m: float, angle_rad: float, visible: tuple[int, ...], snr_db: float, seed: int) -> list[Observation]:
    rng, found = np.random.default_rng(seed), []
    for trajectory in (FORWARD, BACKWARD):
        samples = heard(trajectory, range_m, angle_rad, visible)
        found.append(Observation.of(samples + noise(samples, snr_db, rng), response_of(trajectory)))
    return found


def likelihood(observations: list[Observation], range_m: float, angle_rad: float) -> float:
    shares = []
    for one in observations:
        value = one.response.value(range_m, angle_rad).sum(axis=0)
        shares.append(
            abs(np.vdot(value, one.samples)) ** 2 / np.vdot(value, value).real / np.vdot(one.samples, one.samples).real
        )
    return float(log_likelihood(np.array(shares), one.samples.size))


def test_estimate_is_a_maximum_of_the_likelihood_within_a_fraction_of_its_error() -> None:
    observations = observed(15.0, 0.2, ALL, 10, seed=1)
    best = most_likely(observations, 15.004, 0.20003, FULL)
    sigma_m = np.sqrt(covariance_from_information(best.information).range_m2)
    sigma_rad = np.sqrt(covariance_from_information(best.information).angle_rad2)
    top = likelihood(observations, best.range_m, best.angle_rad)
    for dr, da in ((0.1, 0), (-0.1, 0), (0, 0.1), (0, -0.1)):
        assert likelihood(observations, best.range_m + dr * sigma_m, best.angle_rad + da * sigma_rad) < top


def test_information_is_the_curvature_of_the_likelihood() -> None:
    observations = observed(15.0, 0.2, ALL, 30, seed=2)
    best = most_likely(observations, 15.0, 0.2, FULL)
    step = np.sqrt(1 / np.diag(best.information))
    at = [likelihood(observations, best.range_m + k * step[0], best.angle_rad) for k in (-1, 0, 1)]
    # expected and observed information differ by the noise in the second derivative: 1 % at 30 dB
    assert 2 * at[1] - at[0] - at[2] == pytest.approx(1.0, rel=0.1)


def test_noise_free_user_is_found_to_rounding() -> None:
    best = most_likely(observed(15.0, 0.2, (1, 2), 200, seed=3), 15.005, 0.20005, np.array([0.0, 1, 1, 0]))
    # response and samples come from one transform: what is left is where steps no longer raise the likelihood
    assert best.range_m == pytest.approx(15.0, abs=1e-7)
    assert best.angle_rad == pytest.approx(0.2, abs=1e-9)


@pytest.mark.parametrize("visible", [(0,), (1, 2), (0, 3), ALL])
def test_wrong_mask_at_the_start_is_corrected(visible: tuple[int, ...]) -> None:
    start = np.array([1.0, 1, 1, 0])
    best = most_likely(observed(15.0, 0.2, visible, 10, seed=4), 15.0, 0.2, start)
    assert tuple(np.flatnonzero(best.mask)) == visible


def test_residual_is_what_the_best_gain_leaves() -> None:
    observations = observed(15.0, 0.2, ALL, 10, seed=5)
    best = most_likely(observations, 15.0, 0.2, FULL)
    for residual, one in zip(best.residuals, observations, strict=True):
        signal = np.mean(np.abs(one.samples) ** 2) - np.mean(np.abs(residual) ** 2)
        # the ratio of two means of 2048 exponentials has a standard deviation of 3 %
        assert signal / np.mean(np.abs(residual) ** 2) == pytest.approx(10, rel=0.12)


def test_good_start_needs_few_evaluations() -> None:
    assert most_likely(observed(15.0, 0.2, ALL, 10, seed=6), 15.002, 0.2001, FULL).evaluations <= 4


class _Deaf:
    """A response that no position changes."""

    def value(self, range_m: float, angle_rad: float) -> np.ndarray:
        return np.ones((4, 16), dtype=np.complex128)

    def seen_value(self, range_m: float, angle_rad: float, visible: object) -> np.ndarray:
        return np.ones(16, dtype=np.complex128)

    def seen_with_derivatives(self, range_m: float, angle_rad: float, visible: object) -> "_Deaf.Seen":
        return _Deaf.Seen()

    class Seen:
        rows = np.array([[1.0], [0.0], [0.0]]) * np.ones(16, dtype=np.complex128)


def test_sweeps_that_no_position_changes_are_refused() -> None:
    samples = np.random.default_rng(7).standard_normal(32).view(complex)
    with pytest.raises(UnresolvableError):
        most_likely([Observation.of(samples, _Deaf())], 10.0, 0.0, FULL)
