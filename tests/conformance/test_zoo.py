"""The kit bites: every broken peer of the zoo fails the cases that are there for it, and passes others."""

from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from protocol.conformance.case import Role, all_cases
from tests.conformance.zoo.registry import BROKEN
from tests.conformance.zoo.trial import HARMLESS, Ending, endings

ROOT = Path(__file__).parents[2]
AT_ONCE = 4  # they mostly wait
AGAIN = 3


class Trials:
    """All broken peers that are asked for before the kit, a few at once, and again if this machine was too slow."""

    def __init__(self, pool: ProcessPoolExecutor, names: list[str]) -> None:
        self._pool = pool
        self._first: dict[str, Future[dict[str, Ending]]] = {name: pool.submit(endings, name) for name in names}

    def of(self, name: str) -> dict[str, Ending]:
        found = self._first[name].result()
        for _ in range(AGAIN):
            if all(outcome != "inconclusive" for outcome, *_ in found.values()):
                return found
            found = self._pool.submit(endings, name).result()
        pytest.skip("this machine is too slow to tell")


@pytest.fixture(scope="module")
def trials(request: pytest.FixtureRequest) -> Iterator[Trials]:
    items = (item for item in request.session.items if item.path == request.path and hasattr(item, "callspec"))
    asked = [item.callspec.params["name"] for item in items]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)  # where the zoo can be imported
        with ProcessPoolExecutor(AT_ONCE, mp_context=get_context("spawn")) as pool:
            yield Trials(pool, asked)
            pool.shutdown(cancel_futures=True)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", BROKEN)
def test_broken_peer_is_caught_and_blamed_on_its_clause(name: str, trials: Trials) -> None:
    peer, found = BROKEN[name], trials.of(name)
    blamed = {case: found[case][:2] for case in peer.caught_by}
    assert blamed == {case: ("fail", clause) for case, clause in peer.caught_by.items()}, (peer.what, found)
    others = {case: found[case] for case in HARMLESS[peer.role] if found[case][0] != "pass"}
    assert bool(others) is peer.everywhere, (peer.what, others)


def test_every_broken_peer_is_to_be_caught_by_cases_that_there_are() -> None:
    known = {case.id: case.role for case in all_cases()}
    assert {peer.role for peer in BROKEN.values()} == set(Role)
    for peer in BROKEN.values():
        assert peer.caught_by, f"nobody is there for {peer.name}"
        assert {known[case] for case in peer.caught_by} == {peer.role}
