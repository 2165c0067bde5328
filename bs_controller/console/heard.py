"""What each user was last heard with: its newest samples, and the curves and images made of them when asked (rules)."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from bs_controller.console.bounds import Request
from bs_controller.console.frames import Section
from bs_controller.console.views import IMAGE_SPAN_DB, Samples, Views, focus_of_each_subcarrier, power_dbm
from bs_controller.localizations import focus_from_record
from bs_controller.sweeps import Coded, Trajectory
from protocol.testbed import FrontEndLimits, TestbedFacts

Record = Mapping[str, Any]
#: Returns the arrays of a record by stream; those of a recording are read only when they are shown.
Heard = Callable[[], Mapping[str, Samples]]

SWEEPS_KEPT = 256
_FORMS_WITH_SAMPLES = ("ComplexFeedback", "PowerFeedback")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    record: Record
    samples: Heard
    focus: Record | None = None

    def __deepcopy__(self, _: object) -> "_Answer":
        return self


class HeardViews:
    """The newest samples of every user."""

    def __init__(self, facts: TestbedFacts) -> None:
        self._facts, self.views = facts, Views(facts)
        self._limits: FrontEndLimits | None = None
        self._foci: dict[int, Record] = {}
        self._answers: dict[tuple[str, str], _Answer] = {}  # by view and user
        self._places: dict[str, Record] = {}  # newest fix by user, one with visible sub-arrays before others
        self._image_fixes: dict[str, Record] = {}

    def note_front_end(self, record: Record) -> None:
        """Take what a radio says that its front end can do."""
        if "front_end" in record:
            self._limits = msgspec.convert(record["front_end"], FrontEndLimits)

    def note_sweep(self, record: Record) -> None:
        """Take what is on the air."""
        self._foci[record["epoch"]] = record["focus"]
        while len(self._foci) > SWEEPS_KEPT:
            del self._foci[next(iter(self._foci))]

    def requests(self, record: Record) -> list[Request]:
        """Return what a fix was made of; nothing if some of it is not known any more."""
        snapshot = self._answers.get(("image", record["ue"]))
        requests: list[Request] = []
        for epoch in record["epochs"]:
            if snapshot is not None and snapshot.record["epoch"] == epoch:
                requests.append(None)
            elif epoch in self._foci and not isinstance(focus := focus_from_record(self._foci[epoch]), Coded):
                requests.append(focus)
            else:
                return []
        return requests

    def note_answer(self, record: Record, samples: Heard) -> Iterator[str]:
        """Take a report or snapshot; yield the sections that it changed."""
        ue = record["ue"]
        answer = _Answer(record=record, samples=samples, focus=self._foci.get(record["epoch"]))
        if record["kind"] == "snapshot":
            self._answers["image", ue] = answer
            yield f"image:{ue}"
            return
        shown = self._answers.get(("power", ue))
        if shown is None or record["form"] in _FORMS_WITH_SAMPLES or shown.record["form"] not in _FORMS_WITH_SAMPLES:
            self._answers["power", ue] = answer
            yield f"power:{ue}"
        if record["form"] == "ComplexFeedback" and answer.focus is not None and answer.focus["form"] == "Trajectory":
            self._answers["elements", ue] = answer
            yield f"elements:{ue}"

    def note_fix(self, record: Record) -> Iterator[str]:
        """Take a fix; yield the sections that it changed."""
        ue = record["ue"]
        shown = self._answers.get(("image", ue))
        if shown is not None and shown.record["epoch"] in record["epochs"]:
            self._image_fixes[ue] = record
            yield f"image:{ue}"
        elif self._visible(record) is not None or self._visible(self._places.get(ue, {})) is None:
            self._places[ue] = record
            yield f"elements:{ue}"

    @staticmethod
    def _visible(record: Record) -> list[int] | None:
        visibility = record.get("visibility") or {}
        return list(visibility["subarrays"]) if "subarrays" in visibility else None

    def section(self, view: str, ue: str) -> Section:
        """Return ``power``, ``image`` or ``elements`` of a user; without arrays where there is nothing to show, and why."""
        answer = self._answers.get((view, ue))
        if answer is None:
            return Section(values={"ue": ue, "why": _NOTHING[view]})
        about = {key: answer.record.get(key) for key in ("ue", "epoch", "scheme", "round", "form", "time_s")}
        arrays = answer.samples()
        match view:
            case "power":
                return self._power(about, answer, arrays)
            case "image":
                return self._image(about, ue, arrays)
            case _:
                return self._elements(about, ue, answer, arrays)

    def _power(self, about: Record, answer: _Answer, arrays: Mapping[str, Samples]) -> Section:
        curves = {}
        values: dict[str, object] = {**about, "subcarrier": answer.record.get("subcarrier")}
        if answer.focus is not None:
            focus = focus_from_record(answer.focus)
            if not isinstance(focus, Coded):  # which looks nowhere
                curves["focus_range_m"], curves["focus_angle_rad"] = focus_of_each_subcarrier(focus, self._facts)
            values["focus"] = answer.focus["form"]
        if not arrays:
            return Section(values={**values, "why": _without_samples(answer.record)}, arrays=curves)
        power = power_dbm(next(iter(arrays.values())))
        peak = int(power.argmax())
        return Section(
            values={**values, "peak": peak, "peak_dbm": float(power[peak])}, arrays={"power_dbm": power, **curves}
        )

    def _image(self, about: Record, ue: str, arrays: Mapping[str, Samples]) -> Section:
        if not arrays:
            return Section(values={**about, "why": "this run keeps no samples (record_samples: false)"})
        image = self.views.image(next(iter(arrays.values())))
        fix = self._image_fixes.get(ue)
        points = [] if fix is None or fix["epochs"][-1] != about["epoch"] else [fix, *fix["targets"]]
        return Section(
            values={
                **about,
                "span_db": IMAGE_SPAN_DB,
                "peak": [image.peak_range_m, image.peak_angle_rad],
                "found": [[point["range_m"], point["angle_rad"]] for point in points],
            },
            arrays={"level": image.level, "range_m": image.range_m, "angle_rad": image.angle_rad},
        )

    def _elements(self, about: Record, ue: str, answer: _Answer, arrays: Mapping[str, Samples]) -> Section:
        fix = self._places.get(ue)
        if fix is None or not arrays or answer.focus is None:
            why = "no fix yet to look from" if fix is None else "this run keeps no samples (record_samples: false)"
            return Section(values={**about, "why": why})
        focus = focus_from_record(answer.focus)
        assert isinstance(focus, Trajectory)  # noqa: S101 - others are not kept for this view
        place = fix["range_m"], fix["angle_rad"]
        level_db, phase_rad = self.views.elements_db(next(iter(arrays.values())), focus, self._limits, place)
        return Section(
            values={**about, "by": fix["scheme"], "place": place, "visible": self._visible(fix)},
            arrays={"level_db": level_db, "phase_rad": phase_rad},
        )


def _without_samples(record: Record) -> str:
    match record["form"]:
        case "PeakFeedback":
            return "the user reported its strongest subcarrier alone"
        case "GroupFeedback":
            return f"the user reported its strongest group alone: {record['group']}"
        case _:
            return "this run keeps no samples (record_samples: false)"


_NOTHING = {
    "power": "no report of this user yet",
    "image": "no uplink snapshot of this user",
    "elements": "needs a complex report of a sweep with one group",
}
