"""A calibration at work: elements send what was meant, within the front end's steps and span, and users are on time."""

import numpy as np
import numpy.typing as npt
import pytest

from bs_controller.beams import fitted, setting_from_focus
from bs_controller.calibration.correction import Correction
from bs_controller.sweeps import ComplexFeedback, GroupFoci, PeakFeedback, Sweep, Trajectory
from bs_controller.transmission import message_for
from protocol.messages import Configure, FeedbackKind
from protocol.testbed import FrontEndLimits, Setting
from tests.bs_controller.calibration.front_ends import FACTS, LIMITS, Erring
from tests.oracles import dense_sweep

Floats = npt.NDArray[np.float64]

ERRING = Erring.drawn(1)
RIGHT = Correction(
    phase_rad=ERRING.phase_rad,
    delay_s=ERRING.delay_s,
    path_delay_s={"ue-1": 0.2e-9},
    other_delay_s=0.0,
    grid=FACTS.downlink.grid,
)
FINE = FrontEndLimits(elements=16, groups=4, phase_bits=0, delay_step_s=0.0, delay_span_s=100e-9, settle_s=0.0)
ARC = Trajectory(start_range_m=5.0, start_angle_rad=0.9, end_range_m=5.0, end_angle_rad=-0.9)
FOCI = GroupFoci(range_m=(5.0, 9.0, 20.0, 40.0), angle_rad=(0.5, -0.2, 0.1, 0.0), groups_per_pilot=1)


def turns(left: Setting, right: Setting) -> Floats:
    """Return how far phases are apart, in cycles."""
    apart = left.phase_cycles - right.phase_cycles
    return apart - np.rint(apart)


@pytest.mark.parametrize("focus", [ARC, FOCI])
def test_elements_that_err_send_the_setting_that_is_meant(focus: Trajectory | GroupFoci) -> None:
    meant = setting_from_focus(focus, FACTS)
    sent = ERRING.sent(RIGHT.told(meant, FINE))
    assert np.abs(turns(sent, meant)).max() < 1e-12
    shift_s = sent.delay_s - meant.delay_s
    # one shift for all elements of a group, which no amplitude shows
    assert np.abs(np.ptp(shift_s, axis=1)).max() < 1e-20


def test_what_schemes_are_shown_is_what_a_coarse_front_end_really_sends() -> None:
    told = fitted(RIGHT.told(setting_from_focus(ARC, FACTS), LIMITS), LIMITS)
    shown, sent = RIGHT.sent(told), ERRING.sent(told)
    np.testing.assert_allclose(shown.delay_s, sent.delay_s, rtol=1e-15)
    assert np.abs(turns(shown, sent)).max() < 1e-12
    assert np.abs(turns(shown, setting_from_focus(ARC, FACTS))).max() <= 1 / 16 + 1e-12  # three bits


def test_told_delays_keep_to_the_span_where_meant_ones_do() -> None:
    meant = setting_from_focus(ARC, FACTS)
    span_s = float(meant.delay_s.max())
    short = FrontEndLimits(elements=16, groups=1, phase_bits=0, delay_step_s=0.0, delay_span_s=span_s, settle_s=0.0)
    told = RIGHT.told(meant, short)
    assert told.delay_s.min() >= 0.0
    assert told.delay_s.max() <= span_s


def test_request_to_the_radio_is_the_corrected_setting() -> None:
    sweep = Sweep(focus=ARC, kind=FeedbackKind.COMPLEX)
    message = message_for(1, "ue-1", sweep, FACTS, LIMITS, correction=RIGHT)
    assert isinstance(message, Configure)
    told = fitted(RIGHT.told(setting_from_focus(ARC, FACTS), LIMITS), LIMITS)
    np.testing.assert_array_equal(np.asarray(message.phase_cycles), told.phase_cycles)
    np.testing.assert_array_equal(np.asarray(message.delay_s), told.delay_s)


def test_delay_of_the_own_path_is_taken_off_complex_feedback_alone() -> None:
    c_m_s = FACTS.speed_of_light_m_s
    place = (6.0, 0.4, np.ones(16), c_m_s)
    on_time = dense_sweep(FACTS.downlink, setting_from_focus(ARC, FACTS), *place)
    late = on_time * np.exp(2j * np.pi * FACTS.downlink.grid.offset_hz * 0.2e-9)
    heard = RIGHT.heard("ue-1", ComplexFeedback(samples=late))
    assert isinstance(heard, ComplexFeedback)
    np.testing.assert_allclose(heard.samples, on_time, rtol=1e-12)
    other = ComplexFeedback(samples=late)
    assert RIGHT.heard("ue-2", other) is other
    peak = PeakFeedback(subcarrier=3)
    assert RIGHT.heard("ue-1", peak) is peak
