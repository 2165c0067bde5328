"""Keys on the air link, as UEs have them: the kit is an emulator whose key they know, or one that is not."""

from protocol.conformance.case import NonconformityError, case
from protocol.conformance.cases.peer_security import wait_until
from protocol.conformance.curve import Door, new_pair
from protocol.conformance.drivers.ue import UeUnderTest

REPORTS_WITHIN_S = 10.0  # a new socket for the air is taken after 3 s (SPEC 8.1.2)
NEW_SOCKET_S = 3.0
HANDSHAKE_S = 0.5


def _door(ue: UeUnderTest) -> Door:
    ue.require_air()
    assert ue.air_door is not None  # noqa: S101 - in the variant with keys
    return ue.air_door


@case(
    "ue/security/own-key-on-the-air", clause="10.2.1", variant="keys", expect="a report of what it heard with its key"
)
def own_key_on_the_air(ue: UeUnderTest) -> None:
    """The emulator lets in the key alone that is the UE's."""
    door = _door(ue)
    ue.open_session()
    ue.measure("peak", ue.samples())
    if not door.knocks or set(door.knocks) - door.admitted:
        raise NonconformityError(f"expected the key of {ue.rig.target.name} alone on the air link, got {door.knocks}")


@case(
    "ue/security/other-emulator",
    clause="10.2.2",
    variant="keys",
    expect="no listen to another key; a report when the right one is back",
)
def other_emulator(ue: UeUnderTest) -> None:
    """Somebody with another key, who would let everybody in, is at the emulator's endpoint when a report is asked for."""
    ours = _door(ue)
    door = Door(pair=new_pair(), admitted=ours.admitted)
    ue.open_session(liveness_s=5.0)
    ue.on_air = (1, ue.samples())
    ue.bind_air(door)
    try:
        ue.ask("peak", epoch=1)
        wait_until(ue, lambda: door.failures > 0, "a handshake that fails")
        if door.knocks or ue.listens:
            raise NonconformityError("expected no handshake with another key than the radio's, got one")
    finally:
        ue.bind_air(ours)
    ue.expect("peak_report", within_s=REPORTS_WITHIN_S)


@case(
    "ue/security/kept-out-of-the-air",
    clause="8.1.2",
    variant="keys",
    expect="a new socket 3 s later, and a report by it",
)
def kept_out_of_the_air(ue: UeUnderTest) -> None:
    """The emulator does not know the key until it was shown once."""
    door = _door(ue)
    admitted, before = door.admitted, len(door.knocks)
    ue.open_session(liveness_s=5.0)
    ue.on_air = (1, ue.samples())
    door.admitted = set()
    ue.bind_air(door)
    try:
        ue.ask("peak", epoch=1)
        wait_until(ue, lambda: len(door.knocks) > before, "somebody who knocks")
    finally:
        door.admitted = admitted
    ue.expect("peak_report", within_s=NEW_SOCKET_S + NEW_SOCKET_S + HANDSHAKE_S)
