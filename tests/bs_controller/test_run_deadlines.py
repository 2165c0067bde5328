"""What a run does when somebody does not answer, declines, leaves or never comes: the others go on."""

import msgspec

from bs_controller.run import FAILED_AT_ONCE
from bs_controller.sweeps import Sounding
from protocol import messages as msg
from tests.bs_controller.rehearsal import (
    DEADLINE_S,
    GATHER_S,
    RADIO,
    REJOIN_S,
    RETRIES,
    SECTION,
    Asking,
    CommonThenOwn,
    Rehearsal,
)

MISSED = "deadline missed"


def begun(rehearsal: Rehearsal, *silent: str) -> Rehearsal:
    """A run that everybody has joined, in which these do not answer."""
    rehearsal.silent |= set(silent)
    rehearsal.begin()
    rehearsal.play()
    return rehearsal


def decline(rehearsal: Rehearsal, name: str, epoch: int) -> None:
    rehearsal.hear(name, msg.Declined(epoch=epoch, clause="6.3", text="too long a delay"))


# --- the radio is silent ---------------------------------------------------------------------------------------------


def test_request_to_a_silent_radio_is_repeated_in_the_same_epoch() -> None:
    rehearsal = begun(Rehearsal([Asking()]), RADIO)
    rehearsal.miss_deadline()
    first, second = rehearsal.configures
    assert first is second


def test_request_to_a_slow_radio_is_not_repeated_before_its_deadline() -> None:
    rehearsal = begun(Rehearsal([Asking()]), RADIO)
    rehearsal.wait(0.99 * DEADLINE_S)
    assert len(rehearsal.configures) == 1


def test_radio_that_is_silent_after_all_retries_fails_the_scheme_of_all_who_wait() -> None:
    rehearsal = begun(Rehearsal([Asking()]), RADIO)
    for _ in range(1 + RETRIES):
        rehearsal.miss_deadline()
    assert len(rehearsal.configures) == 1 + RETRIES
    assert rehearsal.failed == [("ue-a", MISSED), ("ue-b", MISSED)]
    assert rehearsal.run.counters["missed_deadlines"] == 1 + RETRIES


def test_radio_that_answers_the_repeated_request_leads_to_fixes() -> None:
    rehearsal = begun(Rehearsal([Asking()]), RADIO)
    rehearsal.silent.clear()
    rehearsal.miss_deadline()
    rehearsal.play()
    assert rehearsal.fixed == ["ue-a", "ue-b"]


def test_late_answer_to_the_first_request_serves_the_repeated_one() -> None:
    rehearsal = begun(Rehearsal([Asking()]), RADIO)
    rehearsal.miss_deadline()
    rehearsal.silent.clear()
    for _ in range(2):  # both were on their way
        rehearsal.hear(RADIO, rehearsal.ready(rehearsal.configures[0]))
    rehearsal.play()
    assert rehearsal.fixed == ["ue-a", "ue-b"]
    assert rehearsal.run.counters["refused_stale"] == 0


def test_capture_by_a_silent_radio_is_repeated_in_the_same_epoch_and_then_fails() -> None:
    rehearsal = begun(Rehearsal([Asking(requests=(Sounding(),))], ("ue-a",)), RADIO)
    for _ in range(1 + RETRIES):
        rehearsal.miss_deadline()
    assert [capture.epoch for capture in rehearsal.captures] == [1] * (1 + RETRIES)
    assert rehearsal.failed == [("ue-a", MISSED)]


def test_next_scheme_goes_on_after_a_missed_deadline() -> None:
    rehearsal = begun(Rehearsal([Asking(name="one"), Asking(name="two")], ("ue-a",)), RADIO)
    for _ in range(1 + RETRIES):
        rehearsal.miss_deadline()
    rehearsal.silent.clear()
    rehearsal.unread.clear()
    rehearsal.miss_deadline()
    rehearsal.play()
    assert [record["scheme"] for record in rehearsal.recorded("failure")] == ["one"]
    assert [record["scheme"] for record in rehearsal.recorded("fix")] == ["two"]


# --- a UE is silent --------------------------------------------------------------------------------------------------


def test_others_get_their_fixes_while_one_user_is_silent() -> None:
    rehearsal = begun(Rehearsal([CommonThenOwn()], ("ue-a", "ue-b", "ue-c"), peaks={"ue-c": 1}), "ue-a")
    rehearsal.miss_deadline()
    rehearsal.play()
    assert rehearsal.fixed == ["ue-b", "ue-c"]


def test_request_of_a_silent_user_is_repeated_in_a_new_epoch_behind_the_others() -> None:
    rehearsal = begun(Rehearsal([CommonThenOwn()], peaks={"ue-b": 1}), "ue-a")
    rehearsal.miss_deadline()
    rehearsal.play()
    assert [record["ues"] for record in rehearsal.recorded("sweep")] == [["ue-a", "ue-b"], ["ue-b"], ["ue-a"]]
    assert [measure.epoch for measure in rehearsal.measures("ue-a")] == [1, 3]


def test_user_that_missed_one_request_does_not_wait_for_the_rest_of_the_run() -> None:
    section = msgspec.structs.replace(SECTION, rounds=10)
    rehearsal = Rehearsal([CommonThenOwn()], section=section, peaks={"ue-a": 1, "ue-b": 2})
    rehearsal.begin()
    while len(rehearsal.measures("ue-a")) < 2:
        rehearsal.answer_next()
    rehearsal.unread.clear()  # its own sweep of the first round goes unheard
    rehearsal.miss_deadline()
    rehearsal.play()
    assert "ue-a" in rehearsal.fixed[:4]  # behind one round of the other, not behind all ten; two of room


def test_user_that_answers_the_repeated_request_gets_its_fix() -> None:
    rehearsal = begun(Rehearsal([CommonThenOwn()]), "ue-a")
    rehearsal.silent.clear()
    rehearsal.miss_deadline()
    rehearsal.play()
    assert sorted(map(str, rehearsal.fixed)) == ["ue-a", "ue-b"]
    assert rehearsal.run.counters["retries"] == 1


def test_user_that_is_silent_after_all_retries_fails_alone() -> None:
    rehearsal = begun(Rehearsal([Asking()]), "ue-a")
    for _ in range(1 + RETRIES):
        rehearsal.miss_deadline()
        rehearsal.play()
    assert rehearsal.failed == [("ue-a", MISSED)]
    assert rehearsal.fixed == ["ue-b"]
    assert len(rehearsal.measures("ue-a")) == 1 + RETRIES
    assert rehearsal.run.finished


def test_attempts_are_counted_anew_for_every_request() -> None:
    rehearsal = Rehearsal([CommonThenOwn()], ("ue-a",))
    rehearsal.begin()
    for _ in range(2):  # each of the two sweeps is answered at the last attempt
        rehearsal.silent.add("ue-a")
        for _ in range(RETRIES):
            rehearsal.play()
            rehearsal.miss_deadline()
        rehearsal.silent.clear()
        rehearsal.answer_next()
        rehearsal.answer_next()
    assert rehearsal.fixed == ["ue-a"]
    assert rehearsal.run.counters["retries"] == 2 * RETRIES


def test_without_retries_the_first_missed_deadline_is_the_last() -> None:
    section = msgspec.structs.replace(SECTION, retries=0)
    rehearsal = begun(Rehearsal([Asking()], ("ue-a",), section), "ue-a")
    rehearsal.miss_deadline()
    assert rehearsal.failed == [("ue-a", MISSED)]


def test_time_to_report_counts_from_when_the_radio_was_ready() -> None:
    rehearsal = Rehearsal([Asking()], ("ue-a",))
    rehearsal.begin()
    rehearsal.wait(0.9 * DEADLINE_S)
    rehearsal.answer_next()
    rehearsal.wait(0.9 * DEADLINE_S)
    assert rehearsal.run.counters["missed_deadlines"] == 0


def test_report_that_comes_after_its_deadline_is_stale() -> None:
    rehearsal = begun(Rehearsal([Asking()], ("ue-a",)), "ue-a")
    rehearsal.miss_deadline()
    rehearsal.hear("ue-a", msg.PeakReport(epoch=1, subcarrier=0))
    assert rehearsal.refusals == [("ue-a", "5.3")]
    assert rehearsal.fixed == []


# --- somebody declines -----------------------------------------------------------------------------------------------


def test_setting_that_the_radio_declines_fails_all_who_wait_for_it() -> None:
    rehearsal = begun(Rehearsal([Asking()]), RADIO)
    decline(rehearsal, RADIO, epoch=1)
    assert rehearsal.failed == [("ue-a", "declined"), ("ue-b", "declined")]
    assert all("too long a delay (SPEC 6.3)" in str(record["text"]) for record in rehearsal.recorded("failure"))


def test_request_that_a_user_declines_is_repeated_in_a_new_epoch() -> None:
    rehearsal = begun(Rehearsal([Asking()], ("ue-a",)), "ue-a")
    decline(rehearsal, "ue-a", epoch=1)
    rehearsal.play()
    assert [measure.epoch for measure in rehearsal.measures("ue-a")] == [1, 2]


def test_user_that_declines_every_time_fails_alone() -> None:
    rehearsal = begun(Rehearsal([Asking()]), "ue-a")
    for epoch in range(1, 2 + RETRIES):
        decline(rehearsal, "ue-a", epoch)
        rehearsal.play()
    assert rehearsal.failed == [("ue-a", "declined")]
    assert rehearsal.fixed == ["ue-b"]


def test_refusal_of_an_older_epoch_is_stale_and_changes_nothing() -> None:
    rehearsal = begun(Rehearsal([Asking()], ("ue-a",)), "ue-a")
    decline(rehearsal, "ue-a", epoch=7)
    assert rehearsal.refusals == [("ue-a", "5.3")]
    assert len(rehearsal.measures("ue-a")) == 1
    assert rehearsal.run.counters == {"refused_stale": 1}


# --- a UE leaves -----------------------------------------------------------------------------------------------------


def test_user_lost_in_mid_sweep_and_back_gets_its_fix_from_a_new_epoch() -> None:
    rehearsal = begun(Rehearsal([Asking()], ("ue-a",)), "ue-a")
    rehearsal.leave("ue-a")
    rehearsal.wait(0.5 * REJOIN_S)
    rehearsal.silent.clear()
    rehearsal.join("ue-a")
    rehearsal.play()
    assert [measure.epoch for measure in rehearsal.measures("ue-a")] == [1, 2]
    assert rehearsal.fixed == ["ue-a"]
    assert rehearsal.failed == []


def test_user_lost_in_mid_sweep_does_not_hold_up_the_others() -> None:
    rehearsal = begun(Rehearsal([CommonThenOwn()], peaks={"ue-b": 1}), "ue-a")
    rehearsal.leave("ue-a")
    rehearsal.play()
    assert rehearsal.fixed == ["ue-b"]


def test_user_that_leaves_and_returns_costs_none_of_its_attempts() -> None:
    section = msgspec.structs.replace(SECTION, retries=0)
    rehearsal = begun(Rehearsal([Asking()], ("ue-a",), section), "ue-a")
    for _ in range(3):
        rehearsal.leave("ue-a")
        rehearsal.join("ue-a")
        rehearsal.play()
    rehearsal.silent.clear()
    rehearsal.leave("ue-a")
    rehearsal.join("ue-a")
    rehearsal.play()
    assert rehearsal.fixed == ["ue-a"]


def test_user_that_stays_away_fails_all_its_remaining_schemes() -> None:
    rehearsal = begun(Rehearsal([Asking(), Asking(), Asking()]), "ue-a")
    rehearsal.leave("ue-a")
    rehearsal.play()
    rehearsal.wait(1.01 * REJOIN_S)
    assert rehearsal.failed == [("ue-a", "UE absent")] * 3
    assert rehearsal.fixed == ["ue-b"] * 3
    assert rehearsal.run.finished


def test_absent_user_is_not_given_up_before_its_time_to_rejoin() -> None:
    rehearsal = begun(Rehearsal([Asking()]), "ue-a")
    rehearsal.leave("ue-a")
    rehearsal.wait(0.99 * REJOIN_S)
    assert rehearsal.failed == []


def test_user_that_returns_after_it_was_given_up_is_left_alone() -> None:
    rehearsal = begun(Rehearsal([Asking()]), "ue-a", "ue-b")
    rehearsal.leave("ue-a")
    rehearsal.wait(1.01 * REJOIN_S)
    asked = len(rehearsal.measures("ue-a"))
    rehearsal.silent.clear()
    rehearsal.join("ue-a")
    rehearsal.play()
    assert len(rehearsal.measures("ue-a")) == asked
    assert rehearsal.run.unfinished == []


def test_long_rest_of_a_user_that_stays_away_is_given_up_in_parts_between_which_the_others_go_on() -> None:
    section = msgspec.structs.replace(SECTION, rounds=2 * FAILED_AT_ONCE)
    rehearsal = begun(Rehearsal([Asking()], section=section), "ue-a", "ue-b")
    rehearsal.leave("ue-a")
    rehearsal.wait(1.01 * REJOIN_S)
    assert len(rehearsal.failed) == FAILED_AT_ONCE
    assert rehearsal.run.unfinished == ["ue-a", "ue-b"]
    rehearsal.join("ue-a")  # too late
    asked = len(rehearsal.measures("ue-a"))
    rehearsal.silent.clear()
    rehearsal.wait(0.02)
    assert rehearsal.failed == [("ue-a", "UE absent")] * (2 * FAILED_AT_ONCE)
    rehearsal.miss_deadline()
    rehearsal.play()
    assert len(rehearsal.measures("ue-a")) == asked
    assert rehearsal.fixed == ["ue-b"] * (2 * FAILED_AT_ONCE)
    assert rehearsal.run.finished


def test_result_of_a_scheme_at_work_comes_too_late_for_a_user_that_was_given_up() -> None:
    ues = tuple(f"ue-{number}" for number in range(FAILED_AT_ONCE + 1))  # the last one's turn to fail comes later
    rehearsal = Rehearsal([Asking(heavy=True)], ues, hold_heavy=True)
    rehearsal.begin()
    rehearsal.play()
    rehearsal.leave(RADIO)
    rehearsal.wait(1.01 * REJOIN_S)
    while rehearsal.held:
        rehearsal.finish_heavy()
    rehearsal.wait(0.02)
    assert rehearsal.fixed == []
    assert len(rehearsal.failed) == len(ues)
    assert rehearsal.run.finished


# --- the radio leaves ------------------------------------------------------------------------------------------------


def test_radio_lost_in_mid_sweep_and_back_leads_to_fixes() -> None:
    rehearsal = begun(Rehearsal([CommonThenOwn()]), "ue-a")
    rehearsal.leave(RADIO)
    rehearsal.wait(0.5 * REJOIN_S)
    rehearsal.silent.clear()
    rehearsal.join(RADIO)
    rehearsal.play()
    assert sorted(map(str, rehearsal.fixed)) == ["ue-a", "ue-b"]
    assert rehearsal.failed == []


def test_radio_that_returns_is_asked_in_a_new_epoch() -> None:
    rehearsal = begun(Rehearsal([Asking()]), RADIO)
    rehearsal.leave(RADIO)
    rehearsal.join(RADIO)
    assert [configure.epoch for configure in rehearsal.configures] == [1, 2]


def test_report_that_comes_while_the_radio_is_away_is_stale() -> None:
    rehearsal = begun(Rehearsal([Asking()], ("ue-a",)), "ue-a")
    rehearsal.leave(RADIO)
    rehearsal.hear("ue-a", msg.PeakReport(epoch=1, subcarrier=0))
    assert rehearsal.refusals == [("ue-a", "5.3")]


def test_radio_that_stays_away_fails_all_remaining_schemes_of_all_users() -> None:
    rehearsal = begun(Rehearsal([Asking(), Asking()]), RADIO)
    rehearsal.leave(RADIO)
    rehearsal.wait(1.01 * REJOIN_S)
    absent = "radio absent"
    assert rehearsal.failed == [("ue-a", absent), ("ue-a", absent), ("ue-b", absent), ("ue-b", absent)]
    assert rehearsal.run.finished


# --- peers that never come -------------------------------------------------------------------------------------------


def test_user_that_never_comes_is_given_up_after_the_times_to_gather_and_to_rejoin() -> None:
    rehearsal = Rehearsal([Asking(), Asking()])
    rehearsal.join("ue-a", RADIO)
    rehearsal.wait(1.01 * GATHER_S)
    rehearsal.play()
    assert rehearsal.failed == []
    rehearsal.wait(REJOIN_S)
    assert rehearsal.failed == [("ue-b", "UE absent")] * 2
    assert rehearsal.run.finished


def test_radio_that_never_comes_fails_the_run() -> None:
    rehearsal = Rehearsal([Asking()])
    rehearsal.join("ue-a", "ue-b")
    rehearsal.wait(1.01 * (GATHER_S + REJOIN_S))
    assert rehearsal.failed == [("ue-a", "radio absent"), ("ue-b", "radio absent")]
    assert rehearsal.run.finished


def test_patient_run_waits_for_ever_for_peers_that_never_came() -> None:
    rehearsal = Rehearsal([Asking()], patient=True)
    rehearsal.wait(1e9)  # thirty years
    assert rehearsal.failed == []
    assert not rehearsal.run.finished


def test_patient_run_gives_up_on_a_user_that_came_and_left() -> None:
    rehearsal = begun(Rehearsal([Asking()], ("ue-a",), patient=True), "ue-a")
    rehearsal.leave("ue-a")
    rehearsal.wait(1.01 * REJOIN_S)
    assert rehearsal.failed == [("ue-a", "UE absent")]
