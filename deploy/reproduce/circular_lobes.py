"""What a sectored circular array resolves: [SUCA, Fig. 3] fewest elements, [SUCA, Fig. 4] patterns and main lobes.

The patterns of the paper expand the distance to first order in R / r, [SUCA, eq. (5)]; those of exact distances are drawn
beside them. The speed of light is the exact one: the printed 392 elements need it, with 3e8 m/s they would be 391.
"""

import numpy as np
import numpy.typing as npt

from deploy.reproduce.plates import Curve, Mark, Panel, Plate, Style, Value, value
from deploy.reproduce.systems import HALF_SECTOR_RAD, SPACING_HZ, fewest, sector_uplink
from protocol.testbed import SPEED_OF_LIGHT_M_S, Uplink

Floats = npt.NDArray[np.float64]
ComplexArray = npt.NDArray[np.complex128]

CARRIERS_HZ = (3.5e9, 10e9, 28e9)
PATTERN_CARRIERS_HZ = (3.5e9, 28e9)
SUBCARRIERS = (50, 100, 200)
TARGET_RANGE_M = 10.0
_PRINTED_ELEMENTS = {3.5e9: 49, 28e9: 392}


def fewest_elements(quick: bool) -> Plate:
    """Return [SUCA, Fig. 3]: fewest elements over the sector's half-width; there is nothing to make quick."""
    del quick
    half_rad = np.linspace(np.deg2rad(1), np.pi / 2, 400)
    curves = tuple(
        Curve(
            label=f"{carrier_hz / 1e9:g} GHz",
            x=np.rad2deg(half_rad),
            y=np.array([fewest(carrier_hz, half_sector_rad=alpha) for alpha in half_rad.tolist()], dtype=np.float64),
            colour=colour,
        )
        for colour, carrier_hz in enumerate(CARRIERS_HZ)
    )
    alpha_deg = float(np.rad2deg(HALF_SECTOR_RAD))
    marks = tuple(
        Mark(label=f"printed: {count} at {carrier_hz / 1e9:g} GHz, 60°", x=alpha_deg, y=count)
        for carrier_hz, count in _PRINTED_ELEMENTS.items()
    )
    panel = Panel(
        title="Fewest elements without grating lobes, radius 1 m",
        x_label="half-width of the sector (deg)",
        y_label="elements",
        curves=curves,
        marks=marks,
        y_log=True,
    )
    return Plate(
        figure="suca-fig3",
        title="fewest elements of a sectored circular array",
        panels=(panel,),
        values=tuple(
            value(
                f"{carrier_hz / 1e9:g} GHz, half-width 60 deg, elements",
                fewest(carrier_hz),
                _PRINTED_ELEMENTS.get(carrier_hz),
            )
            for carrier_hz in CARRIERS_HZ
        ),
        notes=("The slope changes at 45°: a wider sector holds the steepest direction, [SUCA, eqs. (14)-(15)].",),
        settings={"radius_m": 1.0, "speed_of_light_m_s": SPEED_OF_LIGHT_M_S},
    )


def patterns(quick: bool) -> Plate:
    """Return [SUCA, Fig. 4]: patterns over angle and range; there is nothing to make quick."""
    del quick
    return Plate(
        figure="suca-fig4",
        title=f"patterns around a target at {TARGET_RANGE_M:g} m, 0°, and the estimated main lobes",
        panels=(*(_angle_panel(carrier_hz) for carrier_hz in PATTERN_CARRIERS_HZ), _range_panel()),
        values=(*_angle_values(), *_range_values()),
        notes=(
            "The text prints no number here. [SUCA, eq. (10)] estimates the distance of extrema of the integral's phase; the "
            "integral's first minimum lies nearer by a tenth, that of exact distances by a fifth.",
            "[SUCA, eq. (12)] holds at 3.5 GHz; at 28 GHz the curvature that [SUCA, eq. (5)] drops narrows the lobe.",
        ),
        settings={
            "radius_m": 1.0,
            "half_sector_deg": 60,
            "spacing_hz": SPACING_HZ,
            "speed_of_light_m_s": SPEED_OF_LIGHT_M_S,
        },
    )


def estimated_lobe_rad(carrier_hz: float, radius_m: float = 1.0) -> float:
    """Return half of the main lobe's estimated width in angle [SUCA, eq. (10)]."""
    return float(SPEED_OF_LIGHT_M_S / carrier_hz / (2 * radius_m * np.sin(HALF_SECTOR_RAD)))


def estimated_lobe_m(subcarriers: int) -> float:
    """Return half of the main lobe's estimated width in range [SUCA, eq. (12)]."""
    return SPEED_OF_LIGHT_M_S / (subcarriers * SPACING_HZ)


def first_minimum(x: Floats, y: Floats) -> float:
    """Return the first ``x`` where ``y`` stops falling."""
    rising = np.flatnonzero(np.diff(y) > 0)
    return float(x[rising[0]]) if rising.size else float("inf")


def integral_over_angle(uplink: Uplink, offset_rad: Floats) -> Floats:
    """Return the normalised pattern of a continuous array to first order in R / r [SUCA, eq. (8)], ``(offset,)``."""
    node, weight = np.polynomial.legendre.leggauss(600)  # phases turn by less than 100 rad
    psi = HALF_SECTOR_RAD * node
    path_m = -uplink.array.radius_m * (np.cos(offset_rad[:, np.newaxis] - psi) - np.cos(psi))
    wave = np.exp(2j * np.pi * uplink.grid.first_hz / SPEED_OF_LIGHT_M_S * path_m)
    pattern: Floats = np.abs(wave @ weight) / 2
    return pattern


def sum_to_first_order(uplink: Uplink, offset_rad: Floats) -> Floats:
    """Return the normalised pattern of the elements to first order in R / r [SUCA, eq. (6)], ``(offset,)``."""
    psi = uplink.array.element_angle_rad
    path_m = -uplink.array.radius_m * (np.cos(offset_rad[:, np.newaxis] - psi) - np.cos(psi))
    pattern: Floats = np.abs(np.exp(2j * np.pi * uplink.grid.first_hz / SPEED_OF_LIGHT_M_S * path_m).mean(axis=1))
    return pattern


def sum_over_elements(uplink: Uplink, offset_rad: Floats) -> Floats:
    """Return the normalised pattern of the elements with exact distances [SUCA, eq. (4)], ``(offset,)``."""
    path_m = _distance_m(uplink, np.full_like(offset_rad, TARGET_RANGE_M), offset_rad) - _target_distance_m(uplink)
    pattern: Floats = np.abs(np.exp(2j * np.pi * uplink.grid.first_hz / SPEED_OF_LIGHT_M_S * path_m).mean(axis=1))
    return pattern


def dirichlet_over_range(uplink: Uplink, range_m: Floats) -> Floats:
    """Return the normalised pattern over range to first order in R / r [SUCA, eq. (12)], ``(range,)``."""
    path_m = (range_m - TARGET_RANGE_M)[:, np.newaxis]
    pattern: Floats = np.abs(np.exp(2j * np.pi / SPEED_OF_LIGHT_M_S * path_m * uplink.grid.frequency_hz).mean(axis=1))
    return pattern


def sum_over_range(uplink: Uplink, range_m: Floats) -> Floats:
    """Return the normalised pattern over range with exact distances [SUCA, eq. (4)], ``(range,)``."""
    path_m = _distance_m(uplink, range_m, np.zeros_like(range_m)) - _target_distance_m(uplink)
    grid, wave = uplink.grid, 2j * np.pi / SPEED_OF_LIGHT_M_S
    step, total = np.exp(wave * grid.spacing_hz * path_m), np.zeros(path_m.shape, dtype=np.complex128)
    for _ in range(grid.count):  # Horner's rule
        total = total * step + 1
    total = (total * np.exp(wave * grid.first_hz * path_m)).sum(axis=1)
    pattern: Floats = np.abs(total) / (uplink.array.elements * uplink.grid.count)
    return pattern


def _distance_m(uplink: Uplink, range_m: Floats, angle_rad: Floats) -> Floats:
    """Return exact distances [SUCA, eq. (3)], ``(point, element)``."""
    r, radius_m = range_m[:, np.newaxis], uplink.array.radius_m
    apart = angle_rad[:, np.newaxis] - uplink.array.element_angle_rad
    distance_m: Floats = np.sqrt(r**2 + radius_m**2 - 2 * r * radius_m * np.cos(apart))
    return distance_m


def _target_distance_m(uplink: Uplink) -> Floats:
    return _distance_m(uplink, np.array([TARGET_RANGE_M]), np.zeros(1))


def _angle_panel(carrier_hz: float) -> Panel:
    lobe_rad, uplink = estimated_lobe_rad(carrier_hz), sector_uplink(carrier_hz, 2)
    offset_rad = np.linspace(-4 * lobe_rad, 4 * lobe_rad, 1601)
    return Panel(
        title=f"Over angle, {carrier_hz / 1e9:g} GHz, one subcarrier; dash-dotted: main lobe estimated",
        x_label="angle from the target (mrad)",
        y_label="amplitude over its peak",
        curves=(
            Curve(label="integral, first order", x=1e3 * offset_rad, y=integral_over_angle(uplink, offset_rad)),
            Curve(
                label="sum over elements, first order",
                x=1e3 * offset_rad,
                y=sum_to_first_order(uplink, offset_rad),
                style="dotted",
                colour=6,
            ),
            Curve(
                label="sum over elements, exact",
                x=1e3 * offset_rad,
                y=sum_over_elements(uplink, offset_rad),
                style="dashed",
                colour=1,
            ),
        ),
        verticals=((-1e3 * lobe_rad, 6), (1e3 * lobe_rad, 6)),
    )


def _range_panel() -> Panel:
    range_m, curves, verticals = np.linspace(2, 21, 286), [], []
    for colour, count in enumerate(SUBCARRIERS):
        low, high = (sector_uplink(carrier_hz, count) for carrier_hz in PATTERN_CARRIERS_HZ)
        cases: tuple[tuple[str, Style, Floats], ...] = (
            ("first order", "line", dirichlet_over_range(low, range_m)),
            ("exact, 3.5 GHz", "dashed", sum_over_range(low, range_m)),
            ("exact, 28 GHz", "dotted", sum_over_range(high, range_m)),
        )
        curves += [
            Curve(label=f"M = {count}, {label}", x=range_m, y=pattern, style=style, colour=colour)
            for label, style, pattern in cases
        ]
        lobe_m = estimated_lobe_m(count)
        verticals += [(TARGET_RANGE_M - lobe_m, colour), (TARGET_RANGE_M + lobe_m, colour)]
    return Panel(
        title="Over range, M subcarriers of 480 kHz; dash-dotted: main lobe estimated",
        x_label="range (m)",
        y_label="amplitude over its peak",
        curves=tuple(curves),
        verticals=tuple(verticals),
        x_limits=(2, 21),
    )


def _angle_values() -> list[Value]:
    values = []
    for carrier_hz in CARRIERS_HZ:
        estimate_rad, uplink = estimated_lobe_rad(carrier_hz), sector_uplink(carrier_hz, 2)
        offset_rad = np.linspace(0, 3 * estimate_rad, 3001)
        integral_rad = first_minimum(offset_rad, integral_over_angle(uplink, offset_rad))
        minimum_rad = first_minimum(offset_rad, sum_over_elements(uplink, offset_rad))
        values += [
            value(f"{carrier_hz / 1e9:g} GHz, half of the main lobe estimated, mrad", 1e3 * estimate_rad),
            value(f"{carrier_hz / 1e9:g} GHz, first minimum of the integral, mrad", 1e3 * integral_rad),
            value(f"{carrier_hz / 1e9:g} GHz, first minimum with exact distances, mrad", 1e3 * minimum_rad),
        ]
    return values


def _range_values() -> list[Value]:
    values = []
    for count in SUBCARRIERS:
        values.append(value(f"M = {count}, half of the main lobe estimated, m", estimated_lobe_m(count)))
        range_m = np.linspace(TARGET_RANGE_M, TARGET_RANGE_M + 15, 301)
        for carrier_hz in PATTERN_CARRIERS_HZ:
            pattern = sum_over_range(sector_uplink(carrier_hz, count), range_m)
            beyond_m = first_minimum(range_m, pattern) - TARGET_RANGE_M
            values.append(
                value(f"M = {count}, {carrier_hz / 1e9:g} GHz, first minimum with exact distances, m", beyond_m)
            )
    return values
