"""Gauss-Newton along the ridge against finite differences of a likelihood written as one would, and where it ends."""

import numpy as np
import numpy.typing as npt
import pytest

from bs_controller.estimation.newton import UnresolvableError
from bs_controller.estimation.unsynchronised.delayed import (
    CURVATURE,
    Delayed,
    DelayedObservation,
    Place,
    along_ridge,
    climbed,
    expanded,
    place_derivatives,
    place_from_ridge,
    remasked,
    ridge_from_place,
)
from tests.bs_controller.hearing import ALL, BACKWARD, FACTS, FORWARD, heard, noise, response_of

Floats = npt.NDArray[np.float64]

C = FACTS.speed_of_light_m_s
OFFSET_HZ = FACTS.downlink.grid.frequency_hz - FACTS.downlink.grid.frequency_hz.mean()
SUBARRAY_X_M = FACTS.downlink.array.element_x_m.reshape(4, -1).mean(axis=1)
ANYWHERE = (1 / 50, 1 / 5)
PLACE = {
    True: Place(range_m=14.0, angle_rad=0.3, delay_m=np.array([1.5])),
    False: Place(range_m=14.0, angle_rad=0.3, delay_m=np.array([1.5, -2.0])),
}


def mask_of(visible: tuple[int, ...]) -> Floats:
    return np.isin(np.arange(4), visible).astype(np.float64)


def delayed(place: Place, visible: tuple[int, ...], snr_db: float, seed: int) -> Delayed:
    """A forward and a backward sweep; one delay of the place is that of both, two are one each."""
    rng, observations, together = np.random.default_rng(seed), [], place.delay_m.size == 1
    for trajectory, delay_m in zip((FORWARD, BACKWARD), np.broadcast_to(place.delay_m, 2), strict=True):
        samples = heard(trajectory, place.range_m, place.angle_rad, visible)
        late = samples * np.exp(2j * np.pi * OFFSET_HZ * delay_m / C)
        received = late + noise(samples, snr_db, rng)
        observations.append(DelayedObservation(samples=received, response=response_of(trajectory)))
    return Delayed(
        observations=tuple(observations),
        angle_sweeps=2,
        together=together,
        turn_rad_m=2 * np.pi * OFFSET_HZ / C,
        carrier_rad_m=2 * np.pi * float(FACTS.downlink.grid.frequency_hz.mean()) / C,
        subarray_x_m=SUBARRAY_X_M,
    )


def likelihood(model: Delayed, ridge: Floats, visible: tuple[int, ...]) -> float:
    """Minus the samples times the log of each sweep's residual share, the best gain found by least squares."""
    place, total = place_from_ridge(ridge, model.centre_x_m(mask_of(visible))), 0.0
    for sweep, one in enumerate(model.observations):
        delay_m = place.delay_m[0 if model.together else sweep]
        value = one.response.value(place.range_m, place.angle_rad)[list(visible)].sum(axis=0)
        column = (value * np.exp(2j * np.pi * OFFSET_HZ * delay_m / C))[:, np.newaxis]
        left = np.linalg.lstsq(column, one.samples, rcond=None)[1][0]
        total -= one.samples.size * np.log(left / np.vdot(one.samples, one.samples).real)
    return float(total)


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("visible", [ALL, (0, 3), (1,)])
def test_gradient_is_the_slope_of_the_likelihood(together: bool, visible: tuple[int, ...]) -> None:
    model, mask = delayed(PLACE[together], visible, 10, seed=1), mask_of(visible)
    ridge = ridge_from_place(PLACE[together], model.centre_x_m(mask))
    point = expanded(model, ridge, mask)
    assert point.log_likelihood == pytest.approx(likelihood(model, ridge, visible), rel=1e-9)
    deviation = 1 / np.sqrt(np.diag(point.information))
    for k, step in enumerate(np.diag(1e-2 * deviation)):
        slope = (likelihood(model, ridge + step, visible) - likelihood(model, ridge - step, visible)) / 2
        # in units of the step: third derivatives leave a ten-thousandth, rounding of 1e4 nats a millionth
        assert slope == pytest.approx(point.gradient[k] * step[k], abs=1e-4)


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("visible", [ALL, (1, 2)])
def test_information_is_the_curvature_of_the_likelihood(together: bool, visible: tuple[int, ...]) -> None:
    model, mask = delayed(PLACE[together], visible, 40, seed=2), mask_of(visible)
    point = expanded(model, ridge_from_place(PLACE[together], model.centre_x_m(mask)), mask)
    deviation = 1 / np.sqrt(np.diag(point.information))
    for j, first in enumerate(np.diag(deviation)):
        for k, second in enumerate(np.diag(deviation)):
            bend = sum(
                a * b * likelihood(model, point.ridge + a * first / 2 + b * second / 2, visible)
                for a in (-1, 1)
                for b in (-1, 1)
            )
            # normalised, so at most one; expected and observed differ by noise in second derivatives, 1 % at 40 dB
            assert -bend == pytest.approx(point.information[j, k] * deviation[j] * deviation[k], abs=0.05)


def test_profile_along_the_ridge_is_that_of_the_best_direction_and_path() -> None:
    place, mask = PLACE[True], mask_of(ALL)
    model = delayed(place, ALL, 20, seed=3)
    point = climbed(model, expanded(model, ridge_from_place(place, model.centre_x_m(mask)), mask), ANYWHERE)
    profile = along_ridge(point)
    off = 1 / np.sqrt(profile.precision)
    held = (point.ridge[CURVATURE] + off,) * 2
    moved = climbed(model, expanded(model, point.ridge, mask), held)
    # a step of one deviation away from the maximum costs half a nat; climbs end a twentieth of a nat short at most
    assert moved.log_likelihood - point.log_likelihood == pytest.approx(float(profile.gain(np.array(off))), abs=0.1)
    assert moved.log_likelihood < point.log_likelihood - 0.3


def test_ridge_coordinates_and_places_are_inverse() -> None:
    place = place_from_ridge(ridge_from_place(PLACE[False], 0.29), 0.29)
    assert (place.range_m, place.angle_rad) == pytest.approx((14.0, 0.3))
    assert place.delay_m == pytest.approx(PLACE[False].delay_m)


def test_place_derivatives_are_those_of_the_place() -> None:
    ridge, step = ridge_from_place(PLACE[True], -0.29), 1e-6

    def flat(at: Floats) -> Floats:
        place = place_from_ridge(at, -0.29)
        return np.array([place.range_m, place.angle_rad, place.delay_m[0]])

    differences = [(flat(ridge + step * e) - flat(ridge - step * e)) / (2 * step) for e in np.eye(3)]
    assert place_derivatives(ridge, -0.29) == pytest.approx(np.array(differences).T, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("together", [True, False])
def test_noise_free_user_is_found_from_a_start_on_the_ridge(together: bool) -> None:
    mask, true = mask_of((1, 2, 3)), PLACE[together]
    model = delayed(true, (1, 2, 3), 200, seed=4)
    start = ridge_from_place(true, model.centre_x_m(mask)) + np.r_[0.004, 2e-4, 0.003 * np.ones(true.delay_m.size)]
    point = climbed(model, expanded(model, start, mask), ANYWHERE)
    place = place_from_ridge(point.ridge, point.centre_x_m)
    # the transform's error of 1e-9 stands for 200 dB: a ten-millionth of the decimetres at 10 dB
    assert place.range_m == pytest.approx(true.range_m, abs=1e-5)
    assert place.angle_rad == pytest.approx(true.angle_rad, abs=1e-9)
    assert place.delay_m == pytest.approx(true.delay_m, abs=1e-5)


def test_climb_stays_within_the_limits_of_the_curvature() -> None:
    mask = mask_of(ALL)
    model = delayed(PLACE[True], ALL, 10, seed=5)
    point = expanded(model, ridge_from_place(PLACE[True], 0.0), mask)
    assert climbed(model, point, (0.0, 0.07)).ridge[CURVATURE] <= 0.07  # the user's is 0.0714
    assert along_ridge(climbed(model, point, (0.0, 0.07))).push > 0


@pytest.mark.parametrize("visible", [(0,), (1, 2), (0, 3), ALL])
def test_wrong_mask_is_corrected_at_the_place(visible: tuple[int, ...]) -> None:
    model, start = delayed(PLACE[False], visible, 10, seed=6), np.array([1.0, 1, 1, 0])
    point = expanded(model, ridge_from_place(PLACE[False], model.centre_x_m(start)), start)
    best = remasked(model, point)
    assert tuple(np.flatnonzero(best.mask)) == visible
    place = place_from_ridge(best.ridge, best.centre_x_m)
    assert (place.range_m, place.angle_rad) == pytest.approx((14.0, 0.3))
    assert remasked(model, best) is best


def test_sweeps_that_nothing_changes_are_refused() -> None:
    mask = mask_of(ALL)
    model = delayed(PLACE[True], ALL, 10, seed=7)
    point = expanded(model, ridge_from_place(PLACE[True], 0.0), mask)
    nothing = type(point)(
        **{name: getattr(point, name) for name in ("ridge", "mask", "centre_x_m", "log_likelihood", "gradient")},
        information=np.zeros((3, 3)),
        residuals=point.residuals,
    )
    with pytest.raises(UnresolvableError):
        along_ridge(nothing)
