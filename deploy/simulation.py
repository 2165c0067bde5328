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
from emulator.config import ClocksSection, ElementErrorsSection, FrontEndSection, Noise, NoNoise
from emulator.downlink import DownlinkEmulator
from emulator.hardware import Clock, ElementErrors, FrontEndErrors, PilotLayout
from emulator.impairments import flat_sigma2_w, noisy, quantised
from emulator.scene import Path, Position, Scatterer
from emulator.uplink import UplinkEmulator
from protocol.messages import ComplexReport, GroupReport, PeakReport, PowerReport
from protocol.testbed import Setting, TestbedFacts
from ue_agent.measure import report_from_samples

ComplexArray = npt.NDArray[np.complex128]


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Where a simulated user is, which sub-arrays see it (all by default), its paths beside the line of sight, its clock.

    `emulator.scene.drawn_paths` draws paths.
    """

    range_m: float
    angle_rad: float
    visible_subarrays: tuple[int, ...] = ()
    paths: tuple[Path, ...] = ()
    timing_offset_s: float = 0.0
    carrier_offset_hz: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What a user was sent or sent, and the noise power in each sample of it, for pilots of 1 W per subcarrier.

    None stands for noise that differs between subcarriers, and for none.
    """

    request: Request
    sigma2_w: float | None


class SimulatedRadio:
    """Front end, air, uplink array and the user's own measurement, without a wire between them.

    Errors of front end and uplink array are drawn once, clocks anew for each sweep, all from streams split off ``rng``:
    the noise is the same with and without them. Sweeps follow each other every ``sweep_interval_s``; only a carrier
    offset can tell. ``heard`` tells what was on the air, in order.
    """

    def __init__(
        self,
        facts: TestbedFacts,
        *,
        rng: np.random.Generator,
        downlink_noise: Noise | None = None,
        uplink_noise: Noise | None = None,
        front_end: FrontEndSection | None = None,
        uplink_errors: ElementErrorsSection | None = None,
        clocks: ClocksSection | None = None,
        scatterers: tuple[Scatterer, ...] = (),
        sweep_interval_s: float = 1e-3,
    ) -> None:
        self.heard: list[Heard] = []
        self._facts = facts
        self._rng = rng
        self._downlink_noise = downlink_noise or NoNoise()
        self._uplink_noise = uplink_noise or NoNoise()
        front_end, elements = front_end or FrontEndSection(), facts.downlink.array.elements
        self._limits = front_end.limits(elements)
        self._scatterers = scatterers
        front_end_rng, uplink_rng, self._clock_rng = rng.spawn(3)
        self._errors = FrontEndErrors.drawn(front_end.errors, elements, front_end_rng)
        self._uplink_errors = ElementErrors.drawn(
            uplink_errors or ElementErrorsSection(), facts.uplink.array.elements, uplink_rng
        )
        self._clocks = clocks or ClocksSection()
        self._sweep_interval_s, self._now_s = sweep_interval_s, 0.0
        self._downlink = DownlinkEmulator(facts.downlink, facts.speed_of_light_m_s, self._errors.element.amplitude)
        self._uplink = UplinkEmulator(facts.uplink, facts.speed_of_light_m_s)

    def received(self, sweep: Sweep, user: User) -> tuple[ComplexArray, int]:
        """Return what the user's antenna receives of a sweep, ``(subcarrier,)``, and how many pilots it took."""
        setting = self._setting(sweep)
        applied, _, _ = quantised(setting, self._limits)
        array, grid = self._facts.downlink.array, self._facts.downlink.grid
        seen = np.isin(array.element_subarray, user.visible_subarrays) if user.visible_subarrays else True
        visible = np.where(seen, 1.0, np.zeros(array.elements))
        position = Position(range_m=user.range_m, angle_rad=user.angle_rad)
        samples = self._downlink.received(self._errors.sent(applied), position, visible, user.paths)
        samples = self._by_the_clock_of(user, samples, PilotLayout.of(applied, self._limits, grid))
        noise = self._downlink_noise
        return self._noisy(sweep, samples, noise, grid.spacing_hz), setting.pilots(self._limits)

    def _setting(self, sweep: Sweep) -> Setting:
        """Return what the controller sends to the front end."""
        return fitted(setting_from_focus(sweep.focus, self._facts), self._limits)

    def _noisy(self, request: Request, samples: ComplexArray, noise: Noise, spacing_hz: float) -> ComplexArray:
        self.heard.append(Heard(request=request, sigma2_w=flat_sigma2_w(samples, noise, spacing_hz=spacing_hz)))
        return noisy(samples, noise, self._rng, spacing_hz=spacing_hz)

    def _by_the_clock_of(self, user: User, samples: ComplexArray, layout: PilotLayout) -> ComplexArray:
        clock = Clock(
            timing_offset_s=user.timing_offset_s, carrier_offset_hz=user.carrier_offset_hz, unsteady=self._clocks
        )
        start_s, spacing_hz = self._now_s, self._facts.downlink.grid.spacing_hz
        self._now_s += self._sweep_interval_s
        return clock.received(samples, layout, self._clock_rng, start_s=start_s, spacing_hz=spacing_hz)

    def snapshot(self, user: User) -> Snapshot:
        """Return what the uplink array receives of the user's pilot."""
        position = Position(range_m=user.range_m, angle_rad=user.angle_rad)
        samples = self._uplink_errors.received(self._uplink.received(position, self._scatterers))
        spacing_hz = self._facts.uplink.grid.spacing_hz
        return Snapshot(samples=self._noisy(Sounding(), samples, self._uplink_noise, spacing_hz))

    def answer(self, request: Request, user: User) -> Answer:
        """Return the answer to a scheme's request, as the wire would bring it."""
        if isinstance(request, Sounding):
            return self.snapshot(user)
        samples, pilots = self.received(request, user)
        report = report_from_samples(request.kind, 1, samples, groups_of(request))
        assert isinstance(report, PeakReport | GroupReport | PowerReport | ComplexReport)  # noqa: S101 - narrows the type
        return feedback_from_report(report, request, self._facts, pilots, self._setting(request))


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
