"""Front ends that err in a known way, and the coded pilots that a user hears of them, by the slow sums of the oracles."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from bs_controller.beams import fitted
from bs_controller.calibration.codes import coded_setting, coded_sweeps
from bs_controller.calibration.pilots import HeardCodes, Place
from protocol.testbed import FrontEndLimits, Setting, default_facts
from tests.oracles import dense_sweep

Floats = npt.NDArray[np.float64]
ComplexArray = npt.NDArray[np.complex128]

FACTS = default_facts(subcarriers=64, elements=16)
LIMITS = FrontEndLimits(elements=16, groups=1, phase_bits=3, delay_step_s=3e-12, delay_span_s=100e-9, settle_s=0.0)
PLACE = Place(range_m=6.0, angle_rad=0.4)
CODES = 16
DELAY_SPAN_S = 4e-9


@dataclass(frozen=True, kw_only=True)
class Erring:
    """What elements do beside their settings, ``(element,)``."""

    amplitude: Floats
    phase_rad: Floats
    delay_s: Floats

    @classmethod
    def drawn(cls, seed: int, elements: int = 16, dead: tuple[int, ...] = ()) -> "Erring":
        """Levels of 1 dB, phases all around, delays of 10 ps."""
        rng = np.random.default_rng(seed)
        amplitude = 10 ** (rng.standard_normal(elements) / 20)
        amplitude[list(dead)] = 0.0
        return cls(
            amplitude=amplitude,
            phase_rad=rng.uniform(-np.pi, np.pi, elements),
            delay_s=10e-12 * rng.standard_normal(elements),
        )

    def sent(self, told: Setting) -> Setting:
        """Return what the elements really send; each is late by its error, and turned by it."""
        return replace(
            told,
            phase_cycles=told.phase_cycles - self.phase_rad / (2 * np.pi),
            delay_s=told.delay_s + self.delay_s,
        )


@dataclass(frozen=True, kw_only=True)
class Turned:
    """How the clock turns each pilot, and how late it makes it look, ``(pilot,)``."""

    phase_rad: Floats
    late_s: Floats

    @classmethod
    def drawn(cls, seed: int, pilots: int, late_s: float = 0.0, jitter_s: float = 20e-12) -> "Turned":
        """Any phase, and a steady delay with jitter."""
        rng = np.random.default_rng(seed)
        jitter = jitter_s * rng.standard_normal(pilots)
        return cls(phase_rad=rng.uniform(-np.pi, np.pi, pilots), late_s=late_s + jitter)


def heard(erring: Erring, turned: Turned, codes: int = CODES, delay_span_s: float = DELAY_SPAN_S) -> HeardCodes:
    """Return noise-free pilots."""
    told = [fitted(coded_setting(code, FACTS), LIMITS) for code in coded_sweeps(FACTS, codes, delay_span_s)]
    offset_hz = FACTS.downlink.grid.offset_hz
    pilots = []
    for setting, phase_rad, late_s in zip(told, turned.phase_rad, turned.late_s, strict=True):
        one = dense_sweep(
            FACTS.downlink,
            erring.sent(setting),
            PLACE.range_m,
            PLACE.angle_rad,
            erring.amplitude,
            FACTS.speed_of_light_m_s,
        )
        pilots.append(one * np.exp(1j * (phase_rad + 2 * np.pi * offset_hz * late_s)))
    return HeardCodes(
        samples=np.reshape(pilots, (2, codes, -1)),
        delay_s=np.concatenate([told[0].delay_s, told[codes].delay_s]),
        place=PLACE,
    )


def with_noise(pilots: HeardCodes, snr_db: float, seed: int) -> tuple[HeardCodes, float]:
    """Return pilots with flat noise against their mean power, and its variance."""
    noise_w = float(np.mean(np.abs(pilots.samples) ** 2) / 10 ** (snr_db / 10))
    parts = np.random.default_rng(seed).standard_normal((2, *pilots.samples.shape))
    return replace(pilots, samples=pilots.samples + np.sqrt(noise_w / 2) * (parts[0] + 1j * parts[1])), noise_w
