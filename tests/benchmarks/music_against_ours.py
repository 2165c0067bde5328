"""MUSIC as published against the planned backprojection, on one grid: time, error and counted multiplications."""

import numpy as np
import numpy.typing as npt

from bs_controller.complexity import ImageSize, direct_sum, music, music_projector, planned_image, published_fft
from bs_controller.detection import detect
from bs_controller.imaging import Imager
from bs_controller.music import MusicPlan, locate_paths
from protocol.testbed import SectorArray, SubcarrierGrid, Uplink, default_facts
from tests.benchmarks.harness import Row, median_ms
from tests.benchmarks.uplink_imaging import published_image
from tests.oracles import dense_snapshot

C_M_S = default_facts().speed_of_light_m_s
RANGE_M = np.linspace(2, 21, 200)
SNR_DB = 10.0
USERS = 20

Floats = npt.NDArray[np.float64]
ComplexArray = npt.NDArray[np.complex128]
Place = tuple[float, float]


def rows() -> list[Row]:
    """One row for each carrier of [SUCA, Table I], at its least number of elements."""
    return [_row(3.5e9, 49), _row(28e9, 392)]


def published_music(uplink: Uplink, samples: ComplexArray, range_m: Floats, c_m_s: float) -> Floats:
    """Pseudo-spectrum by all eigenvectors and a search with the noise subspace at each grid point, ``(range, angle)``."""
    eigenvectors = np.linalg.eigh(samples @ samples.conj().T / uplink.grid.count)[1]
    noise, angle_rad = eigenvectors[:, :-1], uplink.array.element_angle_rad
    wavenumber = np.pi / c_m_s * (uplink.grid.first_hz + uplink.grid.last_hz)
    spectrum = np.empty((range_m.size, angle_rad.size))
    for i, r in enumerate(range_m):
        # one product per range is kinder to the baseline than one per grid point
        lag_rad, radius_m = angle_rad[:, np.newaxis] - angle_rad, uplink.array.radius_m
        distance_m = np.sqrt(r**2 + radius_m**2 - 2 * r * radius_m * np.cos(lag_rad))
        outside = np.exp(1j * wavenumber * distance_m) @ noise
        spectrum[i] = angle_rad.size / (np.abs(outside) ** 2).sum(axis=1)
    return spectrum


def _row(carrier_hz: float, elements: int) -> Row:
    uplink = Uplink(
        grid=SubcarrierGrid(first_hz=carrier_hz, spacing_hz=480e3, count=100),
        array=SectorArray(elements=elements, radius_m=1.0, half_sector_rad=np.pi / 3),
    )
    imager, plan = Imager(uplink, RANGE_M, C_M_S), MusicPlan(uplink, RANGE_M, C_M_S)
    errors_m = _errors_m(uplink, imager, plan)
    samples = _snapshot(uplink, (10.0, 0.2), np.random.default_rng(13))
    ours_ms, baseline_ms = median_ms(
        lambda: imager.image(samples),
        lambda: published_music(uplink, samples, RANGE_M, C_M_S),
        ours_runs=30,
        baseline_runs=2,
    )
    more_ms = _further_ms(uplink, imager, plan, samples)
    ours_m = errors_m["detection"]
    return Row(
        name=f"image against MUSIC, {carrier_hz / 1e9:g} GHz, N={elements}, 100 subcarriers, 200 x {elements}",
        ours_ms=ours_ms,
        baseline_ms=baseline_ms,
        error=ours_m,
        target="faster, and a user's error at 10 dB not above MUSIC's",
        met=ours_ms < baseline_ms and ours_m <= errors_m["music_on_grid"] and ours_m <= errors_m["music_refined"],
        details={
            "error": f"root mean square in m over {USERS} users at {SNR_DB:g} dB",
            "rmse_m": errors_m,
            "ms": more_ms,
            "multiplications": _multiplications(elements, imager.band_terms),
        },
    )


def _errors_m(uplink: Uplink, imager: Imager, plan: MusicPlan) -> dict[str, float]:
    """Root mean square distance of each estimate from its user, users uniform over the area."""
    rng = np.random.default_rng(14)
    squares: dict[str, list[float]] = {"detection": [], "image_on_grid": [], "music_refined": [], "music_on_grid": []}
    for _ in range(USERS):
        truth = (float(np.sqrt(rng.uniform(2**2, 21**2))), float(rng.uniform(-0.9, 0.9) * np.pi / 3))
        samples = _snapshot(uplink, truth, rng)
        user, point = detect(imager, samples, max_targets=1)[0], locate_paths(plan, samples, 1)[0]
        places = {
            "detection": (user.range_m, user.angle_rad),
            "image_on_grid": _highest(imager.angle_rad, np.abs(imager.image(samples))),
            "music_refined": (point.range_m, point.angle_rad),
            "music_on_grid": _highest(plan.angle_rad, published_music_fast(plan, uplink, samples)),
        }
        for name, place in places.items():
            squares[name].append(abs(_point(place) - _point(truth)) ** 2)
    return {name: float(np.sqrt(np.mean(values))) for name, values in squares.items()}


def published_music_fast(plan: MusicPlan, uplink: Uplink, samples: ComplexArray) -> Floats:
    """The same spectrum as `published_music` by the planned transforms, which its unit tests hold to the loops."""
    signal = np.linalg.eigh(samples @ samples.conj().T / uplink.grid.count)[1][:, -1:]
    return plan.pseudo_spectrum(signal)


def _further_ms(uplink: Uplink, imager: Imager, plan: MusicPlan, samples: ComplexArray) -> dict[str, float]:
    fft_ms = median_ms(
        lambda: None, lambda: published_image(uplink, samples, RANGE_M, C_M_S), ours_runs=1, baseline_runs=1
    )[1]
    detection_ms, music_ms = median_ms(
        lambda: detect(imager, samples, max_targets=1),
        lambda: locate_paths(plan, samples, 1),
        ours_runs=10,
        baseline_runs=10,
    )
    # one range of the 200; the whole takes minutes at 28 GHz
    direct_ms = median_ms(
        lambda: None, lambda: _direct_row(uplink, samples, 10.0, C_M_S), ours_runs=1, baseline_runs=1
    )[1]
    return {
        "published_fft": fft_ms,
        "direct_sum_extrapolated": direct_ms * RANGE_M.size,
        "detection": detection_ms,
        "music_planned_and_refined": music_ms,
    }


def _direct_row(uplink: Uplink, samples: ComplexArray, range_m: float, c_m_s: float) -> ComplexArray:
    """One range of the image as the double sum [SUCA, eq. (4)], ``(angle,)``."""
    array = uplink.array
    image = np.empty(array.elements, dtype=np.complex128)
    for j, theta in enumerate(array.element_angle_rad):
        distance_m = np.sqrt(
            range_m**2 + array.radius_m**2 - 2 * range_m * array.radius_m * np.cos(theta - array.element_angle_rad)
        )
        image[j] = np.sum(samples * np.exp(2j * np.pi / c_m_s * np.outer(distance_m, uplink.grid.frequency_hz)))
    return image


def _multiplications(elements: int, band_terms: int) -> dict[str, float]:
    size = ImageSize(elements=elements, subcarriers=100, ranges=RANGE_M.size, angles=elements)
    return {
        "music_projector_per_point": music_projector(size, 1),
        "music": music(size, 1),
        "direct_sum": direct_sum(size),
        "published_fft": published_fft(size),
        "ours": planned_image(size, band_terms),
    }


def _snapshot(uplink: Uplink, place: Place, rng: np.random.Generator) -> ComplexArray:
    clean = dense_snapshot(uplink, [(1 + 0j, *place, 0.0)], C_M_S)
    noise = rng.standard_normal((*clean.shape, 2)) @ np.array([1, 1j]) * np.sqrt(10 ** (-SNR_DB / 10) / 2)
    snapshot: ComplexArray = clean + noise
    return snapshot


def _highest(angle_rad: Floats, grid: Floats) -> Place:
    row, column = np.unravel_index(int(grid.argmax()), grid.shape)
    return float(RANGE_M[row]), float(angle_rad[column])


def _point(place: Place) -> complex:
    return complex(place[0] * np.exp(1j * place[1]))
