"""Paths that arrive before the fitted one: found where they are, and not made of noise or of later paths."""

import numpy as np
import numpy.typing as npt
import pytest

from bs_controller.estimation.earlier import earlier_arrival_m, explained_nats, without

ComplexArray = npt.NDArray[np.complex128]

CYCLES_PER_M = 0.156  # a metre turns one block of 16 subcarriers against the next by so much
BLOCK = np.arange(128)
EXPECTED = np.exp(2j * np.pi * 0.3 * BLOCK)


def path(later_m: float, amplitude: complex) -> ComplexArray:
    """A path that is later than the expected response by so much."""
    wave: ComplexArray = amplitude * EXPECTED * np.exp(2j * np.pi * CYCLES_PER_M * later_m * BLOCK)
    return wave


def noise(seed: int) -> ComplexArray:
    rng = np.random.default_rng(seed)
    drawn: ComplexArray = (rng.standard_normal(128) + 1j * rng.standard_normal(128)) / np.sqrt(2)
    return drawn


@pytest.mark.parametrize("earlier_m", [0.35, 1.0, 2.7])
def test_earlier_path_is_found_to_a_bin_of_the_delay_axis(earlier_m: float) -> None:
    found_m = earlier_arrival_m(noise(1) + path(-earlier_m, 1.0), EXPECTED, CYCLES_PER_M)
    assert found_m == pytest.approx(earlier_m, abs=1.5 / (128 * CYCLES_PER_M))


def test_neither_later_paths_nor_what_is_left_of_the_fit_look_earlier() -> None:
    left = noise(2) + path(0.9, 3.0) + path(0.0, 2.0)
    assert earlier_arrival_m(left, EXPECTED, CYCLES_PER_M) is None


def test_noise_makes_no_earlier_path() -> None:
    found = [earlier_arrival_m(noise(seed), EXPECTED, CYCLES_PER_M) for seed in range(1000)]
    # one in 20 000, by exponential energies in 60 bins against a mean that the median of 128 tells to a tenth
    assert sum(one is not None for one in found) <= 2


def test_what_a_response_explains_is_taken_off_and_counted() -> None:
    samples = noise(3) + path(0.0, 1.0)
    left = without(samples, path(0.0, 5j))
    assert np.vdot(EXPECTED, left) == pytest.approx(0, abs=1e-12)
    expected = 128 * np.log(np.sum(np.abs(samples) ** 2) / np.sum(np.abs(left) ** 2))
    assert explained_nats(samples, left) == pytest.approx(expected, rel=1e-12)
