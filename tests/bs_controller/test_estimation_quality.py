"""What an estimate says of itself: covariance, fit, rivals."""

import numpy as np
import pytest

from bs_controller.estimation.quality import covariance_from_information, goodness_of_fit, rival_share
from tests.bs_controller.hearing import FORWARD, heard, noise


def test_covariance_is_the_inverse_of_the_information() -> None:
    covariance = covariance_from_information(np.array([[4.0, 1.0], [1.0, 2.0]]))
    assert (covariance.range_m2, covariance.range_angle_m_rad, covariance.angle_rad2) == pytest.approx(
        (2 / 7, -1 / 7, 4 / 7)
    )


def test_fit_of_pure_noise_is_one_within_its_stated_deviation() -> None:
    rng, count = np.random.default_rng(11), 400
    fits = [goodness_of_fit([rng.standard_normal(4096).view(complex) for _ in range(2)]) for _ in range(count)]
    deviations = np.array([(fit.statistic - 1) * np.sqrt(fit.degrees) for fit in fits])
    assert abs(deviations.mean()) < 4 / np.sqrt(count)
    assert deviations.std() == pytest.approx(1, abs=4 / np.sqrt(2 * count))


def test_fit_of_a_missing_path_is_worse_than_noise() -> None:
    rng, path = np.random.default_rng(12), heard(FORWARD, 30.0, -0.4)
    fit = goodness_of_fit([noise(path, 0, rng) + path])
    assert fit.statistic > 1 + 10 / np.sqrt(fit.degrees)


def test_fit_of_samples_without_noise_is_finite() -> None:
    assert goodness_of_fit([np.zeros(64, dtype=np.complex128)]).statistic == 1.0


def test_rival_share_is_the_power_of_a_second_path_against_the_first() -> None:
    user, echo = heard(FORWARD, 12.0, 0.3), 0.5 * heard(FORWARD, 30.0, -0.5)
    assert rival_share(user + echo, echo, 192) == pytest.approx(0.25, rel=0.1)  # bands of different ranges differ


def test_rival_share_of_noise_is_small() -> None:
    user, rng = heard(FORWARD, 12.0, 0.3), np.random.default_rng(13)
    left = noise(user, 0, rng)
    assert rival_share(user + left, left, 192) < 0.05
