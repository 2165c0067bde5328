"""One request and its 16 KiB report over the control link, against a bare ZeroMQ echo of the same bytes.

Both ends are real processes. Ours pays for codec, session, delivery and event loop, until the link hands the report over as
the controller takes it; the baseline blocks in `recv` and looks at nothing. With keys both encrypt, and ours looks up each
message's key. This file is also the program of both children.
"""

import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import zmq

from protocol.codec import Envelope, encode
from protocol.curve import set_client_keys
from protocol.hub import Admission
from protocol.keys import CONTROLLER, ENROLLED, AllowList, ClientKeys, ServerKeys, read_secret
from protocol.links import HubLink, PeerLink
from protocol.messages import (
    PROTOCOL_VERSION,
    ComplexReport,
    FeedbackKind,
    Hello,
    Measure,
    Message,
    Role,
    UeCapabilities,
)
from protocol.session import Event, Heard, Opened
from protocol.testbed import default_facts
from tests.benchmarks.harness import Row
from tests.protocol.keyring import Keyring

SLOWDOWN_TARGET = 2.5
ANYWHERE = "tcp://127.0.0.1:*"
BLOCKS = 16
TRIPS_PER_BLOCK = 250
UE = "ue-1"
SUBCARRIERS = 2048  # of complex64: 16 KiB
SESSION = 1_700_000_000_000_000  # microseconds of some day, as long as a real one
START_S, MEASURED_S, STOP_S = 20.0, 60.0, 2.0


def rows() -> list[Row]:
    """Return a row for a run on one machine, with TCP in its details, and one for TCP with keys, with TCP without beside it."""
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        ipc = _figures("ipc", f"ipc://{directory}/ours", f"ipc://{directory}/bare")
        tcp = _figures("tcp", ANYWHERE, ANYWHERE)
        ring = Keyring(Path(directory) / "keys")
        ring.enrolled(UE)
        keyed = _figures("keys", ANYWHERE, ANYWHERE, ring.folder)
    name = "control round trip, small request and 16 KiB report, real processes"
    return [_row(name, "ipc", ipc | tcp), _row(f"{name}, keys over TCP", "keys", keyed | tcp)]


def _row(name: str, transport: str, details: dict[str, float]) -> Row:
    ours_ms, baseline_ms = details[f"{transport}_ours_p50_ms"], details[f"{transport}_baseline_p50_ms"]
    return Row(
        name=name,
        ours_ms=ours_ms,
        baseline_ms=baseline_ms,
        error=None,
        target=f"no slower than {SLOWDOWN_TARGET:g} x at p50",
        met=ours_ms <= SLOWDOWN_TARGET * baseline_ms,
        details={**details, "round_trips": BLOCKS * TRIPS_PER_BLOCK, "report_bytes": _report().samples.nbytes},
    )


def _figures(transport: str, ours: str, bare: str, folder: Path | None = None) -> dict[str, float]:
    ours_s, bare_s = asyncio.run(_measured(ours, bare, folder))
    figures: dict[str, float] = {}
    for name, trips_s in (("ours", ours_s), ("baseline", bare_s)):
        p50_s, p99_s = np.percentile(trips_s, [50, 99])
        figures |= {f"{transport}_{name}_p50_ms": 1e3 * float(p50_s), f"{transport}_{name}_p99_ms": 1e3 * float(p99_s)}
    return figures


async def _measured(ours: str, bare: str, folder: Path | None) -> tuple[list[float], list[float]]:
    """Return the seconds of every round trip, measured in alternating blocks so that both see the same weather."""
    with _BareEcho(bare, folder) as echo:
        link = _OurLink(ours, folder)
        try:
            with _child("ours", link.endpoint, folder):
                await link.opened()
                async with asyncio.timeout(MEASURED_S):
                    ours_s, bare_s = await _alternating(link, echo)
        finally:
            await link.close()
    return ours_s, bare_s


async def _alternating(link: "_OurLink", echo: "_BareEcho") -> tuple[list[float], list[float]]:
    ours_s: list[float] = []
    bare_s: list[float] = []
    for block in range(BLOCKS + 1):
        ours = [await link.trip_s() for _ in range(TRIPS_PER_BLOCK)]
        bare = [echo.trip_s() for _ in range(TRIPS_PER_BLOCK)]
        await asyncio.sleep(0)  # the sessions' timers had to wait
        if block > 0:  # the first block is the warm-up
            ours_s += ours
            bare_s += bare
    return ours_s, bare_s


def _keys_of_controller(folder: Path | None) -> ServerKeys | None:
    if folder is None:
        return None
    return ServerKeys(secret=read_secret(folder, CONTROLLER), allowed=AllowList(folder / ENROLLED, Role))


class _OurLink:
    """The controller's end of the control link, with one request outstanding."""

    def __init__(self, endpoint: str, folder: Path | None) -> None:
        admission = Admission(facts=default_facts(), names={Role.UE: frozenset({UE}), Role.RADIO: frozenset()})
        self._hub = HubLink(endpoint, admission, self._on_event, keys=_keys_of_controller(folder))
        self.endpoint = self._hub.endpoint
        self._sessions = asyncio.create_task(self._hub.run(), name="sessions")
        self._opened = asyncio.Event()
        self._answer: asyncio.Future[tuple[float, Message]] | None = None
        self._epoch = 0

    def _on_event(self, event: Event) -> None:
        if isinstance(event, Opened):
            self._opened.set()
        elif isinstance(event, Heard) and self._answer is not None:
            self._answer.set_result((time.perf_counter(), event.message))

    async def opened(self) -> None:
        async with asyncio.timeout(START_S):
            await self._opened.wait()

    async def trip_s(self) -> float:
        self._epoch += 1
        self._answer = asyncio.get_running_loop().create_future()
        start_s = time.perf_counter()
        self._hub.send(UE, _request(self._epoch))
        end_s, report = await self._answer
        if not isinstance(report, ComplexReport) or report.epoch != self._epoch:
            raise RuntimeError(f"expected the report of epoch {self._epoch}, got {report}")
        return end_s - start_s

    async def close(self) -> None:
        self._sessions.cancel()
        with suppress(asyncio.CancelledError):
            await self._sessions
        self._hub.close("measured")


class _BareEcho:
    """A blocking ROUTER, and a child with a blocking DEALER that answers it with as many bytes as our report has."""

    def __init__(self, endpoint: str, folder: Path | None) -> None:
        self._socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.ROUTER)
        self._socket.set(zmq.RCVTIMEO, int(1e3 * START_S))
        if folder is not None:
            self._socket.set(zmq.CURVE_SERVER, 1)
            self._socket.set(zmq.CURVE_SECRETKEY, read_secret(folder, CONTROLLER).encode())
        self._socket.bind(endpoint)
        self._child = _child("bare", str(self._socket.getsockopt_string(zmq.LAST_ENDPOINT)), folder)
        self._request = bytes(encode(Envelope(session=SESSION, sequence=1000, message=_request(1000)))[0])
        self._route = b""

    def __enter__(self) -> "_BareEcho":
        self._child.__enter__()
        self._route, _ = self._socket.recv_multipart()
        return self

    def trip_s(self) -> float:
        start_s = time.perf_counter()
        self._socket.send_multipart([self._route, self._request])
        frames = self._socket.recv_multipart()
        trip_s = time.perf_counter() - start_s
        if len(frames) != 3:
            raise RuntimeError(f"expected route, header and samples, got {len(frames)} frames")
        return trip_s

    def __exit__(self, *_error: object) -> None:
        self._child.__exit__(None, None, None)
        self._socket.close(linger=0)


@contextmanager
def _child(side: str, endpoint: str, folder: Path | None) -> Iterator[None]:
    """Run a child of this file, and end it whatever happens."""
    command = [
        sys.executable,
        "-m",
        "tests.benchmarks.control_roundtrip",
        side,
        endpoint,
        *([str(folder)] if folder else []),
    ]
    child = subprocess.Popen(command, cwd=Path(__file__).parents[2])
    try:
        yield
    finally:
        child.terminate()
        try:
            child.wait(STOP_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


# --- the children ----------------------------------------------------------------------------------------------------


def _request(epoch: int) -> Measure:
    return Measure(epoch=epoch, kind=FeedbackKind.COMPLEX, groups=1)


def _report(epoch: int = 1000) -> ComplexReport:
    return ComplexReport(epoch=epoch, samples=np.full(SUBCARRIERS, 1e-6 + 2e-6j, dtype=np.complex64))


def _keys_of_ue(folder: Path | None) -> ClientKeys | None:
    return None if folder is None else Keyring.client_in(folder, UE)


def _answer_as_ue(endpoint: str, folder: Path | None) -> None:
    asyncio.run(_ue(endpoint, folder))


async def _ue(endpoint: str, folder: Path | None) -> None:
    facts = default_facts()
    hello = Hello(
        name=UE,
        versions=(PROTOCOL_VERSION,),
        software="bench",
        digest=facts.digest(),
        facts=facts,
        capabilities=UeCapabilities(feedback_kinds=tuple(FeedbackKind)),
    )
    samples = _report().samples

    def answer(message: Message) -> None:
        if isinstance(message, Measure):
            link.send(ComplexReport(epoch=message.epoch, samples=samples))

    link = PeerLink(endpoint, hello, answer, lambda: None, keys=_keys_of_ue(folder))
    await link.run()


def _answer_bare(endpoint: str, folder: Path | None) -> None:
    socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.DEALER)
    keys = _keys_of_ue(folder)
    if keys is not None:
        set_client_keys(socket, keys.secret, keys.server)
    socket.connect(endpoint)
    socket.send(b"")
    header, samples = encode(Envelope(session=SESSION, sequence=1000, acknowledged=1000, message=_report()))
    reply = [bytes(header), bytes(samples)]
    while True:
        socket.recv_multipart()
        socket.send_multipart(reply)


_SIDES: dict[str, Callable[[str, Path | None], None]] = {"ours": _answer_as_ue, "bare": _answer_bare}

if __name__ == "__main__":
    _SIDES[sys.argv[1]](sys.argv[2], Path(sys.argv[3]) if len(sys.argv) > 3 else None)
