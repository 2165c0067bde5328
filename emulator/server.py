"""Rules of the radio role, played by the emulator: settings, pilots, snapshots, and the truth behind them.

Messages and `now_s` in, messages and truth out; no socket, no clock. A request repeated in the same epoch gets the same
answer, noise included: the noise of a UE's k-th pilot depends on the seed, its name and k alone, so that a run can be
repeated whatever the order in which the UEs were served. A sweep passes, in this order: the front end's resolution, its
errors, the channel, the UE's clock, noise. `Ready` tells of the first alone.
"""

import zlib
from collections import Counter, OrderedDict
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from emulator.config import EmulatorSection
from emulator.downlink import DownlinkEmulator
from emulator.hardware import Clock, ElementErrors, FrontEndErrors, PilotLayout
from emulator.impairments import noisy, quantised
from emulator.scene import Position, Scene, SceneClock, User
from emulator.uplink import UplinkEmulator
from protocol.messages import Capture, Configure, Declined, Grid, Listen, Message, Ready, Silence, Snapshot
from protocol.testbed import FrontEndLimits, Setting, TestbedFacts, group_slices

Floats = npt.NDArray[np.float64]
ComplexArray = npt.NDArray[np.complex128]
REMEMBERED_ANSWERS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class PathTruth:
    """A path beside the line of sight: its scatterer, and its gain on one element before the weight ``(element,)``."""

    kind: str
    scatterer: Position
    gain: complex
    weight: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """Where a user really was and how it moved when its pilot of this epoch was sent, and its paths beside the line of sight.

    ``scene_s`` is when that was; ``velocity_m_s`` is along broadside and along the array. It never leaves the emulator's host.
    """

    epoch: int
    ue: str
    link: str
    scene_s: float
    position: Position
    velocity_m_s: tuple[float, float]
    paths: tuple[PathTruth, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _OnAir:
    epoch: int
    setting: Setting  # as the elements really send it
    layout: PilotLayout
    scene_s: float  # when its pilots were sent


class RadioServer:
    """The state of the emulated radio: what is on the air, and the answers it may be asked for again."""

    def __init__(
        self, facts: TestbedFacts, section: EmulatorSection, scene: Scene, clock: SceneClock | None = None
    ) -> None:
        self.limits: FrontEndLimits = section.front_end.limits(facts.downlink.array.elements)
        self.counters: Counter[str] = Counter()
        self.truth: list[Truth] = []  # drained by the shell
        self._facts = facts
        self._section = section
        self._scene, self._clock = scene, clock or SceneClock()
        self._front_end_errors = FrontEndErrors.drawn(
            section.front_end.errors, facts.downlink.array.elements, self._rng_of_run("front end")
        )
        self._uplink_errors = ElementErrors.drawn(
            section.uplink_errors, facts.uplink.array.elements, self._rng_of_run("uplink array")
        )
        amplitude = self._front_end_errors.element.amplitude
        self._downlink = DownlinkEmulator(facts.downlink, facts.speed_of_light_m_s, amplitude)
        self._uplink = UplinkEmulator(facts.uplink, facts.speed_of_light_m_s)
        self._pilots_sent: Counter[tuple[str, str]] = Counter()
        self._on_air: _OnAir | None = None
        self._newest_epoch = 0
        self._answers: OrderedDict[int, Message] = OrderedDict()
        self._grids: OrderedDict[tuple[str, int], Grid] = OrderedDict()

    def reset(self) -> None:
        """Forget epochs and answers: a new session may count its epochs anew."""
        self._on_air = None
        self._newest_epoch = 0
        self._answers.clear()
        self._grids.clear()

    # --- control link ------------------------------------------------------------------------------------------------

    def hear(self, message: Message, now_s: float) -> Message | None:
        """Return the answer to a request of the controller, the same for the same epoch."""
        if not isinstance(message, Configure | Capture):
            return None
        known = self._answers.get(message.epoch)
        if known is not None:
            self.counters["repeated"] += 1
            return known
        if message.epoch <= self._newest_epoch:
            self.counters["stale_requests"] += 1
            text = f"epoch {message.epoch} after epoch {self._newest_epoch}"
            return Declined(epoch=message.epoch, clause="5.3", text=text)
        self._newest_epoch = message.epoch
        scene_s = self._clock.since_s(now_s)
        answer = (
            self._configure(message, scene_s + self.limits.settle_s)
            if isinstance(message, Configure)
            else self._capture(message, scene_s)
        )
        self._answers[message.epoch] = answer
        if len(self._answers) > REMEMBERED_ANSWERS:
            self._answers.popitem(last=False)
        return answer

    def _configure(self, message: Configure, settled_s: float) -> Message:
        try:
            asked = Setting(
                phase_cycles=np.asarray(message.phase_cycles, dtype=np.float64),
                delay_s=np.asarray(message.delay_s, dtype=np.float64),
                groups_per_pilot=message.groups_per_pilot,
            )
            self._check(asked)
        except ValueError as error:
            return Declined(epoch=message.epoch, clause="6.3", text=str(error))
        applied, phase_deviation_cycles, delay_deviation_s = quantised(asked, self.limits)
        self._on_air = _OnAir(
            epoch=message.epoch,
            setting=self._front_end_errors.sent(applied),
            layout=PilotLayout.of(applied, self.limits, self._facts.downlink.grid),
            scene_s=settled_s,
        )
        self._grids.clear()
        return Ready(
            epoch=message.epoch,
            pilots=asked.pilots(self.limits),
            phase_deviation_cycles=phase_deviation_cycles,
            delay_deviation_s=delay_deviation_s,
        )

    def _check(self, setting: Setting) -> None:
        limits, slack_s = self.limits, 1e-15
        if setting.phase_cycles.shape[1] != limits.elements:
            raise ValueError(f"the front end has {limits.elements} elements, got {setting.phase_cycles.shape[1]}")
        group_slices(self._facts.downlink.grid.count, setting.groups)
        low_s, high_s = float(setting.delay_s.min()), float(setting.delay_s.max())
        if low_s < -slack_s or high_s > limits.delay_span_s + slack_s:
            span_ns = 1e9 * limits.delay_span_s
            raise ValueError(f"delays must lie in 0 .. {span_ns:g} ns, got {1e9 * low_s:g} .. {1e9 * high_s:g} ns")

    def _capture(self, message: Capture, scene_s: float) -> Message:
        position = self._where(message.ue, scene_s)
        if isinstance(position, str):
            return Declined(epoch=message.epoch, clause="6.4", text=position)
        received = self._uplink_errors.received(self._uplink.received(position, self._scene.scatterers))
        rng = self._rng(message.ue, "uplink")
        spacing_hz = self._facts.uplink.grid.spacing_hz
        samples = noisy(received, self._section.uplink_noise, rng, spacing_hz=spacing_hz)
        self.truth.append(truth_of_pilot(self._scene, message.epoch, message.ue, "uplink", scene_s))
        return Snapshot(epoch=message.epoch, samples=samples.astype(np.complex64))

    # --- air link ----------------------------------------------------------------------------------------------------

    def listen(self, message: Listen, enrolled: str | None = None) -> Message:
        """Return what the UE's antenna received of the setting that is on the air, whichever epoch it hoped for.

        Its pilots are sent once, when the setting has settled, so that all users hear them at one time, whenever they ask.
        On an air link with keys, who asks is `enrolled` for one UE and hears nothing of the others'.
        """
        if enrolled not in {None, message.ue}:
            return Silence(epoch=message.epoch, text=f"this key is enrolled for {enrolled}, not for {message.ue}")
        if self._on_air is None:
            return Silence(epoch=message.epoch, text="nothing is on the air")
        key = (message.ue, self._on_air.epoch)
        if key in self._grids:
            return self._grids[key]
        scene_s = self._on_air.scene_s
        position = self._where(message.ue, scene_s)
        if isinstance(position, str):
            return Silence(epoch=message.epoch, text=position)
        samples = self._heard(self._on_air, message.ue, position, scene_s)
        self.truth.append(truth_of_pilot(self._scene, self._on_air.epoch, message.ue, "downlink", scene_s))
        grid = self._grids[key] = Grid(epoch=self._on_air.epoch, samples=samples)
        return grid

    def _heard(self, on_air: _OnAir, ue: str, position: Position, scene_s: float) -> ComplexArray:
        """Return a sweep after the channel, the UE's clock and noise, ``(subcarrier,)``."""
        user, spacing_hz = self._scene.user(ue), self._facts.downlink.grid.spacing_hz
        received = self._downlink.received(on_air.setting, position, user.visible, user.paths)
        clock = Clock(
            timing_offset_s=user.timing_offset_s,
            carrier_offset_hz=user.carrier_offset_hz,
            unsteady=self._section.clocks,
        )
        if not clock.is_perfect:
            rng = self._rng(ue, "clock")
            received = clock.received(received, on_air.layout, rng, start_s=scene_s, spacing_hz=spacing_hz)
        return noisy(received, self._section.downlink_noise, self._rng(ue, "downlink"), spacing_hz=spacing_hz)

    def _where(self, ue: str, scene_s: float) -> Position | str:
        try:
            return self._scene.position(ue, scene_s)
        except KeyError:
            return f"the scene has no user {ue}"
        except ValueError as error:
            return str(error)

    def _rng(self, ue: str, link: str) -> np.random.Generator:
        self._pilots_sent[ue, link] += 1
        return np.random.default_rng(
            [self._section.seed, zlib.crc32(ue.encode()), zlib.crc32(link.encode()), self._pilots_sent[ue, link]]
        )

    def _rng_of_run(self, part: str) -> np.random.Generator:
        return np.random.default_rng([self._section.seed, zlib.crc32(part.encode())])


def truth_of_pilot(scene: Scene, epoch: int, ue: str, link: Literal["downlink", "uplink"], scene_s: float) -> Truth:
    """Return where a user of the scene is when its pilot is sent; soundings have paths of their own."""
    user, position = scene.user(ue), scene.position(ue, scene_s)
    return Truth(
        epoch=epoch,
        ue=ue,
        link=link,
        scene_s=scene_s,
        position=position,
        velocity_m_s=scene.velocity_m_s(ue, scene_s),
        paths=_path_truth(user, position) if link == "downlink" else (),
    )


def _path_truth(user: User, position: Position) -> tuple[PathTruth, ...]:
    """Return the paths beside the line of sight of a user who stands there."""
    return tuple(
        PathTruth(
            kind=path.kind,
            scatterer=path.scatterer,
            gain=path.gain(position, user.visible),
            weight=path.weight,
        )
        for path in user.paths
    )
