"""The likelihood of masks against least squares written out."""

import numpy as np
import pytest

from bs_controller.estimation.masks import all_masks, explained_share, log_likelihood


def test_four_sub_arrays_have_fifteen_masks_and_none_is_empty() -> None:
    masks = all_masks(4)
    assert masks.shape == (15, 4)
    assert len({tuple(mask) for mask in masks.tolist()}) == 15
    assert masks.sum(axis=1).min() == 1


def test_many_sub_arrays_have_contiguous_runs_only() -> None:
    masks = all_masks(8)
    assert len(masks) == 8 * 9 // 2
    assert all(np.diff(np.flatnonzero(mask)).max(initial=1) == 1 for mask in masks)


def test_explained_share_is_that_of_least_squares() -> None:
    rng = np.random.default_rng(3)
    response, samples = rng.standard_normal((3, 20, 2)).view(complex)[..., 0], rng.standard_normal(40).view(complex)
    energy = np.array([np.vdot(samples, samples).real])
    gram, correlation = response.conj() @ response.T, response.conj() @ samples
    shares = explained_share(all_masks(3), correlation[np.newaxis], gram[np.newaxis], energy)[0]
    for mask, share in zip(all_masks(3), shares, strict=True):
        seen = (mask @ response)[:, np.newaxis]
        gain = np.linalg.lstsq(seen, samples)[0]
        left = np.sum(np.abs(samples - seen @ gain) ** 2)
        assert share == pytest.approx(1 - left / energy[0], abs=1e-12)


def test_log_likelihood_adds_sweeps_at_their_own_noise_powers() -> None:
    share = np.array([[0.5], [0.9]])
    assert log_likelihood(share, 100)[0] == pytest.approx(-100 * (np.log(0.5) + np.log(0.1)))


def test_log_likelihood_of_noise_free_samples_is_finite() -> None:
    assert np.isfinite(log_likelihood(np.array([[1.0]]), 100)).all()
