"""Hosts on one machine, each in a network namespace with an address, on cables that are late, lossy or cut (shell).

A host's end of its cable is a TUN device; the other ends meet in one thread here, which hands each packet to the host that
it is addressed to, late or never. So the kernel's own TCP meets the losses, and no `netem` is needed, which many kernels
lack. It needs the right to make namespaces and devices; `refusal` says why that is missing.
"""

import contextlib
import fcntl
import heapq
import itertools
import os
import random
import selectors
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.faults.network_namespace import ip

TUN_DEVICE = "/dev/net/tun"
TUNSETIFF = 0x400454CA
TUN_WITHOUT_HEADER = 0x1001  # IFF_TUN | IFF_NO_PI: whole IP packets and nothing else
LARGEST_PACKET_BYTES = 65536
AT_ONCE = 64  # packets of one host before the others have their turn
LOOK_UP_S = 0.05


@dataclass(slots=True)
class Cable:
    """What a host's cable does to each packet, on the way out and in alike; may be changed at any time."""

    latency_s: float = 0.0
    loss: float = 0.0
    cut: bool = False
    carried: int = 0
    lost: int = 0


class Network:
    """One network, 10.78.0.0/24, of hosts on cables; packets between two hosts pass both of their cables."""

    _serial = itertools.count()

    def __init__(self, hosts: tuple[str, ...], *, seed: int = 0) -> None:
        self.cables = {host: Cable() for host in hosts}
        self._numbers = {host: number for number, host in enumerate(hosts, start=1)}
        self._by_address = {socket.inet_aton(self.address(host)): host for host in hosts}
        self._name = f"nl{os.getpid()}-{next(self._serial)}"
        self._made: list[str] = []
        self._ends: dict[str, int] = {}
        self._selector = selectors.DefaultSelector()
        self._under_way: list[tuple[float, int, str, bytes]] = []
        self._count = itertools.count()
        self._rng = random.Random(seed)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._carry_all, name="network", daemon=True)

    def address(self, host: str) -> str:
        """Return the address of a host."""
        return f"10.78.0.{self._numbers[host]}"

    def namespace(self, host: str) -> str:
        """Return the network namespace of a host; it carries the process id, so that networks of two do not meet."""
        return f"{self._name}-{self._numbers[host]}"

    def lay(self) -> None:
        """Make all hosts and cables, and begin to carry packets."""
        for host in self.cables:
            namespace = self.namespace(host)
            ip("netns", "add", namespace)
            self._made.append(namespace)
            self._ends[host], device = _cable_end()
            ip("link", "set", device, "netns", namespace, "name", "cable")
            ip("-n", namespace, "address", "add", f"{self.address(host)}/24", "dev", "cable")
            ip("-n", namespace, "link", "set", "lo", "up")
            ip("-n", namespace, "link", "set", "cable", "up")
            self._selector.register(self._ends[host], selectors.EVENT_READ, host)
        self._thread.start()

    def remove(self) -> None:
        """Carry nothing more, and remove all hosts and cables."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()
        self._selector.close()
        for end in self._ends.values():
            os.close(end)
        for namespace in self._made:
            with contextlib.suppress(OSError):
                ip("netns", "delete", namespace)

    # --- in the thread -----------------------------------------------------------------------------------------------

    def _carry_all(self) -> None:
        while not self._ended.is_set():
            wait_s = self._under_way[0][0] - time.monotonic() if self._under_way else LOOK_UP_S
            for key, _ in self._selector.select(max(0.0, min(wait_s, LOOK_UP_S))):
                self._take(key.data)
            self._hand_over()

    def _take(self, sender: str) -> None:
        for _ in range(AT_ONCE):
            try:
                packet = os.read(self._ends[sender], LARGEST_PACKET_BYTES)
            except BlockingIOError:
                return
            receiver = self._by_address.get(packet[16:20])
            if packet[0] >> 4 == 4 and receiver is not None:  # anything else seeks routers or those who are not there
                self._send(sender, receiver, packet)

    def _send(self, sender: str, receiver: str, packet: bytes) -> None:
        cables = self.cables[sender], self.cables[receiver]
        for cable in cables:
            if cable.cut or self._rng.random() < cable.loss:
                cable.lost += 1
                return
            cable.carried += 1
        due_s = time.monotonic() + sum(cable.latency_s for cable in cables)
        heapq.heappush(self._under_way, (due_s, next(self._count), receiver, packet))

    def _hand_over(self) -> None:
        now_s = time.monotonic()
        while self._under_way and self._under_way[0][0] <= now_s:
            _, _, receiver, packet = heapq.heappop(self._under_way)
            with contextlib.suppress(OSError):  # a device whose queue is full loses it, as devices do
                os.write(self._ends[receiver], packet)


def _cable_end() -> tuple[int, str]:
    """Return a new TUN device: what its packets are read from and written to, and the name that the kernel gave it."""
    end = os.open(TUN_DEVICE, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        told = fcntl.ioctl(end, TUNSETIFF, struct.pack("16sH22x", b"nl%d", TUN_WITHOUT_HEADER))
    except OSError:
        os.close(end)
        raise
    return end, told[:16].rstrip(b"\0").decode()


def refusal() -> str:
    """Return why no network can be made here, nothing if it can."""
    network = Network(("probe",))
    try:
        network.lay()
    except OSError as error:
        return f"hosts in network namespaces cannot be made: {error}"
    finally:
        network.remove()
    return ""


@contextmanager
def laid_network(hosts: tuple[str, ...], *, seed: int = 0) -> Iterator[Network]:
    """Yield a network of these hosts; all of it is removed at the end."""
    network = Network(hosts, seed=seed)
    try:
        network.lay()
        yield network
    finally:
        network.remove()
