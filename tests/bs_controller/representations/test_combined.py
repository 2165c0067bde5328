"""Several sweeps of one kind as one."""

from dataclasses import replace

import numpy as np
import pytest

from bs_controller.representations import HeardSweep, combined
from tests.bs_controller.hearing import BACKWARD, FORWARD, heard, noise, setting_of

CLEAN = heard(FORWARD, 17.0, 0.35)


def repeated(snr_db: float, times: int) -> list[HeardSweep]:
    """Equal sweeps with phases and noise of their own."""
    rng, sweeps = np.random.default_rng(2), []
    for phase in rng.uniform(0, 2 * np.pi, times):
        samples = np.exp(1j * phase) * (CLEAN + noise(CLEAN, snr_db, rng))
        sweeps.append(HeardSweep(samples=samples, focus=FORWARD, setting=setting_of(FORWARD)))
    return sweeps


def test_one_sweep_stays_what_it_is() -> None:
    (sweep,) = repeated(10, 1)
    assert np.array_equal(combined([sweep]).samples, sweep.samples)


def test_sweeps_that_differ_in_phase_alone_are_the_first() -> None:
    sweeps = [HeardSweep(samples=turn * CLEAN, focus=FORWARD, setting=setting_of(FORWARD)) for turn in (1, 1j, -1, 2j)]
    np.testing.assert_allclose(combined(sweeps).samples, 1.25 * CLEAN, rtol=1e-12)


@pytest.mark.parametrize("times", [2, 8])
def test_noise_of_as_many_sweeps_is_that_part_of_the_noise_of_one(times: int) -> None:
    mean = combined(repeated(0, times)).samples
    gain = np.vdot(CLEAN, mean) / np.vdot(CLEAN, CLEAN)
    left = np.vdot(mean - gain * CLEAN, mean - gain * CLEAN).real / np.vdot(CLEAN, CLEAN).real
    # 2048 exponential powers are known to 2 %; phases are off by 0.02 rad, which loses less than a thousandth of the user
    assert left * times == pytest.approx(1.0, rel=0.1)
    assert abs(gain) == pytest.approx(1.0, abs=0.1)


def test_silent_sweep_among_others_lowers_the_mean_alone() -> None:
    sweeps = repeated(10, 1)
    silent = replace(sweeps[0], samples=np.zeros_like(CLEAN))
    np.testing.assert_allclose(combined([*sweeps, silent]).samples, sweeps[0].samples / 2)


def test_sweeps_of_different_foci_and_no_sweeps_are_refused() -> None:
    (sweep,) = repeated(10, 1)
    with pytest.raises(ValueError, match="expected sweeps with one focus, got 2 foci in 2 sweeps"):
        combined([sweep, replace(sweep, focus=BACKWARD)])
    with pytest.raises(ValueError, match="got 0 foci in 0 sweeps"):
        combined([])
