"""What a run's records add up to: errors by scheme, latencies by request, alarms; bounded, whatever the run's length."""

import math
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Record = Mapping[str, Any]

#: Latest values that a distribution is made of; more tell nothing new, and a run may last for weeks.
LATEST = 20_000
CURVE_POINTS = 400
OF_TRACKS = "/tracks"  # ends the name of a curve
ALARMS = 100
#: Edges of latency bins, ms: ten a decade from 0.1 ms to 10 s.
EDGES_MS: Floats = np.logspace(-1, 4, 51)

REQUESTS = ("configure", "measure", "capture")


@dataclass(slots=True)
class Distribution:
    """The latest values of one quantity, and how many there were."""

    count: int = 0
    latest: "array[float]" = field(default_factory=lambda: array("d"))  # as a ring once it is full

    def add(self, value: float) -> None:
        """Take one more value."""
        if self.count < LATEST:
            self.latest.append(value)
        else:
            self.latest[self.count % LATEST] = value
        self.count += 1

    def summary(self) -> dict[str, float]:
        """Return count, quantiles and extremes; the quantiles are those of `numpy.percentile`."""
        if not self.latest:
            return {"count": 0}
        values = np.array(self.latest)
        p50, p95, p99 = np.percentile(values, (50, 95, 99)).tolist()
        return {"count": self.count, "p50": p50, "p95": p95, "p99": p99, "max": float(values.max())}

    def curve(self) -> Floats:
        """Return values at evenly spread probabilities from 0 to 1; all of them, sorted, while they are few."""
        values = np.sort(np.array(self.latest))
        if values.size <= CURVE_POINTS:
            return values
        curve: Floats = np.quantile(values, np.linspace(0, 1, CURVE_POINTS))
        return curve

    def bins(self) -> npt.NDArray[np.float64]:
        """Return how many values lie in each latency bin, those beyond the ends in the first and last."""
        bins = EDGES_MS.size - 1
        found = np.searchsorted(EDGES_MS, np.array(self.latest), side="right") - 1
        counts: npt.NDArray[np.float64] = np.bincount(np.clip(found, 0, bins - 1), minlength=bins).astype(np.float64)
        return counts


class Errors:
    """Distances between fixes and truth by scheme, those of the tracks after them, and what each scheme itself expected."""

    def __init__(self) -> None:
        self.by_scheme: dict[str, Distribution] = {}
        self.of_tracks: dict[str, Distribution] = {}
        self._expected_m2: dict[str, Distribution] = {}
        self._bound_m2: dict[str, Distribution] = {}

    def add(self, scheme: str, error_m: float | None, expected_m: float | None) -> None:
        """Take the error of one fix, and its standard deviation by the fix's own covariance."""
        distribution = self.by_scheme.setdefault(scheme, Distribution())
        if error_m is not None:
            distribution.add(error_m)
        if expected_m is not None:
            self._expected_m2.setdefault(scheme, Distribution()).add(expected_m**2)

    def add_track(self, scheme: str, error_m: float) -> None:
        """Take the error of a track after a fix of this scheme, at the time of the fix."""
        self.of_tracks.setdefault(scheme, Distribution()).add(error_m)

    def add_bound(self, scheme: str, bound_m: float) -> None:
        """Take the bound of one fix."""
        self._bound_m2.setdefault(scheme, Distribution()).add(bound_m**2)

    def shown(self) -> tuple[dict[str, object], dict[str, Floats]]:
        """Return by scheme a summary, and curves: those of tracks end with `OF_TRACKS`."""
        summaries: dict[str, object] = {}
        curves: dict[str, Floats] = {}
        for scheme, fixes in self.by_scheme.items():
            tracks = self.of_tracks.get(scheme)
            of_tracks = {"tracks": None if tracks is None else tracks.summary()}
            known = {"expected_m": self.expected_m(scheme), "bound_m": self.bound_m(scheme)}
            summaries[scheme] = {**fixes.summary(), **known, **of_tracks}
            curves[scheme] = fixes.curve()
            if tracks is not None:
                curves[f"{scheme}{OF_TRACKS}"] = tracks.curve()
        return summaries, curves

    def expected_m(self, scheme: str) -> float | None:
        """Return the root mean square error that the scheme's covariances speak of."""
        return _root_mean(self._expected_m2.get(scheme))

    def bound_m(self, scheme: str) -> float | None:
        """Return the root mean square of the bounds that are known of the scheme's fixes."""
        return _root_mean(self._bound_m2.get(scheme))


def _root_mean(squares: Distribution | None) -> float | None:
    return None if squares is None else math.sqrt(float(np.mean(squares.latest)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """Something a person should look at; `time_s` is that of the last time."""

    time_s: float
    level: str  # "warn" or "bad"
    text: str
    times: int = 1


class Alarms:
    """The latest alarms, those that say the same as one, and how many there were of each kind."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._latest: dict[str, Alarm] = {}  # by text, newest last

    @property
    def latest(self) -> list[Alarm]:
        """Return the latest, newest first."""
        return list(reversed(self._latest.values()))

    def add(self, kind: str, time_s: float, level: str, text: str) -> None:
        """Take one alarm."""
        self.counts[kind] += 1
        before = self._latest.pop(text, None)
        times = 1 if before is None else before.times + 1
        self._latest[text] = Alarm(time_s=time_s, level=level, text=text, times=times)
        if len(self._latest) > ALARMS:
            del self._latest[next(iter(self._latest))]


def latencies_of(record: Record) -> Iterable[tuple[str, float]]:
    """Yield the latencies that a record states: of its request, and of a whole localization as ``fix``."""
    for request in REQUESTS:
        if (latency_ms := record.get(f"{request}_ms")) is not None:
            yield request, float(latency_ms)
    if record["kind"] == "fix":
        yield "fix", float(record["latency_ms"])


def expected_error_m(record: Record) -> float | None:
    """Return the standard deviation of a fix's place by its own covariance, in both directions together."""
    covariance = record.get("covariance") or {}
    if "range_m2" not in covariance:
        return None
    across_m2 = float(record["range_m"]) ** 2 * float(covariance["angle_rad2"])
    return math.sqrt(max(0.0, float(covariance["range_m2"]) + across_m2))
