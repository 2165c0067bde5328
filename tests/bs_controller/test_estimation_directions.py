"""Sums of elements towards directions, against inner products written out."""

import numpy as np
import pytest

from bs_controller.estimation.directions import direction_shares, likeliest_apart, likeliest_direction
from bs_controller.estimation.masks import all_masks, log_likelihood


def test_shares_of_directions_are_inner_products_with_ramps() -> None:
    rng, masks = np.random.default_rng(20), all_masks(2).copy()
    elements = rng.standard_normal(6) + 1j * rng.standard_normal(6)
    ramps = np.exp(2j * np.pi * rng.random((6, 5)))
    ours = direction_shares(elements, np.stack([ramps.real, ramps.imag]).reshape(2, 2, 3, 5), masks, 40.0)
    for direction in range(5):
        for mask in range(len(masks)):
            seen = np.repeat(masks[mask], 3) > 0
            expected = abs(elements[seen] @ ramps[seen, direction]) ** 2 / (40 * seen.sum())
            assert ours[direction, mask] == pytest.approx(expected)


def test_likeliest_direction_is_the_highest_of_the_likelihood_of_all_sweeps() -> None:
    shares = np.random.default_rng(21).uniform(0, 0.8, (2, 9, 3))
    likelihood = log_likelihood(shares, 50)
    direction, mask = divmod(int(likelihood[1:-1].argmax()) + 3, 3)
    shares[:, [0, -1]] = 0
    *place, height, aside, share, next_share = likeliest_direction(shares, 50)
    assert place == [direction, mask]
    assert height == pytest.approx(likelihood[direction, mask])
    parabola = np.polyfit([-1, 0, 1], shares.mean(axis=0)[direction - 1 : direction + 2, mask], 2)
    assert aside == pytest.approx(-parabola[1] / (2 * parabola[0]))
    means = shares[:, direction].mean(axis=0)
    assert share == pytest.approx(means[mask])
    assert next_share == pytest.approx(np.delete(means, mask).max())


def test_likeliest_mask_of_a_user_who_moves_takes_each_sweep_at_its_own_best_direction() -> None:
    for seed in range(20):
        shares = np.random.default_rng(seed).uniform(0, 0.8, (2, 9, 3))
        apart = log_likelihood(shares.max(axis=1), 50)  # (mask,)
        means = shares.max(axis=1).mean(axis=0)
        mask, height, share, next_share = likeliest_apart(shares, 50)
        assert mask == int(apart.argmax())
        assert height == pytest.approx(apart[mask])
        assert share == pytest.approx(means[mask])
        assert next_share == pytest.approx(np.delete(means, mask).max())


def test_direction_without_noise_is_between_the_shares_that_rounding_leaves_above_all() -> None:
    # a beam that is 0.3 steps aside: its shares are above what a coarse share is trusted to, and so are its neighbours'
    steps = np.arange(9, dtype=np.float64)
    shares = np.asarray(1.004 - 0.004 * (steps - 4.3) ** 2, dtype=np.float64)[np.newaxis, :, np.newaxis]
    direction, mask, _, aside, share, _ = likeliest_direction(shares, 50)
    assert (direction, mask, share) == (4, 0, shares[0, 4, 0])
    assert aside == pytest.approx(0.3)
