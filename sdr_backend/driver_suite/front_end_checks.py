"""What every front-end driver must do."""

import numpy as np
import pytest

from protocol.testbed import FrontEndLimits
from sdr_backend.driver_suite.bench import FrontEndBench
from sdr_backend.front_end import PilotSetting, deviations

EXACT_CYCLES = 1e-6  # a front end may reckon in float32
EXACT_OF_SPAN = 1e-6


def pilot(limits: FrontEndLimits, seed: int, *, groups: int = 1, elements: int | None = None) -> PilotSetting:
    """Return random phases, whole cycles off too, and delays within the span."""
    rng = np.random.default_rng(seed)
    shape = (groups, limits.elements if elements is None else elements)
    return PilotSetting(
        phase_cycles=rng.uniform(-3, 3, shape),
        delay_s=rng.uniform(0, limits.delay_span_s, shape),
        first_group=0,
        groups=2 * groups,
    )


class FrontEndChecks:
    """Derive from it and define the fixture ``bench``."""

    def test_it_has_the_elements_of_the_array(self, bench: FrontEndBench) -> None:
        """It is told how many there are."""
        with bench.opened() as front_end:
            assert front_end.limits.elements == bench.elements

    def test_what_is_loaded_is_nearest_to_what_was_asked_for(self, bench: FrontEndBench) -> None:
        """Phases are half a step off at most, and so are delays that do not end beyond the last step."""
        with bench.opened() as front_end:
            limits = front_end.limits
            asked = pilot(limits, 1, groups=min(limits.groups, 3))
            phase_cycles, delay_s = deviations([asked], [front_end.load(asked)])
            step_cycles = 0.0 if limits.phase_bits == 0 else 2.0**-limits.phase_bits
            assert phase_cycles <= step_cycles / 2 + EXACT_CYCLES
            beyond_s = limits.delay_span_s % limits.delay_step_s if limits.delay_step_s else 0.0
            assert delay_s <= max(limits.delay_step_s / 2, beyond_s) + EXACT_OF_SPAN * limits.delay_span_s

    def test_what_is_loaded_lies_within_the_limits(self, bench: FrontEndBench) -> None:
        """Ends of the delay lines are ends."""
        with bench.opened() as front_end:
            asked = pilot(front_end.limits, 2)
            ends = np.where(np.arange(bench.elements) % 2, front_end.limits.delay_span_s, 0.0)[np.newaxis]
            got = front_end.load(
                PilotSetting(phase_cycles=asked.phase_cycles, delay_s=ends, first_group=0, groups=asked.groups)
            )
            assert got.delay_s.min() >= 0
            assert got.delay_s.max() <= front_end.limits.delay_span_s * (1 + EXACT_OF_SPAN)

    def test_what_it_can_have_it_has_as_it_is(self, bench: FrontEndBench) -> None:
        """Loading what was loaded changes nothing, and the pilot stays the same pilot."""
        with bench.opened() as front_end:
            got = front_end.load(pilot(front_end.limits, 3))
            again = front_end.load(got)
            phase_cycles, delay_s = deviations([got], [again])
            assert phase_cycles <= EXACT_CYCLES
            assert delay_s <= EXACT_OF_SPAN * front_end.limits.delay_span_s
            assert (again.first_group, again.groups) == (got.first_group, got.groups)

    def test_what_is_asked_for_stays_as_it_was(self, bench: FrontEndBench) -> None:
        """A driver does not write into what it is given."""
        with bench.opened() as front_end:
            asked, same = pilot(front_end.limits, 4), pilot(front_end.limits, 4)
            front_end.load(asked)
            np.testing.assert_array_equal(asked.phase_cycles, same.phase_cycles)
            np.testing.assert_array_equal(asked.delay_s, same.delay_s)

    def test_pilot_of_another_array_is_refused(self, bench: FrontEndBench) -> None:
        """A text names both numbers of elements."""
        with bench.opened() as front_end:
            wrong = pilot(front_end.limits, 5, elements=bench.elements + 3)
            with pytest.raises(ValueError, match=rf"{bench.elements}\D.*{bench.elements + 3}"):
                front_end.load(wrong)

    def test_more_groups_than_it_holds_are_refused(self, bench: FrontEndBench) -> None:
        """Nothing is cut off without a word."""
        with bench.opened() as front_end, pytest.raises(ValueError, match="group"):
            front_end.load(pilot(front_end.limits, 6, groups=front_end.limits.groups + 1))

    def test_it_latches_again_and_again(self, bench: FrontEndBench) -> None:
        """Pilots of a setting follow each other."""
        with bench.opened() as front_end:
            for index in range(4):
                front_end.load(pilot(front_end.limits, index))
                front_end.latch(1000 * index)

    def test_closed_front_end_can_be_opened_again(self, bench: FrontEndBench) -> None:
        """Closing releases the device; closing twice is as closing once."""
        with bench.opened() as front_end:
            front_end.load(pilot(front_end.limits, 7))
        front_end.close()
        with bench.opened() as again:
            again.load(pilot(again.limits, 8))

    def test_unknown_option_is_refused_by_name(self, bench: FrontEndBench) -> None:
        """A text names the driver and the option that it does not have."""
        wrong = FrontEndBench(driver=bench.driver, options={**bench.options, "no_such_option": 1})
        with pytest.raises(ValueError, match="no_such_option") as refusal, wrong.opened():
            pass
        assert bench.driver in str(refusal.value)
