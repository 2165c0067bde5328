"""Sessions on a link with keys: a peer is who its key says, message by message."""

import pytest

from protocol import messages as msg
from protocol.codec import Envelope
from protocol.errors import PeerFaultError
from protocol.hub import Admission, HubOutcome, SessionTable
from protocol.keys import Identity
from protocol.messages import Message, Role
from protocol.session import Closed, Faulted, Heard, Opened
from tests.protocol.examples import FACTS, RADIO, hello, peak
from tests.protocol.world import NAMES, OTHER_ROUTE, ROUTE

NOW_S = 100.0
UE_1 = Identity(name="ue-1", role=Role.UE, key="key of ue-1")
UE_2 = Identity(name="ue-2", role=Role.UE, key="key of ue-2")


@pytest.fixture
def table() -> SessionTable:
    return SessionTable(Admission(facts=FACTS, names=NAMES), keyed=True)


def says(
    table: SessionTable,
    message: Message,
    sender: Identity | None,
    *,
    session: int = 10,
    sequence: int = 0,
    route: bytes = ROUTE,
) -> HubOutcome:
    return table.receive(route, Envelope(session=session, sequence=sequence, message=message), NOW_S, sender)


def refusals(outcome: HubOutcome) -> list[tuple[str, bool]]:
    sent = [envelope.message for _, envelope in outcome.send]
    return [(message.clause, message.final) for message in sent if isinstance(message, msg.Refusal)]


def closed(outcome: HubOutcome) -> list[tuple[str, str]]:
    return [(event.name, event.reason) for event in outcome.events if isinstance(event, Closed)]


@pytest.mark.clause("10.3")
def test_hello_under_the_name_and_role_of_its_key_opens(table: SessionTable) -> None:
    assert [type(event) for event in says(table, hello("ue-1"), UE_1).events] == [Opened]
    assert table.is_open("ue-1")


@pytest.mark.clause("10.3")
@pytest.mark.parametrize("greeting", [hello("ue-2"), hello("radio", RADIO), hello("ue-1", RADIO)])
def test_enrolled_key_that_poses_as_another_is_refused_for_good(table: SessionTable, greeting: msg.Hello) -> None:
    outcome = says(table, greeting, UE_1)
    assert refusals(outcome) == [("10.3", True)]
    assert not any(map(table.is_open, ("ue-1", "ue-2", "radio")))
    (fault,) = outcome.events
    assert isinstance(fault, Faulted)
    assert (fault.name, "this key is enrolled for ue ue-1" in fault.text) == ("stranger", True), (
        "not held against others"
    )


@pytest.mark.clause("10.3")
def test_pose_neither_closes_nor_fences_the_session_of_whom_it_poses_as(table: SessionTable) -> None:
    says(table, hello("ue-1"), UE_1)
    outcome = says(table, hello("ue-1"), UE_2, session=10**15, route=OTHER_ROUTE)
    assert (refusals(outcome), closed(outcome)) == ([("10.3", True)], [])
    assert [type(event) for event in says(table, peak(1), UE_1, sequence=1).events] == [Heard]


@pytest.mark.clause("10.3")
def test_pose_from_within_an_open_session_is_counted_against_who_poses(table: SessionTable) -> None:
    says(table, hello("ue-2"), UE_2)
    for _ in range(65):
        outcome = says(table, hello("ue-1"), UE_2, session=11)
    assert closed(outcome) == [("ue-2", "broke the protocol 65 times in 10 s")]


@pytest.mark.clause("10.4")
def test_message_of_another_key_on_the_route_of_a_session_closes_it_and_is_not_heard(table: SessionTable) -> None:
    says(table, hello("ue-1"), UE_1)
    outcome = says(table, peak(1), UE_2, sequence=1)
    assert closed(outcome) == [("ue-1", "another key speaks for it")]
    assert refusals(outcome) == [("4.12", False)]
    assert not any(isinstance(event, Heard) for event in outcome.events)


@pytest.mark.clause("10.4")
def test_session_number_of_another_is_worth_nothing_with_a_key_of_ones_own(table: SessionTable) -> None:
    says(table, hello("ue-1"), UE_1)
    outcome = says(table, peak(1), UE_2, sequence=1, route=OTHER_ROUTE)
    assert (refusals(outcome), closed(outcome)) == ([("4.12", False)], [])
    assert table.is_open("ue-1")


@pytest.mark.clause("10.4")
@pytest.mark.parametrize("message", [peak(1), msg.Heartbeat(progress=0)])
def test_message_of_a_revoked_key_closes_its_session_and_is_not_heard(table: SessionTable, message: Message) -> None:
    says(table, hello("ue-1"), UE_1)
    outcome = says(table, message, None, sequence=int(message.SEQUENCED))
    assert closed(outcome) == [("ue-1", "its key is enrolled no more")]
    assert not any(isinstance(event, Heard) for event in outcome.events)


@pytest.mark.clause("10.4")
def test_hello_of_a_revoked_key_is_refused_so_that_it_may_come_back(table: SessionTable) -> None:
    assert refusals(says(table, hello("ue-1"), None)) == [("10.4", False)]
    assert not table.is_open("ue-1")


@pytest.mark.clause("10.4")
def test_garbage_of_a_revoked_key_closes_its_session(table: SessionTable) -> None:
    says(table, hello("ue-1"), UE_1)
    assert closed(table.malformed(ROUTE, PeerFaultError("3.1", "garbage"), NOW_S, None)) == [
        ("ue-1", "its key is enrolled no more")
    ]


@pytest.mark.clause("10.4")
def test_sessions_of_keys_that_left_the_list_are_closed_and_no_others(table: SessionTable) -> None:
    says(table, hello("ue-1"), UE_1)
    says(table, hello("ue-2"), UE_2, route=OTHER_ROUTE)
    assert closed(table.retain({UE_2}.__contains__)) == [("ue-1", "its key is enrolled no more")]
    assert table.is_open("ue-2")


@pytest.mark.clause("4.5")
def test_newest_session_of_a_key_wins(table: SessionTable) -> None:
    says(table, hello("ue-1"), UE_1)
    outcome = says(table, hello("ue-1"), UE_1, session=11, route=OTHER_ROUTE)
    assert closed(outcome) == [("ue-1", "a newer session of the same peer")]
    assert table.is_open("ue-1")


@pytest.mark.clause("10.1")
def test_link_without_keys_asks_for_none() -> None:
    table = SessionTable(Admission(facts=FACTS, names=NAMES))
    assert [type(event) for event in says(table, hello("ue-1"), None).events] == [Opened]
