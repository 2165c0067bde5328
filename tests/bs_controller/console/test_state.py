"""What the page shows is what the journal says: each panel's numbers against the records themselves."""

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from bs_controller.beams import focus_of_subcarrier
from bs_controller.bounds import Unknown
from bs_controller.console.about import about_from_config
from bs_controller.console.bounds import Emulated, FixBounds
from bs_controller.console.frames import frame
from bs_controller.console.state import ConsoleState
from bs_controller.console.tallies import EDGES_MS, Distribution
from bs_controller.console.tracks import WAY_POINTS, Way
from bs_controller.localizations import focus_from_record
from bs_controller.recorded import RecordedRun, open_run
from bs_controller.sweeps import Sweep, Trajectory
from bs_controller.trajectories import angle_trajectory, range_trajectory, wide_trajectory
from deploy.results import result_from_records
from deploy.simulation import SimulatedRadio, User
from deploy.study_bounds import BoundModel
from emulator.config import SweepMean
from protocol.messages import FeedbackKind
from protocol.testbed import default_facts
from tests.bs_controller.console.runs import decoded, state_of
from tests.deploy.recorded_runs import CBS_AND_OTHERS, SMALL, recorded_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return recorded_run(tmp_path_factory.mktemp("run"), schemes=list(CBS_AND_OTHERS), rounds=3)


@pytest.fixture(scope="module")
def journal(run: Path) -> RecordedRun:
    return open_run(run)


def test_errors_and_latencies_are_those_of_the_run_s_own_result(run: Path, journal: RecordedRun) -> None:
    result = result_from_records("", [(record, True) for record in journal.records], journal.truth, {}, 1)
    sections = state_of(run).sections("ue-a", {})
    for scheme, shown in sections["errors"].values["schemes"].items():  # type: ignore[attr-defined]
        errors = [fix.error_m for fix in result.fixes if fix.scheme == scheme]
        assert shown["count"] == len(errors)
        # the same distances by another formula, whose rounding is a few units of 1e-8 m at these ranges
        assert shown["p50"] == pytest.approx(np.median(np.array(errors, dtype=float)), abs=1e-7)
    shown_ms = sections["latencies"].values["requests"]
    for kind, latency in result.latency_ms.items():
        found = shown_ms[kind]  # type: ignore[index]
        assert (found["count"], found["p50"], found["p95"], found["p99"]) == (
            latency.count,
            latency.p50,
            latency.p95,
            latency.p99,
        )


def test_the_map_shows_the_newest_fix_of_each_user_and_scheme(run: Path, journal: RecordedRun) -> None:
    newest = {(record["ue"], record["scheme"]): record for record in journal.records if record["kind"] == "fix"}
    shown = state_of(run).sections("ue-a", {})["fixes"].values["fixes"]
    assert len(shown) == len(newest)  # type: ignore[arg-type]
    for fix in shown:  # type: ignore[attr-defined]
        record = newest[fix["ue"], fix["scheme"]]
        assert (fix["range_m"], fix["angle_rad"]) == (record["range_m"], record["angle_rad"])
        assert np.hypot(*fix["point"]) == pytest.approx(fix["range_m"])
        assert np.arctan2(fix["point"][1], fix["point"][0]) == pytest.approx(fix["angle_rad"])


def test_the_power_shown_is_that_of_the_newest_samples_and_its_foci_those_of_their_sweep(
    run: Path, journal: RecordedRun
) -> None:
    record = [one for one in journal.records if one["kind"] == "report" and one["ue"] == "ue-b" and "arrays" in one][-1]
    sweep = next(one for one in journal.records if one["kind"] == "sweep" and one["epoch"] == record["epoch"])
    state = state_of(run)
    power = state.sections("ue-b", {})["power"]
    (samples,) = journal.samples(record).values()
    # single precision has seven digits, of which a power near -100 dBm leaves four behind the point
    np.testing.assert_allclose(power.arrays["power_dbm"], 20 * np.log10(np.abs(samples)) + 30, atol=1e-4)
    assert power.values["epoch"] == record["epoch"]
    assert power.values["peak"] == int(np.abs(samples).argmax())
    focus = focus_from_record(sweep["focus"])  # type: ignore[arg-type]
    assert isinstance(focus, Trajectory)
    range_m, angle_rad = focus_of_subcarrier(focus, state.about.facts)
    np.testing.assert_allclose(power.arrays["focus_range_m"], range_m, rtol=1e-6)
    np.testing.assert_allclose(power.arrays["focus_angle_rad"], angle_rad, rtol=1e-5, atol=1e-6)


def test_points_of_the_image_are_those_of_the_fix_on_the_same_snapshot(run: Path, journal: RecordedRun) -> None:
    fix = [one for one in journal.records if one["kind"] == "fix" and one["scheme"] == "backprojection"][-1]
    image = state_of(run).sections(str(fix["ue"]), {})["image"]
    assert image.values["found"][0] == [fix["range_m"], fix["angle_rad"]]  # type: ignore[index]
    assert image.arrays["level"].max() == 255
    row, column = np.unravel_index(int(image.arrays["level"].argmax()), image.arrays["level"].shape)
    assert image.values["peak"] == [
        pytest.approx(image.arrays["range_m"][row]),
        pytest.approx(image.arrays["angle_rad"][column]),
    ]


def test_only_what_changed_is_sent_again(run: Path, journal: RecordedRun) -> None:
    state, seen = state_of(run, records=-1), dict[str, int]()
    assert set(state.sections("ue-a", seen)) >= {"run", "peers", "fixes", "errors", "latencies", "power"}
    assert state.sections("ue-a", seen) == {}
    state.note({"kind": "peer", "name": "ue-a", "event": "closed", "text": "silent", "time_s": 99.0}, dict)
    assert set(state.sections("ue-a", seen)) == {"peers", "alarms"}


def test_what_may_come_later_is_left_out_but_the_first_time(run: Path, journal: RecordedRun) -> None:
    state, seen = state_of(run, records=-1), dict[str, int]()
    assert "errors" in state.sections("ue-a", seen, later=("errors", "latencies"))
    fix = next(record for record in journal.records if record["kind"] == "fix")
    state.note(fix, dict)
    assert "errors" not in state.sections("ue-a", seen, later=("errors", "latencies"))
    assert "errors" in state.sections("ue-a", seen)


def test_a_state_that_was_duplicated_goes_on_by_itself(run: Path, journal: RecordedRun) -> None:
    state = state_of(run, records=20)
    before = state.status()
    other = state.duplicate()
    for record in journal.records[20:]:
        other.note(record, dict)
    assert state.status() == before
    assert other.status() == state_of(run).status()


def test_alarms_tell_of_lost_peers_failures_and_records_that_are_not_on_disk(run: Path) -> None:
    state = state_of(run, records=3)
    whose = {"ue": "ue-a", "scheme": "cbs", "round": 0}
    state.note({"kind": "peer", "name": "ue-a", "event": "closed", "text": "silent for 2 s"}, dict)
    state.note({"kind": "failure", **whose, "reason": "deadline", "text": "no answer"}, dict, recorded=False)
    state.note_lost(4)
    alarms = state.sections("ue-a", {})["alarms"].values
    assert alarms["counts"] == {"peer lost": 1, "failure": 1, "unrecorded": 1, "lost": 1}
    assert [entry["level"] for entry in alarms["latest"]] == ["warn", "bad", "bad", "warn"]  # type: ignore[attr-defined]


def test_a_frame_holds_every_number_of_its_sections(run: Path) -> None:
    state = state_of(run)
    sections = state.sections("ue-a", {})
    found = decoded(frame(state.status(), sections))
    assert found.status == state.status()
    assert set(found.sections) == set(sections)
    for name, section in sections.items():
        for key, array in section.arrays.items():
            np.testing.assert_array_equal(found.arrays[name, key], array)


def test_a_number_that_is_not_finite_becomes_null() -> None:
    assert decoded(frame({"worst": float("inf")}, {})).status == {"worst": None}


def test_the_bound_of_a_fix_is_that_which_studies_set_beside_it() -> None:
    facts, place, visible = default_facts(subcarriers=256, elements=64), (9.0, 0.2), (1, 2, 3)
    foci = [angle_trajectory(facts), range_trajectory(facts, 0.2)]
    sweeps = [Sweep(focus=focus, kind=FeedbackKind.COMPLEX) for focus in foci]
    radio = SimulatedRadio(facts, rng=np.random.default_rng(1), downlink_noise=SweepMean(snr_db=20.0))
    user = User(range_m=place[0], angle_rad=place[1], visible_subarrays=visible)
    for sweep in sweeps:
        radio.received(sweep, user)
    wanted = BoundModel(facts).bound(radio.heard, user, Unknown.GAIN)
    assert wanted is not None
    emulated = Emulated(downlink_snr_db=20.0, visible={"ue-1": visible})
    found_m = FixBounds(facts, emulated, {"cbs": Unknown.GAIN}).bound_m("cbs", "ue-1", foci, place)
    # controller and emulator have each their own model of the power that the ratio is of; both are exact
    assert found_m == pytest.approx(wanted.position_rms_m(place[0]), rel=1e-6)


def test_no_bound_is_shown_where_nobody_knows_the_noise() -> None:
    facts = default_facts(subcarriers=256, elements=64)
    bounds = FixBounds(facts, Emulated(visible={}), {"cbs": Unknown.GAIN})
    assert bounds.bound_m("cbs", "ue-1", [angle_trajectory(facts), range_trajectory(facts, 0.2)], (9.0, 0.2)) is None
    assert bounds.bound_m("cbs", "ue-1", [None], (9.0, 0.2)) is None
    assert bounds.bound_m("another", "ue-1", [angle_trajectory(facts)], (9.0, 0.2)) is None


def test_a_track_is_drawn_where_it_says_with_its_velocity_and_the_way_so_far(run: Path) -> None:
    state = state_of(run, records=3)
    covariance = [[4.0, 1.0, 0.0, 0.0], [1.0, 9.0, 0.0, 0.0], [0.0, 0.0, 0.1, 0.0], [0.0, 0.0, 0.0, 0.1]]
    motion = {"vx_m_s": 0.5, "vy_m_s": -0.25, "covariance": np.ravel(covariance).tolist(), "age_ms": 3.0}
    for n in range(3):
        state.note(
            {"kind": "track", "ue": "ue-a", "round": n, "at_s": 0.1 * n, "x_m": 2.0 + n, "y_m": 1.0, **motion}, dict
        )
    section: Any = state.sections("ue-a", {})["tracks"]
    (track,) = section.values["tracks"]
    begin, end = track["trail"]
    assert track["point"] == (4.0, 1.0)
    assert section.arrays["trails_m"][begin:end].tolist() == [[2.0, 1.0], [3.0, 1.0], [4.0, 1.0]]
    assert (track["velocity"], track["covariance"]) == ([0.5, -0.25], (4.0, 1.0, 9.0))


def fix_of(run: Path, number: int, x_m: float, y_m: float, epochs: list[int]) -> dict[str, Any]:
    record = next(one for one in open_run(run).records if one["kind"] == "fix")
    place = {"range_m": math.hypot(x_m, y_m), "angle_rad": math.atan2(y_m, x_m)}
    return {**record, "ue": "ue-a", "scheme": "follow", "round": number, "epochs": epochs, **place}


def test_errors_of_tracks_stand_beside_those_of_the_fixes_that_they_were_made_of(tmp_path: Path) -> None:
    run = recorded_run(tmp_path, track={})
    about = state_of(run, 0).about
    # on the way from (6, 0) to (8, 0); a fix of both sweeps is of the middle of the way
    state = ConsoleState(about, lambda _, epoch: (6.0 + 2 * epoch, 0.0) if epoch < 2 else None)
    track = {"kind": "track", "ue": "ue-a", "y_m": 0.3, "at_s": 1.0}
    for record in (
        fix_of(run, 7, 7.0, 0.4, [0, 1]),
        {**track, "round": 7, "x_m": 7.0},
        {**track, "round": 8, "x_m": 9.0},  # of a fix that is not known
        fix_of(run, 9, 7.0, 0.4, [2]),  # of which the truth is not known
        {**track, "round": 9, "x_m": 9.0},
    ):
        state.note(record, dict)
    errors = state.sections("ue-a", {})["errors"]
    found: Any = errors.values["schemes"]
    assert (found["follow"]["count"], found["follow"]["tracks"]["count"]) == (1, 1)
    assert found["follow"]["p50"] == pytest.approx(0.4)
    assert found["follow"]["tracks"]["p50"] == pytest.approx(0.3)
    assert errors.arrays["follow/tracks"] == pytest.approx([0.3], rel=1e-6)  # single precision


def test_a_followed_fix_has_the_bound_of_its_one_sweep(tmp_path: Path) -> None:
    about = state_of(recorded_run(tmp_path, track={}), 0).about
    facts, place = about.facts, (5.0, 0.2)
    focus = wide_trajectory(facts, 2.0, forward=True)
    sweep = Sweep(focus=focus, kind=FeedbackKind.COMPLEX)
    radio = SimulatedRadio(facts, rng=np.random.default_rng(1), downlink_noise=SweepMean(snr_db=20.0))
    user = User(range_m=place[0], angle_rad=place[1])
    radio.received(sweep, user)
    wanted = BoundModel(facts).bound(radio.heard, user, Unknown.GAIN)
    assert wanted is not None
    bounds = FixBounds(facts, Emulated(downlink_snr_db=20.0, visible={}), about.unknowns)
    found_m = bounds.bound_m("follow", "ue-a", [focus], place)
    # controller and emulator have each their own model of the power that the ratio is of; both are exact
    assert found_m == pytest.approx(wanted.position_rms_m(place[0]), rel=1e-6)


def test_a_scheme_that_finds_seldom_has_its_bound_beside_one_that_finds_often(
    run: Path, journal: RecordedRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FixBounds, "bound_m", lambda *_: 0.5)
    state = state_of(run)
    fix = next(record for record in journal.records if record["kind"] == "fix" and record["scheme"] == "cbs")
    for _ in range(300):
        state.note({**fix, "scheme": "often"}, dict)
    for _ in range(10):
        assert state.refine()
    found: Any = state.sections("ue-a", {})["errors"].values["schemes"]
    assert found["cbs"]["bound_m"] == found["often"]["bound_m"] == 0.5


def test_sub_arrays_of_users_that_the_file_numbers_are_those_of_each(tmp_path: Path) -> None:
    config = {
        **SMALL,
        "controller": {"ues": ["ue-1..3"], "schemes": [{"scheme": "cbs"}]},
        "emulator": {"users": {"ue-1..2": {"visible_subarrays": [1, 2]}, "ue-3": {}}},
    }
    about = about_from_config(yaml.safe_dump(config), {}, str(tmp_path))
    assert about.emulated.visible == {"ue-1": (1, 2), "ue-2": (1, 2)}


def test_alarms_that_say_the_same_are_one_with_the_time_of_the_last(run: Path) -> None:
    state = state_of(run, records=3)
    for number in range(300):
        failure = {"kind": "failure", "ue": "ue-a", "scheme": "cbs", "round": number, "reason": "radio", "text": "gone"}
        state.note({**failure, "time_s": 10.0 + number}, dict)
    state.note({"kind": "peer", "name": "ue-a", "event": "closed", "text": "silent", "time_s": 311.0}, dict)
    alarms: Any = state.sections("ue-a", {})["alarms"].values
    assert alarms["counts"] == {"failure": 300, "peer lost": 1}
    assert [(one["time_s"], one["times"]) for one in alarms["latest"]] == [(311.0, 1), (309.0, 300)]


def test_a_way_of_any_length_is_few_points_from_its_beginning_to_its_end() -> None:
    way = Way()
    for n in range(100_000):
        way.add((float(n), -float(n)))
    points = way.points()
    assert WAY_POINTS / 2 <= len(points) <= WAY_POINTS + 1
    assert (points[0], points[-1]) == ((0.0, 0.0), (99_999.0, -99_999.0))
    apart = {round(after[0] - before[0]) for before, after in itertools.pairwise(points[:-1])}
    assert apart == {way.every}


def test_a_distribution_is_that_of_the_latest_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bs_controller.console.tallies.LATEST", 100)
    found = Distribution()
    for n in range(250):
        found.add(float(n))
    assert found.count == 250
    assert sorted(found.latest) == list(range(150, 250))
    assert found.summary()["p50"] == np.percentile(np.arange(150, 250), 50)
    slow = [sum(low <= value < high for value in found.latest) for low, high in itertools.pairwise(EDGES_MS)]
    assert found.bins().tolist() == slow
