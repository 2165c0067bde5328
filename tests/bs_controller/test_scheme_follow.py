"""The scheme `follow`: one common sweep from where a track says that a user is."""

import numpy as np
import pytest

from bs_controller.schemes import LikelihoodOptions, scheme_from_options
from bs_controller.schemes.follow import Follow
from bs_controller.sweeps import ComplexFeedback, Covariance, Fix, Integrity, Prior, Sweep, Visibility
from protocol.messages import FeedbackKind
from tests.bs_controller.hearing import ALL, FACTS, FORWARD, heard, noise

FOLLOW = Follow(facts=FACTS)
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
    localization = FOLLOW.locate_from(prior)
    assert next(localization) == Sweep(focus=FORWARD, kind=FeedbackKind.COMPLEX)
    samples = heard(FORWARD, range_m, angle_rad, visible)
    answer = (samples + noise(samples, snr_db, rng)).astype(np.complex64).astype(np.complex128)
    with pytest.raises(StopIteration) as end:
        localization.send(ComplexFeedback(samples=answer))
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
