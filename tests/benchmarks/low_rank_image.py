"""Uplink images with many subcarriers: the band's low rank against the FFT form as published."""

import time

import numpy as np

from bs_controller.detection import detect
from bs_controller.imaging import Imager
from protocol.testbed import SectorArray, SubcarrierGrid, Uplink, default_facts
from tests.benchmarks.harness import Row, median_ms
from tests.benchmarks.uplink_imaging import published_image
from tests.oracles import dense_snapshot

C_M_S = default_facts().speed_of_light_m_s
RANGE_M = np.linspace(2, 21, 200)


def rows() -> list[Row]:
    """The image at 512 x 512, and the search for points that builds on it."""
    return [_image(), _detection()]


def _uplink(elements: int, subcarriers: int) -> Uplink:
    return Uplink(
        grid=SubcarrierGrid(first_hz=28e9, spacing_hz=480e3, count=subcarriers),
        array=SectorArray(elements=elements, radius_m=1.0, half_sector_rad=np.pi / 3),
    )


def _image() -> Row:
    uplink = _uplink(512, 512)
    imager, plan_ms = _planned(uplink)
    rng = np.random.default_rng(12)
    samples = rng.standard_normal((512, 512)) + 1j * rng.standard_normal((512, 512))
    published = published_image(uplink, samples, RANGE_M, C_M_S)
    error = float(np.linalg.norm(imager.image(samples) - published) / np.linalg.norm(published))
    ours_ms, baseline_ms = median_ms(
        lambda: imager.image(samples),
        lambda: published_image(uplink, samples, RANGE_M, C_M_S),
        ours_runs=30,
        baseline_runs=1,
    )
    return Row(
        name="low-rank uplink image, 28 GHz, N=512, 512 subcarriers, 200 x 512",
        ours_ms=ours_ms,
        baseline_ms=baseline_ms,
        error=error,
        target=">= 50 x, error <= 1e-4",
        met=baseline_ms >= 50 * ours_ms and error <= 1e-4,
        details={
            "baseline": "FFT per (range, subcarrier), kernel rebuilt each time, complex128",
            "ours": "planned spectra of the band's basis, complex64",
            "plan_ms": plan_ms,
            "plan_ms_2048_subcarriers": _planned(_uplink(392, 2048))[1],
            "table_mb": imager.table_bytes / 1e6,
            "band_terms": imager.band_terms,
        },
    )


def _detection() -> Row:
    uplink = _uplink(392, 100)
    imager = _planned(uplink)[0]
    paths = [(1 + 0j, 10.0, 0.2, 0.0), (0.5j, 14.0, -0.6, 7.0), (0.3 + 0j, 6.0, 0.7, 5.0)]
    samples = dense_snapshot(uplink, paths, C_M_S)
    found = detect(imager, samples)
    places = [(point.range_m, point.angle_rad) for point in found]
    complete = len(places) == len(paths)
    error_m = (
        max(_distance_m(place, path[1:3]) for place, path in zip(places, paths, strict=True)) if complete else np.inf
    )
    ours_ms, image_ms = median_ms(
        lambda: detect(imager, samples), lambda: imager.image(samples), ours_runs=20, baseline_runs=20
    )
    return Row(
        name="user and two scatterers in one snapshot, 28 GHz, N=392, 100 subcarriers",
        ours_ms=ours_ms,
        baseline_ms=None,
        error=error_m,
        target="all three within 2 cm, <= 80 images' time",
        met=error_m <= 0.02 and ours_ms <= 80 * image_ms,
        details={"one_image_ms": image_ms, "error": "largest distance in m", "images_searched": 22},
    )


def _planned(uplink: Uplink) -> tuple[Imager, float]:
    start = time.perf_counter()
    imager = Imager(uplink, RANGE_M, C_M_S)
    return imager, 1e3 * (time.perf_counter() - start)


def _distance_m(place: tuple[float, float], truth: tuple[float, float]) -> float:
    here, there = (r * np.exp(1j * angle) for r, angle in (place, truth))
    return float(abs(here - there))
