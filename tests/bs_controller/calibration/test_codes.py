"""Codes that tell elements apart: what a front end can hold of them, and what makes them orthogonal."""

import numpy as np
import pytest

from bs_controller.beams import fitted, setting_from_focus
from bs_controller.calibration.codes import coded_sweeps, element_column, row_signs
from bs_controller.sweeps import Coded
from protocol.testbed import FrontEndLimits, default_facts

FACTS = default_facts(subcarriers=256, elements=48)
ONE_BIT = FrontEndLimits(elements=48, groups=1, phase_bits=1, delay_step_s=0.0, delay_span_s=100e-9, settle_s=0.0)


def test_rows_of_a_code_are_orthogonal_and_so_are_its_columns() -> None:
    matrix = np.stack([row_signs(row, 32) for row in range(32)])
    np.testing.assert_array_equal(matrix @ matrix.T, 32 * np.eye(32))
    np.testing.assert_array_equal(matrix, matrix.T)


def test_one_bit_of_phase_holds_every_coded_setting_exactly() -> None:
    for code in coded_sweeps(FACTS, 16, 50e-9):
        setting = setting_from_focus(code, FACTS)
        np.testing.assert_array_equal(fitted(setting, ONE_BIT).phase_cycles, setting.phase_cycles)


def test_elements_of_one_column_lie_apart_in_delay_by_as_many_places_as_there_are_codes() -> None:
    delay_s = setting_from_focus(coded_sweeps(FACTS, 16, 4e-9)[0], FACTS).delay_s[0]
    members = np.flatnonzero(element_column(48, 16) == 3)
    np.testing.assert_allclose(np.diff(delay_s[members]), 16 / 48 * 4e-9)
    assert np.unique(np.rint(delay_s / 1e-15)).size == 48


def test_every_element_stands_elsewhere_in_the_second_arrangement() -> None:
    first, second = (
        setting_from_focus(Coded(row=0, codes=16, arrangement=arrangement, delay_span_s=4e-9), FACTS).delay_s[0]
        for arrangement in (0, 1)
    )
    np.testing.assert_allclose(np.abs(first - second), 2e-9)  # half of the span


def test_delays_fill_half_of_the_delay_axis_at_most() -> None:
    delay_s = setting_from_focus(coded_sweeps(FACTS, 16, 1.0)[0], FACTS).delay_s
    assert delay_s.max() < 0.5 / FACTS.downlink.grid.spacing_hz


@pytest.mark.parametrize("codes", [0, 12, 128])
def test_number_of_codes_that_is_no_power_of_two_or_more_than_elements_need_is_refused(codes: int) -> None:
    with pytest.raises(ValueError, match=rf"codes: expected a power of two up to 64, got {codes}"):
        coded_sweeps(FACTS, codes, 50e-9)
