"""What a controller hears in which state (SPEC 4.14): each message that a peer must not say, said once by each role."""

from functools import partial

from protocol.conformance.case import Case, case, registered
from protocol.conformance.drivers.controller import ControllerUnderTest, KitPeer
from protocol.conformance.headers import UNSEQUENCED
from protocol.conformance.referee import EITHER, RADIO_SAYS, UE_SAYS
from protocol.conformance.vectors import SOUND, sound_arrays

#: what one side of the protocol says to another in an open session, and sound fields of it
WORK = sorted(set(SOUND) - EITHER - {"declined"})


def _peer(controller: ControllerUnderTest, role: str) -> KitPeer:
    return controller.radio() if role == "radio" else controller.ue()


def _check_refused(role: str, kind: str, controller: ControllerUnderTest) -> None:
    peer = _peer(controller, role)
    peer.open_session()
    sequence = peer.say(kind, SOUND[kind], sound_arrays(kind, controller.rig.shared))
    peer.expect_refusal("4.14")
    if sequence:
        peer.expect_acknowledged(sequence)
    peer.expect_goes_on()


for _role, _says in (("ue", UE_SAYS), ("radio", RADIO_SAYS)):
    for _kind in sorted(set(WORK) - _says):
        _more = "" if _kind in UNSEQUENCED else "that acknowledges"
        registered(
            Case(
                id=f"controller/session/{_kind.replace('_', '-')}-from-{_role}",
                clause="4.14.1",
                also=("4.14.2",),
                description=f"A {_role} says {_kind} in its open session, and then goes on.",
                expectation=f"a refusal by 4.14{_more and ' ' + _more}; the session goes on",
                check=partial(_check_refused, _role, _kind),
            )
        )


@case("controller/session/heartbeat-and-acknowledge", clause="4.14.2", expect="nothing but the controller's own beat")
def heartbeat_and_acknowledge(controller: ControllerUnderTest) -> None:
    """A UE and a radio say heartbeat and acknowledge, with progress that jumps."""
    for peer in (controller.ue(), controller.radio()):
        peer.open_session()
        for progress in (0, 2**63 - 1, 5):
            peer.say("heartbeat", {"progress": progress})
            peer.say("acknowledge")
        peer.silence_for(0.15)
        peer.expect_goes_on()
