"""Counted multiplications against counters that walk through the loops."""

import numpy as np
import pytest

from bs_controller.complexity import (
    ImageSize,
    direct_sum,
    music,
    music_projector,
    planned_image,
    power_of_two_from,
    published_fft,
    transform,
)

SMALL = ImageSize(elements=5, subcarriers=3, ranges=4, angles=5)
# [SUCA, Table I]: the minimum elements at 3.5 and 28 GHz, with the settings of physics
AT_3G5 = ImageSize(elements=49, subcarriers=100, ranges=200, angles=49)
AT_28G = ImageSize(elements=392, subcarriers=100, ranges=200, angles=392)


def butterflies(length: int) -> int:
    """Multiplications of the recursive radix-2 transform: one per pair of outputs and stage."""
    return 0 if length == 1 else 2 * butterflies(length // 2) + length // 2


@pytest.mark.parametrize("length", [1, 2, 8, 1024])
def test_transform_is_counted_as_its_recursion_does(length: int) -> None:
    assert transform(length) == butterflies(length)


@pytest.mark.parametrize(("samples", "length"), [(1, 1), (2, 2), (3, 4), (1024, 1024), (1025, 2048)])
def test_transform_length_is_the_next_power_of_two(samples: int, length: int) -> None:
    assert power_of_two_from(samples) == length


def test_direct_sum_is_counted_as_its_four_loops_do() -> None:
    assert direct_sum(SMALL) == sum(1 for _ in np.ndindex(4, 5, 3, 5))


def test_published_fft_is_counted_as_its_loops_do() -> None:
    length = 16  # 5 elements and 9 lags convolve to 13 values
    per_pair = butterflies(length) + butterflies(length) + length + butterflies(length)
    assert published_fft(SMALL) == sum(per_pair for _ in np.ndindex(4, 3))


def test_planned_image_is_counted_as_its_stages_do() -> None:
    length, terms = 16, 2  # 9 lags in a circular correlation
    projection = sum(1 for _ in np.ndindex(5, 3, terms))
    spectra = sum(butterflies(length) for _ in range(terms))
    products = sum(1 for _ in np.ndindex(4, length, terms))
    assert planned_image(SMALL, terms) == projection + spectra + products + 4 * butterflies(length)


def test_music_is_counted_as_its_loops_do() -> None:
    moments = sum(1 for _ in np.ndindex(5, 5, 3))
    search = sum(1 for _ in np.ndindex(4, 5, 5 - 2, 5))
    assert music(SMALL, paths=2) == moments + 5**3 + search


def test_music_with_a_projector_per_point_is_counted_as_its_loops_do() -> None:
    moments = sum(1 for _ in np.ndindex(5, 5, 3))
    per_point = sum(1 for _ in np.ndindex(5, 5, 5 - 2)) + sum(1 for _ in np.ndindex(5, 5)) + 5
    assert music_projector(SMALL, paths=2) == moments + 5**3 + 4 * 5 * per_point


def test_growth_with_the_array_is_what_the_paper_says_of_its_table() -> None:
    def exponent(of_3g5: int, of_28g: int) -> float:
        return float(np.log(of_28g / of_3g5) / np.log(392 / 49))

    # leading orders; the covariance and log factors account for the margins
    assert exponent(direct_sum(AT_3G5), direct_sum(AT_28G)) == pytest.approx(2, abs=1e-12)  # exact but for rounding
    assert exponent(music_projector(AT_3G5, 1), music_projector(AT_28G, 1)) == pytest.approx(4, abs=0.05)
    assert exponent(music(AT_3G5, 1), music(AT_28G, 1)) == pytest.approx(3, abs=0.05)
    assert 1 < exponent(published_fft(AT_3G5), published_fft(AT_28G)) < 1.2


def test_planned_image_takes_fewer_multiplications_than_any_other() -> None:
    for size in (AT_3G5, AT_28G):
        others = (music(size, 1), music_projector(size, 1), direct_sum(size), published_fft(size))
        assert 40 * planned_image(size, 13) < min(others)


def test_published_fft_saves_multiplications_for_the_large_array_only() -> None:
    # three transforms of 256 outweigh 49 terms at 49 angles; eight times the elements pay fourfold
    assert direct_sum(AT_3G5) < published_fft(AT_3G5) < 2 * direct_sum(AT_3G5)
    assert 4 * published_fft(AT_28G) < direct_sum(AT_28G)


def test_paths_that_leave_no_noise_subspace_are_refused() -> None:
    with pytest.raises(ValueError, match=r"paths must be within 1\.\.4, got 5"):
        music(SMALL, paths=5)


def test_empty_image_is_refused() -> None:
    with pytest.raises(ValueError, match="all sizes must be at least 1"):
        ImageSize(elements=0, subcarriers=3, ranges=4, angles=5)
