"""The kinds of fault: what each does to a testbed, whom it may hit, and how it ends.

Whatever is drawn comes from the generator that is handed in, so that a seed repeats what was done, if not when.
"""

import random
import resource
import signal
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from tests.faults.beds import CONTROLLER, PEERS, PLACES, RADIO, Bed, Wiring

USERS = tuple(PLACES)
LATEST_S = 30 * 86_400.0
#: How much more a controller may write before its disk is full: somewhere in its next records.
ROOM_BYTES = 4096

Violations = list[str]


def nothing() -> Violations:
    """Leave all as it is."""
    return []


@dataclass(frozen=True, slots=True, kw_only=True)
class Wound:
    """A fault that was inflicted: how long it lasts, what ends it, and what is to be done once all have recovered."""

    lasts_s: float = 0.0
    heal: Callable[[], object] = nothing
    afterwards: Callable[[], Violations] = nothing


Strike = Callable[[Bed, str, random.Random], Wound]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of fault; `share` is its part of the campaign."""

    name: str
    share: int
    wiring: Wiring
    victims: tuple[str, ...]
    strike: Strike
    alters: bool = False  # a wrong bit that no key guards may make a wrong fix of the user whose link it is


def hit_users(victim: str) -> frozenset[str]:
    """Return the users who feel what happens to a part."""
    return frozenset({victim}) if victim in PLACES else frozenset(PLACES)


# --- processes -------------------------------------------------------------------------------------------------------


def killed(bed: Bed, victim: str, _rng: random.Random) -> Wound:
    """Kill a peer, and start it again at once, as a supervisor does."""
    bed.kill(victim)
    bed.start_part(victim)
    return Wound()


def killed_controller(bed: Bed, victim: str, _rng: random.Random) -> Wound:
    """Kill the controller; the next one goes on in a new run directory."""
    bed.kill(victim)
    broken = bed.next_controller()
    return Wound(afterwards=lambda: broken)


def stopped(bed: Bed, victim: str, rng: random.Random) -> Wound:
    """Let a process hang for a while."""
    part = bed.parts[victim]
    part.signal(signal.SIGSTOP)
    return Wound(lasts_s=rng.uniform(0.1, 1.5), heal=partial(part.signal, signal.SIGCONT))


def full_disk(bed: Bed, victim: str, rng: random.Random) -> Wound:
    """Refuse the controller's files any growth; its successor has room again."""
    controller, directory = bed.parts[victim], bed.ledger.directory
    largest = max(path.stat().st_size for path in (directory / "journal.jsonl", *directory.glob("iq/*")))
    _, hard = resource.prlimit(controller.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(controller.pid, resource.RLIMIT_FSIZE, (largest + rng.randrange(ROOM_BYTES), hard))

    def succeed() -> Violations:
        controller.said("the run goes on, but its further fixes are not recorded")
        controller.signal(signal.SIGTERM)
        return bed.next_controller()

    return Wound(afterwards=succeed)


# --- links -----------------------------------------------------------------------------------------------------------


def _some_links(bed: Bed, victim: str, rng: random.Random) -> list[str]:
    links = [link for peer, link in bed.proxies if peer == victim]
    return rng.choice([[link] for link in links] + [links])


def reset(bed: Bed, victim: str, rng: random.Random) -> Wound:
    """Reset a peer's connections."""
    for link in _some_links(bed, victim, rng):
        bed.proxies[victim, link].reset()
    return Wound()


def black_hole(bed: Bed, victim: str, rng: random.Random) -> Wound:
    """Let nothing pass on a peer's links for a while, which stay connected."""
    proxies = [bed.proxies[victim, link] for link in _some_links(bed, victim, rng)]
    for proxy in proxies:
        proxy.hold()

    def let_pass() -> None:
        for proxy in proxies:
            proxy.let_pass()

    return Wound(lasts_s=rng.uniform(0.1, 2.0), heal=let_pass)


def latency(bed: Bed, victim: str, rng: random.Random) -> Wound:
    """Make a peer's links slow for a while."""
    proxies = [bed.proxies[victim, link] for link in _some_links(bed, victim, rng)]
    late_s = rng.uniform(0.02, 0.2)

    def set_latency(seconds: float) -> None:
        for proxy in proxies:
            proxy.latency_s = seconds

    set_latency(late_s)
    return Wound(lasts_s=rng.uniform(0.5, 1.5), heal=partial(set_latency, 0.0))


def bit_flip(bed: Bed, victim: str, rng: random.Random) -> Wound:
    """Flip one bit that passes on a user's links, now and then of what is said first on a new connection."""
    for link in _some_links(bed, victim, rng):
        if rng.random() < 0.25:
            bed.proxies[victim, link].reset()
        bed.proxies[victim, link].flip()
    return Wound(lasts_s=0.2)  # by then it has passed: on both links something is said more often


def partition(bed: Bed, victim: str, rng: random.Random) -> Wound:
    """Pull the cable of a user's host for a while."""
    assert bed.cables is not None
    bed.cables.pull(victim)
    return Wound(lasts_s=rng.uniform(0.1, 2.0), heal=partial(bed.cables.plug, victim))


# --- clocks ----------------------------------------------------------------------------------------------------------


def clock_jump(bed: Bed, victim: str, rng: random.Random) -> Wound:
    """Move a part's wall clock far back or forth; a peer begins a new session, whose number comes from that clock."""
    bed.set_clock(victim, rng.uniform(-LATEST_S, LATEST_S))
    if victim == CONTROLLER:
        return Wound()
    if rng.random() < 0.5:
        bed.proxies[victim, "control"].reset()
        return Wound()
    return killed(bed, victim, rng)


KINDS = (
    Kind(name="kill -9 of a UE agent", share=100, wiring=Wiring.DIRECT, victims=USERS, strike=killed),
    Kind(name="kill -9 of the emulator", share=50, wiring=Wiring.DIRECT, victims=(RADIO,), strike=killed),
    Kind(
        name="kill -9 of the controller",
        share=35,
        wiring=Wiring.DIRECT,
        victims=(CONTROLLER,),
        strike=killed_controller,
    ),
    Kind(name="UE agent hangs", share=110, wiring=Wiring.DIRECT, victims=USERS, strike=stopped),
    Kind(name="emulator hangs", share=60, wiring=Wiring.DIRECT, victims=(RADIO,), strike=stopped),
    Kind(name="controller hangs", share=60, wiring=Wiring.DIRECT, victims=(CONTROLLER,), strike=stopped),
    Kind(name="disk full", share=25, wiring=Wiring.DIRECT, victims=(CONTROLLER,), strike=full_disk),
    Kind(name="connection reset", share=110, wiring=Wiring.PROXIED, victims=PEERS, strike=reset),
    Kind(name="black hole", share=100, wiring=Wiring.PROXIED, victims=PEERS, strike=black_hole),
    Kind(name="latency", share=90, wiring=Wiring.PROXIED, victims=PEERS, strike=latency),
    Kind(name="bit flip", share=110, wiring=Wiring.PROXIED, victims=USERS, strike=bit_flip, alters=True),
    Kind(name="clock jump", share=50, wiring=Wiring.PROXIED, victims=(CONTROLLER, *PEERS), strike=clock_jump),
    Kind(name="partition", share=100, wiring=Wiring.CABLED, victims=USERS, strike=partition),
)
