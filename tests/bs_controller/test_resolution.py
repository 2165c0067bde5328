"""Minimum element counts, lobe widths and reconstruction patterns of the sectored circular array."""

import numpy as np
import numpy.typing as npt
import pytest
from scipy import integrate

from bs_controller.resolution import (
    angle_lobe_rad,
    angle_pattern,
    angle_pattern_of_continuum,
    minimum_elements,
    range_lobe_m,
    range_pattern,
)
from protocol.testbed import SPEED_OF_LIGHT_M_S, SectorArray, SubcarrierGrid, Uplink
from tests.oracles import dense_snapshot, direct_backprojection

Floats = npt.NDArray[np.float64]

CARRIERS_HZ = (3.5e9, 10e9, 28e9)
GRID = SubcarrierGrid(first_hz=3.5e9, spacing_hz=480e3, count=100)


def array_for(carrier_hz: float, *, denser: int = 1) -> SectorArray:
    elements = denser * minimum_elements(np.pi / 3, 1.0, carrier_hz, SPEED_OF_LIGHT_M_S)
    return SectorArray(elements=elements, radius_m=1.0, half_sector_rad=np.pi / 3)


def lobe_rad(carrier_hz: float) -> float:
    return angle_lobe_rad(np.pi / 3, 1.0, carrier_hz, SPEED_OF_LIGHT_M_S)


@pytest.mark.parametrize(("carrier_hz", "elements"), [(3.5e9, 49), (10e9, 140), (28e9, 392)])
def test_sector_of_120_degrees_and_1_m_needs_the_papers_elements(carrier_hz: float, elements: int) -> None:
    assert minimum_elements(np.pi / 3, 1.0, carrier_hz, SPEED_OF_LIGHT_M_S) == elements


def test_narrow_sector_needs_fewer_by_the_sine_of_its_width() -> None:
    # 4 alpha R sin(2 alpha) / lambda with alpha = pi/8 and lambda = 1 cm: 111.07
    assert minimum_elements(np.pi / 8, 1.0, 100 * SPEED_OF_LIGHT_M_S, SPEED_OF_LIGHT_M_S) == 112


def test_sector_beyond_the_equations_is_refused() -> None:
    with pytest.raises(ValueError, match="got 2 rad"):
        minimum_elements(2.0, 1.0, 28e9, SPEED_OF_LIGHT_M_S)


@pytest.mark.parametrize(("carrier_hz", "lobe_mrad"), [(3.5e9, 49.5), (10e9, 17.3), (28e9, 6.18)])
def test_sector_of_120_degrees_and_1_m_has_the_papers_lobes(carrier_hz: float, lobe_mrad: float) -> None:
    assert lobe_rad(carrier_hz) == pytest.approx(1e-3 * lobe_mrad, rel=2e-3)  # three digits


def test_lobe_of_a_sector_beyond_the_equations_is_refused() -> None:
    with pytest.raises(ValueError, match="got 2 rad"):
        angle_lobe_rad(2.0, 1.0, 28e9, SPEED_OF_LIGHT_M_S)


@pytest.mark.parametrize("carrier_hz", CARRIERS_HZ)
def test_main_lobe_ends_within_an_eighth_of_the_estimate(carrier_hz: float) -> None:
    offset_rad = np.linspace(0, 1.3, 261) * lobe_rad(carrier_hz)
    pattern = np.abs(angle_pattern_of_continuum(array_for(carrier_hz), carrier_hz, SPEED_OF_LIGHT_M_S, offset_rad))
    # the first minimum lies at 0.895 of it: the phase grows as a sine over the sector, not linearly
    assert offset_rad[np.argmin(pattern)] == pytest.approx(lobe_rad(carrier_hz), rel=1 / 8)


@pytest.mark.parametrize("carrier_hz", CARRIERS_HZ)
def test_sidelobes_follow_one_another_at_the_estimated_spacing(carrier_hz: float) -> None:
    offset_rad = np.linspace(0, 6, 1201) * lobe_rad(carrier_hz)
    pattern = np.abs(angle_pattern_of_continuum(array_for(carrier_hz), carrier_hz, SPEED_OF_LIGHT_M_S, offset_rad))
    inner = pattern[1:-1]
    peaks_rad = offset_rad[1:-1][(inner > pattern[:-2]) & (inner > pattern[2:])]
    np.testing.assert_allclose(np.diff(peaks_rad), lobe_rad(carrier_hz), rtol=0.1)  # 1.02 to 1.09 at 3.5 GHz


def test_pattern_of_the_continuum_is_the_papers_integral() -> None:
    carrier_hz, target_rad = 3.5e9, 0.3
    wavenumber = 2 * np.pi * carrier_hz / SPEED_OF_LIGHT_M_S
    angle_rad = np.array([-0.9, 0.1, 0.29, 0.3, 0.34, 1.0])

    def part(theta: float, of: np.ufunc) -> float:
        def integrand(psi: float) -> float:
            return float(of(wavenumber * (np.cos(target_rad - psi) - np.cos(theta - psi))))

        return float(integrate.quad(integrand, -np.pi / 3, np.pi / 3, limit=500)[0]) / (2 * np.pi / 3)

    reference = [complex(part(theta, np.cos), part(theta, np.sin)) for theta in angle_rad]
    ours = angle_pattern_of_continuum(
        array_for(carrier_hz), carrier_hz, SPEED_OF_LIGHT_M_S, angle_rad, target_angle_rad=target_rad
    )
    np.testing.assert_allclose(ours, reference, rtol=0, atol=1e-8)  # what the adaptive quadrature promises


def test_pattern_is_one_at_the_target() -> None:
    pattern = angle_pattern(
        array_for(28e9), 28e9, SPEED_OF_LIGHT_M_S, np.array([0.4]), target_angle_rad=0.4, target_range_m=5.0
    )
    np.testing.assert_allclose(pattern, 1.0, atol=1e-12)


def test_pattern_at_a_finite_range_is_backprojection_at_that_range() -> None:
    array, angle_rad = array_for(10e9), np.linspace(-1, 1, 21)
    uplink = Uplink(grid=SubcarrierGrid(first_hz=10e9, spacing_hz=480e3, count=2), array=array)
    samples = dense_snapshot(uplink, [(1.0 + 0j, 4.0, 0.3, 0.0)], SPEED_OF_LIGHT_M_S)
    samples[:, 1] = 0
    image = direct_backprojection(uplink, samples, np.array([4.0]), angle_rad, SPEED_OF_LIGHT_M_S)[0] / array.elements
    ours = angle_pattern(array, 10e9, SPEED_OF_LIGHT_M_S, angle_rad, target_angle_rad=0.3, target_range_m=4.0)
    np.testing.assert_allclose(ours, image, rtol=0, atol=1e-10)  # phases of 800 rad


@pytest.mark.parametrize("far", [1e4, 1e6])
def test_pattern_far_away_is_the_printed_one(far: float) -> None:
    array, angle_rad = array_for(3.5e9), np.linspace(-1, 1, 21)
    near = angle_pattern(array, 3.5e9, SPEED_OF_LIGHT_M_S, angle_rad, target_range_m=far)
    printed = angle_pattern(array, 3.5e9, SPEED_OF_LIGHT_M_S, angle_rad)
    # the difference of curvature is k R^2 / (2 r) at most
    np.testing.assert_allclose(near, printed, rtol=0, atol=2 * np.pi * 3.5e9 / SPEED_OF_LIGHT_M_S / (2 * far))


def test_ever_more_elements_approach_the_continuum() -> None:
    offset_rad = np.linspace(0, 8, 161) * lobe_rad(3.5e9)
    continuum = angle_pattern_of_continuum(array_for(3.5e9), 3.5e9, SPEED_OF_LIGHT_M_S, offset_rad)
    errors = [
        np.abs(angle_pattern(array_for(3.5e9, denser=d), 3.5e9, SPEED_OF_LIGHT_M_S, offset_rad) - continuum).max()
        for d in (1, 10)
    ]
    # both end elements count in full, so the error falls as 1 / N
    assert errors[1] == pytest.approx(errors[0] / 10, rel=0.1)


def test_fewest_elements_are_within_2_percent_of_the_continuum() -> None:
    offset_rad = np.linspace(0, 8, 161) * lobe_rad(3.5e9)
    discrete = angle_pattern(array_for(3.5e9), 3.5e9, SPEED_OF_LIGHT_M_S, offset_rad)
    continuum = angle_pattern_of_continuum(array_for(3.5e9), 3.5e9, SPEED_OF_LIGHT_M_S, offset_rad)
    assert np.abs(discrete - continuum).max() < 0.021  # 1 / N, by the two end elements


def test_range_lobe_of_100_subcarriers_of_480_khz_is_12_m() -> None:
    assert range_lobe_m(GRID, SPEED_OF_LIGHT_M_S) == pytest.approx(12.49, abs=0.005)


def test_range_pattern_is_the_sum_over_subcarriers() -> None:
    offset_m = np.linspace(-20, 20, 41)
    phase_rad = 2 * np.pi * np.outer(offset_m, GRID.frequency_hz) / SPEED_OF_LIGHT_M_S
    summed = np.exp(1j * phase_rad).mean(axis=1)
    middle_hz = (GRID.first_hz + GRID.last_hz) / 2
    turned = summed * np.exp(-2j * np.pi * middle_hz * offset_m / SPEED_OF_LIGHT_M_S)
    np.testing.assert_allclose(range_pattern(GRID, SPEED_OF_LIGHT_M_S, offset_m), turned, rtol=0, atol=1e-11)


def test_range_lobe_ends_at_the_first_zeros_of_its_pattern() -> None:
    half_m = range_lobe_m(GRID, SPEED_OF_LIGHT_M_S) / 2
    pattern = range_pattern(GRID, SPEED_OF_LIGHT_M_S, np.linspace(-half_m, half_m, 101))
    np.testing.assert_allclose(pattern[[0, -1]], 0, atol=1e-12)
    assert (pattern[1:-1] > 0).all()
