"""Endpoints and addresses as testbed files have them: what they must look like, and who can reach them."""

import ipaddress

MAX_IPC_PATH_BYTES = 107  # sun_path of Linux holds 108 with its terminator


def is_private(key: str, endpoint: str) -> bool:
    """Return whether only this machine can reach the endpoint; refuse what is no endpoint."""
    scheme, _, place = endpoint.partition("://")
    host, _, port = place.rpartition(":")
    if scheme == "ipc" and place and not place.startswith("@"):
        if len(place.encode()) > MAX_IPC_PATH_BYTES:
            raise ValueError(f"{key}: expected a path of at most {MAX_IPC_PATH_BYTES} bytes, got {len(place.encode())}")
        return True
    if scheme != "tcp" or not host or not is_port(port):
        raise ValueError(f'{key}: expected tcp://host:port or ipc://path, got "{endpoint}"')
    return is_loopback(host)


def is_port(text: str) -> bool:
    """Return whether a text is the number of a port."""
    return text.isascii() and text.isdecimal() and len(text) <= 5 and 1 <= int(text) <= 65535


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach a host."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.removeprefix("[").removesuffix("]")).is_loopback
    except ValueError:  # a name or a network interface, about which nothing is known here
        return False


def host_and_port(address: str) -> tuple[str, int]:
    """Return host and port of ``host:port``; an IPv6 address loses its brackets."""
    host, _, port = address.rpartition(":")
    return host.removeprefix("[").removesuffix("]"), int(port)
