"""Settings in the longest frames that are legal, and beyond."""

import numpy as np

from protocol.conformance.case import NonconformityError, case
from protocol.conformance.drivers.radio import RadioUnderTest
from protocol.conformance.sockets import now_s

MAX_GROUPS = 4096


@case("radio/hostile/longest-frames", clause="6.2.2", also=("6.3.1",), expect="ready, or declined by 6.3; then ready")
def longest_frames(radio: RadioUnderTest) -> None:
    """A setting of 4096 groups is asked for; where they do not divide the subcarriers, it cannot be had."""
    radio.open_session(liveness_s=5.0)
    shape = (MAX_GROUPS, radio.elements)
    epoch = radio.configure(np.zeros(shape), np.zeros(shape), groups_per_pilot=MAX_GROUPS)
    if radio.subcarriers % MAX_GROUPS:
        radio.expect_declined("6.3", epoch)
    else:
        radio.expect_answer("ready", epoch)
    radio.put_on_air(*radio.setting())


@case("radio/hostile/frame-beyond-the-longest", clause="2.4.2", expect="the connection is dropped, then a new session")
def frame_beyond_the_longest(radio: RadioUnderTest) -> None:
    """A setting comes whose frames have eight bytes more than the largest legal one."""
    radio.open_session()
    shape = (1, radio.rig.largest_frame_bytes // 8 + 1)
    radio.configure(np.zeros(shape), np.zeros(shape))
    until_s = now_s() + 2.0
    while radio.is_connected():
        if now_s() >= until_s:
            raise NonconformityError("expected that the connection is dropped, but it is there after 2 s")
        radio.wait(0.02)
    radio.expect_new_session(within_s=5.0)  # after liveness_s on a connection that nobody speaks on
