"""Keys on the air link, as radios that have one must ask for them: the kit is UEs, strangers, and who keeps the list."""

from protocol.conformance.case import NonconformityError, case
from protocol.conformance.cases.peer_security import wait_until
from protocol.conformance.curve import KEPT_OUT_STATUS, LET_IN_STATUS, Pass, new_pair, status_at
from protocol.conformance.drivers.radio import RadioUnderTest
from protocol.conformance.headers import frames_of, header
from protocol.conformance.keyring import RADIO
from protocol.conformance.sockets import now_s
from protocol.conformance.strangers import CHANGE_S, NEVER_S, require_dropped, require_null_kept_out, require_soon

KNOCK_WITHIN_S = 3.0


def _status(radio: RadioUnderTest, keys: Pass) -> int | None:
    return status_at(radio.rig.air, keys, KNOCK_WITHIN_S, lambda: radio.pump.step(now_s()))


def _is_answered(radio: RadioUnderTest, within_s: float = 0.3) -> bool:
    """Listen on the connection at hand, and return whether an answer comes."""
    radio.overheard.clear()
    radio.listen_frames(frames_of(header("listen", {"ue": radio.ue, "epoch": 1}), {}))
    radio.wait(within_s / 10)
    until_s = now_s() + within_s
    while not radio.overheard and now_s() < until_s:
        radio.pump.step(until_s)
    return bool(radio.overheard)


@case(
    "radio/security/enrolled-on-the-air",
    clause="10.2.1",
    also=("10.3.2",),
    variant="keys",
    expect="silence, then the grid of the setting",
)
def enrolled_on_the_air(radio: RadioUnderTest) -> None:
    """An enrolled UE listens, before and after a setting is on the air."""
    radio.require_air()
    radio.open_session()
    ready = radio.put_on_air(*radio.setting())
    radio.hear(radio.ue, ready.integer("epoch"))


@case(
    "radio/security/strangers-on-the-air",
    clause="10.3.2",
    also=("10.3.4",),
    variant="keys",
    expect="400 for a key that nobody has enrolled, and for the radio's own, which is no UE's",
)
def strangers_on_the_air(radio: RadioUnderTest) -> None:
    """Ends connect whose keys are not those of UEs, then one whose key is."""
    radio.require_air()
    ring = radio.rig.keys
    for who, keys in (("unknown", ring.pass_with(new_pair(), RADIO)), ("the radio's", ring.pass_of(RADIO, RADIO))):
        status = _status(radio, keys)
        if status != KEPT_OUT_STATUS:
            raise NonconformityError(f"expected status {KEPT_OUT_STATUS} for a key that is {who}, got {status}")
    status = _status(radio, ring.pass_of(radio.ue, RADIO))
    if status != LET_IN_STATUS:
        raise NonconformityError(f"expected status {LET_IN_STATUS} for the key of {radio.ue}, got {status}")


@case(
    "radio/security/null-on-the-air", clause="10.2.1", variant="keys", expect="a greeting with CURVE, and nothing more"
)
def null_on_the_air(radio: RadioUnderTest) -> None:
    """Somebody without keys speaks ZMTP with the mechanism NULL."""
    radio.require_air()
    frames = frames_of(header("listen", {"ue": radio.ue, "epoch": 1}), {})
    require_null_kept_out(radio.rig.air, radio.rig, frames)


@case("radio/security/other-antenna", clause="10.3.7", variant="keys", expect="silence, though a setting is on the air")
def other_antenna(radio: RadioUnderTest) -> None:
    """A UE listens for the antenna of another, which the radio knows too, and then for its own."""
    radio.require_air()
    radio.open_session()
    epoch = radio.put_on_air(*radio.setting()).integer("epoch")
    other = next(name for name in radio.rig.keys.ues if name != radio.ue)
    answer = radio.listen(other, epoch)
    if answer.type != "silence":
        raise NonconformityError(f"expected silence for the antenna of {other}, got {answer.type}")
    radio.hear(radio.ue, epoch)


@case(
    "radio/security/revoked-on-the-air",
    clause="10.4.1",
    also=("10.4.3",),
    variant="keys",
    expect="no answer on the open connection 2 s later, and 400 for new ones",
)
def revoked_on_the_air(radio: RadioUnderTest) -> None:
    """A UE is taken from the list while it is connected."""
    radio.require_air()
    if not _is_answered(radio, within_s=2.0):
        raise NonconformityError("expected an answer to an enrolled UE, got none", "8.3.1")
    ring = radio.rig.keys
    ring.enrol_instead({radio.ue: None})
    _require_out(radio)
    status = _status(radio, ring.pass_of(radio.ue, RADIO))
    if status != KEPT_OUT_STATUS:
        raise NonconformityError(f"expected status {KEPT_OUT_STATUS} for a revoked key, got {status}", "10.3.4")


def _require_out(radio: RadioUnderTest) -> None:
    """Listen until no answer comes."""
    began_s = answered_s = now_s()
    while _is_answered(radio):
        answered_s = now_s()
        if answered_s - began_s > NEVER_S:
            break
    require_soon(radio.rig, answered_s - began_s, CHANGE_S, "that a revoked key is answered no more")


@case(
    "radio/security/list-that-cannot-be-read",
    clause="10.4.5",
    variant="keys",
    expect="no answer 2 s later; answers again when the list is as it was",
)
def list_that_cannot_be_read(radio: RadioUnderTest) -> None:
    """The list becomes text that is none; then it is as it was."""
    radio.require_air()
    ring = radio.rig.keys
    before = ring.list()
    if not _is_answered(radio, within_s=2.0):
        raise NonconformityError("expected an answer to an enrolled UE, got none", "8.3.1")
    ring.write_list(before + "who is this\n")
    _require_out(radio)
    ring.write_list(before)
    wait_until(radio, lambda: _is_answered(radio), "an answer to one who is enrolled again", NEVER_S)


@case(
    "radio/security/enrolled-later",
    clause="10.4.3",
    variant="keys",
    expect="400, and 2 s after it is enrolled: let in",
)
def enrolled_later(radio: RadioUnderTest) -> None:
    """A new key takes the place of the UE's."""
    radio.require_air()
    ring, pair = radio.rig.keys, new_pair()
    keys = ring.pass_with(pair, RADIO)
    if (status := _status(radio, keys)) != KEPT_OUT_STATUS:
        raise NonconformityError(f"expected status {KEPT_OUT_STATUS} for a key that is unknown, got {status}", "10.3.4")
    began_s = now_s()
    ring.enrol_instead({radio.ue: pair.public})
    wait_until(radio, lambda: _status(radio, keys) == LET_IN_STATUS, "that a new key is let in", NEVER_S)
    radio.rig.meter.require(now_s() - began_s, CHANGE_S, "that a new key is let in")


@case(
    "radio/security/silent-on-the-air",
    clause="10.6.1",
    variant="keys",
    expect="both connections are dropped within 2 s",
)
def silent_on_the_air(radio: RadioUnderTest) -> None:
    """Somebody connects and says nothing, somebody else says a greeting and nothing more."""
    radio.require_air()
    require_dropped(radio.rig.air, radio.rig, lambda: radio.pump.step(now_s()))
