"""What peers left on connections that are gone is neither a session nor a fault (SPEC 4.12)."""

import pytest

from protocol import hub
from protocol import messages as msg
from protocol.codec import Envelope
from protocol.hub import HubOutcome
from protocol.messages import Message
from protocol.session import Closed, Faulted, Opened, State
from tests.protocol.examples import OTHER_FACTS, hello
from tests.protocol.world import OTHER_ROUTE, World


@pytest.fixture
def world() -> World:
    return World()


def left_behind(world: World, session: int, message: Message | None = None) -> HubOutcome:
    """Return the outcome of a message, a hello by default, after its answer found the connection gone."""
    envelope = Envelope(session=session, message=message or hello())
    outcome = world.table.receive(OTHER_ROUTE, envelope, world.now_s)
    return world.table.left_behind(OTHER_ROUTE, outcome)


@pytest.mark.clause("4.12")
def test_hello_left_behind_opens_nothing(world: World) -> None:
    assert (left_behind(world, 10).events, world.table.is_open("ue-1")) == ([], False)


@pytest.mark.clause("4.12")
def test_hello_left_behind_by_an_older_session_is_no_fault(world: World) -> None:
    world.opened(session=20)
    assert left_behind(world, 10) == HubOutcome()


@pytest.mark.clause("4.12")
def test_message_left_behind_by_a_session_that_is_not_open_is_no_fault(world: World) -> None:
    world.opened(session=20)
    assert left_behind(world, 10, msg.Heartbeat(progress=1)) == HubOutcome()


@pytest.mark.clause("4.12")
def test_session_stays_open_whatever_its_peer_left_behind(world: World) -> None:
    peer = world.opened(session=20)
    for _ in range(hub.MAX_FAULTS + 1):
        left_behind(world, 10)
    world.step(5.0)
    assert (peer.state, world.hub_closed()) == (State.OPEN, [])


@pytest.mark.clause("4.12")
def test_what_is_left_behind_is_counted_apart_from_faults(world: World) -> None:
    world.opened(session=20)
    left_behind(world, 10)
    left_behind(world, 10, msg.Heartbeat(progress=1))
    counters = world.table.counters
    assert (counters["left_behind"], counters["refused_4.5"], counters["refused_4.12"]) == (2, 0, 0)


@pytest.mark.clause("4.5")
def test_hello_of_an_older_session_whose_connection_lives_is_a_fault(world: World) -> None:
    world.opened(session=20)
    world.to_hub(Envelope(session=10, message=hello()), OTHER_ROUTE)
    faults = [event.clause for event in world.heard_by_hub if isinstance(event, Faulted)]
    assert (faults, world.table.counters["refused_4.5"]) == (["4.5"], 1)


@pytest.mark.clause("9.3")
def test_hellos_left_behind_cost_strangers_no_answer(world: World) -> None:
    world.opened(session=20)
    for _ in range(2 * hub.MAX_STRANGER_REFUSALS_HZ):
        left_behind(world, 10)
    assert len(world.to_hub(Envelope(session=10, message=hello()), OTHER_ROUTE).send) == 1


@pytest.mark.clause("4.12")
def test_newer_hello_left_behind_closes_the_session_before_it(world: World) -> None:
    world.opened(session=10)
    assert [type(event) for event in left_behind(world, 11).events] == [Closed]


@pytest.mark.clause("4.12")
def test_peer_joins_after_what_it_left_behind(world: World) -> None:
    left_behind(world, 10)
    world.opened(session=11)
    assert [type(event) for event in world.heard_by_hub] == [Opened]


@pytest.mark.clause("4.4")
def test_facts_that_differ_are_a_fault_even_if_their_peer_is_gone(world: World) -> None:
    events = left_behind(world, 10, hello(facts=OTHER_FACTS)).events
    assert [event.clause for event in events if isinstance(event, Faulted)] == ["4.4"]
