"""Slow and obvious reference maths of SPEC 6.2 and 6.4 for radios, independent of the emulator: settings, sweeps, snapshots."""

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from protocol.conformance import reference
from protocol.conformance.scene import Place
from protocol.testbed import Downlink, Uplink

Floats = npt.NDArray[np.float64]
ComplexArray = npt.NDArray[np.complex128]
Setting = tuple[Floats, Floats]  # phases in cycles and delays in s, (group, element) each

OVERSAMPLING = 256  # of common delays: the best one is missed by 0.2 degrees rms at most, or 6e-6 of the likeness


def nearest(setting: Setting, front_end: Mapping[str, float]) -> Setting:
    """Return the nearest setting that a front end can have: steps are counted from 0."""
    phase_cycles, delay_s = setting
    if front_end["phase_bits"]:
        levels = 2 ** front_end["phase_bits"]
        phase_cycles = np.rint(phase_cycles * levels) / levels
    step_s, span_s = front_end["delay_step_s"], front_end["delay_span_s"]
    if step_s == 0:
        return phase_cycles, np.clip(delay_s, 0.0, span_s)
    last = math.floor(span_s / step_s * (1 + 1e-12))  # 20 ns in steps of 10 ps are 2000 of them, not 1999.99
    return phase_cycles, np.clip(np.rint(delay_s / step_s), 0, last) * step_s


def deviations(setting: Setting, front_end: Mapping[str, float]) -> tuple[float, float]:
    """Return the largest deviations of the nearest setting: of phases, modulo whole cycles, and of delays."""
    applied = nearest(setting, front_end)
    turn = applied[0] - setting[0]
    return float(np.max(np.abs(turn - np.rint(turn)))), float(np.max(np.abs(applied[1] - setting[1])))


def sweep(setting: Setting, place: Place, downlink: Downlink, speed_m_s: float) -> ComplexArray:
    """Return what a user receives of a setting in line of sight, amplitude 1 per element, ``(subcarrier,)``."""
    grid = downlink.grid
    weight = reference.weights(*setting, count=grid.count, spacing_hz=grid.spacing_hz)
    channel = reference.line_of_sight(place.position_m, downlink.array.element_x_m, grid.frequency_hz, speed_m_s)
    return reference.received(channel, weight)


def element_delays_s(place: Place, downlink: Downlink, speed_m_s: float) -> Floats:
    """Return the delay from each element to a user, ``(element,)``."""
    along_broadside_m, along_array_m = place.position_m
    return np.array(
        [math.hypot(along_broadside_m, along_array_m - x_m) / speed_m_s for x_m in downlink.array.element_x_m]
    )


def uplink_delays_s(place: Place, uplink: Uplink, speed_m_s: float) -> Floats:
    """Return the delay from a user to each element of the circular array, ``(element,)``."""
    along_axis_m, across_m = place.position_m
    count, alpha, radius_m = uplink.array.elements, uplink.array.half_sector_rad, uplink.array.radius_m
    angles_rad = [-alpha + 2 * alpha * n / (count - 1) for n in range(count)]
    return np.array(
        [
            math.hypot(along_axis_m - radius_m * math.cos(psi), across_m - radius_m * math.sin(psi)) / speed_m_s
            for psi in angles_rad
        ]
    )


def snapshot(place: Place, uplink: Uplink, speed_m_s: float) -> ComplexArray:
    """Return the samples of a user's pilot in line of sight, amplitude 1, ``(element, subcarrier)``."""
    delay_s = uplink_delays_s(place, uplink, speed_m_s)
    samples: ComplexArray = np.exp(-2j * np.pi * uplink.grid.frequency_hz * delay_s[:, np.newaxis])
    return samples


def likeness(got: ComplexArray, wanted: ComplexArray) -> float:
    """Return how far two sweeps are the same but for a complex factor and a delay, which are free: 1 if they are.

    It is the largest correlation over all delays; a real factor that changes by 6 % over the band costs 1.5e-4.
    """
    products = np.fft.fft(got * np.conj(wanted), OVERSAMPLING * len(got))
    return float(np.max(np.abs(products)) / (np.linalg.norm(got) * np.linalg.norm(wanted)))
