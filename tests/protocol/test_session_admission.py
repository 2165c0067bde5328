"""Who is let into a session, and what is refused at hello."""

import msgspec
import pytest

from protocol import hub
from protocol import messages as msg
from protocol.session import (
    State,
)
from tests.protocol.examples import OTHER_FACTS, RADIO, UE, hello
from tests.protocol.world import OTHER_ROUTE, World


@pytest.fixture
def world() -> World:
    return World()


@pytest.mark.clause("4.2")
def test_peer_of_other_versions_is_refused(world: World) -> None:
    world.join(hello(versions=(2, 3)))
    world.step()
    assert [refusal.clause for refusal in world.refusals()] == ["4.2"]


@pytest.mark.clause("4.2")
def test_peer_that_speaks_a_newer_version_too_is_welcome(world: World) -> None:
    assert world.opened(hello(versions=(2, 1))).state is State.OPEN


@pytest.mark.clause("4.3")
@pytest.mark.parametrize("greeting", [hello("ue-9"), hello("radio", UE), hello("ue-1", RADIO)])
def test_name_that_the_testbed_does_not_have_in_that_role_is_refused(world: World, greeting: msg.Hello) -> None:
    world.join(greeting)
    world.step()
    assert [refusal.clause for refusal in world.refusals()] == ["4.3"]


@pytest.mark.clause("4.4")
def test_refusal_of_other_facts_names_the_one_that_differs(world: World) -> None:
    world.join(hello(facts=OTHER_FACTS))
    world.step()
    assert "downlink.grid.count: 16 here, 32 there" in world.refusals()[0].text


@pytest.mark.clause("4.4")
def test_digest_of_other_facts_than_those_sent_is_refused(world: World) -> None:
    world.join(msgspec.structs.replace(hello(), digest="0" * 64))
    world.step()
    assert [refusal.clause for refusal in world.refusals()] == ["4.4"]


@pytest.mark.clause("9.1")
@pytest.mark.parametrize("greeting", [hello(versions=(2,)), hello("ue-9"), hello(facts=OTHER_FACTS)])
def test_refusal_of_what_a_peer_is_ends_it_for_good(world: World, greeting: msg.Hello) -> None:
    world.join(greeting)
    world.step()
    assert [event.final for event in world.closed()] == [True]


@pytest.mark.clause("9.1")
def test_peer_refused_for_good_falls_silent(world: World) -> None:
    world.join(hello("ue-9"))
    world.step(10.0)
    assert len(world.said_by_peers) == 1


@pytest.mark.clause("2.5")
def test_session_beyond_the_limit_is_refused(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "MAX_SESSIONS", 1)
    world.opened()
    world.join(hello("ue-2"), route=OTHER_ROUTE)
    world.step()
    assert [refusal.clause for refusal in world.refusals()] == ["2.5"]
