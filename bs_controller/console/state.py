"""Records in, what the page shows out: the same rules for a live run and for a recorded one (rules, no I/O, no clock).

What each panel shows is a `Section` with a revision, so that a browser is sent only what changed since it last drew.
"""

import copy
import math
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from bs_controller.console.about import About
from bs_controller.console.bounds import FixBounds, Request
from bs_controller.console.fixes import fix_values
from bs_controller.console.frames import Section
from bs_controller.console.heard import Heard, HeardViews
from bs_controller.console.tallies import (
    EDGES_MS,
    REQUESTS,
    Alarms,
    Distribution,
    Errors,
    expected_error_m,
    latencies_of,
)
from bs_controller.console.tracks import TRAIL_POINTS, TRAIL_S, Way, track_values
from bs_controller.places import Point, midway, point_m
from protocol.keys import RADIO

Record = Mapping[str, Any]
#: True range and angle of a user while an epoch was on the air, if anybody knows.
Truth = Callable[[str, int], tuple[float, float] | None]

RATE_WITHIN_S = 5.0
SLOW = ("errors", "latencies")  # sections that nobody can read ten times a second, and that take longest to make
UNBOUNDED = 64  # fixes of a scheme wait for their bounds, the latest of them


@dataclass(slots=True)
class _Peer:
    name: str
    role: str
    state: str = "absent"
    software: str = ""
    since_s: float = 0.0
    faults: int = 0


class _Fix(tuple[Record, Point, Point | None, float | None]):
    """A fix with its place, that of the truth and the distance between both; never changed, and shared by all copies."""

    __slots__ = ()

    def __deepcopy__(self, _: object) -> "_Fix":
        return self


class ConsoleState:
    """What a person sees of one run."""

    def __init__(self, about: About, truth: Truth) -> None:
        self.about = about
        self.time_s = 0.0
        self.records = self.fixes = 0
        self.ended: bool | None = None  # whether every fix came, once the run is over
        self._truth = truth
        self._revision: dict[str, int] = {}
        self._made: dict[str, tuple[int, Section]] = {}
        self._peers = {RADIO: _Peer(RADIO, "radio")} | {ue: _Peer(ue, "ue") for ue in about.controller.ues}
        self._fixes: dict[tuple[str, str], _Fix] = {}
        self._tracks: dict[str, dict[str, Any]] = {}
        self._trails: dict[str, deque[tuple[float, tuple[float, float]]]] = {}
        self._ways: dict[tuple[str, str], Way] = {}  # by user, of its track or the truth
        self._truths: dict[str, tuple[float, float]] = {}
        self._errors, self._alarms = Errors(), Alarms()
        self._latencies: dict[str, Distribution] = {}
        self._fix_times_s: deque[float] = deque(maxlen=8192)
        self._tracked: dict[
            str, tuple[object, str, tuple[float, float]]
        ] = {}  # round, scheme and truth of the last fix
        self._heard = HeardViews(about.facts)
        self._bounds = FixBounds(about.facts, about.emulated, about.unknowns)
        self._unbounded: dict[str, deque[tuple[str, list[Request], Point]]] = {}  # by scheme
        for section in ("run", "peers", "fixes", "tracks", "errors", "latencies", "alarms"):
            self._changed(section)

    # --- records in --------------------------------------------------------------------------------------------------

    def note(self, record: Record, samples: Heard, *, recorded: bool = True) -> None:
        """Take one record of the run, and a way to its arrays; those not `recorded` are an alarm."""
        self.records += 1
        self.time_s = max(self.time_s, float(record.get("time_s", self.time_s)))
        for request, latency_ms in latencies_of(record):
            self._latencies.setdefault(request, Distribution()).add(latency_ms)
            self._changed("latencies")
        if not recorded:
            self._alarm("unrecorded", "bad", f"a {record['kind']} could not be written to disk")
        match record["kind"]:
            case "peer":
                self._note_peer(record)
            case "sweep":
                self._heard.note_sweep(record)
            case "report" | "snapshot":
                self._note_answer(record, samples)
            case "fix":
                self._note_fix(record)
            case "track":
                self._note_track(record)
            case "failure":
                self._alarm("failure", "bad", f"{record['ue']} by {record['scheme']}: no fix: {record['text']}")
            case "end":
                self._note_end(record)

    def duplicate(self) -> "ConsoleState":
        """Return a state that goes on by itself from here; what never changes is shared."""
        shared = (self.about, self._truth, self._heard.views, self._bounds)
        return copy.deepcopy(self, {id(part): part for part in shared})

    def refine(self) -> bool:
        """Reckon the bound of one fix that has none yet, which takes milliseconds; return whether there was one."""
        scheme = next((one for one, waiting in self._unbounded.items() if waiting), None)
        if scheme is None:
            return False
        waiting = self._unbounded.pop(scheme)
        self._unbounded[scheme] = waiting  # at the end: schemes take turns
        ue, requests, place = waiting.popleft()
        bound_m = self._bounds.bound_m(scheme, ue, requests, place)
        if bound_m is not None:
            self._errors.add_bound(scheme, bound_m)
            self._changed("errors")
        return True

    def note_damage(self, text: str) -> None:
        """Take that what follows cannot be read."""
        self._alarm("damaged", "bad", f"the recording cannot be read on: {text}")

    def note_left_out(self, records: int, before_s: float) -> None:
        """Take that what came first is not shown."""
        self._alarm(
            "left out", "warn", f"shown from {before_s:.0f} s on; {records} records before it are in the journal alone"
        )

    def note_lost(self, events: int) -> None:
        """Take that so many records were published and did not arrive."""
        self._alarm("lost", "warn", f"records that did not reach the console: {events}; the journal has them")

    def _note_peer(self, record: Record) -> None:
        peer = self._peers.setdefault(record["name"], _Peer(record["name"], "unknown"))
        match record["event"]:
            case "opened":
                peer.role, _, peer.software = str(record["text"]).partition(", ")
                peer.state, peer.since_s = "open", self.time_s
                self._heard.note_front_end(record)
            case "closed":
                peer.state, peer.since_s = "closed", self.time_s
                self._alarm("peer lost", "warn", f"{peer.name} left: {record['text']}")
            case _:
                peer.faults += 1
                self._alarm("refused", "warn", f"{peer.name}: {record['text']}")
        self._changed("peers")

    def _note_answer(self, record: Record, samples: Heard) -> None:
        ue, epoch = record["ue"], record["epoch"]
        for section in self._heard.note_answer(record, samples):
            self._changed(section)
        place = self._truth(ue, epoch)
        if place is not None:
            self._see(ue, point_m(*place))

    def _see(self, ue: str, point: tuple[float, float]) -> None:
        trail = self._trails.setdefault(ue, deque(maxlen=TRAIL_POINTS))
        while trail and trail[0][0] < self.time_s - TRAIL_S:
            trail.popleft()
        if not trail or math.dist(trail[-1][1], point) > 1e-3:
            trail.append((self.time_s, point))
            self._ways.setdefault((ue, "truth"), Way()).add(point)
        self._truths[ue] = point
        self._changed("tracks")

    def _note_fix(self, record: Record) -> None:
        ue, scheme = record["ue"], record["scheme"]
        self.fixes += 1
        self._fix_times_s.append(self.time_s)
        x_m, y_m = point_m(record["range_m"], record["angle_rad"])
        place = midway(self._truth(ue, epoch) for epoch in record["epochs"])
        truth = point_m(*place) if place is not None else None
        error_m = math.dist((x_m, y_m), truth) if truth is not None else None
        self._tracked.pop(ue, None)
        if truth is not None:
            self._tracked[ue] = record["round"], scheme, truth
        self._errors.add(scheme, error_m, expected_error_m(record))
        if place is not None:
            waiting = self._unbounded.setdefault(scheme, deque(maxlen=UNBOUNDED))
            waiting.append((ue, self._heard.requests(record), place))
        self._fixes[ue, scheme] = _Fix((record, (x_m, y_m), truth, error_m))
        if record.get("integrity") == "suspect":
            self._alarm("suspect fix", "warn", f"{ue} by {scheme}: the fix is suspect")
        for section in ("fixes", "errors", *self._heard.note_fix(record)):
            self._changed(section)

    def _note_track(self, record: Record) -> None:
        ue = record["ue"]
        track = self._tracks[ue] = track_values(record, self._tracks.get(ue))
        self._ways.setdefault((ue, "track"), Way()).add(track["point"])
        number, scheme, truth = self._tracked.get(ue, (None, "", (0.0, 0.0)))
        if number is not None and number == record["round"]:
            self._errors.add_track(scheme, math.dist(track["point"], truth))
            self._changed("errors")
        self._changed("tracks")

    def _note_end(self, record: Record) -> None:
        self.ended = bool(record["finished"])
        if not self.ended and not self.about.endless:
            self._alarm("stopped", "warn", "the run was stopped before its end")
        counters = {name: count for name, count in record["counters"].items() if count}
        for name in ("missed_deadlines", "refused_malformed", "peers_lost"):
            if name in counters:
                self._alarm(name, "warn", f"{name.replace('_', ' ')} in the whole run: {counters[name]}")
        for peer in self._peers.values():
            if peer.state == "open":
                peer.state, peer.since_s = "ended", self.time_s
        self._changed("peers")

    def _alarm(self, kind: str, level: str, text: str) -> None:
        self._alarms.add(kind, self.time_s, level, text)
        self._changed("alarms")

    def _changed(self, section: str) -> None:
        self._revision[section] = self._revision.get(section, 0) + 1

    # --- what the page shows -----------------------------------------------------------------------------------------

    def status(self) -> dict[str, object]:
        """Return the numbers in the head of the page."""
        since_s = self.time_s - RATE_WITHIN_S
        recent = sum(time_s > since_s for time_s in self._fix_times_s)
        return {
            "time_s": self.time_s,
            "records": self.records,
            "fixes": self.fixes,
            "fixes_per_s": recent / RATE_WITHIN_S if self.ended is None else None,
            "located": len({ue for ue, _ in self._fixes}),
            "users": len(self.about.controller.ues),
            "ended": self.ended,
            "failures": self._alarms.counts["failure"],
            "alarms": sum(self._alarms.counts.values()),
        }

    def ways(self) -> Mapping[tuple[str, str], Way]:
        """Return where users went in the whole run, by user and whether it is ``track`` or ``truth``."""
        return self._ways

    def sections(self, ue: str, seen: dict[str, int], later: Collection[str] = ()) -> dict[str, Section]:
        """Return what changed since `seen`, in which the revisions are noted; of users' samples that of `ue` alone.

        Sections that may come `later` are left out, unless they were never seen.
        """
        every = ("run", "peers", "fixes", "tracks", *SLOW, "alarms")
        wanted = [name for name in every if name not in later or name not in seen]
        names = {name: name for name in wanted} | {f"{view}:{ue}": view for view in ("power", "image", "elements")}
        changed = {}
        for name, shown_as in names.items():
            revision = self._revision.get(name, 0)
            if seen.get(name) != revision:
                seen[name] = revision
                changed[shown_as] = self._section(name, revision)
        return changed

    def _section(self, name: str, revision: int) -> Section:
        made = self._made.get(name)
        if made is None or made[0] != revision:
            made = self._made[name] = revision, self._make(name)
        return made[1]

    def _make(self, name: str) -> Section:
        view, _, ue = name.partition(":")
        if ":" in name:
            return self._heard.section(view, ue)
        make: Callable[[], Section] = getattr(self, f"_{view}_section")
        return make()

    def _run_section(self) -> Section:
        return Section(values=self.about.shown())

    def _peers_section(self) -> Section:
        return Section(values={"peers": [asdict(peer) for peer in self._peers.values()]})

    def _fixes_section(self) -> Section:
        return Section(values={"fixes": [fix_values(*fix) for fix in self._fixes.values()]})

    def _tracks_section(self) -> Section:
        points: list[Point] = []

        def span(trail: Iterable[Point]) -> tuple[int, int]:
            begin = len(points)
            points.extend(trail)
            return begin, len(points)

        truth = [
            {"ue": ue, "point": self._truths[ue], "trail": span(point for _, point in trail)}
            for ue, trail in self._trails.items()
        ]
        tracks = [
            {**{key: value for key, value in track.items() if key != "times_s"}, "trail": span(track["trail"])}
            for track in self._tracks.values()
        ]
        trails = np.array(points, dtype=np.float32).reshape(-1, 2)  # as text they would be most of a frame
        return Section(values={"tracks": tracks, "truth": truth}, arrays={"trails_m": trails})

    def _errors_section(self) -> Section:
        summaries, curves = self._errors.shown()
        return Section(
            values={"schemes": summaries}, arrays={name: curve.astype(np.float32) for name, curve in curves.items()}
        )

    def _latencies_section(self) -> Section:
        found = {kind: self._latencies[kind] for kind in (*REQUESTS, "fix") if kind in self._latencies}
        return Section(
            values={"requests": {kind: values.summary() for kind, values in found.items()}},
            arrays={"edges_ms": EDGES_MS.astype(np.float32)}
            | {kind: values.bins().astype(np.float32) for kind, values in found.items()},
        )

    def _alarms_section(self) -> Section:
        latest = [asdict(alarm) for alarm in self._alarms.latest]
        return Section(values={"counts": dict(self._alarms.counts), "latest": latest})
