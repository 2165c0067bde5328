import math
from pathlib import Path

import msgspec
import numpy as np
import pytest
from scipy import stats

from bs_controller import CbsBtOptions, CbsOptions, LikelihoodOptions, scheme_from_options
from bs_controller.sweeps import Covariance, Fix, GoodnessOfFit, Integrity, Scheme, Visibility
from deploy import study_users
from deploy.simulation import SimulatedRadio, User, locate
from deploy.study import chunks
from deploy.study_file import Bounds, Study, read_study
from deploy.study_users import Chunk, drawn_user, located_users
from emulator.config import NoNoise
from tests.deploy.studies import setup_of, users_of

# --- users -----------------------------------------------------------------------------------------------------------


def test_user_is_located_as_by_hand(file: Path) -> None:
    cell = read_study(file).cells[1]
    row = located_users(Chunk(cell=1, setup=cell.setup, seed=7, first_user=3, users=1))[0]
    facts, seed = cell.setup.facts(), (7, cell.setup.digest(), 3)
    user = drawn_user(cell.setup, facts, np.random.default_rng((*seed, 0)))
    setup = cell.setup
    radio = SimulatedRadio(
        facts,
        rng=np.random.default_rng((*seed, 1)),
        downlink_noise=setup.downlink_noise,
        front_end=setup.front_end,
    )
    fix = locate(scheme_from_options(CbsOptions(), facts), radio, user)
    assert (row.range_m, row.angle_rad, row.sweeps) == (fix.range_m, fix.angle_rad, fix.sweeps)
    truth = user.range_m * np.exp(1j * user.angle_rad)
    # cancellation of two squares of up to 2500 m^2 in doubles
    assert row.error_m == pytest.approx(abs(fix.range_m * np.exp(1j * fix.angle_rad) - truth), abs=1e-6)


def test_numbers_do_not_depend_on_the_chunks(file: Path) -> None:
    setup = read_study(file).cells[0].setup
    whole = located_users(Chunk(cell=0, setup=setup, seed=7, first_user=0, users=5))
    parts = [located_users(Chunk(cell=0, setup=setup, seed=7, first_user=one, users=1)) for one in (4, 2, 0, 1, 3)]
    assert sorted((row for part in parts for row in part), key=lambda row: (row.user, row.scheme)) == whole


def test_other_schemes_and_more_users_leave_the_numbers(file: Path) -> None:
    setup = read_study(file).cells[0].setup
    alone = msgspec.structs.replace(setup, schemes=setup.schemes[1:], users=1000)
    both = located_users(Chunk(cell=0, setup=setup, seed=7, first_user=0, users=4))
    one = located_users(Chunk(cell=0, setup=alone, seed=7, first_user=0, users=4))
    assert one == [row for row in both if row.scheme == "cbs_bt(rounds=2)"]


def test_other_seed_and_other_cell_are_other_users(file: Path) -> None:
    first, second = (cell.setup for cell in read_study(file).cells)
    kinds = ((first, 7), (first, 8), (second, 7))
    rows = [located_users(Chunk(cell=0, setup=setup, seed=seed, first_user=0, users=1))[0] for setup, seed in kinds]
    assert len({row.truth_range_m for row in rows}) == 3


def test_users_are_uniform_in_range_and_angle_over_the_region(file: Path) -> None:
    users = users_of(setup_of(file), 1000)
    # 1 % level: of fixed seeds either passes or not
    assert stats.kstest([(user.range_m - 5) / 45 for user in users], "uniform").pvalue > 0.01
    assert stats.kstest([user.angle_rad / math.radians(120) + 0.5 for user in users], "uniform").pvalue > 0.01


def test_users_are_uniform_in_area_where_asked(file: Path) -> None:
    users = users_of(setup_of(file, range_m=[2, 10], uniform_in="area"), 1000)
    assert stats.kstest([(user.range_m**2 - 4) / 96 for user in users], "uniform").pvalue > 0.01  # as above


def test_share_of_users_is_exactly_on_either_edge_and_the_others_stay(file: Path) -> None:
    users, others = users_of(setup_of(file, edge_share=0.2), 1000), users_of(setup_of(file), 1000)
    on_edge = [user for user in users if abs(user.angle_rad) == np.deg2rad(60)]
    # binomial: standard deviations of 1.3 % of 1000, and of 7 % of half of 200; four of them
    assert len(on_edge) == pytest.approx(200, abs=52)
    assert sum(user.angle_rad > 0 for user in on_edge) == pytest.approx(len(on_edge) / 2, rel=0.28)
    assert all(user in others for user in users if user not in on_edge)


def test_bound_is_kept_beside_the_fix_and_absent_where_there_is_none(file: Path) -> None:
    setup = read_study(file).cells[1].setup
    rows = located_users(Chunk(cell=1, setup=setup, seed=7, first_user=0, users=2, bounds="all"))
    for row in rows:
        assert row.bound_range_m is not None
        assert row.bound_angle_rad is not None
        expected = math.hypot(row.bound_range_m, row.truth_range_m * row.bound_angle_rad)
        assert row.bound_error_m == pytest.approx(expected, rel=1e-12)
    silent = msgspec.structs.replace(setup, downlink_noise=NoNoise())
    rows = located_users(Chunk(cell=1, setup=silent, seed=7, first_user=0, users=1, bounds="all"))
    assert {row.bound_range_m for row in rows} == {None}


def test_bounds_are_for_fixes_with_a_covariance_unless_all_are_asked_for(file: Path) -> None:
    setup = setup_of(file)
    wide = msgspec.structs.replace(setup.downlink, elements=64, subcarriers=1024)
    schemes = (CbsOptions(), CbsBtOptions(rounds=1), LikelihoodOptions())
    setup = msgspec.structs.replace(setup, downlink=wide, schemes=schemes)
    choices: tuple[Bounds, ...] = ("own", "all")
    own, everyone = (
        located_users(Chunk(cell=0, setup=setup, seed=7, first_user=0, users=1, bounds=bounds)) for bounds in choices
    )
    assert [row.bound_range_m is not None for row in own] == [False, False, True]
    assert [row.bound_range_m is not None for row in everyone] == [True, True, True]
    assert own[2] == everyone[2]
    assert [row.range_m for row in own] == [row.range_m for row in everyone]


def test_study_hands_its_choice_of_bounds_to_every_task(file: Path) -> None:
    study = read_study(file)
    assert {chunk.bounds for chunk in chunks(study)} == {"all"}
    left_out = msgspec.structs.replace(study.file, bounds="own")
    assert {chunk.bounds for chunk in chunks(Study(file=left_out, cells=study.cells))} == {"own"}


def test_random_masks_are_all_non_empty_subsets_alike(file: Path) -> None:
    users = users_of(setup_of(file, masks="random"), 1500)
    masks = [user.visible_subarrays for user in users]
    counts = [masks.count(mask) for mask in set(masks)]
    assert len(counts) == 15
    assert () not in masks
    assert stats.chisquare(counts).pvalue > 0.01  # as above


def test_numbered_masks_have_that_many_subarrays_each_alike(file: Path) -> None:
    masks = [user.visible_subarrays for user in users_of(setup_of(file, masks=3), 1000)]
    assert {len(set(mask)) for mask in masks} == {3}
    assert stats.chisquare([sum(one in mask for mask in masks) for one in range(4)]).pvalue > 0.01  # as above


def test_clock_offsets_have_the_rms_asked_for_and_leave_the_place(file: Path) -> None:
    users = users_of(setup_of(file, timing_offset_rms_s=2e-9), 1000)
    # relative standard error of an rms is 1/sqrt(2 n) = 2.2 %; four of them
    assert np.std([user.timing_offset_s for user in users]) == pytest.approx(2e-9, rel=0.09)
    assert [user.range_m for user in users] == [user.range_m for user in users_of(setup_of(file), 1000)]


def test_what_a_fix_knows_of_itself_is_kept(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fix = Fix(
        range_m=6.0,
        angle_rad=0.1,
        sweeps=2,
        covariance=Covariance(range_m2=4.0, range_angle_m_rad=0.5, angle_rad2=1.0),
        visibility=Visibility(subarrays=(1, 2)),
        fit=GoodnessOfFit(statistic=1.1, degrees=100),
        integrity=Integrity.SUSPECT,
    )
    monkeypatch.setattr(study_users, "locate", lambda scheme, radio, user: fix)
    setup = read_study(file).cells[0].setup
    row = located_users(Chunk(cell=0, setup=setup, seed=7, first_user=0, users=1))[0]
    covariance = (row.covariance_range_m2, row.covariance_range_angle_m_rad, row.covariance_angle_rad2)
    assert covariance == (4.0, 0.5, 1.0)
    assert (row.found_subarrays, row.fit_statistic, row.integrity) == ((1, 2), 1.1, "suspect")


def test_scheme_that_fails_is_a_row_without_a_fix(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(scheme: Scheme, radio: SimulatedRadio, user: User) -> Fix:
        raise RuntimeError("nobody there")

    monkeypatch.setattr(study_users, "locate", failing)
    setup = read_study(file).cells[0].setup
    row = located_users(Chunk(cell=0, setup=setup, seed=7, first_user=0, users=1))[0]
    assert (row.failure, row.range_m) == ("RuntimeError: nobody there", None)
