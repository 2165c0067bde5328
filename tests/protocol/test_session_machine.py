"""Sessions hold their promises under every sequence of faults that a machine can think of; the model is in chaos.py."""

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from tests.protocol.chaos import PEERS, Chaos

NAME = st.sampled_from(sorted(PEERS))
SOME = st.sampled_from([1, 2, 3, 70])  # 70 is more than a window
WHICH = st.integers(0, 255)


class Faults(RuleBasedStateMachine):
    """Faults of processes, of connections and of what flies on them, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.chaos = Chaos()
        self.chaos.tick(0.05)

    @rule(seconds=st.sampled_from([0.05, 0.1, 0.3, 0.6, 1.1]))
    def time_passes(self, seconds: float) -> None:
        self.chaos.tick(seconds)

    @rule(seconds=st.sampled_from([0.4, 1.5, 30.0]))
    def controller_hangs(self, seconds: float) -> None:
        self.chaos.tick(seconds, hub_hung=True)

    @rule(steps=st.integers(1, 8))
    def all_is_well_for_a_while(self, steps: int) -> None:
        for _ in range(steps):
            self.chaos.deliver_all()
            self.chaos.tick(0.1)

    @rule(backwards=st.booleans())
    def all_arrives(self, backwards: bool) -> None:
        self.chaos.deliver_all(backwards=backwards)

    @precondition(lambda self: self.chaos.flying)
    @rule(which=WHICH, doubled=st.booleans())
    def one_arrives(self, which: int, doubled: bool) -> None:
        self.chaos.deliver(which % len(self.chaos.flying), keep=doubled)

    @precondition(lambda self: self.chaos.flying)
    @rule(which=WHICH)
    def one_is_lost(self, which: int) -> None:
        del self.chaos.flying[which % len(self.chaos.flying)]

    @rule()
    def all_is_lost(self) -> None:
        self.chaos.flying.clear()

    @precondition(lambda self: self.chaos.past)
    @rule(which=WHICH)
    def one_comes_again(self, which: int) -> None:
        self.chaos.replay(which % len(self.chaos.past))

    @precondition(lambda self: self.chaos.past)
    @rule()
    def all_comes_again(self) -> None:
        for index in range(len(self.chaos.past)):
            self.chaos.replay(index)

    @rule(name=NAME, count=SOME)
    def peer_says_work(self, name: str, count: int) -> None:
        for _ in range(count):
            self.chaos.peer_says(name)

    @rule(name=NAME, count=SOME)
    def controller_says_work(self, name: str, count: int) -> None:
        for _ in range(count):
            self.chaos.hub_says(name)

    @rule(name=NAME, by_peer=st.booleans())
    def one_side_says_what_it_may_not(self, name: str, by_peer: bool) -> None:
        (self.chaos.peer_says if by_peer else self.chaos.hub_says)(name, allowed=False)

    @rule(name=NAME)
    def controller_refuses_an_answer(self, name: str) -> None:
        self.chaos.hub_refuses(name)

    @rule(name=NAME, steps=st.integers(1, 15))
    def controller_says_nothing_but_refusals(self, name: str, steps: int) -> None:
        for _ in range(steps):
            self.chaos.hub_refuses(name)
            self.chaos.deliver_all()
            self.chaos.tick(0.2)

    @rule(name=NAME, count=SOME)
    def peer_runs_ahead_of_the_window(self, name: str, count: int) -> None:
        for step in range(1, 1 + count):
            self.chaos.peer_runs_ahead(name, step)

    @rule(name=NAME, times=st.sampled_from([1, 70]))
    def peer_says_nonsense(self, name: str, times: int) -> None:
        for _ in range(times):
            self.chaos.malformed(name)

    @rule(name=NAME, linger=st.booleans())
    def process_is_killed(self, name: str, linger: bool) -> None:
        self.chaos.crash(name, linger=linger)

    @rule(name=NAME, step=st.sampled_from([-3, 1, 5]), linger=st.booleans())
    def process_begins_again(self, name: str, step: int, linger: bool) -> None:
        self.chaos.restart(name, step, linger=linger)

    @rule(name=NAME, words=st.integers(0, 2), backwards=st.booleans())
    def process_begins_again_on_its_connection(self, name: str, words: int, backwards: bool) -> None:
        for _ in range(words):
            self.chaos.peer_says(name)
            self.chaos.hub_says(name)
        self.chaos.restart_here(name)
        self.chaos.tick(0.05)
        self.chaos.deliver_all(backwards=backwards)

    @rule(name=NAME)
    def connection_breaks_and_is_made_again(self, name: str) -> None:
        self.chaos.move(name)

    @rule(name=NAME, hung=st.booleans())
    def process_hangs_or_goes_on(self, name: str, hung: bool) -> None:
        self.chaos.hang(name, hung=hung)

    @rule(name=NAME)
    def peer_says_bye(self, name: str) -> None:
        self.chaos.bye(name)

    @rule(name=NAME, other=NAME)
    def peer_greets_in_the_name_of_another(self, name: str, other: str) -> None:
        self.chaos.impersonate(name, other)

    @invariant()
    def promises_hold(self) -> None:
        self.chaos.check()

    def teardown(self) -> None:
        self.chaos.settle()


def run(examples: int, steps: int) -> None:
    profile = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,  # a shared machine may pause a step for longer
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(Faults, settings=profile)


@pytest.mark.clause("4.9")
def test_sessions_hold_their_promises_under_faults() -> None:
    run(examples=80, steps=40)


@pytest.mark.long
@pytest.mark.timeout(900)  # a minute of work; shared machines take several times that
@pytest.mark.clause("4.9")
def test_sessions_hold_their_promises_under_many_faults() -> None:
    run(examples=1000, steps=60)
