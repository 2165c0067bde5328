"""Tracks: a Kalman filter that believes fixes as far as they say, and leaves out what is no motion."""

import math

import numpy as np
import numpy.typing as npt
import pytest

from bs_controller.sweeps import Covariance, Fix, Integrity
from bs_controller.tracking import GATE_NIS, MOST_REFUSED, MotionModel, Track, begun, continued
from tests.oracles import smoothed_last_state

Floats = npt.NDArray[np.float64]

MODEL = MotionModel(acceleration_m2_s3=0.5, speed_rms_m_s=1.5, fix_rms_m=0.1)
PERIOD_S = 0.1


def fix_at(x_m: float, y_m: float, integrity: Integrity = Integrity.TRUSTED, rms_m: float = 0.01) -> Fix:
    range_m = math.hypot(x_m, y_m)
    covariance = Covariance(range_m2=rms_m**2, range_angle_m_rad=0.0, angle_rad2=(rms_m / range_m) ** 2)
    return Fix(range_m=range_m, angle_rad=math.atan2(y_m, x_m), sweeps=2, covariance=covariance, integrity=integrity)


def walk(rng: np.random.Generator, steps: int) -> Floats:
    """Return places of the model's own motion, ``(step, axis)``: velocity wanders, position follows."""
    state = np.array([10.0, 3.0, *(MODEL.speed_rms_m_s * rng.standard_normal(2))])
    places, root = [state[:2]], np.linalg.cholesky(MODEL.process_noise(PERIOD_S))
    for _ in range(steps - 1):
        state = state + PERIOD_S * np.array([*state[2:], 0, 0]) + root @ rng.standard_normal(4)
        places.append(state[:2])
    return np.array(places)


def tracked(fixes: list[Fix]) -> list[Track]:
    tracks = [begun(fixes[0], 0.0, MODEL)]
    for number, fix in enumerate(fixes[1:], 1):
        tracks.append(continued(tracks[-1], fix, number * PERIOD_S, 0.0, MODEL))
    return tracks


def test_track_is_the_least_squares_solution_over_all_that_was_heard() -> None:
    rng = np.random.default_rng(1)
    places = walk(rng, 12) + 0.01 * rng.standard_normal((12, 2))
    last = tracked([fix_at(x_m, y_m) for x_m, y_m in places.tolist()])[-1]
    state, covariance = smoothed_last_state(places, 0.01, PERIOD_S, MODEL.process_noise(PERIOD_S), MODEL.speed_rms_m_s)
    # one large system against many small ones, both in double precision; its condition is some 1e5
    np.testing.assert_allclose(last.state, state, rtol=1e-8)
    np.testing.assert_allclose(last.covariance, covariance, rtol=1e-6, atol=1e-12)


def test_errors_are_as_large_as_tracks_say_and_smaller_than_those_of_fixes() -> None:
    rng, nees, of_tracks, of_fixes = np.random.default_rng(2), [], [], []
    for _ in range(200):
        truth = walk(rng, 20)
        places = truth + 0.05 * rng.standard_normal(truth.shape)
        last = tracked([fix_at(x_m, y_m, rms_m=0.05) for x_m, y_m in places.tolist()])[-1]
        away = last.state[:2] - truth[-1]
        nees.append(away @ np.linalg.solve(last.covariance[:2, :2], away))
        of_tracks.append(away @ away)
        of_fixes.append((places[-1] - truth[-1]) @ (places[-1] - truth[-1]))
    # the mean of 200 chi-squared numbers of two degrees: 2 with a deviation of 2 / sqrt(200); five of these
    assert np.mean(nees) == pytest.approx(2.0, abs=5 * 2 / math.sqrt(200))
    assert np.mean(of_tracks) < 0.8 * np.mean(of_fixes)


def test_fix_that_no_motion_explains_is_left_out() -> None:
    fixes = [fix_at(10 + 0.1 * k, 3) for k in range(10)]
    track = tracked(fixes)[-1]
    moved = continued(track, fix_at(12.0, 3.0), 1.0, 0.0, MODEL)
    assert moved.refused == 1
    assert moved.nis is not None
    assert moved.nis > GATE_NIS
    np.testing.assert_array_equal(moved.state, track.at(1.0, MODEL).state)


def test_doubted_fix_is_left_out_however_near_it_is() -> None:
    track = tracked([fix_at(10, 3) for _ in range(5)])[-1]
    for _ in range(2 * MOST_REFUSED):
        track = continued(track, fix_at(10, 3, Integrity.SUSPECT), track.time_s + PERIOD_S, 0.0, MODEL)
    assert (track.refused, track.fixes) == (2 * MOST_REFUSED, 5)


def test_track_that_leaves_out_one_fix_after_another_begins_anew_where_they_are() -> None:
    track = tracked([fix_at(10, 3) for _ in range(5)])[-1]
    for _ in range(MOST_REFUSED):
        track = continued(track, fix_at(20, -3), track.time_s + PERIOD_S, 0.0, MODEL)
    assert (track.refused, track.fixes) == (0, 1)
    np.testing.assert_allclose(track.state[:2], [20, -3], rtol=1e-12)


def test_late_fix_is_taken_for_one_of_the_latest_time() -> None:
    track = begun(fix_at(10, 3), 5.0, MODEL)
    assert continued(track, fix_at(10, 3), 4.9, 0.0, MODEL).time_s == 5.0


def test_fix_of_a_fast_user_from_spread_sweeps_counts_less() -> None:
    track = tracked([fix_at(10 + 0.5 * k, 3) for k in range(20)])[-1]
    sharp, smeared = (continued(track, fix_at(20, 3), 2.0, spread_s, MODEL) for spread_s in (0.0, 0.02))
    assert smeared.covariance[0, 0] > sharp.covariance[0, 0]


def test_prior_is_the_track_in_polar_coordinates() -> None:
    track = begun(fix_at(9.0, 12.0, rms_m=0.03), 0.0, MODEL)
    prior = track.prior()
    assert (prior.range_m, prior.angle_rad) == pytest.approx((15.0, math.atan2(12, 9)))
    assert prior.covariance.range_m2 == pytest.approx(0.03**2)
    assert prior.covariance.angle_rad2 == pytest.approx((0.03 / 15) ** 2)
    assert track.position_rms_m == pytest.approx(0.03)


def test_fix_without_covariance_is_as_uncertain_as_the_model_says() -> None:
    track = begun(Fix(range_m=10.0, angle_rad=0.3, sweeps=1), 0.0, MODEL)
    np.testing.assert_allclose(track.covariance[:2, :2], 0.01 * np.eye(2), rtol=1e-12)
