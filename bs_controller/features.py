"""Feedback to features: what a sweep's samples say of delays, of directions, and of each element of the array.

Everything follows from phases that are linear in the subcarrier's index: element ``n`` is heard as a tone whose frequency
along the subcarriers is its path delay less its delay line, ``tau_n - t_n``. The transform over subcarriers is therefore a
delay axis, and in an angle sweep, whose delay lines spread the elements over tens of nanoseconds, it is the element axis too.
Pure numerics: no I/O, no state beyond plans. Networks are trained on these: a change of values is a new FEATURES_VERSION.
"""

import numpy as np
import numpy.typing as npt
import scipy.fft

from bs_controller.beams import focus_of_subcarrier
from bs_controller.nufft import ToneProducts
from bs_controller.sweeps import Trajectory
from protocol.testbed import Setting, TestbedFacts

Floats = npt.NDArray[np.float64]
ComplexArray = npt.NDArray[np.complex128]

FEATURES_VERSION = 1

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
    energy: Floats = (spectrum.real**2 + spectrum.imag**2) / samples.size
    return energy


def noise_level(energy: Floats) -> float:
    """Return the mean of exponential energies by their median, which is ln 2 of it; what lights a few bins moves it little."""
    middle = energy.size // 2
    return float(np.partition(energy, middle)[middle]) / float(np.log(2))


def delay_bins_hz(facts: TestbedFacts) -> float:
    """Return delay bins per second: ``count spacing_hz``."""
    return facts.downlink.grid.count * facts.downlink.grid.spacing_hz


def box_energy(energy: Floats, width: int, *, circular: bool) -> Floats:
    """Return sums over a box of `width` bins centred on each bin, ``(bin,)``; beyond the ends is zero or the other end."""
    before, after = width // 2, width - width // 2
    if circular:
        padded = np.concatenate([energy[energy.size - before :], energy, energy[: after - 1]])
    else:
        padded = np.concatenate([np.zeros(before), energy, np.zeros(after - 1)])
    total = np.concatenate([[0.0], np.cumsum(padded)])
    sums: Floats = total[width:] - total[:-width]
    return sums


def lit_subcarrier(samples: ComplexArray, width: int) -> float:
    """Return the centre of gravity of the power within the box of `width` subcarriers that holds most of it.

    The strongest subcarrier alone jumps about within the lit band, which for a defocused user is tens to hundreds wide.
    The box decides where to look, the centre of gravity where in it: all boxes around a narrow band hold the same power.
    """
    power = samples.real**2 + samples.imag**2
    centre = int(np.argmax(box_energy(power, width, circular=False)))
    first = max(centre - width // 2, 0)
    inside = power[first : centre - width // 2 + width]
    weight = np.maximum(inside - noise_level(power), 0.0)
    return first + float(weight @ np.arange(inside.size)) / float(max(weight.sum(), np.finfo(float).tiny))


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
    within = np.exp(-2j * np.pi * step_cycles * np.arange(block)) / np.sqrt(block)
    blocks = samples.reshape(-1, block) @ within
    sums: ComplexArray = blocks * np.exp(-2j * np.pi * step_cycles * block * np.arange(blocks.size))
    return sums


def focus_sine(trajectory: Trajectory, facts: TestbedFacts) -> Floats:
    """Return the sine of the angle that each subcarrier of a trajectory focuses on [CBS, eq. (8)], ``(subcarrier,)``."""
    return np.sin(focus_of_subcarrier(trajectory, facts)[1])


def element_path_s(facts: TestbedFacts, range_m: float, angle_rad: float) -> Floats:
    """Return the exact delay from a point to each element, ``(element,)``."""
    x = facts.downlink.array.element_x_m
    along_m, across_m = range_m - x * np.sin(angle_rad), x * np.cos(angle_rad)
    path_s: Floats = np.sqrt(along_m * along_m + across_m * across_m) / facts.speed_of_light_m_s
    return path_s


class Dechirper:
    """Correlates samples with the tone of each element at a supposed position; owns a plan, one thread at a time."""

    def __init__(self, facts: TestbedFacts) -> None:
        self._facts = facts
        downlink = facts.downlink
        self._products = ToneProducts(downlink.grid.count, downlink.array.elements, NUFFT_TOLERANCE)

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
        grid = self._facts.downlink.grid
        tau_s = element_path_s(self._facts, range_m, angle_rad)
        step_cycles = grid.spacing_hz * (tau_s - setting.delay_s[0])
        # the transform's bins run from -(count // 2): turn each tone to its phase at subcarrier zero
        first_cycles = grid.first_hz * tau_s - setting.phase_cycles[0] + (grid.count // 2) * step_cycles
        first_rad = -2 * np.pi * first_cycles
        turn = np.empty(first_rad.size, dtype=np.complex128)
        np.cos(first_rad, out=turn.real)
        np.sin(first_rad, out=turn.imag)
        elements: ComplexArray = self._products(2 * np.pi * step_cycles, samples) * turn
        return elements
