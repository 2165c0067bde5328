"""What a controller tells of its run, as metrics: rules that turn counts at one moment into named values; no I/O, no clock."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bs_controller.records import Record
from protocol.messages import Role
from protocol.metrics import Durations, Family, counter, counter_families, gauge

REFUSED = "refused_spec_"

#: Counter of a run (see the README): its metric, and what that counts.
COUNTERS: Mapping[str, tuple[str, str]] = {
    "missed_deadlines": ("nftestbed_missed_deadlines", "Requests that had no answer in time."),
    "retries": ("nftestbed_retries", "Requests put on the air again for a UE."),
    "refused_stale": ("nftestbed_stale_answers", "Answers of another epoch than the one on the air, refused."),
    "refused_reports": ("nftestbed_unusable_answers", "Answers that do not fit the request, refused."),
    "refused_by_peers": ("nftestbed_refused_by_peers", "Messages of the controller's that radio or UEs refused."),
    "refused_malformed": ("nftestbed_malformed_messages", "Messages that could not be decoded."),
    "declined": ("nftestbed_declined", "Requests that radio or UE declined."),
    "failures": ("nftestbed_failures", "Localizations that ended without a fix."),
    "skipped_rounds": ("nftestbed_skipped_rounds", "Rounds of tracked users that were due while one was under way."),
    "refused_fixes": ("nftestbed_refused_fixes", "Fixes that a track left out."),
    "peers_lost": ("nftestbed_sessions_lost", "Sessions with radio or UEs that ended."),
    "duplicates": ("nftestbed_duplicate_messages", "Messages that came a second time."),
    "resent": ("nftestbed_resent_messages", "Messages sent again for want of an acknowledgement."),
    "unanswered_strangers": ("nftestbed_unanswered_strangers", "Messages of strangers, too many to answer."),
    "left_behind": ("nftestbed_left_behind", "Messages read after their connection had gone."),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """A run at one moment."""

    counters: Mapping[str, int]
    epochs: int
    users: Mapping[str, int]  # by state of their work
    peers: Mapping[Role, int]
    unacknowledged: int
    dropped: int
    recorded: int
    unrecorded: int
    pending_records: int
    lag_s: float
    recording_failed: bool


class RunMetrics:
    """The durations of a run so far, and a way to read the rest."""

    def __init__(self) -> None:
        self.read: Callable[[], Readings] | None = None
        self._requests = Durations("nftestbed_request_seconds", "Time from a request to its answer.", "request")
        text = "Time from a scheme's request to its answer, waiting for the air included."
        self._sweeps = Durations("nftestbed_sweep_seconds", text, "scheme")
        self._fixes = Durations("nftestbed_fix_seconds", "Time of one localization that ended with a fix.", "scheme")

    def note(self, record: Record) -> None:
        """Take the durations that a record of the run states."""
        for request in ("configure", "measure", "capture"):
            if (latency_ms := record.get(f"{request}_ms")) is not None:
                self._requests.observe(request, _seconds(latency_ms))
        if record["kind"] == "fix":
            scheme = str(record["scheme"])
            self._fixes.observe(scheme, _seconds(record["latency_ms"]))
            sweeps_ms = record["sweep_latency_ms"]
            assert isinstance(sweeps_ms, list)  # noqa: S101 - the run wrote it
            for latency_ms in sweeps_ms:
                self._sweeps.observe(scheme, _seconds(latency_ms))

    def families(self) -> list[Family]:
        """Return all metrics of this moment."""
        durations = [self._requests.family(), self._sweeps.family(), self._fixes.family()]
        return durations if self.read is None else durations + _families(self.read())


def _seconds(milliseconds: object) -> float:
    assert isinstance(milliseconds, float)  # noqa: S101 - the run wrote it
    return 1e-3 * milliseconds


def _families(now: Readings) -> list[Family]:
    by_clause = {name.removeprefix(REFUSED): n for name, n in now.counters.items() if name.startswith(REFUSED)}
    peers = {str(role): float(now.peers.get(role, 0)) for role in Role}
    return [
        *counter_families(now.counters, COUNTERS),
        counter("nftestbed_refused_messages", "Messages refused, by clause of SPEC.", by_clause, "clause"),
        gauge("nftestbed_peers_connected", "Peers with an open session.", peers, "role"),
        gauge("nftestbed_users", "UEs by the state of their work.", now.users, "state"),
        counter("nftestbed_epochs", "Settings and soundings asked of the radio.", now.epochs),
        gauge("nftestbed_unacknowledged_messages", "Messages that peers have not acknowledged.", now.unacknowledged),
        counter(
            "nftestbed_dropped_messages", "Messages that found a full queue; sessions send them again.", now.dropped
        ),
        counter("nftestbed_journal_records", "Records on disk.", now.recorded),
        counter("nftestbed_journal_lost_records", "Records that could not be written.", now.unrecorded),
        gauge("nftestbed_journal_pending_records", "Records on their way to disk.", now.pending_records),
        gauge("nftestbed_journal_lag_seconds", "Age of the oldest record that is not on disk.", now.lag_s),
        gauge("nftestbed_journal_failed", "1 once recording has stopped for good.", now.recording_failed),
    ]
