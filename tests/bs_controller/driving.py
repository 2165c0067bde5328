"""Drives a scheme without emulator or UE: answers its requests from the noise-free physics of the papers.

Sweeps are nonuniform FFTs, so that a thousand users take about a second; `test_schemes.py` compares one with the oracle.
The amplitude is constant over the band, as in [CBS, Figs. 3-4].
"""

from collections.abc import Generator
from dataclasses import dataclass, field

import finufft
import msgspec
import numpy as np
import numpy.typing as npt

from bs_controller.beams import setting_from_focus
from bs_controller.sweeps import Answer, Fix, GroupFeedback, PeakFeedback, Request, Scheme, Snapshot, Sounding, Sweep
from protocol.messages import FeedbackKind
from protocol.testbed import (
    Downlink,
    FrontEndLimits,
    LinearArray,
    Setting,
    SubcarrierGrid,
    TestbedFacts,
    default_facts,
)
from tests.oracles import dense_snapshot, linear_distance_m

Floats = npt.NDArray[np.float64]
ComplexArray = npt.NDArray[np.complex128]

#: holds any number of groups at once, as [CBS, Algorithm 1] assumes
IDEAL_FRONT_END = FrontEndLimits(
    elements=512, groups=4096, phase_bits=0, delay_step_s=0.0, delay_span_s=1.0, settle_s=0.0
)


def facts_of_the_figures(subcarriers: int) -> TestbedFacts:
    """The testbed whose digits [CBS, Figs. 3-4] print: the authors' grid and c = 3e8 m/s."""
    carrier_hz, c_m_s = 100e9, 3e8
    downlink = Downlink(
        grid=SubcarrierGrid.authors(carrier_hz, 6e9, subcarriers),
        array=LinearArray(elements=512, spacing_m=c_m_s / (2 * carrier_hz), subarrays=4),
    )
    return msgspec.structs.replace(default_facts(), downlink=downlink, speed_of_light_m_s=c_m_s)


def swept_samples(setting: Setting, facts: TestbedFacts, range_m: float, angle_rad: float) -> ComplexArray:
    """Noise-free pilot of every subcarrier for unit path amplitude, ``(subcarrier,)``."""
    grid, c = facts.downlink.grid, facts.speed_of_light_m_s
    distance_m = linear_distance_m(facts.downlink.array.element_x_m, range_m, angle_rad)
    size = grid.count // setting.groups
    parts = []
    for group in range(setting.groups):
        turn_rad = 2 * np.pi * grid.spacing_hz * (distance_m / c - setting.delay_s[group])
        first = 2 * np.pi * (grid.first_hz * distance_m / c - setting.phase_cycles[group])
        # the transform counts modes from -size/2, the group's first mode is group * size
        start = np.exp(1j * (first + turn_rad * (group * size + size // 2))) / np.sqrt(distance_m.size)
        parts.append(finufft.nufft1d1(turn_rad % (2 * np.pi), start, size, isign=1, eps=1e-12))
    return np.concatenate(parts)


@dataclass
class Drive:
    """One localization of one user, with the requests that came up."""

    facts: TestbedFacts
    range_m: float
    angle_rad: float
    requests: list[Request] = field(default_factory=list)

    def fix(self, scheme: Scheme) -> Fix:
        fixes: list[Fix | None] = []

        def located() -> Generator[Request, Answer, None]:
            fixes.append((yield from scheme.locate()))

        localization = located()
        request = next(localization, None)
        while request is not None:
            self.requests.append(request)
            try:
                request = localization.send(self._answer(request))
            except StopIteration:
                break
        assert fixes[0] is not None, "a scheme that only measures"
        return fixes[0]

    def _answer(self, request: Request) -> Answer:
        if isinstance(request, Sounding):
            path = (1.0 + 0j, self.range_m, self.angle_rad, 0.0)
            return Snapshot(samples=dense_snapshot(self.facts.uplink, [path], self.facts.speed_of_light_m_s))
        return self._feedback(request)

    def _feedback(self, sweep: Sweep) -> PeakFeedback | GroupFeedback:
        setting = setting_from_focus(sweep.focus, self.facts)
        amplitude = np.abs(swept_samples(setting, self.facts, self.range_m, self.angle_rad))
        pilots = setting.pilots(IDEAL_FRONT_END)
        if sweep.kind is FeedbackKind.PEAK:
            return PeakFeedback(subcarrier=int(amplitude.argmax()), pilots=pilots)
        return GroupFeedback(group=int(amplitude.reshape(setting.groups, -1).sum(axis=1).argmax()), pilots=pilots)
