"""Sockets: frames arrive, limits hold, and no peer can stop the others; every wait is for a condition."""

import asyncio
import logging
import select
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from protocol.codec import MAX_FRAMES, Frame
from protocol.transport import OUTBOX_MESSAGES, Dealer, Route, Router, libzmq_version

LIMIT_BYTES = 65536
WITHIN_S = 10.0  # a loaded machine takes a second at most; longer means that it never happens
MAX_MESSAGES = 4000  # far more than both water marks, both kernel buffers and the outbox hold at 64 KiB each


class Inbox:
    """What arrived at a socket, and a way to wait for it."""

    def __init__(self) -> None:
        self.arrived: list[tuple[Route, list[bytes]]] = []
        self._changed = asyncio.Event()

    def __call__(self, route: Route, frames: list[bytes]) -> None:
        self.arrived.append((route, frames))
        self._changed.set()

    async def holds(self, count: int) -> None:
        while len(self.arrived) < count:
            self._changed.clear()
            await self._changed.wait()

    @property
    def frames(self) -> list[list[bytes]]:
        return [frames for _, frames in self.arrived]


class Link:
    """A router, and the dealers that connect to it."""

    def __init__(self, endpoint: str) -> None:
        self.inbox = Inbox()
        self.gone: list[Route] = []
        self.router = Router(endpoint, self.inbox, self.gone.append, max_frame_bytes=LIMIT_BYTES)
        self.dealers: list[Dealer] = []

    def connect(self, inbox: Inbox | None = None) -> Dealer:
        dealer = Dealer(self.router.endpoint, inbox or Inbox(), max_frame_bytes=LIMIT_BYTES)
        self.dealers.append(dealer)
        return dealer

    async def introduce(self, name: bytes, inbox: Inbox | None = None) -> tuple[Dealer, Route]:
        """Return a connected dealer and the route to it."""
        dealer = self.connect(inbox)
        await until_sent(dealer, [name])
        while True:
            for route, frames in self.inbox.arrived:
                if frames == [name]:
                    return dealer, route
            await self.inbox.holds(len(self.inbox.arrived) + 1)

    def close(self) -> None:
        for dealer in self.dealers:
            dealer.close(0.0)
        self.router.close(0.0)


async def until_sent(dealer: Dealer, frames: list[Frame]) -> None:
    """Send as soon as there is a connection to send on, whose coming raises no event."""
    while True:
        dropped = dealer.dropped
        dealer.send(frames)
        if dealer.dropped == dropped:
            return
        await asyncio.sleep(0.01)


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - a connection comes and goes without an event
        await asyncio.sleep(0.01)


@asynccontextmanager
async def linked(endpoint: str) -> AsyncIterator[Link]:
    link = Link(endpoint)
    try:
        async with asyncio.timeout(WITHIN_S):
            yield link
    finally:
        link.close()


@pytest.fixture(params=["ipc", "tcp"])
def endpoint(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"ipc://{tmp_path}/link" if request.param == "ipc" else "tcp://127.0.0.1:*"


@pytest.fixture
def ipc(tmp_path: Path) -> str:
    return f"ipc://{tmp_path}/link"


# --- frames ----------------------------------------------------------------------------------------------------------


@pytest.mark.clause("2.1")
@pytest.mark.asyncio
async def test_frames_reach_the_router(endpoint: str) -> None:
    async with linked(endpoint) as link:
        await until_sent(link.connect(), [b"header", b"array"])
        await link.inbox.holds(1)
        assert link.inbox.frames == [[b"header", b"array"]]


@pytest.mark.clause("2.1")
@pytest.mark.asyncio
async def test_frames_reach_the_dealer_of_the_route(endpoint: str) -> None:
    async with linked(endpoint) as link:
        here, there = Inbox(), Inbox()
        _, route = await link.introduce(b"here", here)
        await link.introduce(b"there", there)
        link.router.send(route, [b"header", b"array"])
        await here.holds(1)
        assert (here.frames, there.frames) == ([[b"header", b"array"]], [])


@pytest.mark.clause("2.1")
@pytest.mark.asyncio
async def test_routes_are_made_by_the_router(ipc: str) -> None:
    async with linked(ipc) as link:
        routes = [(await link.introduce(name))[1] for name in (b"one", b"two")]
        assert len(set(routes)) == 2


@pytest.mark.asyncio
async def test_frames_of_one_dealer_arrive_in_order(endpoint: str) -> None:
    async with linked(endpoint) as link:
        dealer, _ = await link.introduce(b"start")
        for number in range(50):
            await until_sent(dealer, [b"%d" % number])
        await link.inbox.holds(51)
        assert link.inbox.frames[1:] == [[b"%d" % number] for number in range(50)]


@pytest.mark.asyncio
async def test_a_burst_longer_than_one_drain_arrives_whole(ipc: str) -> None:
    async with linked(ipc) as link:
        inbox = Inbox()
        _, route = await link.introduce(b"start", inbox)
        for number in range(OUTBOX_MESSAGES):
            link.router.send(route, [b"%d" % number])
        await inbox.holds(OUTBOX_MESSAGES)
        assert inbox.frames == [[b"%d" % number] for number in range(OUTBOX_MESSAGES)]


@pytest.mark.clause("3.1")
@pytest.mark.asyncio
async def test_a_message_of_too_many_frames_is_handed_on_as_one_too_many(ipc: str) -> None:
    async with linked(ipc) as link:
        await until_sent(link.connect(), [b"x"] * 100)
        await link.inbox.holds(1)
        assert len(link.inbox.frames[0]) == MAX_FRAMES + 1


@pytest.mark.asyncio
async def test_a_wildcard_port_becomes_the_port_that_was_bound() -> None:
    async with linked("tcp://127.0.0.1:*") as link:
        assert int(link.router.endpoint.rpartition(":")[2]) > 0


# --- limits ----------------------------------------------------------------------------------------------------------


@pytest.mark.clause("2.4")
@pytest.mark.asyncio
async def test_a_frame_at_the_limit_arrives(endpoint: str) -> None:
    async with linked(endpoint) as link:
        await until_sent(link.connect(), [bytes(LIMIT_BYTES)])
        await link.inbox.holds(1)
        assert len(link.inbox.frames[0][0]) == LIMIT_BYTES


@pytest.mark.clause("2.4")
@pytest.mark.asyncio
async def test_a_frame_over_the_limit_never_arrives_and_others_are_served(endpoint: str) -> None:
    async with linked(endpoint) as link:
        bad, _ = await link.introduce(b"bad")
        good, _ = await link.introduce(b"good")
        await until_sent(bad, [bytes(LIMIT_BYTES + 1)])
        await until_sent(good, [b"still here"])
        await until(lambda: [b"still here"] in link.inbox.frames)
        assert max(len(frame) for frames in link.inbox.frames for frame in frames) < LIMIT_BYTES


@pytest.mark.clause("2.4")
@pytest.mark.asyncio
async def test_a_frame_over_the_limit_costs_its_sender_the_connection(endpoint: str) -> None:
    async with linked(endpoint) as link:
        bad, route = await link.introduce(b"bad")
        await until_sent(bad, [bytes(LIMIT_BYTES + 1)])

        def lost() -> bool:
            link.router.send(route, [b"are you there?"])
            return route in link.gone

        await until(lost)


@pytest.mark.asyncio
async def test_a_dealer_that_lost_its_connection_comes_back(endpoint: str) -> None:
    async with linked(endpoint) as link:
        bad, _ = await link.introduce(b"bad")
        await until_sent(bad, [bytes(LIMIT_BYTES + 1)])

        def back() -> bool:
            bad.send([b"back"])
            return [b"back"] in link.inbox.frames

        await until(back)


# --- a peer that takes nothing ---------------------------------------------------------------------------------------


def stuff(link: Link, route: Route) -> None:
    """Send to a dealer that does not read until its outbox overflows."""
    for _ in range(MAX_MESSAGES):
        if link.router.dropped > 0:
            return
        link.router.send(route, [bytes(LIMIT_BYTES)])


async def deaf(link: Link) -> tuple[Dealer, Route]:
    """Return a dealer that reads nothing, and the route to it."""
    dealer, route = await link.introduce(b"deaf")
    asyncio.get_running_loop().remove_reader(dealer._descriptor)
    return dealer, route


@pytest.mark.asyncio
async def test_outbox_of_a_deaf_peer_is_bounded_and_losses_are_counted(endpoint: str) -> None:
    async with linked(endpoint) as link:
        _, route = await deaf(link)
        stuff(link, route)
        link.router.send(route, [b"lost too"])
        assert (len(link.router._outboxes[route]), link.router.dropped) == (OUTBOX_MESSAGES, 2)


@pytest.mark.asyncio
async def test_a_deaf_peer_blocks_no_other(endpoint: str) -> None:
    async with linked(endpoint) as link:
        inbox = Inbox()
        _, deaf_route = await deaf(link)
        _, route = await link.introduce(b"good", inbox)
        stuff(link, deaf_route)
        link.router.send(route, [b"hello"])
        await inbox.holds(1)
        assert inbox.frames == [[b"hello"]]


@pytest.mark.asyncio
async def test_a_peer_that_hears_again_gets_what_waited_in_order(endpoint: str) -> None:
    async with linked(endpoint) as link:
        inbox = Inbox()
        dealer, route = await link.introduce(b"deaf", inbox)
        asyncio.get_running_loop().remove_reader(dealer._descriptor)
        sent = 0
        while link.router.dropped == 0 and sent < MAX_MESSAGES:
            link.router.send(route, [sent.to_bytes(4, "big"), bytes(LIMIT_BYTES)])
            sent += 1
        dealer._start()
        await inbox.holds(sent - 1)
        assert [int.from_bytes(frames[0], "big") for frames in inbox.frames] == list(range(sent - 1))


@pytest.mark.asyncio
async def test_outbox_of_a_peer_that_is_gone_is_emptied(ipc: str) -> None:
    async with linked(ipc) as link:
        dealer, route = await deaf(link)
        stuff(link, route)
        dealer.close(0.0)
        await until(lambda: link.gone == [route])
        assert link.router._outboxes == {}


@pytest.mark.asyncio
async def test_a_dealer_without_a_router_drops_and_counts(ipc: str) -> None:
    dealer = Dealer(ipc, Inbox(), max_frame_bytes=LIMIT_BYTES)
    try:
        dealer.send([b"x"])
        assert dealer.dropped == 1
    finally:
        dealer.close(0.0)


def wait_without_the_loop(router: Router) -> None:
    """Wait until something has come, and long enough for a send to look: it does once in three million cycles."""
    assert select.select([router._descriptor], [], [], WITHIN_S)[0]
    time.sleep(0.01)


@pytest.mark.asyncio
async def test_what_waits_is_read_though_a_send_to_nobody_has_taken_the_edge(ipc: str) -> None:
    async with linked(ipc) as link:
        dealer, _ = await link.introduce(b"here")
        dealer.send([b"waits"])
        wait_without_the_loop(link.router)
        link.router.send(b"nobody", [b"x"])
        await link.inbox.holds(2)


# --- beginning and end -----------------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_a_route_that_was_never_there_is_reported(ipc: str) -> None:
    async with linked(ipc) as link:
        link.router.send(b"nobody", [b"x"])
        await until(lambda: link.gone == [b"nobody"])


@pytest.mark.asyncio
async def test_a_route_that_closed_is_reported(endpoint: str) -> None:
    async with linked(endpoint) as link:
        dealer, route = await link.introduce(b"soon gone")
        dealer.close(0.0)

        def lost() -> bool:
            link.router.send(route, [b"are you there?"])
            return route in link.gone

        await until(lost)


@pytest.mark.asyncio
async def test_an_endpoint_that_is_taken_is_named() -> None:
    async with linked("tcp://127.0.0.1:*") as link:
        with pytest.raises(OSError, match=f"cannot bind {link.router.endpoint}"):
            Link(link.router.endpoint)


@pytest.mark.asyncio
async def test_an_endpoint_in_a_missing_directory_is_named(tmp_path: Path) -> None:
    endpoint = f"ipc://{tmp_path}/missing/link"
    with pytest.raises(OSError, match=f"cannot bind {endpoint}"):
        Link(endpoint)


@pytest.mark.asyncio
async def test_what_was_sent_before_close_arrives(endpoint: str) -> None:
    async with linked(endpoint) as link:
        dealer, _ = await link.introduce(b"start")
        dealer.send([b"bye"])
        dealer.close()
        await link.inbox.holds(2)
        assert link.inbox.frames[-1] == [b"bye"]


@pytest.mark.asyncio
async def test_closing_twice_is_harmless(ipc: str) -> None:
    async with linked(ipc) as link:
        link.router.close()
        link.router.close()


@pytest.mark.asyncio
async def test_a_callback_that_fails_does_not_keep_what_is_queued_from_the_next(
    ipc: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    async with linked(ipc) as link:
        errors: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context))
        inbox = Inbox()

        def fragile(route: Route, frames: list[bytes]) -> None:
            inbox(route, frames)
            if frames == [b"0"]:
                raise RuntimeError("a bug in a callback")

        dealer, _ = await link.introduce(b"start")
        link.router._on_frames = fragile
        for number in range(20):
            dealer.send([b"%d" % number])
        await inbox.holds(20)
        assert inbox.frames == [[b"%d" % number] for number in range(20)]


@pytest.mark.clause("2.1")
def test_libzmq_is_not_older_than_its_known_faults() -> None:
    assert tuple(map(int, libzmq_version().split("."))) >= (4, 3, 3)
