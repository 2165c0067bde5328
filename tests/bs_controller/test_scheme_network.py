"""The scheme `network`: what it asks for, what it makes of a network's outputs, and when it searches on."""

import math
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import pytest

from bs_controller.representations import (
    LOG_DEVIATION_LIMITS,
    HeardSweep,
    NetworkInput,
    combined,
    representation,
)
from bs_controller.schemes import (
    CbsBt,
    CbsBtOptions,
    CbsOptions,
    SchemeOptions,
    scheme_from_options,
)
from bs_controller.schemes.cbs import estimated_range
from bs_controller.schemes.network import REPRESENTATION_OF_PLAN, UnusableOutputError
from bs_controller.schemes.whole_sweeps import EmptyFeedbackError
from bs_controller.sweeps import (
    Answer,
    ComplexFeedback,
    Covariance,
    FeedbackMismatchError,
    Fix,
    GoodnessOfFit,
    NotEstimated,
    PeakFeedback,
    Request,
    Scheme,
    Sweep,
    Trajectory,
    Visibility,
)
from deploy.simulation import SimulatedRadio, User, locate
from emulator.config import SweepMean
from protocol.messages import ComplexReport, FeedbackKind, Measure, Message
from protocol.testbed import FrontEndLimits
from tests.bs_controller.hearing import BACKWARD, FACTS, FORWARD, heard, setting_of
from tests.bs_controller.rehearsal import Rehearsal
from tests.bs_controller.trained import network

PLANS = ("angle_range", "pair")
ALL_PLANS = (*PLANS, "image")
USER = User(range_m=17.0, angle_rad=0.35, visible_subarrays=(0, 2, 3))


def radio(snr_db: float = 10, seed: int = 1) -> SimulatedRadio:
    return SimulatedRadio(FACTS, rng=np.random.default_rng(seed), downlink_noise=SweepMean(snr_db=snr_db))


@dataclass(frozen=True, kw_only=True)
class Located:
    fix: Fix
    requests: list[Request]
    answers: list[Answer]


def located(scheme: Scheme, air: SimulatedRadio, user: User = USER) -> Located:
    requests, answers, localization = list[Request](), list[Answer](), scheme.locate()
    request = next(localization)
    while True:
        requests.append(request)
        answers.append(air.answer(request, user))
        try:
            request = localization.send(answers[-1])
        except StopIteration as end:
            return Located(fix=end.value, requests=requests, answers=answers)


def sweeps_of(found: Located) -> list[HeardSweep]:
    sweeps = []
    for request, answer in zip(found.requests, found.answers, strict=True):
        assert isinstance(request, Sweep)
        assert isinstance(request.focus, Trajectory)
        assert isinstance(answer, ComplexFeedback)
        setting = answer.applied or setting_of(request.focus)
        sweeps.append(HeardSweep(samples=answer.samples, focus=request.focus, setting=setting))
    return sweeps


def shown_of(plan: str, first: HeardSweep, second: HeardSweep, timing_rms_m: float = 0.0) -> NetworkInput:
    return representation(REPRESENTATION_OF_PLAN[plan], FACTS).of(first, second, timing_rms_m)


def covariance_of(fix: Fix) -> Covariance:
    assert isinstance(fix.covariance, Covariance)
    return fix.covariance


# --- outputs ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("plan", PLANS)
def test_fix_is_what_the_outputs_say_in_the_frame_of_the_two_sweeps(tmp_path: Path, plan: str) -> None:
    found = located(network(tmp_path, (3.0, -2.0, math.log(0.5), math.log(0.25)), plan=plan), radio())
    first, second = sweeps_of(found)
    correction = shown_of(plan, first, second).correction
    expected = correction.position(3.0, -2.0)
    assert (found.fix.range_m, found.fix.angle_rad) == pytest.approx(expected, rel=1e-12)
    assert covariance_of(found.fix).range_m2 == pytest.approx(correction.covariance(3.0, -2.0, 0.5, 0.25).range_m2)
    assert covariance_of(found.fix).angle_rad2 == pytest.approx(correction.covariance(3.0, -2.0, 0.5, 0.25).angle_rad2)
    assert found.fix.visibility == Visibility(subarrays=USER.visible_subarrays)
    assert found.fix.sweeps == 2


@pytest.mark.parametrize("plan", PLANS)
def test_network_that_corrects_nothing_leaves_a_user_where_two_sweeps_put_it(tmp_path: Path, plan: str) -> None:
    fix = locate(network(tmp_path, plan=plan), radio(20), USER)
    # the position that a network starts from is right to a centimetre and a twentieth of a beam
    assert fix.range_m == pytest.approx(USER.range_m, abs=1e-2)
    assert fix.angle_rad == pytest.approx(USER.angle_rad, abs=0.05 * 2 / 512)


def test_what_a_network_cannot_know_is_left_open_with_a_reason(tmp_path: Path) -> None:
    fix = locate(network(tmp_path), radio(), USER)
    for unknown in (fix.integrity, fix.fit, fix.delay):
        assert isinstance(unknown, NotEstimated)
        assert "network" in unknown.reason


@pytest.mark.parametrize("end", [0, 1])
def test_logarithms_of_deviations_end_at_their_limits(tmp_path: Path, end: int) -> None:
    limit = LOG_DEVIATION_LIMITS[end]
    stated = covariance_of(locate(network(tmp_path, (0, 0, 2 * limit, 2 * limit)), radio(), USER))
    # half a millimetre is the unit of the range
    assert math.sqrt(stated.range_m2) == pytest.approx(5e-4 * math.exp(limit), rel=1e-5)


def test_clock_that_is_known_to_be_off_makes_the_units_of_the_range_as_wide(tmp_path: Path) -> None:
    fix = locate(network(tmp_path, (1.0, 0, 0, 0), timing_rms_s=1e-9), radio(), USER)
    path_m = 1e-9 * FACTS.speed_of_light_m_s
    assert math.sqrt(covariance_of(fix).range_m2) == pytest.approx(path_m, rel=1e-4)
    assert fix.range_m == pytest.approx(USER.range_m + path_m, abs=1e-2)


@pytest.mark.parametrize("place", range(4))
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_output_that_is_no_finite_number_ends_this_users_localization(tmp_path: Path, place: int, value: float) -> None:
    outputs = [0.0] * 4
    outputs[place] = value
    with pytest.raises(UnusableOutputError, match=r"expected 4 finite outputs of the network, got \[.*(nan|inf)"):
        locate(network(tmp_path, outputs), radio(), USER)


# --- sweeps ----------------------------------------------------------------------------------------------------------


def test_pair_asks_every_user_for_the_same_two_sweeps(tmp_path: Path) -> None:
    expected = [Sweep(focus=focus, kind=FeedbackKind.COMPLEX) for focus in (FORWARD, BACKWARD)]
    assert located(network(tmp_path, plan="pair"), radio()).requests == expected


def test_range_sweep_of_the_users_own_points_at_it(tmp_path: Path) -> None:
    _, own = sweeps_of(located(network(tmp_path), radio()))
    assert (own.focus.start_range_m, own.focus.end_range_m) == (50.0, 5.0)
    assert own.focus.start_angle_rad == own.focus.end_angle_rad == pytest.approx(USER.angle_rad, abs=2 / 512)


@pytest.mark.parametrize("plan", ALL_PLANS)
def test_several_sweeps_of_a_kind_become_one_and_are_charged(tmp_path: Path, plan: str) -> None:
    found = located(network(tmp_path, plan=plan, angle_beams=3, range_beams=2), radio(0))
    sweeps = sweeps_of(found)
    assert [sweep.focus == sweeps[0].focus for sweep in sweeps] == [True] * 3 + [False] * 2
    correction = shown_of(plan, combined(sweeps[:3]), combined(sweeps[3:])).correction
    assert (found.fix.range_m, found.fix.angle_rad) == pytest.approx(correction.position(0, 0), rel=1e-12)
    assert found.fix.sweeps == 5


class Hearing(Rehearsal):
    """A run whose users report what they hear of angle sweeps, the first ones forward."""

    forward = 1

    def report(self, ue: str, measure: Measure) -> Message:
        focus = FORWARD if measure.epoch <= self.forward else BACKWARD
        samples = heard(focus, 10.0 + 5.0 * self.ues.index(ue), 0.3)
        return ComplexReport(epoch=measure.epoch, samples=samples.astype(np.complex64))


@pytest.mark.parametrize("beams", [1, 2])
def test_pair_locates_three_users_of_a_run_with_as_many_sweeps_as_one(tmp_path: Path, beams: int) -> None:
    front_end = FrontEndLimits(elements=512, groups=1, phase_bits=0, delay_step_s=0.0, delay_span_s=1e-6, settle_s=0.0)
    scheme = network(tmp_path, plan="pair", angle_beams=beams)
    run = Hearing([scheme], ("ue-0", "ue-1", "ue-2"), facts=FACTS, limits=front_end)
    run.forward = beams
    run.begin()
    run.play()
    assert len(run.configures) == beams + 1
    ranges = {str(record["ue"]): record["range_m"] for record in run.recorded("fix")}
    assert ranges == pytest.approx({"ue-0": 10.0, "ue-1": 15.0, "ue-2": 20.0}, abs=1e-2)


def test_localizations_of_several_threads_do_not_disturb_each_other(tmp_path: Path) -> None:
    scheme, angles = network(tmp_path, (4.0, 4.0, 0.0, 0.0), plan="pair", refine=True), np.linspace(-1, 1, 24).tolist()
    alone = [located(scheme, radio(), User(range_m=20.0, angle_rad=angle)) for angle in angles]

    def again(found: Located) -> Fix:
        localization = scheme.locate()
        next(localization)
        localization.send(found.answers[0])
        with pytest.raises(StopIteration) as end:
            localization.send(found.answers[1])
        fix: Fix = end.value.value
        return fix

    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(again, 4 * alone))
    assert together == 4 * [found.fix for found in alone]


def test_silence_and_other_feedback_are_refused(tmp_path: Path) -> None:
    answers: Sequence[tuple[Answer, type[Exception]]] = (
        (ComplexFeedback(samples=np.zeros(2048, dtype=np.complex128)), EmptyFeedbackError),
        (PeakFeedback(subcarrier=3), FeedbackMismatchError),
    )
    for answer, error in answers:
        localization = network(tmp_path).locate()
        next(localization)
        with pytest.raises(error):
            localization.send(answer)


def test_images_take_the_sweeps_of_cbs_and_correct_its_angle(tmp_path: Path) -> None:
    found = located(network(tmp_path, (0.2, -0.1, math.log(0.5), math.log(0.25)), plan="image"), radio())
    by_cbs = located(scheme_from_options(CbsOptions(feedback="complex"), FACTS), radio())
    assert found.requests == by_cbs.requests
    # units of a quarter of the 45 m, from their middle, and of 7e-3 in sine
    assert found.fix.range_m == pytest.approx(27.5 + 0.2 * 11.25)
    sine = math.sin(by_cbs.fix.angle_rad) - 0.1 * 7e-3
    assert math.sin(found.fix.angle_rad) == pytest.approx(sine, abs=1e-9)  # outputs are float32
    assert math.sqrt(covariance_of(found.fix).range_m2) == pytest.approx(0.5 * 11.25)
    assert isinstance(found.fix.visibility, NotEstimated)


def test_refinement_brings_a_network_of_images_that_is_off_back_to_the_user(tmp_path: Path) -> None:
    first, second = sweeps_of(located(network(tmp_path, plan="image"), radio(20)))
    off = shown_of("image", first, second).correction.units(USER.range_m + 0.1, USER.angle_rad + 1e-3)
    fix = locate(network(tmp_path, (*off, 0.0, 0.0), plan="image", refine=True), radio(20), USER)
    # a fortieth of what the network is off, and still five bounds
    assert fix.range_m == pytest.approx(USER.range_m, abs=2.5e-3)
    assert fix.angle_rad == pytest.approx(USER.angle_rad, abs=2.5e-5)
    assert fix.visibility == Visibility(subarrays=USER.visible_subarrays)


def test_images_without_a_model_file_are_refused() -> None:
    with pytest.raises(
        msgspec.ValidationError, match="model: expected a file with plan image, for which none is shipped"
    ):
        msgspec.convert({"scheme": "network", "plan": "image"}, SchemeOptions)


# --- the range of another scheme -------------------------------------------------------------------------------------


FAR_OFF = (8000.0, 0.0, 0.0, 0.0)  # four metres, of a pair sixteen
NEAR = User(range_m=15.0, angle_rad=0.1)


def range_of(localization: Generator[Sweep, Answer, tuple[float, int]]) -> float:
    """The range of a scheme's second stage by itself, without noise."""
    air, request = radio(200), next(localization)
    while True:
        try:
            request = localization.send(air.answer(request, NEAR))
        except StopIteration as end:
            return float(end.value[0])


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize(("range_from", "pilots"), [("cbs", 1), ("cbs_bt", 3)])
def test_hybrid_has_the_angle_of_the_network_and_the_range_of_another(
    tmp_path: Path, plan: str, range_from: str, pilots: int
) -> None:
    alone = locate(network(tmp_path, FAR_OFF, plan=plan), radio(200), NEAR)
    fix = locate(network(tmp_path, FAR_OFF, plan=plan, range_from=range_from), radio(200), NEAR)
    assert fix.angle_rad == alone.angle_rad
    own = {
        "cbs": estimated_range(FACTS, fix.angle_rad, 1),
        "cbs_bt": CbsBt(options=CbsBtOptions(), facts=FACTS).trained_range(fix.angle_rad),
    }
    assert fix.range_m == range_of(own[range_from])
    # without noise groups of 128 subcarriers, which a range of focus tells worst, are a metre off; the network is 4 m or 16 m
    assert fix.range_m == pytest.approx(15.0, abs=1.0)
    assert alone.range_m == pytest.approx({"angle_range": 19.0, "pair": 31.0}[plan], abs=0.1)
    assert fix.sweeps == 2 + pilots
    assert isinstance(fix.covariance, NotEstimated)


def test_hybrid_by_groups_of_subcarriers_can_be_prepared(tmp_path: Path) -> None:
    scheme = network(tmp_path, range_from="cbs_bt")
    scheme.prepare()
    assert locate(scheme, radio(), NEAR).sweeps == 5


# --- refinement ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("plan", PLANS)
def test_refinement_brings_a_network_that_is_off_back_to_the_user(tmp_path: Path, plan: str) -> None:
    off = (20.0, 10.0, 0.0, 0.0)  # a centimetre and an eighth of a beam: twenty-five bounds and more
    alone = locate(network(tmp_path, off, plan=plan), radio(20), USER)
    refined = locate(network(tmp_path, off, plan=plan, refine=True), radio(20), USER)
    assert abs(refined.angle_rad - USER.angle_rad) < 0.1 * abs(alone.angle_rad - USER.angle_rad)
    assert abs(refined.range_m - USER.range_m) < 0.1 * abs(alone.range_m - USER.range_m)
    errors = np.array([refined.range_m - USER.range_m, refined.angle_rad - USER.angle_rad])
    stated = covariance_of(refined)
    matrix = [[stated.range_m2, stated.range_angle_m_rad], [stated.range_angle_m_rad, stated.angle_rad2]]
    assert errors @ np.linalg.solve(matrix, errors) < 14  # chi-square with two degrees: 0.1 % of users are beyond
    assert isinstance(refined.fit, GoodnessOfFit)
    assert refined.visibility == Visibility(subarrays=USER.visible_subarrays)


@pytest.mark.parametrize("plan", PLANS)
def test_networks_answer_stands_where_the_search_finds_nothing_likelier(tmp_path: Path, plan: str) -> None:
    best = located(network(tmp_path, (20.0, 10.0, 0.0, 0.0), plan=plan, refine=True), radio())
    first, second = sweeps_of(best)
    at_best = shown_of(plan, first, second).correction.units(best.fix.range_m, best.fix.angle_rad)
    alone = locate(network(tmp_path, (*at_best, 0.0, 0.0), plan=plan), radio(), USER)
    refined = locate(network(tmp_path, (*at_best, 0.0, 0.0), plan=plan, refine=True), radio(), USER)
    assert refined == alone
    assert isinstance(best.fix.fit, GoodnessOfFit)
    assert covariance_of(refined) != covariance_of(best.fix)


@pytest.mark.parametrize("other", [{"range_from": "cbs"}, {"range_from": "cbs_bt"}, {"timing_rms_s": 1e-9}])
def test_refinement_of_what_its_search_does_not_model_is_refused(other: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError, match=r"refine: expected false with .*, got true"):
        msgspec.convert({"scheme": "network", "refine": True, **other}, SchemeOptions)
