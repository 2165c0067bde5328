"""One UE's work: its schemes in order, whose turn it is, and what a step of a scheme comes to."""

import tracemalloc
from collections.abc import Generator

import pytest

from bs_controller.jobs import Broken, Found, Job, Plans, Reason, Stage, Wanted, step
from bs_controller.sweeps import Answer, Fix, Localization, PeakFeedback, Request
from tests.bs_controller.rehearsal import COMMON, Asking, sweep_to

ONE, TWO = Asking(name="one"), Asking(name="two", requests=(COMMON, sweep_to(9.0)))
PEAK = PeakFeedback(subcarrier=3)


def job(ue: str = "ue-a", at: int = 0, rounds: int = 1) -> Job:
    """A job whose localization number `at` is under way."""
    started = Job(ue, Plans([ONE, TWO], rounds))
    for _ in range(at + 1):
        started.begin_next(now_s=0.0)
    return started


def test_plans_are_all_schemes_of_one_round_before_the_next() -> None:
    plans = Plans([ONE, TWO], rounds=2)
    order = [(plans[at].round, plans[at].scheme.name, plans[at].position) for at in range(len(plans))]
    assert order == [(0, "one", 0), (0, "two", 1), (1, "one", 2), (1, "two", 3)]


def test_million_rounds_of_a_user_take_no_memory() -> None:
    tracemalloc.start()
    try:
        begun = job(rounds=1_000_000)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(begun.plans) == 2_000_000
    assert peak_bytes < 100_000  # a single byte for each would be twenty times as much


def test_plan_beyond_the_last_is_an_error() -> None:
    with pytest.raises(IndexError):
        Plans([ONE, TWO], rounds=2)[4]


def test_job_is_done_after_its_last_plan() -> None:
    started = job(at=1)
    assert not started.begin_next(now_s=0.0)
    assert started.done
    assert started.stage is Stage.DONE


def test_job_is_not_done_while_its_last_plan_is_under_way() -> None:
    assert not job(at=1).done


def test_next_localization_starts_without_the_history_of_the_last() -> None:
    started = job()
    started.want(COMMON, now_s=1.0)
    started.attempts = 2
    started.answered(epoch=5, on_air_s=(0.9, 1.0), now_s=2.0)
    started.begin_next(now_s=3.0)
    assert (started.step, started.attempts, started.epochs, started.sweep_latency_ms) == (0, 0, [], [])


def test_latency_of_a_sweep_counts_from_its_wish_to_its_answer() -> None:
    started = job()
    started.want(COMMON, now_s=1.0)
    started.answered(epoch=5, on_air_s=(0.9, 1.0), now_s=1.25)
    assert started.sweep_latency_ms == [250.0]  # exact: a quarter of a second is a binary number


def test_state_of_a_users_work_tells_absence_and_a_bad_end_from_what_it_waits_for() -> None:
    user = job()
    seen = [user.state]
    user.present = True
    seen.append(user.state)
    user.want(COMMON, now_s=0.0)
    seen.append(user.state)
    user.abandon(Reason.UE_ABSENT, "gone", now_s=1.0)
    seen.append(user.state)
    while not user.done:
        user.skip(now_s=2.0)
    assert [*seen, user.state] == ["absent", "computing", "pending", "given_up", "given_up"], "who looks later sees it"


def test_user_that_leaves_when_its_work_is_done_is_not_given_up() -> None:
    user = job(at=len(job().plans) - 1)
    user.begin_next(now_s=1.0)
    user.abandon(Reason.UE_ABSENT, "gone", now_s=2.0)
    assert user.state == "done"


def test_who_is_furthest_behind_goes_first() -> None:
    ahead, behind = job("ue-a", at=1), job("ue-b", at=0)
    assert behind.turn < ahead.turn


def test_first_stage_goes_before_the_second_of_the_same_scheme() -> None:
    second, first = job("ue-a"), job("ue-b")
    second.want(COMMON, now_s=0.0)
    second.want(COMMON, now_s=1.0)
    first.want(COMMON, now_s=2.0)
    assert first.turn < second.turn


def test_missed_request_waits_for_the_others_of_the_same_localization() -> None:
    missed, ahead = job("ue-a"), job("ue-b")
    missed.want(COMMON, now_s=0.0)
    missed.attempts = 1
    for now_s in (0.0, 1.0):
        ahead.want(COMMON, now_s)
    assert ahead.turn < missed.turn


def test_step_of_a_fresh_localization_is_its_first_request() -> None:
    assert step(TWO.locate(), None) == Wanted(request=COMMON)


def test_step_with_the_last_answer_is_the_fix() -> None:
    localization = ONE.locate()
    step(localization, None)
    assert step(localization, PEAK) == Found(fix=Fix(range_m=10.0, angle_rad=0.0, sweeps=1))


def raising(error: Exception) -> Localization:
    def localization() -> Generator[Request, Answer, Fix]:
        yield COMMON
        raise error

    return localization()


@pytest.mark.parametrize(
    "error",
    [ValueError("x"), TypeError("x"), ZeroDivisionError("x"), IndexError("x"), RuntimeError("x"), AttributeError("x")],
)
def test_error_of_a_scheme_is_a_result_with_its_name(error: Exception) -> None:
    localization = raising(error)
    step(localization, None)
    assert step(localization, PEAK) == Broken(text=f"{type(error).__name__}: x")


def test_interruption_is_no_result() -> None:
    localization = raising(MemoryError())
    step(localization, None)
    with pytest.raises(MemoryError):
        step(localization, PEAK)
