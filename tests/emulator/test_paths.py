"""Downlink paths over scatterers: what is drawn has the statistics it names, and the sweep is the dense double sum."""

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
import pytest

from emulator.config import MIXED, EmulatorSection, PathSection, UserSection
from emulator.downlink import DownlinkEmulator
from emulator.propagation import NEAREST_SCATTERER_M, scattered_gain
from emulator.scene import Path, Position, Scene, drawn_paths
from protocol.testbed import SPEED_OF_LIGHT_M_S, Downlink, Setting, default_facts
from tests.oracles import linear_distance_m, setting_weight

Floats = npt.NDArray[np.float64]
ComplexArray = npt.NDArray[np.complex128]

C_M_S = SPEED_OF_LIGHT_M_S
FACTS = default_facts()
SMALL = default_facts(subcarriers=64, elements=16, uplink_subcarriers=6)
# What the emulator promises: its transform is asked for 1e-10, and errors add up over a group's bins.
SWEEP_ERROR = 1e-8
# A few roundings of sine, cosine and square root.
ROUNDING = 1e-13
DRAWS = 4000
# Kolmogorov's distance of n draws exceeds 2.5 / sqrt(n) once in 130 000 seeds.
FARTHEST = 2.5 / math.sqrt(DRAWS)


def many(kind: Literal["reflected", "diffracted"] = "reflected", gain_db: float | None = None) -> tuple[Path, ...]:
    section = PathSection(kind=kind) if gain_db is None else PathSection(kind=kind, gain_db=gain_db)
    return drawn_paths((section,) * DRAWS, SMALL, np.random.default_rng(17))


def distance_from_uniform(values: Sequence[float] | Floats, low: float, high: float) -> float:
    """Kolmogorov's distance between the values' distribution and the uniform one."""
    x = np.sort((np.asarray(values) - low) / (high - low))
    assert x[0] >= 0
    assert x[-1] <= 1
    return float(np.abs(x - (np.arange(x.size) + 0.5) / x.size).max())


def runs(paths: Sequence[Path]) -> list[tuple[int, ...]]:
    """Visible sub-arrays of reflected paths, whose weights are 0 or 1."""
    subarray = SMALL.downlink.array.element_subarray
    return [tuple(sorted(set(subarray[path.weight > 0].tolist()))) for path in paths]


# --- what is drawn ---------------------------------------------------------------------------------------------------


def test_drawn_scatterers_are_uniform_in_range_over_the_region() -> None:
    assert distance_from_uniform([path.scatterer.range_m for path in many()], 5.0, 50.0) <= FARTHEST


def test_drawn_scatterers_are_uniform_in_angle_over_the_region() -> None:
    angles_rad = [path.scatterer.angle_rad for path in many()]
    assert distance_from_uniform(angles_rad, -math.pi / 3, math.pi / 3) <= FARTHEST


def test_drawn_strength_has_the_power_of_half_a_unit_gaussian() -> None:
    power = np.abs([path.coefficient for path in many()]) ** 2
    # 0.5^2, exponential: the mean deviates by 1/sqrt(n) of itself, five deviations
    assert np.mean(power) == pytest.approx(0.25, rel=5 / math.sqrt(DRAWS))
    assert distance_from_uniform(np.exp(-power / 0.25), 0.0, 1.0) <= FARTHEST


def test_phase_of_a_gain_is_uniform_whether_the_gain_is_drawn_or_fixed() -> None:
    for paths in (many(), many(gain_db=-10)):
        phase_rad = np.angle([path.coefficient for path in paths])
        assert distance_from_uniform(phase_rad, -math.pi, math.pi) <= FARTHEST


def test_drawn_masks_are_runs_of_neighbours_whose_length_is_uniform_and_then_their_place() -> None:
    seen = runs(many())
    possible = [tuple(range(first, first + length)) for length in range(1, 5) for first in range(5 - length)]
    assert set(seen) == set(possible)
    for run in possible:
        share = 0.25 / (5 - len(run))  # one length of four, one place of 5 - length
        # five standard deviations of a binomial share
        assert abs(seen.count(run) / DRAWS - share) <= 5 * math.sqrt(share * (1 - share) / DRAWS)


def test_reflected_path_weighs_its_visible_elements_with_one() -> None:
    assert all(set(path.weight.tolist()) <= {0.0, 1.0} for path in many())


def test_diffracted_path_weighs_its_visible_elements_uniformly_between_zero_and_one() -> None:
    (path,) = drawn_paths(
        (PathSection(kind="diffracted", visible_subarrays=(1, 2)),),
        default_facts(elements=2 * DRAWS),
        np.random.default_rng(3),
    )
    half = np.repeat([False, True, True, False], DRAWS // 2)
    assert not path.weight[~half].any()
    assert distance_from_uniform(path.weight[half], 0.0, 1.0) <= FARTHEST


def test_mixed_is_one_reflected_and_one_diffracted_path() -> None:
    assert [path.kind for path in drawn_paths("mixed", SMALL, np.random.default_rng(1))] == ["reflected", "diffracted"]


# --- what the file fixes ---------------------------------------------------------------------------------------------


def scene(name: str = "a", seed: int = 1, paths: tuple[PathSection, ...] = MIXED, **others: UserSection) -> Scene:
    users = others | {name: UserSection(range_m=12.0, angle_deg=20.0, paths=paths)}
    return Scene.from_section(EmulatorSection(users=users, seed=seed), SMALL)


def same(one: Path, other: Path) -> bool:
    values = [(path.kind, path.scatterer, path.coefficient, path.spreads) for path in (one, other)]
    return values[0] == values[1] and np.array_equal(one.weight, other.weight)


def test_paths_are_the_same_again_whatever_the_other_users() -> None:
    first, again = scene(), scene(b=UserSection(range_m=9.0, angle_deg=0.0, paths="mixed"))
    for one, other in zip(first.user("a").paths, again.user("a").paths, strict=True):
        assert same(one, other)


@pytest.mark.parametrize("other", [scene("b"), scene(seed=2)], ids=["name", "seed"])
def test_paths_of_another_name_or_seed_are_others(other: Scene) -> None:
    theirs = other.user(other.names[0]).paths
    assert not any(same(one, two) for one, two in zip(scene().user("a").paths, theirs, strict=True))


def test_scatterer_goes_where_the_file_puts_it_and_the_rest_is_drawn_as_before() -> None:
    (free,) = scene(paths=(PathSection(kind="diffracted"),)).user("a").paths
    (fixed,) = scene(paths=(PathSection(kind="diffracted", range_m=9.0, angle_deg=-30.0),)).user("a").paths
    assert fixed.scatterer == Position(range_m=9.0, angle_rad=math.radians(-30.0))
    assert fixed.coefficient == free.coefficient
    np.testing.assert_array_equal(fixed.weight, free.weight)


@pytest.mark.parametrize("kind", ["reflected", "diffracted"])
@pytest.mark.parametrize("subarrays", [(0, 1, 2, 3), (1, 2)])
def test_fixed_gain_is_the_paths_power_against_the_line_of_sights_wherever_the_user_is(
    kind: Literal["reflected", "diffracted"], subarrays: tuple[int, ...]
) -> None:
    user = UserSection(
        range_m=9.0, angle_deg=0.0, visible_subarrays=subarrays, paths=(PathSection(kind=kind, gain_db=-6.0),)
    )
    one = Scene.from_section(EmulatorSection(users={"a": user}), SMALL).user("a")
    for place in (one.start, Position(range_m=40.0, angle_rad=-1.0)):
        power = np.sum(np.abs(one.paths[0].gain(place, one.visible) * one.paths[0].weight) ** 2)
        assert power / np.sum(one.visible**2) == pytest.approx(10**-0.6, rel=ROUNDING)


def test_mask_of_the_file_is_taken() -> None:
    (path,) = drawn_paths((PathSection(kind="reflected", visible_subarrays=(0, 3)),), SMALL, np.random.default_rng(5))
    assert runs([path]) == [(0, 3)]


def test_subarray_outside_the_array_is_refused_with_the_users_name() -> None:
    with pytest.raises(ValueError, match=r"user 'a': sub-arrays must lie in 0\.\.3, got \[4\]"):
        scene(paths=(PathSection(kind="reflected", visible_subarrays=(4,)),))


# --- the gain --------------------------------------------------------------------------------------------------------


def test_drawn_gain_falls_with_both_legs_against_the_line_of_sight() -> None:
    (path,) = drawn_paths((PathSection(kind="reflected", range_m=4.0, angle_deg=0.0),), SMALL, np.random.default_rng(5))
    user = Position(range_m=5.0, angle_rad=math.atan2(3.0, 4.0))  # 3 m aside of the scatterer
    assert path.extra_m(user) == pytest.approx(3.0, rel=ROUNDING)
    assert path.gain(user, np.ones(16)) == pytest.approx(path.coefficient * 5.0 / (4.0 * 3.0), rel=ROUNDING)


def test_user_at_the_scatterer_gains_as_from_a_metre_away() -> None:
    at, near = (scattered_gain(0.3j, 10.0, 10.0, distance_m) for distance_m in (0.0, NEAREST_SCATTERER_M))
    assert at == near


# --- the sweep -------------------------------------------------------------------------------------------------------


def angle_sweep(downlink: Downlink, groups: int) -> Setting:
    """One trajectory from +60 to -60 deg at 5 m, or as many foci over the same angles."""
    grid, x_m = downlink.grid, downlink.array.element_x_m
    if groups > 1:
        foci_m = np.array([linear_distance_m(x_m, 5.0, angle) for angle in np.linspace(1.0, -1.0, groups)])
        return Setting(phase_cycles=grid.first_hz * foci_m / C_M_S, delay_s=foci_m / C_M_S, groups_per_pilot=groups)
    start_m, end_m = linear_distance_m(x_m, 5.0, np.pi / 3), linear_distance_m(x_m, 5.0, -np.pi / 3)
    delay_s = (grid.last_hz * end_m - grid.first_hz * start_m) / (C_M_S * (grid.last_hz - grid.first_hz))
    return Setting(
        phase_cycles=(grid.first_hz * start_m / C_M_S)[np.newaxis], delay_s=(delay_s - delay_s.min())[np.newaxis]
    )


def cartesian_m(position: Position) -> complex:
    return complex(position.range_m * np.exp(1j * position.angle_rad))


def dense(downlink: Downlink, setting: Setting, user: Position, visible: Floats, paths: Sequence[Path]) -> ComplexArray:
    """``h^H w`` with ``h`` the sum over line of sight and paths, subcarrier by subcarrier."""
    weight, x_m = setting_weight(downlink, setting), downlink.array.element_x_m
    received = np.empty(downlink.grid.count, dtype=np.complex128)
    for m, f_hz in enumerate(downlink.grid.frequency_hz):
        h = visible * np.exp(-2j * np.pi * f_hz * linear_distance_m(x_m, user.range_m, user.angle_rad) / C_M_S)
        h = h / user.range_m
        for path in paths:
            place = path.scatterer
            legs_m = linear_distance_m(x_m, place.range_m, place.angle_rad) + abs(
                cartesian_m(user) - cartesian_m(place)
            )
            if path.spreads:
                gain = path.coefficient / (place.range_m * abs(cartesian_m(user) - cartesian_m(place)))
            else:  # power over all elements against that of the line of sight
                ratio = sum(one**2 for one in visible) / sum(one**2 for one in path.weight)
                gain = path.coefficient * ratio**0.5 / user.range_m
            h = h + path.weight * gain * np.exp(-2j * np.pi * f_hz * legs_m / C_M_S)
        received[m] = np.vdot(h * C_M_S / (4 * np.pi * f_hz), weight[:, m])
    return received


@pytest.mark.parametrize("groups", [1, 8, 64], ids=["one trajectory", "large groups", "small groups"])
@pytest.mark.parametrize("gain_db", ["drawn", -6.0])
def test_sweep_over_scatterers_is_the_dense_double_sum(groups: int, gain_db: float | Literal["drawn"]) -> None:
    downlink, user = FACTS.downlink, Position(range_m=18.0, angle_rad=-0.5)
    sections = (
        PathSection(kind="reflected", range_m=7.0, angle_deg=40.0, gain_db=gain_db),
        PathSection(kind="diffracted", range_m=50.0, angle_deg=-60.0, gain_db=gain_db),
        PathSection(kind="reflected", range_m=17.0, angle_deg=-20.0, gain_db=gain_db),
    )
    paths = drawn_paths(sections, FACTS, np.random.default_rng(8))
    visible = np.repeat([0.0, 1.0, 1.0, 0.0], 128)
    setting = angle_sweep(downlink, groups)
    ours = DownlinkEmulator(downlink, C_M_S).received(setting, user, visible, paths)
    expected = dense(downlink, setting, user, visible, paths)
    assert np.linalg.norm(ours - expected) <= SWEEP_ERROR * np.linalg.norm(expected)


def test_hidden_user_still_hears_its_paths() -> None:
    paths = drawn_paths((PathSection(kind="reflected"),), SMALL, np.random.default_rng(8))
    user, downlink = Position(range_m=18.0, angle_rad=-0.5), SMALL.downlink
    samples = DownlinkEmulator(downlink, C_M_S).received(angle_sweep(downlink, 1), user, np.zeros(16), paths)
    assert np.abs(samples).min() > 0


def test_path_of_another_array_is_refused() -> None:
    paths = drawn_paths("mixed", SMALL, np.random.default_rng(8))
    downlink = FACTS.downlink
    with pytest.raises(ValueError, match="a path of 512 elements expected"):
        DownlinkEmulator(downlink, C_M_S).received(
            angle_sweep(downlink, 1), Position(range_m=9.0, angle_rad=0.0), np.ones(512), paths
        )


def test_path_of_minus_10_db_brings_a_tenth_of_the_line_of_sights_energy() -> None:
    downlink, user, everyone = FACTS.downlink, Position(range_m=18.0, angle_rad=-0.3), np.ones(512)
    section = PathSection(kind="diffracted", range_m=12.0, angle_deg=25.0, gain_db=-10.0)
    emulator, setting = DownlinkEmulator(downlink, C_M_S), angle_sweep(downlink, 1)
    paths = drawn_paths((section,), FACTS, np.random.default_rng(8))
    direct = emulator.received(setting, user, everyone)
    scattered = emulator.received(setting, user, everyone, paths) - direct
    # both in the swept region; the share of the band that a direction lights goes with its cosine, 5 % here
    energies = np.linalg.norm(scattered) ** 2 / np.linalg.norm(direct) ** 2
    assert energies == pytest.approx(0.1, rel=0.1)
