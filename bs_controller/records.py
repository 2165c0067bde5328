"""What a run writes to its journal: one plain record per sweep, report, snapshot, fix, failure and peer event."""

from dataclasses import asdict
from typing import TYPE_CHECKING

import msgspec

from bs_controller.jobs import Job, Reason
from bs_controller.sweeps import (
    Answer,
    ClockOffset,
    Covariance,
    Fix,
    GoodnessOfFit,
    GroupFeedback,
    Integrity,
    NotEstimated,
    PeakFeedback,
    Snapshot,
    Sounding,
    Sweep,
    Visibility,
)
from protocol import messages as msg

if TYPE_CHECKING:
    from bs_controller.tracking import Track

Record = dict[str, object]


def focus_record(request: Sweep | Sounding) -> Record:
    """Return what a request asked the radio for."""
    if isinstance(request, Sounding):
        return {"form": "sounding"}
    return {"form": type(request.focus).__name__, **asdict(request.focus)}


def sweep_record(
    epoch: int, request: Sweep | Sounding, ues: list[str], ready: msg.Ready, configure_ms: float
) -> Record:
    """Return the record of a setting that is on the air."""
    return {
        "kind": "sweep",
        "epoch": epoch,
        "focus": focus_record(request),
        "ues": ues,
        "pilots": ready.pilots,
        "phase_deviation_cycles": ready.phase_deviation_cycles,
        "delay_deviation_s": ready.delay_deviation_s,
        "configure_ms": configure_ms,
    }


def answer_record(job: Job, epoch: int, answer: Answer, latency_ms: float) -> Record:
    """Return the record of a report (kind ``report``, measure latency) or a snapshot (``snapshot``, capture latency)."""
    kind = "snapshot" if isinstance(answer, Snapshot) else "report"
    record: Record = {"kind": kind, "epoch": epoch, "ue": job.ue, "scheme": job.label}
    record |= {"round": job.plan.round, "form": type(answer).__name__}
    record["measure_ms" if kind == "report" else "capture_ms"] = latency_ms
    if isinstance(answer, PeakFeedback):
        record["subcarrier"] = answer.subcarrier
    elif isinstance(answer, GroupFeedback):
        record["group"] = answer.group
    return record


def fix_record(job: Job, fix: Fix, now_s: float) -> Record:
    """Return the record of a fix."""
    return {
        "kind": "fix",
        "ue": job.ue,
        "scheme": job.label,
        "round": job.plan.round,
        **found_record(fix),
        **_prior_record(job),
        "epochs": list(job.epochs),
        "latency_ms": 1e3 * (now_s - job.started_s),
        "sweep_latency_ms": list(job.sweep_latency_ms),
    }


def measured_record(job: Job) -> Record:
    """Return the record of a scheme that has measured what it was to measure, and finds nothing."""
    scheme, number = job.plan.label, job.plan.round
    return {"kind": "measured", "ue": job.ue, "scheme": scheme, "round": number, "epochs": list(job.epochs)}


def track_record(job: Job, track: "Track", began_s: float, age_ms: float) -> Record:
    """Return the record of a track: what is known of a user at ``at_s`` since the run began, with the fix of this round.

    ``covariance`` is that of ``(x_m, y_m, vx_m_s, vy_m_s)``, row by row. ``age_ms`` is how old the fix's first sweep is.
    """
    x_m, y_m, vx_m_s, vy_m_s = track.state.tolist()
    return {
        "kind": "track",
        "ue": job.ue,
        "round": job.plan.round,
        "at_s": round(track.time_s - began_s, 6),
        "x_m": x_m,
        "y_m": y_m,
        "vx_m_s": vx_m_s,
        "vy_m_s": vy_m_s,
        "covariance": track.covariance.ravel().tolist(),
        "nis": track.nis,
        "refused": track.refused,
        "fixes": track.fixes,
        "age_ms": age_ms,
    }


def found_record(fix: Fix) -> Record:
    """Return what a scheme found, without who was located and how long it took."""
    return {
        "range_m": fix.range_m,
        "angle_rad": fix.angle_rad,
        "sweeps": fix.sweeps,
        "targets": [asdict(target) for target in fix.targets],
        **{name: _known(getattr(fix, name)) for name in ("covariance", "visibility", "fit", "integrity", "delay")},
    }


def _known(value: Covariance | Visibility | GoodnessOfFit | Integrity | ClockOffset | NotEstimated) -> object:
    return value.value if isinstance(value, Integrity) else asdict(value)


def failure_record(job: Job, reason: Reason, text: str) -> Record:
    """Return the record of a scheme that ended without a fix."""
    scheme, number = job.label, job.plan.round
    record: Record = {"kind": "failure", "ue": job.ue, "scheme": scheme, "round": number}
    return {**record, "reason": reason.value, "text": text, **_prior_record(job)}


def _prior_record(job: Job) -> Record:
    """Return where a user was thought to be who was followed, without which the localization cannot be repeated."""
    return {} if job.followed_from is None else {"prior": asdict(job.followed_from)}


def opened_record(hello: msg.Hello) -> Record:
    """Return the record of a peer that came; that of a radio says what its front end can do."""
    record = peer_record(hello.name, "opened", f"{hello.role}, {hello.software}")
    if isinstance(hello.capabilities, msg.RadioCapabilities):
        record["front_end"] = msgspec.to_builtins(hello.capabilities.front_end)
    return record


def peer_record(name: str, event: str, text: str) -> Record:
    """Return the record of a peer that came, went or broke a rule."""
    return {"kind": "peer", "name": name, "event": event, "text": text}
