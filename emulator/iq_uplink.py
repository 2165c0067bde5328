"""The air of samples from the users to the uplink array: filters from each user to each antenna, and the noise behind them.

The snapshot of `emulator.uplink` with the errors of the array's elements is what a medium does by itself: its inverse transform
are the taps, at a rate of subcarriers times spacing. They are late by half a symbol, so that what a path between two samples
leaves of itself before and after it is in them. Who subtracts that has absolute times of flight.
"""

import math
import zlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from emulator.config import EmulatorSection, LinkBudget, NoNoise
from emulator.hardware import ElementErrors
from emulator.impairments import flat_sigma2_w, link_budget_amplitude
from emulator.iq_air import taps_from_response
from emulator.scene import Position, Scene
from emulator.server import Truth, truth_of_pilot
from emulator.uplink import UplinkEmulator
from protocol.messages import Capture
from protocol.testbed import TestbedFacts

ComplexArray = npt.NDArray[np.complex128]


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayAir:
    """The channels of all users, ``(antenna, tap)`` each, and the rms of the noise on a complex sample of an antenna."""

    taps: dict[str, ComplexArray]
    noise_rms: float


class UplinkIqAir:
    """What the scene makes of soundings; `truth` is drained by the shell.

    Raises
    ------
    ValueError
        If the noise differs between subcarriers, which no antenna's does.
    """

    def __init__(self, facts: TestbedFacts, section: EmulatorSection, scene: Scene, sent_rms: float) -> None:
        self.truth: list[Truth] = []
        self._uplink = facts.uplink
        self._section, self._scene, self._sent_rms = section, scene, sent_rms
        # the same errors as the emulator's for the same seed
        rng = np.random.default_rng([section.seed, zlib.crc32(b"uplink array")])
        self._errors = ElementErrors.drawn(section.uplink_errors, facts.uplink.array.elements, rng)
        self._emulator = UplinkEmulator(facts.uplink, facts.speed_of_light_m_s)
        noise = section.uplink_noise
        if flat_sigma2_w(np.ones(1, dtype=np.complex128), noise, spacing_hz=1.0) is None and noise != NoNoise():
            raise ValueError(f"uplink_noise: expected noise that is flat over subcarriers, got {noise}")

    def captured(self, message: Capture, now_s: float) -> ArrayAir:
        """Return the channels of all users who are in front of the array while one of them is listened to.

        Noise that is measured against a signal is so against that one's.

        Parameters
        ----------
        message
            Who is listened to.
        now_s
            Since the scene began: users stay where they are until the next capture.
        """
        places = {ue: at for ue in self._scene.names if (at := self._where(ue, now_s)) is not None}
        if message.ue in places:
            self.truth.append(truth_of_pilot(self._scene, message.epoch, message.ue, "uplink", now_s))
        heard = {ue: self._heard(at) for ue, at in places.items()}
        delay_samples = self._uplink.grid.count // 2
        return ArrayAir(
            taps={ue: taps_from_response(samples.conj(), delay_samples) for ue, samples in heard.items()},
            noise_rms=self._noise_rms(heard[message.ue]) if message.ue in heard else 0.0,
        )

    def _where(self, ue: str, now_s: float) -> Position | None:
        try:
            return self._scene.position(ue, now_s)
        except ValueError:
            return None

    def _heard(self, position: Position) -> ComplexArray:
        received = self._errors.received(self._emulator.received(position, self._scene.scatterers))
        noise = self._section.uplink_noise
        return (
            received * link_budget_amplitude(noise, received.shape[-1]) if isinstance(noise, LinkBudget) else received
        )

    def _noise_rms(self, heard: ComplexArray) -> float:
        noise = self._section.uplink_noise
        if isinstance(noise, NoNoise):
            return 0.0
        sigma2_w = flat_sigma2_w(heard, noise, spacing_hz=self._uplink.grid.spacing_hz) or 0.0
        amplitude = link_budget_amplitude(noise, heard.shape[-1]) if isinstance(noise, LinkBudget) else 1.0
        return math.sqrt(sigma2_w) * amplitude * self._sent_rms
