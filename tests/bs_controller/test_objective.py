"""The objective near a point against the direct sum, and its derivatives against differences."""

import numpy as np
import numpy.typing as npt
import pytest

from bs_controller.imaging import Imager, chebyshev_terms
from bs_controller.objective import LocalObjective
from protocol.testbed import SectorArray, SubcarrierGrid, Uplink

C_M_S = 299_792_458.0
Floats = npt.NDArray[np.float64]


def imager_of(subcarriers: int) -> Imager:
    uplink = Uplink(
        grid=SubcarrierGrid(first_hz=10e9, spacing_hz=480e3, count=subcarriers),
        array=SectorArray(elements=20, radius_m=1.0, half_sector_rad=np.pi / 3),
    )
    return Imager(uplink, np.linspace(2, 21, 3), C_M_S)


def samples_of(imager: Imager) -> npt.NDArray[np.complex128]:
    shape = (imager.uplink.array.elements, imager.uplink.grid.count)
    samples: npt.NDArray[np.complex128] = np.random.default_rng(9).standard_normal((*shape, 2)) @ np.array([1, 1j])
    return samples


def direct_power(imager: Imager, point: Floats) -> float:
    """``|s|^2`` as the double sum with exact distances [SUCA, eqs. (3)-(4)]."""
    (r, theta, excess_m), array = point, imager.uplink.array
    total = 0j
    for n, psi in enumerate(array.element_angle_rad):
        path_m = np.sqrt(r**2 + 1 - 2 * r * np.cos(theta - psi)) + excess_m
        total += np.sum(samples_of(imager)[n] * np.exp(2j * np.pi * imager.uplink.grid.frequency_hz * path_m / C_M_S))
    return float(abs(total) ** 2)


@pytest.mark.parametrize("subcarriers", [2, 100, 2048])
def test_powers_are_those_of_the_direct_sum_within_and_beyond_the_reach(subcarriers: int) -> None:
    imager = imager_of(subcarriers)
    objective = LocalObjective(imager, samples_of(imager), reach_m=2.0)
    for points in (np.array([[10.0, 0.3, 0.0], [11.4, 0.31, 0.2]]), np.array([[4.0, -0.5, 9.0], [4.1, -0.5, 9.0]])):
        expected = [direct_power(imager, point) for point in points]
        # phases of 5 000 rad are known to 1e-12 and random samples add up to a tenth of what they could
        np.testing.assert_allclose(objective.powers(points), expected, rtol=1e-9)


@pytest.mark.parametrize("subcarriers", [100, 2048])
def test_gradient_and_hessian_are_those_of_differences(subcarriers: int) -> None:
    imager, point = imager_of(subcarriers), np.array([10.0, 0.3, 1.5])
    objective = LocalObjective(imager, samples_of(imager), reach_m=2.0)
    power, gradient, hessian = objective.expanded(point)
    steps = np.diag([1e-5, 1e-5, 1e-5])  # of a wavelength of 30 mm
    differences = [(direct_power(imager, point + h) - direct_power(imager, point - h)) / 2e-5 for h in steps]
    bends = [(objective.expanded(point + h)[1] - objective.expanded(point - h)[1]) / 2e-5 for h in steps]
    assert power == pytest.approx(direct_power(imager, point), rel=1e-9)  # as above
    # second differences leave (2 pi 1e-5 / 30 mm)^2 / 6 = 1e-6, rounding as much
    np.testing.assert_allclose(gradient, differences, rtol=1e-4, atol=1e-5 * np.abs(gradient).max())
    np.testing.assert_allclose(hessian, bends, rtol=1e-4, atol=1e-5 * np.abs(hessian).max())


@pytest.mark.parametrize("half_turn_rad", [0.01, 3.0, 100.0])
def test_terms_taken_interpolate_a_ramp_to_double_precision(half_turn_rad: float) -> None:
    x = np.linspace(-1, 1, 501)
    terms = chebyshev_terms(half_turn_rad)
    nodes = np.polynomial.chebyshev.chebpts1(terms)
    series = np.polynomial.chebyshev.chebfit(nodes, np.cos(half_turn_rad * nodes), terms - 1)
    error = np.polynomial.chebyshev.chebval(x, series) - np.cos(half_turn_rad * x)
    # polynomials of degree 150 from their recurrence lose up to its square in roundings at the ends
    assert np.abs(error).max() < 2e-12
