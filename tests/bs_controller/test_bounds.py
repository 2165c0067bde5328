"""Cramer-Rao bounds against the published figures and against information matrices by finite differences."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from bs_controller.beams import setting_from_focus
from bs_controller.bounds import (
    Bound,
    MeasuredSweep,
    Unknown,
    UnobservableError,
    downlink_bound,
    rician_information,
    sweep_mean_sigma2_w,
    uplink_bound,
)
from bs_controller.response import DownlinkResponse
from bs_controller.sweeps import Trajectory
from protocol.testbed import (
    SPEED_OF_LIGHT_M_S,
    Downlink,
    LinearArray,
    Region,
    SectorArray,
    SubcarrierGrid,
    TestbedFacts,
    Uplink,
    default_facts,
)
from tests.bs_controller import oracles_of_bounds as oracles
from tests.oracles import dense_snapshot, dense_sweep

Floats = npt.NDArray[np.float64]
ComplexArray = npt.NDArray[np.complex128]

C_M_S = 299_792_458.0
FULL = default_facts()
ALL = (0, 1, 2, 3)
EDGE_RAD = float(np.deg2rad(60))
FORWARD = Trajectory(start_range_m=5.0, start_angle_rad=EDGE_RAD, end_range_m=5.0, end_angle_rad=-EDGE_RAD)
REVERSE = Trajectory(start_range_m=5.0, start_angle_rad=-EDGE_RAD, end_range_m=5.0, end_angle_rad=EDGE_RAD)
IN_RANGE = Trajectory(start_range_m=50.0, start_angle_rad=0.0, end_range_m=5.0, end_angle_rad=0.0)

# A wide band at a low carrier: what is unknown takes little of the information, so finite differences are good enough.
TOY = TestbedFacts(
    downlink=Downlink(
        grid=SubcarrierGrid.edge(10e9, 3e9, 48), array=LinearArray(elements=32, spacing_m=0.015, subarrays=4)
    ),
    uplink=Uplink(
        grid=SubcarrierGrid(first_hz=3e9, spacing_hz=20e6, count=20),
        array=SectorArray(elements=24, radius_m=1.0, half_sector_rad=np.pi / 3),
    ),
    region=Region(range_min_m=0.5, range_max_m=20.0, angle_min_rad=-1.0, angle_max_rad=1.0),
    speed_of_light_m_s=SPEED_OF_LIGHT_M_S,
)
TOY_SWEEPS = (
    Trajectory(start_range_m=2.0, start_angle_rad=0.9, end_range_m=2.0, end_angle_rad=-0.9),
    Trajectory(start_range_m=9.0, start_angle_rad=0.3, end_range_m=1.0, end_angle_rad=0.3),
)
TOY_RANGE_M, TOY_ANGLE_RAD, TOY_SEEN = 1.7, 0.35, (0, 2, 3)
TOY_SIGMA2_W = (2e-9, 5e-9)
STEP = 1e-4
# steps of 1e-4 m or rad are 0.02 rad of phase, of which the fourth-order rule leaves 1e-9; taking out the unknown costs digits
FINITE_DIFFERENCES = 1e-7


def response_of(trajectory: Trajectory, facts: TestbedFacts = FULL) -> DownlinkResponse:
    return DownlinkResponse(facts, setting_from_focus(trajectory, facts))


def bound_at_15_m(trajectories: tuple[Trajectory, ...], unknown: Unknown, visible: tuple[int, ...] = ALL) -> Bound:
    responses = [response_of(trajectory) for trajectory in trajectories]
    sweeps = [
        MeasuredSweep(response=response, sigma2_w=sweep_mean_sigma2_w(response, 15.0, 0.0, visible, 10.0))
        for response in responses
    ]
    return downlink_bound(sweeps, 15.0, 0.0, visible, unknown)


def toy_bound(unknown: Unknown) -> Bound:
    sweeps = [
        MeasuredSweep(response=response_of(trajectory, TOY), sigma2_w=sigma2_w)
        for trajectory, sigma2_w in zip(TOY_SWEEPS, TOY_SIGMA2_W, strict=True)
    ]
    return downlink_bound(sweeps, TOY_RANGE_M, TOY_ANGLE_RAD, TOY_SEEN, unknown)


def toy_oracle(delays: str, *, gains: bool = True) -> tuple[oracles.Model, Floats, Floats, Floats]:
    """The oracle's model of both sweeps, its parameters, their steps, and the noise of each sample."""
    downlink = TOY.downlink
    visible = np.isin(downlink.array.element_subarray, TOY_SEEN).astype(float)

    def of(trajectory: Trajectory) -> oracles.Model:
        setting = setting_from_focus(trajectory, TOY)
        return lambda at: dense_sweep(downlink, setting, float(at[0]), float(at[1]), visible, C_M_S)

    parts = [(of(trajectory), downlink.grid.frequency_hz) for trajectory in TOY_SWEEPS]
    model, unknowns = oracles.with_gain_and_delay(parts, delays=delays)
    sigma2_w = np.repeat(TOY_SIGMA2_W, downlink.grid.count)
    if not gains:
        return lambda at: model(np.concatenate([at, np.zeros(4)])), at_position(0), np.full(2, STEP), sigma2_w
    return model, at_position(unknowns), np.full(2 + unknowns, STEP), sigma2_w


def at_position(unknowns: int) -> Floats:
    return np.concatenate([[TOY_RANGE_M, TOY_ANGLE_RAD], np.zeros(unknowns)])


def assert_same(bound: Bound, covariance: Floats, tolerance: float) -> None:
    """Compare in units of the reference's own standard deviations."""
    scale = np.sqrt(np.outer(np.diag(covariance), np.diag(covariance)))
    np.testing.assert_allclose(bound.covariance / scale, covariance / scale, rtol=0, atol=tolerance)


@pytest.mark.parametrize(
    ("unknown", "range_m", "angle_rad"),
    [
        (Unknown.NOTHING, 1.7e-6, 1.1e-5),
        (Unknown.GAIN, 0.22e-3, 1.1e-5),
        (Unknown.GAIN_AND_DELAY, 19e-3, 1.1e-5),
        (Unknown.PHASES_AND_GAIN, 25.7e-3, 2.4e-5),
    ],
)
def test_angle_and_range_sweep_have_the_known_bounds(unknown: Unknown, range_m: float, angle_rad: float) -> None:
    bound = bound_at_15_m((FORWARD, IN_RANGE), unknown)
    # the known figures have two digits
    assert bound.range_rms_m == pytest.approx(range_m, rel=0.03)
    assert bound.angle_rms_rad == pytest.approx(angle_rad, rel=0.04)


def test_forward_and_reverse_sweep_have_a_bound_of_2_mm() -> None:
    bound = bound_at_15_m((FORWARD, REVERSE), Unknown.GAIN)
    assert bound.range_rms_m == pytest.approx(2.3e-3, rel=0.03)
    assert bound.angle_rms_rad == pytest.approx(7.5e-6, rel=0.03)


def test_one_common_sweep_has_a_bound_of_3_mm() -> None:
    assert bound_at_15_m((FORWARD,), Unknown.GAIN).range_rms_m == pytest.approx(3.2e-3, rel=0.03)


@pytest.mark.parametrize(
    ("unknown", "delays"),
    [
        (Unknown.GAIN, "none"),
        (Unknown.GAIN_AND_DELAY, "own"),
        (Unknown.GAIN_AND_SHARED_DELAY, "shared"),
    ],
)
def test_bound_of_samples_is_that_of_finite_differences(unknown: Unknown, delays: str) -> None:
    assert_same(toy_bound(unknown), oracles.gaussian_covariance(*toy_oracle(delays)), FINITE_DIFFERENCES)


def test_bound_with_nothing_unknown_is_that_of_finite_differences() -> None:
    covariance = oracles.gaussian_covariance(*toy_oracle("none", gains=False))
    assert_same(toy_bound(Unknown.NOTHING), covariance, FINITE_DIFFERENCES)


def test_bound_of_powers_with_known_gain_is_that_of_finite_differences() -> None:
    covariance = oracles.rician_covariance(*toy_oracle("none", gains=False))
    assert_same(toy_bound(Unknown.PHASES), covariance, 3e-5)  # the table is good to 3e-5


def test_bound_of_powers_is_that_of_finite_differences() -> None:
    model, at, step, sigma2_w = toy_oracle("none")
    real_gains = [0, 1, 2, 4]  # the imaginary part of a gain turns phases alone

    def scaled(parameters: Floats) -> ComplexArray:
        whole = at.copy()
        whole[real_gains] = parameters
        return model(whole)

    covariance = oracles.rician_covariance(scaled, at[real_gains], step[real_gains], sigma2_w)
    assert_same(toy_bound(Unknown.PHASES_AND_GAIN), covariance, 3e-5)  # the table is good to 3e-5


@pytest.mark.parametrize("amplitude", [0.01, 0.3, 1.0, 3.0, 8.0, 8.6, 40.0])
def test_information_of_a_magnitude_is_the_mean_square_slope_of_its_log_density(amplitude: float) -> None:
    ours = float(rician_information(np.array([amplitude + 0j]), 2.0)[0]) * amplitude**2
    # linear between table points 0.01 apart, a series beyond
    assert ours == pytest.approx(oracles.rician_information(amplitude, 2.0), rel=3e-5)


def test_less_knowledge_never_lowers_the_bound() -> None:
    order = (Unknown.NOTHING, Unknown.GAIN, Unknown.GAIN_AND_SHARED_DELAY, Unknown.GAIN_AND_DELAY)
    range_rms_m = [toy_bound(unknown).range_rms_m for unknown in order]
    assert range_rms_m == sorted(range_rms_m)


def test_magnitudes_alone_bound_more_loosely_than_samples() -> None:
    assert toy_bound(Unknown.PHASES_AND_GAIN).range_rms_m > toy_bound(Unknown.GAIN).range_rms_m


def test_noise_scales_the_covariance() -> None:
    response = response_of(TOY_SWEEPS[0], TOY)
    quiet, loud = (
        downlink_bound([MeasuredSweep(response=response, sigma2_w=sigma2_w)], 1.7, 0.35, ALL, Unknown.GAIN)
        for sigma2_w in (1e-9, 4e-9)
    )
    np.testing.assert_allclose(loud.covariance, 4 * quiet.covariance, rtol=1e-12)


def test_position_bound_joins_range_and_arc() -> None:
    bound = Bound(covariance=np.array([[9.0, 0.0], [0.0, 0.16]]))
    assert bound.position_rms_m(10.0) == pytest.approx(5.0)


def test_range_sweep_alone_tells_no_angle_of_a_user_at_broadside() -> None:
    with pytest.raises(UnobservableError, match="cannot be told apart"):
        bound_at_15_m((IN_RANGE,), Unknown.GAIN)


def test_user_that_nothing_sees_is_unobservable() -> None:
    with pytest.raises(UnobservableError, match="nothing was received"):
        downlink_bound(
            [MeasuredSweep(response=response_of(FORWARD), sigma2_w=1.0)], 15.0, 0.0, (), Unknown.GAIN_AND_DELAY
        )


@pytest.mark.parametrize("sigma2_w", [0.0, -1.0, float("nan")])
def test_noise_without_power_is_refused(sigma2_w: float) -> None:
    with pytest.raises(ValueError, match="sigma2_w must be positive"):
        MeasuredSweep(response=response_of(TOY_SWEEPS[0], TOY), sigma2_w=sigma2_w)


def uplink_oracle(nuisance: Callable[[Floats], ComplexArray], unknowns: int) -> Floats:
    """Bound of one snapshot behind unknown factors on its subcarriers, by finite differences."""
    uplink = TOY.uplink

    def model(parameters: Floats) -> ComplexArray:
        gain = C_M_S / (4 * np.pi * uplink.grid.first_hz * parameters[0])
        path = (complex(gain), float(parameters[0]), float(parameters[1]), 0.0)
        snapshot: ComplexArray = (dense_snapshot(uplink, [path], C_M_S) * nuisance(parameters[2:])).ravel()
        return snapshot

    at = np.concatenate([[5.0, 0.2], np.zeros(unknowns)])
    sigma2_w = np.full(uplink.array.elements * uplink.grid.count, 1e-6)
    return oracles.gaussian_covariance(model, at, np.full(at.size, STEP), sigma2_w)


def gain_and_delay(parameters: Floats) -> ComplexArray:
    late: ComplexArray = np.exp(2j * np.pi * TOY.uplink.grid.frequency_hz * 1e-9 * parameters[2])
    behind: ComplexArray = (1 + parameters[0] + 1j * parameters[1]) * late
    return behind


def test_uplink_bound_with_nothing_unknown_is_that_of_finite_differences() -> None:
    covariance = uplink_oracle(lambda _: np.ones(1, dtype=np.complex128), 0)
    assert_same(uplink_bound(TOY, 5.0, 0.2, 1e-6, Unknown.NOTHING), covariance, FINITE_DIFFERENCES)


def test_uplink_bound_with_unknown_gain_is_that_of_finite_differences() -> None:
    covariance = uplink_oracle(lambda gain: np.array([1 + gain[0] + 1j * gain[1]]), 2)
    assert_same(uplink_bound(TOY, 5.0, 0.2, 1e-6), covariance, FINITE_DIFFERENCES)


def test_uplink_bound_with_unknown_delay_is_that_of_finite_differences() -> None:
    covariance = uplink_oracle(gain_and_delay, 3)
    assert_same(uplink_bound(TOY, 5.0, 0.2, 1e-6, Unknown.GAIN_AND_DELAY), covariance, FINITE_DIFFERENCES)


def test_unknown_phase_on_every_subcarrier_costs_the_uplink_no_more_than_an_unknown_delay() -> None:
    # and the amplitude with them, as it is unknown with the delay
    covariance = uplink_oracle(lambda unknown: (1 + unknown[0]) * np.exp(1j * unknown[1:]), 1 + TOY.uplink.grid.count)
    assert_same(uplink_bound(TOY, 5.0, 0.2, 1e-6, Unknown.GAIN_AND_DELAY), covariance, FINITE_DIFFERENCES)


def test_uplink_bound_of_powers_is_refused() -> None:
    with pytest.raises(ValueError, match="must be nothing, gain or gain and delay, got power"):
        uplink_bound(TOY, 5.0, 0.2, 1e-6, Unknown.PHASES_AND_GAIN)
