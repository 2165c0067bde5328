"""What a run puts on the air, and when: equal sweeps once, one setting at a time, nobody left out."""

from dataclasses import dataclass

import msgspec
import numpy as np
import pytest

from bs_controller.beams import SettingDoesNotFitError, fitted, setting_from_focus
from bs_controller.sweeps import Fix, Localization, PeakFeedback, Request, Sounding, Sweep
from bs_controller.trajectories import angle_trajectory
from protocol import messages as msg
from protocol.testbed import default_facts
from tests.bs_controller.rehearsal import (
    COMMON,
    GATHER_S,
    IDEAL,
    RADIO,
    SECTION,
    Asking,
    CommonThenOwn,
    Raising,
    Rehearsal,
    group_sweep,
    sweep_to,
)

FIVE = tuple(f"ue-{number}" for number in range(5))
THREE = FIVE[:3]


def rehearsed(rehearsal: Rehearsal) -> Rehearsal:
    """Play a run in which everybody comes and everybody answers."""
    rehearsal.begin()
    rehearsal.play()
    return rehearsal


# --- merging ---------------------------------------------------------------------------------------------------------


def test_equal_sweeps_of_five_users_cost_one_transmission() -> None:
    rehearsal = rehearsed(Rehearsal([Asking()], FIVE))
    assert len(rehearsal.configures) == 1
    assert sorted(map(str, rehearsal.fixed)) == list(FIVE)


def test_sweeps_of_five_users_that_differ_are_sent_one_each() -> None:
    peaks = {ue: number for number, ue in enumerate(FIVE)}
    rehearsal = rehearsed(Rehearsal([CommonThenOwn()], FIVE, peaks=peaks))
    assert len(rehearsal.configures) == 1 + len(FIVE)  # the common one, and one per user


def test_common_stage_of_the_next_scheme_waits_for_the_slowest_user() -> None:
    peaks = {ue: number for number, ue in enumerate(THREE)}
    rehearsal = rehearsed(Rehearsal([CommonThenOwn(), CommonThenOwn()], THREE, peaks=peaks))
    assert len(rehearsal.configures) == 2 * (1 + len(THREE))  # each scheme's common stage is sent once


def test_setting_is_not_replaced_before_all_have_reported_who_measure_it() -> None:
    rehearsal = Rehearsal([CommonThenOwn()], THREE, peaks={"ue-0": 1, "ue-1": 2})
    rehearsal.begin()
    while rehearsal.unread:
        if isinstance(rehearsal.unread[0].message, msg.Configure):
            asked = sum(len(rehearsal.measures(ue)) for ue in THREE)
            assert len(rehearsal.recorded("report")) == asked
        rehearsal.answer_next()
    assert len(rehearsal.configures) == 4


def test_equal_soundings_of_two_users_are_captured_one_each() -> None:
    rehearsal = rehearsed(Rehearsal([Asking(requests=(Sounding(),))]))
    assert [capture.ue for capture in rehearsal.captures] == ["ue-a", "ue-b"]
    assert rehearsal.fixed == ["ue-a", "ue-b"]


@dataclass(frozen=True, kw_only=True)
class OwnKind:
    """A scheme that asks for one sweep, in a kind that depends on the peak of the sweep before."""

    name: str = "own-kind"
    heavy: bool = False

    def prepare(self) -> None: ...

    def locate(self) -> Localization:
        peak = yield COMMON
        assert isinstance(peak, PeakFeedback)
        kind = msg.FeedbackKind.POWER if peak.subcarrier else msg.FeedbackKind.COMPLEX
        yield sweep_to(20.0, kind)
        return Fix(range_m=20.0, angle_rad=0.0, sweeps=2)


def test_equal_foci_are_sent_once_and_each_user_measures_in_its_own_kind() -> None:
    rehearsal = rehearsed(Rehearsal([OwnKind()], peaks={"ue-a": 0, "ue-b": 1}))
    assert len(rehearsal.configures) == 2
    kinds = [rehearsal.measures(ue)[1].kind for ue in rehearsal.ues]
    assert kinds == [msg.FeedbackKind.COMPLEX, msg.FeedbackKind.POWER]


def test_each_user_gets_the_fix_of_its_own_reports() -> None:
    peaks = {ue: 7 * number for number, ue in enumerate(THREE)}
    rehearsal = rehearsed(Rehearsal([CommonThenOwn()], THREE, peaks=peaks))
    ranges = {str(record["ue"]): record["range_m"] for record in rehearsal.recorded("fix")}
    assert ranges == {ue: 10.0 + peak for ue, peak in peaks.items()}


# --- epochs ----------------------------------------------------------------------------------------------------------


@pytest.mark.clause("5.1")
def test_every_transmission_has_an_epoch_above_all_before() -> None:
    rehearsal = rehearsed(Rehearsal([CommonThenOwn(), Asking(requests=(Sounding(),))], peaks={"ue-b": 3}))
    epochs = [send.message.epoch for send in rehearsal.sent if isinstance(send.message, msg.Configure | msg.Capture)]
    assert epochs == list(range(1, 6))


def test_request_to_measure_carries_the_epoch_of_the_setting_on_the_air() -> None:
    rehearsal = rehearsed(Rehearsal([CommonThenOwn()], ("ue-a",)))
    assert [measure.epoch for measure in rehearsal.measures("ue-a")] == [
        configure.epoch for configure in rehearsal.configures
    ]


def test_nobody_is_asked_to_measure_before_the_radio_is_ready() -> None:
    rehearsal = Rehearsal([Asking()])
    rehearsal.begin()
    assert [type(send.message) for send in rehearsal.sent] == [msg.Configure]


def test_fix_names_the_epochs_that_led_to_it() -> None:
    rehearsal = rehearsed(Rehearsal([CommonThenOwn()], peaks={"ue-a": 1, "ue-b": 2}))
    assert [record["epochs"] for record in rehearsal.recorded("fix")] == [[1, 2], [1, 3]]


# --- gathering, rounds, the end --------------------------------------------------------------------------------------


def test_nothing_is_sent_before_all_users_are_there() -> None:
    rehearsal = Rehearsal([Asking()])
    rehearsal.join("ue-a", RADIO)
    rehearsal.wait(0.99 * GATHER_S)
    assert rehearsal.sent == []


def test_run_starts_as_soon_as_all_users_are_there() -> None:
    rehearsal = Rehearsal([Asking()])
    rehearsal.begin()
    assert len(rehearsal.configures) == 1


def test_run_starts_without_the_absent_after_the_time_to_gather() -> None:
    rehearsal = Rehearsal([Asking()])
    rehearsal.join("ue-a", RADIO)
    rehearsal.wait(1.01 * GATHER_S)
    rehearsal.play()
    assert rehearsal.fixed == ["ue-a"]


def test_user_that_joins_late_gets_its_fixes() -> None:
    rehearsal = Rehearsal([Asking(), CommonThenOwn()])
    rehearsal.join("ue-a", RADIO)
    rehearsal.wait(1.01 * GATHER_S)
    rehearsal.play()
    rehearsal.join("ue-b")
    rehearsal.play()
    assert rehearsal.fixed == ["ue-a", "ue-a", "ue-b", "ue-b"]


def test_rounds_repeat_all_schemes_in_order() -> None:
    section = msgspec.structs.replace(SECTION, rounds=2)
    schemes = [Asking(name="one"), Asking(name="two")]
    rehearsal = rehearsed(Rehearsal(schemes, ("ue-a",), section))
    order = [(record["round"], record["scheme"]) for record in rehearsal.recorded("fix")]
    assert order == [(0, "one"), (0, "two"), (1, "one"), (1, "two")]


def test_run_is_not_finished_while_one_user_has_work_left() -> None:
    rehearsal = Rehearsal([Asking()])
    rehearsal.begin()
    rehearsal.silent.add("ue-b")
    rehearsal.play()
    assert rehearsal.fixed == ["ue-a"]
    assert not rehearsal.run.finished
    assert rehearsal.run.unfinished == ["ue-b"]


def test_run_is_finished_when_all_users_are_done() -> None:
    rehearsal = rehearsed(Rehearsal([CommonThenOwn(), Asking()]))
    assert rehearsal.run.finished
    assert rehearsal.run.unfinished == []


def test_peer_that_is_none_of_the_users_gets_no_work() -> None:
    rehearsal = Rehearsal([Asking()], ("ue-a",))
    rehearsal.join("stranger")
    rehearsal.begin()
    rehearsal.play()
    assert {send.name for send in rehearsal.sent} == {"ue-a", RADIO}


# --- settings and pilots ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("held", "wanted", "pilots"), [(1, 32, 32), (32, 32, 1), (4096, 1, 32), (5, 32, 7)])
def test_fix_is_charged_one_pilot_per_batch_of_groups_that_is_wanted_and_held(
    held: int, wanted: int, pilots: int
) -> None:
    limits = msgspec.structs.replace(IDEAL, groups=held)
    scheme = Asking(requests=(group_sweep(32, groups_per_pilot=wanted),))
    rehearsal = rehearsed(Rehearsal([scheme], ("ue-a",), limits=limits))
    assert [record["sweeps"] for record in rehearsal.recorded("fix")] == [pilots]


def test_request_to_measure_names_the_groups_of_the_sweep() -> None:
    scheme = Asking(requests=(COMMON, group_sweep(32, groups_per_pilot=32)))
    rehearsal = rehearsed(Rehearsal([scheme], ("ue-a",)))
    assert [measure.groups for measure in rehearsal.measures("ue-a")] == [1, 32]


def test_radio_is_sent_the_setting_as_its_front_end_can_apply_it() -> None:
    limits = msgspec.structs.replace(IDEAL, phase_bits=3, delay_step_s=3e-12)
    rehearsal = rehearsed(Rehearsal([Asking()], ("ue-a",), limits=limits))
    wanted = fitted(setting_from_focus(COMMON.focus, rehearsal.facts), limits)
    np.testing.assert_array_equal(rehearsal.configures[0].phase_cycles, wanted.phase_cycles)  # the same computation
    np.testing.assert_array_equal(rehearsal.configures[0].delay_s, wanted.delay_s)


def full_sweep_on_a_practical_front_end() -> Rehearsal:
    """+-60 degrees over 512 elements need 74 ns, which the next sweep, straight ahead, does not."""
    facts = default_facts(subcarriers=64)
    limits = msgspec.structs.replace(IDEAL, elements=512, delay_span_s=15e-9)
    ahead = Sweep(focus=group_sweep(2, groups_per_pilot=2).focus, kind=msg.FeedbackKind.GROUP)
    full = Sweep(focus=angle_trajectory(facts), kind=msg.FeedbackKind.PEAK)
    schemes = [Asking(name="full", requests=(full,)), Asking(name="ahead", requests=(ahead,))]
    return rehearsed(Rehearsal(schemes, facts=facts, limits=limits))


def test_setting_that_does_not_fit_is_refused_before_it_is_sent() -> None:
    rehearsal = full_sweep_on_a_practical_front_end()
    assert len(rehearsal.configures) == 1
    assert rehearsal.configures[0].phase_cycles.shape == (2, 512)  # the next scheme's


def test_setting_that_does_not_fit_fails_every_user_that_wants_it_with_the_numbers() -> None:
    rehearsal = full_sweep_on_a_practical_front_end()
    reason = "setting does not fit the front end"
    assert rehearsal.failed == [("ue-a", reason), ("ue-b", reason)]
    assert all("1.5e-08" in str(record["text"]) for record in rehearsal.recorded("failure"))


def test_scheme_after_one_that_does_not_fit_goes_on() -> None:
    rehearsal = full_sweep_on_a_practical_front_end()
    assert [record["scheme"] for record in rehearsal.recorded("fix")] == ["ahead", "ahead"]
    assert rehearsal.run.finished


def test_array_of_another_size_than_the_front_ends_does_not_fit() -> None:
    limits = msgspec.structs.replace(IDEAL, elements=8)
    rehearsal = rehearsed(Rehearsal([Asking()], ("ue-a",), limits=limits))
    assert rehearsal.failed == [("ue-a", "setting does not fit the front end")]
    with pytest.raises(SettingDoesNotFitError):
        fitted(setting_from_focus(COMMON.focus, rehearsal.facts), limits)


# --- schemes that fail -----------------------------------------------------------------------------------------------


def test_scheme_that_raises_fails_with_its_error() -> None:
    rehearsal = rehearsed(Rehearsal([Raising()], ("ue-a",)))
    (failure,) = rehearsal.recorded("failure")
    assert (failure["reason"], failure["text"]) == ("scheme failed", "ValueError: no such angle")


def test_scheme_after_one_that_raises_goes_on() -> None:
    rehearsal = rehearsed(Rehearsal([Raising(), Asking()]))
    assert rehearsal.fixed == ["ue-a", "ue-b"]
    assert rehearsal.run.finished


@pytest.mark.clause("7.1")
def test_user_is_not_asked_for_a_kind_that_it_does_not_advertise() -> None:
    schemes = [Asking(name="complex", requests=(sweep_to(9.0, msg.FeedbackKind.COMPLEX),)), Asking(name="peak")]
    rehearsal = rehearsed(Rehearsal(schemes, ("ue-a",), kinds=(msg.FeedbackKind.PEAK,)))
    assert [measure.kind for measure in rehearsal.measures("ue-a")] == [msg.FeedbackKind.PEAK]
    assert [record["scheme"] for record in rehearsal.recorded("failure")] == ["complex"]


@pytest.mark.clause("7.1")
def test_user_that_returns_with_other_kinds_is_not_asked_for_those_before() -> None:
    schemes = [Asking(name="complex", requests=(sweep_to(9.0, msg.FeedbackKind.COMPLEX),)), Asking(name="peak")]
    rehearsal = Rehearsal(schemes, ("ue-a",))
    rehearsal.join("ue-a")
    rehearsal.leave("ue-a")
    rehearsal.kinds = (msg.FeedbackKind.PEAK,)
    rehearsal.begin()
    rehearsal.play()
    assert [measure.kind for measure in rehearsal.measures("ue-a")] == [msg.FeedbackKind.PEAK]
    assert rehearsal.failed == [("ue-a", "UE does not report in this kind")]
    assert rehearsal.fixed == ["ue-a"]


@pytest.mark.parametrize("request_", [group_sweep(7, groups_per_pilot=7), sweep_to(-1.0)], ids=["groups", "range"])
def test_sweep_that_no_setting_can_make_fails_its_scheme_alone(request_: Request) -> None:
    schemes = [Asking(name="impossible", requests=(request_,)), Asking(name="next")]
    rehearsal = rehearsed(Rehearsal(schemes, ("ue-a",)))
    assert [record["scheme"] for record in rehearsal.recorded("failure")] == ["impossible"]
    assert [record["scheme"] for record in rehearsal.recorded("fix")] == ["next"]


def test_heavy_scheme_is_run_aside_only_once_it_has_an_answer() -> None:
    rehearsal = rehearsed(Rehearsal([Asking(heavy=True)], ("ue-a",)))
    assert [advance.heavy for advance in rehearsal.advances] == [False, True]


# --- records ---------------------------------------------------------------------------------------------------------


def complex_run(*, record_samples: bool) -> Rehearsal:
    section = msgspec.structs.replace(SECTION, record_samples=record_samples)
    scheme = Asking(requests=(sweep_to(9.0, msg.FeedbackKind.COMPLEX), Sounding()))
    return rehearsed(Rehearsal([scheme], ("ue-a",), section))


def test_samples_of_reports_and_snapshots_are_recorded() -> None:
    streams = [stream for keep in complex_run(record_samples=True).kept for stream in keep.samples]
    assert streams == ["report", "snapshot"]


def test_samples_are_not_recorded_when_the_file_says_so() -> None:
    assert not any(keep.samples for keep in complex_run(record_samples=False).kept)


def test_sweep_is_recorded_with_its_users_and_pilots() -> None:
    limits = msgspec.structs.replace(IDEAL, groups=1)
    scheme = Asking(requests=(group_sweep(4, groups_per_pilot=4),))
    (sweep,) = rehearsed(Rehearsal([scheme], limits=limits)).recorded("sweep")
    assert (sweep["epoch"], sweep["ues"], sweep["pilots"]) == (1, ["ue-a", "ue-b"], 4)


def test_sweep_waits_for_a_scheme_at_work_that_may_want_the_same() -> None:
    rehearsal = Rehearsal([Asking(requests=(COMMON, COMMON), heavy=True)])
    rehearsal.hold_heavy = True  # as in a thread: results come when they are ready
    rehearsal.begin()
    rehearsal.play()
    rehearsal.finish_heavy()  # ue-a wants its second sweep; ue-b's step is still at work
    assert len(rehearsal.configures) == 1
    rehearsal.finish_heavy()
    assert len(rehearsal.configures) == 2
