"""The joint likelihood of a snapshot's paths: its maximum, its covariance, and the scheme made of them."""

from functools import cache

import msgspec
import numpy as np
import numpy.typing as npt
import pytest

from bs_controller.bounds import uplink_bound
from bs_controller.detection import Detection, detect
from bs_controller.imaging import Imager
from bs_controller.schemes.backprojection import NothingDetectedError
from bs_controller.schemes.uplink_likelihood import UplinkLikelihood, UplinkLikelihoodOptions
from bs_controller.snapshot_fit import SnapshotFit, fitted, likeliest
from bs_controller.sweeps import Covariance, Fix, NotEstimated, Snapshot, Sounding
from protocol.testbed import SectorArray, SubcarrierGrid, Uplink, default_facts
from tests.oracles import dense_snapshot

C_M_S = 299_792_458.0
SIZES = {3.5e9: 49, 10e9: 140, 28e9: 392}
ComplexArray = npt.NDArray[np.complex128]
Path = tuple[complex, float, float, float]
PATHS: list[Path] = [(1 + 0j, 10.0, 0.2, 0.0), (0.5j, 14.0, -0.6, 7.0), (0.3 + 0j, 6.0, 0.7, 5.0)]


@cache
def imager_at(carrier_hz: float, elements: int = 0) -> Imager:
    uplink = Uplink(
        grid=SubcarrierGrid(first_hz=carrier_hz, spacing_hz=480e3, count=100),
        array=SectorArray(elements=elements or SIZES[carrier_hz], radius_m=1.0, half_sector_rad=np.pi / 3),
    )
    return Imager(uplink, np.linspace(2, 21, 200), C_M_S)


def noisy(samples: ComplexArray, rng: np.random.Generator, noise_w: float) -> ComplexArray:
    noise: ComplexArray = rng.standard_normal((*samples.shape, 2)) @ np.array([1, 1j]) * np.sqrt(noise_w / 2)
    return samples + noise


def looped_covariance(uplink: Uplink, paths: list[Path], noise_w: float) -> npt.NDArray[np.float64]:
    """Bound of the user's place from a Jacobian by differences of the whole snapshot, ``(2, 2)``."""

    def model(unknowns: npt.NDArray[np.float64]) -> ComplexArray:
        rows = unknowns.reshape(-1, 5)
        return dense_snapshot(
            uplink, [(complex(row[3], row[4]), row[0], row[1], row[2]) for row in rows], C_M_S
        ).ravel()

    truth = np.array([[r, theta, excess, gain.real, gain.imag] for gain, r, theta, excess in paths]).ravel()
    steps = 1e-6 * np.delete(np.eye(truth.size), 2, axis=0)  # the user's excess is known
    jacobian = np.array([(model(truth + h) - model(truth - h)) / 2e-6 for h in steps])
    bound: npt.NDArray[np.float64] = np.linalg.inv(2 / noise_w * (jacobian.conj() @ jacobian.T).real)
    return bound[:2, :2]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_covariance_is_the_inverse_fisher_information_by_differences(count: int) -> None:
    imager = imager_at(3.5e9)
    samples = noisy(dense_snapshot(imager.uplink, PATHS[:count], C_M_S), np.random.default_rng(1), 1e-8)
    points = [Detection(range_m=r, angle_rad=a, excess_m=e, power_w=abs(g) ** 2) for g, r, a, e in PATHS[:count]]
    fit = fitted(imager, samples, points)
    expected = looped_covariance(imager.uplink, PATHS[:count], fit.noise_w)
    # differences lose 1e-6 of the derivative, the inverse of a matrix with range and phase nearly alike a thousand times
    np.testing.assert_allclose(fit.covariance, expected, rtol=1e-3)


@pytest.mark.parametrize("carrier_hz", [3.5e9, 28e9])
def test_covariance_of_a_lone_user_is_the_bound_with_an_unknown_gain(carrier_hz: float) -> None:
    imager = imager_at(carrier_hz)
    gain = C_M_S / (4 * np.pi * carrier_hz * 10.0)
    samples = dense_snapshot(imager.uplink, [(gain + 0j, 10.0, 0.2, 0.0)], C_M_S)
    samples = noisy(samples, np.random.default_rng(1), 1e-4 * gain**2)
    fit = fitted(imager, samples, [Detection(range_m=10.0, angle_rad=0.2, excess_m=0.0, power_w=gain**2)])
    facts = msgspec.structs.replace(default_facts(), uplink=imager.uplink)
    expected = uplink_bound(facts, 10.0, 0.2, fit.noise_w).covariance
    # taken at the place found, 0.1 mm from the truth, and with the power found, 70 dB above the noise
    np.testing.assert_allclose(fit.covariance, expected, rtol=2e-3)


@pytest.mark.parametrize("carrier_hz", [3.5e9, 10e9, 28e9])
def test_paths_without_noise_are_found_exactly_though_they_disturb_one_another(carrier_hz: float) -> None:
    imager = imager_at(carrier_hz)
    samples = dense_snapshot(imager.uplink, PATHS, C_M_S)
    fit = fitted(imager, samples, detect(imager, samples))
    found = [(point.range_m, point.angle_rad, point.excess_m) for point in fit.points]
    # detection leaves up to 8 mm; steps end when they gain a billionth of the noise, here rounding
    np.testing.assert_allclose(found, [path[1:] for path in PATHS], atol=1e-6)
    np.testing.assert_allclose([point.power_w for point in fit.points], [1.0, 0.25, 0.09], rtol=1e-6)  # as above


def normalised_errors(carrier_hz: float, trials: int, scattered: bool) -> list[float]:
    """Squared errors of the user's place in units of the covariance; two on average if both are right."""
    imager, rng, squares = imager_at(carrier_hz), np.random.default_rng(6), []
    for _ in range(trials):
        places = [(np.sqrt(rng.uniform(3**2, 20**2)), rng.uniform(-0.9, 0.9) * np.pi / 3) for _ in range(2)]
        paths: list[Path] = [(1j, *places[0], 0.0), (0.5 + 0j, *places[1], rng.uniform(3, 15))]
        samples = noisy(dense_snapshot(imager.uplink, paths[: 1 + scattered], C_M_S), rng, 0.1)
        fit = likeliest(imager, samples)
        assert fit is not None
        assert len(fit.points) == 1 + scattered
        error = np.array([fit.points[0].range_m, fit.points[0].angle_rad]) - places[0]
        squares.append(float(error @ np.linalg.solve(fit.covariance, error)))
    return squares


@pytest.mark.parametrize(("carrier_hz", "scattered"), [(3.5e9, False), (3.5e9, True), (28e9, False), (10e9, True)])
def test_errors_at_10_db_are_those_of_the_covariance(carrier_hz: float, scattered: bool) -> None:
    squares = normalised_errors(carrier_hz, 40, scattered)
    # chi-squared of two degrees: mean 2, deviation 2, so +-1.3 is four deviations of the mean of forty
    assert 0.7 < np.mean(squares) < 3.3


def found_in(samples: ComplexArray) -> SnapshotFit:
    fit = likeliest(imager_at(3.5e9), samples)
    assert fit is not None
    return fit


def test_noise_power_is_that_of_the_residual() -> None:
    imager = imager_at(3.5e9)
    fit = found_in(noisy(dense_snapshot(imager.uplink, PATHS, C_M_S), np.random.default_rng(8), 0.1))
    assert fit.noise_w == pytest.approx(0.1, rel=4 / np.sqrt(4900))  # four deviations of the mean of 4 900 powers
    assert np.linalg.norm(fit.residual) ** 2 == pytest.approx(4900 * 0.1, rel=4 / np.sqrt(4900))  # as above


def test_user_keeps_no_excess() -> None:
    imager = imager_at(3.5e9)
    fit = found_in(noisy(dense_snapshot(imager.uplink, PATHS, C_M_S), np.random.default_rng(8), 0.1))
    assert [round(point.excess_m) for point in fit.points] == [0, 7, 5]
    assert fit.points[0].excess_m == 0.0


def test_scatterer_behind_the_user_is_told_apart_by_its_delay() -> None:
    paths: list[Path] = [(1j, 16.8, -0.262, 0.0), (0.5 + 0j, 8.5, -0.252, 13.6)]  # a fifth of the lobe apart
    imager = imager_at(3.5e9)
    samples = noisy(dense_snapshot(imager.uplink, paths, C_M_S), np.random.default_rng(8), 0.1)
    user, scatterer = found_in(samples).points
    assert len(detect(imager, samples)) == 1  # a gain per subcarrier took both out
    # 10 dB leave 11 mm and 1e-4 rad for each alone; ten times that for their overlap
    assert (user.range_m, user.angle_rad) == pytest.approx((16.8, -0.262), abs=0.1)
    assert scatterer.excess_m == pytest.approx(13.6, abs=1.0)


def test_noise_alone_adds_no_point_even_if_the_user_drowns_in_it() -> None:
    imager, path = imager_at(3.5e9), (1 + 0j, 10.0, 0.2, 0.0)
    samples = noisy(dense_snapshot(imager.uplink, [path], C_M_S), np.random.default_rng(8), 100.0)  # -20 dB a sample
    assert len(found_in(samples).points) == 1


FACTS = msgspec.structs.replace(default_facts(), uplink=imager_at(3.5e9).uplink)


def fixed(samples: ComplexArray) -> Fix:
    localization = UplinkLikelihood(options=UplinkLikelihoodOptions(), facts=FACTS).locate()
    assert next(localization) == Sounding()
    with pytest.raises(StopIteration) as stopped:
        localization.send(Snapshot(samples=samples))
    fix: Fix = stopped.value.value
    return fix


def test_scheme_reports_the_fitted_user_its_covariance_and_the_scatterers() -> None:
    fix = fixed(noisy(dense_snapshot(FACTS.uplink, PATHS, C_M_S), np.random.default_rng(8), 0.1))
    assert fix.sweeps == 1
    assert isinstance(fix.covariance, Covariance)
    # four deviations as the fix itself states them
    assert fix.range_m == pytest.approx(10.0, abs=4 * np.sqrt(fix.covariance.range_m2))
    assert fix.angle_rad == pytest.approx(0.2, abs=4 * np.sqrt(fix.covariance.angle_rad2))
    assert fix.covariance.range_angle_m_rad**2 < fix.covariance.range_m2 * fix.covariance.angle_rad2
    assert [target.power for target in fix.targets] == pytest.approx([0.25, 0.09], rel=0.1)  # 37 dB after summing
    assert isinstance(fix.fit, NotEstimated)


def test_scheme_refuses_a_snapshot_of_nothing() -> None:
    localization = UplinkLikelihood(options=UplinkLikelihoodOptions(), facts=FACTS).locate()
    next(localization)
    with pytest.raises(NothingDetectedError, match="no user to locate"):
        localization.send(Snapshot(samples=np.zeros((49, 100), dtype=np.complex128)))


def test_scheme_refuses_ranges_that_do_not_grow() -> None:
    with pytest.raises(ValueError, match=r"must grow outside the array's 1 m, got 9 to 5 m"):
        UplinkLikelihood(options=UplinkLikelihoodOptions(range_min_m=9.0, range_max_m=5.0), facts=FACTS)
