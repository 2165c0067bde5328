"""The controller's process: joins control link, rules, schemes and recorder (shell, no formula)."""

import asyncio
import datetime
import logging
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from bs_controller.calibration.chosen import Chosen, chosen_calibration
from bs_controller.calibration.watch import CalibrationWatch
from bs_controller.commands import Advance, Command, Keep, Send
from bs_controller.config import ControllerSection
from bs_controller.jobs import StepResult, step
from bs_controller.metrics import Readings, RunMetrics
from bs_controller.record import Recorder, RecordingError, RunDirectory
from bs_controller.records import Record
from bs_controller.run import Run, names_by_role
from bs_controller.schemes import scheme_from_options
from bs_controller.sweeps import Scheme
from bs_controller.telling import Teller
from protocol.config import LoadedTestbed, facts, resolved
from protocol.hub import Admission
from protocol.keys import CONTROLLER, RADIO, server_keys
from protocol.links import HubLink
from protocol.messages import Role
from protocol.session import Closed, Event, Faulted, Heard, Opened
from protocol.shell import metrics_served, serve_testbed
from protocol.versions import versions

logger = logging.getLogger(__name__)

TICK_S = 0.02
HANDOVER_S = (
    0.5e-3  # after so long a scheme's thread gives way to the loop, for which messages wait; by default it is 5 ms
)
REMIND_S = 5.0
STOPPED = 130

#: Called with each record once it is on disk, or with False when it could not be written.
OnRecord = Callable[[Record, bool], None]
Change = Callable[[LoadedTestbed], LoadedTestbed]


@dataclass(slots=True)
class _Ledger:
    """Records on their way to disk, and who is told when they are there."""

    recorder: Recorder
    on_record: OnRecord
    teller: Teller | None = None
    pending: dict[int, tuple[Keep, float]] = field(default_factory=dict)  # and since when
    _next: int = 0
    _failed: bool = False

    def append(self, command: Keep) -> None:
        number, self._next = self._next, self._next + 1
        kept = command if self.teller is not None else Keep(record=command.record, samples={})
        self.pending[number] = kept, time.monotonic()
        if not self.recorder.append(command.record, command.samples, partial(self._tell, number, True)):
            self._tell(number, False)

    def _tell(self, number: int, recorded: bool) -> None:
        command, _ = self.pending.pop(number)
        self.on_record(command.record, recorded)
        if self.teller is not None:
            self.teller.tell(number + 1, command, recorded)  # the header is number 0

    def lag_s(self, now_s: float) -> float:
        """Return the age of the oldest record that is not on disk."""
        return now_s - next(iter(self.pending.values()))[1] if self.pending else 0.0

    def failed(self, error: RecordingError) -> None:
        """Hand on what will never be on disk; the run goes on without recording."""
        if not self._failed:
            logger.error("%s; the run goes on, but its further fixes are not recorded", error)
        self._failed = True
        for number in list(self.pending):
            self._tell(number, False)


class ControllerProcess:
    """One run, from the first hello to the last fix."""

    def __init__(
        self, loaded: LoadedTestbed, directory: Path, on_record: OnRecord, metrics: RunMetrics, *, patient: bool
    ) -> None:
        self._section = loaded.section("controller", ControllerSection)
        shared = facts(loaded.file)
        self._loop = asyncio.get_running_loop()
        calibration = chosen_calibration(loaded, shared, datetime.datetime.now(datetime.UTC))
        self._schemes: list[Scheme] = [scheme_from_options(options, shared) for options in self._section.schemes]
        admission = Admission(
            facts=shared,
            names=names_by_role(self._section, RADIO),
            heartbeat_s=self._section.heartbeat_s,
            liveness_s=self._section.liveness_s,
        )
        correction = None if calibration is None else calibration.correction
        self._run = Run(shared, self._section, self._schemes, time.monotonic(), patient=patient, correction=correction)
        self._workers = ThreadPoolExecutor(1, thread_name_prefix="scheme")
        self._finished = asyncio.Event()
        self._busy = self._prepared = False
        control = loaded.file.links.control
        self._hub = HubLink(control, admission, self._on_event, keys=server_keys(loaded, control, CONTROLLER, Role))
        try:  # only now: a controller that cannot bind leaves its run directory as it was
            run_directory, teller = _opened(loaded, directory, calibration)
        except (OSError, RecordingError):
            self._hub.close("nothing can be recorded or told")
            raise
        recorder = Recorder(run_directory, call_soon=self._loop.call_soon_threadsafe, on_failure=self._recording_failed)
        self._ledger = _Ledger(recorder, on_record, teller)
        self._watch = CalibrationWatch(calibration, self._keep)
        self._watch.begin()
        self._metrics = metrics
        metrics.read = self.readings

    def _keep(self, record: Record) -> None:
        self._ledger.append(Keep(record=record, samples={}))

    def _recording_failed(self, error: RecordingError) -> None:
        self._ledger.failed(error)

    async def run(self) -> bool:
        """Locate every UE with every scheme; return whether all is done and on disk."""
        logger.info("listening at %s for the radio and %d UEs", self._hub.endpoint, len(self._section.ues))
        preparing = asyncio.create_task(self._prepare(), name="preparing")
        tasks: list[asyncio.Task[None]] = [
            asyncio.create_task(self._hub.run(), name="sessions"),
            asyncio.create_task(self._tick(), name="deadlines"),
        ]
        finished = asyncio.create_task(self._until_finished(), name="finished")
        try:
            await asyncio.wait([finished, *tasks], return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                if task.done():
                    task.result()  # a fault of our own ends the run
        finally:
            for task in (*tasks, finished):
                task.cancel()
            self._workers.shutdown(wait=False, cancel_futures=True)
            preparing.cancel()
            self._hub.close("the run is over")
            await self._end()
        recorder = self._ledger.recorder
        return self._run.finished and recorder.failure is None and recorder.unrecorded == 0

    async def _prepare(self) -> None:
        """Let schemes compute what they share; nothing goes on the air before, for users may move while they wait for it."""
        began_s = time.monotonic()
        work = [self._loop.run_in_executor(self._workers, scheme.prepare) for scheme in self._schemes]
        for scheme, failure in zip(self._schemes, await asyncio.gather(*work, return_exceptions=True), strict=True):
            if failure is not None:
                logger.error("scheme %s cannot be prepared: %s: %s", scheme.name, type(failure).__name__, failure)
        if time.monotonic() - began_s > REMIND_S:
            logger.info("schemes were prepared in %.0f s", time.monotonic() - began_s)
        self._prepared = True
        self._carry_out()

    async def _until_finished(self) -> None:
        await self._finished.wait()

    async def _end(self) -> None:
        """Write the last record and close the recorder, whatever ended the run."""
        self._keep({"kind": "end", "finished": self._run.finished, "counters": self.counters()})
        stop = {"finished": self._run.finished, "versions": versions()}
        await asyncio.shield(self._loop.run_in_executor(None, self._ledger.recorder.close, stop))
        await asyncio.sleep(0)  # the last acknowledgements were handed to the loop
        if self._ledger.recorder.failure is not None:
            self._ledger.failed(self._ledger.recorder.failure)
        if self._ledger.teller is not None:
            self._ledger.teller.close()

    def counters(self) -> dict[str, int]:
        """Return what went wrong and how often; the names of the README."""
        run, table = self._run.counters, self._hub.table.counters
        refused = {
            f"refused_spec_{name[8:]}": count for name, count in table.items() if count and name.startswith("refused_")
        }
        return {
            "missed_deadlines": run["missed_deadlines"],
            "retries": run["retries"],
            "refused_stale": run["refused_stale"],
            "refused_reports": run["refused_reports"],
            "refused_malformed": table["malformed"],
            "refused_by_peers": table["refusals"],
            "declined": run["declined"],
            "failures": run["failures"],
            "skipped_rounds": run["skipped_rounds"],
            "refused_fixes": run["refused_fixes"],
            "peers_lost": run["peers_lost"],
            "duplicates": table["duplicates"],
            "resent": self._hub.table.resent,
            "unanswered_strangers": table["unanswered"],
            "left_behind": table["left_behind"],
            **dict(sorted(refused.items())),
        }

    def readings(self) -> Readings:
        """Return what metrics say of this moment."""
        recorder, table = self._ledger.recorder, self._hub.table
        return Readings(
            counters=self.counters(),
            epochs=self._run.progress,
            users=self._run.users(),
            peers=table.open_by_role(),
            unacknowledged=table.unacknowledged,
            dropped=self._hub.dropped,
            recorded=recorder.recorded,
            unrecorded=recorder.unrecorded,
            pending_records=len(self._ledger.pending),
            lag_s=self._ledger.lag_s(time.monotonic()),
            recording_failed=recorder.failure is not None,
        )

    async def _tick(self) -> None:
        reminded_s = time.monotonic()
        while True:
            await asyncio.sleep(TICK_S)
            now_s = time.monotonic()
            self._run.tick(now_s)
            self._carry_out()
            if self._ledger.teller is not None:
                self._ledger.teller.announce(now_s)
            if now_s - reminded_s > REMIND_S:
                reminded_s = now_s
                self._remind()

    def _remind(self) -> None:
        if not self._prepared:
            logger.info("preparing schemes; the first start after installation compiles their loops")
        absent = [name for name in (RADIO, *self._run.unfinished) if not self._hub.table.is_open(name)]
        if absent:
            logger.info("waiting for %s", ", ".join(absent[:8]) + (" and others" if len(absent) > 8 else ""))

    def _on_event(self, event: Event) -> None:
        now_s = time.monotonic()
        match event:
            case Opened():
                logger.info("%s joined", event.name)
                if self._watch.lets_in(event.hello):
                    self._run.peer_opened(event.hello, now_s)
                else:
                    self._finished.set()
            case Closed():
                logger.info("%s left: %s", event.name, event.reason)
                self._run.peer_closed(event.name, event.reason, now_s)
            case Heard():
                self._run.heard(event.name, event.message, now_s)
            case Faulted():
                logger.warning(
                    "refused %s %s: %s (SPEC %s)", "by" if event.ours else "from", event.name, event.text, event.clause
                )
                self._run.peer_fault(event.name, event.clause, event.text, now_s)
        self._carry_out()

    def _carry_out(self) -> None:
        """Carry out commands until there are none; events that come meanwhile add theirs."""
        if self._busy:
            return
        self._busy = True
        try:
            while commands := self._run.take() or self._settled():
                for command in commands:
                    self._obey(command)
        finally:
            self._busy = False
        self._hub.table.progress = self._run.progress
        if self._run.finished:
            self._finished.set()

    def _settled(self) -> list[Command]:
        """Let the run choose what goes on the air, now that every step at hand has been taken."""
        if not self._prepared:
            return []
        self._run.settle(time.monotonic())
        return self._run.take()

    def _obey(self, command: Command) -> None:
        match command:
            case Send():
                self._hub.send(command.name, command.message)
            case Keep():
                self._metrics.note(command.record)
                self._ledger.append(command)
            case Advance() if command.heavy:
                work = self._loop.run_in_executor(self._workers, step, command.localization, command.answer)
                work.add_done_callback(partial(self._stepped, command))
            case Advance():
                result = step(command.localization, command.answer)
                self._run.stepped(command.ue, command.localization, result, time.monotonic())

    def _stepped(self, command: Advance, work: asyncio.Future[StepResult]) -> None:
        if not work.cancelled():
            self._run.stepped(command.ue, command.localization, work.result(), time.monotonic())
            self._carry_out()


def _opened(loaded: LoadedTestbed, directory: Path, calibration: Chosen | None) -> tuple[RunDirectory, Teller | None]:
    """Return where a run is recorded, and who tells consoles of it if the file says where."""
    config, events = resolved(loaded), loaded.file.links.events
    teller = None if events is None else Teller(events)
    try:
        text = None if calibration is None else calibration.calibration.text()
        run_directory = RunDirectory.create(directory, config_text=config, start=_start(loaded), calibration_text=text)
    except RecordingError:
        if teller is not None:
            teller.close()
        raise
    if teller is not None:
        teller.about(run_directory.path, config)
    return run_directory, teller


def _start(loaded: LoadedTestbed) -> dict[str, object]:
    return {"name": loaded.file.name, "digest": facts(loaded.file).digest(), "versions": versions()}


async def _serve(
    loaded: LoadedTestbed, directory: Path, on_record: OnRecord, *, patient: bool, changed: Change | None = None
) -> int:
    loaded = loaded if changed is None else changed(loaded)
    metrics = RunMetrics()
    async with AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(metrics_served(loaded, CONTROLLER, metrics.families))
            process = ControllerProcess(loaded, directory, on_record, metrics, patient=patient)
        except RecordingError as error:
            logger.error("cannot record: %s", error)
            return 2
        except (OSError, ValueError) as error:
            logger.error("cannot start: %s", error)
            return 2
        return 0 if await process.run() else 1


def main(
    path: Path,
    directory: Path,
    on_record: OnRecord,
    *,
    patient: bool,
    quiet: bool = False,
    changed: Change | None = None,
) -> int:
    """Carry out one run of a testbed file and record it in `directory`; return the exit status.

    Parameters
    ----------
    on_record
        Called with each record, and whether it is on disk.
    patient
        Wait for ever for peers that never came, as suits a controller that a person started by hand.
    changed
        Makes of the testbed file what is run, if that is not the file itself.
    """
    sys.setswitchinterval(HANDOVER_S)
    serve = partial(_serve, directory=directory, on_record=on_record, patient=patient, changed=changed)
    return serve_testbed("controller", path, serve, run_directory=directory, quiet=quiet, stopped=STOPPED)
