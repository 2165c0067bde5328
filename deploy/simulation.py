"""The testbed without processes: schemes against the emulator's physics in one interpreter, for notebooks and studies.

The same schemes, settings, impairments and measurements as over the wire, joined by function calls. `SimulatedRadio` answers
what a scheme asks for on behalf of one user; `locate` runs a scheme to its fix.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bs_controller.answers import feedback_from_report, groups_of
from bs_controller.beams import fitted, setting_from_focus
from bs_controller.sweeps import Answer, Fix, Request, Scheme, Snapshot, Sounding, Sweep
from emulator.config import FrontEndSection, Noise, NoNoise
from emulator.downlink import DownlinkEmulator
from emulator.impairments import noisy, quantised
from emulator.scene import Position, Scatterer
from emulator.uplink import UplinkEmulator
from protocol.messages import ComplexReport, GroupReport, PeakReport, PowerReport
from protocol.testbed import TestbedFacts
from ue_agent.measure import report_from_samples

ComplexArray = npt.NDArray[np.complex128]


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Where a simulated user is, and which sub-arrays see it; all of them by default."""

    range_m: float
    angle_rad: float
    visible_subarrays: tuple[int, ...] = ()


class SimulatedRadio:
    """Front end, air, uplink array and the user's own measurement, without a wire between them."""

    def __init__(
        self,
        facts: TestbedFacts,
        *,
        rng: np.random.Generator,
        downlink_noise: Noise | None = None,
        uplink_noise: Noise | None = None,
        front_end: FrontEndSection | None = None,
        scatterers: tuple[Scatterer, ...] = (),
    ) -> None:
        self._facts = facts
        self._rng = rng
        self._downlink_noise = downlink_noise or NoNoise()
        self._uplink_noise = uplink_noise or NoNoise()
        self._limits = (front_end or FrontEndSection()).limits(facts.downlink.array.elements)
        self._scatterers = scatterers
        self._downlink = DownlinkEmulator(facts.downlink, facts.speed_of_light_m_s)
        self._uplink = UplinkEmulator(facts.uplink, facts.speed_of_light_m_s)

    def received(self, sweep: Sweep, user: User) -> tuple[ComplexArray, int]:
        """Return what the user's antenna receives of a sweep, ``(subcarrier,)``, and how many pilots it took."""
        setting = fitted(setting_from_focus(sweep.focus, self._facts), self._limits)
        applied, _, _ = quantised(setting, self._limits)
        array = self._facts.downlink.array
        seen = np.isin(array.element_subarray, user.visible_subarrays) if user.visible_subarrays else True
        visible = np.where(seen, 1.0, np.zeros(array.elements))
        position = Position(range_m=user.range_m, angle_rad=user.angle_rad)
        samples = self._downlink.received(applied, position, visible)
        spacing_hz = self._facts.downlink.grid.spacing_hz
        return noisy(samples, self._downlink_noise, self._rng, spacing_hz=spacing_hz), setting.pilots(self._limits)

    def snapshot(self, user: User) -> Snapshot:
        """Return what the uplink array receives of the user's pilot."""
        position = Position(range_m=user.range_m, angle_rad=user.angle_rad)
        samples = self._uplink.received(position, self._scatterers)
        spacing_hz = self._facts.uplink.grid.spacing_hz
        return Snapshot(samples=noisy(samples, self._uplink_noise, self._rng, spacing_hz=spacing_hz))

    def answer(self, request: Request, user: User) -> Answer:
        """Return the answer to a scheme's request, as the wire would bring it."""
        if isinstance(request, Sounding):
            return self.snapshot(user)
        samples, pilots = self.received(request, user)
        report = report_from_samples(request.kind, 1, samples, groups_of(request))
        assert isinstance(report, PeakReport | GroupReport | PowerReport | ComplexReport)  # noqa: S101 - narrows the type
        return feedback_from_report(report, request, self._facts, pilots)


def locate(scheme: Scheme, radio: SimulatedRadio, user: User) -> Fix:
    """Run a scheme for one user to its fix."""
    localization = scheme.locate()
    try:
        request = next(localization)
        while True:
            request = localization.send(radio.answer(request, user))
    except StopIteration as end:
        fix: Fix = end.value
        return fix
