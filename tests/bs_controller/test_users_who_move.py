"""Users who move between the two sweeps of a pair: they are found midway, as well as if they had stood still."""

import cmath

import numpy as np
import numpy.typing as npt
import pytest

from bs_controller.jobs import Found, Wanted, step
from bs_controller.schemes import Likelihood, LikelihoodOptions, Network, NetworkOptions, scheme_from_options
from bs_controller.sweeps import (
    ComplexFeedback,
    Covariance,
    Fix,
    Integrity,
    Measurement,
    MovingScheme,
    Trajectory,
    Visibility,
    localization_of,
)
from tests.bs_controller.hearing import ALL, BACKWARD, FACTS, FORWARD, heard, noise

PAIR = Likelihood(options=LikelihoodOptions(plan="pair"), facts=FACTS)
NETWORK = Network.loaded(NetworkOptions(plan="pair"), FACTS)
SCHEMES = pytest.mark.parametrize("scheme", [PAIR, NETWORK], ids=["likelihood", "network"])
FAR_M = 0.2  # what somebody on a bicycle moves by in the 30 ms between two sweeps

ComplexArray = npt.NDArray[np.complex128]


def swept(
    sweep: Trajectory, place_m: complex, visible: tuple[int, ...], rng: np.random.Generator, snr_db: float
) -> ComplexArray:
    samples = heard(sweep, abs(place_m), cmath.phase(place_m), visible)
    return (samples + noise(samples, snr_db, rng)).astype(np.complex64).astype(np.complex128)


def fix_of(localization: Measurement, *answers: ComplexArray) -> Fix:
    result = step(localization, None)
    for samples in answers:
        assert isinstance(result, Wanted)
        result = step(localization, ComplexFeedback(samples=samples))
    assert isinstance(result, Found)
    return result.fix


def located(
    scheme: MovingScheme,
    middle_m: complex,
    moved_m: complex,
    rng: np.random.Generator,
    *,
    visible: tuple[int, ...] = ALL,
    snr_db: float = 20,
) -> Fix:
    """Return the fix of a user who moves by `moved_m`, and is in the middle of it midway between the sweeps."""
    forward = swept(FORWARD, middle_m - moved_m / 2, visible, rng, snr_db)
    backward = swept(BACKWARD, middle_m + moved_m / 2, visible, rng, snr_db)
    return fix_of(scheme.locate_moving(), forward, backward)


def users(count: int, rng: np.random.Generator, moved_m: float) -> list[tuple[complex, complex]]:
    """Return places and ways, as complex numbers of metres whose angle is that of the array."""
    return [
        (cmath.rect(rng.uniform(6, 45), rng.uniform(-1, 1)), cmath.rect(moved_m, rng.uniform(-np.pi, np.pi)))
        for _ in range(count)
    ]


def off_m(fix: Fix, place_m: complex) -> float:
    return abs(cmath.rect(fix.range_m, fix.angle_rad) - place_m)


def squared_error(fix: Fix, place_m: complex) -> float:
    """Return the squared error in units of the fix's own covariance."""
    assert isinstance(fix.covariance, Covariance)
    own = fix.covariance
    matrix = np.array([[own.range_m2, own.range_angle_m_rad], [own.range_angle_m_rad, own.angle_rad2]])
    away = np.array([fix.range_m - abs(place_m), fix.angle_rad - cmath.phase(place_m)])
    return float(away @ np.linalg.solve(matrix, away))


@SCHEMES
@pytest.mark.parametrize("moved_m", [0.0, 0.03, FAR_M])
def test_errors_are_those_of_users_at_rest(scheme: MovingScheme, moved_m: float) -> None:
    rng, count = np.random.default_rng(11), 40
    at_rest, moving = [], []
    for middle_m, way_m in users(count, rng, moved_m):
        samples = swept(FORWARD, middle_m, ALL, rng, 20), swept(BACKWARD, middle_m, ALL, rng, 20)
        at_rest.append(off_m(fix_of(scheme.locate(), *samples), middle_m) ** 2)
        moving.append(off_m(located(scheme, middle_m, way_m, rng), middle_m) ** 2)
    # two sums of 40 squares of mostly one number each, the larger error: their ratio is within five deviations of 1
    assert np.mean(moving) < (1 + 5 * np.sqrt(2 * 2 / count)) * np.mean(at_rest)
    assert max(moving) < 0.01**2  # nobody is on another lobe, 5 cm away in one sweep and half of that midway


def test_errors_are_as_large_as_fixes_say() -> None:
    rng, count = np.random.default_rng(12), 100
    nees = [squared_error(located(PAIR, at_m, way_m, rng, snr_db=10), at_m) for at_m, way_m in users(count, rng, 0.05)]
    # the mean of chi-squared numbers of two degrees, five deviations around 2
    assert np.mean(nees) == pytest.approx(2.0, abs=5 * 2 / np.sqrt(count))


@SCHEMES
@pytest.mark.parametrize("visible", [(0,), (1, 2), (0, 3), (1, 2, 3)])
def test_sub_arrays_that_see_a_walker_are_named(scheme: MovingScheme, visible: tuple[int, ...]) -> None:
    fix = located(scheme, cmath.rect(20.0, 0.4), 0.05j, np.random.default_rng(13), visible=visible)
    assert fix.visibility == Visibility(subarrays=visible)
    assert off_m(fix, cmath.rect(20.0, 0.4)) < 0.01


def test_pair_of_a_walker_is_trusted_and_takes_two_sweeps() -> None:
    fix = located(PAIR, cmath.rect(20.0, 0.4), 0.05j, np.random.default_rng(14))
    assert (fix.integrity, fix.sweeps) == (Integrity.TRUSTED, 2)


def test_echoes_do_not_hide_a_walker() -> None:
    rng, middle_m, echo_m = np.random.default_rng(15), cmath.rect(15.0, 0.2), cmath.rect(24.0, -0.4)
    answers = []
    for sweep, place_m in ((FORWARD, middle_m - 0.02), (BACKWARD, middle_m + 0.02)):
        # as strong as half the line of sight, and with what it leaves unexplained more than a fifth of all
        echo = heard(sweep, abs(echo_m), cmath.phase(echo_m), gain=1e-4)
        answers.append(swept(sweep, place_m, ALL, rng, 20) + echo)
    assert off_m(fix_of(PAIR.locate_moving(), *answers), middle_m) < 0.02


def test_scheme_that_takes_users_for_still_is_asked_as_it_can_be() -> None:
    still = scheme_from_options(LikelihoodOptions(model="unsynchronised"), FACTS)
    assert not isinstance(still, MovingScheme)
    request = next(localization_of(still, moving=True))
    assert request == next(still.locate())


def test_plan_with_a_sweep_of_the_users_own_takes_it_for_still() -> None:
    whole = Likelihood(options=LikelihoodOptions(), facts=FACTS)
    assert next(whole.locate_moving()) == next(whole.locate())


@pytest.mark.parametrize(
    "scheme",
    [
        Likelihood(options=LikelihoodOptions(plan="pair", moving=True), facts=FACTS),
        Network.loaded(NetworkOptions(plan="pair", moving=True), FACTS),
    ],
    ids=["likelihood", "network"],
)
def test_option_moving_does_the_same_in_any_run(scheme: Likelihood | Network) -> None:
    middle_m, way_m = cmath.rect(20.0, 0.4), 0.05j
    rng = np.random.default_rng(16)
    forward = swept(FORWARD, middle_m - way_m / 2, ALL, rng, 20)
    backward = swept(BACKWARD, middle_m + way_m / 2, ALL, rng, 20)
    assert fix_of(scheme.locate(), forward, backward) == fix_of(scheme.locate_moving(), forward, backward)


def test_option_moving_is_refused_where_it_would_do_nothing() -> None:
    with pytest.raises(
        ValueError, match="moving: expected plan pair and model coherent with it, got angle_range and coh"
    ):
        LikelihoodOptions(moving=True)
    with pytest.raises(ValueError, match="moving: expected plan pair and model coherent with it, got pair and power"):
        LikelihoodOptions(plan="pair", model="power", moving=True)
    with pytest.raises(ValueError, match="moving: expected plan pair with it, got angle_range"):
        NetworkOptions(moving=True)
