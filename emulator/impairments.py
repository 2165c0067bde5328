"""What separates a received grid from the ideal one: noise in its three modes, errors of front end, arrays and clocks.

One function per effect; random numbers only from the generator that is passed in. Noise is circular complex Gaussian:
``sigma2_w`` is its whole variance, half of it in each of the real and imaginary parts. Samples are square roots of W;
modes without a transmit power take it as 1 W per subcarrier. `emulator.hardware` says which errors a run has.
"""

import numpy as np
import numpy.typing as npt

from emulator.config import LinkBudget, Noise, NoNoise, PerSubcarrier, SweepMean
from protocol.testbed import FrontEndLimits, Setting

Floats = npt.NDArray[np.float64]
ComplexArray = npt.NDArray[np.complex128]

BOLTZMANN_J_K = 1.380649e-23
LARGEST_CARRIER_OFFSET_SPACINGS = 0.01


def noisy(received: ComplexArray, noise: Noise, rng: np.random.Generator, *, spacing_hz: float) -> ComplexArray:
    """Return what a receiver gets of a noise-free grid in one of the noise modes.

    Parameters
    ----------
    received
        ``(..., subcarrier)`` for pilots of unit power per subcarrier.
    noise
        The mode and its parameters; `LinkBudget` also scales the signal to its transmit power.
    spacing_hz
        Subcarrier spacing, the bandwidth of the noise in one sample; only `LinkBudget` needs it.

    Returns
    -------
    samples
        A new array of the same shape.
    """
    match noise:
        case SweepMean():
            return received + circular_noise(rng, sweep_mean_sigma2_w(received, noise.snr_db), received.shape)
        case PerSubcarrier():
            return received + circular_noise(rng, per_subcarrier_sigma2_w(received, noise.snr_db), received.shape)
        case LinkBudget():
            sent = received * link_budget_amplitude(noise, received.shape[-1])
            return sent + circular_noise(rng, link_budget_sigma2_w(noise, spacing_hz), received.shape)
        case NoNoise():
            return received.copy()


def flat_sigma2_w(received: ComplexArray, noise: Noise, *, spacing_hz: float) -> float | None:
    """Return the noise power that `noisy` adds to each sample, as it stands to pilots of unit power per subcarrier.

    There is no such number, and None is returned, where there is no noise or it differs between subcarriers.
    """
    match noise:
        case SweepMean():
            return sweep_mean_sigma2_w(received, noise.snr_db)
        case LinkBudget():
            power_w = link_budget_amplitude(noise, received.shape[-1]) ** 2
            return link_budget_sigma2_w(noise, spacing_hz) / power_w
        case PerSubcarrier() | NoNoise():
            return None


def circular_noise(rng: np.random.Generator, sigma2_w: float | Floats, shape: tuple[int, ...]) -> ComplexArray:
    """Return circular complex Gaussian noise of this variance, which broadcasts to ``shape``."""
    parts = rng.standard_normal((*shape, 2))
    return parts.view(np.complex128)[..., 0] * np.sqrt(np.asarray(sigma2_w) / 2)


def sweep_mean_sigma2_w(received: ComplexArray, snr_db: float) -> float:
    """Return the flat noise power whose ratio to the mean power of all samples is ``snr_db``."""
    return float(np.mean(_power_w(received))) / _ratio(snr_db)


def per_subcarrier_sigma2_w(received: ComplexArray, snr_db: float) -> Floats:
    """Return noise power that follows each subcarrier's own, the mean over all other axes, ``(subcarrier,)``.

    No receiver behaves so; the tables of [CBS] were made with it.
    """
    power_w = _power_w(received).reshape(-1, received.shape[-1])
    mean_w: Floats = power_w.mean(axis=0)
    return mean_w / _ratio(snr_db)


def link_budget_sigma2_w(noise: LinkBudget, spacing_hz: float) -> float:
    """Return the thermal noise power ``k T B F`` in the bandwidth of one subcarrier."""
    return BOLTZMANN_J_K * noise.temperature_k * spacing_hz * _ratio(noise.noise_figure_db)


def link_budget_amplitude(noise: LinkBudget, subcarriers: int) -> float:
    """Return the amplitude of one subcarrier's pilot when all share the transmit power equally, square roots of W."""
    return float(np.sqrt(_ratio(noise.transmit_power_dbm - 30) / subcarriers))


def quantised(setting: Setting, limits: FrontEndLimits) -> tuple[Setting, float, float]:
    """Return the setting that the front end really applies, and how far it is from the one asked for.

    Phases go to the nearest of ``2^phase_bits`` values; delays to the nearest step within ``0 .. delay_span_s``, and a
    delay beyond its line's ends stays at the end, where the deviation shows it.

    Returns
    -------
    applied
        The setting on the air.
    phase_deviation_cycles
        The largest deviation of a phase, modulo whole cycles.
    delay_deviation_s
        The largest deviation of a delay.

    Raises
    ------
    ValueError
        If the setting is for another number of elements.
    """
    if setting.phase_cycles.shape[1] != limits.elements:
        raise ValueError(f"a setting of {limits.elements} elements expected, got {setting.phase_cycles.shape[1]}")
    phase_cycles = _quantised_phase_cycles(setting.phase_cycles, limits.phase_bits)
    delay_s = _quantised_delay_s(setting.delay_s, limits.delay_step_s, limits.delay_span_s)
    turn = phase_cycles - setting.phase_cycles
    applied = Setting(phase_cycles=phase_cycles, delay_s=delay_s, groups_per_pilot=setting.groups_per_pilot)
    phase_deviation_cycles = float(np.max(np.abs(turn - np.rint(turn))))
    return applied, phase_deviation_cycles, float(np.max(np.abs(delay_s - setting.delay_s)))


def _quantised_phase_cycles(phase_cycles: Floats, bits: int) -> Floats:
    if bits == 0:
        return phase_cycles
    levels = 2**bits
    wrapped_cycles: Floats = np.mod(np.rint(phase_cycles * levels), levels) / levels
    return wrapped_cycles


def _quantised_delay_s(delay_s: Floats, step_s: float, span_s: float) -> Floats:
    if step_s == 0:
        clipped_s: Floats = np.clip(delay_s, 0.0, span_s)
        return clipped_s
    # the small excess keeps a span of whole steps whole: 100 ns / 0.1 ns is 999.999... in floating point
    last = np.floor(span_s / step_s * (1 + 1e-12))
    steps: Floats = np.clip(np.rint(delay_s / step_s), 0.0, last)
    return steps * step_s


# --- errors of an array's elements, drawn once per run ---------------------------------------------------------------


def element_amplitude(rng: np.random.Generator, elements: int, rms_db: float) -> Floats:
    """Return amplitudes whose level in decibels is normal around 0 with this rms, ``(element,)``."""
    amplitude: Floats = 10 ** (rms_db * rng.standard_normal(elements) / 20)
    return amplitude


def element_phase_error_rad(rng: np.random.Generator, elements: int, rms_rad: float) -> Floats:
    """Return normal phase errors with this rms, the same on all subcarriers, ``(element,)``."""
    return rms_rad * rng.standard_normal(elements)


def element_alive(rng: np.random.Generator, elements: int, dead_fraction: float) -> Floats:
    """Return 0 for the dead elements and 1 for the others, ``(element,)``; their number is the nearest to the fraction."""
    alive = np.ones(elements)
    alive[rng.permutation(elements)[: round(dead_fraction * elements)]] = 0.0
    return alive


def element_delay_error_s(rng: np.random.Generator, elements: int, rms_s: float) -> Floats:
    """Return normal errors of the true-time delays with this rms, ``(element,)``.

    They act as the delays of [CBS, eq. (7)] do, from the first subcarrier on: the phase that a late line has there
    already is an element's phase error and has its own rms.
    """
    return rms_s * rng.standard_normal(elements)


# --- errors of a UE's clock ------------------------------------------------------------------------------------------


def phase_noise_rad(rng: np.random.Generator, pilots: int, rms_rad: float) -> Floats:
    """Return the phase that oscillators have wandered to at each pilot, normal with this rms, ``(pilot,)``.

    It is the common phase error of an OFDM symbol. The faster part of phase noise leaks between subcarriers like
    additive noise and is left to the noise's own figure.
    """
    return rms_rad * rng.standard_normal(pilots)


def carrier_phase_rad(offset_hz: float, pilot_s: Floats) -> Floats:
    """Return the phase of a carrier that is off by ``offset_hz`` at each pilot's time, ``(pilot,)``.

    Leakage between subcarriers is left out, see `check_carrier_offset`.
    """
    return 2 * np.pi * offset_hz * pilot_s


def check_carrier_offset(offset_hz: float, spacing_hz: float) -> None:
    """Refuse a carrier offset beyond 1 % of the spacing.

    An offset of x spacings leaks a share ``(pi x)^2 / 3`` of the power into other subcarriers; up to here it is below
    -34 dB.

    Raises
    ------
    ValueError
        If the offset is larger.
    """
    largest_hz = LARGEST_CARRIER_OFFSET_SPACINGS * spacing_hz
    if abs(offset_hz) > largest_hz:
        raise ValueError(f"carrier_offset_hz must lie within +-{largest_hz:g}, got {offset_hz:g} Hz")


def timing_jitter_s(rng: np.random.Generator, rms_s: float) -> float:
    """Return how late one sweep looks beside the UE's fixed offset, normal with this rms."""
    return rms_s * float(rng.standard_normal())


def with_pilot_phase(samples: ComplexArray, phase_rad: Floats, subcarriers_per_pilot: int) -> ComplexArray:
    """Return a sweep whose consecutive pilots are turned by their own phases, ``(subcarrier,)``."""
    turn = np.repeat(np.exp(1j * phase_rad), subcarriers_per_pilot)[: samples.size]  # the last pilot may hold fewer
    turned: ComplexArray = samples * turn
    return turned


def with_timing_offset(samples: ComplexArray, offset_s: float, spacing_hz: float) -> ComplexArray:
    """Return a sweep that looks late by ``offset_s``: as from ``c offset_s`` farther away, ``(subcarrier,)``.

    ``y = h^H w`` has the phase ``+2 pi f r / c``, so that a late pilot's phase grows over the subcarriers. The phase on
    the first one is left alone: it belongs to the carrier.
    """
    cycles = spacing_hz * offset_s * np.arange(samples.size)
    late: ComplexArray = samples * np.exp(2j * np.pi * cycles)
    return late


def _power_w(samples: ComplexArray) -> Floats:
    power_w: Floats = samples.real**2 + samples.imag**2
    return power_w


def _ratio(decibel: float) -> float:
    return float(10 ** (decibel / 10))
