"""Reports and snapshots of the wire to the answers that schemes are sent, and the check that they are what was asked for."""

import numpy as np
import numpy.typing as npt

from bs_controller.sweeps import (
    ComplexFeedback,
    Feedback,
    GroupFeedback,
    GroupFoci,
    PeakFeedback,
    PowerFeedback,
    Snapshot,
    Sweep,
)
from protocol import messages as msg
from protocol.errors import PeerFaultError
from protocol.testbed import Setting, TestbedFacts

Samples = npt.NDArray[np.complexfloating] | npt.NDArray[np.float64]
Report = msg.PeakReport | msg.GroupReport | msg.PowerReport | msg.ComplexReport

_KINDS = {
    msg.PeakReport: msg.FeedbackKind.PEAK,
    msg.GroupReport: msg.FeedbackKind.GROUP,
    msg.PowerReport: msg.FeedbackKind.POWER,
    msg.ComplexReport: msg.FeedbackKind.COMPLEX,
}


def groups_of(sweep: Sweep) -> int:
    """Return how many groups the sweep's subcarriers form; a trajectory is one."""
    return len(sweep.focus.range_m) if isinstance(sweep.focus, GroupFoci) else 1


def feedback_from_report(
    report: Report, sweep: Sweep, facts: TestbedFacts, pilots: int, applied: Setting | None = None
) -> Feedback:
    """Return what the scheme is sent for a report, of a sweep that the front end applied like this if not as asked for.

    Raises
    ------
    PeerFaultError
        If the report is of another kind than asked for, or its contents cannot be of this sweep.
    """
    if _KINDS[type(report)] is not sweep.kind:
        raise PeerFaultError("7.1", f"a report of kind {sweep.kind} was asked for, got {_KINDS[type(report)]}")
    subcarriers = facts.downlink.grid.count
    match report:
        case msg.PeakReport():
            _require_below("7.2", "subcarrier", report.subcarrier, subcarriers)
            return PeakFeedback(subcarrier=report.subcarrier, pilots=pilots)
        case msg.GroupReport():
            _require_below("7.3", "group", report.group, groups_of(sweep))
            return GroupFeedback(group=report.group, pilots=pilots)
        case msg.PowerReport():
            _require_shape("7.4", report.power_w.shape, (subcarriers,))
            return PowerFeedback(power_w=np.asarray(report.power_w, dtype=np.float64), pilots=pilots, applied=applied)
        case msg.ComplexReport():
            _require_shape("7.5", report.samples.shape, (subcarriers,))
            return ComplexFeedback(
                samples=np.asarray(report.samples, dtype=np.complex128), pilots=pilots, applied=applied
            )


def snapshot_from_message(message: msg.Snapshot, facts: TestbedFacts) -> Snapshot:
    """Return what the scheme is sent for an uplink snapshot.

    Raises
    ------
    PeerFaultError
        If its shape is not that of the uplink array and grid.
    """
    _require_shape("6.4", message.samples.shape, (facts.uplink.array.elements, facts.uplink.grid.count))
    return Snapshot(samples=np.asarray(message.samples, dtype=np.complex128))


def samples_of(report: Report) -> dict[str, Samples]:
    """Return what a report has to record, by stream: the very numbers that its scheme is sent."""
    match report:
        case msg.ComplexReport():
            return {"report": report.samples.astype(np.complex64, copy=False)}
        case msg.PowerReport():
            return {"power": report.power_w.astype(np.float64, copy=False)}
        case _:
            return {}


def _require_below(clause: str, what: str, value: int, limit: int) -> None:
    if value >= limit:
        raise PeerFaultError(clause, f"{what} must be below {limit}, got {value}")


def _require_shape(clause: str, shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    if shape != expected:
        raise PeerFaultError(clause, f"samples must have shape {expected}, got {shape}")
