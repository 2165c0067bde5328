"""The relays do what faults are made of, and otherwise carry every byte."""

import gc
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from tests.faults.chaos_proxy import ChaosProxy, chaos_proxies
from tests.qualification.processes import wait_until

TIMEOUT_S = 10.0  # generous: reached only when something is lost
SAID = bytes(range(256)) * 40


@pytest.fixture
def proxy_to() -> Iterator[Callable[[int], ChaosProxy]]:
    with chaos_proxies(seed=1) as function:
        yield function


@pytest.fixture
def ends(proxy_to: Callable[[int], ChaosProxy]) -> Iterator[tuple[ChaosProxy, socket.socket, socket.socket]]:
    """A relay, and both ends of a connection over it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(TIMEOUT_S)
        proxy = proxy_to(server.getsockname()[1])
        with socket.create_connection(("127.0.0.1", proxy.port), TIMEOUT_S) as near:
            far, _ = server.accept()
            with far:
                far.settimeout(TIMEOUT_S)
                yield proxy, near, far


def heard(end: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = end.recv(count - len(data))
        assert more, "the connection ended"
        data += more
    return data


def test_relay_carries_both_ways(ends: tuple[ChaosProxy, socket.socket, socket.socket]) -> None:
    _, near, far = ends
    near.sendall(SAID)
    assert heard(far, len(SAID)) == SAID
    far.sendall(SAID[::-1])
    assert heard(near, len(SAID)) == SAID[::-1]


def test_late_relay_keeps_the_order(ends: tuple[ChaosProxy, socket.socket, socket.socket]) -> None:
    proxy, near, far = ends
    proxy.latency_s = 0.2
    sent_s = time.monotonic()
    near.sendall(SAID)
    assert heard(far, len(SAID)) == SAID
    assert time.monotonic() - sent_s >= 0.2


def test_black_hole_delivers_only_when_it_has_ended(ends: tuple[ChaosProxy, socket.socket, socket.socket]) -> None:
    proxy, near, far = ends
    proxy.hold()
    near.sendall(SAID)
    far.settimeout(0.2)  # a relay that let anything pass would take a millisecond
    with pytest.raises(TimeoutError):
        far.recv(1)
    far.settimeout(TIMEOUT_S)
    proxy.let_pass()
    assert heard(far, len(SAID)) == SAID


def test_reset_breaks_both_ends_and_new_connections_pass(
    ends: tuple[ChaosProxy, socket.socket, socket.socket],
) -> None:
    proxy, near, far = ends
    near.sendall(b"x")
    heard(far, 1)
    proxy.reset()
    for end in (near, far):
        with pytest.raises(ConnectionResetError):
            end.recv(1)
    with socket.create_connection(("127.0.0.1", proxy.port), TIMEOUT_S):
        pass


def test_flip_changes_one_bit_once(ends: tuple[ChaosProxy, socket.socket, socket.socket]) -> None:
    proxy, near, far = ends
    proxy.flip()
    near.sendall(SAID)
    got = heard(far, len(SAID))
    assert sum((one ^ other).bit_count() for one, other in zip(got, SAID, strict=True)) == 1
    far.sendall(SAID)
    assert heard(near, len(SAID)) == SAID
    assert proxy.flipped == 1


def test_relay_to_nobody_ends_the_connection(proxy_to: Callable[[int], ChaosProxy]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with socket.create_connection(("127.0.0.1", proxy_to(port).port), TIMEOUT_S) as near:
        assert near.recv(1) == b""


def test_thread_of_the_relays_ends_with_them() -> None:
    with chaos_proxies(seed=1) as proxy_to:
        proxy_to(1)
    wait_until(lambda: not any(thread.name == "chaos proxies" for thread in threading.enumerate()), "its end")


def test_connection_that_comes_as_the_relays_end_is_closed() -> None:
    for _ in range(50):
        with chaos_proxies(seed=1) as proxy_to:
            near = socket.create_connection(("127.0.0.1", proxy_to(1).port), TIMEOUT_S)
        near.close()
    gc.collect()  # what was left open is told now
