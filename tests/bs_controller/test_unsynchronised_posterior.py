"""Posterior moments against sums over a fine grid of the ridge, and what limits the ridge."""

import numpy as np
import numpy.typing as npt
import pytest

from bs_controller.estimation.unsynchronised.delayed import Expansion, Place, place_from_ridge, ridge_from_place
from bs_controller.estimation.unsynchronised.posterior import (
    Moments,
    Prior,
    curvature_limits_per_m,
    moments,
    second_moments_about,
)

Floats = npt.NDArray[np.float64]

PRIOR = Prior(range_min_m=5.0, range_max_m=50.0, delay_span_m=3.0)
CENTRE_X_M = 0.29
DIRECTION_RMS_RAD, PATH_RMS_M = 2e-4, 1e-3


def quadratic(
    range_m: float, delay_m: Floats, curvature_rms_per_m: float, off_deviations: float = 0.0, tilt: float = 0.0
) -> Expansion:
    """A likelihood that is highest `off_deviations` of the curvature beyond a place, the direction moving by `tilt`."""
    ridge = ridge_from_place(Place(range_m=range_m, angle_rad=0.5, delay_m=delay_m), CENTRE_X_M)
    lean = np.eye(ridge.size)
    lean[1, 0] = -tilt  # direction less what the curvature moves it by
    scales = np.concatenate([[curvature_rms_per_m, DIRECTION_RMS_RAD], PATH_RMS_M * np.ones(delay_m.size)])
    information = lean.T @ np.diag(scales**-2) @ lean
    off = off_deviations * curvature_rms_per_m * np.concatenate([[1.0, tilt], np.zeros(delay_m.size)])
    return Expansion(
        ridge=ridge,
        mask=np.array([0.0, 0, 0, 1]),
        centre_x_m=CENTRE_X_M,
        log_likelihood=100.0,
        gradient=information @ off,
        information=information,
        residuals=(),
    )


def by_sums(expansion: Expansion, prior: Prior) -> tuple[Floats, Floats]:
    """Mean and covariance over a grid of curvature and direction, the paths being as good as known."""
    ridge, information = expansion.ridge, expansion.information[:2, :2]
    # a little beyond what the span leaves
    ends_m = ridge[2:].min() + prior.delay_span_m + 0.1, ridge[2:].max() - prior.delay_span_m - 0.1
    curvature = np.linspace(1 / ends_m[0], 1 / ends_m[1], 2001)[:, np.newaxis]
    deviation = np.sqrt(np.linalg.inv(information)[1, 1])
    direction = ridge[1] + deviation * np.linspace(-8, 8, 121)
    off = np.stack(np.broadcast_arrays(curvature - ridge[0], direction - ridge[1]))
    density = np.einsum("i...,i->...", off, expansion.gradient[:2])
    density -= np.einsum("i...,ij,j...->...", off, information, off) / 2
    across, along = np.sin(direction) / curvature + CENTRE_X_M, np.cos(direction) / curvature
    values = np.stack([np.hypot(along, across), np.arctan2(across, along)])
    distance = 1 / curvature
    allowed = (values[0] >= prior.range_min_m) & (values[0] <= prior.range_max_m)
    for path_m in ridge[2:]:
        allowed &= np.abs(path_m - distance) <= prior.delay_span_m
    weight = np.where(allowed, np.exp(density - density[allowed].max()), 0.0) * distance**2  # flat in the range
    weight /= weight.sum()
    mean = (values * weight).sum(axis=(1, 2))
    apart = values - mean[:, np.newaxis, np.newaxis]
    return mean, np.einsum("iab,jab,ab->ij", apart, apart, weight)


@pytest.mark.parametrize(
    ("range_m", "curvature_rms_per_m", "off_deviations"),
    [(10.0, 2e-3, 0.0), (30.0, 4e-3, 0.5), (45.0, 0.02, -2.0), (7.0, 0.05, 1.0), (48.0, 1e-3, 3.0)],
)
@pytest.mark.parametrize("delays", [1, 2])
def test_moments_are_those_of_sums_over_a_grid(
    range_m: float, curvature_rms_per_m: float, off_deviations: float, delays: int
) -> None:
    expansion = quadratic(range_m, np.array([1.0, -0.5])[:delays], curvature_rms_per_m, off_deviations, tilt=0.01)
    found, (mean, covariance) = moments(expansion, PRIOR), by_sums(expansion, PRIOR)
    # the grid's steps leave a thirtieth of the smallest deviation at sharp ends of the prior
    assert abs(found.mean - mean) == pytest.approx(0, abs=float(np.sqrt(covariance[0, 0])) / 30)
    assert found.covariance == pytest.approx(covariance, rel=0.05, abs=0.05 * covariance[1, 1])
    assert found.allowed


def test_well_known_range_has_the_moments_of_maximum_likelihood() -> None:
    expansion = quadratic(10.0, np.array([1.0]), 1e-5)
    found, inverse = moments(expansion, PRIOR), np.linalg.inv(expansion.information)
    assert found.mean == pytest.approx([10.0, 0.5], rel=1e-6)
    distance_m = 1 / expansion.ridge[0]
    # a metre of distance from the centre aside is nearly a metre of range
    assert np.sqrt(found.covariance[0, 0]) == pytest.approx(distance_m**2 * np.sqrt(inverse[0, 0]), rel=2e-3)


def test_nothing_is_believed_beyond_region_and_span() -> None:
    # flat over all curvatures: uniform over the 6 m that the span of the delay leaves around the path
    found = moments(quadratic(20.0, np.array([1.0]), 10.0), PRIOR)
    assert found.mean[0] == pytest.approx(21.0, abs=0.01)
    assert np.sqrt(found.covariance[0, 0]) == pytest.approx(6 / np.sqrt(12), rel=0.01)
    # two delays 4 m apart leave 2 m
    found = moments(quadratic(20.0, np.array([2.0, -2.0]), 10.0), PRIOR)
    assert np.sqrt(found.covariance[0, 0]) == pytest.approx(2 / np.sqrt(12), rel=0.01)
    # the region cuts off what is beyond 50 m
    found = moments(quadratic(49.0, np.array([0.0]), 10.0), PRIOR)
    assert found.mean[0] == pytest.approx(48.0, abs=0.01)


def test_delay_beyond_the_span_is_not_allowed_and_hardly_believed() -> None:
    found, believed = moments(quadratic(20.0, np.array([4.0, -4.0]), 1e-4), PRIOR), quadratic(20.0, np.zeros(2), 1e-4)
    assert not found.allowed
    assert found.mean[0] == pytest.approx(20.0, abs=0.01)
    assert found.log_evidence < moments(believed, PRIOR).log_evidence - 100


@pytest.mark.parametrize("paths_m", [[20.0], [18.5, 21.0], [6.0], [51.0]])
def test_limits_of_the_curvature_are_where_region_or_delay_ends(paths_m: list[float]) -> None:
    ends = curvature_limits_per_m(np.array(paths_m), 0.5, CENTRE_X_M, PRIOR)
    for curvature in ends:
        place = place_from_ridge(np.array([curvature, 0.5, *paths_m]), CENTRE_X_M)
        margins = [place.range_m - 5, 50 - place.range_m, *(3 - np.abs(place.delay_m))]
        assert min(margins) == pytest.approx(0, abs=1e-9)


def test_error_of_a_choice_is_that_of_the_mixture() -> None:
    def hypothesis(mean: list[float], variance: float, log_evidence: float) -> Moments:
        return Moments(
            mean=np.array(mean),
            covariance=variance * np.eye(2),
            log_evidence=log_evidence,
            delay_m=np.zeros(1),
            allowed=True,
        )

    chosen, rival = hypothesis([10.0, 0.0], 1.0, 0.0), hypothesis([14.0, 0.0], 2.0, -np.log(3))
    # the rival is true once in four times
    expected = 0.75 * np.eye(2) + 0.25 * (2 * np.eye(2) + np.diag([16.0, 0.0]))
    assert second_moments_about(chosen, [chosen, rival]) == pytest.approx(expected)
