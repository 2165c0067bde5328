"""Sockets with keys: only enrolled keys get in, each message says whose it is, and a door that is not shut does not open."""

import asyncio
import contextlib
import logging
import socket
from pathlib import Path

import pytest
import zmq

from protocol import curve, enrolment, zap
from protocol.curve import OVERHEAD_BYTES, GuardedRouter, KeyedDealer, NotClosedError, new_keypair
from protocol.keys import Identity, read_secret
from protocol.messages import Role
from protocol.transport import Router
from tests.protocol.doors import ANYWHERE, Door, door
from tests.protocol.keyring import Keyring, key_of, stranger
from tests.protocol.test_transport import LIMIT_BYTES, WITHIN_S, Inbox, until, until_sent

# --- who gets in -----------------------------------------------------------------------------------------------------


@pytest.mark.clause("10.4")
@pytest.mark.asyncio
async def test_each_message_says_whose_key_sent_it(tmp_path: Path) -> None:
    async with door(tmp_path) as here:
        for name in ("ue-1", "radio", "ue-2"):
            await until_sent(here.knock(here.ring.client(name)), [b"from", name.encode()])
        await until(lambda: len(here.came) == 3)
        assert sorted((frames[1].decode(), sender and sender.name) for frames, sender in here.came) == [
            (name, name) for name in ("radio", "ue-1", "ue-2")
        ]


@pytest.mark.asyncio
async def test_answer_reaches_the_key_that_asked(tmp_path: Path) -> None:
    async with door(tmp_path) as here:
        inbox = Inbox()
        dealer = here.knock(here.ring.client("ue-1"))
        dealer._on_frames = inbox
        await until_sent(dealer, [b"?"])
        await until(lambda: len(here.came) == 1)
        here.router.send(here.routes[0], [b"!"])
        await inbox.holds(1)
        assert inbox.frames == [[b"!"]]


class Rejected:
    """A bare socket that knocks and is watched until it is told that it does not get in."""

    def __init__(self, endpoint: str, *, server_key: str | None, secret: str | None = None) -> None:
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.socket = self.context.socket(zmq.DEALER)
        if server_key is not None:
            curve.set_client_keys(self.socket, secret or new_keypair()[1], server_key)
        self.monitor = self.socket.get_monitor_socket(curve.HANDSHAKES)
        self.socket.connect(endpoint)
        with contextlib.suppress(zmq.Again):  # ZeroMQ has given the connection up already
            self.socket.send_multipart([b"let me in"], zmq.NOBLOCK)

    async def event(self) -> str:
        while not self.monitor.poll(0):  # noqa: ASYNC110 - another context's event
            await asyncio.sleep(0.01)
        return zmq.Event(int.from_bytes(self.monitor.recv_multipart()[0][:2], "little")).name or ""

    def close(self) -> None:
        self.socket.disable_monitor()
        self.monitor.close(linger=0)
        self.socket.close(linger=0)
        self.context.term()


@pytest.mark.clause("10.3")
@pytest.mark.parametrize(
    ("who", "event"),
    [
        ("without keys", "HANDSHAKE_FAILED_"),
        ("with an unknown key", "HANDSHAKE_FAILED_AUTH"),
        ("with a key of another role", "HANDSHAKE_FAILED_AUTH"),
        ("with the server's own key", "HANDSHAKE_FAILED_AUTH"),
        ("with a wrong server key", "HANDSHAKE_FAILED_NO_DETAIL"),
    ],
)
@pytest.mark.asyncio
async def test_stranger_is_kept_out_and_the_enrolled_beside_it_is_not(tmp_path: Path, who: str, event: str) -> None:
    async with door(tmp_path, [Role.UE]) as here:
        server = here.ring.public("controller")
        secrets = {"role": "radio", "own": "controller", "wrong": "ue-1"}
        secret = next((read_secret(here.ring.folder, name) for word, name in secrets.items() if word in who), None)
        server_key = None if "without" in who else here.ring.public("radio") if "wrong" in who else server
        rejected = Rejected(here.router.endpoint, server_key=server_key, secret=secret)
        try:
            assert (await rejected.event()).startswith(event)
            await until_sent(here.knock(here.ring.client("ue-1")), [b"hello"])
            await until(lambda: len(here.came) > 0)
            assert [(frames, sender and sender.name) for frames, sender in here.came] == [([b"hello"], "ue-1")]
        finally:
            rejected.close()


@pytest.mark.asyncio
async def test_client_that_wants_keys_does_not_speak_to_a_server_without(tmp_path: Path) -> None:
    ring, inbox = Keyring(tmp_path / "keys"), Inbox()
    router = Router(ANYWHERE, inbox, lambda _: None, max_frame_bytes=LIMIT_BYTES)
    dealer = KeyedDealer(router.endpoint, Inbox(), max_frame_bytes=LIMIT_BYTES, keys=ring.client("radio"))
    try:
        async with asyncio.timeout(WITHIN_S):
            await until(lambda: dealer.kept_out)
            dealer.send([b"secret"])
            assert inbox.arrived == []
    finally:
        dealer.close(0.0)
        router.close(0.0)


@pytest.mark.clause("10.5")
@pytest.mark.parametrize(
    ("who", "expected"),
    [
        ("stranger", "kept out of {0}: your key is not enrolled with the controller: {1}"),
        ("wrong server key", "the other end hung up or was too slow: controller.public may not be its key"),
    ],
)
@pytest.mark.asyncio
async def test_who_is_kept_out_is_told_why(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, who: str, expected: str
) -> None:
    async with door(tmp_path) as here:
        server = "controller" if who == "stranger" else "radio"
        keys = stranger(here.ring.public(server))
        here.knock(keys)
        said = expected.format(here.router.endpoint, key_of(keys))
        await until(lambda: said in caplog.text)


@pytest.mark.asyncio
async def test_server_too_far_away_to_shake_hands_in_time_is_not_blamed_on_its_key_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as far:  # whose answers are still on their way
        keys = Keyring(tmp_path / "keys").client("radio")
        endpoint = f"tcp://127.0.0.1:{far.getsockname()[1]}"
        dealer = KeyedDealer(endpoint, Inbox(), max_frame_bytes=LIMIT_BYTES, keys=keys)
        try:
            async with asyncio.timeout(WITHIN_S):
                await until(lambda: "or a round trip takes 0.5 s or more" in caplog.text)
        finally:
            dealer.close(0.0)


@pytest.mark.clause("10.5")
@pytest.mark.asyncio
async def test_socket_made_anew_gets_in_once_its_key_is_enrolled(tmp_path: Path) -> None:
    async with door(tmp_path) as here:
        here.ring.make("ue-3")
        first = here.knock(here.ring.client("ue-3"))
        await until(lambda: first.kept_out)
        identity = Identity(name="ue-3", role=Role.UE, key=here.ring.public("ue-3"))
        enrolment.enrol(here.ring.folder, identity)
        await until(lambda: here.changes == 1)
        await until_sent(here.knock(here.ring.client("ue-3")), [b"hello"])
        await until(lambda: here.names() == ["ue-3"])
        dropped = first.dropped
        first.send([b"me too?"])
        assert first.dropped == dropped + 1, "libzmq's own socket never tries again"


@pytest.mark.clause("10.4")
@pytest.mark.asyncio
async def test_messages_of_a_revoked_key_on_a_live_connection_are_nobodys_within_two_seconds(tmp_path: Path) -> None:
    async with door(tmp_path) as here:
        revoked, other = (here.knock(here.ring.client(name)) for name in ("ue-1", "ue-2"))
        await until_sent(revoked, [b"before"])
        await until_sent(other, [b"before"])
        await until(lambda: len(here.came) == 2)
        here.ring.revoke("ue-1")
        began_s = asyncio.get_running_loop().time()
        await until(lambda: here.changes == 1)
        took_s = asyncio.get_running_loop().time() - began_s
        revoked.send([b"after"])
        other.send([b"after"])
        await until(lambda: len(here.came) == 4)
        assert sorted(map(str, here.names())) == ["None", "ue-1", "ue-2", "ue-2"]
        assert took_s < 2.0, f"expected the list to be read again within 2 s, took {took_s:.2f} s"


# --- limits ----------------------------------------------------------------------------------------------------------


@pytest.mark.clause("10.2")
@pytest.mark.asyncio
async def test_limit_of_a_frame_is_the_same_with_keys_as_without(tmp_path: Path) -> None:
    async with door(tmp_path) as here:
        good, bad = (here.knock(here.ring.client(name)) for name in ("ue-1", "ue-2"))
        await until_sent(bad, [b"hello"])
        await until(lambda: len(here.came) == 1)
        await until_sent(bad, [bytes(LIMIT_BYTES + 1)])
        await until_sent(good, [bytes(LIMIT_BYTES)])

        def lost() -> bool:
            here.router.send(here.routes[0], [b"still there?"])
            return here.routes[0] in here.gone

        await until(lost)
        await until(lambda: len(here.came) == 2)
        assert [len(frames[0]) for frames, _ in here.came] == [5, LIMIT_BYTES]


def test_overhead_is_that_of_a_frame_in_curve() -> None:
    assert len(b"\x07MESSAGE") + 8 + 16 + 1 == OVERHEAD_BYTES, "name, short nonce, authenticator, flags (RFC 26)"


# --- the probe -------------------------------------------------------------------------------------------------------


class WithoutDomain(GuardedRouter):
    """A router as one writes it who does not know that libzmq then asks no handler."""

    def _secure(self) -> None:
        self._zap = zap.ZapHandler(self._own, lambda _: False)
        self._socket.setsockopt(zmq.CURVE_SERVER, 1)
        self._socket.setsockopt(zmq.CURVE_SECRETKEY, self._keys.secret.encode())
        self._socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)


class WithoutCurve(GuardedRouter):
    """A router that asks for no key at all."""

    def _secure(self) -> None:
        self._zap = zap.ZapHandler(self._own, lambda _: False)


class Indulgent(GuardedRouter):
    """A router whose handler lets everyone in."""

    def _secure(self) -> None:
        super()._secure()
        self._zap._admits = lambda _: True


@pytest.mark.clause("10.3.3")
@pytest.mark.clause("10.3.5")
@pytest.mark.parametrize(
    ("router", "expected"),
    [
        (WithoutDomain, "expected to keep a throw-away key out, got let in"),
        (Indulgent, "expected to keep a throw-away key out, got let in"),
        (WithoutCurve, "expected to be told that a throw-away key is kept out, got HANDSHAKE_FAILED_(PROTOCOL|NO_D)"),
    ],
)
@pytest.mark.asyncio
async def test_door_that_is_not_shut_does_not_open(tmp_path: Path, router: type[GuardedRouter], expected: str) -> None:
    ring = Keyring(tmp_path / "keys")
    with pytest.raises(NotClosedError, match=expected):
        Door(ring, Role, router)


@pytest.mark.clause("10.3.3")
@pytest.mark.clause("10.3.5")
@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("ENDPOINT", "inproc://elsewhere", "got HANDSHAKE_FAILED_NO_DETAIL"),  # libzmq finds no handler
        ("answer", lambda *_: None, "got (nothing within 1 s|HANDSHAKE_FAILED_NO_DETAIL)"),  # it says nothing
        ("key_of", lambda _: "another", "got HANDSHAKE_FAILED_AUTH"),  # it looks at another key than was shown
    ],
)
@pytest.mark.asyncio
async def test_door_of_which_nobody_can_tell_does_not_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: object, expected: str
) -> None:
    ring = Keyring(tmp_path / "keys")
    monkeypatch.setattr(zap, name, value)
    monkeypatch.setattr(curve, "PROBE_WITHIN_S", 1.0)
    with pytest.raises(NotClosedError, match=expected):
        Door(ring, Role)


@pytest.mark.asyncio
async def test_door_that_did_not_open_leaves_the_endpoint_free(tmp_path: Path) -> None:
    ring = Keyring(tmp_path / "keys")
    with pytest.raises(NotClosedError) as caught:
        Door(ring, Role, Indulgent)
    endpoint = str(caught.value).split(" ", 1)[0]
    async with asyncio.timeout(WITHIN_S):
        while True:
            try:
                Router(endpoint, Inbox(), lambda _: None, max_frame_bytes=LIMIT_BYTES).close(0.0)
            except OSError:
                await asyncio.sleep(0.01)  # libzmq lets go in a thread of its own
                continue
            return


@pytest.mark.asyncio
async def test_probe_is_no_news(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with door(tmp_path):
        assert "kept out" not in caplog.text
