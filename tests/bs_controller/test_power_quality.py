"""What is said of how powers fit: right where the model holds, and where a second path is missing from it."""

import numpy as np
import numpy.typing as npt
import pytest

from bs_controller.estimation.power.quality import goodness_of_fit, rival_power_share

Floats = npt.NDArray[np.float64]

EXPECTED_W = 3 * np.exp(-(((np.arange(2048) - 900) / 60) ** 2))


def heard(samples: npt.NDArray[np.complex128], seed: int) -> Floats:
    rng = np.random.default_rng(seed)
    drawn = rng.standard_normal((2, 2048)) / np.sqrt(2)
    power_w: Floats = np.abs(samples + drawn[0] + 1j * drawn[1]) ** 2
    return power_w


@pytest.mark.parametrize("level", [0.0, 1.0, 1e4])
def test_statistic_is_one_with_the_deviation_that_its_degrees_say(level: float) -> None:
    expected_w = level * EXPECTED_W + 1e-12
    fits = [goodness_of_fit([heard(np.sqrt(expected_w) + 0j, seed)], [expected_w], [1.0]) for seed in range(200)]
    deviations = [(fit.statistic - 1) * np.sqrt(fit.degrees) for fit in fits]
    # of 200: a mean within 4 / sqrt(200), a deviation within 4 / sqrt(400) of one
    assert abs(np.mean(deviations)) < 0.3
    assert np.std(deviations) == pytest.approx(1, abs=0.25)


def test_second_path_that_the_model_lacks_raises_the_statistic_however_large_the_noise_was_fitted() -> None:
    echo = np.sqrt(EXPECTED_W[::-1])
    power_w = heard(np.sqrt(EXPECTED_W) + echo + 0j, seed=1)
    for sigma2_w in (1.0, 1.5):
        fit = goodness_of_fit([power_w], [EXPECTED_W], [sigma2_w])
        assert fit.statistic > 1 + 5 / np.sqrt(fit.degrees)


def test_samples_without_noise_fit() -> None:
    assert goodness_of_fit([EXPECTED_W], [EXPECTED_W * (1 + 1e-9)], [1e-14]).statistic == 1


def test_share_of_a_rival_is_its_brightness_relative_to_the_users() -> None:
    rival_w = 0.3 * EXPECTED_W[::-1]
    assert rival_power_share(EXPECTED_W + rival_w + 1, EXPECTED_W, 1.0, 192) == pytest.approx(0.3, rel=1e-3)
    assert rival_power_share(EXPECTED_W + 1, EXPECTED_W, 1.0, 192) == pytest.approx(0, abs=1e-9)
