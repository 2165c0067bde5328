"""TCP relays on the loopback interface that can be made late, deaf, forgetful or wrong while traffic passes (shell).

They need no privilege. All of them live in one thread with a loop of its own, so that whoever commands them may block. What
is held back is delivered when the relay hears again, as TCP does after a partition.
"""

import asyncio
import contextlib
import random
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

CHUNK_BYTES = 65536
QUEUED_CHUNKS = 64
END_WITHIN_S = 5.0
#: Closing a socket that lingers for no time sends a reset instead of an orderly end.
RESET_AT_ONCE = struct.pack("ii", 1, 0)


class ChaosProxy:
    """One relay: `port` leads to the upstream port; faults are switched from any thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop, upstream_port: int, seed: int) -> None:
        self.port = 0
        self.latency_s = 0.0
        self.flipped = 0
        self._flips_due = 0
        self._upstream_port = upstream_port
        self._rng = random.Random(seed)
        self._loop = loop
        self._passing = asyncio.Event()
        self._passing.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self._stopped = False
        self.accepted: list[asyncio.StreamWriter] = []

    async def start(self) -> None:
        """Listen at a free port of the loopback interface."""
        self._server = await asyncio.start_server(self._relay, "127.0.0.1", 0)
        self.port = int(self._server.sockets[0].getsockname()[1])

    def reset(self) -> None:
        """Reset every connection, at both ends."""
        self._loop.call_soon_threadsafe(self._abort)

    def hold(self) -> None:
        """Let nothing pass, and keep every connection: a black hole."""
        self._loop.call_soon_threadsafe(self._passing.clear)

    def let_pass(self) -> None:
        """Deliver what was held back, and all that comes."""
        self._loop.call_soon_threadsafe(self._passing.set)

    def flip(self) -> None:
        """Flip one bit of the next chunk that passes, in either direction."""
        self._flips_due += 1

    def accept_no_more(self) -> None:
        """Leave those who connect from now on waiting; to be called in the relays' own thread."""
        if self._server is not None:
            for listening in self._server.sockets:
                self._loop.remove_reader(listening.fileno())

    def stop(self) -> None:
        """Stop listening and reset what is connected; to be called in the relays' own thread."""
        self._stopped = True
        if self._server is not None:
            self._server.close()
        self._abort()

    def _abort(self) -> None:
        for writer in list(self._writers):
            with contextlib.suppress(OSError):
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_AT_ONCE)
            writer.transport.abort()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted.append(writer)
        try:
            upstream_reader, upstream_writer = await asyncio.open_connection("127.0.0.1", self._upstream_port)
        except OSError:
            await self._close(writer)
            return
        ends = {writer, upstream_writer}
        self._writers |= ends
        if self._stopped:
            self._abort()
        ways = [asyncio.ensure_future(self._way(reader, upstream_writer))]
        ways.append(asyncio.ensure_future(self._way(upstream_reader, writer)))
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._writers -= ends
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            await self._close(*ends)

    async def _close(self, *writers: asyncio.StreamWriter) -> None:
        for writer in writers:
            writer.transport.abort() if self._stopped else writer.close()
        await asyncio.gather(*(writer.wait_closed() for writer in writers), return_exceptions=True)

    async def _way(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry what one end says to the other, in order."""
        queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(QUEUED_CHUNKS)
        delivering = asyncio.ensure_future(self._deliver(queue, writer))
        try:
            with contextlib.suppress(OSError):
                while data := await reader.read(CHUNK_BYTES):
                    await queue.put((self._loop.time() + self.latency_s, self._spoiled(data)))
        finally:
            delivering.cancel()
            await asyncio.gather(delivering, return_exceptions=True)

    async def _deliver(self, queue: "asyncio.Queue[tuple[float, bytes]]", writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while True:
                due_s, data = await queue.get()
                if (wait_s := due_s - self._loop.time()) > 0:
                    await asyncio.sleep(wait_s)
                await self._passing.wait()
                writer.write(data)
                await writer.drain()

    def _spoiled(self, data: bytes) -> bytes:
        if not self._flips_due:
            return data
        self._flips_due -= 1
        self.flipped += 1
        at, bit = self._rng.randrange(len(data)), self._rng.randrange(8)
        return data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :]


@contextmanager
def chaos_proxies(seed: int) -> Iterator[Callable[[int], ChaosProxy]]:
    """Yield a function that returns a started relay to an upstream port; all of them end with the context."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="chaos proxies", daemon=True)
    thread.start()
    proxies: list[ChaosProxy] = []

    def proxy_to(upstream_port: int) -> ChaosProxy:
        proxy = ChaosProxy(loop, upstream_port, seed + len(proxies))
        asyncio.run_coroutine_threadsafe(proxy.start(), loop).result()
        proxies.append(proxy)
        return proxy

    try:
        yield proxy_to
    finally:
        asyncio.run_coroutine_threadsafe(_end(proxies), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _end(proxies: list[ChaosProxy]) -> None:
    for proxy in proxies:
        proxy.accept_no_more()
    await asyncio.sleep(0)  # a server that is closed between accepting and the task that follows leaks the connection
    for proxy in proxies:
        proxy.stop()
    deadline_s = time.monotonic() + END_WITHIN_S
    while time.monotonic() < deadline_s:
        await asyncio.sleep(0)  # what was accepted last has its task now
        others = asyncio.all_tasks() - {asyncio.current_task()}
        if not others:
            break
        await asyncio.wait(others, timeout=END_WITHIN_S)  # relays end with their connections, accepting starts relays
    for proxy in proxies:
        for writer in proxy.accepted:
            writer.transport.abort()
    await asyncio.sleep(0.01)  # transports let go of their sockets in the turns that follow
