"""Schemes driven from noise-free physics."""

import msgspec
import numpy as np
import pytest

from bs_controller.beams import focus_of_subcarrier, setting_from_focus
from bs_controller.schemes import BackprojectionOptions, CbsBtOptions, CbsOptions, SchemeOptions, scheme_from_options
from bs_controller.schemes.backprojection import NothingDetectedError
from bs_controller.sweeps import (
    Answer,
    FeedbackMismatchError,
    GroupFeedback,
    GroupFoci,
    Integrity,
    PeakFeedback,
    Snapshot,
    Sounding,
    Sweep,
    Trajectory,
)
from bs_controller.trajectories import angle_trajectory
from protocol.messages import FeedbackKind
from protocol.testbed import default_facts
from tests.bs_controller.driving import Drive, facts_of_the_figures, swept_samples

FACTS = default_facts()
SMALL_UPLINK = msgspec.structs.replace(
    FACTS,
    uplink=msgspec.structs.replace(
        FACTS.uplink,
        grid=msgspec.structs.replace(FACTS.uplink.grid, first_hz=3.5e9),
        array=msgspec.structs.replace(FACTS.uplink.array, elements=49),
    ),
)


def test_figure_4_user_is_located_to_the_printed_digits() -> None:
    facts = facts_of_the_figures(2048)
    fix = Drive(facts, 15.0, 0.0).fix(scheme_from_options(CbsOptions(), facts))
    # half a unit of the last digit of [CBS, section III-B], whose text leaves out the sign of the angle
    assert np.rad2deg(fix.angle_rad) == pytest.approx(-0.0099, abs=0.00005)
    assert fix.range_m == pytest.approx(14.9889, abs=0.00005)
    assert fix.sweeps == 2


def test_cbs_angle_error_over_the_region_is_that_of_defocus() -> None:
    rng = np.random.default_rng(2024)
    range_m, angle_rad = rng.uniform(5, 50, 1000), rng.uniform(-np.pi / 3, np.pi / 3, 1000)
    trajectory = angle_trajectory(FACTS)
    setting, candidates = setting_from_focus(trajectory, FACTS), focus_of_subcarrier(trajectory, FACTS)[1]
    peaks = [np.abs(swept_samples(setting, FACTS, r, th)).argmax() for r, th in zip(range_m, angle_rad, strict=True)]
    error_rad = float(np.sqrt(np.mean((candidates[peaks] - angle_rad) ** 2)))
    assert 6.4e-3 < error_rad < 7.6e-3  # 6.9e-3 +- what a thousand users leave of it


def test_cbs_sweeps_angle_then_range_from_far_to_near() -> None:
    drive = Drive(FACTS, 20.0, 0.3)
    fix = drive.fix(scheme_from_options(CbsOptions(), FACTS))
    first, second = drive.requests
    assert first == Sweep(focus=angle_trajectory(FACTS), kind=FeedbackKind.PEAK)
    assert isinstance(second, Sweep)
    assert second.focus == Trajectory(
        start_range_m=50.0, start_angle_rad=fix.angle_rad, end_range_m=5.0, end_angle_rad=fix.angle_rad
    )


def test_cbs_averages_the_estimates_of_its_beams() -> None:
    localization = scheme_from_options(CbsOptions(angle_beams=2), FACTS).locate()
    angles = focus_of_subcarrier(angle_trajectory(FACTS), FACTS)[1]
    assert next(localization) == localization.send(PeakFeedback(subcarrier=100))  # the same sweep again
    ranged = localization.send(PeakFeedback(subcarrier=300))
    assert isinstance(ranged, Sweep)
    assert isinstance(ranged.focus, Trajectory)
    assert ranged.focus.start_angle_rad == pytest.approx((angles[100] + angles[300]) / 2)


def test_ideal_and_realizable_groups_give_the_same_fix_and_realizable_ones_cost_more() -> None:
    fixes = {
        groups: Drive(FACTS, 12.0, -0.4).fix(scheme_from_options(CbsBtOptions(groups=groups), FACTS))
        for groups in ("ideal", "realizable")
    }
    ideal, realizable = fixes["ideal"], fixes["realizable"]
    assert (ideal.range_m, ideal.angle_rad) == (realizable.range_m, realizable.angle_rad)
    rounds = ideal.sweeps - 2
    assert realizable.sweeps == 1 + 32 + 16 * rounds


def test_beam_training_ends_when_the_interval_is_short() -> None:
    drive = Drive(FACTS, 12.0, -0.4)
    fix = drive.fix(scheme_from_options(CbsBtOptions(epsilon_m=10.0), FACTS))
    # 45 m, then two of fifteen steps of it: 6 m, which is below 10 m
    assert len(drive.requests) == 3
    last = drive.requests[-1]
    assert isinstance(last, Sweep)
    assert isinstance(last.focus, GroupFoci)
    assert fix.range_m in last.focus.range_m


def test_second_stage_focuses_near_as_printed_or_at_the_middle_curvature() -> None:
    focused_m = {}
    for variant in ("nearest", "region_middle"):
        localization = scheme_from_options(CbsBtOptions(stage2_range=variant), FACTS).locate()
        next(localization)
        sweep = localization.send(PeakFeedback(subcarrier=1000))
        assert isinstance(sweep, Sweep)
        assert isinstance(sweep.focus, GroupFoci)
        focused_m[variant] = sweep.focus.range_m[0]
    assert focused_m == {"nearest": 5.0, "region_middle": pytest.approx(1 / ((1 / 5 + 1 / 50) / 2))}


def test_groups_of_the_second_stage_stay_inside_the_region() -> None:
    localization = scheme_from_options(CbsBtOptions(), FACTS).locate()
    next(localization)
    sweep = localization.send(PeakFeedback(subcarrier=0))  # 60 degrees
    assert isinstance(sweep, Sweep)
    assert isinstance(sweep.focus, GroupFoci)
    assert max(sweep.focus.angle_rad) <= FACTS.region.angle_max_rad


def test_groups_that_do_not_divide_the_subcarriers_are_refused_at_construction() -> None:
    with pytest.raises(ValueError, match="2048 subcarriers cannot be cut into 24 equal groups"):
        scheme_from_options(CbsBtOptions(range_groups=24), FACTS)


def test_backprojection_locates_the_user_exactly() -> None:
    fix = Drive(SMALL_UPLINK, 8.0, 0.3).fix(scheme_from_options(BackprojectionOptions(), SMALL_UPLINK))
    # Newton's method ends at 1e-9 of a cell; rounding of the objective allows about 1e-7 of one
    assert (fix.range_m, fix.angle_rad) == pytest.approx((8.0, 0.3), abs=1e-6)
    assert (fix.sweeps, fix.targets, fix.integrity) == (1, (), Integrity.TRUSTED)


def test_backprojection_refuses_an_empty_snapshot() -> None:
    localization = scheme_from_options(BackprojectionOptions(), SMALL_UPLINK).locate()
    assert next(localization) == Sounding()
    with pytest.raises(NothingDetectedError):
        localization.send(Snapshot(samples=np.zeros((49, 100), dtype=np.complex128)))


def test_backprojection_inside_the_array_is_refused_at_construction() -> None:
    with pytest.raises(ValueError, match=r"outside the array's 1 m, got 0\.5 to 21 m"):
        scheme_from_options(BackprojectionOptions(range_min_m=0.5), SMALL_UPLINK)


@pytest.mark.parametrize(
    ("options", "answer", "text"),
    [
        (CbsOptions(), GroupFeedback(group=0), "a peak was asked for, GroupFeedback came"),
        (CbsOptions(), PeakFeedback(subcarrier=2048), "subcarrier 2048 was reported of 2048"),
        (
            CbsBtOptions(),
            Snapshot(samples=np.zeros((1, 1), dtype=np.complex128)),
            "a peak was asked for, Snapshot came",
        ),
        (BackprojectionOptions(), PeakFeedback(subcarrier=0), "a snapshot was asked for, PeakFeedback came"),
    ],
)
def test_wrong_kind_of_answer_is_refused(options: SchemeOptions, answer: Answer, text: str) -> None:
    localization = scheme_from_options(options, FACTS).locate()
    next(localization)
    with pytest.raises(FeedbackMismatchError, match=text):
        localization.send(answer)


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (PeakFeedback(subcarrier=0), "a group was asked for, PeakFeedback came"),
        (GroupFeedback(group=32), "group 32 was reported of 32"),
    ],
)
def test_wrong_answer_to_groups_is_refused(answer: Answer, text: str) -> None:
    localization = scheme_from_options(CbsBtOptions(), FACTS).locate()
    next(localization)
    localization.send(PeakFeedback(subcarrier=0))
    with pytest.raises(FeedbackMismatchError, match=text):
        localization.send(answer)


@pytest.mark.parametrize(
    ("name", "options"),
    [("cbs", CbsOptions()), ("cbs_bt", CbsBtOptions()), ("backprojection", BackprojectionOptions())],
)
def test_options_are_named_in_files_as_the_scheme_is(name: str, options: SchemeOptions) -> None:
    assert msgspec.convert({"scheme": name}, SchemeOptions) == options
    assert scheme_from_options(options, FACTS).name == name


def test_unknown_option_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="unknown field `beams`"):
        msgspec.convert({"scheme": "cbs", "beams": 3}, SchemeOptions)
