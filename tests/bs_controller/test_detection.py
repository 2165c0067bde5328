"""Points found in uplink snapshots."""

from functools import cache

import numpy as np
import pytest

from bs_controller.detection import Detection, detect, refined
from bs_controller.imaging import Imager
from protocol.testbed import SectorArray, SubcarrierGrid, Uplink
from tests.oracles import dense_snapshot

C_M_S = 299_792_458.0
SIZES = {3.5e9: 49, 10e9: 140, 28e9: 392}


@cache
def imager_at(carrier_hz: float) -> Imager:
    uplink = Uplink(
        grid=SubcarrierGrid(first_hz=carrier_hz, spacing_hz=480e3, count=100),
        array=SectorArray(elements=SIZES[carrier_hz], radius_m=1.0, half_sector_rad=np.pi / 3),
    )
    return Imager(uplink, np.linspace(2, 21, 200), C_M_S)


@pytest.mark.parametrize("carrier_hz", [3.5e9, 10e9, 28e9])
def test_lone_user_is_found_exactly_and_alone(carrier_hz: float) -> None:
    imager, rng = imager_at(carrier_hz), np.random.default_rng(1)
    for _ in range(12):
        range_m, angle_rad = np.sqrt(rng.uniform(2**2, 21**2)), rng.uniform(-0.9, 0.9) * np.pi / 3
        detections = detect(imager, dense_snapshot(imager.uplink, [(1j, range_m, angle_rad, 0.0)], C_M_S))
        assert len(detections) == 1  # side lobes go with the user's wave
        # Newton's method ends at 1e-9 of a cell; rounding of the objective allows about 1e-7 of one
        assert detections[0].range_m == pytest.approx(range_m, abs=1e-6)
        assert detections[0].angle_rad == pytest.approx(angle_rad, abs=1e-8)
        assert detections[0].power_w == pytest.approx(1, rel=1e-9)


def test_near_user_at_the_edge_needs_the_largest_range_not_the_published_sum() -> None:
    imager, (range_m, angle_rad) = imager_at(28e9), (2.28, np.deg2rad(52.24))
    samples = dense_snapshot(imager.uplink, [(1 + 0j, range_m, angle_rad, 0.0)], C_M_S)
    by_largest = detect(imager, samples, max_targets=1, angle_profile="max")[0]
    by_sum = detect(imager, samples, max_targets=1, angle_profile="sum")[0]
    assert by_largest.angle_rad == pytest.approx(angle_rad, abs=1e-8)
    assert abs(by_sum.angle_rad - angle_rad) > 0.1  # 25 cells of 5.4 mrad


@pytest.mark.parametrize("carrier_hz", [3.5e9, 10e9, 28e9])
def test_scatterers_are_found_in_range_angle_and_excess(carrier_hz: float) -> None:
    imager = imager_at(carrier_hz)
    paths = [(1 + 0j, 10.0, 0.2, 0.0), (0.5j, 14.0, -0.6, 7.0), (0.3 + 0j, 6.0, 0.7, 5.0)]
    found = detect(imager, dense_snapshot(imager.uplink, paths, C_M_S))
    assert len(found) == 3
    # what the others leave after one polish: 8 mm and 6e-5 rad at 3.5 GHz, less above
    np.testing.assert_allclose([point.range_m for point in found], [10.0, 14.0, 6.0], atol=0.02)
    np.testing.assert_allclose([point.excess_m for point in found], [0.0, 7.0, 5.0], atol=0.02)
    np.testing.assert_allclose([point.angle_rad for point in found], [0.2, -0.6, 0.7], atol=2e-4)
    np.testing.assert_allclose([point.power_w for point in found], [1.0, 0.25, 0.09], rtol=0.01)


def test_scatterers_below_the_threshold_are_not_reported() -> None:
    imager = imager_at(10e9)
    paths = [(1 + 0j, 10.0, 0.2, 0.0), (0.5j, 14.0, -0.6, 7.0)]  # -6 dB
    assert len(detect(imager, dense_snapshot(imager.uplink, paths, C_M_S), threshold_db=-5.0)) == 1


def test_noise_moves_the_user_little_and_adds_no_point() -> None:
    imager, rng = imager_at(28e9), np.random.default_rng(5)
    samples = dense_snapshot(imager.uplink, [(1 + 0j, 12.0, -0.4, 0.0)], C_M_S)
    noise = rng.standard_normal((*samples.shape, 2)) @ np.array([1, 1j]) / np.sqrt(2)
    found = detect(imager, samples + noise)  # 0 dB per sample, 46 dB after 39 200 of them
    assert len(found) == 1
    assert found[0].angle_rad == pytest.approx(-0.4, abs=1e-4)  # ten deviations of the lobe over the amplitude SNR
    assert found[0].range_m == pytest.approx(12.0, abs=0.1)


def test_refinement_stays_near_the_cell_it_started_from() -> None:
    imager = imager_at(3.5e9)
    samples = dense_snapshot(imager.uplink, [(1 + 0j, 10.0, 0.5, 0.0)], C_M_S)
    start = Detection(range_m=10.0, angle_rad=-0.5, excess_m=0.0, power_w=0.0)
    cell_rad = imager.angle_rad[1] - imager.angle_rad[0]
    assert abs(refined(imager, samples, start, search_excess=False).angle_rad + 0.5) <= 2 * cell_rad + 1e-12  # rounding


def test_empty_snapshot_shows_nothing() -> None:
    imager = imager_at(3.5e9)
    assert detect(imager, np.zeros((49, 100), dtype=np.complex128)) == []
