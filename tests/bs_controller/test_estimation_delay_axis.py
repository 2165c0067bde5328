"""Blocks of bright bins on the delay axis, against sums written out."""

import numpy as np
import pytest

from bs_controller.estimation.delay_axis import held_energy, likeliest_ranges, summed_twice, two_level_likelihood
from bs_controller.estimation.masks import all_masks

MASKS = all_masks(3).copy()


def test_two_level_likelihood_is_that_of_exponential_energies() -> None:
    rng = np.random.default_rng(10)
    energy = rng.exponential(size=200)
    energy[50:90] *= 5
    inside, outside = energy[50:90], np.delete(energy, slice(50, 90))
    ours = two_level_likelihood(np.array([[inside.sum()]]), np.array([40.0]), energy)[0, 0]
    floor = 0.1 * energy.mean()
    expected = -40 * np.log(inside.mean() + floor) - 160 * np.log(outside.mean() + floor)
    assert ours == pytest.approx(expected)


def test_bins_darker_than_the_others_are_refused() -> None:
    energy = np.ones(100)
    energy[:10] = 0
    assert two_level_likelihood(np.array([[0.0]]), np.array([10.0]), energy)[0, 0] == -np.inf


def test_energy_held_by_a_mask_is_the_sum_over_its_bins_around_the_axis() -> None:
    energy, first, width = np.random.default_rng(3).random(40), np.array([-6.0, 3.0, 30.0]), np.array([4.0, 9.0, 7.0])
    range_bin = np.array([0, 5, 33])
    ours = held_energy(MASKS, summed_twice(energy), first, width, range_bin)
    for row, mask in zip(ours, MASKS, strict=True):
        blocks = [
            np.arange(low, low + size).astype(int) for low, size in zip(first[mask > 0], width[mask > 0], strict=True)
        ]
        expected = [sum(energy[(block + shift) % 40].sum() for block in blocks) for shift in range_bin]
        assert row == pytest.approx(expected)


@pytest.mark.parametrize("sweeps", [1, 2])
def test_likeliest_range_of_a_mask_is_the_highest_of_all(sweeps: int) -> None:
    rng = np.random.default_rng(4)
    energy, bins = rng.exponential(size=(sweeps, 200)), np.full((sweeps, 7), 20.0)
    held = rng.uniform(5, 60, (sweeps, 7, 50))
    each = sum(two_level_likelihood(held[k], bins[k], energy[k]) for k in range(sweeps))
    height, best = likeliest_ranges(held, bins, energy.sum(axis=1), 200)
    assert best.tolist() == np.asarray(each).argmax(axis=1).tolist()
    assert height == pytest.approx(np.asarray(each).max(axis=1))
