import numpy as np
import pytest

from bs_controller import (
    BackprojectionOptions,
    CbsBtOptions,
    CbsOptions,
    LikelihoodOptions,
    default_facts,
    scheme_from_options,
)
from deploy.simulation import SimulatedRadio, User, locate
from emulator.config import FrontEndSection, SweepMean
from emulator.scene import Position, Scatterer

FACTS = default_facts()


def _radio(seed: int = 1, **options: object) -> SimulatedRadio:
    return SimulatedRadio(FACTS, rng=np.random.default_rng(seed), **options)  # type: ignore[arg-type]


def test_cbs_finds_a_user_on_broadside_as_the_paper_does() -> None:
    fix = locate(scheme_from_options(CbsOptions(), FACTS), _radio(), User(range_m=15.0, angle_rad=0.0))
    # [CBS, Fig. 4] prints -0.0099 deg and 14.9889 m on its own grid; one subcarrier is 0.06 deg and 0.02 m
    assert abs(fix.angle_rad) < 1e-3
    assert fix.range_m == pytest.approx(15.0, abs=0.05)


def test_cbs_angle_error_over_the_region_is_that_of_the_paper() -> None:
    rng = np.random.default_rng(2026)
    scheme, radio = scheme_from_options(CbsOptions(), FACTS), _radio()
    places = rng.uniform((5, -np.pi / 3), (50, np.pi / 3), size=(1000, 2))
    users = [User(range_m=range_m, angle_rad=angle_rad) for range_m, angle_rad in places.tolist()]
    errors_rad = [locate(scheme, radio, user).angle_rad - user.angle_rad for user in users]
    # defocus: beams look at 5 m, users are elsewhere; 6.9e-3 rad with a standard error of about 2 % for 1000 users
    assert 6.4e-3 < float(np.sqrt(np.mean(np.square(errors_rad)))) < 7.6e-3


def test_realizable_groups_give_the_ideal_fix_and_are_charged_each_pilot() -> None:
    user = User(range_m=12.0, angle_rad=-0.4)
    ideal = locate(scheme_from_options(CbsBtOptions(groups="ideal"), FACTS), _radio(), user)
    realizable = locate(scheme_from_options(CbsBtOptions(groups="realizable"), FACTS), _radio(), user)
    assert (realizable.range_m, realizable.angle_rad) == (ideal.range_m, ideal.angle_rad)
    assert realizable.sweeps > ideal.sweeps


def test_front_end_with_one_group_charges_ideal_groups_too() -> None:
    scheme, user = scheme_from_options(CbsBtOptions(groups="ideal"), FACTS), User(range_m=12.0, angle_rad=-0.4)
    one_group = _radio(front_end=FrontEndSection(groups=1))
    assert locate(scheme, one_group, user).sweeps > locate(scheme, _radio(), user).sweeps


def test_backprojection_locates_user_and_scatterer_to_centimetres() -> None:
    scatterer = Scatterer(position=Position(range_m=9.0, angle_rad=0.5), gain=0.3)
    radio = _radio(uplink_noise=SweepMean(snr_db=10.0), scatterers=(scatterer,))
    fix = locate(scheme_from_options(BackprojectionOptions(), FACTS), radio, User(range_m=14.0, angle_rad=-0.2))
    # 392 x 100 samples at 10 dB: the bound is millimetres; the scatterer's leak costs some more
    assert fix.range_m == pytest.approx(14.0, abs=0.05)
    assert fix.angle_rad == pytest.approx(-0.2, abs=1e-4)
    assert [target.angle_rad for target in fix.targets] == pytest.approx([0.5], abs=1e-3)


def test_same_seed_gives_the_same_fix() -> None:
    scheme, user = scheme_from_options(CbsOptions(), FACTS), User(range_m=20.0, angle_rad=0.3)
    noise = SweepMean(snr_db=0.0)
    first, second = (locate(scheme, _radio(7, downlink_noise=noise), user) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("plan", ["angle_range", "pair"])
def test_likelihood_knows_what_phase_shifters_of_few_bits_send(plan: str) -> None:
    radio = _radio(front_end=FrontEndSection(phase_bits=3))
    options = LikelihoodOptions(plan="pair" if plan == "pair" else "angle_range")
    fix = locate(scheme_from_options(options, FACTS), radio, User(range_m=12.0, angle_rad=-0.4))
    # there is no noise but that of complex64; with the phases asked for the range is 0.4 mm off or more
    assert fix.range_m == pytest.approx(12.0, abs=2e-6)
    assert fix.angle_rad == pytest.approx(-0.4, abs=1e-7)
