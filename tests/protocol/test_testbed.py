"""Shared facts: grids, array geometry, groups, the digest and what it hides."""

import hashlib
import itertools
import math
from dataclasses import replace

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.testbed import (
    FrontEndLimits,
    LinearArray,
    Region,
    SectorArray,
    Setting,
    SubcarrierGrid,
    default_facts,
    group_slices,
)

FC_HZ, B_HZ, M = 100e9, 6e9, 2048
# Three float64 operations on values near 1e11 Hz, each rounded to 1.5e-5 Hz.
FREQUENCY_TOLERANCE_HZ = 1e-3
FACTS = default_facts()
LIMITS = FrontEndLimits(elements=8, groups=4, phase_bits=0, delay_step_s=0.0, delay_span_s=1e-7, settle_s=0.0)


# --- grids -----------------------------------------------------------------------------------------------------------


def test_edge_grid_ends_on_the_edges_of_the_band() -> None:
    grid = SubcarrierGrid.edge(FC_HZ, B_HZ, M)
    assert [grid.first_hz, grid.last_hz] == pytest.approx([97e9, 103e9], abs=FREQUENCY_TOLERANCE_HZ)


def test_centred_grid_has_its_mean_on_the_carrier() -> None:
    grid = SubcarrierGrid.centred(FC_HZ, B_HZ, M)
    assert (grid.first_hz + grid.last_hz) / 2 == pytest.approx(FC_HZ, abs=FREQUENCY_TOLERANCE_HZ)


def test_centred_grid_is_spaced_by_the_band_over_the_count() -> None:
    assert SubcarrierGrid.centred(FC_HZ, B_HZ, M).spacing_hz == B_HZ / M


def test_authors_grid_is_the_edge_grid_one_subcarrier_higher() -> None:
    edge, authors = SubcarrierGrid.edge(FC_HZ, B_HZ, M), SubcarrierGrid.authors(FC_HZ, B_HZ, M)
    assert authors.first_hz - edge.first_hz == pytest.approx(edge.spacing_hz, abs=FREQUENCY_TOLERANCE_HZ)


@pytest.mark.clause("1.3")
def test_frequencies_are_first_plus_index_times_spacing() -> None:
    grid = SubcarrierGrid(first_hz=10.0, spacing_hz=2.0, count=3)
    assert grid.frequency_hz.tolist() == [10.0, 12.0, 14.0]


def test_last_frequency_is_that_of_the_last_subcarrier() -> None:
    grid = SubcarrierGrid.edge(FC_HZ, B_HZ, M)
    assert grid.last_hz == pytest.approx(grid.frequency_hz[-1], abs=FREQUENCY_TOLERANCE_HZ)


# --- arrays and groups -----------------------------------------------------------------------------------------------


@pytest.mark.clause("1.3")
def test_linear_array_is_centred_and_grows_with_the_index() -> None:
    assert LinearArray(elements=4, spacing_m=2.0, subarrays=2).element_x_m.tolist() == [-3.0, -1.0, 1.0, 3.0]


def test_elements_belong_to_consecutive_subarrays() -> None:
    assert LinearArray(elements=6, spacing_m=1.0, subarrays=3).element_subarray.tolist() == [0, 0, 1, 1, 2, 2]


def test_elements_that_do_not_divide_into_subarrays_are_refused() -> None:
    with pytest.raises(ValueError, match="5 elements cannot be cut into 2"):
        LinearArray(elements=5, spacing_m=1.0, subarrays=2)


@pytest.mark.clause("1.3")
def test_sector_array_spans_its_sector() -> None:
    assert SectorArray(elements=3, radius_m=1.0, half_sector_rad=0.5).element_angle_rad.tolist() == [-0.5, 0.0, 0.5]


@pytest.mark.parametrize(
    ("ranges", "angles"),
    [((5.0, 5.0), (-1.0, 1.0)), ((5.0, 9.0), (1.0, -1.0)), ((5.0, 9.0), (-math.pi / 2, 1.0))],
)
def test_region_that_does_not_grow_is_refused(ranges: tuple[float, float], angles: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="must grow"):
        Region(range_min_m=ranges[0], range_max_m=ranges[1], angle_min_rad=angles[0], angle_max_rad=angles[1])


@given(size=st.integers(1, 64), groups=st.integers(1, 64))
def test_groups_cover_every_subcarrier_once(size: int, groups: int) -> None:
    slices = group_slices(size * groups, groups)
    covered = itertools.chain.from_iterable(range(cut.start, cut.stop) for cut in slices)
    assert list(covered) == list(range(size * groups))


@pytest.mark.parametrize("groups", [0, -1, 3])
def test_subcarriers_that_do_not_divide_into_groups_are_refused(groups: int) -> None:
    with pytest.raises(ValueError, match="cannot be cut"):
        group_slices(8, groups)


# --- settings --------------------------------------------------------------------------------------------------------


def setting(groups: int, groups_per_pilot: int = 1) -> Setting:
    rows = np.zeros((groups, 8))
    return Setting(phase_cycles=rows, delay_s=rows, groups_per_pilot=groups_per_pilot)


@pytest.mark.clause("6.2")
@pytest.mark.parametrize(("groups", "asked", "pilots"), [(1, 1, 1), (6, 1, 6), (6, 4, 2), (6, 9, 2), (8, 4, 2)])
def test_pilots_are_the_groups_over_what_fits_into_one_rounded_up(groups: int, asked: int, pilots: int) -> None:
    assert setting(groups, asked).pilots(LIMITS) == pilots


def test_phases_and_delays_of_different_shape_are_refused() -> None:
    with pytest.raises(ValueError, match="must share one"):
        Setting(phase_cycles=np.zeros((1, 8)), delay_s=np.zeros((2, 8)))


def test_setting_without_an_axis_of_groups_is_refused() -> None:
    with pytest.raises(ValueError, match="must share one"):
        Setting(phase_cycles=np.zeros(8), delay_s=np.zeros(8))


def test_setting_with_no_groups_per_pilot_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        replace(setting(2), groups_per_pilot=0)


# --- digest ----------------------------------------------------------------------------------------------------------


@pytest.mark.clause("4.4")
def test_digest_is_the_sha256_of_sorted_json() -> None:
    text = msgspec.json.encode(msgspec.to_builtins(FACTS), order="sorted")
    assert FACTS.digest() == hashlib.sha256(text).hexdigest()


@pytest.mark.clause("4.4")
def test_digest_is_the_same_after_the_facts_have_travelled() -> None:
    assert msgspec.convert(msgspec.to_builtins(FACTS), type(FACTS)).digest() == FACTS.digest()


@pytest.mark.clause("4.4")
def test_digest_is_the_same_for_whole_numbers_written_as_integers() -> None:
    whole = msgspec.structs.replace(FACTS.region, range_min_m=5, range_max_m=50)
    assert msgspec.structs.replace(FACTS, region=whole).digest() == FACTS.digest()


def test_downlink_digest_knows_all_facts_but_the_uplink() -> None:
    other = default_facts()
    wider = msgspec.structs.replace(other.region, range_max_m=60.0)
    thinner = msgspec.structs.replace(other.uplink, array=msgspec.structs.replace(other.uplink.array, elements=300))
    assert msgspec.structs.replace(other, uplink=thinner).downlink_digest() == FACTS.downlink_digest()
    for change in (
        {"region": wider},
        {"speed_of_light_m_s": 3e8},
        {"downlink": default_facts(subcarriers=1024).downlink},
    ):
        assert msgspec.structs.replace(other, **change).downlink_digest() != FACTS.downlink_digest()


@pytest.mark.clause("4.4")
def test_equal_facts_have_no_differences() -> None:
    assert FACTS.differences(default_facts()) == []


@pytest.mark.clause("4.4")
def test_a_difference_names_the_fact_and_both_values() -> None:
    assert default_facts(elements=256).differences(default_facts()) == [
        "downlink.array.elements: 256 here, 512 there",
    ]


@pytest.mark.clause("4.4")
def test_any_fact_changes_the_digest() -> None:
    changed = msgspec.structs.replace(FACTS, speed_of_light_m_s=math.nextafter(FACTS.speed_of_light_m_s, 0.0))
    assert changed.digest() != FACTS.digest()
