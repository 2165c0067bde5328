"""The planned backprojection against the direct sum."""

import msgspec
import numpy as np
import numpy.typing as npt
import pytest

from bs_controller.imaging import Imager, TableTooLargeError
from protocol.testbed import SectorArray, SubcarrierGrid, Uplink, default_facts
from tests.oracles import direct_backprojection

C_M_S = 299_792_458.0
FULL = default_facts().uplink
SMALL = Uplink(
    grid=SubcarrierGrid(first_hz=3.5e9, spacing_hz=480e3, count=24),
    array=SectorArray(elements=49, radius_m=1.0, half_sector_rad=np.pi / 3),
)


def random_samples(uplink: Uplink) -> npt.NDArray[np.complex128]:
    rng = np.random.default_rng(7)
    shape = (uplink.array.elements, uplink.grid.count)
    return rng.standard_normal(shape) + 1j * rng.standard_normal(shape)


def relative_error(imager: Imager, ranges: slice, angles: slice) -> float:
    samples = random_samples(imager.uplink)
    direct = direct_backprojection(
        imager.uplink, samples, imager.range_m[ranges], imager.angle_rad[angles], imager.c_m_s
    )
    return float(np.linalg.norm(imager.image(samples)[ranges, angles] - direct) / np.linalg.norm(direct))


def test_double_precision_image_is_the_direct_sum() -> None:
    imager = Imager(FULL, np.linspace(2, 21, 8), C_M_S, np.complex128)
    # 1e-10 is promised; phases of 12 000 rad leave 2e-12
    assert relative_error(imager, slice(0, 8, 2), slice(0, 392, 97)) < 1e-10


def test_single_precision_image_is_good_to_a_millionth() -> None:
    imager = Imager(FULL, np.linspace(2, 21, 8), C_M_S)
    assert imager.image(random_samples(FULL)).dtype == np.complex64
    # 1e-6 is promised; single-precision transforms and products leave 3e-7
    assert relative_error(imager, slice(0, 8, 2), slice(0, 392, 97)) < 1e-6


@pytest.mark.parametrize("elements", [2, 17, 49])
def test_whole_image_agrees_for_any_number_of_elements(elements: int) -> None:
    array = msgspec.structs.replace(SMALL.array, elements=elements)
    imager = Imager(msgspec.structs.replace(SMALL, array=array), np.linspace(1.5, 9, 5), C_M_S, np.complex128)
    assert relative_error(imager, slice(None), slice(None)) < 1e-10  # as above


def test_band_too_wide_to_compress_is_still_exact() -> None:
    grid = SubcarrierGrid(first_hz=3e9, spacing_hz=60e6, count=24)
    imager = Imager(msgspec.structs.replace(SMALL, grid=grid), np.linspace(2, 30, 4), C_M_S, np.complex128)
    assert imager.band_terms == 24
    assert relative_error(imager, slice(None), slice(None)) < 1e-10  # as above


def test_table_at_full_size_is_small() -> None:
    imager = Imager(FULL, np.linspace(2, 21, 200), C_M_S)
    # 393 harmonics x 200 ranges x 13 terms x 8 bytes, where 100 subcarriers would take 63 MB
    assert imager.table_bytes == 393 * 200 * imager.band_terms * 8
    assert imager.band_terms <= 16


def test_table_above_the_limit_is_refused_with_both_numbers() -> None:
    with pytest.raises(TableTooLargeError, match=r"needs 25 MB, the limit is 1 MB"):
        Imager(FULL, np.linspace(2, 21, 200), C_M_S, limit_bytes=1_000_000)


def test_range_inside_the_circle_is_refused() -> None:
    with pytest.raises(ValueError, match="must exceed the array's radius of 1 m"):
        Imager(SMALL, np.array([0.5, 2.0]), C_M_S)


def test_snapshot_of_another_shape_is_refused() -> None:
    imager = Imager(SMALL, np.array([2.0, 3.0]), C_M_S)
    with pytest.raises(ValueError, match=r"must be \(element, subcarrier\) = \(49, 24\), got \(24, 49\)"):
        imager.image(np.zeros((24, 49), dtype=np.complex64))


def test_excess_images_are_those_of_snapshots_turned_back() -> None:
    imager = Imager(SMALL, np.linspace(2, 9, 5), C_M_S, np.complex128)
    samples, excess_m = random_samples(SMALL), np.array([0.0, 3.0, 7.5])
    tones = np.exp(2j * np.pi * np.outer(excess_m, SMALL.grid.frequency_hz) / C_M_S)
    expected = [direct_backprojection(SMALL, samples * tone, imager.range_m, imager.angle_rad, C_M_S) for tone in tones]
    images = imager.excess_images(samples, excess_m)
    assert np.linalg.norm(images - expected) < 1e-10 * np.linalg.norm(expected)  # as above


def test_wideband_table_is_planned_without_one_exponential_per_sample() -> None:
    grid = msgspec.structs.replace(FULL.grid, count=2048)
    imager = Imager(msgspec.structs.replace(FULL, grid=grid), np.linspace(2, 21, 8), C_M_S, np.complex128)
    assert relative_error(imager, slice(0, 8, 3), slice(0, 392, 130)) < 1e-10  # as above
