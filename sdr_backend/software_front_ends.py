"""Front ends of software: `simulated`, with the steps and the settling of a real one, and `ideal`, without.

They radiate nothing. What they hold is told to a hook, which may make an air of it.
"""

from dataclasses import replace
from typing import Annotated

import numpy as np
import numpy.typing as npt
from msgspec import Meta

from protocol.testbed import MAX_GROUPS, FrontEndLimits, NonNegative, Positive
from sdr_backend.drivers import Options, checked_options
from sdr_backend.front_end import FrontEndContext, PilotSetting

Floats = npt.NDArray[np.float64]


class IdealOptions(Options, frozen=True):
    """The ideal front end has an end to its delay lines alone."""

    delay_span_s: Positive = 100e-9


class SimulatedOptions(Options, frozen=True):
    """What the simulated front end can do; the fields mean what `FrontEndLimits` says."""

    groups: Annotated[int, Meta(ge=1, le=MAX_GROUPS)] = 1
    phase_bits: Annotated[int, Meta(ge=0, le=16)] = 6
    delay_step_s: NonNegative = 5e-12
    delay_span_s: Positive = 100e-9
    settle_s: NonNegative = 1e-3

    def __post_init__(self) -> None:
        if self.delay_step_s > self.delay_span_s:
            raise ValueError(
                f"delay_step_s must not exceed delay_span_s, got {self.delay_step_s:g} and {self.delay_span_s:g} s"
            )


def simulated(context: FrontEndContext) -> "SoftwareFrontEnd":
    """Return a front end of finite steps."""
    options = checked_options("simulated", context.options, SimulatedOptions)
    limits = FrontEndLimits(
        elements=context.elements,
        groups=options.groups,
        phase_bits=options.phase_bits,
        delay_step_s=options.delay_step_s,
        delay_span_s=options.delay_span_s,
        settle_s=options.settle_s,
    )
    return SoftwareFrontEnd(limits, context)


def ideal(context: FrontEndContext) -> "SoftwareFrontEnd":
    """Return a front end that is as it was asked to be, at once."""
    options = checked_options("ideal", context.options, IdealOptions)
    limits = FrontEndLimits(
        elements=context.elements,
        groups=MAX_GROUPS,
        phase_bits=0,
        delay_step_s=0.0,
        delay_span_s=options.delay_span_s,
        settle_s=0.0,
    )
    return SoftwareFrontEnd(limits, context)


class SoftwareFrontEnd:
    """Holds what it was told, as far as its limits go."""

    def __init__(self, limits: FrontEndLimits, context: FrontEndContext) -> None:
        self._limits, self._hook = limits, context.hook
        self._loaded: PilotSetting | None = None

    @property
    def limits(self) -> FrontEndLimits:
        """Return what it can do."""
        return self._limits

    def load(self, pilot: PilotSetting) -> PilotSetting:
        """Take what is to be latched next, and return the nearest that the limits allow."""
        limits = self._limits
        groups, elements = pilot.delay_s.shape
        if elements != limits.elements or groups > limits.groups:
            raise ValueError(
                f"expected {limits.elements} elements and at most {limits.groups} groups, got {elements} and {groups}"
            )
        self._loaded = replace(
            pilot,
            phase_cycles=_nearest_phase_cycles(pilot.phase_cycles, limits.phase_bits),
            delay_s=_nearest_delay_s(pilot.delay_s, limits.delay_step_s, limits.delay_span_s),
        )
        return self._loaded

    def latch(self, at: int) -> None:
        """Tell the hook."""
        if self._loaded is None:
            raise ValueError("expected something loaded before it is latched, got nothing")
        if self._hook is not None:
            self._hook.latched(self._loaded, at)

    def close(self) -> None:
        """Do nothing: there is no device."""


def _nearest_phase_cycles(phase_cycles: Floats, bits: int) -> Floats:
    """Return phases in 0 .. 1 of ``2^bits`` values; continuous ones stay as they are."""
    if bits == 0:
        return phase_cycles
    nearest: Floats = np.rint(np.ldexp(phase_cycles, bits)) % (1 << bits)
    return np.ldexp(nearest, -bits)


def _nearest_delay_s(delay_s: Floats, step_s: float, span_s: float) -> Floats:
    """Return delays on steps from 0 within the span; steps of 0 are continuous."""
    if step_s == 0:
        return np.clip(delay_s, 0.0, span_s)
    whole_steps = int(span_s / step_s * (1 + 1e-12))  # 100 ns / 0.1 ns is 999.999... in floating point
    return step_s * np.clip(np.rint(delay_s / step_s), 0, whole_steps)
