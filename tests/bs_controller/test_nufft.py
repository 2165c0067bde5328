"""Transforms on checked buffers against sums written out."""

import numpy as np
import pytest

from bs_controller.nufft import ToneProducts, ToneSums

RNG = np.random.default_rng(5)
STEP_RAD = RNG.uniform(-np.pi, np.pi, 40)
BINS = np.arange(32) - 16
TONES = np.exp(1j * np.outer(STEP_RAD, BINS))  # (tone, bin)


def drawn(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape) + 1j * RNG.standard_normal(shape)


@pytest.mark.parametrize("count", [1, 17, 40])
def test_sums_of_tones_are_the_dense_sums(count: int) -> None:
    sums, strength = ToneSums(32, 40, 3, 1e-9), drawn(3, count)
    dense = strength @ TONES[:count]
    assert np.abs(sums(STEP_RAD[:count], strength) - dense).max() < 1e-8 * np.abs(dense).max()  # ten times the promise


def test_sums_follow_the_points_of_each_call() -> None:
    sums = ToneSums(32, 40, 1, 1e-9)
    sums(STEP_RAD, drawn(1, 40))
    strength = drawn(1, 5)
    assert np.allclose(sums(STEP_RAD[10:15], strength), strength @ TONES[10:15], atol=1e-7)


def test_products_with_tones_are_the_dense_correlations() -> None:
    samples = drawn(32)
    dense = TONES.conj() @ samples
    assert np.abs(ToneProducts(32, 40, 1e-6)(STEP_RAD, samples) - dense).max() < 1e-5 * np.abs(dense).max()


def test_no_tone_sums_to_zero() -> None:
    assert not ToneSums(32, 40, 3, 1e-9)(STEP_RAD[:0], drawn(3, 0)).any()


def test_more_tones_than_planned_are_refused() -> None:
    with pytest.raises(ValueError, match="at most 39 tones were planned, got 40"):
        ToneSums(32, 39, 1, 1e-9)(STEP_RAD, drawn(1, 40))
    with pytest.raises(ValueError, match="at most 39 tones were planned, got 40"):
        ToneProducts(32, 39, 1e-6)(STEP_RAD, drawn(32))


def test_other_strengths_than_planned_are_refused() -> None:
    with pytest.raises(ValueError, match=r"strengths of shape \(3, 40\) expected, got \(2, 40\)"):
        ToneSums(32, 40, 3, 1e-9)(STEP_RAD, drawn(2, 40))


@pytest.mark.parametrize("sizes", [(0, 4, 1), (4, 0, 1), (4, 4, 0)])
def test_plan_of_nothing_is_refused(sizes: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="at least one bin, point and transform"):
        ToneSums(*sizes, 1e-9)
