"""Attempts to exhaust a controller with keys, before and after authentication: what it costs, and that enrolled peers get in.

Each figure is in the message of its assertion. Bounds on memory and time are several times what a quiet machine shows.
"""

import os
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from protocol import messages as msg
from protocol.codec import MAX_HEADER_BYTES
from protocol.resources import MEMORY_LIMIT
from tests.protocol.keyring import Keyring
from tests.qualification.conftest import LabFactory
from tests.qualification.processes import Lab, Process, wait_until
from tests.qualification.raw_peers import RawPeer, hello
from tests.qualification.test_keys import with_keys

pytestmark = pytest.mark.requirement("no stranger and no single peer exhausts a controller")

MIB = 1 << 20
DESCRIPTORS = 128
SILENT = 200
#: Two rounds of the handshake's two seconds, since twice as many wait as fit, and a loaded machine's delays.
RECOVERY_S = 20.0
HUGE_BYTES = 64 * MIB
HUGE_PEERS = 4
LIMIT_MIB = 1024
PATIENT = {"gather_s": 300.0}  # the run waits for its peers as long as the test takes

#: A controller that may hold few descriptors; the process itself raises its limit as far as this.
FEW_DESCRIPTORS = f"""
import resource, runpy, sys
resource.setrlimit(resource.RLIMIT_NOFILE, ({DESCRIPTORS}, {DESCRIPTORS}))
sys.argv = ["bs_controller", *sys.argv[1:]]
runpy.run_module("bs_controller", run_name="__main__")
"""
#: ZMTP 3.1, mechanism CURVE, as a client (RFC 23), and the head of a command with a length in eight bytes.
GREETING = b"\xff" + bytes(8) + b"\x7f" + b"\x03\x01" + b"CURVE".ljust(20, b"\0") + bytes(32)
NULL_GREETING = GREETING.replace(b"CURVE", b"NULL\0")
READY = b"\x04\x1c\x05READY\x0bSocket-Type" + struct.pack(">I", 6) + b"DEALER"
UNFINISHED = b"\x03" + struct.pack(">Q", MAX_HEADER_BYTES) + bytes(MAX_HEADER_BYTES)  # more is to come
HUGE_COMMAND = b"\x06" + struct.pack(">Q", HUGE_BYTES)


def resident_bytes(process: Process) -> int:
    return int(Path(f"/proc/{process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def port_of(lab: Lab) -> int:
    return int(lab.control.rpartition(":")[2])


@contextmanager
def silent(lab: Lab, count: int) -> Iterator[list[socket.socket]]:
    """Hold connections that say nothing."""
    with ExitStack() as stack:
        yield [stack.enter_context(socket.create_connection(("127.0.0.1", port_of(lab)), 10.0)) for _ in range(count)]


def joins_within_s(lab: Lab, ring: Keyring) -> float:
    """Return how long it takes an enrolled UE to open a session, trying anew as agents do."""
    began_s = time.monotonic()
    while time.monotonic() - began_s < RECOVERY_S:
        with RawPeer(lab.control, ring.client("ue-1")) as peer:
            peer.say(hello(lab.facts, "ue-1"))
            if peer.stays_until(lambda: bool(peer.of_kind(msg.Welcome)), 3.0):
                return time.monotonic() - began_s
    return float("inf")


def is_cut(one: socket.socket) -> bool:
    """Return whether the other end has hung up."""
    try:
        return one.recv(65536, socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


@pytest.mark.clause("10.6")
def test_silent_connections_beyond_all_descriptors_are_freed_and_an_enrolled_ue_gets_in(lab_of: LabFactory) -> None:
    lab, ring = with_keys(lab_of, controller=PATIENT)
    controller = lab.start("-c", FEW_DESCRIPTORS, str(lab.file), "--run-dir", str(lab.run_directory))
    controller.said("listening at")
    with silent(lab, SILENT) as held:
        took_s = joins_within_s(lab, ring)
        assert took_s < RECOVERY_S, f"{SILENT} silent connections, {DESCRIPTORS} descriptors: in after {took_s:.1f} s"
        wait_until(lambda: all(map(is_cut, held)), "every silent connection to be cut", RECOVERY_S)
    assert "Traceback" not in controller.errors


def shakes_hands(peer: socket.socket) -> None:
    """Open a connection without keys; ZeroMQ cuts one that sends messages before it has heard READY."""
    peer.sendall(NULL_GREETING + READY)
    heard = b""
    while b"READY" not in heard:
        heard += peer.recv(65536)


def sends(peer: socket.socket, data: bytes) -> bool:
    """Return whether the other end takes data still."""
    try:
        peer.sendall(data)
    except OSError:
        return False
    return True


def sent_before_the_cut(peer: socket.socket) -> int:
    """Send the body of a huge command until the other end hangs up; return how much it took."""
    return next((sent for sent in range(0, HUGE_BYTES, MIB) if not sends(peer, bytes(MIB))), HUGE_BYTES)


@pytest.mark.clause("10.6")
def test_huge_command_before_authentication_takes_no_memory(lab_of: LabFactory) -> None:
    lab, ring = with_keys(lab_of, controller=PATIENT)
    controller = lab.controller()
    joins_within_s(lab, ring)
    before_bytes = resident_bytes(controller)
    with silent(lab, HUGE_PEERS) as peers:
        for peer in peers:
            peer.settimeout(10.0)
            peer.sendall(GREETING)
            peer.sendall(HUGE_COMMAND)
            assert sent_before_the_cut(peer) < HUGE_BYTES, "the connection was not cut"
        grown_mib = (resident_bytes(controller) - before_bytes) / MIB
    assert grown_mib < 16, f"{HUGE_PEERS} commands of {HUGE_BYTES // MIB} MiB: {grown_mib:.1f} MiB more"


@pytest.mark.clause("10.6")
def test_message_that_never_ends_ends_the_process_in_order_before_the_machine_is_full(
    lab_of: LabFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Without keys: libzmq sends no message before it is whole, and a peer of one's own would have to speak CURVE.
    monkeypatch.setenv(MEMORY_LIMIT, str(LIMIT_MIB))
    lab = lab_of(controller=PATIENT)
    controller = lab.controller()
    highest_bytes = 0
    with silent(lab, 1) as (peer,):
        shakes_hands(peer)
        while controller.status is None and sends(peer, 1000 * UNFINISHED):
            highest_bytes = max(highest_bytes, _resident_or_none(controller))
        assert controller.ended() == 1, controller.errors
    controller.said(f"expected at most {LIMIT_MIB} MiB of memory (NFTESTBED_MEMORY_LIMIT_MIB), got ")
    # a quarter of a second between two looks, and what comes meanwhile; its last look may come after the last from here
    assert 0.9 * LIMIT_MIB <= highest_bytes / MIB < 2 * LIMIT_MIB, (
        f"limit {LIMIT_MIB}, held {highest_bytes / MIB:.0f} MiB"
    )


def _resident_or_none(process: Process) -> int:
    try:
        return resident_bytes(process)
    except OSError:
        return 0


def test_memory_limit_that_is_no_number_is_refused(lab_of: LabFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MEMORY_LIMIT, "lots")
    lab = lab_of()
    process = lab.ue("ue-1")
    assert process.ended() == 2
    assert process.errors == f"{MEMORY_LIMIT}: expected a whole number of MiB, got 'lots'\n"
