"""Compiled tones against the library's functions, and the decorator that compiles them."""

from collections.abc import Callable

import numpy as np
import pytest

from bs_controller.compiled import compiled
from bs_controller.tones import element_tones, phasor
from tests.bs_controller.hearing import FACTS
from tests.oracles import linear_distance_m

ARRAY, GRID, C_M_S = FACTS.downlink.array, FACTS.downlink.grid, FACTS.speed_of_light_m_s


def test_phasor_is_cosine_and_sine_to_double_precision() -> None:
    cycles = np.concatenate([np.linspace(-1, 1, 2001), [1e6 + 0.125, -(1e6) - 0.375]])
    ours = np.array([complex(*phasor(one)) for one in cycles.tolist()])
    # the library rounds 2 pi x, ours does not
    expected = np.exp(2j * np.pi * (cycles - np.rint(cycles)))
    assert np.abs(ours - expected).max() < 1e-15


def test_tones_of_two_subarrays_are_those_of_their_elements() -> None:
    rng = np.random.default_rng(1)
    delay_s, cycles = rng.uniform(0, 5e-8, (4, 128)), rng.random((4, 128))
    x_m = np.array(ARRAY.element_x_m).reshape(4, 128)
    step_rad, strength = element_tones(
        9.0, -0.4, np.array([1, 3]), x_m, delay_s, cycles, C_M_S, GRID.first_hz, GRID.spacing_hz, 1, 3
    )
    path_s = linear_distance_m(ARRAY.element_x_m, 9.0, -0.4).reshape(4, 128)[[1, 3]].ravel() / C_M_S
    assert step_rad == pytest.approx(2 * np.pi * GRID.spacing_hz * (path_s - delay_s[[1, 3]].ravel()), rel=1e-12)
    tone = np.exp(2j * np.pi * (GRID.first_hz * path_s - cycles[[1, 3]].ravel()))
    assert np.abs(strength[0] - tone).max() < 1e-10  # phases of 2e4 rad
    off = 1e-4
    for row, (dr, da) in zip(strength[1:], ((off, 0.0), (0.0, off)), strict=True):
        ahead, behind = (
            linear_distance_m(ARRAY.element_x_m, 9.0 + sign * dr, -0.4 + sign * da).reshape(4, 128)[[1, 3]].ravel()
            for sign in (1, -1)
        )
        slope = (ahead - behind) / (2 * off * C_M_S)
        # central differences leave off^2 / 6 of the third derivative, and rounding 1e-15 / off of 9 m
        assert np.abs(row / strength[0] - slope).max() < 1e-7 / C_M_S


def test_function_without_a_file_is_compiled_though_it_cannot_be_kept() -> None:
    made: dict[str, Callable[[float], float]] = {}
    exec("def doubled(x): return 2 * x", made)
    assert compiled(made["doubled"])(1.5) == 3.0
