"""The pilots of a calibration as one user heard them, what a perfect front end would have sent, and first guesses of clocks.

An element ``n`` brings ``x_n exp(-j 2 pi (f - f_0) delta_n) s_kn b_n(f)`` to pilot ``k``: its error ``x_n, delta_n``, its sign,
and a template ``b_n`` of the exact distance, the delay it was told and the gain of free space [CBS, eqs. (1), (7)]. Pure.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bs_controller.calibration.codes import element_column, row_signs, scrambling
from protocol.testbed import TestbedFacts

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]
ComplexArray = npt.NDArray[np.complex128]

#: Points of the delay axis per resolution of the band: a path half way between two is 0.2 dB weaker.
OVERSAMPLING = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a user was surveyed to be, seen from the linear array."""

    range_m: float
    angle_rad: float


@dataclass(frozen=True, slots=True, kw_only=True)
class HeardCodes:
    """All coded pilots of one user, all rows of each arrangement in order.

    ``samples`` are ``(arrangement, row, subcarrier)``, ``delay_s`` what the front end was told, ``(arrangement, element)``.
    """

    samples: ComplexArray
    delay_s: Floats
    place: Place

    def __post_init__(self) -> None:
        if self.samples.ndim != 3 or self.delay_s.ndim != 2 or len(self.samples) != len(self.delay_s):
            raise ValueError(
                f"samples (arrangement, row, subcarrier) and delays (arrangement, element) expected, got "
                f"{self.samples.shape} and {self.delay_s.shape}"
            )

    @property
    def codes(self) -> int:
        """Return the number of rows, which is that of columns."""
        return int(self.samples.shape[1])


def distance_m(place: Place, facts: TestbedFacts) -> Floats:
    """Return exact distances to the elements, ``(element,)``."""
    x, sine = facts.downlink.array.element_x_m, np.sin(place.angle_rad)
    distance: Floats = np.sqrt(place.range_m**2 + x**2 - 2 * place.range_m * x * sine)
    return distance


def templates(heard: HeardCodes, facts: TestbedFacts) -> ComplexArray:
    """Return what a perfect element brings, its scrambling sign included, ``(arrangement, element, subcarrier)``."""
    grid, c_m_s = facts.downlink.grid, facts.speed_of_light_m_s
    tau_s = distance_m(heard.place, facts) / c_m_s
    elements = tau_s.size
    gain = c_m_s / (4 * np.pi * grid.frequency_hz * heard.place.range_m) / np.sqrt(elements)
    cycles = grid.first_hz * tau_s[:, np.newaxis] + (tau_s - heard.delay_s)[..., np.newaxis] * grid.offset_hz
    tones: ComplexArray = scrambling(elements)[:, np.newaxis] * gain * np.exp(2j * np.pi * cycles)
    return tones


def code_matrix(codes: int) -> Floats:
    """Return the Hadamard matrix, ``(row, column)``."""
    return np.stack([row_signs(row, codes) for row in range(codes)])


@dataclass(frozen=True, slots=True, kw_only=True)
class Clocks:
    """How each pilot was turned and how late it looked, ``(arrangement, row)``; phases are those at the band's middle."""

    phase_rad: Floats
    delay_s: Floats


def first_clocks(heard: HeardCodes, facts: TestbedFacts) -> Clocks:
    """Return one delay for all pilots and a phase for each, whatever the phases of elements are.

    In the delay domain each element stands where it was put. A pilot times the conjugate of the first is a comb of the
    elements' powers with their signs: at the right delay all teeth agree, and what is left is the phase between the two.
    """
    grid, size = facts.downlink.grid, OVERSAMPLING * facts.downlink.grid.count
    signs = code_matrix(heard.codes)[:, element_column(heard.delay_s.shape[1], heard.codes)]  # (row, element)
    profiles = np.fft.fft(heard.samples, size, axis=-1)  # a delay t peaks at bin t size spacing
    tau_s = distance_m(heard.place, facts) / facts.speed_of_light_m_s
    teeth = np.rint((tau_s - heard.delay_s) * size * grid.spacing_hz).astype(np.intp)  # (arrangement, element)
    sums = np.stack([_comb_sums(profile, tooth, signs) for profile, tooth in zip(profiles, teeth, strict=True)])
    latest = size // 4  # half of the delay axis is for elements, half for clocks
    shifts = np.arange(-latest, latest + 1)
    shift = int(shifts[np.argmax((np.abs(sums[..., shifts]) ** 2).sum(axis=(0, 1)))])
    at_teeth = np.take_along_axis(profiles[:, 0], (teeth + shift) % size, axis=-1)  # the first rows, whose signs are 1
    between_rad = np.angle((at_teeth * np.conj(at_teeth[0])).sum(axis=-1))
    phase_rad = np.angle(sums[..., shift]) + between_rad[:, np.newaxis]
    late_s = np.full(phase_rad.shape, shift / (size * grid.spacing_hz))
    return Clocks(phase_rad=phase_rad, delay_s=late_s)


def _comb_sums(profile: ComplexArray, tooth: Indices, signs: Floats) -> ComplexArray:
    """Return each pilot's sum over teeth for every shift of the comb, ``(row, shift)``."""
    rows, size = profile.shape
    comb = np.zeros((rows, size))
    for place, sign in zip(tooth % size, signs.T, strict=True):
        comb[:, place] += sign
    product = profile * np.conj(profile[0])
    sums: ComplexArray = np.fft.ifft(np.conj(np.fft.fft(comb)) * np.fft.fft(product))
    return sums
