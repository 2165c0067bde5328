"""Whole conversations between a controller and its peers: how sessions open, fence each other, live and end."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol import hub
from protocol import messages as msg
from protocol.codec import Envelope
from protocol.errors import OurFaultError
from protocol.hub import Admission, HubOutcome, SessionTable
from protocol.session import (
    HELLO_AGAIN_S,
    Closed,
    Opened,
    State,
)
from tests.protocol.examples import FACTS, hello, peak
from tests.protocol.world import NAMES, OTHER_ROUTE, ROUTE, STEP_S, World, epochs, losing_first, measure


@pytest.fixture
def world() -> World:
    return World()


# --- opening ---------------------------------------------------------------------------------------------------------


@pytest.mark.clause("4.1")
def test_hello_opens_the_session_at_the_controller(world: World) -> None:
    world.opened()
    assert [event.name for event in world.heard_by_hub if isinstance(event, Opened)] == ["ue-1"]


@pytest.mark.clause("4.2")
def test_welcome_opens_the_session_at_the_peer(world: World) -> None:
    world.opened()
    assert [type(event) for event in world.heard_by_peer[ROUTE]] == [Opened]


@pytest.mark.clause("4.2")
def test_welcome_sets_the_beat_of_the_peer(world: World) -> None:
    peer = world.opened()
    assert (peer.heartbeat_s, peer.liveness_s) == (0.5, 2.0)


@pytest.mark.clause("4.1")
def test_lost_hello_is_said_again(world: World) -> None:
    world.lose = losing_first(msg.Hello)
    peer = world.join(hello())
    world.step(HELLO_AGAIN_S + 2 * STEP_S)
    assert peer.state is State.OPEN


@pytest.mark.clause("4.1")
def test_hello_is_said_again_no_sooner_than_agreed(world: World) -> None:
    world.lose = lambda _: True
    world.join(hello())
    world.step(HELLO_AGAIN_S - STEP_S)
    assert len(world.said_by_peers) == 1


@pytest.mark.clause("4.1")
def test_hello_that_never_left_is_said_at_the_next_step(world: World) -> None:
    peer = world.join(hello())
    assert [type(envelope.message) for envelope in peer.tick(world.now_s).send] == [msg.Hello]
    peer.hello_not_sent()
    assert [type(envelope.message) for envelope in peer.tick(world.now_s + STEP_S).send] == [msg.Hello]
    assert peer.tick(world.now_s + 2 * STEP_S).send == []


@pytest.mark.clause("4.2")
def test_lost_welcome_is_said_again(world: World) -> None:
    world.lose = losing_first(msg.Welcome)
    peer = world.join(hello())
    world.step(HELLO_AGAIN_S + 2 * STEP_S)
    assert peer.state is State.OPEN


@pytest.mark.clause("4.2")
def test_hello_said_again_opens_one_session(world: World) -> None:
    world.lose = losing_first(msg.Welcome, 3)
    world.join(hello())
    world.step(4 * HELLO_AGAIN_S)
    assert [type(event) for event in world.heard_by_hub] == [Opened]


@pytest.mark.clause("4.11")
def test_peer_without_a_welcome_gives_up(world: World) -> None:
    world.lose = lambda _: True
    peer = world.join(hello())
    world.step(3.0 + 2 * STEP_S)
    assert peer.state is State.CLOSED


@pytest.mark.clause("4.1")
def test_work_before_the_welcome_is_our_fault(world: World) -> None:
    with pytest.raises(OurFaultError, match=r"SPEC 4\.1"):
        world.join(hello()).seal(peak(1), world.now_s)


@pytest.mark.clause("4.1")
def test_work_for_a_stranger_is_our_fault(world: World) -> None:
    with pytest.raises(OurFaultError, match=r"SPEC 4\.1"):
        world.table.seal("ue-1", measure(1), world.now_s)


@pytest.mark.clause("4.1")
def test_peer_says_nothing_but_hello_before_the_welcome_whatever_comes(world: World) -> None:
    peer = world.join(hello(), session=10)
    outcome = peer.receive(Envelope(session=10, message=msg.Heartbeat(progress=1)), world.now_s)
    assert (outcome.send, outcome.events) == ([], [])


@pytest.mark.clause("4.9")
def test_work_that_overtakes_the_welcome_is_delivered_after_it(world: World) -> None:
    world.lose = losing_first(msg.Welcome)
    world.join(hello())
    world.step()
    world.hub_says("ue-1", measure(1))
    world.step(2.0)
    assert epochs(world.heard_by_peer[ROUTE]) == [1]


# --- the newest session wins -----------------------------------------------------------------------------------------


@pytest.mark.clause("4.5")
def test_newer_session_closes_the_older(world: World) -> None:
    world.opened(session=10)
    world.opened(session=11, route=OTHER_ROUTE)
    assert [type(event) for event in world.heard_by_hub] == [Opened, Closed, Opened]


@pytest.mark.clause("4.5")
def test_work_goes_to_the_newest_session(world: World) -> None:
    world.opened(session=10)
    world.opened(session=11, route=OTHER_ROUTE)
    assert world.table.seal("ue-1", measure(1), world.now_s)[0] == OTHER_ROUTE


@pytest.mark.clause("4.5")
def test_fenced_session_is_told_when_it_speaks(world: World) -> None:
    world.opened(session=10)
    world.opened(session=11, route=OTHER_ROUTE)
    world.step(1.0)
    assert (world.closed(ROUTE) != [], world.closed(OTHER_ROUTE)) == (True, [])


@pytest.mark.clause("4.5")
def test_report_of_a_fenced_session_is_not_heard(world: World) -> None:
    old = world.opened(session=10)
    late = old.seal(peak(1), world.now_s)
    world.opened(session=11, route=OTHER_ROUTE)
    world.to_hub(late)
    assert epochs(world.heard_by_hub) == []


@pytest.mark.clause("4.5")
def test_refusal_of_an_older_session_carries_the_newer_number(world: World) -> None:
    world.opened(session=20)
    world.join(hello(), session=10, route=OTHER_ROUTE)
    (answer,) = world.to_hub(Envelope(session=10, message=hello()), OTHER_ROUTE).send
    assert answer[1].session == 20


@pytest.mark.clause("4.5")
@pytest.mark.parametrize("session", [10, 20])
def test_peer_that_comes_back_with_no_larger_number_goes_above_it(world: World, session: int) -> None:
    world.opened(session=20)
    assert world.join(hello(), session=session, route=OTHER_ROUTE).session == session
    world.step(HELLO_AGAIN_S)
    assert (world.peers[OTHER_ROUTE].state, world.peers[OTHER_ROUTE].session) == (State.OPEN, 21)


@pytest.mark.clause("4.5")
def test_restart_on_the_same_connection_opens_a_new_session(world: World) -> None:
    world.opened(session=10)
    world.opened(session=11)
    assert world.hub_closed() == ["ue-1"]


def test_connection_that_speaks_for_another_name_closes_the_first(world: World) -> None:
    world.opened(hello("ue-1"))
    world.opened(hello("ue-2"))
    assert (world.hub_closed(), world.table.is_open("ue-2")) == (["ue-1"], True)


@pytest.mark.clause("4.5")
def test_hello_that_comes_again_after_its_session_has_ended_opens_nothing(world: World) -> None:
    world.opened(session=10)
    world.peer_says(msg.Bye(reason="done"))
    (answer,) = world.to_hub(Envelope(session=10, message=hello())).send
    assert (getattr(answer[1].message, "clause", None), answer[1].session) == ("4.5", 10)


@pytest.mark.clause("4.5")
def test_number_of_a_session_that_ended_long_ago_is_free_again(world: World) -> None:
    world.opened(session=2**63 - 1)
    world.peer_says(msg.Bye(reason="done"))
    world.now_s += hub.REMEMBERED_S
    world.opened(session=10, route=OTHER_ROUTE)


@pytest.mark.clause("4.1")
def test_session_of_number_zero_is_refused(world: World) -> None:
    world.to_hub(Envelope(session=0, message=hello()))
    assert not world.table.is_open("ue-1")


@pytest.mark.clause("4.1")
def test_number_of_a_session_never_goes_down(world: World) -> None:
    peer = world.join(hello(), session=30)
    peer.receive(Envelope(session=20, message=msg.Refusal(clause="4.5", text="late")), world.now_s)
    assert peer.session == 30


# --- liveness --------------------------------------------------------------------------------------------------------


@pytest.mark.clause("4.10")
def test_idle_session_stays_open(world: World) -> None:
    peer = world.opened()
    world.step(60.0)
    assert (peer.state, world.hub_closed()) == (State.OPEN, [])


@pytest.mark.clause("4.10")
def test_idle_sides_beat_as_agreed_and_no_more(world: World) -> None:
    world.opened()
    world.step(10.0)
    beats = [message for message in world.said_by_peers if isinstance(message, msg.Heartbeat)]
    # One every 0.5 s; a timer of 0.05 s may be a step late each time.
    assert 10.0 / 0.55 - 1 <= len(beats) <= 10.0 / 0.5 + 1


@pytest.mark.clause("4.10")
def test_heartbeat_tells_the_progress_of_the_work(world: World) -> None:
    world.opened().progress = 42
    world.step(1.0)
    assert msg.Heartbeat(progress=42).progress in [getattr(said, "progress", None) for said in world.said_by_peers]


@pytest.mark.clause("4.11")
def test_peer_that_falls_silent_is_closed(world: World) -> None:
    world.opened()
    world.peers.clear()
    world.step(2.0 + 2 * STEP_S)
    assert world.hub_closed() == ["ue-1"]


@pytest.mark.clause("4.11")
def test_peer_that_is_silent_for_less_stays(world: World) -> None:
    world.opened()
    world.peers.clear()
    world.step(2.0 - 2 * STEP_S)
    assert world.hub_closed() == []


@pytest.mark.clause("4.11")
def test_controller_that_falls_silent_is_given_up(world: World) -> None:
    peer = world.opened()
    world.lose = lambda _: True
    world.step(2.0 + 2 * STEP_S)
    assert peer.state is State.CLOSED


@pytest.mark.clause("4.11")
def test_stall_of_the_controller_is_not_the_silence_of_its_peers(world: World) -> None:
    world.opened()
    world.from_hub(world.table.tick(world.now_s + 30.0))
    assert world.hub_closed() == []


@pytest.mark.clause("4.11")
def test_messages_read_after_a_stall_do_not_make_a_peer_live_longer(world: World) -> None:
    world.opened()
    world.now_s += 30.0
    world.peer_says(msg.Heartbeat(progress=1))
    world.from_hub(world.table.tick(world.now_s))
    world.peers.clear()
    world.step(2.0 + 2 * STEP_S)
    assert world.hub_closed() == ["ue-1"]


@pytest.mark.clause("4.11")
def test_controller_that_says_nothing_but_refusals_is_heard(world: World) -> None:
    peer = world.opened()
    for _ in range(20):
        world.hub_says("ue-1", msg.Refusal(clause="5.3", text="stale"))
        world.step(0.2)
    assert peer.state is State.OPEN


# --- leaving ---------------------------------------------------------------------------------------------------------


@pytest.mark.clause("4.13")
def test_bye_of_a_peer_closes_its_session(world: World) -> None:
    world.opened()
    world.peer_says(msg.Bye(reason="done"))
    assert (world.hub_closed(), world.table.is_open("ue-1")) == (["ue-1"], False)


@pytest.mark.clause("4.13")
def test_bye_is_not_answered(world: World) -> None:
    world.opened()
    assert world.peer_says(msg.Bye(reason="done")).send == []


@pytest.mark.clause("4.13")
def test_bye_of_the_controller_closes_every_session(world: World) -> None:
    world.opened(hello("ue-1"))
    world.opened(hello("ue-2"), route=OTHER_ROUTE)
    world.from_hub(world.table.farewell("run ends", world.now_s))
    assert [peer.state for peer in world.peers.values()] == [State.CLOSED, State.CLOSED]


@pytest.mark.clause("4.13")
def test_session_said_bye_to_is_not_to_be_avoided_for_good(world: World) -> None:
    world.opened()
    world.from_hub(world.table.farewell("run ends", world.now_s))
    assert [(event.reason, event.final) for event in world.closed()] == [("run ends", False)]


def test_peer_whose_connection_is_gone_is_closed(world: World) -> None:
    world.opened()
    world.from_hub(world.table.lost_route(ROUTE))
    assert world.hub_closed() == ["ue-1"]


def test_connection_of_nobody_that_is_gone_closes_nothing(world: World) -> None:
    world.opened()
    assert world.table.lost_route(OTHER_ROUTE) == HubOutcome()


# --- a bad link ------------------------------------------------------------------------------------------------------


@pytest.mark.clause("4.9")
@settings(deadline=None)  # a shared machine may pause an example of some ten ms for longer
@given(seed=st.integers(0, 2**32 - 1), loss=st.floats(0.0, 0.4))
def test_session_over_a_lossy_link_delivers_everything_once_and_in_order(seed: int, loss: float) -> None:
    rng, world = random.Random(seed), World()
    # Liveness of 60 s, so that losses alone never close the session: at 40 % loss 120 beats in a row are never lost.
    admission = Admission(facts=FACTS, names=NAMES, liveness_s=60.0)
    world.table = SessionTable(admission)
    peer = world.join(hello())
    peer.liveness_s = 60.0
    world.lose = lambda _: rng.random() < loss
    # A hello and its welcome both pass with at least 0.36: 60 attempts in 30 s fail with less than 3e-12.
    while peer.state is not State.OPEN and world.now_s < 130.0:
        world.step()
    for epoch in range(1, 11):
        world.hub_says("ue-1", measure(epoch))
        envelope = peer.seal(peak(epoch), world.now_s)
        if not world.lose(envelope):
            world.to_hub(envelope)
        world.step()
    world.step(50.0)
    wanted = list(range(1, 11))
    assert (epochs(world.heard_by_peer[ROUTE]), epochs(world.heard_by_hub)) == (wanted, wanted)
