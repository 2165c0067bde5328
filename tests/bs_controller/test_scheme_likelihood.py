"""The scheme `likelihood`: which sweeps it asks for and what its fixes say."""

from concurrent.futures import ThreadPoolExecutor

import msgspec
import numpy as np
import pytest

from bs_controller.schemes import LikelihoodOptions, SchemeOptions, scheme_from_options
from bs_controller.schemes.whole_sweeps import EmptyFeedbackError
from bs_controller.sweeps import (
    ComplexFeedback,
    Covariance,
    FeedbackMismatchError,
    Fix,
    GoodnessOfFit,
    Integrity,
    PeakFeedback,
    Request,
    Scheme,
    Sweep,
    Trajectory,
    Visibility,
)
from protocol.messages import FeedbackKind
from protocol.testbed import default_facts
from tests.bs_controller.hearing import ALL, BACKWARD, FACTS, FORWARD, heard, noise

ANGLE_RANGE = scheme_from_options(LikelihoodOptions(), FACTS)
PAIR = scheme_from_options(LikelihoodOptions(plan="pair"), FACTS)


def located(
    scheme: Scheme,
    range_m: float,
    angle_rad: float,
    visible: tuple[int, ...] = ALL,
    *,
    snr_db: float = 200,
    seed: int = 1,
) -> tuple[Fix, list[Request]]:
    rng, requests = np.random.default_rng(seed), []
    localization = scheme.locate()
    request = next(localization)
    while True:
        requests.append(request)
        assert isinstance(request, Sweep)
        assert isinstance(request.focus, Trajectory)
        samples = heard(request.focus, range_m, angle_rad, visible)
        answer = (samples + noise(samples, snr_db, rng)).astype(np.complex64).astype(np.complex128)
        try:
            request = localization.send(ComplexFeedback(samples=answer))
        except StopIteration as end:
            fix: Fix = end.value
            return fix, requests


@pytest.mark.parametrize("scheme", [ANGLE_RANGE, PAIR], ids=["angle_range", "pair"])
@pytest.mark.parametrize(("range_m", "angle_rad"), [(5.0, 0.0), (50.0, np.pi / 3), (5.0, -np.pi / 3), (17.0, 0.3)])
def test_user_without_noise_is_found_to_the_rounding_of_its_report(
    scheme: Scheme, range_m: float, angle_rad: float
) -> None:
    fix, _ = located(scheme, range_m, angle_rad)
    # complex64 is noise at 150 dB below the samples: a ten-millionth of the millimetres at 10 dB
    assert fix.range_m == pytest.approx(range_m, abs=1e-8 * 100)
    assert fix.angle_rad == pytest.approx(angle_rad, abs=1e-8)
    assert fix.sweeps == 2


def test_pair_asks_every_user_for_the_same_two_sweeps() -> None:
    requests = [located(PAIR, *user)[1] for user in ((9.0, -0.7), (33.0, 0.2))]
    expected = [Sweep(focus=focus, kind=FeedbackKind.COMPLEX) for focus in (FORWARD, BACKWARD)]
    assert requests == [expected, expected]


def test_range_sweep_is_aimed_at_a_user_that_only_the_outermost_sub_array_sees() -> None:
    _, requests = located(ANGLE_RANGE, 20.0, 0.3, visible=(3,), snr_db=10)
    aimed = requests[1]
    assert isinstance(aimed, Sweep)
    assert isinstance(aimed.focus, Trajectory)
    assert (aimed.focus.start_range_m, aimed.focus.end_range_m) == (50.0, 5.0)
    # one of four equally likely directions, a sub-array apart; the beam of the sub-array that sees the user is 0.0156 wide
    assert abs(np.sin(aimed.focus.start_angle_rad) - np.sin(0.3)) < 0.0156


@pytest.mark.parametrize("scheme", [ANGLE_RANGE, PAIR], ids=["angle_range", "pair"])
@pytest.mark.parametrize("visible", [(0,), (1, 2), (0, 3), (0, 1, 3)])
def test_fix_names_the_visible_sub_arrays(scheme: Scheme, visible: tuple[int, ...]) -> None:
    fix, _ = located(scheme, 25.0, -0.5, visible, snr_db=5)
    assert fix.visibility == Visibility(subarrays=visible)


@pytest.mark.parametrize("scheme", [ANGLE_RANGE, PAIR], ids=["angle_range", "pair"])
def test_clean_user_is_trusted_and_fits(scheme: Scheme) -> None:
    fix, _ = located(scheme, 14.0, 0.6, snr_db=10)
    assert isinstance(fix.fit, GoodnessOfFit)
    assert abs(fix.fit.statistic - 1) < 4 / np.sqrt(fix.fit.degrees)
    assert fix.integrity is Integrity.TRUSTED


@pytest.mark.parametrize("scheme", [ANGLE_RANGE, PAIR], ids=["angle_range", "pair"])
def test_errors_follow_the_covariance_that_fixes_state(scheme: Scheme) -> None:
    squares = []
    for seed in range(40):
        fix, _ = located(scheme, 14.0, 0.6, snr_db=10, seed=seed)
        assert isinstance(fix.covariance, Covariance)
        c = fix.covariance
        matrix = np.array([[c.range_m2, c.range_angle_m_rad], [c.range_angle_m_rad, c.angle_rad2]])
        error = np.array([fix.range_m - 14.0, fix.angle_rad - 0.6])
        squares.append(error @ np.linalg.solve(matrix, error))
    # the sum is chi-square with 80 degrees: a mean of 2 per fix, four standard deviations of 2 / sqrt(40) each
    assert np.mean(squares) == pytest.approx(2, abs=4 * 2 / np.sqrt(40))


def pair_among(places: list[tuple[complex, float, float]]) -> Fix:
    """The pair's fix of several paths, each as strong, far and in the direction as said."""
    localization = PAIR.locate()
    next(localization)
    samples = [sum(gain * heard(focus, r_m, theta) for gain, r_m, theta in places) for focus in (FORWARD, BACKWARD)]
    localization.send(ComplexFeedback(samples=np.asarray(samples[0])))
    with pytest.raises(StopIteration) as end:
        localization.send(ComplexFeedback(samples=np.asarray(samples[1])))
    fix: Fix = end.value.value
    return fix


def test_fix_on_a_path_that_another_precedes_is_suspect() -> None:
    fix = pair_among([(0.85, 14.0, 0.6), (1.0, 30.0, -0.4)])
    assert fix.range_m == pytest.approx(30.0, abs=0.1)  # the stronger is fitted
    assert fix.integrity is Integrity.SUSPECT


def test_fix_on_the_first_path_is_trusted_beside_an_echo_nearly_as_strong() -> None:
    fix = pair_among([(1.0, 14.0, 0.6), (0.85, 30.0, -0.4)])
    assert fix.range_m == pytest.approx(14.0, abs=0.1)
    assert fix.integrity is Integrity.TRUSTED


def beside_an_echo_in_its_beam(range_m: float) -> Fix:
    """The fix of a user that one sub-array sees, at 0.3 rad, beside an echo of half the amplitude a quarter of a beam away."""
    rng, localization = np.random.default_rng(1), ANGLE_RANGE.locate()
    request = next(localization)
    while True:
        assert isinstance(request, Sweep)
        assert isinstance(request.focus, Trajectory)
        user = heard(request.focus, range_m, 0.3, (1,))
        echo = 0.5 * heard(request.focus, range_m + 0.0102, 0.304, (1,))
        try:
            request = localization.send(ComplexFeedback(samples=user + echo + noise(user, 20, rng)))
        except StopIteration as end:
            fix: Fix = end.value
            return fix


def test_fix_that_an_echo_in_its_beam_pulls_is_suspect_where_the_pull_is_a_decimetre() -> None:
    far, near = beside_an_echo_in_its_beam(40.0), beside_an_echo_in_its_beam(8.0)
    assert abs(far.angle_rad - 0.3) * 40 > 0.1
    assert far.integrity is Integrity.SUSPECT
    assert abs(near.angle_rad - 0.3) * 8 < 0.03
    assert near.integrity is Integrity.TRUSTED


def test_localizations_of_several_threads_do_not_disturb_each_other() -> None:
    angles = np.linspace(-1, 1, 24).tolist()
    feedback = [
        [ComplexFeedback(samples=heard(focus, 20.0, angle)) for focus in (FORWARD, BACKWARD)] for angle in angles
    ]

    def angle_of_fix(answers: list[ComplexFeedback]) -> float:
        localization = PAIR.locate()
        next(localization)
        localization.send(answers[0])
        with pytest.raises(StopIteration) as end:
            localization.send(answers[1])
        fix: Fix = end.value.value
        return fix.angle_rad

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(angle_of_fix, feedback))
    assert found == pytest.approx(angles, abs=1e-6)


def test_other_feedback_is_refused() -> None:
    localization = PAIR.locate()
    next(localization)
    with pytest.raises(FeedbackMismatchError, match="complex samples were asked for, PeakFeedback came"):
        localization.send(PeakFeedback(subcarrier=3))


def test_silence_is_refused() -> None:
    localization = PAIR.locate()
    next(localization)
    with pytest.raises(EmptyFeedbackError):
        localization.send(ComplexFeedback(samples=np.zeros(2048, dtype=np.complex128)))


def test_margin_beyond_ninety_degrees_is_refused() -> None:
    wide = msgspec.structs.replace(FACTS, region=msgspec.structs.replace(FACTS.region, angle_max_rad=np.deg2rad(85.0)))
    with pytest.raises(ValueError, match="reach beyond 90 deg"):
        scheme_from_options(LikelihoodOptions(margin_deg=6), wide)


def test_subcarriers_too_far_apart_for_the_region_are_refused() -> None:
    with pytest.raises(ValueError, match=r"repeat every 12\.7 m of path"):
        scheme_from_options(LikelihoodOptions(), default_facts(subcarriers=256))


def test_options_are_named_in_files_as_the_scheme_is() -> None:
    assert msgspec.convert({"scheme": "likelihood", "plan": "pair"}, SchemeOptions) == LikelihoodOptions(plan="pair")
    assert PAIR.name == "likelihood"
