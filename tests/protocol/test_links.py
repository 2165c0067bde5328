"""Both ends of the control link over real sockets, with a controller that is slow to listen; every wait is for a condition."""

import asyncio
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import zmq

from protocol.codec import Envelope, decode, encode
from protocol.hub import Admission
from protocol.links import HubLink, PeerLink
from protocol.messages import Bye, Message, Refusal, Role, Welcome
from protocol.session import Event, Faulted, Opened
from protocol.transport import Dealer, Route, Router
from tests.protocol.examples import FACTS, hello

N_UE = 64
WITHIN_S = 20.0  # a loaded machine takes two at most; longer means that it never happens
NAMES = [f"ue-{number}" for number in range(N_UE)]
ADMISSION = Admission(facts=FACTS, names={Role.RADIO: frozenset({"radio"}), Role.UE: frozenset(NAMES)})


class StalledController(threading.Thread):
    """A controller in a thread of its own that binds, and then listens to nobody until it is let go."""

    def __init__(self, endpoint: str) -> None:
        super().__init__(name="controller")
        self.bound, self.let_go = threading.Event(), threading.Event()
        self.events: list[Event] = []
        self.counters: Counter[str] = Counter()
        self._endpoint = endpoint

    def run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        hub = HubLink(self._endpoint, ADMISSION, self.events.append)
        monitor = hub._router._socket.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        self.bound.set()
        self.let_go.wait(WITHIN_S)
        for _ in range(N_UE):  # the connections that were given up are gone, which no peer can tell
            assert monitor.poll(int(1000 * WITHIN_S))
            monitor.recv_multipart()
        hub._router._socket.disable_monitor()
        monitor.close()
        async with asyncio.timeout(WITHIN_S):
            await until(lambda: hub.table.counters["left_behind"] >= 2 * N_UE and all(map(hub.table.is_open, NAMES)))
        self.counters = hub.table.counters.copy()
        hub.close("the test is over")


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - what is waited for raises no event
        await asyncio.sleep(0.01)


async def says_hello(dealer: Dealer, name: str, session: int) -> None:
    """Send a hello as soon as there is a connection to send on."""
    frames = encode(Envelope(session=session, message=hello(name)))
    while True:
        dropped = dealer.dropped
        dealer.send(frames)
        if dealer.dropped == dropped:
            return
        await asyncio.sleep(0.01)


async def gives_up_once(endpoint: str, name: str) -> Dealer:
    """Say hello twice without a welcome, then again as a newer session on a new connection, which is returned (SPEC 4.1)."""
    first = Dealer(endpoint, lambda *_: None, max_frame_bytes=8192)
    await says_hello(first, name, 10)
    await says_hello(first, name, 10)
    first.close()
    second = Dealer(endpoint, lambda *_: None, max_frame_bytes=8192)
    await says_hello(second, name, 11)
    return second


@pytest.mark.clause("4.12")
@pytest.mark.asyncio
async def test_peers_that_begin_again_while_the_controller_is_stalled_join_once_and_break_no_rule(
    tmp_path: Path,
) -> None:
    endpoint = f"ipc://{tmp_path}/control"
    controller = StalledController(endpoint)
    controller.start()
    await asyncio.to_thread(controller.bound.wait, WITHIN_S)
    async with asyncio.timeout(WITHIN_S):
        dealers = await asyncio.gather(*(gives_up_once(endpoint, name) for name in NAMES))
    controller.let_go.set()
    await asyncio.to_thread(controller.join, 2 * WITHIN_S)
    for dealer in dealers:
        dealer.close(0.0)
    assert [event for event in controller.events if isinstance(event, Faulted)] == []
    assert sorted(event.name for event in controller.events if isinstance(event, Opened)) == sorted(NAMES)
    assert controller.counters["left_behind"] == 2 * N_UE


@pytest.mark.asyncio
async def test_counts_of_a_peer_go_on_over_its_sessions(tmp_path: Path) -> None:
    endpoint = f"ipc://{tmp_path}/control"
    link = PeerLink(endpoint, hello("ue-1"), lambda _: None, lambda: None)
    peer = asyncio.create_task(link.run())
    counted: list[tuple[bool, int, int]] = []
    async with asyncio.timeout(WITHIN_S):
        for resent in (3, 4):
            hub = HubLink(endpoint, ADMISSION, lambda _: None)
            await until(lambda: link.is_open)
            assert hub.table.open_by_role() == {Role.UE: 1}
            assert link._session is not None
            link._session._delivery.resent = resent  # as if so many had found no acknowledgement
            hub.close("the run is over")
            await until(lambda: not link.is_open)
            counts = link.counters()
            counted.append((link.is_open, counts["sessions"], counts["resent"]))
    peer.cancel()
    await asyncio.gather(peer, return_exceptions=True)
    assert counted == [(False, 1, 3), (False, 2, 7)]


@pytest.mark.asyncio
@pytest.mark.clause("4.1")
async def test_peer_that_had_to_go_above_a_number_stays_above_it_in_its_next_session(tmp_path: Path) -> None:
    endpoint, greetings = f"ipc://{tmp_path}/control", asyncio.Queue[tuple[Route, int]]()
    router = Router(
        endpoint,
        lambda route, frames: greetings.put_nowait((route, decode(frames).session)),
        lambda route: None,
        max_frame_bytes=8192,
    )
    peer = asyncio.create_task(PeerLink(endpoint, hello("ue-1"), lambda _: None, lambda: None).run())

    async def greeting_above(number: int) -> tuple[Route, int]:
        while (greeting := await greetings.get())[1] <= number:
            pass
        return greeting

    def say(route: Route, session: int, message: Message) -> None:
        router.send(route, encode(Envelope(session=session, message=message)))

    async with asyncio.timeout(WITHIN_S):
        route, first = await greeting_above(0)
        ahead = first + 10**12  # as if its clock had been ahead by twelve days
        say(route, ahead, Refusal(clause="4.5", text="older"))
        route, second = await greeting_above(ahead)
        say(route, second, Welcome(version=1, heartbeat_s=1.0, liveness_s=3.0))
        say(route, second, Bye(reason="again"))
        while (greeting := await greetings.get())[1] == second:
            pass
    peer.cancel()
    await asyncio.gather(peer, return_exceptions=True)
    router.close()
    assert greeting[1] > second
