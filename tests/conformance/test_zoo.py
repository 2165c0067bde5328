"""The kit bites: every broken peer of the zoo fails the cases that are there for it, and passes others."""

import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from importlib import import_module
from pathlib import Path

import pytest

from protocol.conformance.case import Case, Outcome, Role, all_cases
from protocol.conformance.rig import Target
from protocol.conformance.runner import Result, run_cases
from tests.conformance.zoo.__main__ import ROOMS
from tests.conformance.zoo.registry import BROKEN, BrokenPeer

ROOT = Path(__file__).parents[2]
AT_ONCE = 3  # they mostly wait
WORDS = {
    Role.UE: "{testbed} --name {name} --quiet",
    Role.RADIO: "{testbed} --quiet",
    Role.CONTROLLER: "{testbed} --run-dir {folder}/run --quiet",
}
#: about clauses that hardly any broken peer breaks
HARMLESS = {
    Role.UE: ("ue/framing/vector-heartbeat", "ue/schema/vector-empty-text", "ue/schema/vector-version-2"),
    Role.RADIO: ("radio/framing/vector-heartbeat", "radio/schema/vector-empty-text", "radio/schema/front-end"),
    Role.CONTROLLER: ("controller/framing/vector-heartbeat", "controller/schema/vector-empty-text"),
}

for _room in ("sessions", "delivery", "framing", *ROOMS.values()):
    import_module(f"tests.conformance.zoo.{_room}")

CASES: dict[str, Case] = {case.id: case for case in all_cases()}


def results(peer: BrokenPeer) -> dict[str, Result]:
    command = f"{sys.executable} -m tests.conformance.zoo {peer.name} {WORDS[peer.role]}"
    cases = [CASES[name] for name in (*peer.caught_by, *HARMLESS[peer.role])]
    target = Target(role=peer.role, command=command)
    return {result.case.id: result for result in run_cases(target, cases, {}, lambda case: None)}


@pytest.fixture(scope="module")
def runs(request: pytest.FixtureRequest) -> Iterator[dict[str, Future[dict[str, Result]]]]:
    """Start to run the cases of all broken peers that are asked for, a few peers at once."""
    asked = {item.callspec.params["name"] for item in request.session.items if hasattr(item, "callspec")}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)  # where the zoo can be imported
        pool = ThreadPoolExecutor(AT_ONCE)
        yield {name: pool.submit(results, BROKEN[name]) for name in BROKEN if name in asked}
        pool.shutdown(cancel_futures=True)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", BROKEN)
def test_broken_peer_is_caught_and_blamed_on_its_clause(name: str, runs: dict[str, Future[dict[str, Result]]]) -> None:
    peer, found = BROKEN[name], runs[name].result()
    blamed = {case: (found[case].outcome, found[case].clause, found[case].detail) for case in peer.caught_by}
    expected = {case: (Outcome.FAIL, clause) for case, clause in peer.caught_by.items()}
    assert {case: told[:2] for case, told in blamed.items()} == expected, (peer.what, blamed)
    others = {case: found[case].detail for case in HARMLESS[peer.role] if found[case].outcome is not Outcome.PASS}
    assert others == {}, peer.what


def test_every_broken_peer_is_to_be_caught_by_cases_that_there_are() -> None:
    assert len(BROKEN) >= 30
    assert {role for peer in BROKEN.values() for role in [peer.role]} == set(Role)
    for peer in BROKEN.values():
        assert peer.caught_by, f"nobody catches {peer.name}"
        assert {CASES[case].role for case in peer.caught_by} == {peer.role}
