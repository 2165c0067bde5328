"""Minimum element counts."""

import numpy as np
import pytest

from bs_controller.resolution import minimum_elements
from protocol.testbed import SPEED_OF_LIGHT_M_S


@pytest.mark.parametrize(("carrier_hz", "elements"), [(3.5e9, 49), (10e9, 140), (28e9, 392)])
def test_sector_of_120_degrees_and_1_m_needs_the_papers_elements(carrier_hz: float, elements: int) -> None:
    assert minimum_elements(np.pi / 3, 1.0, carrier_hz, SPEED_OF_LIGHT_M_S) == elements


def test_narrow_sector_needs_fewer_by_the_sine_of_its_width() -> None:
    # 4 alpha R sin(2 alpha) / lambda with alpha = pi/8 and lambda = 1 cm: 111.07
    assert minimum_elements(np.pi / 8, 1.0, 100 * SPEED_OF_LIGHT_M_S, SPEED_OF_LIGHT_M_S) == 112


def test_sector_beyond_the_equations_is_refused() -> None:
    with pytest.raises(ValueError, match="got 2 rad"):
        minimum_elements(2.0, 1.0, 28e9, SPEED_OF_LIGHT_M_S)
