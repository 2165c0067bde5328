"""What controllers must do in time: beat, notice silence, and not blame peers for their own (SPEC 4.10 to 4.12)."""

from protocol.conformance.case import NonconformityError, UnsupportedError, case
from protocol.conformance.drivers.controller import ControllerUnderTest, KitPeer
from protocol.conformance.sockets import now_s

STALL_S = 0.5  # from when on a controller does not count silence (SPEC 4.11.3)
LONGEST_BEAT_S = 2.0  # that the kit waits for often


def _opened(controller: ControllerUnderTest) -> KitPeer:
    ue = controller.ue()
    ue.open_session()
    return ue


@case("controller/timing/heartbeats", clause="4.10.1", expect="something said every heartbeat_s, plus 0.1 s for timers")
def heartbeats(controller: ControllerUnderTest) -> None:
    """An idle UE listens to ten beats."""
    ue = _opened(controller)
    if ue.heartbeat_s > LONGEST_BEAT_S:
        raise UnsupportedError(f"heartbeat_s is {ue.heartbeat_s:g} s, the kit waits for {LONGEST_BEAT_S:g} s at most")
    heard_s = now_s()
    for _ in range(10):
        said = ue.expect("heartbeat", "acknowledge", within_s=ue.heartbeat_s + 2.0)
        ue.rig.meter.require(said.at_s - heard_s, ue.heartbeat_s + 0.1, "a heartbeat")
        heard_s = said.at_s


@case(
    "controller/timing/silent-peer",
    clause="4.11.2",
    also=("4.12.1",),
    expect="nothing but heartbeats, and after liveness_s a refusal by 4.12",
)
def silent_peer(controller: ControllerUnderTest) -> None:
    """A UE falls silent for longer than liveness_s and then says heartbeat."""
    ue = _opened(controller)
    ue.require_short_liveness()
    ue.beats = False
    ue.silence_for(ue.liveness_s + 0.5)
    ue.expect_closed()


@case("controller/timing/garbage-is-silence", clause="4.11.2", expect="after liveness_s a refusal by 4.12")
def garbage_is_silence(controller: ControllerUnderTest) -> None:
    """A UE says nothing but what is no message for longer than liveness_s."""
    ue = _opened(controller)
    ue.require_short_liveness()
    ue.beats = False
    until_s = now_s() + ue.liveness_s + 0.5
    while now_s() < until_s:
        ue.say_frames([b"\xc1"])
        ue.wait(ue.liveness_s / 4)
    ue.inbox.clear()
    ue.expect_closed()


@case("controller/timing/pause", clause="4.11.2", expect="the session goes on")
def pause(controller: ControllerUnderTest) -> None:
    """A UE is silent for half of liveness_s, four times."""
    ue = _opened(controller)
    ue.require_short_liveness()
    ue.beats = False
    for _ in range(4):
        ue.wait(ue.liveness_s / 2)
        ue.say("heartbeat", {"progress": 1})
    try:
        ue.expect_goes_on()
    except NonconformityError as error:
        controller.blame(error, f"a session with pauses of half of {ue.liveness_s:g} s")


@case(
    "controller/timing/silent-peer-comes-back", clause="4.2.2", also=("4.11.2",), expect="welcome to the larger number"
)
def silent_peer_comes_back(controller: ControllerUnderTest) -> None:
    """A UE falls silent for longer than liveness_s and says hello with a larger number on a new connection."""
    before = _opened(controller)
    before.require_short_liveness()
    before.beats = False
    before.wait(before.liveness_s + 0.3)
    before.vanish()
    after = controller.ue()
    after.open_session()
    after.expect_goes_on()


@case("controller/faults/controller-stands-still", clause="4.11.3", expect="the session goes on")
def controller_stands_still(controller: ControllerUnderTest) -> None:
    """The controller's process is stopped for longer than liveness_s; a UE is silent meanwhile and a little longer."""
    ue = _opened(controller)
    ue.require_short_liveness()
    ue.say("heartbeat", {"progress": 1})
    ue.expect("heartbeat", within_s=ue.heartbeat_s + 2.0)
    ue.beats = False
    with controller.suspended():
        ue.wait(max(ue.liveness_s, STALL_S) + 0.5)
    ue.wait(0.3 * ue.liveness_s)
    ue.beats = True
    try:
        ue.expect_goes_on()
    except NonconformityError as error:
        controller.blame(error, "a session after the controller stood still")


@case("controller/faults/peers-speak-to-a-stopped-controller", clause="4.11.3", expect="both sessions go on")
def peers_speak_to_a_stopped_controller(controller: ControllerUnderTest) -> None:
    """The controller's process is stopped for longer than liveness_s; two UEs go on speaking to it."""
    one, two = _opened(controller), controller.ue("ue-2")
    two.open_session()
    one.require_short_liveness()
    with controller.suspended():
        one.wait(max(one.liveness_s, STALL_S) + 0.3)
    for ue in (one, two):
        try:
            ue.expect_goes_on()
        except NonconformityError as error:
            controller.blame(error, "a session after the controller stood still")


@case(
    "controller/faults/hello-left-behind",
    clause="4.12.3",
    expect="welcome to a number between both: nothing was opened",
)
def hello_left_behind(controller: ControllerUnderTest) -> None:
    """While the controller's process is stopped, a UE says hello with a new number and closes its connection.

    Before that hello lie forty heartbeats, so that the connection is gone when the controller comes to read it.
    """
    gone = _opened(controller)
    last = gone.session
    with controller.suspended():
        for _ in range(40):
            gone.say("heartbeat", {"progress": 1})
        gone.renew()
        gone.greet()
        gone.vanish()
        controller.pump_for(0.25)
    controller.pump_for(0.3)  # for what was left behind to be read
    ue = controller.ue()
    ue.renew(last + 1)
    ue.greet()
    if (said := ue.expect("welcome", "refusal")).type == "refusal":
        raise NonconformityError(f"expected welcome to {last + 1}, above the last session {last}, got {said.fields}")
    ue.is_open = True
    ue.expect_goes_on()
