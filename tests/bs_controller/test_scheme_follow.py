"""The scheme `follow`: one common sweep from where a track says that a user is."""

import numpy as np
import numpy.typing as npt
import pytest

from bs_controller.schemes import LikelihoodOptions, scheme_from_options
from bs_controller.schemes.follow import Follow
from bs_controller.sweeps import ComplexFeedback, Covariance, Fix, Integrity, Localization, Prior, Sweep, Visibility
from protocol.messages import FeedbackKind
from tests.bs_controller.hearing import ALL, FACTS, FORWARD, heard, noise

FOLLOW = Follow(facts=FACTS)
ComplexArray = npt.NDArray[np.complex128]
RANGE_OFF_M, ACROSS_OFF_M = 0.1, 0.03  # rms of the priors


def followed(
    range_m: float, angle_rad: float, rng: np.random.Generator, *, visible: tuple[int, ...] = ALL, snr_db: float = 200
) -> Fix:
    """Return the fix of a user whose prior is a decimetre off."""
    prior = Prior(
        range_m=range_m + RANGE_OFF_M * rng.standard_normal(),
        angle_rad=angle_rad + ACROSS_OFF_M / range_m * rng.standard_normal(),
        covariance=Covariance(range_m2=RANGE_OFF_M**2, range_angle_m_rad=0.0, angle_rad2=(ACROSS_OFF_M / range_m) ** 2),
    )
    samples = heard(FORWARD, range_m, angle_rad, visible)
    answer = (samples + noise(samples, snr_db, rng)).astype(np.complex64).astype(np.complex128)
    return fix_of(FOLLOW.locate_from(prior), answer)


def fix_of(localization: Localization, samples: ComplexArray) -> Fix:
    """Return the fix of one sweep, the forward one."""
    assert next(localization) == Sweep(focus=FORWARD, kind=FeedbackKind.COMPLEX)
    with pytest.raises(StopIteration) as end:
        localization.send(ComplexFeedback(samples=samples))
    fix: Fix = end.value.value
    return fix


def squared_error(fix: Fix, range_m: float, angle_rad: float) -> float:
    """Return the squared error in units of the fix's own covariance."""
    assert isinstance(fix.covariance, Covariance)
    own = fix.covariance
    matrix = np.array([[own.range_m2, own.range_angle_m_rad], [own.range_angle_m_rad, own.angle_rad2]])
    away = np.array([fix.range_m - range_m, fix.angle_rad - angle_rad])
    return float(away @ np.linalg.solve(matrix, away))


@pytest.mark.parametrize(("range_m", "angle_rad"), [(5.5, 0.0), (48.0, 1.0), (6.0, -1.0), (17.0, 0.3)])
def test_user_without_noise_is_found_to_the_rounding_of_its_report(range_m: float, angle_rad: float) -> None:
    fix = followed(range_m, angle_rad, np.random.default_rng(1))
    # as of `likelihood`: complex64 is noise at 150 dB
    assert fix.range_m == pytest.approx(range_m, abs=1e-6)
    assert fix.angle_rad == pytest.approx(angle_rad, abs=1e-8)
    assert fix.sweeps == 1


def test_sweep_is_the_forward_one_of_likelihood() -> None:
    pair = scheme_from_options(LikelihoodOptions(plan="pair"), FACTS)
    assert next(pair.locate()) == Sweep(focus=FOLLOW.sweep, kind=FeedbackKind.COMPLEX)


@pytest.mark.parametrize("snr_db", [10.0, 20.0])
def test_errors_are_as_large_as_fixes_say(snr_db: float) -> None:
    rng, users = np.random.default_rng(7), 150
    nees = []
    for _ in range(users):
        range_m, angle_rad = rng.uniform(6, 45), rng.uniform(-1, 1)
        nees.append(squared_error(followed(range_m, angle_rad, rng, snr_db=snr_db), range_m, angle_rad))
    # a user on the next lobe, 5 cm off, has thousands; a mean of chi-squared numbers of two degrees, five deviations around 2
    assert np.mean(nees) == pytest.approx(2.0, abs=5 * 2 / np.sqrt(users))


def test_range_that_is_known_well_chooses_between_lobes_that_noise_makes_as_likely() -> None:
    rng, users, sure_m = np.random.default_rng(9), 100, 0.01
    known, unknown = list[float](), list[float]()
    for _ in range(users):
        range_m, angle_rad = rng.uniform(6, 45), rng.uniform(-1, 1)
        samples = heard(FORWARD, range_m, angle_rad)
        samples = samples + noise(samples, -3.0, rng)
        at_m = range_m + sure_m * rng.standard_normal()
        for rms_m, off in ((sure_m, known), (10.0, unknown)):
            covariance = Covariance(range_m2=rms_m**2, range_angle_m_rad=0.0, angle_rad2=1e-6)
            prior = Prior(range_m=at_m, angle_rad=angle_rad, covariance=covariance)
            off.append(fix_of(FOLLOW.locate_from(prior), samples).range_m - range_m)
    # the same noise for both; lobes are 5 cm apart, and a fifth of users are on a wrong one by the sweep alone
    assert np.mean(np.square(known)) < 0.7 * np.mean(np.square(unknown))


def test_lobe_that_speaks_for_itself_is_believed_against_a_sure_prior() -> None:
    samples = heard(FORWARD, 20.0, 0.3)
    wrong = Covariance(range_m2=1e-6, range_angle_m_rad=0.0, angle_rad2=1e-8)
    prior = Prior(range_m=20.05, angle_rad=0.3, covariance=wrong)  # a track on the next lobe
    fix = fix_of(FOLLOW.locate_from(prior), samples + noise(samples, 10.0, np.random.default_rng(2)))
    assert fix.range_m == pytest.approx(20.0, abs=0.01)


@pytest.mark.parametrize("visible", [(0,), (1, 2), (0, 3)])
def test_fix_names_the_visible_sub_arrays(visible: tuple[int, ...]) -> None:
    fix = followed(25.0, -0.5, np.random.default_rng(3), visible=visible, snr_db=10)
    assert fix.visibility == Visibility(subarrays=visible)
    assert fix.integrity is Integrity.TRUSTED


def test_user_that_is_somewhere_else_is_doubted() -> None:
    sure = Covariance(range_m2=1e-4, range_angle_m_rad=0.0, angle_rad2=1e-8)
    localization = FOLLOW.locate_from(Prior(range_m=20.0, angle_rad=0.3, covariance=sure))
    next(localization)
    samples = heard(FORWARD, 30.0, 0.3)
    with pytest.raises(StopIteration) as end:
        localization.send(ComplexFeedback(samples=samples + noise(samples, 20.0, np.random.default_rng(2))))
    assert end.value.value.integrity is Integrity.SUSPECT
