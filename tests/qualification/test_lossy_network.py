"""The network of hosts that others are tested on: late, lossy and cut as it was told to be."""

import ctypes
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.qualification.lossy_network import Network, laid_network, refusal

CLONE_NEWNET = 0x40000000
PORT = 9000
DEAF_S = 0.5  # a hundred times what an idle network takes
PACKETS = 2000
PATIENCE_S = 30.0


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    if reason := refusal():
        pytest.skip(reason)
    with laid_network(("here", "there"), seed=1) as laid:
        yield laid


@pytest.fixture
def ends(network: Network) -> Iterator[tuple[socket.socket, socket.socket]]:
    """Yield a socket at each of the two hosts; the cables are as new."""
    for cable in network.cables.values():
        cable.latency_s, cable.loss, cable.cut = 0.0, 0.0, False
    with socket_at(network, "here") as here, socket_at(network, "there") as there:
        here.connect((network.address("there"), PORT))
        there.connect((network.address("here"), PORT))
        yield here, there


def socket_at(network: Network, host: str) -> socket.socket:
    """Return a datagram socket of a host: made by a thread that has moved there, and ends."""
    made: list[socket.socket] = []

    def make() -> None:
        namespace = os.open(Path("/run/netns") / network.namespace(host), os.O_RDONLY)
        if ctypes.CDLL(None, use_errno=True).setns(namespace, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"no way into {network.namespace(host)}")
        os.close(namespace)
        made.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))

    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    (one,) = made
    one.settimeout(DEAF_S)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
    one.bind((network.address(host), PORT))
    return one


def test_packet_takes_the_latency_of_both_cables(network: Network, ends: tuple[socket.socket, socket.socket]) -> None:
    here, there = ends
    network.cables["here"].latency_s, network.cables["there"].latency_s = 0.03, 0.02
    there.settimeout(PATIENCE_S)
    took_s = []
    for number in range(5):
        began_s = time.monotonic()
        here.send(bytes([number]))
        assert there.recv(64) == bytes([number])
        took_s.append(time.monotonic() - began_s)
    assert 0.05 <= min(took_s) < 0.05 + DEAF_S, "never sooner; once in five times hardly later"


def test_lossy_cable_loses_its_share_and_keeps_the_order(
    network: Network, ends: tuple[socket.socket, socket.socket]
) -> None:
    here, there = ends
    network.cables["there"].loss, network.cables["there"].latency_s = 0.1, 0.01
    numbers = range(PACKETS)
    came = []
    for number in numbers:
        here.send(number.to_bytes(2, "big"))
        if number % 200 == 199:  # no more at once than a device queues
            came += everything(there, 0.1)
    came += everything(there, DEAF_S)
    assert came == sorted(set(came)), "in order, none twice"
    lost = PACKETS - len(came)
    assert 0.07 < lost / PACKETS < 0.13, "10 % +- 4.5 standard deviations of 0.67 %"


def everything(end: socket.socket, silence_s: float) -> list[int]:
    """Return what came, until nothing comes for this long, which is longer than the cables take."""
    came = []
    end.settimeout(silence_s)
    try:
        while True:
            came.append(int.from_bytes(end.recv(64), "big"))
    except TimeoutError:
        return came


def test_cut_cable_carries_nothing_and_a_healed_one_does(
    network: Network, ends: tuple[socket.socket, socket.socket]
) -> None:
    here, there = ends
    network.cables["there"].cut = True
    here.send(b"lost")
    there.send(b"lost")
    for end in ends:
        with pytest.raises(TimeoutError):
            end.recv(64)
    network.cables["there"].cut = False
    here.send(b"heard")
    assert there.recv(64) == b"heard"
