"""Hosts of their own on one machine: network namespaces, each joined to a hub by a cable that can be pulled (shell).

It needs the right to make namespaces; `refusal` says why that is missing. Names carry the process id, so that two campaigns
do not meet, and everything is removed at the end.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Cables:
    """A hub, and one host per name on a cable; addresses are 10.77.N.1 at the hub and 10.77.N.2 at host N."""

    def __init__(self, hosts: tuple[str, ...]) -> None:
        self.hub = f"nf{os.getpid()}"
        self._numbers = {host: number for number, host in enumerate(hosts, start=1)}

    def host(self, name: str) -> str:
        """Return the namespace of a host."""
        return f"{self.hub}-{self._numbers[name]}"

    def hub_address(self, name: str) -> str:
        """Return the address under which a host reaches the hub."""
        return f"10.77.{self._numbers[name]}.1"

    def lay(self) -> None:
        """Make all namespaces and cables."""
        ip("netns", "add", self.hub)
        ip("-n", self.hub, "link", "set", "lo", "up")
        for name, number in self._numbers.items():
            host, near, far = self.host(name), f"h{number}", "cable"
            ip("netns", "add", host)
            ip("-n", self.hub, "link", "add", near, "type", "veth", "peer", "name", far, "netns", host)
            ip("-n", self.hub, "address", "add", f"10.77.{number}.1/24", "dev", near)
            ip("-n", host, "address", "add", f"10.77.{number}.2/24", "dev", far)
            ip("-n", self.hub, "link", "set", near, "up")
            ip("-n", host, "link", "set", far, "up")

    def pull(self, name: str) -> None:
        """Part a host from the hub."""
        ip("-n", self.host(name), "link", "set", "cable", "down")

    def plug(self, name: str) -> None:
        """Join it again."""
        ip("-n", self.host(name), "link", "set", "cable", "up")

    def remove(self) -> None:
        """Remove all namespaces, and the cables with them."""
        for namespace in (*map(self.host, self._numbers), self.hub):
            with suppress(OSError):
                ip("netns", "delete", namespace)


def refusal() -> str:
    """Return why no namespaces can be made here, nothing if they can."""
    cables = Cables(("probe",))
    try:
        cables.lay()
    except OSError as error:
        return f"network namespaces cannot be made: {error}"
    finally:
        cables.remove()
    return ""


@contextmanager
def laid_cables(hosts: tuple[str, ...]) -> Iterator[Cables]:
    """Yield a hub with these hosts; all of it is removed at the end."""
    cables = Cables(hosts)
    try:
        cables.lay()
        yield cables
    finally:
        cables.remove()


def ip(*words: str) -> None:
    """Carry out a command of iproute2, or raise an error that tells what it complained of."""
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"ip {' '.join(words)}: {done.stderr.strip()}")


if __name__ == "__main__":  # python -m tests.faults.network_namespace NAMESPACE MODULE ARGUMENT...
    os.execvp("ip", ["ip", "netns", "exec", sys.argv[1], sys.executable, "-m", *sys.argv[2:]])
