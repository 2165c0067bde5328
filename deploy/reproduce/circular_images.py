"""Backprojected images: [SUCA, Fig. 2] two targets seen by a linear and a circular array, [SUCA, Fig. 6] one target.

The places of the targets and the carrier of Fig. 2 are ours; the text does not name them.
"""

import numpy as np
import numpy.typing as npt

from bs_controller.imaging import Imager
from deploy.reproduce.plates import Curve, ImagePanel, Mark, Panel, Plate, Value, value
from deploy.reproduce.systems import SPACING_HZ, sector_facts
from deploy.simulation import SimulatedRadio, User
from emulator.config import SweepMean
from protocol.testbed import TestbedFacts

Floats = npt.NDArray[np.float64]
ComplexArray = npt.NDArray[np.complex128]

SEED = 28
SNR_DB = 10.0
RANGES = 200  # as published
TARGETS = ((7.0, float(np.deg2rad(-45.0))), (13.0, float(np.deg2rad(10.0))))
ONE_TARGET = (10.0, np.deg2rad(15.0))
CARRIERS_HZ = (3.5e9, 10e9, 28e9)
SUBCARRIERS = (50, 100, 200)


def two_targets(quick: bool) -> Plate:
    """Return [SUCA, Fig. 2]: the image of two targets by a linear and by a circular array of as many elements."""
    facts = sector_facts(10e9, 100)
    range_m, angle_rad = np.linspace(2, 21, 60 if quick else RANGES), facts.uplink.array.element_angle_rad
    circular_m = _circle_distance_m(facts, *np.array(TARGETS).T)
    elements = angle_rad.size
    x_m = (np.arange(elements, dtype=np.float64) - (elements - 1) / 2) * facts.speed_of_light_m_s / (2 * 10e9)
    linear_m = _line_distance_m(x_m, *np.array(TARGETS).T)
    circular = np.abs(Imager(facts.uplink, range_m, facts.speed_of_light_m_s).image(_snapshot(facts, circular_m)))
    linear = linear_image(facts, x_m, _snapshot(facts, linear_m), range_m, angle_rad)
    panels = [
        _image_panel(f"{name} array of {angle_rad.size} elements", range_m, angle_rad, image, TARGETS)
        for name, image in (("Linear", linear), ("Circular", circular))
    ]
    return Plate(
        figure="suca-fig2",
        title="two targets in the image of a linear and of a circular array, 10 GHz, 100 subcarriers",
        panels=(*panels, _profile_panel(angle_rad, linear, circular), _cut_panel(range_m, angle_rad, linear, circular)),
        values=tuple(
            one
            for index, (r, t) in enumerate(TARGETS)
            for name, image in (("linear", linear), ("circular", circular))
            for one in _target_values(f"target {index + 1}, {name} array", range_m, angle_rad, image, (r, t))
        ),
        notes=(
            "The text prints no number here; targets at 7 m, -45° and 13 m, 10°, of equal strength.",
            "The text says that the sum over range separates angles with the circular array only; here it does with both, "
            "and both lobes widen off the axis: the linear array's aperture shrinks, the circular one's sector ends at 60°.",
        ),
        settings={"carrier_hz": 10e9, "subcarriers": 100, "spacing_hz": SPACING_HZ, "ranges": range_m.size},
    )


def one_target(quick: bool) -> Plate:
    """Return [SUCA, Fig. 6]: the image at 28 GHz with 200 subcarriers, and cuts for carriers and subcarriers."""
    range_m = np.linspace(2, 21, 60 if quick else RANGES)
    facts = sector_facts(28e9, 200)
    angle_rad = facts.uplink.array.element_angle_rad
    image = _noisy_image(facts, range_m)
    row, column = np.unravel_index(image.argmax(), image.shape)
    return Plate(
        figure="suca-fig6",
        title="image of a target at 10 m, 15° by FFT, and its cuts",
        panels=(_cartesian_panel(range_m, angle_rad, image), _angle_cuts(range_m), _range_cuts(range_m)),
        values=(
            value("28 GHz, 200 subcarriers, range of the highest cell, m", range_m[row]),
            value("28 GHz, 200 subcarriers, angle of the highest cell, deg", np.rad2deg(angle_rad[column])),
            *_lobe_values(range_m),
        ),
        notes=("The text prints no number here; noise is 10 dB below the signal. Cells, not refined peaks.",),
        settings={"seed": SEED, "snr_db": SNR_DB, "spacing_hz": SPACING_HZ, "ranges": range_m.size},
    )


def _snapshot(facts: TestbedFacts, distance_m: Floats) -> ComplexArray:
    """Return the noise-free sum of unit waves from ``(target, element)`` distances, ``(element, subcarrier)``."""
    wavenumber = 2 * np.pi / facts.speed_of_light_m_s * facts.uplink.grid.frequency_hz
    samples: ComplexArray = np.exp(-1j * distance_m[:, :, np.newaxis] * wavenumber).sum(axis=0)
    return samples


def _circle_distance_m(facts: TestbedFacts, range_m: Floats, angle_rad: Floats) -> Floats:
    r, array = range_m[:, np.newaxis], facts.uplink.array
    apart = angle_rad[:, np.newaxis] - array.element_angle_rad
    distance_m: Floats = np.sqrt(r**2 + array.radius_m**2 - 2 * r * array.radius_m * np.cos(apart))
    return distance_m


def _line_distance_m(x_m: Floats, range_m: Floats, angle_rad: Floats) -> Floats:
    r, theta = range_m[:, np.newaxis], angle_rad[:, np.newaxis]
    distance_m: Floats = np.sqrt(r**2 + x_m**2 - 2 * r * x_m * np.sin(theta))
    return distance_m


def linear_image(facts: TestbedFacts, x_m: Floats, samples: ComplexArray, range_m: Floats, angle_rad: Floats) -> Floats:
    """Return the backprojected image of a linear array, one range at a time by Horner's rule, ``(range, angle)``."""
    grid, image = facts.uplink.grid, np.empty((range_m.size, angle_rad.size))
    wave = 2j * np.pi / facts.speed_of_light_m_s
    for index, r in enumerate(range_m):
        path_m = _line_distance_m(x_m, np.full(angle_rad.size, r), angle_rad)
        step, total = np.exp(wave * grid.spacing_hz * path_m), np.zeros(path_m.shape, dtype=np.complex128)
        for m in reversed(range(grid.count)):
            total = total * step + samples[:, m]
        image[index] = np.abs((total * np.exp(wave * grid.first_hz * path_m)).sum(axis=1))
    return image


def _noisy_image(facts: TestbedFacts, range_m: Floats) -> Floats:
    """Return the amplitude of the image of the one target, ``(range, angle)``."""
    radio = SimulatedRadio(facts, rng=np.random.default_rng(SEED), uplink_noise=SweepMean(snr_db=SNR_DB))
    samples = radio.snapshot(User(range_m=ONE_TARGET[0], angle_rad=float(ONE_TARGET[1]))).samples
    image: Floats = np.abs(Imager(facts.uplink, range_m, facts.speed_of_light_m_s).image(samples)).astype(np.float64)
    return image


def _level_db(amplitude: Floats) -> Floats:
    level: Floats = 20 * np.log10(np.maximum(amplitude / amplitude.max(), 1e-6))
    return level


def _image_panel(
    title: str, range_m: Floats, angle_rad: Floats, image: Floats, targets: tuple[tuple[float, float], ...]
) -> ImagePanel:
    x, y = np.meshgrid(np.rad2deg(angle_rad), range_m)
    truth = tuple(
        Mark(label=f"target at {r:g} m, {np.rad2deg(t):.0f}°", x=float(np.rad2deg(t)), y=r) for r, t in targets
    )
    return ImagePanel(
        title=title, x_label="angle (deg)", y_label="range (m)", x=x, y=y, level_db=_level_db(image), truth=truth
    )


def _cartesian_panel(range_m: Floats, angle_rad: Floats, image: Floats) -> ImagePanel:
    r, theta = range_m[:, np.newaxis], angle_rad
    return ImagePanel(
        title="28 GHz, 200 subcarriers; the array's centre is the origin",
        x_label="y, across the sector's axis (m)",
        y_label="x, along the sector's axis (m)",
        x=r * np.sin(theta),
        y=r * np.cos(theta),
        level_db=_level_db(image),
        truth=(
            Mark(
                label="target at 10 m, 15°",
                x=float(ONE_TARGET[0] * np.sin(ONE_TARGET[1])),
                y=float(ONE_TARGET[0] * np.cos(ONE_TARGET[1])),
            ),
        ),
        equal_axes=True,
    )


def _profile_panel(angle_rad: Floats, linear: Floats, circular: Floats) -> Panel:
    return Panel(
        title="Summed over range",
        x_label="angle (deg)",
        y_label="sum of amplitudes over its peak",
        curves=tuple(
            Curve(label=name, x=np.rad2deg(angle_rad), y=_angle_profile(image), colour=colour)
            for colour, (name, image) in enumerate((("linear array", linear), ("circular array", circular)))
        ),
        verticals=tuple((float(np.rad2deg(t)), 6) for _, t in TARGETS),
    )


def _cut_panel(range_m: Floats, angle_rad: Floats, linear: Floats, circular: Floats) -> Panel:
    curves = [
        Curve(
            label=f"{name}, at {np.rad2deg(t):.0f}°",
            x=range_m,
            y=image[:, np.abs(angle_rad - t).argmin()] / image.max(),
            style="line" if index == 0 else "dashed",
            colour=colour,
        )
        for colour, (name, image) in enumerate((("linear array", linear), ("circular array", circular)))
        for index, (_, t) in enumerate(TARGETS)
    ]
    return Panel(
        title="Over range at the angles of the targets",
        x_label="range (m)",
        y_label="amplitude over its peak",
        curves=tuple(curves),
        verticals=tuple((r, 6) for r, _ in TARGETS),
    )


def _angle_profile(image: Floats) -> Floats:
    profile: Floats = image.sum(axis=0) / image.sum(axis=0).max()
    return profile


def _target_values(
    name: str, range_m: Floats, angle_rad: Floats, image: Floats, target: tuple[float, float]
) -> tuple[Value, Value]:
    """Return where the sum over range peaks within 5° of a target, and how wide the image is there in angle."""
    near = np.flatnonzero(np.abs(angle_rad - target[1]) < np.deg2rad(5))
    row = image[np.abs(range_m - target[0]).argmin()] * (np.abs(angle_rad - target[1]) < np.deg2rad(15))
    return (
        value(
            f"{name}, peak of the sum over range, deg",
            np.rad2deg(angle_rad[near[_angle_profile(image)[near].argmax()]]),
        ),
        value(f"{name}, angle between half amplitudes, mrad", 1e3 * _width(angle_rad, row / row.max())),
    )


def _cuts_over_angle(range_m: Floats) -> list[tuple[str, Floats, Floats]]:
    """Return label, angle and amplitude at the row of the target for each carrier."""
    cuts = []
    for carrier_hz in CARRIERS_HZ:
        facts = sector_facts(carrier_hz, 200)
        image = _noisy_image(facts, range_m)
        row = image[np.abs(range_m - ONE_TARGET[0]).argmin()]
        cuts.append((f"{carrier_hz / 1e9:g} GHz", facts.uplink.array.element_angle_rad, row / row.max()))
    return cuts


def _cuts_over_range(range_m: Floats) -> list[tuple[str, Floats]]:
    """Return label and amplitude at the column of the target for each number of subcarriers."""
    cuts = []
    for count in SUBCARRIERS:
        facts = sector_facts(3.5e9, count)
        image = _noisy_image(facts, range_m)
        column = image[:, np.abs(facts.uplink.array.element_angle_rad - ONE_TARGET[1]).argmin()]
        cuts.append((f"M = {count}", column / column.max()))
    return cuts


def _angle_cuts(range_m: Floats) -> Panel:
    return Panel(
        title="Over angle at the target's range, on the elements' angles, 200 subcarriers",
        x_label="angle (deg)",
        y_label="amplitude over its peak",
        curves=tuple(
            Curve(label=label, x=np.rad2deg(angle_rad), y=cut, colour=colour)
            for colour, (label, angle_rad, cut) in enumerate(_cuts_over_angle(range_m))
        ),
        verticals=((float(np.rad2deg(ONE_TARGET[1])), 6),),
        x_limits=(5, 25),
    )


def _range_cuts(range_m: Floats) -> Panel:
    return Panel(
        title="Over range at the target's angle, 3.5 GHz",
        x_label="range (m)",
        y_label="amplitude over its peak",
        curves=tuple(
            Curve(label=label, x=range_m, y=cut, colour=colour)
            for colour, (label, cut) in enumerate(_cuts_over_range(range_m))
        ),
        verticals=((ONE_TARGET[0], 6),),
    )


def _lobe_values(range_m: Floats) -> list[Value]:
    """Return widths between the half amplitudes."""
    values = [
        value(f"{label}, angle between half amplitudes, mrad", 1e3 * _width(angle_rad, cut))
        for label, angle_rad, cut in _cuts_over_angle(range_m)
    ]
    return values + [
        value(f"3.5 GHz, {label}, range between half amplitudes, m", _width(range_m, cut))
        for label, cut in _cuts_over_range(range_m)
    ]


def _width(x: Floats, cut: Floats) -> float:
    """Return the width between the half amplitudes around the peak, between samples by straight lines."""
    peak, ends = int(cut.argmax()), []
    for side in (-1, 1):
        index = peak
        while 0 <= index + side < cut.size and cut[index + side] > 0.5:
            index += side
        beyond = min(max(index + side, 0), cut.size - 1)
        share = 0.0 if beyond == index else (cut[index] - 0.5) / (cut[index] - cut[beyond])
        ends.append(x[index] + share * (x[beyond] - x[index]))
    return float(ends[1] - ends[0])
