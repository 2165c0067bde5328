"""Plays all peers of a `Run` in memory: commands are carried out at once, answers come on demand, time is a number."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec
import numpy as np

from bs_controller.calibration.correction import Correction
from bs_controller.commands import Advance, Command, Keep, Send
from bs_controller.config import ControllerSection
from bs_controller.jobs import step
from bs_controller.records import Record
from bs_controller.run import Run
from bs_controller.schemes import CbsOptions
from bs_controller.sweeps import (
    Fix,
    GroupFoci,
    Localization,
    PeakFeedback,
    Request,
    Scheme,
    Sweep,
    Trajectory,
)
from protocol import messages as msg
from protocol.testbed import FrontEndLimits, Setting, TestbedFacts, default_facts
from ue_agent.measure import report_from_samples

#: 64 subcarriers and 16 elements: rules look at shapes alone, so that the smallest testbed tells as much as the largest
FACTS = default_facts(subcarriers=64, elements=16, uplink_subcarriers=4)
IDEAL = FrontEndLimits(elements=16, groups=4096, phase_bits=0, delay_step_s=0.0, delay_span_s=1e-6, settle_s=0.0)
DIGEST = "0" * 64

RADIO = "radio"
GATHER_S, REJOIN_S, DEADLINE_S, RETRIES = 20.0, 5.0, 1.0, 2
SECTION = ControllerSection(
    ues=("ue-a",),
    schemes=(CbsOptions(),),  # a run is given its schemes; the section must name one all the same
    gather_s=GATHER_S,
    rejoin_s=REJOIN_S,
    request_deadline_s=DEADLINE_S,
    retries=RETRIES,
)


def sweep_to(range_m: float, kind: msg.FeedbackKind = msg.FeedbackKind.PEAK) -> Sweep:
    """A sweep that differs from others by the range at which it ends."""
    focus = Trajectory(start_range_m=5.0, start_angle_rad=0.5, end_range_m=range_m, end_angle_rad=-0.5)
    return Sweep(focus=focus, kind=kind)


def group_sweep(groups: int, groups_per_pilot: int) -> Sweep:
    focus = GroupFoci(range_m=(5.0,) * groups, angle_rad=(0.1,) * groups, groups_per_pilot=groups_per_pilot)
    return Sweep(focus=focus, kind=msg.FeedbackKind.GROUP)


COMMON = sweep_to(5.0)


@dataclass(frozen=True, kw_only=True)
class Asking:
    """A scheme that asks for these one after the other, whatever comes back, and charges the pilots."""

    requests: tuple[Request, ...] = (COMMON,)
    name: str = "asking"
    heavy: bool = False

    def prepare(self) -> None: ...

    def locate(self) -> Localization:
        pilots = 0
        for request in self.requests:
            answer = yield request
            pilots += answer.pilots
        return Fix(range_m=10.0, angle_rad=0.0, sweeps=pilots)


@dataclass(frozen=True, kw_only=True)
class CommonThenOwn:
    """A scheme whose second sweep depends on the peak of the first, the one common to all users; the fix tells which."""

    name: str = "common-then-own"
    heavy: bool = False

    def prepare(self) -> None: ...

    def locate(self) -> Localization:
        peak = yield COMMON
        assert isinstance(peak, PeakFeedback)
        yield sweep_to(10.0 + peak.subcarrier)
        return Fix(range_m=10.0 + peak.subcarrier, angle_rad=0.0, sweeps=2)


@dataclass(frozen=True, kw_only=True)
class Raising:
    """A scheme that fails once it is answered."""

    name: str = "raising"
    heavy: bool = False

    def prepare(self) -> None: ...

    def locate(self) -> Localization:
        yield COMMON
        raise ValueError("no such angle")


def hello_of(name: str, facts: TestbedFacts, limits: FrontEndLimits, kinds: tuple[msg.FeedbackKind, ...]) -> msg.Hello:
    capabilities: msg.RadioCapabilities | msg.UeCapabilities = (
        msg.RadioCapabilities(front_end=limits) if name == RADIO else msg.UeCapabilities(feedback_kinds=kinds)
    )
    return msg.Hello(name=name, versions=(1,), software="x", digest=DIGEST, facts=facts, capabilities=capabilities)


@dataclass
class Rehearsal:
    """A run whose peers are all played here; `peaks` is what each UE finds strongest."""

    schemes: Sequence[Scheme]
    ues: tuple[str, ...] = ("ue-a", "ue-b")
    section: ControllerSection = SECTION
    patient: bool = False
    correction: Correction | None = None
    facts: TestbedFacts = FACTS
    limits: FrontEndLimits = IDEAL
    kinds: tuple[msg.FeedbackKind, ...] = tuple(msg.FeedbackKind)
    peaks: dict[str, int] = field(default_factory=dict)
    now_s: float = 0.0
    records: list[Record] = field(default_factory=list)
    kept: list[Keep] = field(default_factory=list)
    sent: list[Send] = field(default_factory=list)
    advances: list[Advance] = field(default_factory=list)
    silent: set[str] = field(default_factory=set)
    unread: deque[Send] = field(default_factory=deque)
    hold_heavy: bool = False
    held: deque[Advance] = field(default_factory=deque)

    def __post_init__(self) -> None:
        section = msgspec.structs.replace(self.section, ues=self.ues)
        self.run = Run(self.facts, section, self.schemes, self.now_s, patient=self.patient, correction=self.correction)

    # --- what happens ------------------------------------------------------------------------------------------------

    def join(self, *names: str) -> None:
        for name in names:
            self.run.peer_opened(hello_of(name, self.facts, self.limits, self.kinds), self.now_s)
            self._carry_out()

    def leave(self, name: str) -> None:
        self.unread = deque(send for send in self.unread if send.name != name)
        self.run.peer_closed(name, "gone", self.now_s)
        self._carry_out()

    def hear(self, name: str, message: msg.Message) -> None:
        self.run.heard(name, message, self.now_s)
        self._carry_out()

    def wait(self, duration_s: float) -> None:
        """Let time pass, and let the run take note of it."""
        self.now_s += duration_s
        self.run.tick(self.now_s)
        self._carry_out()

    def miss_deadline(self) -> None:
        self.wait(1.01 * DEADLINE_S)

    def play(self) -> None:
        """Let all peers that are not silent answer, until nobody has anything to answer."""
        while self.unread:
            self.answer_next()

    def answer_next(self) -> None:
        """Let the peer that was written to first answer, unless it is silent."""
        send = self.unread.popleft()
        answer = None if send.name in self.silent else self._answer(send.name, send.message)
        if answer is not None:
            self.hear(send.name, answer)

    def begin(self) -> None:
        """Let everyone come, and nobody answer yet."""
        self.join(*self.ues, RADIO)

    # --- what came of it ---------------------------------------------------------------------------------------------

    @property
    def configures(self) -> list[msg.Configure]:
        return [send.message for send in self.sent if isinstance(send.message, msg.Configure)]

    @property
    def captures(self) -> list[msg.Capture]:
        return [send.message for send in self.sent if isinstance(send.message, msg.Capture)]

    @property
    def refusals(self) -> list[tuple[str, str]]:
        """Who was refused, by which clause."""
        return [(send.name, send.message.clause) for send in self.sent if isinstance(send.message, msg.Refusal)]

    def measures(self, ue: str) -> list[msg.Measure]:
        return [send.message for send in self.sent if send.name == ue and isinstance(send.message, msg.Measure)]

    def recorded(self, kind: str) -> list[Record]:
        return [record for record in self.records if record["kind"] == kind]

    @property
    def fixed(self) -> list[object]:
        """Whose fixes there are, in their order."""
        return [record["ue"] for record in self.recorded("fix")]

    @property
    def failed(self) -> list[tuple[object, object]]:
        """Who failed and why, in their order."""
        return [(record["ue"], record["reason"]) for record in self.recorded("failure")]

    # --- the peers ---------------------------------------------------------------------------------------------------

    def report(self, ue: str, measure: msg.Measure) -> msg.Message:
        """What a UE of this testbed reports."""
        grid = np.zeros(self.facts.downlink.grid.count)
        match measure.kind:
            case msg.FeedbackKind.PEAK:
                return msg.PeakReport(epoch=measure.epoch, subcarrier=self.peaks.get(ue, 0))
            case msg.FeedbackKind.GROUP:
                return msg.GroupReport(epoch=measure.epoch, group=0)
            case msg.FeedbackKind.POWER:
                return msg.PowerReport(epoch=measure.epoch, power_w=grid)
            case msg.FeedbackKind.COMPLEX:
                return msg.ComplexReport(epoch=measure.epoch, samples=grid.astype(np.complex64))

    def ready(self, configure: msg.Configure) -> msg.Ready:
        setting = Setting(
            phase_cycles=np.asarray(configure.phase_cycles, dtype=np.float64),
            delay_s=np.asarray(configure.delay_s, dtype=np.float64),
            groups_per_pilot=configure.groups_per_pilot,
        )
        pilots = setting.pilots(self.limits)
        return msg.Ready(epoch=configure.epoch, pilots=pilots, phase_deviation_cycles=0.0, delay_deviation_s=0.0)

    def snapshot(self, epoch: int) -> msg.Snapshot:
        uplink = self.facts.uplink
        return msg.Snapshot(epoch=epoch, samples=np.zeros((uplink.array.elements, uplink.grid.count), np.complex64))

    def _answer(self, name: str, message: msg.Message) -> msg.Message | None:
        match message:
            case msg.Configure():
                return self.ready(message)
            case msg.Capture():
                return self.snapshot(message.epoch)
            case msg.Measure():
                return self.report(name, message)
            case _:
                return None

    def _carry_out(self) -> None:
        while commands := self.run.take() or self._settled():
            for command in commands:
                self._obey(command)

    def _settled(self) -> list[Command]:
        self.run.settle(self.now_s)
        return self.run.take()

    def _obey(self, command: Command) -> None:
        match command:
            case Send():
                self.sent.append(command)
                self.unread.append(command)
            case Keep():
                self.kept.append(command)
                self.records.append(command.record)
            case Advance() if command.heavy and self.hold_heavy:
                self.held.append(command)
            case Advance():
                self._step(command)

    def finish_heavy(self) -> None:
        """Let the step that is longest at work come to its end."""
        self._step(self.held.popleft())
        self._carry_out()

    def _step(self, command: Advance) -> None:
        self.advances.append(command)
        result = step(command.localization, command.answer)
        self.run.stepped(command.ue, command.localization, result, self.now_s)


@dataclass
class Noisy(Rehearsal):
    """A rehearsal whose UEs report noise, so that no two reports are alike."""

    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(1))

    def report(self, ue: str, measure: msg.Measure) -> msg.Message:
        count = self.facts.downlink.grid.count
        samples = self.rng.standard_normal(count) + 1j * self.rng.standard_normal(count)
        return report_from_samples(measure.kind, measure.epoch, samples, measure.groups)

    def snapshot(self, epoch: int) -> msg.Snapshot:
        shape = super().snapshot(epoch).samples.shape
        samples = self.rng.standard_normal(shape) + 1j * self.rng.standard_normal(shape)
        return msg.Snapshot(epoch=epoch, samples=samples.astype(np.complex64))
