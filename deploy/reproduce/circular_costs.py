"""Multiplications and run time of MUSIC, of the double sum and of the FFT on the circular array: [SUCA, Table I].

The paper's text lost the numbers of its table; what it says of them in words stands in the notes. Run times are those of
this machine, one thread, of our implementations, which are planned once and skip most of the published multiplications;
where the double sum takes too long, one range is timed and the time multiplied.
"""

import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from bs_controller import complexity
from bs_controller.complexity import ImageSize
from bs_controller.imaging import Imager
from bs_controller.music import MusicPlan, covariance, signal_subspace
from deploy.reproduce.plates import LINE_WITH_POINTS, Curve, Panel, Plate, Value, value
from deploy.reproduce.systems import fewest, sector_facts
from deploy.simulation import SimulatedRadio, User
from protocol.testbed import TestbedFacts

Floats = npt.NDArray[np.float64]
ComplexArray = npt.NDArray[np.complex128]

CARRIERS_HZ = (3.5e9, 10e9, 28e9)
SUBCARRIERS, RANGES, PATHS = 100, 200, 1
BAND_TERMS = 13  # what `Imager.band_terms` is for these subcarriers and ranges
COUNTED: dict[str, Callable[[ImageSize], int]] = {
    "MUSIC, eigenvectors once": lambda size: complexity.music(size, PATHS),
    "double sum": complexity.direct_sum,
    "FFT, as published": complexity.published_fft,
    "FFT, planned": lambda size: complexity.planned_image(size, BAND_TERMS),
    "MUSIC, projector at each point": lambda size: complexity.music_projector(size, PATHS),
}
TIMED = ("MUSIC", "double sum", "FFT, as published", "FFT, planned")
_PRINTED_ELEMENTS = {3.5e9: 49, 28e9: 392}


def costs(quick: bool) -> Plate:
    """Return [SUCA, Table I]: counts and seconds for the carriers of the paper."""
    elements = np.array([fewest(carrier_hz) for carrier_hz in CARRIERS_HZ], dtype=np.float64)
    sizes = [ImageSize(elements=int(n), subcarriers=SUBCARRIERS, ranges=RANGES, angles=int(n)) for n in elements]
    counts = {name: np.array([count(size) for size in sizes], dtype=np.float64) for name, count in COUNTED.items()}
    seconds = [_seconds(sector_facts(carrier_hz, SUBCARRIERS), runs=1 if quick else 5) for carrier_hz in CARRIERS_HZ]
    times = {name: np.array([row[name] for row in seconds]) for name in TIMED}
    return Plate(
        figure="suca-table1",
        title="multiplications and run time of one image, 200 ranges, 100 subcarriers",
        panels=(
            _panel("Counted", "complex multiplications", elements, counts),
            _panel("Measured", "run time (s)", elements, times),
        ),
        values=_values(elements, counts, times),
        notes=(
            "The text prints of its run times: 'hundreds of times faster' (abstract), 'up to a hundred times' (section VI).",
            "It says that MUSIC's multiplications grow with the fourth power of the elements: only forming the projector "
            "anew at every point does so. MUSIC here is planned and correlates by FFT, far from the paper's slowness.",
        ),
        settings={"subcarriers": SUBCARRIERS, "ranges": RANGES, "paths": PATHS},
    )


def _seconds(facts: TestbedFacts, runs: int) -> dict[str, float]:
    """Return seconds per image of each method; what is planned once is not counted."""
    range_m = np.linspace(2, 21, RANGES)
    samples = SimulatedRadio(facts, rng=np.random.default_rng(1)).snapshot(User(range_m=10.0, angle_rad=0.2)).samples
    imager, plan = (
        Imager(facts.uplink, range_m, facts.speed_of_light_m_s),
        MusicPlan(facts.uplink, range_m, facts.speed_of_light_m_s),
    )
    none_m = np.zeros(facts.uplink.array.elements)

    def music() -> None:
        moments = covariance(facts.uplink, samples, none_m, facts.speed_of_light_m_s)
        plan.pseudo_spectrum(signal_subspace(moments, PATHS))

    return {
        "MUSIC": _fastest_s(music, runs),
        "double sum": RANGES * _fastest_s(lambda: double_sum_of_one_range(facts, samples, 10.0), 1),
        "FFT, as published": RANGES * _fastest_s(lambda: published_fft_of_one_range(facts, samples, 10.0), runs),
        "FFT, planned": _fastest_s(lambda: imager.image(samples), runs),
    }


def double_sum_of_one_range(facts: TestbedFacts, samples: ComplexArray, range_m: float) -> ComplexArray:
    """Return one row of the image as the sum over elements and subcarriers [SUCA, eq. (4)], ``(angle,)``."""
    angle_rad, grid = facts.uplink.array.element_angle_rad, facts.uplink.grid
    wavenumber = 2 * np.pi / facts.speed_of_light_m_s * grid.frequency_hz
    row = np.empty(angle_rad.size, dtype=np.complex128)
    for index, theta in enumerate(angle_rad):
        path_m = _distance_m(facts, range_m, theta - angle_rad)
        row[index] = np.sum(samples * np.exp(1j * np.outer(path_m, wavenumber)))
    return row


def published_fft_of_one_range(facts: TestbedFacts, samples: ComplexArray, range_m: float) -> ComplexArray:
    """Return one row of the image by one convolution per subcarrier [SUCA, eq. (18)], ``(angle,)``."""
    array, grid = facts.uplink.array, facts.uplink.grid
    lag_rad = np.arange(1 - array.elements, array.elements, dtype=np.float64) * (
        2 * array.half_sector_rad / (array.elements - 1)
    )
    length = complexity.power_of_two_from(3 * array.elements - 2)
    wavenumber = 2 * np.pi / facts.speed_of_light_m_s * grid.frequency_hz
    kernel = np.exp(1j * wavenumber[:, np.newaxis] * _distance_m(facts, range_m, lag_rad))
    product = np.fft.fft(kernel, length) * np.fft.fft(samples.T, length)
    row: ComplexArray = np.fft.ifft(product)[:, array.elements - 1 : 2 * array.elements - 1].sum(axis=0)
    return row


def _distance_m(facts: TestbedFacts, range_m: float, lag_rad: Floats) -> Floats:
    radius_m = facts.uplink.array.radius_m
    distance_m: Floats = np.sqrt(range_m**2 + radius_m**2 - 2 * range_m * radius_m * np.cos(lag_rad))
    return distance_m


def _fastest_s(work: Callable[[], object], runs: int) -> float:
    found = []
    for _ in range(runs):
        start = time.perf_counter()
        work()
        found.append(time.perf_counter() - start)
    return min(found)


def _panel(title: str, y_label: str, elements: Floats, rows: dict[str, Floats]) -> Panel:
    return Panel(
        title=f"{title}; 49, 140 and 392 elements at 3.5, 10 and 28 GHz",
        x_label="elements",
        y_label=y_label,
        curves=tuple(
            Curve(label=name if style == "line" else "_" + name, x=elements, y=row, style=style, colour=colour)
            for colour, (name, row) in enumerate(rows.items())
            for style in LINE_WITH_POINTS
        ),
        x_log=True,
        y_log=True,
    )


def _values(elements: Floats, counts: dict[str, Floats], times: dict[str, Floats]) -> tuple[Value, ...]:
    found = [
        value(f"{carrier_hz / 1e9:g} GHz, elements", count, _PRINTED_ELEMENTS.get(carrier_hz))
        for carrier_hz, count in zip(CARRIERS_HZ, elements.tolist(), strict=True)
    ]
    for unit, rows in (("multiplications", counts), ("run time, s", times)):
        found += [
            value(f"{carrier_hz / 1e9:g} GHz, {name}, {unit}", number)
            for name, row in rows.items()
            for carrier_hz, number in zip(CARRIERS_HZ, row.tolist(), strict=True)
        ]
    last = {name: row[-1] for name, row in times.items()}
    return (
        *found,
        value(
            "28 GHz, double sum over FFT as published, run time ratio", last["double sum"] / last["FFT, as published"]
        ),
        value("28 GHz, double sum over FFT planned, run time ratio", last["double sum"] / last["FFT, planned"]),
        value("28 GHz, MUSIC over FFT planned, run time ratio", last["MUSIC"] / last["FFT, planned"]),
    )
