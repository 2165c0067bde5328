"""Settings that a front end cannot have, and those that it only just can."""

import numpy as np

from protocol.conformance.case import NonconformityError, UnsupportedError, case
from protocol.conformance.drivers.radio import RadioUnderTest

SLACK_S = 1e-15


def _require_declined(radio: RadioUnderTest, shape: tuple[int, int], *, delay_s: float = 0.0) -> None:
    """Ask for a setting with this delay in the last element of its last group, then for one that can be had."""
    radio.open_session()
    delays_s = np.zeros(shape)
    delays_s[-1, -1] = delay_s
    radio.expect_declined("6.3", radio.configure(np.zeros(shape), delays_s))
    radio.put_on_air(*radio.setting())


@case("radio/session/too-few-elements", clause="6.3.1", also=("5.4.1",), expect="declined by 6.3, then ready")
def too_few_elements(radio: RadioUnderTest) -> None:
    """A setting of one element less than the front end has is asked for, then one that it can have."""
    _require_declined(radio, (1, radio.elements - 1))


@case("radio/session/too-many-elements", clause="6.3.1", also=("5.4.1",), expect="declined by 6.3, then ready")
def too_many_elements(radio: RadioUnderTest) -> None:
    """A setting of one element more than the front end has is asked for, then one that it can have."""
    _require_declined(radio, (1, radio.elements + 1))


@case("radio/session/one-element", clause="6.3.1", expect="declined by 6.3, not taken for all elements")
def one_element(radio: RadioUnderTest) -> None:
    """A setting of a single element is asked for."""
    _require_declined(radio, (1, 1))


@case("radio/session/groups-that-do-not-divide", clause="6.3.1", also=("5.4.1",), expect="declined by 6.3, then ready")
def groups_that_do_not_divide(radio: RadioUnderTest) -> None:
    """The smallest number of groups that does not divide the subcarriers is asked for."""
    groups = next(count for count in range(2, 4097) if radio.subcarriers % count)
    _require_declined(radio, (groups, radio.elements))


@case("radio/session/more-groups-than-subcarriers", clause="6.3.1", expect="declined by 6.3, then ready")
def more_groups_than_subcarriers(radio: RadioUnderTest) -> None:
    """Twice as many groups as subcarriers are asked for."""
    if 2 * radio.subcarriers > 4096:
        raise UnsupportedError(f"{radio.subcarriers} subcarriers are too many to be exceeded by 4096 groups")
    _require_declined(radio, (2 * radio.subcarriers, radio.elements))


@case("radio/hostile/more-than-4096-groups", clause="6.3.1", expect="declined by 6.3, then ready")
def more_than_4096_groups(radio: RadioUnderTest) -> None:
    """4097 and 65536 groups are asked for, of so few elements that the frames are legal."""
    longest = radio.rig.largest_frame_bytes // 8
    radio.open_session()
    for groups in (4097, 65536):
        shape = (groups, max(1, min(radio.elements, longest // groups)))
        if shape[0] * shape[1] <= longest:
            radio.expect_declined("6.3", radio.configure(np.zeros(shape), np.zeros(shape)))
    radio.put_on_air(*radio.setting())


@case("radio/schema/shapes-that-differ", clause="6.3.1", expect="declined by 6.3, or refused by section 3; no ready")
def shapes_that_differ(radio: RadioUnderTest) -> None:
    """A setting comes with phases of two groups and delays of one."""
    radio.open_session()
    epoch = radio.configure(np.zeros((2, radio.elements)), np.zeros((1, radio.elements)))
    said = radio.expect("declined", "refusal")
    if said.text("clause") not in {"6.3", "3.4", "3.6", "3.7", "3.8"}:
        raise NonconformityError(f"expected declined by 6.3 or a refusal by section 3, got {said.type} {said.fields}")
    if said.type == "declined" and said.fields["epoch"] != epoch:
        raise NonconformityError(f"expected declined of epoch {epoch}, got {said.fields}", "5.1.4")


@case("radio/session/delay-below-zero", clause="6.3.1", also=("5.4.1",), expect="declined by 6.3, then ready")
def delay_below_zero(radio: RadioUnderTest) -> None:
    """A delay of minus one step, or of a thousandth of the span, is asked for in one element of one group."""
    step_s = radio.front_end["delay_step_s"] or radio.front_end["delay_span_s"] / 1000
    _require_declined(radio, (radio.groups_near(4), radio.elements), delay_s=-step_s)


@case("radio/session/delay-above-the-span", clause="6.3.1", also=("5.4.1",), expect="declined by 6.3, then ready")
def delay_above_the_span(radio: RadioUnderTest) -> None:
    """A delay of one step, or a thousandth, more than the span is asked for in one element of one group."""
    span_s = radio.front_end["delay_span_s"]
    step_s = radio.front_end["delay_step_s"] or span_s / 1000
    _require_declined(radio, (radio.groups_near(4), radio.elements), delay_s=span_s + step_s)


@case("radio/session/delay-just-below-zero", clause="6.3.1", expect="declined by 6.3, although it is nearest to 0")
def delay_just_below_zero(radio: RadioUnderTest) -> None:
    """A delay of minus 2e-15 s is asked for."""
    _require_declined(radio, (1, radio.elements), delay_s=-2 * SLACK_S)


@case("radio/session/delay-just-above-the-span", clause="6.3.1", expect="declined by 6.3, although it is near")
def delay_just_above_the_span(radio: RadioUnderTest) -> None:
    """A delay of 2e-15 s more than the span is asked for."""
    _require_declined(radio, (1, radio.elements), delay_s=radio.front_end["delay_span_s"] + 2 * SLACK_S)


@case("radio/session/delays-within-the-slack", clause="6.2.1", expect="ready")
def delays_within_the_slack(radio: RadioUnderTest) -> None:
    """Delays of half of 1e-15 s below 0 and above the span are asked for."""
    radio.open_session()
    phase_cycles, delay_s = radio.setting()
    delay_s[0, :2] = -SLACK_S / 2, radio.front_end["delay_span_s"] + SLACK_S / 2
    radio.put_on_air(phase_cycles, delay_s)
