"""A continuous run: whose round is due, what is skipped, and who is followed."""

import math
from collections import Counter
from dataclasses import dataclass, field, replace

import msgspec
import pytest

from bs_controller.config import TrackSection
from bs_controller.jobs import Job
from bs_controller.sweeps import Covariance, Fix, Localization, Prior
from bs_controller.tracker import FOLLOWED_RMS_M, LEFT_ALONE_S, SHARING, Tracker
from tests.bs_controller.rehearsal import COMMON, RADIO, SECTION, Asking, Rehearsal, sweep_to

TENTH = TrackSection(rate_hz=10.0, locate_every=1)
ROUNDS_OF_ONE_S = (9, 10, 11)  # one more or less at its ends


def rehearsal_of(track: TrackSection, ues: tuple[str, ...] = ("ue-a", "ue-b"), **what: Asking) -> Rehearsal:
    section = msgspec.structs.replace(SECTION, ues=ues, track=track)
    return Rehearsal([what.get("scheme", Asking())], ues, section)


def played(rehearsal: Rehearsal, steps: int, step_s: float = 0.02) -> Rehearsal:
    """Let time pass, in which everybody answers at once."""
    for _ in range(steps):
        rehearsal.wait(step_s)
        rehearsal.play()
    return rehearsal


# --- rounds ----------------------------------------------------------------------------------------------------------


def test_users_of_one_rate_share_each_sweep() -> None:
    rehearsal = rehearsal_of(TENTH)
    rehearsal.begin()
    played(rehearsal, 99)
    assert len(rehearsal.configures) == 20  # at 0.0, 0.1 ... 1.9 s
    assert Counter(rehearsal.fixed) == {"ue-a": 20, "ue-b": 20}


def test_many_users_share_sweeps_in_groups_that_are_due_one_after_another() -> None:
    ues = tuple(f"ue-{number}" for number in range(2 * SHARING + 1))
    rehearsal = rehearsal_of(msgspec.structs.replace(TENTH, rate_hz=2.0), ues)
    rehearsal.begin()
    played(rehearsal, 49)
    sweeps = rehearsal.recorded("sweep")
    assert [len(msgspec.convert(sweep["ues"], list[str])) for sweep in sweeps] == [11] * 6  # at 0, 1/6, 1/3 ... 5/6 s
    times_s = [sweep["time_s"] for sweep in sweeps]
    assert times_s == pytest.approx([third / 6 for third in range(6)], abs=0.02)  # of the clock's tick
    assert Counter(rehearsal.fixed) == dict.fromkeys(ues, 2)


def test_rounds_of_a_group_rank_by_when_they_are_due() -> None:
    ues = tuple(f"ue-{number}" for number in range(2 * SHARING))
    section = msgspec.structs.replace(SECTION, ues=ues)
    tracker = Tracker([Asking()], section, TENTH, follow=Following(), counters=Counter(), now_s=0.0)
    first, second = tracker.job("ue-0"), tracker.job("ue-1")  # of two groups
    for job in (first, second):
        job.present = True
        assert tracker.begin(job, 0.06)
    assert [first.rank, second.rank] == pytest.approx([0.0, 0.05])


def test_user_with_a_rate_of_its_own_is_located_as_often() -> None:
    rehearsal = rehearsal_of(msgspec.structs.replace(TENTH, rates_hz={"ue-b": 2.0}))
    rehearsal.begin()
    played(rehearsal, 99)
    assert Counter(rehearsal.fixed) == {"ue-a": 20, "ue-b": 4}


def test_round_that_is_due_while_another_is_under_way_is_skipped_and_counted() -> None:
    rehearsal = rehearsal_of(TENTH, ("ue-a",))
    rehearsal.begin()
    rehearsal.wait(0.22)  # rounds 1 and 2 are due, and nobody has answered round 0
    rehearsal.play()
    assert [record["round"] for record in rehearsal.recorded("fix")] == [0, 2]
    assert rehearsal.run.counters["skipped_rounds"] == 1


def test_run_of_a_duration_ends_after_it() -> None:
    rehearsal = rehearsal_of(msgspec.structs.replace(TENTH, duration_s=1.0))
    rehearsal.begin()
    assert not played(rehearsal, 49).run.finished
    assert played(rehearsal, 3).run.finished
    assert Counter(rehearsal.fixed) == {"ue-a": 10, "ue-b": 10}


def test_run_of_a_duration_ends_although_a_user_never_came() -> None:
    rehearsal = rehearsal_of(msgspec.structs.replace(TENTH, duration_s=0.5))
    rehearsal.join("ue-a", RADIO)
    played(rehearsal, 30)
    assert rehearsal.run.finished
    assert set(rehearsal.fixed) == {"ue-a"}


def test_schemes_take_turns() -> None:
    rehearsal = Rehearsal(
        [Asking(), Asking(requests=(sweep_to(9.0),), name="other")],
        ("ue-a",),
        msgspec.structs.replace(SECTION, track=TENTH),
    )
    rehearsal.begin()
    played(rehearsal, 24)
    assert [record["scheme"] for record in rehearsal.recorded("fix")] == [
        "asking",
        "other",
        "asking",
        "other",
        "asking",
    ]


# --- peers that do not answer ----------------------------------------------------------------------------------------


def test_silent_user_is_asked_for_less_and_less_often_and_costs_others_little() -> None:
    rehearsal = rehearsal_of(TENTH)
    rehearsal.begin()
    rehearsal.silent.add("ue-b")
    played(rehearsal, 1000)
    # 0.25 s each after pauses of 0.1, 0.3, 0.7 ... up to 5 s: in 20 s some eight times
    assert 6 <= len([failure for failure in rehearsal.failed if failure[0] == "ue-b"]) <= 10
    assert rehearsal.fixed.count("ue-a") > 0.85 * 200


def test_user_that_answers_again_is_back_at_its_rate_at_once() -> None:
    rehearsal = rehearsal_of(TENTH)
    rehearsal.begin()
    rehearsal.silent.add("ue-b")
    played(rehearsal, 200)
    rehearsal.silent.clear()
    played(rehearsal, round(LEFT_ALONE_S / 0.02))
    before = rehearsal.fixed.count("ue-b")
    played(rehearsal, 50)
    assert rehearsal.fixed.count("ue-b") - before in ROUNDS_OF_ONE_S


def test_absent_user_is_waited_for_and_the_others_go_on() -> None:
    rehearsal = rehearsal_of(TENTH)
    rehearsal.begin()
    played(rehearsal, 49)
    rehearsal.leave("ue-b")
    played(rehearsal, 1000)
    assert rehearsal.fixed.count("ue-a") == pytest.approx(10 + 200, abs=1)
    rehearsal.join("ue-b")
    played(rehearsal, 50)
    assert rehearsal.fixed.count("ue-b") - 10 in ROUNDS_OF_ONE_S


def test_radio_that_comes_back_finds_everyone_waiting() -> None:
    rehearsal = rehearsal_of(TENTH)
    rehearsal.begin()
    played(rehearsal, 10)
    rehearsal.leave(RADIO)
    played(rehearsal, 500)
    assert rehearsal.failed == []
    before = len(rehearsal.fixed)
    rehearsal.join(RADIO)
    played(rehearsal, 50)
    assert len(rehearsal.fixed) >= before + 2 * 10


# --- tracks ----------------------------------------------------------------------------------------------------------


@dataclass
class Following:
    """A way to follow that asks for the common sweep and finds the user where it was thought to be."""

    priors: list[Prior] = field(default_factory=list)

    def locate_from(self, prior: Prior) -> Localization:
        self.priors.append(prior)
        return self._found_at(prior)

    @staticmethod
    def _found_at(prior: Prior) -> Localization:
        answer = yield COMMON
        return Fix(range_m=prior.range_m, angle_rad=prior.angle_rad, sweeps=answer.pilots)


def tracker_with(fix: Fix, every: int = 5) -> tuple[Tracker, Job, Following]:
    """A tracker whose user has this fix of round 0."""
    following = Following()
    options = msgspec.structs.replace(TENTH, locate_every=every)
    tracker = Tracker([Asking()], SECTION, options, follow=following, counters=Counter(), now_s=0.0)
    job = tracker.job("ue-a")
    job.present = True
    assert tracker.begin(job, 0.0)
    job.answered(epoch=1, on_air_s=(0.01, 0.01), now_s=0.02)
    assert [record["kind"] for record in tracker.found(job, fix, 0.02)] == ["track"]
    return tracker, job, following


def good_fix(rms_m: float) -> Fix:
    covariance = Covariance(range_m2=rms_m**2, range_angle_m_rad=0.0, angle_rad2=(rms_m / 10) ** 2)
    return Fix(range_m=10.0, angle_rad=0.2, sweeps=2, covariance=covariance)


def test_user_whose_place_is_known_well_is_followed_but_for_every_fifth_round() -> None:
    following = Following()
    slow = msgspec.structs.replace(TENTH, locate_every=5, speed_rms_m_s=0.1)
    tracker = Tracker([Asking()], SECTION, slow, follow=following, counters=Counter(), now_s=0.0)
    job = tracker.job("ue-a")
    job.present = True
    labels = []
    for number in range(11):
        assert tracker.begin(job, 0.1 * number)
        labels.append(job.label)
        job.answered(epoch=1, on_air_s=(0.1 * number + 0.01,) * 2, now_s=0.1 * number + 0.02)
        tracker.found(job, good_fix(0.001), 0.1 * number + 0.02)
    assert labels == ["asking", *["follow"] * 4, "asking", *["follow"] * 4, "asking"]
    assert [prior.range_m for prior in following.priors] == pytest.approx([10.0] * 8, abs=0.02)


def test_users_are_located_from_nothing_in_different_rounds() -> None:
    ues = tuple(f"ue-{number}" for number in range(5))
    section = msgspec.structs.replace(SECTION, ues=ues)
    options = msgspec.structs.replace(TENTH, locate_every=5, speed_rms_m_s=0.1)
    tracker = Tracker([Asking()], section, options, follow=Following(), counters=Counter(), now_s=0.0)
    jobs = [tracker.job(ue) for ue in ues]
    located = []
    for number in range(10):
        for job in jobs:
            job.present = True
            assert tracker.begin(job, 0.1 * number)
            job.answered(epoch=1, on_air_s=(0.1 * number + 0.01,) * 2, now_s=0.1 * number + 0.02)
            located += [number] if job.label == "asking" else []
            tracker.found(job, good_fix(0.001), 0.1 * number + 0.02)
    # all in the first round, where nobody has a track, and then one in each, who was not in the round before
    assert located == [0] * 5 + list(range(1, 10))


def test_user_whose_place_is_known_badly_is_located_anew() -> None:
    tracker, job, following = tracker_with(good_fix(2 * FOLLOWED_RMS_M))
    assert tracker.begin(job, 0.1)
    assert (job.label, following.priors) == ("asking", [])


def test_record_of_a_track_says_when_where_and_how_old() -> None:
    rehearsal = rehearsal_of(TENTH, ("ue-a",))
    rehearsal.begin()
    rehearsal.answer_next()  # the radio is ready at 0 s
    rehearsal.wait(0.03)
    rehearsal.play()
    (record,) = rehearsal.recorded("track")
    assert (record["x_m"], record["y_m"], record["fixes"], record["refused"]) == (10.0, 0.0, 1, 0)
    assert record["age_ms"] == pytest.approx(30.0)
    assert record["at_s"] == pytest.approx(0.0)


@dataclass(frozen=True, kw_only=True)
class AskingWhoMoves(Asking):
    """A scheme that also locates users who move, if so planned."""

    finds_movers: bool = True

    def locate_moving(self) -> Localization:
        answer = yield COMMON
        return Fix(range_m=11.0, angle_rad=0.0, sweeps=answer.pilots)


def test_scheme_that_can_locate_users_who_move_is_asked_to() -> None:
    rehearsal = rehearsal_of(TENTH, ("ue-a",), scheme=AskingWhoMoves())
    rehearsal.begin()
    played(rehearsal, 10)
    assert {record["range_m"] for record in rehearsal.recorded("fix")} == {11.0}


def deviation_m(scheme: Asking, within_s: float = 0.0) -> float:
    """Return how far off a track at 2 m/s may be after a fix of two sweeps 0.04 s apart, each known to be within a time."""
    tracker = Tracker([scheme], SECTION, TENTH, follow=Following(), counters=Counter(), now_s=0.0)
    job = tracker.job("ue-a")
    job.present = True
    for number in range(20):
        assert tracker.begin(job, 0.1 * number)
        for sweep_s in (0.01, 0.05):
            at_s = 0.1 * number + sweep_s
            on_air_s = at_s - within_s / 2, at_s + within_s / 2
            job.answered(epoch=1, on_air_s=on_air_s, now_s=0.1 * number + 0.06)
        (record,) = tracker.found(job, replace(good_fix(0.001), range_m=10.0 + 0.2 * number), 0.1 * number + 0.06)
    covariance = record["covariance"]
    assert isinstance(covariance, list)
    return math.sqrt(covariance[0])


def test_sweep_that_came_on_the_air_nobody_knows_when_is_believed_as_far_as_its_user_moves_meanwhile() -> None:
    # two times within 120 ms each: the mean is off by 24 ms, in which the user moves by 49 mm; a filter is off by less
    assert 0.02 < deviation_m(AskingWhoMoves(), within_s=0.12) < 0.049


def test_fix_that_takes_a_walker_for_still_is_believed_as_far_as_it_moved_between_the_sweeps() -> None:
    # two sweeps 40 ms apart are 20 ms from their middle, in which the user moves by 40 mm; a fix alone is right to 1 mm
    assert 0.02 < deviation_m(Asking()) < 0.04
    assert 0.02 < deviation_m(AskingWhoMoves(finds_movers=False)) < 0.04
    assert deviation_m(AskingWhoMoves()) < 0.002
