"""Rules of the radio role over real radios (SPEC 5, 6): what is to be put on the air, and what is answered.

Messages in, answers and commands out; no device, no clock. A setting is answered when it is on the air and the front end has
settled, a sounding when it was heard, once for each time that it was asked for; front end and array are asked once. Without an
uplink receiver every `capture` is declined.
"""

from collections import Counter, OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from protocol.messages import Capture, Configure, Declined, Message, Ready, Snapshot
from protocol.testbed import FrontEndLimits, Setting, TestbedFacts, group_slices
from sdr_backend.front_end import PilotSetting, deviations, pilots_from_setting

ComplexArray = npt.NDArray[np.complex128]
REMEMBERED_ANSWERS = 16
SLACK_S = 1e-15  # of delays at the ends of the span (SPEC 6.3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Apply:
    """Command: put these pilots on the air, again and again, and tell what the front end made of them."""

    epoch: int
    pilots: tuple[PilotSetting, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hear:
    """Command: hear the next sounding of this UE."""

    epoch: int
    ue: str


Command = Apply | Hear


class RadioServer:
    """What the controller has asked for in this session, and the answers it may be asked for again.

    `sounding` are the UEs that the uplink receiver can hear; it is empty where there is none.
    """

    def __init__(self, facts: TestbedFacts, limits: FrontEndLimits, sounding: tuple[str, ...] = ()) -> None:
        self.counters: Counter[str] = Counter()
        self._facts, self._limits, self._sounding = facts, limits, sounding
        self._newest_epoch = 0
        self._pending: dict[int, Command] = {}
        self._asked: Counter[int] = Counter()  # how often, by epoch, what is pending
        self._answers: OrderedDict[int, Message] = OrderedDict()

    def reset(self) -> None:
        """Forget epochs and answers: a new session may count its epochs anew."""
        self._newest_epoch = 0
        self._pending.clear()
        self._asked.clear()
        self._answers.clear()

    def hear(self, message: Message) -> Message | Command | None:
        """Return the answer to a request of the controller, or what is to be done before there is one."""
        if not isinstance(message, Configure | Capture):
            return None
        if message.epoch in self._answers or message.epoch in self._pending:
            self.counters["repeated"] += 1
            self._asked[message.epoch] += message.epoch in self._pending
            return self._answers.get(message.epoch)
        if message.epoch <= self._newest_epoch:
            self.counters["stale_requests"] += 1
            text = f"epoch {message.epoch} after epoch {self._newest_epoch}"
            return Declined(epoch=message.epoch, clause="5.3", text=text)
        self._newest_epoch = message.epoch
        return self._configure(message) if isinstance(message, Configure) else self._capture(message)

    def _capture(self, message: Capture) -> Message | Command:
        if message.ue in self._sounding:
            return self._begun(Hear(epoch=message.epoch, ue=message.ue))
        if self._sounding:
            text = f"expected a UE that sounds ({', '.join(self._sounding)}), got {message.ue}"
        else:
            text = (
                f"expected a request that needs no uplink receiver, got a capture of {message.ue}: this radio has none"
            )
        return self._remembered(Declined(epoch=message.epoch, clause="6.4", text=text))

    def _begun(self, command: Command) -> Command:
        self._pending[command.epoch], self._asked[command.epoch] = command, 1
        return command

    def _configure(self, message: Configure) -> Message | Command:
        try:
            asked = Setting(
                phase_cycles=np.asarray(message.phase_cycles, dtype=np.float64),
                delay_s=np.asarray(message.delay_s, dtype=np.float64),
                groups_per_pilot=message.groups_per_pilot,
            )
            self._check(asked)
        except ValueError as error:
            return self._remembered(Declined(epoch=message.epoch, clause="6.3", text=str(error)))
        pilots = pilots_from_setting(asked, self._limits, message.epoch)
        return self._begun(Apply(epoch=message.epoch, pilots=tuple(pilots)))

    def _check(self, setting: Setting) -> None:
        limits = self._limits
        if setting.phase_cycles.shape[1] != limits.elements:
            raise ValueError(f"the front end has {limits.elements} elements, got {setting.phase_cycles.shape[1]}")
        group_slices(self._facts.downlink.grid.count, setting.groups)
        low_s, high_s = float(setting.delay_s.min()), float(setting.delay_s.max())
        if low_s < -SLACK_S or high_s > limits.delay_span_s + SLACK_S:
            span_ns = 1e9 * limits.delay_span_s
            raise ValueError(f"delays must lie in 0 .. {span_ns:g} ns, got {1e9 * low_s:g} .. {1e9 * high_s:g} ns")

    def applied(self, command: Apply, loaded: Sequence[PilotSetting]) -> list[Message]:
        """Take what the front end made of a setting that is on the air, and return the answers that are due.

        There are none if a new session has begun meanwhile.
        """
        phase_deviation_cycles, delay_deviation_s = deviations(command.pilots, loaded)
        answer = Ready(
            epoch=command.epoch,
            pilots=len(command.pilots),
            phase_deviation_cycles=phase_deviation_cycles,
            delay_deviation_s=delay_deviation_s,
        )
        return self._ended(command, answer)

    def heard(self, command: Hear, samples: ComplexArray | str) -> list[Message]:
        """Take a UE's snapshot ``(element, subcarrier)``, or why there is none, and return the answers that are due.

        There are none if a new session has begun meanwhile.
        """
        if isinstance(samples, str):
            return self._ended(command, Declined(epoch=command.epoch, clause="6.4", text=samples))
        return self._ended(command, Snapshot(epoch=command.epoch, samples=samples.astype(np.complex64)))

    def _ended(self, command: Command, answer: Ready | Snapshot | Declined) -> list[Message]:
        if self._pending.get(command.epoch) is not command:  # a new session may use the same epoch
            return []
        del self._pending[command.epoch]
        return [self._remembered(answer)] * self._asked.pop(command.epoch)

    def _remembered(self, answer: Ready | Snapshot | Declined) -> Message:
        self._answers[answer.epoch] = answer
        if len(self._answers) > REMEMBERED_ANSWERS:
            self._answers.popitem(last=False)
        return answer
