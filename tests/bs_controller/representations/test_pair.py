"""What a network is shown of two angle sweeps in opposite directions."""

import numpy as np
import pytest

from bs_controller.representations import HeardSweep, representation
from tests.bs_controller.hearing import ALL, BACKWARD, FACTS, FORWARD, heard, noise, setting_of

PAIR = representation("pair", FACTS)


def heard_pair(range_m: float, angle_rad: float, visible: tuple[int, ...], seed: int) -> tuple[HeardSweep, HeardSweep]:
    rng, sweeps = np.random.default_rng(seed), []
    for focus in (PAIR.first(), BACKWARD):
        clean = heard(focus, range_m, angle_rad, visible)
        sweeps.append(HeardSweep(samples=clean + noise(clean, 10, rng), focus=focus, setting=setting_of(focus)))
    return sweeps[0], sweeps[1]


def test_both_sweeps_are_common_to_all_users() -> None:
    first, second = heard_pair(12.0, 0.2, ALL, 0)
    assert PAIR.first() == FORWARD
    assert PAIR.second(first) == PAIR.second(second) == BACKWARD


@pytest.mark.parametrize("visible", [ALL, (1,), (0, 2)])
def test_supposed_position_is_right_to_a_centimetre_and_a_twentieth_of_a_beam(visible: tuple[int, ...]) -> None:
    shown = PAIR.of(*heard_pair(17.0, 0.35, visible, len(visible)), 0.0)
    assert shown.features.shape == PAIR.shape
    assert shown.mask is not None
    assert tuple(np.flatnonzero(shown.mask)) == visible
    supposed_m, supposed_rad = shown.correction.position(0.0, 0.0)
    assert supposed_m == pytest.approx(17.0, abs=1e-2)
    assert np.sin(supposed_rad) == pytest.approx(np.sin(0.35), abs=0.05 * 2 / 512)
