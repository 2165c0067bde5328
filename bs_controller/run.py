"""Rules of a run: which request goes on the air next, merging of equal sweeps, epochs, deadlines, retries.

Messages, events and `now_s` come in, commands go out; no socket, no clock, no file. One setting is on the air at a time.
Whatever happens to one UE, the others go on; whatever happens to the radio, nobody's work is lost before its time is up.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from bs_controller import records
from bs_controller.agendas import agenda_of
from bs_controller.answers import Report, Samples, groups_of, samples_of, snapshot_from_message
from bs_controller.calibration.correction import Correction
from bs_controller.commands import Advance, Command, Keep, Send
from bs_controller.config import ControllerSection
from bs_controller.jobs import STATES, Broken, Found, Job, Measured, Reason, Stage, StepResult, Wanted
from bs_controller.records import Record
from bs_controller.sweeps import Answer, Measurement, Scheme, Sounding, Sweep
from bs_controller.transmission import Transmission, message_for
from protocol import messages as msg
from protocol.errors import PeerFaultError
from protocol.messages import Message, Role
from protocol.testbed import FrontEndLimits, TestbedFacts

#: How many localizations end at one moment because somebody is away: more would hold up the others, and the disk.
FAILED_AT_ONCE = 64


class Run:
    """The state of a run; feed it events, then carry out the commands that `take` returns."""

    def __init__(
        self,
        facts: TestbedFacts,
        section: ControllerSection,
        schemes: Sequence[Scheme],
        now_s: float,
        *,
        patient: bool,
        correction: Correction | None = None,
    ) -> None:
        self.counters: Counter[str] = Counter()
        self._agenda = agenda_of(facts, section, schemes, self.counters, now_s)
        self.finished = False
        self._facts, self._section, self._correction = facts, section, correction
        self._began_s = now_s
        self._patient = patient  # wait for ever for peers that never came
        self._kinds: dict[str, tuple[msg.FeedbackKind, ...]] = {}
        self._jobs = {ue: self._agenda.job(ue) for ue in section.ues}
        self._commands: list[Command] = []
        self._air: Transmission | None = None
        self._radio: str | None = None
        self._limits: FrontEndLimits | None = None
        self._radio_came = False
        self._radio_absent_since_s = now_s
        self._gather_until_s = None if self._agenda.waits else now_s + section.gather_s
        self._epoch = 0
        for job in self._jobs.values():
            job.absent_since_s = now_s

    def take(self) -> list[Command]:
        """Return the commands since the last call, oldest first."""
        commands, self._commands = self._commands, []
        return commands

    @property
    def progress(self) -> int:
        """Return a count that grows with the work done, for heartbeats."""
        return self._epoch

    @property
    def unfinished(self) -> list[str]:
        """Return the UEs that still have work to do."""
        return [job.ue for job in self._jobs.values() if not job.done]

    def users(self) -> dict[str, int]:
        """Return how many UEs' work is in each state."""
        found = Counter(job.state for job in self._jobs.values())
        return {state: found[state] for state in STATES}

    # --- peers -------------------------------------------------------------------------------------------------------

    def peer_opened(self, hello: msg.Hello, now_s: float) -> None:
        """Take note that a peer has an open session."""
        self._keep(records.opened_record(hello), now_s)
        if isinstance(hello.capabilities, msg.RadioCapabilities):
            self._radio, self._limits, self._radio_came = hello.name, hello.capabilities.front_end, True
        elif hello.name in self._jobs:
            job = self._jobs[hello.name]
            job.present, job.absent_since_s = True, None
            self._kinds[hello.name] = hello.capabilities.feedback_kinds
            if job.at < 0 or job.stage is Stage.RESTING:
                self._begin(job, now_s)
            elif job.stage is Stage.PENDING:
                self._require_kind(job, now_s)  # it may have come back as another

    def peer_closed(self, name: str, reason: str, now_s: float) -> None:
        """Take note that a peer's session ended; its requests wait for its return."""
        self._keep(records.peer_record(name, "closed", reason), now_s)
        self.counters["peers_lost"] += 1
        if name == self._radio:
            self._radio, self._radio_absent_since_s = None, now_s
            self._withdraw()
        elif name in self._jobs:
            job = self._jobs[name]
            job.present, job.absent_since_s = False, now_s
            if job.stage is Stage.ON_AIR:
                self._requeue(job)

    def peer_fault(self, name: str, clause: str, text: str, now_s: float) -> None:
        """Take note that something a peer sent was refused."""
        self._keep(records.peer_record(name, "refused", f"{text} (SPEC {clause})"), now_s)

    def _begin(self, job: Job, now_s: float) -> None:
        if self._agenda.begin(job, now_s):
            self._advance(job, None)

    def _advance(self, job: Job, answer: Answer | None) -> None:
        if job.localization is not None:
            heavy = job.heavy and answer is not None
            self._commands.append(Advance(ue=job.ue, localization=job.localization, answer=answer, heavy=heavy))

    def stepped(self, ue: str, localization: Measurement, result: StepResult, now_s: float) -> None:
        """Take the result of a scheme's step; that of a localization given up meanwhile is ignored."""
        job = self._jobs[ue]
        if job.localization is not localization or job.abandoned is not None:
            return
        match result:
            case Wanted():
                job.want(result.request, now_s)
                self._require_kind(job, now_s)
            case Found():
                self._keep(records.fix_record(job, result.fix, now_s), now_s)
                for record in self._agenda.found(job, result.fix, now_s):
                    self._keep(record, now_s)
                self._begin(job, now_s)
            case Measured():
                self._keep(records.measured_record(job), now_s)
                self._begin(job, now_s)
            case Broken():
                self._fail(job, Reason.SCHEME_FAILED, result.text, now_s)

    def _require_kind(self, job: Job, now_s: float) -> None:
        """Give a request up that asks for what the UE does not report."""
        request, kinds = job.request, self._kinds[job.ue]
        if isinstance(request, Sweep) and request.kind not in kinds:
            text = f"{job.ue} reports in {', '.join(kinds) or 'no kind'}, not {request.kind}"
            self._fail(job, Reason.KIND_UNKNOWN, text, now_s)

    def _fail(self, job: Job, reason: Reason, text: str, now_s: float) -> None:
        self.counters["failures"] += 1
        self._keep(records.failure_record(job, reason, text), now_s)
        self._agenda.failed(job, now_s)
        self._begin(job, now_s)

    # --- the air -----------------------------------------------------------------------------------------------------

    def settle(self, now_s: float) -> None:
        """Choose what goes on the air; to be called when `take` has nothing left, so that all who want it share it."""
        if not self.unfinished:
            self.finished = True
        if self._air is not None or self._radio is None or self._gathering(now_s):
            return
        ready = [job for job in self._jobs.values() if job.stage is Stage.PENDING and job.present]
        if not ready:
            return
        first = min(ready, key=lambda job: job.turn)
        if isinstance(first.request, Sweep) and self._computing_behind(first):
            return  # whose next request may be for the same sweep
        self._transmit(first, [job for job in ready if _same(job.request, first.request) or job is first], now_s)

    def _computing_behind(self, first: Job) -> bool:
        """Return whether the scheme of a UE that is further behind is at work."""
        behind = (job for job in self._jobs.values() if (job.rank, job.step) < (first.rank, first.step))
        return any(job.present and job.stage is Stage.COMPUTING for job in behind)

    def _gathering(self, now_s: float) -> bool:
        if self._gather_until_s is None:
            return False
        everyone = all(job.present for job in self._jobs.values())
        computing = any(job.stage is Stage.COMPUTING for job in self._jobs.values())
        if (everyone and not computing) or now_s >= self._gather_until_s:
            self._gather_until_s = None
            for job in self._jobs.values():
                job.pending_since_s = job.started_s = now_s  # waiting for the others is no latency
        return self._gather_until_s is not None

    def _transmit(self, first: Job, jobs: list[Job], now_s: float) -> None:
        request = first.request
        assert request is not None and self._limits is not None  # noqa: S101, PT018 - PENDING and a radio imply both
        self._epoch += 1
        try:
            message = message_for(
                self._epoch, first.ue, request, self._facts, self._limits, correction=self._correction
            )
        except ValueError as error:  # no setting makes this sweep, or the front end cannot apply it
            for job in jobs:
                self._fail(job, Reason.DOES_NOT_FIT, str(error), now_s)
            return
        waiting = {job.ue: job.request for job in jobs if job.request is not None}
        for job in jobs:
            job.stage = Stage.ON_AIR
        self._air = Transmission(self._epoch, request, message, waiting, now_s, now_s, correction=self._correction)
        self._send_to_radio(message)

    def _send_to_radio(self, message: Message) -> None:
        if self._radio is not None:
            self._commands.append(Send(name=self._radio, message=message))

    def _requeue(self, job: Job) -> None:
        """Put a request that is on the air back among those that wait for it."""
        job.stage = Stage.PENDING
        if self._air is not None:
            self._air.waiting.pop(job.ue, None)
            self._end_if_answered()

    def _withdraw(self) -> None:
        """Take the transmission back, with all that wait for it."""
        if self._air is not None:
            for ue in list(self._air.waiting):
                self._jobs[ue].stage = Stage.PENDING
            self._air = None

    def _end_if_answered(self) -> None:
        if self._air is not None and not self._air.waiting:
            self._air = None

    # --- what peers say ----------------------------------------------------------------------------------------------

    def heard(self, name: str, message: Message, now_s: float) -> None:
        """Take a message of a peer; one of another epoch or kind than asked for changes nothing but a counter."""
        try:
            match message:
                case msg.Ready():
                    self._heard_ready(message, now_s)
                case msg.Snapshot():
                    self._heard_snapshot(message, now_s)
                case msg.Declined():
                    self._heard_declined(name, message, now_s)
                case msg.PeakReport() | msg.GroupReport() | msg.PowerReport() | msg.ComplexReport():
                    self._heard_report(name, message, now_s)
        except PeerFaultError as fault:
            stale = fault.clause == "5.3"
            self.counters["refused_stale" if stale else "refused_reports"] += 1
            self.peer_fault(name, fault.clause, fault.text, now_s)
            self._commands.append(Send(name=name, message=msg.Refusal(clause=fault.clause, text=fault.text[:1024])))

    def _current(self, epoch: int) -> Transmission:
        if self._air is None or self._air.epoch != epoch:
            now = "nothing is on the air" if self._air is None else f"epoch {self._air.epoch} is on the air"
            raise PeerFaultError("5.3", f"an answer of epoch {epoch} is stale: {now}")
        return self._air

    def _heard_ready(self, ready: msg.Ready, now_s: float) -> None:
        air = self._current(ready.epoch)
        if isinstance(air.request, Sounding):
            raise PeerFaultError("5.3", f"no setting of epoch {ready.epoch} is awaited")
        if air.ready is not None:
            return  # said again because our request was
        air.ready = ready
        configure_ms = 1e3 * (now_s - air.asked_s)
        self._keep(records.sweep_record(air.epoch, air.request, list(air.waiting), ready, configure_ms), now_s)
        air.sent_s = now_s
        for ue, request in air.waiting.items():
            if isinstance(request, Sweep):
                groups = groups_of(request)
                measure = msg.Measure(epoch=air.epoch, kind=request.kind, groups=groups)
                self._commands.append(Send(name=ue, message=measure))

    def _heard_report(self, ue: str, report: Report, now_s: float) -> None:
        air = self._current(report.epoch)
        request = air.waiting.get(ue)
        if air.ready is None or not isinstance(request, Sweep):
            raise PeerFaultError("5.3", f"no report of epoch {report.epoch} is awaited from {ue}")
        feedback = air.feedback(ue, report, request, self._facts)
        self._answered(ue, feedback, samples_of(report), now_s)

    def _heard_snapshot(self, message: msg.Snapshot, now_s: float) -> None:
        air = self._current(message.epoch)
        if not isinstance(air.request, Sounding):
            raise PeerFaultError("5.3", f"no snapshot of epoch {message.epoch} is awaited")
        snapshot = snapshot_from_message(message, self._facts)
        (ue,) = air.waiting
        self._answered(ue, snapshot, {"snapshot": message.samples.astype(np.complex64, copy=False)}, now_s)

    def _answered(self, ue: str, answer: Answer, samples: Mapping[str, Samples], now_s: float) -> None:
        job, air = self._jobs[ue], self._air
        assert air is not None  # noqa: S101 - an answer was found to be of what is on the air
        del air.waiting[ue]
        job.answered(air.epoch, (air.asked_s, air.sent_s), now_s)
        record = records.answer_record(job, air.epoch, answer, 1e3 * (now_s - air.sent_s))
        self._keep(record, now_s, samples)
        self._advance(job, answer)
        self._end_if_answered()

    def _heard_declined(self, name: str, declined: msg.Declined, now_s: float) -> None:
        air = self._current(declined.epoch)
        awaited = name == self._radio if air.ready is None else name in air.waiting  # a sounding is never ready
        if not awaited:
            raise PeerFaultError("5.3", f"no answer of epoch {declined.epoch} is awaited from {name}")
        text = f"{name} declined: {declined.text} (SPEC {declined.clause})"
        self.counters["declined"] += 1
        if name == self._radio:
            self._give_up(list(air.waiting), Reason.DECLINED, text, now_s)
        else:
            self._missed(name, Reason.DECLINED, text, now_s)

    # --- time --------------------------------------------------------------------------------------------------------

    def tick(self, now_s: float) -> None:
        """Take note of the time: deadlines, and peers that do not come back."""
        if self._air is not None and now_s - self._air.sent_s > self._agenda.answers_within_s:
            self._deadline(self._air, now_s)
        for job in self._jobs.values():
            if job.stage is Stage.RESTING:
                self._begin(job, now_s)
        if self._agenda.waits:
            self._rest_absent(now_s)
        else:
            self._expire_absent(now_s)

    def _deadline(self, air: Transmission, now_s: float) -> None:
        if air.ready is None:
            self.counters["missed_deadlines"] += 1
            text = f"the radio did not answer within {self._agenda.answers_within_s:g} s"
            if air.attempts >= self._agenda.retries:
                self._give_up(list(air.waiting), Reason.DEADLINE_MISSED, text, now_s)
                return
            air.attempts += 1
            air.sent_s = now_s
            self._send_to_radio(air.message)
            return
        for ue in list(air.waiting):
            self.counters["missed_deadlines"] += 1
            text = f"{ue} did not report within {self._agenda.answers_within_s:g} s"
            self._missed(ue, Reason.DEADLINE_MISSED, text, now_s)

    def _missed(self, ue: str, reason: Reason, text: str, now_s: float) -> None:
        """Try a UE's request again behind those of the others, or end its scheme."""
        job = self._jobs[ue]
        job.attempts += 1
        if job.attempts > self._agenda.retries:
            self._give_up([ue], reason, f"{text}, tried {job.attempts} times", now_s)
        else:
            self.counters["retries"] += 1
            self._requeue(job)

    def _give_up(self, ues: list[str], reason: Reason, text: str, now_s: float) -> None:
        for ue in ues:
            if self._air is not None:
                self._air.waiting.pop(ue, None)
            self._fail(self._jobs[ue], reason, text, now_s)
        self._end_if_answered()

    def _rest_absent(self, now_s: float) -> None:
        """Give up the localizations of UEs that do not come back, and nothing more of their work."""
        for job in self._jobs.values():
            since_s = job.absent_since_s
            if job.stage is Stage.PENDING and since_s is not None and now_s - since_s > self._section.rejoin_s:
                text = f"{job.ue} is absent for {self._section.rejoin_s:g} s"
                self._fail(job, Reason.UE_ABSENT, text, now_s)

    def _expire_absent(self, now_s: float) -> None:
        rejoin_s = self._section.rejoin_s
        if self._radio is None and self._expired(self._radio_absent_since_s, self._radio_came, now_s):
            for job in self._jobs.values():
                job.abandon(Reason.RADIO_ABSENT, f"the radio is absent for {rejoin_s:g} s", now_s)
        for job in self._jobs.values():
            if job.absent_since_s is not None and self._expired(job.absent_since_s, job.at >= 0, now_s):
                job.abandon(Reason.UE_ABSENT, f"{job.ue} is absent for {rejoin_s:g} s", now_s)
        self._fail_abandoned(now_s)

    def _expired(self, since_s: float, came: bool, now_s: float) -> bool:
        if not came:
            return not self._patient and now_s - since_s > self._section.gather_s + self._section.rejoin_s
        return now_s - since_s > self._section.rejoin_s

    def _fail_abandoned(self, now_s: float) -> None:
        left = FAILED_AT_ONCE
        for job in self._jobs.values():
            while job.abandoned is not None and not job.done and left:
                left -= 1
                self.counters["failures"] += 1
                self._keep(records.failure_record(job, *job.abandoned), now_s)
                job.skip(now_s)

    def _keep(self, record: Record, now_s: float, samples: Mapping[str, Samples] | None = None) -> None:
        record["time_s"] = round(now_s - self._began_s, 6)
        self._commands.append(Keep.of(record, samples or {}, recorded=self._section.record_samples))


def _same(left: Sweep | Sounding | None, right: Sweep | Sounding | None) -> bool:
    return isinstance(left, Sweep) and isinstance(right, Sweep) and left.focus == right.focus


def names_by_role(section: ControllerSection, radio: str) -> dict[Role, frozenset[str]]:
    """Return whom the controller admits in which role."""
    return {Role.UE: frozenset(section.ues), Role.RADIO: frozenset({radio})}
