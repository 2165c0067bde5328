"""The imperfect hardware of one run: errors of front end and uplink array, drawn once, and a UE's clock at each sweep.

The effects themselves are in `emulator.impairments`, one function each; here is which of them a piece of hardware has and
in which order. Each effect draws from a stream of its own, so that one may be switched on and leave the others as they are.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from emulator.config import ClocksSection, ElementErrorsSection, FrontEndErrorsSection
from emulator.impairments import (
    carrier_phase_rad,
    check_carrier_offset,
    element_alive,
    element_amplitude,
    element_delay_error_s,
    element_phase_error_rad,
    phase_noise_rad,
    timing_jitter_s,
    with_pilot_phase,
    with_timing_offset,
)
from protocol.testbed import FrontEndLimits, Setting, SubcarrierGrid

Floats = npt.NDArray[np.float64]
ComplexArray = npt.NDArray[np.complex128]


@dataclass(frozen=True, slots=True, kw_only=True)
class ElementErrors:
    """What each element of an array does to a signal, ``(element,)``; the amplitude of a dead one is 0."""

    amplitude: Floats
    phase_rad: Floats

    @classmethod
    def drawn(cls, section: ElementErrorsSection, elements: int, rng: np.random.Generator) -> "ElementErrors":
        """Return the errors of one run."""
        gains, phases, deaths = rng.spawn(3)
        amplitude = element_amplitude(gains, elements, section.gain_rms_db)
        return cls(
            amplitude=amplitude * element_alive(deaths, elements, section.dead_fraction),
            phase_rad=element_phase_error_rad(phases, elements, float(np.deg2rad(section.phase_rms_deg))),
        )

    def received(self, samples: ComplexArray) -> ComplexArray:
        """Return what an array with these errors receives, ``(element, subcarrier)``."""
        weight = self.amplitude * np.exp(1j * self.phase_rad)
        weighted: ComplexArray = weight[:, np.newaxis] * samples
        return weighted


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontEndErrors:
    """What the front end's elements do beside their settings; delays err by ``delay_s``, ``(element,)``."""

    element: ElementErrors
    delay_s: Floats

    @classmethod
    def drawn(cls, section: FrontEndErrorsSection, elements: int, rng: np.random.Generator) -> "FrontEndErrors":
        """Return the errors of one run."""
        element_rng, delays = rng.spawn(2)
        return cls(
            element=ElementErrors.drawn(section, elements, element_rng),
            delay_s=element_delay_error_s(delays, elements, section.delay_rms_s),
        )

    def sent(self, applied: Setting) -> Setting:
        """Return the setting that the elements really send; amplitudes, which a setting does not hold, are left out."""
        return Setting(
            phase_cycles=applied.phase_cycles - self.element.phase_rad / (2 * np.pi),  # the weight is exp(-j 2 pi phi)
            delay_s=applied.delay_s + self.delay_s,
            groups_per_pilot=applied.groups_per_pilot,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PilotLayout:
    """How a sweep is sent: in how many pilots, one after another, each with this many subcarriers of its own."""

    pilots: int
    subcarriers_per_pilot: int
    interval_s: float

    @classmethod
    def of(cls, setting: Setting, limits: FrontEndLimits, grid: SubcarrierGrid) -> "PilotLayout":
        """Return the layout of a setting; a pilot lasts one symbol and the front end's settling, without guard."""
        groups = min(setting.groups_per_pilot, limits.groups)
        return cls(
            pilots=setting.pilots(limits),
            subcarriers_per_pilot=groups * (grid.count // setting.groups),
            interval_s=limits.settle_s + 1 / grid.spacing_hz,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """A UE's clock against the radio's: steady offsets of its own, and the unsteadiness common to all UEs."""

    timing_offset_s: float = 0.0
    carrier_offset_hz: float = 0.0
    unsteady: ClocksSection

    @property
    def is_perfect(self) -> bool:
        """Return whether samples pass unchanged."""
        return self == Clock(unsteady=ClocksSection())

    def received(
        self, samples: ComplexArray, layout: PilotLayout, rng: np.random.Generator, *, start_s: float, spacing_hz: float
    ) -> ComplexArray:
        """Return a sweep as a UE with this clock sees it, ``(subcarrier,)``; its first pilot is sent at ``start_s``.

        Raises
        ------
        ValueError
            If the carrier offset is beyond what is modelled.
        """
        if self.is_perfect:
            return samples
        check_carrier_offset(self.carrier_offset_hz, spacing_hz)
        phases, times = rng.spawn(2)
        pilot_s = start_s + layout.interval_s * np.arange(layout.pilots, dtype=np.float64)
        phase_rad = carrier_phase_rad(self.carrier_offset_hz, pilot_s)
        phase_rad += phase_noise_rad(phases, layout.pilots, float(np.deg2rad(self.unsteady.phase_noise_rms_deg)))
        late_s = self.timing_offset_s + timing_jitter_s(times, self.unsteady.timing_jitter_rms_s)
        turned = with_pilot_phase(samples, phase_rad, layout.subcarriers_per_pilot)
        return with_timing_offset(turned, late_s, spacing_hz)
