"""Several users' estimates of the same elements."""

from dataclasses import replace

import numpy as np
import pytest

from bs_controller.calibration.combining import combined
from bs_controller.calibration.elements import ElementErrors

TRUTH = np.random.default_rng(1).uniform(-np.pi, np.pi, 2000)


def estimate(seed: int, error_rad: float) -> ElementErrors:
    """Return an estimate of elements of these phases, without level or delay errors, with this deviation."""
    rng = np.random.default_rng(seed)
    elements, ones = TRUTH.size, np.ones(TRUTH.size)
    return ElementErrors(
        gain_db=error_rad * rng.standard_normal(elements),
        phase_rad=np.angle(np.exp(1j * (TRUTH + error_rad * rng.standard_normal(elements)))),
        delay_s=1e-12 * error_rad * rng.standard_normal(elements),
        gain_error_db=error_rad * ones,
        phase_error_rad=error_rad * ones,
        delay_error_s=1e-12 * error_rad * ones,
        alive=np.ones(elements, bool),
    )


def test_mean_weighs_by_inverse_variance_and_says_how_well_it_is_known() -> None:
    errors, agreement = combined([estimate(1, 0.01), estimate(2, 0.02)])
    expected = 1 / np.sqrt(1e4 + 2.5e3)
    np.testing.assert_allclose(errors.phase_error_rad, expected)
    miss = np.angle(np.exp(1j * (errors.phase_rad - TRUTH)))
    assert float(miss.std()) == pytest.approx(expected, rel=0.06)  # 2000 elements: 1.6 % and rarely thrice that
    # of unequal users the better one agrees more with the mean; together they are 1
    assert np.mean(agreement) == pytest.approx(1.0, abs=0.1)


def test_user_whose_survey_is_off_does_not_agree() -> None:
    tilted = estimate(2, 0.01)
    tilted = replace(tilted, phase_rad=tilted.phase_rad + np.linspace(-0.05, 0.05, TRUTH.size))
    assert min(combined([estimate(1, 0.01), tilted])[1]) > 2
    assert max(combined([estimate(1, 0.01), estimate(2, 0.01)])[1]) < 1.2


def test_element_that_one_user_hears_is_alive_and_as_it_hears_it() -> None:
    blind = estimate(2, 0.01)
    infinite = np.where(np.arange(TRUTH.size) == 7, np.inf, 0.01)
    blind = replace(
        blind,
        alive=np.arange(TRUTH.size) != 7,
        gain_error_db=infinite,
        phase_error_rad=infinite,
        delay_error_s=1e-12 * infinite,
    )
    one = estimate(1, 0.01)
    errors, agreement = combined([one, blind])
    assert errors.alive.all()
    assert errors.phase_rad[7] == pytest.approx(one.phase_rad[7])
    assert np.isfinite(agreement).all()


def test_element_that_nobody_hears_is_dead_and_single_user_has_nobody_to_agree_with() -> None:
    infinite = np.where(np.arange(TRUTH.size) == 7, np.inf, 0.01)
    one = replace(
        estimate(1, 0.01),
        alive=np.arange(TRUTH.size) != 7,
        gain_error_db=infinite,
        phase_error_rad=infinite,
        delay_error_s=infinite,
    )
    errors, agreement = combined([one])
    assert not errors.alive[7]
    assert errors.phase_rad[7] == errors.delay_s[7] == 0.0
    assert agreement == [0.0]
