"""The scheme `likelihood` with unknown delays: what it asks for, what its fixes say, and what they do not depend on."""

import msgspec
import numpy as np
import pytest

from bs_controller.schemes import LikelihoodOptions, LikelihoodUnsynchronised, SchemeOptions, scheme_from_options
from bs_controller.schemes.whole_sweeps import EmptyFeedbackError
from bs_controller.sweeps import (
    ClockOffset,
    ComplexFeedback,
    Covariance,
    Fix,
    GoodnessOfFit,
    Integrity,
    Request,
    Scheme,
    Sweep,
    Trajectory,
    Visibility,
)
from protocol.messages import FeedbackKind
from protocol.testbed import default_facts
from tests.bs_controller.hearing import ALL, BACKWARD, FACTS, FORWARD, heard, noise

C = FACTS.speed_of_light_m_s
OFFSET_HZ = FACTS.downlink.grid.frequency_hz - FACTS.downlink.grid.frequency_hz.mean()
OPTIONS = [
    LikelihoodOptions(plan="angle_range", model="unsynchronised_together"),
    LikelihoodOptions(plan="pair", model="unsynchronised_together"),
    LikelihoodOptions(plan="angle_range", model="unsynchronised"),
    LikelihoodOptions(plan="pair", model="unsynchronised"),
]
SCHEMES = [scheme_from_options(options, FACTS) for options in OPTIONS]
EVERY_SCHEME = pytest.mark.parametrize("scheme", SCHEMES, ids=[f"{one.plan}-{one.model}" for one in OPTIONS])
TOGETHER = SCHEMES[:2]
EVERY_PLAN = pytest.mark.parametrize("scheme", TOGETHER, ids=["angle_range", "pair"])


def located(
    scheme: Scheme,
    range_m: float,
    angle_rad: float,
    visible: tuple[int, ...] = ALL,
    *,
    delay_m: tuple[float, float] = (2.0, 2.0),
    snr_db: float = 200,
    seed: int = 1,
) -> tuple[Fix, list[Request]]:
    rng, requests = np.random.default_rng(seed), list[Request]()
    localization = scheme.locate()
    request = next(localization)
    while True:
        assert isinstance(request, Sweep)
        assert isinstance(request.focus, Trajectory)
        late = np.exp(2j * np.pi * OFFSET_HZ * delay_m[len(requests)] / C)
        samples = late * heard(request.focus, range_m, angle_rad, visible)
        requests.append(request)
        answer = (samples + noise(samples, snr_db, rng)).astype(np.complex64).astype(np.complex128)
        try:
            request = localization.send(ComplexFeedback(samples=answer))
        except StopIteration as end:
            fix: Fix = end.value
            return fix, requests


@EVERY_SCHEME
@pytest.mark.parametrize(("range_m", "angle_rad"), [(5.0, 0.0), (50.0, np.pi / 3), (17.0, -0.3)])
def test_user_without_noise_is_found_to_the_rounding_of_its_report(
    scheme: Scheme, range_m: float, angle_rad: float
) -> None:
    fix, _ = located(scheme, range_m, angle_rad)
    # complex64 is noise at 150 dB below the samples: a ten-millionth of the 0.3 m at 10 dB and 50 m
    assert fix.range_m == pytest.approx(range_m, abs=1e-6)
    assert fix.angle_rad == pytest.approx(angle_rad, abs=1e-8)
    assert fix.sweeps == 2


@pytest.mark.parametrize("scheme", SCHEMES[2:], ids=["angle_range", "pair"])
def test_each_sweep_may_have_a_delay_of_its_own(scheme: Scheme) -> None:
    fix, _ = located(scheme, 17.0, -0.3, delay_m=(2.9, -2.5))
    assert fix.range_m == pytest.approx(17.0, abs=1e-6)
    assert isinstance(fix.delay, ClockOffset)
    assert fix.delay.delay_s == pytest.approx((2.9 / C, -2.5 / C), abs=1e-14)
    assert fix.integrity is Integrity.TRUSTED


def test_pair_asks_every_user_for_the_same_two_sweeps() -> None:
    requests = [located(SCHEMES[1], *user)[1] for user in ((9.0, -0.7), (33.0, 0.2))]
    expected = [Sweep(focus=focus, kind=FeedbackKind.COMPLEX) for focus in (FORWARD, BACKWARD)]
    assert requests == [expected, expected]


@EVERY_SCHEME
@pytest.mark.parametrize("visible", [(0,), (1, 2), (0, 3), (0, 1, 3)])
def test_fix_names_the_visible_sub_arrays(scheme: Scheme, visible: tuple[int, ...]) -> None:
    fix, _ = located(scheme, 25.0, -0.5, visible, snr_db=10)
    assert fix.visibility == Visibility(subarrays=visible)


@EVERY_PLAN
def test_clean_user_is_trusted_and_fits(scheme: Scheme) -> None:
    fix, _ = located(scheme, 14.0, 0.6, snr_db=10)
    assert isinstance(fix.fit, GoodnessOfFit)
    assert abs(fix.fit.statistic - 1) < 4 / np.sqrt(fix.fit.degrees)
    assert fix.integrity is Integrity.TRUSTED


@pytest.mark.parametrize(
    ("scheme", "visible"),
    [(TOGETHER[0], ALL), (TOGETHER[0], (2,)), (TOGETHER[1], (2,))],
    ids=["angle_range, range known", "angle_range, range unknown", "pair, range unknown"],
)
def test_errors_follow_the_covariance_that_fixes_state(scheme: Scheme, visible: tuple[int, ...]) -> None:
    squares, rng = [], np.random.default_rng(3)
    for seed in range(40):
        # covariances are those of a mean over ranges and delays, so that these must vary
        delay_m, range_m = float(rng.uniform(-3, 3)), float(rng.uniform(20, 45))
        fix, _ = located(scheme, range_m, 0.6, visible, delay_m=(delay_m, delay_m), snr_db=10, seed=seed)
        assert isinstance(fix.covariance, Covariance)
        c = fix.covariance
        matrix = np.array([[c.range_m2, c.range_angle_m_rad], [c.range_angle_m_rad, c.angle_rad2]])
        error = np.array([fix.range_m - range_m, fix.angle_rad - 0.6])
        squares.append(error @ np.linalg.solve(matrix, error))
    # the sum is about chi-square with 80 degrees: a mean of 2 per fix, four standard deviations of 2 / sqrt(40) each
    assert np.mean(squares) == pytest.approx(2, abs=4 * 2 / np.sqrt(40))


def test_user_with_a_delay_beyond_the_span_is_suspect() -> None:
    short = scheme_from_options(LikelihoodOptions(model="unsynchronised_together", delay_span_s=1e-9), FACTS)
    fix, _ = located(short, 17.0, 0.2, delay_m=(2.0, 2.0), snr_db=10)
    assert fix.integrity is Integrity.SUSPECT
    fix, _ = located(short, 17.0, 0.2, delay_m=(0.2, 0.2), snr_db=10)
    assert fix.integrity is Integrity.TRUSTED


def test_fix_beside_a_strong_second_path_is_suspect() -> None:
    localization = TOGETHER[1].locate()
    next(localization)
    samples = [heard(focus, 14.0, 0.6) + 0.8 * heard(focus, 30.0, -0.4) for focus in (FORWARD, BACKWARD)]
    localization.send(ComplexFeedback(samples=samples[0]))
    with pytest.raises(StopIteration) as end:
        localization.send(ComplexFeedback(samples=samples[1]))
    assert end.value.value.integrity is Integrity.SUSPECT


def test_silence_is_refused() -> None:
    localization = SCHEMES[0].locate()
    next(localization)
    with pytest.raises(EmptyFeedbackError):
        localization.send(ComplexFeedback(samples=np.zeros(2048, dtype=np.complex128)))


def test_subcarriers_too_far_apart_for_region_and_delays_are_refused() -> None:
    fits = default_facts(subcarriers=1400)  # repeats every 69.9 m; region and delay lines span 67.5 m
    scheme_from_options(LikelihoodOptions(), fits)
    with pytest.raises(ValueError, match=r"region and delay lines span 73\.\d m"):
        scheme_from_options(LikelihoodOptions(model="unsynchronised"), fits)


def test_model_chooses_the_class_and_is_named_in_files() -> None:
    entry = {"scheme": "likelihood", "model": "unsynchronised", "delay_span_s": 5e-9}
    options = msgspec.convert(entry, SchemeOptions)
    assert options == LikelihoodOptions(model="unsynchronised", delay_span_s=5e-9)
    assert isinstance(scheme_from_options(options, FACTS), LikelihoodUnsynchronised)
    with pytest.raises(msgspec.ValidationError, match="delay_span_s"):
        msgspec.convert({**entry, "delay_span_s": -1e-9}, SchemeOptions)
