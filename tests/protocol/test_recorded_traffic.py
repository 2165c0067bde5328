"""Traffic on a link with keys that somebody recorded: it tells nothing, and said again it delivers nothing."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from protocol.curve import KeyedDealer
from protocol.transport import Dealer, Router
from tests.protocol.doors import ANYWHERE, Door, door
from tests.protocol.test_transport import LIMIT_BYTES, WITHIN_S, Inbox, until, until_sent


class Wiretap:
    """A relay, in threads of its own, that records what one client says and can say it again."""

    def __init__(self, port: int) -> None:
        self.recorded: list[bytes] = []
        self.hung_up = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._server = socket.create_connection(("127.0.0.1", port))
        self._client: socket.socket | None = None
        self._threads = [threading.Thread(target=self._serve)]
        self._threads[0].start()
        self.endpoint = f"tcp://127.0.0.1:{self._listener.getsockname()[1]}"

    def _serve(self) -> None:
        self._client, _ = self._listener.accept()
        self._listener.close()  # the first connection alone is of interest
        self._threads.append(threading.Thread(target=self._relay_back, args=(self._client,)))
        self._threads[-1].start()
        for data in received(self._client):
            self.recorded.append(data)
            self._server.sendall(data)

    def _relay_back(self, client: socket.socket) -> None:
        for data in received(self._server):
            client.sendall(data)
        self.hung_up.set()

    def say_last_again(self) -> None:
        self._server.sendall(self.recorded[-1])

    def close(self) -> None:
        for one in (self._server, self._client):
            with contextlib.suppress(OSError):
                assert one is not None
                one.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(WITHIN_S)
        for one in (self._server, self._client):
            assert one is not None
            one.close()


def received(one: socket.socket) -> Iterator[bytes]:
    """Yield what comes until the other end hangs up."""
    with contextlib.suppress(OSError):
        while data := one.recv(65536):
            yield data


def say_all_again(recorded: list[bytes], port: int) -> None:
    """Say everything on a new connection, and wait until the server hangs up."""
    with socket.create_connection(("127.0.0.1", port), WITHIN_S) as one:
        one.sendall(b"".join(recorded))
        assert sum(map(len, received(one))) < 1000, "a greeting and a welcome, no more"


@asynccontextmanager
async def tapped(here: Door) -> AsyncIterator[tuple[Wiretap, KeyedDealer]]:
    """Yield a relay and a dealer whose one message has come through it."""
    tap = Wiretap(port_of(here.router))
    try:
        dealer = here.knock(here.ring.client("ue-1"), tap.endpoint)
        await until_sent(dealer, [b"measured: 1"])
        await until(lambda: len(here.came) == 1)
        yield tap, dealer
    finally:
        tap.close()


def port_of(router: Router) -> int:
    return int(router.endpoint.rpartition(":")[2])


@pytest.mark.clause("10.2")
@pytest.mark.asyncio
async def test_recorded_connection_said_again_delivers_nothing(tmp_path: Path) -> None:
    async with door(tmp_path) as here, tapped(here) as (tap, _):
        assert b"measured" not in b"".join(tap.recorded), "nothing can be read on the way"
        await asyncio.to_thread(say_all_again, tap.recorded, port_of(here.router))
        await until_sent(here.knock(here.ring.client("ue-2")), [b"after"])
        await until(lambda: len(here.came) == 2)
        assert here.names() == ["ue-1", "ue-2"]


@pytest.mark.clause("10.2")
@pytest.mark.asyncio
async def test_recorded_message_put_into_the_connection_again_ends_it_and_delivers_nothing(tmp_path: Path) -> None:
    async with door(tmp_path) as here, tapped(here) as (tap, _):
        tap.say_last_again()
        await until(tap.hung_up.is_set)
        assert here.names() == ["ue-1"]


@pytest.mark.asyncio
async def test_relay_of_these_tests_reads_and_repeats_a_message_without_keys() -> None:
    inbox = Inbox()
    router = Router(ANYWHERE, inbox, lambda _: None, max_frame_bytes=LIMIT_BYTES)
    tap = Wiretap(port_of(router))
    dealer = Dealer(tap.endpoint, Inbox(), max_frame_bytes=LIMIT_BYTES)
    try:
        async with asyncio.timeout(WITHIN_S):
            await until_sent(dealer, [b"measured: 1"])
            await inbox.holds(1)
            tap.say_last_again()
            await inbox.holds(2)
    finally:
        dealer.close(0.0)
        router.close(0.0)
        tap.close()
    assert b"measured" in b"".join(tap.recorded)
