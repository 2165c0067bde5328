"""Feedback to features: what a sweep's samples say of delays, of directions, and of each element of the array.

Everything follows from phases that are linear in the subcarrier's index: element ``n`` is heard as a tone whose frequency
along the subcarriers is its path delay less its delay line, ``tau_n - t_n``. The transform over subcarriers is therefore a
delay axis, and in an angle sweep, whose delay lines spread the elements over tens of nanoseconds, it is the element axis too.
Pure numerics: no I/O, no state beyond plans. Networks are trained on
these: a change of values is a new version of the representations that use it.
"""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import scipy.fft

from bs_controller.beams import focus_of_subcarrier
from bs_controller.compiled import compiled
from bs_controller.nufft import ToneProducts
from bs_controller.sweeps import Trajectory
from bs_controller.tones import element_tones, phasor
from protocol.testbed import Setting, TestbedFacts

Floats = npt.NDArray[np.float64]
ComplexArray = npt.NDArray[np.complex128]

# Rounding of the dechirp below what 60 dB of SNR could show; measured 1e-7 of the largest element at worst.
NUFFT_TOLERANCE = 1e-6


def delay_energy(samples: ComplexArray) -> Floats:
    """Return the energy on the delay axis, scaled such that noise of variance ``sigma^2`` has the mean ``sigma^2``.

    Parameters
    ----------
    samples
        ``(subcarrier,)``.

    Returns
    -------
    energy
        ``(delay,)``, as many as subcarriers; bin ``k`` is the delay ``k / (count spacing_hz)``, modulo ``1 / spacing_hz``.
    """
    spectrum = scipy.fft.fft(samples)  # two thirds of numpy's time
    return squared(spectrum, 1 / samples.size)


@compiled
def squared(values: ComplexArray, scale: float) -> Floats:
    """Return squared moduli of values ``(value,)`` times a scale."""
    power = np.empty(values.size)
    for index in range(values.size):
        power[index] = scale * (values[index].real ** 2 + values[index].imag ** 2)
    return power


def noise_level(energy: Floats) -> float:
    """Return the mean of exponential energies by their median, which is ln 2 of it; what lights a few bins moves it little."""
    middle = energy.size // 2
    return float(np.partition(energy, middle)[middle]) / float(np.log(2))


def delay_bins_hz(facts: TestbedFacts) -> float:
    """Return delay bins per second: ``count spacing_hz``."""
    return facts.downlink.grid.count * facts.downlink.grid.spacing_hz


@compiled
def box_energy(energy: Floats, width: int, circular: bool) -> Floats:
    """Return sums over a box of `width` bins centred on each bin, ``(bin,)``; beyond the ends is zero or the other end."""
    count, before, after = energy.size, width // 2, width - width // 2
    padded = np.zeros(count + width)
    padded[before : before + count] = energy
    if circular:
        padded[:before] = energy[count - before :]
        padded[before + count :] = energy[:after]
    sums = np.empty(count)
    total = padded[:width].sum()
    for first in range(count):
        sums[first] = total
        total += padded[first + width] - padded[first]
    return sums


@compiled
def brightest_box(energy: Floats, width: int) -> tuple[int, float]:
    """Return the centre and the sum of the box of `width` bins that holds most, see `box_energy`."""
    sums = box_energy(energy, width, False)
    centre = int(sums.argmax())
    return centre, float(sums[centre])


def lit_subcarrier(samples: ComplexArray, width: int) -> float:
    """Return the centre of gravity of the power within the box of `width` subcarriers that holds most of it.

    The strongest subcarrier alone jumps about within the lit band, which for a defocused user is tens to hundreds wide.
    The box decides where to look, the centre of gravity where in it: all boxes around a narrow band hold the same power.
    """
    power = squared(samples, 1.0)
    return _centre_of_gravity(power, noise_level(power), brightest_box(power, width)[0], width)


@compiled
def _centre_of_gravity(power: Floats, noise: float, centre: int, width: int) -> float:
    """Return where the power above the noise is, on average, within a box."""
    weight, moment = 0.0, 0.0
    for index in range(max(centre - width // 2, 0), min(centre - width // 2 + width, power.size)):
        above = max(power[index] - noise, 0.0)
        weight += above
        moment += above * index
    return moment / weight if weight > 0 else float(max(centre - width // 2, 0))


@compiled
def block_sums(samples: ComplexArray, block: int, step_cycles: float) -> ComplexArray:
    """Return sums over blocks of neighbouring subcarriers, over ``sqrt(block)``, with a common tone taken off first.

    Parameters
    ----------
    samples
        ``(subcarrier,)``, a multiple of `block`.
    block
        How many neighbours add up.
    step_cycles
        How far the tone turns from one subcarrier to the next; the first is left as it is.

    Returns
    -------
    sums
        ``(subcarrier / block,)``; noise keeps its variance.
    """
    within = np.empty(block, dtype=np.complex128)
    for index in range(block):
        real, imag = phasor(step_cycles * index)
        within[index] = complex(real, -imag) / math.sqrt(block)
    sums = np.empty(samples.size // block, dtype=np.complex128)
    for index in range(sums.size):
        total = 0.0j
        for at in range(block):
            total += samples[index * block + at] * within[at]
        real, imag = phasor(step_cycles * block * index)
        sums[index] = total * complex(real, -imag)
    return sums


def focus_sine(trajectory: Trajectory, facts: TestbedFacts) -> Floats:
    """Return the sine of the angle that each subcarrier of a trajectory focuses on [CBS, eq. (8)], ``(subcarrier,)``."""
    return np.sin(focus_of_subcarrier(trajectory, facts)[1])


def element_path_s(facts: TestbedFacts, range_m: float, angle_rad: float) -> Floats:
    """Return the exact delay from a point to each element, ``(element,)``."""
    return path_delays_s(facts.downlink.array.element_x_m, range_m, angle_rad, facts.speed_of_light_m_s)


@compiled
def path_delays_s(x_m: Floats, range_m: float, angle_rad: float, c_m_s: float) -> Floats:
    """Return the exact delay from a point to places along the array, ``(element,)``."""
    sine, cosine = math.sin(angle_rad), math.cos(angle_rad)
    path_s = np.empty(x_m.size)
    for n in range(x_m.size):
        along_m, across_m = range_m - x_m[n] * sine, x_m[n] * cosine
        path_s[n] = math.sqrt(along_m * along_m + across_m * across_m) / c_m_s
    return path_s


class Dechirper:
    """Correlates samples with the tone of each element at a supposed position; owns a plan, one thread at a time."""

    def __init__(self, facts: TestbedFacts) -> None:
        grid, array = facts.downlink.grid, facts.downlink.array
        self._products = ToneProducts(grid.count, array.elements, NUFFT_TOLERANCE)
        self._x_m = np.array(array.element_x_m).reshape(array.subarrays, -1)
        self._everyone = np.arange(array.subarrays)
        # the transform's bins run from -(count // 2): tones count from the frequency of the bin called zero
        self._middle_offset_hz = grid.spacing_hz * (grid.count // 2)
        self._middle_hz, self._spacing_hz = grid.first_hz + self._middle_offset_hz, grid.spacing_hz
        self._c_m_s = facts.speed_of_light_m_s

    def elements(self, samples: ComplexArray, setting: Setting, range_m: float, angle_rad: float) -> ComplexArray:
        """Return ``sum_m y_m exp(-j 2 pi (f_m tau_n - phi_n - (f_m - f_0) t_n))``, the tones of [CBS, eq. (7)] undone.

        Parameters
        ----------
        samples
            ``(subcarrier,)`` of a sweep with one group.
        setting
            The sweep's setting, ``(1, element)``.
        range_m, angle_rad
            The supposed position. Where it is right, visible elements have one phase and the others little energy.

        Returns
        -------
        elements
            ``(element,)``.
        """
        delay_s = np.array(setting.delay_s[0]).reshape(self._x_m.shape)
        cycles = setting.phase_cycles[0].reshape(self._x_m.shape) + self._middle_offset_hz * delay_s
        step_rad, tones = element_tones(
            range_m,
            angle_rad,
            self._everyone,
            self._x_m,
            delay_s,
            cycles,
            self._c_m_s,
            self._middle_hz,
            self._spacing_hz,
            1,
            1,
        )
        elements: ComplexArray = self._products(step_rad, samples) * tones[0].conj()
        return elements


NETWORK_PLACES = 128  # along the array or the band, that a network takes


def network_channels(parts: int) -> int:
    """Return how many channels `network_features` makes of so many parts."""
    return 3 * parts + 3


def network_features(
    parts: Sequence[ComplexArray], range_share: float, sine: float, timing_rms_m: float
) -> npt.NDArray[np.float32]:
    """Return what a network is shown of sweeps in the frame of a supposed position.

    At the right position every visible element is heard with one phase, and so is every block of subcarriers. What is left,
    slopes and bends of phases, tells how far off the position is.

    Parameters
    ----------
    parts
        ``(128,)`` each: what elements or subcarriers are heard with, the position's tones or its response undone.
    range_share, sine
        The position: range over the farthest, and sine of the angle.
    timing_rms_m
        How far clocks are known to be off, as path.

    Returns
    -------
    features
        ``(channel, place)``: of each part real and imaginary part, turned so that their sums are real, of mean square one.
        Then constants: range, sine, logarithms of each part's share that is not in phase and of the timing.

    Raises
    ------
    ValueError
        If a part has not 128 values.
    """
    features = np.empty((network_channels(len(parts)), NETWORK_PLACES), dtype=np.float32)
    constants = 2 * len(parts)
    features[constants], features[constants + 1] = range_share, sine
    for index, part in enumerate(parts):
        if part.shape != (NETWORK_PLACES,):
            raise ValueError(f"parts of {NETWORK_PLACES} values expected, got {part.shape}")
        turned, in_phase = _turned(part)
        features[2 * index], features[2 * index + 1] = turned.real, turned.imag
        features[constants + 2 + index] = math.log10(max(1 - in_phase, 1e-6))
    features[-1] = math.log10(timing_rms_m + 1e-3)
    return features


def neighbours_together(values: ComplexArray) -> ComplexArray:
    """Return sums over neighbours, ``(128,)``, of values ``(value,)``, a multiple of 128.

    Raises
    ------
    ValueError
        If it is no multiple.
    """
    if values.size % NETWORK_PLACES:
        raise ValueError(f"a multiple of {NETWORK_PLACES} values expected, got {values.size}")
    together: ComplexArray = values.reshape(NETWORK_PLACES, -1).sum(axis=1)
    return together


def _turned(values: ComplexArray) -> tuple[ComplexArray, float]:
    """Return values of mean square one with a real sum, and the share of their energy that is in phase."""
    total, energy = complex(values.sum()), float(np.vdot(values, values).real)
    if not energy > 0 or total == 0:
        return np.zeros_like(values), 0.0
    turned: ComplexArray = values * (total.conjugate() / abs(total) * math.sqrt(values.size / energy))
    return turned, abs(total) ** 2 / (values.size * energy)
