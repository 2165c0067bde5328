"""Keys, as controllers must ask for them: the kit is peers, strangers, and who keeps the list."""

from collections.abc import Callable

from protocol.codec import largest_frame_bytes
from protocol.conformance.case import NonconformityError, UnsupportedError, case
from protocol.conformance.curve import KEPT_OUT_STATUS, LET_IN_STATUS, Pass, new_pair, status_at
from protocol.conformance.drivers.controller import ControllerUnderTest, KitPeer, hello_fields
from protocol.conformance.headers import Said, frames_of, header
from protocol.conformance.raw_zmtp import listens
from protocol.conformance.sockets import now_s
from protocol.conformance.strangers import CHANGE_S, NEVER_S, require_dropped, require_null_kept_out, require_soon

KNOCK_WITHIN_S = 3.0
ENDS_WITHIN_S = 15.0  # a process that starts and refuses
ASK_EVERY_S = 0.05
UE_CAPABILITIES = {"role": "ue", "feedback_kinds": ["peak"]}


def _status(controller: ControllerUnderTest, keys: Pass) -> int | None:
    return status_at(controller.rig.control, keys, KNOCK_WITHIN_S, lambda: controller.pump.step(now_s()))


def _require_status(controller: ControllerUnderTest, keys: Pass, wanted: int, whose: str) -> None:
    status = _status(controller, keys)
    if status != wanted:
        raise NonconformityError(f"expected status {wanted} for the key of {whose}, got {status}")


@case(
    "controller/security/enrolled",
    clause="10.2.1",
    also=("10.3.1",),
    variant="keys",
    expect="welcome",
)
def enrolled(controller: ControllerUnderTest) -> None:
    """The radio and a UE say hello, each with its own key."""
    controller.radio().open_session()
    controller.ue().open_session()


@case(
    "controller/security/unknown-key",
    clause="10.3.1",
    also=("10.3.4",),
    variant="keys",
    expect="400, and nothing for what it says; 200 for a key that is enrolled",
)
def unknown_key(controller: ControllerUnderTest) -> None:
    """Somebody connects with a key that nobody has enrolled."""
    ring = controller.rig.keys
    keys = ring.pass_with(new_pair())
    _require_status(controller, keys, KEPT_OUT_STATUS, "a stranger")
    _require_status(controller, ring.pass_of("ue-1"), LET_IN_STATUS, "ue-1")
    stranger = controller.ue(keys=keys)
    stranger.greet()
    stranger.silence_for(0.3)


@case("controller/security/null", clause="10.2.1", variant="keys", expect="a greeting with CURVE, and nothing more")
def null(controller: ControllerUnderTest) -> None:
    """Somebody without keys says hello with the mechanism NULL."""
    fields = hello_fields(controller.rig, "ue-1", UE_CAPABILITIES)
    require_null_kept_out(controller.rig.control, controller.rig, frames_of(header("hello", fields, session=1), {}))


@case(
    "controller/security/own-key-for-another-controller",
    clause="10.2.2",
    variant="keys",
    expect="no handshake: its key is the one that is known of it beforehand",
)
def own_key_for_another_controller(controller: ControllerUnderTest) -> None:
    """An enrolled UE connects that knows the controller by another key, then by the right one."""
    ring = controller.rig.keys
    wrong = Pass(pair=ring.pairs["ue-1"], server=new_pair().public)
    if (status := _status(controller, wrong)) is not None:
        raise NonconformityError(f"expected no handshake of one that expects another key, got status {status}")
    _require_status(controller, ring.pass_of("ue-1"), LET_IN_STATUS, "ue-1")


@case(
    "controller/security/another-name",
    clause="10.3.6",
    variant="keys",
    expect="a final refusal by 10.3; welcome for one's own name",
)
def another_name(controller: ControllerUnderTest) -> None:
    """A UE says hello as another UE of the testbed, and then as itself."""
    keys = controller.rig.keys.pass_of("ue-1")
    _require_final(controller.ue("ue-2", keys=keys))
    controller.ue("ue-1").open_session()


@case("controller/security/another-role", clause="10.3.6", variant="keys", expect="a final refusal by 10.3")
def another_role(controller: ControllerUnderTest) -> None:
    """A UE says hello as the radio, the radio as a UE."""
    ring = controller.rig.keys
    radio = controller.radio()
    _require_final(controller.peer(radio.name, radio.capabilities, ring.pass_of("ue-1")))
    _require_final(controller.ue("ue-1", keys=ring.pass_of("radio")))


def _require_final(peer: KitPeer) -> Said:
    peer.greet()
    refusal = peer.expect_refusal("10.3")
    if refusal.fields.get("final") is not True:
        raise NonconformityError(f"expected a final refusal, got {refusal.fields}")
    return refusal


@case(
    "controller/security/newest-session-of-a-key",
    clause="10.3.8",
    also=("4.5.1",),
    variant="keys",
    expect="the newer session opens and the older is closed; one that is older still is refused by 4.5",
)
def newest_session_of_a_key(controller: ControllerUnderTest) -> None:
    """One key opens two sessions on two connections, then says hello with a smaller number on a third."""
    first, second, third = (controller.ue() for _ in range(3))
    first.open_session()
    second.renew()
    second.open_session()
    first.expect_closed()
    third.renew(first.session - 1)
    third.greet()
    third.expect_refusal("4.5")
    second.expect_goes_on()


@case(
    "controller/security/longest-frame",
    clause="10.2.3",
    also=("10.6.2",),
    variant="keys",
    expect="a refusal of the frame, no drop of the connection; a drop for one byte more",
)
def longest_frame(controller: ControllerUnderTest) -> None:
    """A frame as large as is legal follows a heartbeat, which has none; then one that has a byte more."""
    peer = controller.ue()
    peer.open_session()
    largest = largest_frame_bytes(controller.rig.shared)
    (heartbeat,) = frames_of(peer.header("heartbeat", {"progress": 1}), {})
    peer.say_frames([heartbeat, bytes(largest)])
    peer.expect_refusal("3.6")
    peer.inbox.clear()
    peer.expect("heartbeat")
    peer.say_frames([heartbeat, bytes(largest + 1)])
    _until_closed(peer)


# --- revocation ------------------------------------------------------------------------------------------------------


def _until_closed(peer: KitPeer) -> None:
    """Beat until the session is refused by 4.12, in time."""
    peer.beats, began_s = False, now_s()
    while now_s() - began_s < NEVER_S:
        peer.say("heartbeat", {"progress": 1})
        said = peer.next_within(ASK_EVERY_S)
        if said is not None and said.type == "refusal":
            if said.fields["clause"] != "4.12":
                raise NonconformityError(f"expected a refusal by 4.12, got {said.fields}", "10.4.4")
            break
    peer.is_open = False
    require_soon(peer.rig, now_s() - began_s, CHANGE_S, "that the session is closed")


def _change_and_require_closed(controller: ControllerUnderTest, change: Callable[[], None]) -> KitPeer:
    """Open a session of `ue-1`, change the list, and return the peer when its session is closed."""
    peer = controller.ue()
    peer.open_session()
    change()
    _until_closed(peer)
    return peer


@case(
    "controller/security/revoked-session",
    clause="10.4.2",
    also=("10.4.1", "10.4.3", "10.4.4"),
    variant="keys",
    expect="refusals by 4.12 within 2 s, 10.4 for hello, 400 for a new connection; others go on",
)
def revoked_session(controller: ControllerUnderTest) -> None:
    """A UE is taken from the list while its session is open, and says hello again on its connection."""
    ring = controller.rig.keys
    other = controller.ue("ue-2")
    other.open_session()
    peer = _change_and_require_closed(controller, lambda: ring.enrol_instead({"ue-1": None}))
    peer.renew()
    peer.greet()
    _expect_refusal(peer, "10.4", "10.4.4")
    _require_status(controller, ring.pass_of("ue-1"), KEPT_OUT_STATUS, "one that is revoked")
    other.expect_goes_on()


def _expect_refusal(peer: KitPeer, clause: str, blamed: str) -> None:
    while (said := peer.expect("refusal")).fields["clause"] == "4.12":
        pass  # of heartbeats that were still under way
    if said.fields["clause"] != clause:
        raise NonconformityError(f"expected a refusal by {clause}, got {said.fields}", blamed)


@case(
    "controller/security/key-of-another",
    clause="10.4.2",
    variant="keys",
    expect="the session is closed within 2 s, and hello by the old name is refused by 10.3",
)
def key_of_another(controller: ControllerUnderTest) -> None:
    """The key of a UE with an open session is enrolled for another UE."""
    ring = controller.rig.keys
    changes = {"ue-1": None, "ue-2": ring.pairs["ue-1"].public}
    peer = _change_and_require_closed(controller, lambda: ring.enrol_instead(changes))
    peer.renew()
    peer.greet()
    _expect_refusal(peer, "10.3", "10.3.6")


@case(
    "controller/security/list-that-cannot-be-read",
    clause="10.4.5",
    variant="keys",
    expect="the session is closed within 2 s, hello is refused by 10.4, nobody is let in",
)
def list_that_cannot_be_read(controller: ControllerUnderTest) -> None:
    """A line that means nothing is added to the list."""
    ring = controller.rig.keys
    peer = _change_and_require_closed(controller, lambda: ring.write_list(ring.list() + "who is this\n"))
    peer.renew()
    peer.greet()
    _expect_refusal(peer, "10.4", "10.4.4")
    _require_status(controller, ring.pass_of("ue-2"), KEPT_OUT_STATUS, "ue-2")


@case(
    "controller/security/list-that-is-gone",
    clause="10.4.5",
    variant="keys",
    expect="the session is closed within 2 s; welcome when the list is back",
)
def list_that_is_gone(controller: ControllerUnderTest) -> None:
    """The list is removed, and is there again later."""
    ring = controller.rig.keys
    before = ring.list()
    _change_and_require_closed(controller, lambda: ring.write_list(None))
    ring.write_list(before)
    _until_let_in(controller, ring.pass_of("ue-1"))
    controller.ue().open_session()


@case(
    "controller/security/enrolled-later",
    clause="10.4.3",
    variant="keys",
    expect="400, and within 2 s after it is enrolled: let in, and welcome",
)
def enrolled_later(controller: ControllerUnderTest) -> None:
    """A new key takes the place of a UE's."""
    ring, pair = controller.rig.keys, new_pair()
    keys = ring.pass_with(pair)
    _require_status(controller, keys, KEPT_OUT_STATUS, "a stranger")
    ring.enrol_instead({"ue-1": pair.public})
    _until_let_in(controller, keys)
    controller.ue(keys=keys).open_session()


def _until_let_in(controller: ControllerUnderTest, keys: Pass) -> None:
    began_s = now_s()
    while _status(controller, keys) != LET_IN_STATUS and now_s() - began_s < NEVER_S:
        controller.pump_for(ASK_EVERY_S)
    require_soon(controller.rig, now_s() - began_s, CHANGE_S, "that a key is let in which is enrolled now")


# --- limits ----------------------------------------------------------------------------------------------------------


@case(
    "controller/security/silent-connection",
    clause="10.6.1",
    variant="keys",
    expect="both connections are dropped within 2 s",
)
def silent_connection(controller: ControllerUnderTest) -> None:
    """Somebody connects and says nothing, somebody else says a greeting and nothing more."""
    require_dropped(controller.rig.control, controller.rig, lambda: controller.pump.step(now_s()))


@case(
    "controller/security/secret-that-others-read",
    clause="10.2.5",
    variant="keys",
    expect="the process ends, and nothing listens",
)
def secret_that_others_read(controller: ControllerUnderTest) -> None:
    """The process is started with a secret key in a file of mode 0644, then of mode 0602."""
    for mode in (0o644, 0o602):
        with controller.rig.keys.mode_of_secret(mode):
            _require_no_start(controller)


def _require_no_start(controller: ControllerUnderTest) -> None:
    testee, until_s = controller.rig.testee, now_s() + ENDS_WITHIN_S
    testee.close()
    if not testee.restart():
        raise UnsupportedError("the kit has not started the process")
    while testee.ended() is None:
        if listens(controller.rig.control):
            raise NonconformityError("expected that the process refuses to start, it listens")
        if now_s() >= until_s:
            raise NonconformityError(f"expected that the process ends within {ENDS_WITHIN_S:g} s, it runs")
        controller.pump_for(ASK_EVERY_S)
    if testee.ended() == 0:
        raise NonconformityError("expected an exit status that says so, got 0")
