"""Features of feedback against sums written out, and what they show of a user."""

import numpy as np
import pytest

from bs_controller.features import (
    Dechirper,
    block_sums,
    box_energy,
    brightest_box,
    delay_energy,
    element_path_s,
    lit_subcarrier,
    neighbours_together,
    network_features,
)
from tests.bs_controller.hearing import FACTS, FORWARD, heard, setting_of
from tests.oracles import linear_distance_m, setting_weight

GRID = FACTS.downlink.grid


def test_delay_energy_of_noise_has_the_mean_of_its_variance() -> None:
    rng = np.random.default_rng(1)
    samples = rng.standard_normal(256) + 1j * rng.standard_normal(256)
    assert delay_energy(samples).mean() == pytest.approx(np.mean(np.abs(samples) ** 2), rel=1e-12)  # Parseval, exactly


def test_tone_of_a_whole_delay_bin_lies_in_that_bin() -> None:
    energy = delay_energy(np.exp(2j * np.pi * 37 * np.arange(256) / 256))
    assert energy.argmax() == 37
    assert energy[37] == pytest.approx(256)


@pytest.mark.parametrize("width", [1, 4, 5])
def test_box_energy_is_the_sum_over_the_box(width: int) -> None:
    energy = np.random.default_rng(2).random(16)
    bins = np.arange(16)[:, np.newaxis] + np.arange(width) - width // 2
    inside = (bins >= 0) & (bins < 16)
    expected = np.where(inside, energy[bins % 16], 0).sum(axis=1)
    assert box_energy(energy, width, circular=False) == pytest.approx(expected)
    assert box_energy(energy, width, circular=True) == pytest.approx(energy[bins % 16].sum(axis=1))


@pytest.mark.parametrize("width", [1, 30, 150])
def test_lit_subcarrier_is_the_middle_of_the_lit_band(width: int) -> None:
    samples = np.zeros(2048, dtype=np.complex128)
    samples[700 : 700 + width] = 1
    assert lit_subcarrier(samples, 192) == pytest.approx(700 + (width - 1) / 2)


def test_lit_band_at_the_edge_of_the_sweep_is_found() -> None:
    samples = np.zeros(2048, dtype=np.complex128)
    samples[2040:] = 1
    assert lit_subcarrier(samples, 192) == pytest.approx(2043.5)


def test_element_paths_are_those_of_cartesian_coordinates() -> None:
    expected = linear_distance_m(FACTS.downlink.array.element_x_m, 7.0, -0.9) / FACTS.speed_of_light_m_s
    assert element_path_s(FACTS, 7.0, -0.9) == pytest.approx(expected, rel=1e-13)


def test_dechirped_elements_are_the_dense_correlations() -> None:
    setting, samples = setting_of(FORWARD), heard(FORWARD, 12.0, 0.4)
    distance_m = linear_distance_m(FACTS.downlink.array.element_x_m, 12.3, 0.39)
    path = np.exp(2j * np.pi * np.outer(distance_m, GRID.frequency_hz) / FACTS.speed_of_light_m_s)
    dense = (path * setting_weight(FACTS.downlink, setting)).conj() @ samples * np.sqrt(512)
    ours = Dechirper(FACTS).elements(samples, setting, 12.3, 0.39)
    assert np.abs(ours - dense).max() < 1e-5 * np.abs(dense).max()  # ten times what the transform promises


def test_dechirped_elements_show_the_visible_sub_arrays_in_one_phase() -> None:
    samples = heard(FORWARD, 20.0, 0.3, visible=(1, 3))
    blocks = Dechirper(FACTS).elements(samples, setting_of(FORWARD), 20.0, 0.3).reshape(4, -1)
    energy, in_phase = (np.abs(blocks) ** 2).sum(axis=1), np.abs(blocks.sum(axis=1)) ** 2 / 128
    # elements 0.9 delay bins apart leak into their neighbours only: at the ends of the block, and by ripples inside
    assert max(energy[0], energy[2]) < 0.05 * min(energy[1], energy[3])
    assert (in_phase[[1, 3]] > 0.9 * energy[[1, 3]]).all()


def test_brightest_box_is_the_highest_of_all() -> None:
    energy = np.random.default_rng(5).random(50)
    sums = box_energy(energy, 7, False)
    centre, brightest = brightest_box(energy, 7)
    assert centre == sums.argmax()
    assert brightest == pytest.approx(sums.max())


def test_block_sums_are_those_of_samples_with_the_tone_taken_off() -> None:
    rng = np.random.default_rng(6)
    samples = rng.standard_normal(48) + 1j * rng.standard_normal(48)
    turned = samples * np.exp(-2j * np.pi * 0.37 * np.arange(48))
    assert block_sums(samples, 8, 0.37) == pytest.approx(turned.reshape(6, 8).sum(axis=1) / np.sqrt(8))


def test_network_is_shown_flat_phases_at_the_right_position() -> None:
    turn = np.exp(0.7j)
    shown = network_features([np.full(128, 3 * turn), np.full(128, 0.01 * turn)], 0.3, -0.5, 0.0)
    assert shown.shape == (9, 128)
    for row, value in enumerate((1, 0, 1, 0, 0.3, -0.5, -6, -6, -3)):
        assert shown[row] == pytest.approx(value, abs=1e-6)


def test_network_is_shown_slopes_of_phases_whatever_the_gain() -> None:
    place = np.arange(128) - 63.5
    wave = np.exp(1j * 0.02 * place)
    shown = network_features([neighbours_together(np.repeat(wave, 4)), wave.conj()], 0.3, 0.0, 1.0)
    again = network_features([2j * wave, -5 * wave.conj()], 0.3, 0.0, 1.0)
    assert again == pytest.approx(shown, abs=1e-6)
    assert np.angle(shown[0] + 1j * shown[1]) == pytest.approx(0.02 * place, abs=1e-6)
    assert np.angle(shown[2] + 1j * shown[3]) == pytest.approx(-0.02 * place, abs=1e-6)
    assert (shown[0] ** 2 + shown[1] ** 2).mean() == pytest.approx(1, abs=1e-6)
    in_phase = abs(wave.mean()) ** 2
    assert shown[6, 0] == pytest.approx(np.log10(1 - in_phase), abs=1e-5)


def test_elements_that_cannot_be_added_up_are_refused() -> None:
    with pytest.raises(ValueError, match=r"a multiple of 128 values expected, got 100"):
        neighbours_together(np.ones(100, dtype=np.complex128))


def test_part_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match=r"parts of 128 values expected, got \(100,\)"):
        network_features([np.ones(100, dtype=np.complex128)], 0.1, 0.0, 0.0)
