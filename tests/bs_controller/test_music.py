"""Near-field MUSIC: its pseudo-spectrum against explicit loops, and the points it finds."""

from functools import cache

import msgspec
import numpy as np
import numpy.typing as npt
import pytest

from bs_controller.music import MusicPlan, covariance, locate_paths, signal_subspace
from bs_controller.schemes.backprojection import NothingDetectedError
from bs_controller.schemes.music import Music, MusicOptions
from bs_controller.sweeps import Fix, Snapshot, Sounding
from protocol.testbed import SectorArray, SubcarrierGrid, TestbedFacts, Uplink, default_facts
from tests.oracles import dense_snapshot, sector_distance_m

C_M_S = 299_792_458.0
SIZES = {3.5e9: 49, 10e9: 140, 28e9: 392}
ComplexArray = npt.NDArray[np.complex128]


def uplink_at(carrier_hz: float, subcarriers: int = 100) -> Uplink:
    return Uplink(
        grid=SubcarrierGrid(first_hz=carrier_hz, spacing_hz=480e3, count=subcarriers),
        array=SectorArray(elements=SIZES[carrier_hz], radius_m=1.0, half_sector_rad=np.pi / 3),
    )


@cache
def plan_at(carrier_hz: float) -> MusicPlan:
    return MusicPlan(uplink_at(carrier_hz), np.linspace(2, 21, 200), C_M_S)


def looped_spectrum(plan: MusicPlan, moments: ComplexArray, paths: int) -> npt.NDArray[np.float64]:
    """Pseudo-spectrum from the noise eigenvectors, one grid point and one eigenvector at a time, ``(range, angle)``."""
    noise = np.linalg.eigh(moments)[1][:, : moments.shape[0] - paths]
    middle_hz = plan.uplink.grid.frequency_hz.mean()
    spectrum = np.empty((plan.range_m.size, plan.angle_rad.size))
    for i, r in enumerate(plan.range_m):
        for j, theta in enumerate(plan.angle_rad):
            distance_m = sector_distance_m(plan.uplink, float(r), float(theta))
            wave = np.exp(-2j * np.pi * middle_hz * distance_m / C_M_S)
            outside = sum(abs(np.vdot(vector, wave)) ** 2 for vector in noise.T)
            spectrum[i, j] = wave.size / outside
    return spectrum


def noise_of(rng: np.random.Generator, shape: tuple[int, ...], snr_db: float) -> ComplexArray:
    parts = rng.standard_normal((*shape, 2)) @ np.array([1, 1j])
    noise: ComplexArray = parts * np.sqrt(10 ** (-snr_db / 10) / 2)
    return noise


@pytest.mark.parametrize("paths", [1, 3])
def test_pseudo_spectrum_is_that_of_the_noise_subspace_by_loops(paths: int) -> None:
    uplink = msgspec.structs.replace(
        uplink_at(3.5e9), array=SectorArray(elements=17, radius_m=1.0, half_sector_rad=1.0)
    )
    plan = MusicPlan(uplink, np.linspace(1.5, 9, 6), C_M_S)
    samples = dense_snapshot(uplink, [(1j, 4.0, 0.3, 0.0), (0.5 + 0j, 7.0, -0.5, 6.0)], C_M_S)
    samples = samples + noise_of(np.random.default_rng(3), samples.shape, 10.0)
    moments = covariance(uplink, samples, np.zeros(17), C_M_S)
    ours = plan.pseudo_spectrum(signal_subspace(moments, paths))
    # 1 - |U_s^H a|^2 / N loses 1e-16 of 1, the smallest value here is 1e-3
    np.testing.assert_allclose(ours, looped_spectrum(plan, moments, paths), rtol=1e-10)


def test_covariance_is_the_mean_over_subcarriers_of_aligned_products() -> None:
    uplink = msgspec.structs.replace(
        uplink_at(3.5e9, 5), array=SectorArray(elements=3, radius_m=1.0, half_sector_rad=1.0)
    )
    samples, known_m = noise_of(np.random.default_rng(2), (3, 5), 0.0), np.array([2.0, 3.0, 5.0])
    frequency_hz = uplink.grid.frequency_hz
    aligned = samples * np.exp(2j * np.pi * np.outer(known_m, frequency_hz - frequency_hz[2]) / C_M_S)
    expected = [[np.mean(aligned[i] * aligned[j].conj()) for j in range(3)] for i in range(3)]
    # five products of order one
    np.testing.assert_allclose(covariance(uplink, samples, known_m, C_M_S), expected, rtol=0, atol=1e-14)


def test_removing_a_users_own_delays_leaves_it_one_eigenvalue() -> None:
    uplink = uplink_at(3.5e9, 1000)
    samples = dense_snapshot(uplink, [(1 + 0j, 10.0, 0.2, 0.0)], C_M_S)
    known_m = sector_distance_m(uplink, 10.0, 0.2)
    spread = np.linalg.eigvalsh(covariance(uplink, samples, np.zeros(49), C_M_S))
    aligned = np.linalg.eigvalsh(covariance(uplink, samples, known_m, C_M_S))
    assert spread[-2] > 0.1 * spread[-1]  # 480 MHz turn by 1.3 cycles over the array
    assert aligned[-2] < 1e-12 * aligned[-1]  # phases of 2 000 rad leave 1e-13


@pytest.mark.parametrize("carrier_hz", [3.5e9, 10e9, 28e9])
def test_lone_user_without_noise_is_found_off_the_grid(carrier_hz: float) -> None:
    plan, rng = plan_at(carrier_hz), np.random.default_rng(1)
    for _ in range(6):
        range_m, angle_rad = np.sqrt(rng.uniform(2**2, 21**2)), rng.uniform(-0.9, 0.9) * np.pi / 3
        samples = dense_snapshot(plan.uplink, [(1j, range_m, angle_rad, 0.0)], C_M_S)
        (point,) = locate_paths(plan, samples, 1)
        # the misfit is flat to 1e-16, so a lobe of 20 m is known to 1e-8 of it; ten times that for slow convergence
        assert point.range_m == pytest.approx(range_m, abs=2e-6)
        assert point.angle_rad == pytest.approx(angle_rad, abs=2e-9)
        assert point.power_w == pytest.approx(1, rel=0.03)  # 48 MHz over 1.5 m leave 98 % in one wave


@pytest.mark.parametrize("carrier_hz", [3.5e9, 28e9])
def test_users_with_pilots_of_their_own_are_all_found(carrier_hz: float) -> None:
    plan, rng = plan_at(carrier_hz), np.random.default_rng(4)
    places = [(10.0, 0.2, 1.0), (14.0, -0.6, 0.5), (6.0, 0.7, 0.3)]
    samples: ComplexArray = np.zeros((plan.angle_rad.size, 100), dtype=np.complex128)
    for range_m, angle_rad, gain in places:
        symbols = np.exp(2j * np.pi * rng.random(100))
        samples += symbols * dense_snapshot(plan.uplink, [(gain + 0j, range_m, angle_rad, 0.0)], C_M_S)
    found = locate_paths(plan, samples, 3)
    # what 100 symbols leave of their correlation, 10 %, times the spread of each path over the band
    np.testing.assert_allclose([point.angle_rad for point in found], [0.2, -0.6, 0.7], atol=0.01)
    np.testing.assert_allclose([point.power_w for point in found], [1.0, 0.25, 0.09], rtol=0.2)
    if carrier_hz == 28e9:  # below, curvature alone tells the range of the weakest to a metre only
        np.testing.assert_allclose([point.range_m for point in found], [10.0, 14.0, 6.0], atol=0.05)


def test_noise_of_minus_10_db_per_sample_moves_the_user_little() -> None:
    plan, rng = plan_at(28e9), np.random.default_rng(5)
    samples = dense_snapshot(plan.uplink, [(1 + 0j, 12.0, -0.4, 0.0)], C_M_S)
    (point,) = locate_paths(plan, samples + noise_of(rng, samples.shape, 10.0), 1)
    # five deviations of 20 users: 1.1e-5 rad and 5 mm
    assert point.angle_rad == pytest.approx(-0.4, abs=6e-5)
    assert point.range_m == pytest.approx(12.0, abs=0.025)


def test_range_inside_the_circle_is_refused() -> None:
    with pytest.raises(ValueError, match="must exceed the array's radius of 1 m"):
        MusicPlan(uplink_at(3.5e9), np.array([0.5, 2.0]), C_M_S)


def test_snapshot_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"must be \(element, subcarrier\) = \(49, 100\), got \(100, 49\)"):
        locate_paths(plan_at(3.5e9), np.zeros((100, 49), dtype=np.complex128), 1)


@pytest.mark.parametrize("paths", [0, 49])
def test_more_paths_than_the_snapshot_can_show_are_refused(paths: int) -> None:
    with pytest.raises(ValueError, match=rf"paths must be within 1\.\.48, got {paths}"):
        locate_paths(plan_at(3.5e9), np.ones((49, 100), dtype=np.complex128), paths)


FACTS = msgspec.structs.replace(default_facts(), uplink=uplink_at(3.5e9))


def fixed(options: MusicOptions, samples: ComplexArray, facts: TestbedFacts = FACTS) -> Fix:
    localization = Music(options=options, facts=facts).locate()
    assert next(localization) == Sounding()
    with pytest.raises(StopIteration) as stopped:
        localization.send(Snapshot(samples=samples))
    fix: Fix = stopped.value.value
    return fix


def test_scheme_takes_one_sounding_and_reports_further_paths_as_targets() -> None:
    paths = [(1 + 0j, 10.0, 0.2, 0.0), (0.5j, 14.0, -0.6, 7.0)]
    fix = fixed(MusicOptions(paths=2), dense_snapshot(FACTS.uplink, paths, C_M_S))
    assert fix.sweeps == 1
    assert fix.angle_rad == pytest.approx(0.2, abs=1e-3)  # of a lobe of 50 mrad, beside a path of -6 dB
    assert [target.angle_rad for target in fix.targets] == pytest.approx([-0.6], abs=1e-3)
    assert fix.targets[0].power == pytest.approx(0.25, rel=0.05)  # 1.7 % of wideband loss each, and what they overlap


def test_scheme_leaves_out_paths_below_the_threshold() -> None:
    samples = dense_snapshot(FACTS.uplink, [(1 + 0j, 10.0, 0.2, 0.0)], C_M_S)
    assert fixed(MusicOptions(paths=3), samples).targets == ()


def test_scheme_refuses_a_snapshot_of_nothing() -> None:
    localization = Music(options=MusicOptions(), facts=FACTS).locate()
    next(localization)
    with pytest.raises(NothingDetectedError, match="no user to locate"):
        localization.send(Snapshot(samples=np.zeros((49, 100), dtype=np.complex128)))


def test_scheme_refuses_ranges_inside_the_circle() -> None:
    with pytest.raises(ValueError, match=r"must grow outside the array's 1 m, got 0\.5 to 21 m"):
        Music(options=MusicOptions(range_min_m=0.5), facts=FACTS)


def test_scheme_refuses_more_paths_than_the_uplink_can_show() -> None:
    with pytest.raises(ValueError, match="paths must be at most 48 for this uplink, got 64"):
        Music(options=MusicOptions(paths=64), facts=FACTS)
