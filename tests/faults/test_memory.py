"""What a process has of memory of its own is weighed, and its growth is told with its error."""

import os

import numpy as np
import pytest

from tests.faults.memory import Scales, grown, own_mib, slope


def test_growth_after_the_warm_up_is_the_slope() -> None:
    at_s = np.linspace(0.0, 600.0, 301)
    mib = np.where(at_s < 100.0, at_s, 100.0 + 12.0 * (at_s - 100.0) / 3600.0)  # warm-up, then 12 MiB an hour
    found = slope("x", at_s, mib)
    assert found.mib_per_hour == pytest.approx(12.0, rel=1e-9)  # rounding of sums of 180 values
    assert found.standard_error < 1e-6


def test_stated_error_of_a_slope_covers_steps_that_are_alike() -> None:
    rng, at_s, runs = np.random.default_rng(5), np.linspace(0.0, 600.0, 301), 400
    found = []
    for _ in range(runs):
        noise = np.zeros(at_s.size)
        for step in range(1, at_s.size):
            noise[step] = 0.7 * noise[step - 1] + rng.standard_normal()
        found.append(slope("x", at_s, 50.0 + noise))
    spread = np.std([one.mib_per_hour for one in found])
    stated = np.sqrt(np.mean([one.standard_error**2 for one in found]))
    # 180 weighings at a correlation of 0.7 are 32 independent ones: their correlation is known to a tenth, the spread to 4 %
    assert stated == pytest.approx(spread, rel=0.25)


def test_memory_of_its_own_is_what_a_process_writes_to() -> None:
    before_mib = own_mib(os.getpid())
    kept = bytearray(b"x") * (64 << 20)
    assert own_mib(os.getpid()) - before_mib == pytest.approx(64, abs=8)  # pytest's own comes and goes
    assert len(kept) == 64 << 20


def test_process_that_has_ended_cannot_be_weighed() -> None:
    with pytest.raises(AssertionError, match="gone has ended"):
        Scales({"gone": 2**22}).weigh()  # more than there may be pids


def test_process_is_seen_to_grow_where_scatter_does_not_explain_it() -> None:
    at_s, rng = np.linspace(0.0, 600.0, 301), np.random.default_rng(3)
    noise = rng.standard_normal(at_s.size)
    still, growing = slope("still", at_s, 100.0 + noise), slope("growing", at_s, 100.0 + noise + 60.0 * at_s / 3600.0)
    assert grown([still, growing], 24.0) == (growing,)
    assert grown([growing], 70.0) == ()
