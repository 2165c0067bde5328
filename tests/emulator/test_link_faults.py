import math

import numpy as np
import pytest

from emulator.config import LinkFaultsSection
from emulator.link_faults import REORDER_WINDOW_S, LinkFaults

ITEMS = 20_000


def deliveries(section: LinkFaultsSection) -> list[list[tuple[float, int]]]:
    faults = LinkFaults(section)
    return [faults.pass_on(item, 1e-3 * item) for item in range(ITEMS)]


def share_within_chance(observed: float, probability: float) -> bool:
    """Five standard deviations of a binomial share; no fixed seed has to be lucky for it."""
    return abs(observed - probability) <= 5 * math.sqrt(probability * (1 - probability) / ITEMS)


def test_link_without_faults_delivers_at_once_and_once() -> None:
    assert deliveries(LinkFaultsSection()) == [[(1e-3 * item, item)] for item in range(ITEMS)]


def test_dropped_and_doubled_shares_are_those_asked_for() -> None:
    counts = np.array([len(fate) for fate in deliveries(LinkFaultsSection(drop=0.1, duplicate=0.2))])
    assert share_within_chance(float(np.mean(counts == 0)), 0.1)
    assert share_within_chance(float(np.mean(counts == 2)), 0.9 * 0.2)


def test_reordered_items_are_late_by_a_random_part_of_the_window_and_overtaken() -> None:
    fates = deliveries(LinkFaultsSection(reorder=0.3, delay_s=0.5))
    due_s = np.array([due for fate in fates for due, _ in fate])
    late_s = due_s - (0.5 + 1e-3 * np.arange(ITEMS))
    # 20 s of clock rounds to 4e-15 s
    assert share_within_chance(float(np.mean(late_s > 1e-14)), 0.3)
    assert late_s.min() >= -1e-14
    assert late_s.max() <= REORDER_WINDOW_S
    assert (np.diff(due_s) < 0).any()


def test_certain_loss_loses_everything() -> None:
    assert not any(deliveries(LinkFaultsSection(drop=1.0, duplicate=1.0)))


@pytest.mark.parametrize("seed", [1, 2])
def test_faults_depend_on_the_seed_alone(seed: int) -> None:
    section = LinkFaultsSection(drop=0.2, duplicate=0.2, reorder=0.2, seed=seed)
    assert deliveries(section) == deliveries(section)
    assert deliveries(section) != deliveries(LinkFaultsSection(drop=0.2, duplicate=0.2, reorder=0.2, seed=3))
