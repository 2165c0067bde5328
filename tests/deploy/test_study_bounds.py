import numpy as np
import pytest

from bs_controller.beams import setting_from_focus
from bs_controller.bounds import (
    Bound,
    MeasuredSweep,
    Unknown,
    UnobservableError,
    downlink_bound,
    sweep_mean_sigma2_w,
    uplink_bound,
)
from bs_controller.response import DownlinkResponse
from bs_controller.scheme_bounds import unknown_of
from bs_controller.schemes import (
    CbsBtOptions,
    CbsOptions,
    LikelihoodOptions,
    NetworkOptions,
    UplinkLikelihoodOptions,
    scheme_from_options,
)
from bs_controller.sweeps import Sounding, Sweep
from deploy import study_bounds
from deploy.simulation import Heard, SimulatedRadio, User, locate
from deploy.study_bounds import BoundModel
from emulator.config import LinkBudget, Noise, NoNoise, PerSubcarrier, SweepMean
from protocol.testbed import default_facts

FACTS = default_facts()
USER = User(range_m=14.0, angle_rad=0.4, visible_subarrays=(0, 1, 3))


def heard(options: CbsOptions | CbsBtOptions | LikelihoodOptions, noise: Noise) -> list[Heard]:
    radio = SimulatedRadio(FACTS, rng=np.random.default_rng(3), downlink_noise=noise)
    locate(scheme_from_options(options, FACTS), radio, USER)
    return radio.heard


def test_bound_is_that_of_the_sweeps_which_the_scheme_asked_for_at_their_own_noise() -> None:
    told, sweeps = heard(LikelihoodOptions(), SweepMean(snr_db=10.0)), []
    for one in told:
        assert isinstance(one.request, Sweep)
        response = DownlinkResponse(FACTS, setting_from_focus(one.request.focus, FACTS))
        sigma2_w = sweep_mean_sigma2_w(response, USER.range_m, USER.angle_rad, USER.visible_subarrays, 10.0)
        sweeps.append(MeasuredSweep(response=response, sigma2_w=sigma2_w))
    expected = downlink_bound(sweeps, USER.range_m, USER.angle_rad, USER.visible_subarrays, Unknown.GAIN)
    bound = BoundModel(FACTS).bound(told, USER, Unknown.GAIN)
    assert len(told) == 2
    assert bound is not None
    # the noise is that of the emulator's own model, which is the controller's to 1e-8
    np.testing.assert_allclose(bound.covariance, expected.covariance, rtol=1e-7)


def test_bound_of_a_link_budget_falls_with_transmit_power() -> None:
    rms_m = []
    for power_dbm in (20.0, 40.0):
        told = heard(LikelihoodOptions(plan="pair"), LinkBudget(transmit_power_dbm=power_dbm, noise_figure_db=7.0))
        bound = BoundModel(FACTS).bound(told, USER, Unknown.GAIN)
        assert bound is not None
        rms_m.append(bound.range_rms_m)
    assert rms_m[0] == pytest.approx(10 * rms_m[1], rel=1e-9)  # the same common sweeps, and rounding


def test_sweeps_in_groups_have_a_bound_below_that_of_their_first_sweep() -> None:
    told, model = heard(CbsBtOptions(rounds=2), SweepMean(snr_db=10.0)), BoundModel(FACTS)
    first, all_of_them = (model.bound(part, USER, Unknown.GAIN) for part in (told[:1], told))
    assert first is not None
    assert all_of_them is not None
    assert all_of_them.range_rms_m < first.range_rms_m
    assert all_of_them.angle_rms_rad < first.angle_rms_rad


@pytest.mark.parametrize("noise", [NoNoise(), PerSubcarrier(snr_db=10.0)])
def test_noise_that_is_not_flat_leaves_no_bound(noise: Noise) -> None:
    assert BoundModel(FACTS).bound(heard(CbsOptions(), noise), USER, Unknown.GAIN) is None


def test_what_does_not_tell_range_and_angle_apart_has_no_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    def unobservable(*_: object) -> Bound:
        raise UnobservableError("nothing was received")

    monkeypatch.setattr(study_bounds, "uplink_bound", unobservable)
    assert BoundModel(FACTS).bound([Heard(request=Sounding(), sigma2_w=1e-12)], USER, Unknown.GAIN) is None


def test_bound_of_a_sounding_is_that_of_the_uplink() -> None:
    bound = BoundModel(FACTS).bound([Heard(request=Sounding(), sigma2_w=1e-12)], USER, Unknown.GAIN)
    assert bound is not None
    expected = uplink_bound(FACTS, USER.range_m, USER.angle_rad, 1e-12)
    np.testing.assert_array_equal(bound.covariance, expected.covariance)


def test_scheme_without_a_model_is_held_to_the_coherent_bound() -> None:
    assert unknown_of(CbsOptions()) is unknown_of(UplinkLikelihoodOptions()) is Unknown.GAIN
    assert unknown_of(NetworkOptions(model="a/file.onnx")) is Unknown.GAIN


def test_network_that_is_told_of_late_clocks_is_held_to_the_bound_of_one_delay() -> None:
    options = NetworkOptions(model="a/file.onnx", timing_rms_s=1e-9)
    assert unknown_of(options) is unknown_of(LikelihoodOptions(model="unsynchronised_together"))


def test_scheme_is_held_to_the_bound_of_its_own_model() -> None:
    assert unknown_of(LikelihoodOptions(model="unsynchronised")) is Unknown.GAIN_AND_DELAY
