"""UE agents that measure and report wrongly."""

from collections import OrderedDict
from typing import Any

import msgspec
import numpy as np

from protocol.messages import Declined, FeedbackKind, Measure, UeCapabilities
from tests.conformance.zoo.registry import around, broken, constant
from ue_agent import agent, measure, process, receiver
from ue_agent.agent import Agent, Say
from ue_agent.receiver import EmulatedReceiver

Array = Any


@broken("ue-peak-in-float32", {})
def peak_in_float32() -> None:
    """Compares amplitudes in float32."""
    around(measure, "strongest_subcarrier", lambda original, y: original(y.astype(np.complex64)))


@broken("ue-highest-of-equals", {})
def highest_of_equals() -> None:
    """Reports the highest of equal maxima."""

    def strongest(_: Any, samples: Array) -> int:
        return int(samples.size - 1 - np.argmax(np.abs(samples)[::-1]))

    around(measure, "strongest_subcarrier", strongest)


@broken("ue-peak-of-real-parts", {})
def peak_of_real_parts() -> None:
    """Compares real parts instead of amplitudes."""
    around(measure, "strongest_subcarrier", lambda original, y: int(np.argmax(np.abs(y.real))))


@broken("ue-sums-powers", {})
def sums_powers() -> None:
    """Compares groups by their powers instead of their amplitudes."""
    around(measure, "strongest_group", lambda original, y, groups: original(np.abs(y) ** 2, groups))


@broken("ue-group-in-float32", {})
def group_in_float32() -> None:
    """Sums amplitudes in float32."""
    around(measure, "strongest_group", lambda original, y, groups: original(y.astype(np.complex64), groups))


@broken("ue-highest-of-equal-groups", {})
def highest_of_equal_groups() -> None:
    """Reports the highest of equal groups."""

    def strongest(_: Any, samples: Array, groups: int) -> int:
        sums = np.abs(samples).reshape(groups, -1).sum(axis=1)
        return int(groups - 1 - np.argmax(sums[::-1]))

    around(measure, "strongest_group", strongest)


@broken("ue-ignores-groups", {})
def ignores_groups() -> None:
    """Reports the strongest of eight groups, however many it is asked for."""
    around(measure, "strongest_group", lambda original, y, groups: original(y, 8))


@broken("ue-takes-any-groups", {})
def takes_any_groups() -> None:
    """Leaves out the subcarriers that do not fit into equal groups."""

    def strongest(original: Any, samples: Array, groups: int) -> Any:
        groups = min(groups, samples.size)
        return original(samples[: samples.size - samples.size % groups], groups)

    around(measure, "strongest_group", strongest)


@broken("ue-reports-amplitudes", {})
def reports_amplitudes() -> None:
    """Reports amplitudes for powers."""
    around(measure, "power_w", lambda original, y: np.abs(y))


@broken("ue-powers-in-float32", {})
def powers_in_float32() -> None:
    """Computes powers in float32."""
    around(measure, "power_w", lambda original, y: original(y.astype(np.complex64)).astype(np.float64))


def _sampling(change: Any) -> None:
    reports: Any = measure._REPORTS
    original = reports[FeedbackKind.COMPLEX]
    reports[FeedbackKind.COMPLEX] = lambda epoch, y, groups: original(epoch, change(y), groups)


@broken("ue-conjugates", {})
def conjugates() -> None:
    """Reports the conjugates of its samples."""
    _sampling(np.conj)


@broken("ue-cuts-samples-off", {})
def cuts_samples_off() -> None:
    """Cuts float64 off to float32 instead of rounding it."""

    def cut(part: Array) -> Array:
        rounded = part.astype(np.float32)
        return np.where(np.abs(rounded) > np.abs(part), np.nextafter(rounded, np.float32(0)), rounded)

    _sampling(lambda y: cut(y.real) + 1j * cut(y.imag))


@broken("ue-normalises", {})
def normalises() -> None:
    """Scales its samples to the largest of them."""
    _sampling(lambda y: y / np.abs(y).max())


def _receiving(change: Any) -> None:
    """Let the agent receive a grid as if it were of another epoch."""

    def receive(original: Any, self: Agent, epoch: int, samples: Array) -> Any:
        wanted = self._wanted
        return original(self, change(epoch, wanted.epoch) if wanted else epoch, samples)

    around(Agent, "receive", receive)


@broken("ue-measures-any-pilot", {})
def measures_any_pilot() -> None:
    """Takes whatever is on the air for the pilot that it is asked for."""
    _receiving(lambda epoch, wanted: wanted)


@broken("ue-measures-newer-pilots", {})
def measures_newer_pilots() -> None:
    """Measures a newer pilot instead of declining."""
    _receiving(min)


@broken("ue-measures-older-pilots", {})
def measures_older_pilots() -> None:
    """Measures an older pilot instead of waiting for its own."""
    _receiving(max)


@broken("ue-waits-in-vain", {})
def waits_in_vain() -> None:
    """Goes on listening for a pilot that was missed."""

    def receive(original: Any, self: Agent, epoch: int, samples: Array) -> Any:
        missed = self._wanted is not None and epoch > self._wanted.epoch
        return [] if missed else original(self, epoch, samples)

    around(Agent, "receive", receive)


@broken("ue-declines-by-another-clause", {})
def declines_by_another_clause() -> None:
    """Names a clause that has nothing to do with it when it declines."""
    around(agent, "Declined", lambda original, **fields: original(**fields | {"clause": "9.9"}))


@broken("ue-measures-again", {})
def measures_again() -> None:
    """Measures anew when a request is repeated."""

    def hear(original: Any, self: Agent, message: Any) -> Any:
        self._reports.clear()
        return original(self, message)

    around(Agent, "hear", hear)


@broken("ue-remembers-seven-reports", {})
def remembers_seven_reports() -> None:
    """Remembers seven reports."""
    constant(agent, "REMEMBERED_REPORTS", 7)


@broken("ue-remembers-by-epoch-alone", {})
def remembers_by_epoch_alone() -> None:
    """Answers a request for another kind of the same epoch with the report that it remembers."""

    def hear(original: Any, self: Agent, message: Any) -> Any:
        known = [report for (epoch, _), report in self._reports.items() if epoch == getattr(message, "epoch", 0)]
        return [Say(known[0])] if known else original(self, message)

    around(Agent, "hear", hear)


@broken("ue-remembers-across-sessions", {})
def remembers_across_sessions() -> None:
    """Keeps epochs and reports when a new session opens."""
    around(Agent, "reset", lambda original, self: None)


@broken("ue-finishes-old-requests", {})
def finishes_old_requests() -> None:
    """Finishes a request before it takes a newer one."""

    def hear(original: Any, self: Agent, message: Any) -> Any:
        return [] if self._wanted is not None else original(self, message)

    around(Agent, "hear", hear)


@broken("ue-answers-with-its-own-epoch", {})
def answers_with_its_own_epoch() -> None:
    """Counts the epochs of its answers itself."""

    def report(original: Any, kind: FeedbackKind, epoch: int, samples: Array, groups: int) -> Any:
        return original(kind, epoch + 1, samples, groups)

    around(agent, "report_from_samples", report)


@broken("ue-serves-what-it-does-not-advertise", {})
def serves_what_it_does_not_advertise() -> None:
    """Advertises peaks alone, and reports whatever it is asked for."""
    around(process, "UeCapabilities", lambda original, **_: UeCapabilities(feedback_kinds=(FeedbackKind.PEAK,)))


@broken("ue-always-reports-peaks", {})
def always_reports_peaks() -> None:
    """Reports peaks whatever kind it is asked for."""

    def report(original: Any, kind: FeedbackKind, *others: Any) -> Any:
        return original(FeedbackKind.PEAK, *others)

    around(agent, "report_from_samples", report)


@broken("ue-listens-once", {})
def listens_once() -> None:
    """Does not ask again on the air link."""

    def ask(original: Any, self: EmulatedReceiver, wait_s: float) -> None:
        original(self, wait_s)
        self._cancel_timer()

    around(EmulatedReceiver, "_ask", ask)


@broken("ue-listens-without-pause", {})
def listens_without_pause() -> None:
    """Asks again every 5 ms on the air link."""
    constant(receiver, "ASK_AGAIN_S", 0.005)
    constant(receiver, "LONGEST_WAIT_S", 0.005)


@broken("ue-listens-for-another", {})
def listens_for_another() -> None:
    """Names another UE on the air link."""
    around(receiver, "Listen", lambda original, **fields: original(**fields | {"ue": "ue-2"}))


@broken("ue-knows-its-last-request-alone", {})
def knows_its_last_request_alone() -> None:
    """Drops a request that names an older epoch than the last one, remembered or not."""
    newest: OrderedDict[int, int] = OrderedDict()

    def hear(original: Any, self: Agent, message: Any) -> Any:
        if isinstance(message, Measure):
            if message.epoch < newest.get(id(self), 0):
                return [Say(Declined(epoch=message.epoch, clause="5.3", text="an older epoch"))]
            newest[id(self)] = message.epoch
        return original(self, message)

    around(Agent, "hear", hear)

    def reset(original: Any, self: Agent) -> None:
        newest.clear()
        original(self)

    around(Agent, "reset", reset)


@broken("ue-reports-too-few-values", {})
def reports_too_few_values() -> None:
    """Leaves the last subcarrier out."""

    def report(original: Any, kind: FeedbackKind, epoch: int, samples: Array, groups: int) -> Any:
        found = original(kind, epoch, samples, groups)
        if hasattr(found, "power_w"):
            return msgspec.structs.replace(found, power_w=found.power_w[:-1])
        return found

    around(agent, "report_from_samples", report)
