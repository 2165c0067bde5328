"""Settings that a front end can have: what a radio says of itself and how it answers `configure`."""

import numpy as np

from protocol.conformance.case import NonconformityError, UnsupportedError, case
from protocol.conformance.drivers.radio import RadioUnderTest
from protocol.conformance.sockets import now_s

MAX_GROUPS = 4096


@case("radio/schema/front-end", clause="6.1.1", expect="role radio and a front end of the testbed's elements")
def front_end(radio: RadioUnderTest) -> None:
    """Hello is read."""
    assert radio.hello is not None  # noqa: S101 - a case begins with it
    capabilities = radio.hello.fields["capabilities"]
    assert isinstance(capabilities, dict)  # noqa: S101 - the schema was checked
    if capabilities["role"] != "radio":
        raise NonconformityError(f"expected the role radio, got {capabilities['role']}")
    wanted = radio.rig.shared.downlink.array.elements
    if radio.elements != wanted:
        raise NonconformityError(f"expected the {wanted} elements of the downlink's array, got {radio.elements}")
    if radio.front_end["delay_step_s"] > radio.front_end["delay_span_s"]:
        raise NonconformityError(f"expected a delay step within the span, got {radio.front_end}")


def _require_pilots(radio: RadioUnderTest, groups: int, groups_per_pilot: int) -> None:
    """Put a setting on the air and compare the pilots with ceil(L / min(groups_per_pilot, groups)) of SPEC 6.2."""
    ready = radio.put_on_air(*radio.setting(groups), groups_per_pilot=groups_per_pilot)
    held = min(groups_per_pilot, int(radio.front_end["groups"]))
    wanted = (groups + held - 1) // held
    if ready.fields["pilots"] != wanted:
        text = f"{groups} groups, {groups_per_pilot} in a pilot, {radio.front_end['groups']:.0f} in the front end"
        raise NonconformityError(f"expected {wanted} pilots for {text}, got {ready.fields['pilots']}", "6.2.2")


@case("radio/session/one-group", clause="6.2.2", also=("5.1.4",), expect="ready of this epoch, with one pilot")
def one_group(radio: RadioUnderTest) -> None:
    """A setting of one group is asked for, one group in a pilot, and then as many as there may be."""
    radio.open_session()
    for groups_per_pilot in (1, 65536):
        _require_pilots(radio, 1, groups_per_pilot)


@case("radio/session/pilot-for-each-group", clause="6.2.2", expect="as many pilots as groups")
def pilot_for_each_group(radio: RadioUnderTest) -> None:
    """A setting of eight groups is asked for, one in a pilot, although the front end may hold more."""
    radio.open_session()
    _require_pilots(radio, radio.groups_near(8), 1)


@case("radio/session/pilots-of-the-front-end", clause="6.2.2", expect="groups over the front end's groups, rounded up")
def pilots_of_the_front_end(radio: RadioUnderTest) -> None:
    """Settings of 8, 16 and 32 groups are asked for, any number of them in a pilot."""
    radio.open_session()
    for wanted in (8, 16, 32):
        _require_pilots(radio, radio.groups_near(wanted), 65536)


@case("radio/session/pilots-are-rounded-up", clause="6.2.2", expect="three pilots for eight groups, three in each")
def pilots_are_rounded_up(radio: RadioUnderTest) -> None:
    """A setting of eight groups is asked for, at most three in a pilot, which do not divide eight."""
    radio.open_session()
    _require_pilots(radio, radio.groups_near(8), 3)


@case("radio/session/group-for-each-subcarrier", clause="6.2.2", expect="ready, with the pilots that it takes")
def group_for_each_subcarrier(radio: RadioUnderTest) -> None:
    """A setting of as many groups as subcarriers is asked for, 4096 at most."""
    radio.open_session()
    _require_pilots(radio, radio.groups_near(min(radio.subcarriers, MAX_GROUPS)), 65536)


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


@case("radio/session/settings-in-a-row", clause="6.2.2", also=("4.9.1",), expect="ready to each, in their order")
def settings_in_a_row(radio: RadioUnderTest) -> None:
    """Three settings are asked for without waiting for answers."""
    radio.open_session()
    groups = [radio.groups_near(wanted) for wanted in (2, 1, 4)]
    epochs = [radio.configure(*radio.setting(count)) for count in groups]
    for epoch, wanted in zip(epochs, groups, strict=True):
        ready = radio.expect_answer("ready", epoch)
        if ready.fields["pilots"] != wanted:
            raise NonconformityError(f"expected {wanted} pilots of epoch {epoch}, got {ready.fields['pilots']}")


@case("radio/timing/settles-first", clause="6.2.2", expect="ready no earlier than settle_s after configure")
def settles_first(radio: RadioUnderTest) -> None:
    """Two settings are asked for, the second one while the first one settles."""
    settle_s = radio.front_end["settle_s"]
    if settle_s == 0:
        raise UnsupportedError("the radio advertises that it settles at once")
    radio.open_session()
    asked_s = []
    for _ in range(2):
        asked_s.append(now_s())
        radio.configure(*radio.setting())
        radio.wait(settle_s / 4)
    for epoch, began_s in enumerate(asked_s, start=1):
        took_s = radio.expect_answer("ready", epoch).at_s - began_s
        if took_s < settle_s:
            raise NonconformityError(f"expected ready after {settle_s:g} s, got it after {took_s:.4f} s")


@case(
    "radio/session/everything-a-radio-says",
    clause="3.4.1",
    also=("2.1.1", "2.4.1", "3.1.1", "3.8.1", "4.1.3", "4.6.1", "4.7.1", "4.7.4"),
    expect="ready, snapshot, declined, refusal and heartbeats, all of them sound and in order",
)
def everything_a_radio_says(radio: RadioUnderTest) -> None:
    """The controller asks for settings and snapshots, for what cannot be had, and for what is nothing for radios."""
    radio.open_session(heartbeat_s=0.1)
    for _ in range(2):
        radio.put_on_air(*radio.setting(radio.groups_near(2)))
        radio.expect_answer("snapshot", radio.capture(radio.ue))
        radio.expect_declined("6.4", radio.capture("nobody-9"))
    radio.say("measure", {"epoch": radio.next_epoch(), "kind": "peak", "groups": 1})
    radio.expect_refusal("4.14")
    radio.expect("heartbeat")
    radio.wait(0.3)  # what is acknowledged is not said again
