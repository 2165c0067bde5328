"""What either side of a session refuses, what it does about it, and the tables of what may be said when."""

import msgpack
import pytest

from protocol import messages as msg
from protocol.codec import Envelope, decode
from protocol.errors import PeerFaultError
from protocol.hub import MAX_FAULTS, MAX_RATE_HZ, Admission, HubOutcome, SessionTable
from protocol.messages import MESSAGE_TYPES, Message
from protocol.session import (
    CONTROLLER_HEARS,
    PEER_HEARS,
    Closed,
    Faulted,
    State,
    Table,
    advanced,
)
from tests.protocol.examples import EXAMPLES, FACTS, configure, hello, peak
from tests.protocol.world import NAMES, OTHER_ROUTE, ROUTE, World, epochs, measure


@pytest.fixture
def world() -> World:
    return World()


# --- unknown sessions ------------------------------------------------------------------------------------------------


@pytest.mark.clause("4.12")
def test_message_on_an_unknown_connection_is_refused_with_its_session(world: World) -> None:
    (answer,) = world.to_hub(Envelope(session=77, message=msg.Heartbeat(progress=1))).send
    assert (answer[1].session, answer[1].message.clause) == (77, "4.12")  # type: ignore[attr-defined]


@pytest.mark.clause("4.12")
def test_message_of_another_session_of_the_connection_is_refused(world: World) -> None:
    world.opened(session=10)
    world.to_hub(Envelope(session=9, message=msg.Heartbeat(progress=1)))
    assert [refusal.clause for refusal in world.refusals()] == ["4.12"]


@pytest.mark.clause("4.12")
def test_peer_of_a_restarted_controller_closes_its_session(world: World) -> None:
    peer = world.opened()
    world.table = SessionTable(Admission(facts=FACTS, names=NAMES))
    world.step(1.0)
    assert peer.state is State.CLOSED


@pytest.mark.clause("4.12")
def test_refusal_of_another_session_closes_nothing(world: World) -> None:
    peer = world.opened(session=10)
    refusal = msg.Refusal(clause="4.12", text="say hello")
    world.from_hub(HubOutcome(send=[(ROUTE, Envelope(session=9, message=refusal))]))
    assert peer.state is State.OPEN


def test_message_of_another_session_changes_nothing_at_a_peer(world: World) -> None:
    peer = world.opened(session=10)
    assert peer.receive(Envelope(session=9, sequence=1, message=measure(1)), world.now_s).events == []


def test_peer_whose_session_is_closed_refuses_nothing_that_still_comes(world: World) -> None:
    # between the silence that it noticed and its next connection a welcome may arrive, which broke no rule
    peer = world.join(hello(), session=10)
    peer.tick(world.now_s + 3.1)
    welcome = msg.Welcome(version=1, heartbeat_s=0.5, liveness_s=2.0)
    outcome = peer.receive(Envelope(session=10, message=welcome), world.now_s)
    assert (peer.state, outcome.send, outcome.events) == (State.CLOSED, [], [])


# --- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.clause("4.14")
def test_message_not_in_the_table_is_refused_by_the_controller(world: World) -> None:
    world.opened()
    world.peer_says(measure(1))
    assert [refusal.clause for refusal in world.refusals()] == ["4.14"]


@pytest.mark.clause("4.14")
def test_work_after_a_refused_message_is_heard_by_the_controller(world: World) -> None:
    world.opened()
    world.peer_says(measure(1))
    world.peer_says(peak(2))
    assert epochs(world.heard_by_hub) == [2]


@pytest.mark.clause("4.14")
def test_message_not_in_the_table_is_refused_by_a_peer(world: World) -> None:
    world.opened()
    world.hub_says("ue-1", configure())
    assert [said.clause for said in world.said_by_peers if isinstance(said, msg.Refusal)] == ["4.14"]


@pytest.mark.clause("4.14")
def test_work_after_a_refused_message_is_heard_by_a_peer(world: World) -> None:
    world.opened()
    world.hub_says("ue-1", configure())
    world.hub_says("ue-1", measure(2))
    assert epochs(world.heard_by_peer[ROUTE]) == [2]


@pytest.mark.clause("9.2")
def test_refusal_of_a_stranger_is_not_answered(world: World) -> None:
    refusal = msg.Refusal(clause="3.4", text="what?")
    assert world.to_hub(Envelope(session=77, message=refusal)).send == []


@pytest.mark.clause("9.2")
def test_refusal_of_a_peer_is_not_answered(world: World) -> None:
    world.opened()
    assert world.peer_says(msg.Refusal(clause="3.4", text="what?")).send == []


@pytest.mark.clause("9.2")
def test_refusal_of_the_controller_is_not_answered(world: World) -> None:
    peer = world.opened()
    refusal = Envelope(session=peer.session, message=msg.Refusal(clause="5.3", text="stale"))
    assert peer.receive(refusal, world.now_s).send == []


@pytest.mark.clause("9.2")
@pytest.mark.parametrize("damage", [{"fields": {"clause": "four", "text": ""}}, {"seq": 1}, {"v": 2}, {"lane": 4}])
def test_refusal_that_is_malformed_is_counted_and_not_answered(world: World, damage: dict[str, object]) -> None:
    whole = {"v": 1, "type": "refusal", "session": 1, "seq": 0, "ack": 0, "fields": {}, "arrays": []}
    with pytest.raises(PeerFaultError) as caught:
        decode([msgpack.packb(whole | damage)])
    assert not caught.value.answerable
    world.opened()
    assert world.table.malformed(ROUTE, caught.value, world.now_s).send == []
    assert world.table.counters["malformed"] == 1


@pytest.mark.clause("4.7")
def test_refusal_acknowledges_as_every_header_does(world: World) -> None:
    world.opened()
    world.peer_says(peak(1))
    world.hub_says("ue-1", msg.Refusal(clause="5.3", text="stale"))
    world.step(1.0)
    assert world.table.counters["duplicates"] == 0


@pytest.mark.clause("9.1")
def test_refusal_is_told_to_whom_it_concerns(world: World) -> None:
    world.opened()
    world.hub_says("ue-1", msg.Refusal(clause="5.3", text="stale"))
    assert world.heard_by_peer[ROUTE][-1] == Faulted(name="controller", clause="5.3", text="stale", ours=True)


@pytest.mark.clause("9.1")
def test_what_cannot_be_decoded_is_answered_with_its_clause(world: World) -> None:
    world.opened()
    world.from_hub(world.table.malformed(ROUTE, PeerFaultError("3.7", "too short"), world.now_s))
    assert [refusal.clause for refusal in world.refusals()] == ["3.7"]


@pytest.mark.clause("9.1")
def test_what_cannot_be_decoded_is_counted(world: World) -> None:
    world.table.malformed(ROUTE, PeerFaultError("3.7", "too short"), world.now_s)
    assert (world.table.counters["malformed"], world.table.counters["refused_3.7"]) == (1, 1)


@pytest.mark.clause("9.1")
def test_peer_whose_message_was_malformed_ends_its_session(world: World) -> None:
    # what the controller could not decode it cannot acknowledge: it would be sent again for ever
    peer = world.opened()
    world.from_hub(world.table.malformed(ROUTE, PeerFaultError("3.7", "too short"), world.now_s))
    assert (peer.state, world.table.is_open("ue-1")) == (State.CLOSED, True)


@pytest.mark.clause("9.3")
def test_strangers_are_answered_fifty_times_a_second_together(world: World) -> None:
    fault = PeerFaultError("3.7", "too short")
    answers = [len(world.table.malformed(bytes([n % 7]), fault, world.now_s).send) for n in range(200)]
    later = len(world.table.malformed(b"x", fault, world.now_s + 1.0).send)
    assert (sum(answers), later, world.table.counters["unanswered"]) == (50, 1, 150)


def break_rules(world: World, times: int) -> None:
    for _ in range(times):
        world.from_hub(world.table.malformed(ROUTE, PeerFaultError("3.7", "too short"), world.now_s))


@pytest.mark.clause("9.3")
def test_faults_up_to_the_limit_leave_the_session_open(world: World) -> None:
    world.opened()
    break_rules(world, MAX_FAULTS)
    assert world.table.is_open("ue-1")


@pytest.mark.clause("9.3")
def test_one_fault_more_than_the_limit_closes_the_session(world: World) -> None:
    world.opened()
    break_rules(world, MAX_FAULTS + 1)
    assert world.hub_closed() == ["ue-1"]


@pytest.mark.clause("9.3")
def test_faults_long_ago_do_not_count(world: World) -> None:
    world.opened()
    break_rules(world, MAX_FAULTS)
    world.now_s += 11.0  # without a tick, which would notice that the peer has given up since
    break_rules(world, MAX_FAULTS)
    assert world.table.is_open("ue-1")


@pytest.mark.clause("9.3")
def test_faults_of_one_peer_close_no_other(world: World) -> None:
    world.opened(hello("ue-1"))
    world.opened(hello("ue-2"), route=OTHER_ROUTE)
    break_rules(world, MAX_FAULTS + 1)
    assert world.table.is_open("ue-2")


def fault_with_successor(world: World, successor: Message) -> HubOutcome:
    """Return the outcome of the fault that closes a session, with a message that came early right behind it."""
    peer = world.opened()
    break_rules(world, MAX_FAULTS)
    world.table.receive(ROUTE, Envelope(session=peer.session, sequence=2, message=successor), world.now_s)
    return world.table.receive(ROUTE, Envelope(session=peer.session, sequence=1, message=measure(1)), world.now_s)


@pytest.mark.clause("9.3")
def test_nothing_is_heard_behind_the_fault_that_closes_a_session(world: World) -> None:
    assert epochs(fault_with_successor(world, peak(2)).events) == []


@pytest.mark.clause("9.3")
def test_bye_behind_the_fault_that_closes_a_session_is_harmless(world: World) -> None:
    closed = [
        event for event in fault_with_successor(world, msg.Bye(reason="done")).events if isinstance(event, Closed)
    ]
    assert len(closed) == 1


@pytest.mark.clause("2.6")
def test_peer_that_floods_with_heartbeats_is_closed(world: World) -> None:
    peer = world.opened()
    beat = Envelope(session=peer.session, message=msg.Heartbeat(progress=1))
    for _ in range(int(MAX_RATE_HZ) + 1):
        world.from_hub(world.table.receive(ROUTE, beat, world.now_s))
    assert ([refusal.clause for refusal in world.refusals()], world.hub_closed()) == (["2.6"], ["ue-1"])


@pytest.mark.clause("2.6")
def test_peer_that_floods_with_hellos_is_closed(world: World) -> None:
    peer = world.opened()
    greeting = Envelope(session=peer.session, message=hello())
    refused = [
        envelope.message
        for _ in range(int(MAX_RATE_HZ) + 1)
        for _, envelope in world.table.receive(ROUTE, greeting, world.now_s).send
        if isinstance(envelope.message, msg.Refusal)
    ]
    assert [refusal.clause for refusal in refused] == ["2.6"]


@pytest.mark.clause("2.6")
def test_peer_that_floods_with_new_sessions_is_closed(world: World) -> None:
    peer = world.opened()
    clauses = [
        envelope.message.clause
        for number in range(1, int(MAX_RATE_HZ) + 2)
        for _, envelope in world.table.receive(
            ROUTE, Envelope(session=peer.session + number, message=hello()), world.now_s
        ).send
        if isinstance(envelope.message, msg.Refusal)
    ]
    assert clauses == ["2.6"]
    assert not world.table.is_open("ue-1")


@pytest.mark.clause("9.3")
def test_new_session_does_not_clear_the_account_of_faults(world: World) -> None:
    peer = world.opened()
    stray = [Envelope(session=peer.session + number, sequence=1, message=peak(1)) for number in range(MAX_FAULTS + 1)]
    for number, envelope in enumerate(stray):
        if number == MAX_FAULTS // 2:
            world.table.receive(ROUTE, Envelope(session=peer.session + 1000, message=hello()), world.now_s)
        world.table.receive(ROUTE, envelope if number else stray[1], world.now_s)
    assert not world.table.is_open("ue-1")


@pytest.mark.clause("2.6")
def test_peer_at_the_limit_of_the_rate_stays(world: World) -> None:
    peer = world.opened()
    beat = Envelope(session=peer.session, message=msg.Heartbeat(progress=1))
    world.now_s += 1.0
    for _ in range(int(MAX_RATE_HZ)):
        world.table.receive(ROUTE, beat, world.now_s)
    assert world.table.is_open("ue-1")


# --- tables ----------------------------------------------------------------------------------------------------------


def is_refused(table: Table, state: State, message: Message) -> bool:
    try:
        advanced(table, state, message)
    except PeerFaultError as fault:
        return fault.clause == "4.14"
    return False


TABLES = [*CONTROLLER_HEARS.values(), *PEER_HEARS.values()]


@pytest.mark.clause("4.14")
@pytest.mark.parametrize("table", TABLES, ids=["controller-radio", "controller-ue", "radio", "ue"])
def test_whatever_is_not_in_the_table_is_refused(table: Table) -> None:
    allowed = {(state, type(said)) for state in State for said in EXAMPLES if not is_refused(table, state, said)}
    assert allowed == set(table)


@pytest.mark.clause("4.14")
@pytest.mark.parametrize("table", TABLES, ids=["controller-radio", "controller-ue", "radio", "ue"])
def test_nothing_is_heard_in_a_closed_session(table: Table) -> None:
    assert {state for state, _ in table} == {State.NEW, State.OPEN}


def test_air_link_never_reaches_the_controller() -> None:
    air = {MESSAGE_TYPES[name] for name in ("listen", "grid", "silence")}
    assert not any(kind in air for table in TABLES for _, kind in table)
