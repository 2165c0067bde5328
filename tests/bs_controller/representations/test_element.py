"""What a network is shown of an angle and a range sweep: a frame that is right to a bound or two, and how far off it is."""

import numpy as np
import pytest

from bs_controller.representations import HeardSweep, representation
from bs_controller.representations.frame import arrival_offset_m
from bs_controller.sweeps import Trajectory
from tests.bs_controller.hearing import ALL, FACTS, FORWARD, heard, noise, setting_of

ELEMENT = representation("element", FACTS)
WAVELENGTH_SHARE = 2 / 512  # a beam's width in sine


def heard_sweep(focus: Trajectory, samples: np.ndarray) -> HeardSweep:
    return HeardSweep(samples=samples, focus=focus, setting=setting_of(focus))


def test_first_sweep_reaches_two_degrees_beyond_the_region() -> None:
    first = ELEMENT.first()
    assert np.degrees([first.start_angle_rad, first.end_angle_rad]) == pytest.approx([62, -62])


@pytest.mark.parametrize("offset_m", [-0.06, 0.0, 0.0113, 0.4])
def test_later_arrival_of_blocks_is_found_between_the_bins(offset_m: float) -> None:
    cycles_per_m = 0.156
    blocks = np.exp(2j * np.pi * cycles_per_m * offset_m * np.arange(128))
    # the peak is a squared Dirichlet kernel: through points an eighth of a bin, 6 mm, apart its parabola is 0.4 % of a step off
    assert arrival_offset_m([blocks], cycles_per_m) == pytest.approx(offset_m, abs=2.5e-5)
    assert arrival_offset_m([blocks, 3j * blocks], cycles_per_m) == pytest.approx(offset_m, abs=2.5e-5)


@pytest.mark.parametrize("visible", [ALL, (1,), (0, 2)])
def test_supposed_position_is_right_to_a_millimetre_and_a_twentieth_of_a_beam(visible: tuple[int, ...]) -> None:
    rng, range_m, angle_rad = np.random.default_rng(len(visible)), 17.0, 0.35
    clean = heard(FORWARD, range_m, angle_rad, visible)
    first = heard_sweep(FORWARD, clean + noise(clean, 10, rng))
    over_range = ELEMENT.second(first)
    swept = heard(over_range, range_m, angle_rad, visible)
    shown = ELEMENT.of(first, heard_sweep(over_range, swept + noise(swept, 10, rng)), 0.0)
    assert shown.mask is not None
    assert tuple(np.flatnonzero(shown.mask)) == visible
    supposed_m, supposed_rad = shown.correction.position(0.0, 0.0)
    assert supposed_m == pytest.approx(range_m, abs=1e-3)
    assert np.sin(supposed_rad) == pytest.approx(np.sin(angle_rad), abs=0.05 * WAVELENGTH_SHARE)
    middle_m = FACTS.downlink.array.element_x_m.reshape(4, -1).mean(axis=1)[list(visible)].mean()
    assert shown.correction.middle_m == pytest.approx(middle_m, abs=1e-12)
    real, imaginary = (shown.features[2:4] ** 2).sum(axis=1)
    assert imaginary < 0.1 * real  # the range sweep's blocks are in phase there; half of the noise is 5 %


def test_late_clock_moves_the_supposed_range_along_the_direction_of_the_middle() -> None:
    late_m, grid = 0.6, FACTS.downlink.grid
    turn = np.exp(2j * np.pi * grid.spacing_hz * late_m / FACTS.speed_of_light_m_s * np.arange(grid.count))
    first = heard_sweep(FORWARD, heard(FORWARD, 9.0, -0.4, (3,)) * turn)
    over_range = ELEMENT.second(first)
    shown = ELEMENT.of(first, heard_sweep(over_range, heard(over_range, 9.0, -0.4, (3,)) * turn), 0.3)
    range_units, sine_units = shown.correction.units(9.0, -0.4)
    assert range_units * shown.correction.range_scale_m == pytest.approx(-late_m, abs=2e-3)
    # seen from the array's centre the direction is 1.2e-3 off there, seen from the sub-array hardly
    assert abs(sine_units * shown.correction.sine_scale) < 2e-4


def test_frame_and_features_do_not_know_the_gain() -> None:
    rng, aim_rad = np.random.default_rng(4), -0.6
    over_range = Trajectory(start_range_m=50.0, start_angle_rad=aim_rad, end_range_m=5.0, end_angle_rad=aim_rad)
    clean, swept = heard(FORWARD, 30.0, aim_rad), heard(over_range, 30.0, aim_rad)
    first, second = clean + noise(clean, 10, rng), swept + noise(swept, 10, rng)
    shown, again = (
        ELEMENT.of(heard_sweep(FORWARD, gain * first), heard_sweep(over_range, -2 * gain * second), 0.3)
        for gain in (1.0, 40j)
    )
    assert again.correction.range_m == pytest.approx(shown.correction.range_m, abs=1e-9)
    assert again.features == pytest.approx(shown.features, abs=1e-4)
    assert shown.correction.range_scale_m == pytest.approx(0.3, rel=1e-3)


def test_line_of_sight_is_supposed_where_an_echo_beside_the_user_is_stronger() -> None:
    rng, grid = np.random.default_rng(6), FACTS.downlink.grid
    # one sub-array sees the user at 9.3 m; all see a scatterer at 9 m, from which the wave goes on for a metre
    beyond = np.exp(2j * np.pi * grid.frequency_hz / FACTS.speed_of_light_m_s)

    def both(focus: Trajectory) -> HeardSweep:
        clean = heard(focus, 9.3, -0.9, (3,)) + beyond * heard(focus, 9.0, -0.89, ALL, gain=2e-4)
        return heard_sweep(focus, clean + noise(clean, 10, rng))

    first = both(FORWARD)
    shown = ELEMENT.of(first, both(ELEMENT.second(first)), 0.0)
    assert shown.mask is not None
    assert np.flatnonzero(shown.mask).tolist() == [3]
    supposed_m, supposed_rad = shown.correction.position(0.0, 0.0)
    # what is left of the echo pulls by more than noise does
    assert supposed_m == pytest.approx(9.3, abs=2e-2)
    assert supposed_rad == pytest.approx(-0.9, abs=2e-3)
