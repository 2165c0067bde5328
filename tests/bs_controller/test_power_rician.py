"""The likelihood of powers against scipy's noncentral chi-square, its slopes against finite differences."""

import numpy as np
import numpy.typing as npt
import pytest
from scipy import special, stats

from bs_controller.estimation.power.rician import RicianTerms, rician_terms, scaled_bessel

Floats = npt.NDArray[np.float64]


def log_density(power_w: Floats, expected_w: Floats, sigma2_w: float) -> Floats:
    """Oracle: a power over half the noise power is noncentral chi-square with two degrees."""
    part_w = sigma2_w / 2
    density: Floats = stats.ncx2.logpdf(power_w / part_w, 2, expected_w / part_w) - np.log(part_w)
    return density


def drawn(expected_w: Floats, sigma2_w: float, seed: int) -> Floats:
    rng = np.random.default_rng(seed)
    real, imaginary = np.sqrt(sigma2_w / 2) * rng.standard_normal((2, expected_w.size))
    power_w: Floats = (np.sqrt(expected_w) + real) ** 2 + imaginary**2
    return power_w


EXPECTED_W = np.concatenate([np.zeros(3), np.geomspace(1e-4, 30, 60)])
SIGMA2_W = 0.7
POWER_W = drawn(EXPECTED_W, SIGMA2_W, seed=1)


def terms() -> RicianTerms:
    return rician_terms(POWER_W, EXPECTED_W, SIGMA2_W)


def test_log_likelihood_is_that_of_the_noncentral_chi_square() -> None:
    # 63 samples, each good to 1e-8
    assert terms().log_likelihood == pytest.approx(log_density(POWER_W, EXPECTED_W, SIGMA2_W).sum(), abs=1e-6)


def test_weight_is_the_slope_by_the_expected_power() -> None:
    step_w = 1e-4 * EXPECTED_W[3:]
    power_w, expected_w = POWER_W[3:], EXPECTED_W[3:]
    rise = log_density(power_w, expected_w + step_w, SIGMA2_W) - log_density(power_w, expected_w - step_w, SIGMA2_W)
    # a change d of the expected power in halves of the noise power moves the likelihood by weight d / 2
    slope = rise / (2 * step_w) * SIGMA2_W
    assert terms().weight[3:] == pytest.approx(slope, abs=1e-5)


def test_noise_slope_is_the_slope_by_the_logarithm_of_the_noise_power() -> None:
    above, below = (log_density(POWER_W, EXPECTED_W, SIGMA2_W * np.exp(step)) for step in (1e-4, -1e-4))
    assert terms().noise_slope == pytest.approx((above - below) / 2e-4, abs=1e-5)


@pytest.mark.parametrize("expected_w", [0.0, 0.05, 1.0, 4.0, 50.0, 400.0])
def test_information_is_the_mean_of_products_of_slopes(expected_w: float) -> None:
    x = np.linspace(1e-9, np.sqrt(expected_w) + 9 * np.sqrt(SIGMA2_W / 2), 20001)
    powers_w = x**2
    density = np.exp(log_density(powers_w, np.full(x.size, expected_w), SIGMA2_W)) * 2 * x * (x[1] - x[0])
    at = rician_terms(powers_w, np.full(x.size, expected_w), SIGMA2_W)
    assert density.sum() == pytest.approx(1, abs=1e-4)
    # the tabulated information is good to 2e-5 and enters the others times the ratio of powers, 1143 at most
    ratio = 2 * expected_w / SIGMA2_W
    slack = 1e-3 + 2e-5 * ratio
    assert at.information[0] * max(ratio, 1) == pytest.approx((density * at.weight**2).sum() * max(ratio, 1), abs=slack)
    assert at.shared[0] == pytest.approx((density * at.weight * at.noise_slope).sum(), abs=slack)
    assert at.noise_information[0] == pytest.approx((density * at.noise_slope**2).sum(), abs=slack * max(ratio, 1))


def test_bessel_functions_are_those_of_scipy() -> None:
    z = np.concatenate([[0.0, 1e-12], np.linspace(0, 130, 9001), np.geomspace(64, 1e14, 200)])
    logarithm, ratio = scaled_bessel(z)
    assert np.abs(logarithm - np.log(special.i0e(z))).max() < 1e-8
    assert np.abs(ratio - special.i1e(z) / special.i0e(z)).max() < 2e-7


def test_terms_stay_finite_without_noise() -> None:
    at = rician_terms(np.array([0.0, 1.0, 2.0]), np.array([0.0, 1.0, 2.0]), 1e-14)
    for values in (at.weight, at.noise_slope, at.information, at.shared, at.noise_information):
        assert np.isfinite(values).all()
    assert np.isfinite(at.log_likelihood)
