"""Snapshots of the uplink array."""

import numpy as np

from protocol.conformance import reference_radio
from protocol.conformance.case import NonconformityError, case
from protocol.conformance.drivers.radio import RadioUnderTest, Samples
from protocol.conformance.scene import Place, places


@case("radio/schema/snapshot-shape", clause="6.4.1", expect="a snapshot of (element, subcarrier) of the uplink")
def snapshot_shape(radio: RadioUnderTest) -> None:
    """A UE's pilot is asked for, with nothing on the downlink's air."""
    radio.open_session()
    _captured(radio, radio.ue)


def _captured(radio: RadioUnderTest, ue: str) -> Samples:
    """Return the samples of a UE's pilot, ``(element, subcarrier)``."""
    samples = radio.expect_answer("snapshot", radio.capture(ue)).arrays["samples"]
    uplink = radio.rig.shared.uplink
    wanted = (uplink.array.elements, uplink.grid.count)
    if samples.shape != wanted:
        raise NonconformityError(f"expected the shape {wanted}, got {samples.shape}", "6.4.1")
    return samples.astype(np.complex128)


@case("radio/session/unknown-ue", clause="6.4.3", also=("5.4.1",), expect="declined by 6.4, then a snapshot")
def unknown_ue(radio: RadioUnderTest) -> None:
    """The pilot of a UE is asked for that nobody knows, then that of one in the testbed."""
    radio.open_session()
    radio.expect_declined("6.4", radio.capture("nobody-9"))
    _captured(radio, radio.ue)


@case(
    "radio/session/captures-in-a-row", clause="6.4.1", also=("5.1.4", "4.9.1"), expect="a snapshot for each, in order"
)
def captures_in_a_row(radio: RadioUnderTest) -> None:
    """Eight pilots are asked for without waiting for answers."""
    radio.open_session()
    for epoch in [radio.capture(radio.ue) for _ in range(8)]:
        radio.expect_answer("snapshot", epoch)


@case("radio/session/capture-while-settling", clause="6.4.1", also=("6.2.2",), expect="ready and a snapshot")
def capture_while_settling(radio: RadioUnderTest) -> None:
    """A pilot is asked for right after a setting, which settles meanwhile."""
    radio.open_session()
    wanted = {"ready": radio.configure(*radio.setting()), "snapshot": radio.capture(radio.ue)}
    for _ in range(2):
        said = radio.expect(*wanted)
        if said.fields["epoch"] != wanted.pop(said.type):
            raise NonconformityError(f"expected the epoch of its request, got {said.type} {said.fields}", "5.1.4")


def _places(radio: RadioUnderTest) -> dict[str, Place]:
    """Return where users are, known of emulated air alone."""
    radio.require_air()
    return places(radio.rig.scene)


@case("radio/numerics/uplink-phases", clause="6.4.1", expect="the phases of the delays to every element")
def uplink_phases(radio: RadioUnderTest) -> None:
    """Pilots of users at known places are compared with their line of sight, up to a common phase."""
    known = _places(radio)
    radio.open_session()
    got = {ue: _captured(radio, ue) for ue in known}
    for ue, place in known.items():
        turns = _unit(got[ue]) * np.conj(reference_radio.snapshot(place, radio.rig.shared.uplink, _speed_m_s(radio)))
        likeness = abs(np.mean(turns))
        if likeness < 0.999:  # faint noise costs 1e-6
            raise NonconformityError(f"expected the phases of {ue}'s line of sight, got a likeness of {likeness:.3f}")


@case("radio/numerics/uplink-delay", clause="6.4.1", expect="a phase that falls with the subcarrier as the delay says")
def uplink_delay(radio: RadioUnderTest) -> None:
    """The delay of each element is read from the phase between neighbouring subcarriers."""
    known = _places(radio)
    radio.open_session()
    uplink = radio.rig.shared.uplink
    got = {ue: _captured(radio, ue) for ue in known}
    for ue, place in known.items():
        turns = np.sum(got[ue][:, 1:] * np.conj(got[ue][:, :-1]), axis=1)
        delay_s = -np.angle(turns) / (2 * np.pi * uplink.grid.spacing_hz) % (1 / uplink.grid.spacing_hz)
        wanted_s = reference_radio.uplink_delays_s(place, uplink, _speed_m_s(radio))
        worst_s = float(np.max(np.abs(delay_s - wanted_s)))
        if worst_s > 0.05 * float(np.max(wanted_s)):  # faint noise costs 1 %
            raise NonconformityError(
                f"expected {ue}'s delays around {wanted_s[0]:g} s, got one that is {worst_s:g} s off"
            )


def _unit(samples: Samples) -> Samples:
    return samples / np.abs(samples)


def _speed_m_s(radio: RadioUnderTest) -> float:
    return radio.rig.shared.speed_of_light_m_s
