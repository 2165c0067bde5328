"""What a process tells of itself while it works: counters, gauges and histograms as plain values; no I/O, no clock.

Names follow Prometheus: ``nftestbed_``, base units, a counter's ``_total`` is added where they are served (exporter.py).
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

#: Seconds, from one message on a local socket to a request that is given up; a factor of two to 2.5 apart.
BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Histogram:
    """How many observations lay at or below each bound, and their sum."""

    def __init__(self, bounds: tuple[float, ...] = BOUNDS_S) -> None:
        self.bounds = bounds
        self.sum = 0.0
        self._counts = [0] * (len(bounds) + 1)

    def observe(self, value: float) -> None:
        """Count one observation."""
        self._counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    def cumulative(self) -> list[tuple[str, int]]:
        """Return each bound with the number of observations up to it; the last bound is infinite."""
        total, buckets = 0, []
        for bound, count in zip((*map(str, self.bounds), "+Inf"), self._counts, strict=True):
            total += count
            buckets.append((bound, total))
        return buckets


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One metric: a value for each value of its label, or a single one under ``""`` if it has no label."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    text: str
    values: Mapping[str, float | Histogram]
    label: str = ""


#: Called at each scrape, on the loop, between two steps of the process: it sees no half-done change.
Families = Callable[[], Iterable[Family]]


Value = float | Mapping[str, float]


def counter(name: str, text: str, value: Value, label: str = "") -> Family:
    """Return a counter: one number, or one for each value of a label."""
    return Family(name=name, kind="counter", text=text, values=_by_label(value), label=label)


def gauge(name: str, text: str, value: Value, label: str = "") -> Family:
    """Return a gauge: one number, or one for each value of a label."""
    return Family(name=name, kind="gauge", text=text, values=_by_label(value), label=label)


def _by_label(value: Value) -> Mapping[str, float]:
    return value if isinstance(value, Mapping) else {"": value}


@dataclass(slots=True)
class Durations:
    """Histograms of seconds, one for each value of a label."""

    name: str
    text: str
    label: str
    _histograms: dict[str, Histogram] = field(default_factory=dict)

    def observe(self, of: str, seconds: float) -> None:
        """Count how long something took."""
        self._histograms.setdefault(of, Histogram()).observe(seconds)

    def family(self) -> Family:
        """Return the histograms as a metric."""
        return Family(name=self.name, kind="histogram", text=self.text, values=dict(self._histograms), label=self.label)


#: Counter of a peer's link: its metric, and what that counts.
LINK_COUNTERS: Mapping[str, tuple[str, str]] = {
    "sessions": ("nftestbed_sessions", "Sessions opened with the controller."),
    "resent": ("nftestbed_resent_messages", "Messages sent again for want of an acknowledgement."),
    "duplicates": ("nftestbed_duplicate_messages", "Messages that came a second time."),
    "faults": ("nftestbed_refusals", "Messages refused, by this side or the other."),
}


#: Counter of a radio's server, whichever radio it is: its metric, and what that counts.
RADIO_COUNTERS: Mapping[str, tuple[str, str]] = {
    "repeated": ("nftestbed_radio_repeated_requests", "Requests that came again and got the same answer."),
    "stale_requests": ("nftestbed_radio_stale_requests", "Requests of an older epoch, declined."),
}


def counter_families(counters: Mapping[str, int], described: Mapping[str, tuple[str, str]]) -> list[Family]:
    """Return a metric for each counter that is described, zero where it has not counted yet."""
    return [counter(name, text, counters.get(key, 0)) for key, (name, text) in described.items()]


def link_families(counters: Mapping[str, int], *, is_open: bool) -> list[Family]:
    """Return the metrics of a radio's or UE's link with the controller."""
    text = "1 while there is a session with the controller."
    return [gauge("nftestbed_session_open", text, is_open), *counter_families(counters, LINK_COUNTERS)]
