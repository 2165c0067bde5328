"""What a network is shown of two sweeps: a frame that is right to a bound or two, and how far off it is."""

import numpy as np
import pytest

from bs_controller.estimation.network_input import NetworkInputs, arrival_offset_m
from bs_controller.sweeps import Trajectory
from tests.bs_controller.hearing import ALL, FACTS, FORWARD, heard, noise, setting_of

INPUTS = NetworkInputs(FACTS, FORWARD)


@pytest.mark.parametrize("offset_m", [-0.06, 0.0, 0.0113, 0.4])
def test_later_arrival_of_blocks_is_found_between_the_bins(offset_m: float) -> None:
    cycles_per_m = 0.156
    blocks = np.exp(2j * np.pi * cycles_per_m * offset_m * np.arange(128))
    # the peak is a squared Dirichlet kernel: through points an eighth of a bin, 6 mm, apart its parabola is 0.4 % of a step off
    assert arrival_offset_m(blocks, cycles_per_m) == pytest.approx(offset_m, abs=2.5e-5)


@pytest.mark.parametrize("visible", [ALL, (1,), (0, 2)])
def test_supposed_position_is_right_to_a_millimetre_and_a_twentieth_of_a_beam(visible: tuple[int, ...]) -> None:
    rng, range_m, angle_rad = np.random.default_rng(len(visible)), 17.0, 0.35
    clean = heard(FORWARD, range_m, angle_rad, visible)
    angle = INPUTS.angle_sweep(clean + noise(clean, 10, rng), FORWARD, setting_of(FORWARD))
    aim_rad = INPUTS.aim_rad(angle)
    over_range = Trajectory(start_range_m=50.0, start_angle_rad=aim_rad, end_range_m=5.0, end_angle_rad=aim_rad)
    swept = heard(over_range, range_m, angle_rad, visible)
    shown = INPUTS.of(angle, swept + noise(swept, 10, rng), setting_of(over_range), aim_rad, 0.0)
    assert tuple(np.flatnonzero(shown.mask)) == visible
    assert shown.range_m == pytest.approx(range_m, abs=1e-3)
    assert shown.sine == pytest.approx(np.sin(angle_rad), abs=0.05 * 2 / 512)
    real, imaginary = (shown.features[2:4] ** 2).sum(axis=1)
    assert imaginary < 0.1 * real  # the range sweep's blocks are in phase there; half of the noise is 5 %


def test_frame_and_features_do_not_know_the_gain() -> None:
    rng, aim_rad = np.random.default_rng(4), -0.6
    over_range = Trajectory(start_range_m=50.0, start_angle_rad=aim_rad, end_range_m=5.0, end_angle_rad=aim_rad)
    clean, swept = heard(FORWARD, 30.0, aim_rad), heard(over_range, 30.0, aim_rad)
    first, second = clean + noise(clean, 10, rng), swept + noise(swept, 10, rng)
    shown, again = (
        INPUTS.of(
            INPUTS.angle_sweep(gain * first, FORWARD, setting_of(FORWARD)),
            -2 * gain * second,
            setting_of(over_range),
            aim_rad,
            0.3,
        )
        for gain in (1.0, 40j)
    )
    assert again.range_m == pytest.approx(shown.range_m, abs=1e-9)
    assert again.features == pytest.approx(shown.features, abs=1e-4)
    assert shown.range_scale_m == pytest.approx(0.3, rel=1e-3)
