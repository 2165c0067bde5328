"""The simulated front end of the radio process rounds as the emulator's does."""

import numpy as np
import pytest

from emulator.impairments import quantised
from protocol.testbed import Setting
from sdr_backend.front_end import FrontEndContext, deviations, opened_front_end, pilots_from_setting


@pytest.mark.clause("6.2")
@pytest.mark.parametrize("phase_bits", [0, 1, 6])
@pytest.mark.parametrize("delay_step_s", [0.0, 5e-12, 7e-11])
def test_both_front_ends_apply_the_same_setting_and_tell_the_same_deviations(
    phase_bits: int, delay_step_s: float
) -> None:
    options = {"groups": 3, "phase_bits": phase_bits, "delay_step_s": delay_step_s, "delay_span_s": 20e-9}
    front_end = opened_front_end("simulated", FrontEndContext(elements=16, options=options))
    rng = np.random.default_rng(1)
    shape = (8, 16)
    asked = Setting(
        phase_cycles=rng.uniform(-2, 2, shape), delay_s=rng.uniform(0, 20e-9, shape), groups_per_pilot=65536
    )
    applied, phase_deviation_cycles, delay_deviation_s = quantised(asked, front_end.limits)
    pilots = pilots_from_setting(asked, front_end.limits)
    assert len(pilots) == asked.pilots(front_end.limits) == 3
    loaded = [front_end.load(pilot) for pilot in pilots]
    # the same formula in another order of operations: one rounding of a float64
    np.testing.assert_allclose(np.concatenate([p.phase_cycles for p in loaded]), applied.phase_cycles, rtol=1e-15)
    np.testing.assert_allclose(np.concatenate([p.delay_s for p in loaded]), applied.delay_s, rtol=1e-15)
    assert deviations(pilots, loaded) == pytest.approx((phase_deviation_cycles, delay_deviation_s), rel=1e-9)
