"""Arrays of settings that are not as they should be: refused before anything happens, and their number stays free."""

from collections.abc import Sequence

import numpy as np

from protocol.conformance.case import NonconformityError, case
from protocol.conformance.drivers.radio import RadioUnderTest
from protocol.conformance.headers import Array, packed


def _require_refused(radio: RadioUnderTest, clause: str, listed: list[object], arrays: Sequence[Array]) -> None:
    """Say a setting with these entries and frames, and then a sound one with the same number."""
    radio.open_session()
    fields = {"epoch": radio.next_epoch(), "groups_per_pilot": 1}
    header = radio.header("configure", fields, sequence=radio.watch.numbered + 1)
    radio.say_frames([packed({**header, "arrays": listed}), *(array.tobytes() for array in arrays)])
    radio.expect_refusal(clause)
    if radio.watch.acknowledged:
        raise NonconformityError("what section 3 refuses was acknowledged", "9.1.4")
    radio.put_on_air(*radio.setting())


def _listed(radio: RadioUnderTest, dtype: str = "<f8") -> list[object]:
    """Return the entries of a sound setting of one group, ``[phase_cycles, delay_s]``."""
    return [[name, dtype, [1, radio.elements]] for name in ("phase_cycles", "delay_s")]


@case("radio/framing/setting-not-finite", clause="3.9.2", also=("9.1.4",), expect="a refusal by 3.9, then ready")
def setting_not_finite(radio: RadioUnderTest) -> None:
    """One phase is infinite, one delay not a number."""
    phase_cycles, delay_s = radio.setting()
    phase_cycles[0, -1], delay_s[0, -1] = np.inf, np.nan
    _require_refused(radio, "3.9", _listed(radio), (phase_cycles, delay_s))


@case("radio/framing/setting-delay-not-a-number", clause="3.9.2", expect="a refusal by 3.9, then ready")
def setting_delay_not_a_number(radio: RadioUnderTest) -> None:
    """One delay is not a number, which is neither below 0 nor above the span."""
    phase_cycles, delay_s = radio.setting()
    delay_s[0, -1] = np.nan
    _require_refused(radio, "3.9", _listed(radio), (phase_cycles, delay_s))


@case("radio/framing/setting-too-short", clause="3.7.1", also=("9.1.4",), expect="a refusal by 3.7, then ready")
def setting_too_short(radio: RadioUnderTest) -> None:
    """The delays lack their last element, but not in their declared shape."""
    phase_cycles, delay_s = radio.setting()
    _require_refused(radio, "3.7", _listed(radio), (phase_cycles, delay_s[:, :-1]))


@case("radio/framing/setting-in-float32", clause="3.8.2", also=("9.1.4",), expect="a refusal by 3.8, then ready")
def setting_in_float32(radio: RadioUnderTest) -> None:
    """Phases and delays come as float32, and say so."""
    arrays = [array.astype("<f4") for array in radio.setting()]
    _require_refused(radio, "3.8", _listed(radio, "<f4"), arrays)


@case("radio/framing/setting-in-big-endian", clause="3.8.2", expect="a refusal by 3.8, then ready")
def setting_in_big_endian(radio: RadioUnderTest) -> None:
    """Phases and delays come with their most significant bytes first, and say so."""
    arrays = [array.astype(">f8") for array in radio.setting()]
    _require_refused(radio, "3.8", _listed(radio, ">f8"), arrays)


@case("radio/framing/setting-of-one-axis", clause="3.8.2", expect="a refusal by 3.8, then ready")
def setting_of_one_axis(radio: RadioUnderTest) -> None:
    """Phases and delays of one group come without the axis of groups."""
    listed: list[object] = [[name, "<f8", [radio.elements]] for name in ("phase_cycles", "delay_s")]
    _require_refused(radio, "3.8", listed, radio.setting())


@case("radio/framing/setting-without-delays", clause="3.6.1", also=("9.1.4",), expect="a refusal by 3.6, then ready")
def setting_without_delays(radio: RadioUnderTest) -> None:
    """The phases come alone."""
    _require_refused(radio, "3.6", _listed(radio)[:1], radio.setting()[:1])


@case("radio/framing/setting-delays-first", clause="3.6.1", expect="a refusal by 3.6, then ready")
def setting_delays_first(radio: RadioUnderTest) -> None:
    """The delays come before the phases, in the list and as frames."""
    _require_refused(radio, "3.6", _listed(radio)[::-1], radio.setting()[::-1])


@case("radio/framing/setting-frame-too-many", clause="3.6.1", expect="a refusal by 3.6, then ready")
def setting_frame_too_many(radio: RadioUnderTest) -> None:
    """A third frame follows that the list does not name."""
    phase_cycles, delay_s = radio.setting()
    _require_refused(radio, "3.6", _listed(radio), (phase_cycles, delay_s, delay_s))
