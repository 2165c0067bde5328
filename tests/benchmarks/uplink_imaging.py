"""Uplink images: the planned backprojection against the FFT form as published and against the direct sum."""

import time

import numpy as np
import numpy.typing as npt
import scipy.fft

from bs_controller.imaging import Imager
from protocol.testbed import Uplink, default_facts
from tests.benchmarks.harness import Row, median_ms
from tests.oracles import direct_backprojection

Floats = npt.NDArray[np.float64]
ComplexArray = npt.NDArray[np.complex128]


def published_image(uplink: Uplink, samples: ComplexArray, range_m: Floats, c_m_s: float) -> ComplexArray:
    """One FFT convolution per range and subcarrier, kernel built each time [SUCA, eqs. (16)-(18)], ``(range, angle)``."""
    n, radius_m = uplink.array.elements, uplink.array.radius_m
    lag_rad = np.arange(-(n - 1), n) * (2 * uplink.array.half_sector_rad / (n - 1))
    length = scipy.fft.next_fast_len(3 * n - 2)  # kinder to the baseline than the paper's next power of two
    image = np.zeros((range_m.size, n), dtype=np.complex128)
    for i, r in enumerate(range_m):
        distance_m = np.sqrt(r**2 + radius_m**2 - 2 * r * radius_m * np.cos(lag_rad))
        for m, f_hz in enumerate(uplink.grid.frequency_hz):
            kernel = np.exp(2j * np.pi * f_hz / c_m_s * distance_m)
            product = scipy.fft.fft(samples[:, m], length) * scipy.fft.fft(kernel, length)
            image[i] += scipy.fft.ifft(product)[n - 1 : 2 * n - 1]
    return image


def rows() -> list[Row]:
    """Both rows of the uplink image."""
    return [_against_published(), _against_direct_sum()]


def _samples(uplink: Uplink) -> ComplexArray:
    rng = np.random.default_rng(11)
    shape = (uplink.array.elements, uplink.grid.count)
    return rng.standard_normal(shape) + 1j * rng.standard_normal(shape)


def _against_published() -> Row:
    facts = default_facts()
    uplink, c, range_m = facts.uplink, facts.speed_of_light_m_s, np.linspace(2, 21, 200)
    start = time.perf_counter()
    imager = Imager(uplink, range_m, c)
    plan_ms = 1e3 * (time.perf_counter() - start)
    samples = _samples(uplink)
    published = published_image(uplink, samples, range_m, c)
    error = float(np.linalg.norm(imager.image(samples) - published) / np.linalg.norm(published))
    ours_ms, baseline_ms = median_ms(
        lambda: imager.image(samples),
        lambda: published_image(uplink, samples, range_m, c),
        ours_runs=30,
        baseline_runs=3,
    )
    return Row(
        name="uplink image, 28 GHz, N=392, 100 subcarriers, 200 x 392",
        ours_ms=ours_ms,
        baseline_ms=baseline_ms,
        error=error,
        target=">= 20 x, error <= 1e-6",
        met=baseline_ms >= 20 * ours_ms and error <= 1e-6,
        details={
            "baseline": "FFT per (range, subcarrier), kernel rebuilt each time, complex128",
            "ours": "planned spectra, complex64",
            "plan_ms": plan_ms,
            "table_mb": imager.table_bytes / 1e6,
            "band_terms": imager.band_terms,
        },
    )


def _against_direct_sum() -> Row:
    facts = default_facts()
    uplink, c, range_m = facts.uplink, facts.speed_of_light_m_s, np.linspace(2, 21, 8)
    imager, angles = Imager(uplink, range_m, c, np.complex128), slice(0, 392, 49)
    samples = _samples(uplink)

    def direct() -> ComplexArray:
        return direct_backprojection(uplink, samples, range_m, imager.angle_rad[angles], c)

    expected = direct()
    error = float(np.linalg.norm(imager.image(samples)[:, angles] - expected) / np.linalg.norm(expected))
    ours_ms, baseline_ms = median_ms(lambda: imager.image(samples), direct, ours_runs=30, baseline_runs=3)
    return Row(
        name="uplink image against the direct sum, 28 GHz, N=392, 100 subcarriers, 8 x 8",
        ours_ms=ours_ms,
        baseline_ms=baseline_ms,
        error=error,
        target="error <= 1e-10",
        met=error <= 1e-10,
        details={
            "baseline": "double sum on 8 of the 392 angles",
            "ours": "all 392 angles, complex128",
            "table_mb": imager.table_bytes / 1e6,
            "band_terms": imager.band_terms,
        },
    )
