"""The air of samples: what each user hears of one pilot, as the taps of a filter and the noise behind it.

A setting as the front end really sends it passes the same front-end errors, channel and clock as in `emulator.server`. The
response ``y`` is that of SPEC 6.2; a medium applies its conjugate. The filter is the inverse transform of it: taps are
samples of the waveform, whose rate is subcarriers times spacing, and a delay common to all users keeps them causal. Who
subtracts it has absolute times of flight. Responses longer than one symbol wrap around.
"""

import math
import zlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.fft

from emulator.config import EmulatorSection, LinkBudget, NoNoise
from emulator.downlink import DownlinkEmulator
from emulator.hardware import FrontEndErrors
from emulator.impairments import (
    carrier_phase_rad,
    flat_sigma2_w,
    link_budget_amplitude,
    phase_noise_rad,
    timing_jitter_s,
    with_timing_offset,
)
from emulator.scene import Position, Scene
from emulator.server import Truth, truth_of_pilot
from protocol.messages import Configure
from protocol.testbed import Setting, TestbedFacts

ComplexArray = npt.NDArray[np.complex128]
MARGIN_SAMPLES = 26  # of the common delay, for the tails of delays between two samples


@dataclass(frozen=True, slots=True, kw_only=True)
class UserAir:
    """One user's channel during a pilot: ``(tap,)``, and the rms of the noise on a complex sample."""

    taps: ComplexArray
    noise_rms: float


def common_delay_samples(facts: TestbedFacts, delay_span_s: float) -> int:
    """Return what all taps are late by, so that delay lines, which advance a focus, leave them causal."""
    rate_hz = facts.downlink.grid.count * facts.downlink.grid.spacing_hz
    return math.ceil(delay_span_s * rate_hz) + MARGIN_SAMPLES


class IqAir:
    """What the scene makes of pilots; `truth` is drained by the shell.

    Raises
    ------
    ValueError
        If the noise differs between subcarriers, which no antenna's does.
    """

    def __init__(self, facts: TestbedFacts, section: EmulatorSection, scene: Scene, sent_rms: float) -> None:
        self.truth: list[Truth] = []
        self._grid = facts.downlink.grid
        self._section, self._scene, self._sent_rms = section, scene, sent_rms
        self._errors = FrontEndErrors.drawn(
            section.front_end.errors, facts.downlink.array.elements, self._rng("front end")
        )
        self._downlink = DownlinkEmulator(facts.downlink, facts.speed_of_light_m_s, self._errors.element.amplitude)
        self._delay_samples = common_delay_samples(facts, section.front_end.delay_span_s)
        self._pilots = 0
        self._told: tuple[int, int] | None = None  # session and epoch of which the truth was kept
        noise = section.downlink_noise
        if flat_sigma2_w(np.ones(1, dtype=np.complex128), noise, spacing_hz=1.0) is None and noise != NoNoise():
            raise ValueError(f"downlink_noise: expected noise that is flat over subcarriers, got {noise}")

    def latched(self, message: Configure, session: int, now_s: float) -> dict[str, UserAir]:
        """Return the channel of every user who is in front of the array while this setting is held.

        Parameters
        ----------
        message
            What the front end sends during one pilot, of a setting with this epoch.
        session
            Which start of the transmitter counts its epochs so.
        now_s
            Since the scene began: users stay where they are until the next pilot.
        """
        setting = self._errors.sent(
            Setting(phase_cycles=np.asarray(message.phase_cycles), delay_s=np.asarray(message.delay_s))
        )
        self._pilots += 1
        places = {ue: at for ue in self._scene.names if (at := self._where(ue, now_s)) is not None}
        if self._told != (session, message.epoch):
            self._told = session, message.epoch
            self.truth += [truth_of_pilot(self._scene, message.epoch, ue, "downlink", now_s) for ue in places]
        sweep = f"{session} {message.epoch}"
        return {ue: self._heard(setting, sweep, ue, at, now_s) for ue, at in places.items()}

    def _where(self, ue: str, now_s: float) -> Position | None:
        try:
            return self._scene.position(ue, now_s)
        except ValueError:
            return None

    def _heard(self, setting: Setting, sweep: str, ue: str, position: Position, now_s: float) -> UserAir:
        user, spacing_hz = self._scene.user(ue), self._grid.spacing_hz
        response = self._downlink.received(setting, position, user.visible, user.paths)
        response *= np.exp(1j * self._phase_rad(ue, user.carrier_offset_hz, now_s))
        jitter_s = timing_jitter_s(self._rng(f"{ue} {sweep}"), self._section.clocks.timing_jitter_rms_s)
        response = with_timing_offset(response, user.timing_offset_s + jitter_s, spacing_hz)
        noise = self._section.downlink_noise
        sigma2_w = 0.0 if isinstance(noise, NoNoise) else flat_sigma2_w(response, noise, spacing_hz=spacing_hz) or 0.0
        if isinstance(noise, LinkBudget):
            response *= (amplitude := link_budget_amplitude(noise, response.size))
            sigma2_w *= amplitude**2
        return UserAir(
            taps=taps_from_response(response, self._delay_samples), noise_rms=math.sqrt(sigma2_w) * self._sent_rms
        )

    def _phase_rad(self, ue: str, carrier_offset_hz: float, now_s: float) -> float:
        """Return the phase of a user's carrier at this pilot, which nobody tells from the next one's."""
        steady_rad = float(carrier_phase_rad(carrier_offset_hz, np.array([now_s]))[0])
        rms_rad = math.radians(self._section.clocks.phase_noise_rms_deg)
        return steady_rad + float(phase_noise_rad(self._rng(f"{ue} {self._pilots} phase"), 1, rms_rad)[0])

    def _rng(self, what: str) -> np.random.Generator:
        return np.random.default_rng([self._section.seed, zlib.crc32(what.encode())])


def taps_from_response(response: ComplexArray, delay_samples: int) -> ComplexArray:
    """Return the filter through which a unit channel would be heard as `response`, this much later, ``(..., tap)``."""
    count = response.shape[-1]
    turns = (np.arange(count) * delay_samples) % count / count  # whole numbers before the division: exact
    taps: ComplexArray = scipy.fft.ifft(response.conj() * np.exp(-2j * np.pi * turns))
    return taps
