"""Sides whose links have keys, and who are careless with them."""

from typing import Any

import zmq

from emulator import process as emulator_process
from emulator.process import EmulatorProcess
from emulator.server import RadioServer
from protocol import curve, keys, links, transport, zap
from protocol.hub import HubOutcome, SessionTable
from protocol.keys import AllowList
from protocol.messages import Role
from tests.conformance.zoo.registry import around, broken, constant

PEERS = ("ue", "radio")
SIDES = (*PEERS, "controller")


def _never(original: Any, *given: Any, **named: Any) -> None:
    """Do nothing."""


def ignores_keys() -> None:
    """Speaks NULL although the testbed file has keys."""
    around(links, "dealer", lambda original, *given, **named: original(*given, **{**named, "keys": None}))


for _role in PEERS:
    broken(f"{_role}-ignores-keys", {f"{_role}/security/own-key": "10.2.1"})(ignores_keys)


def forgets_the_overhead() -> None:
    """Counts what CURVE puts around a frame as part of it."""
    constant(curve, "OVERHEAD_BYTES", 0)


def uses_any_secret() -> None:
    """Does not look at the mode of its secret key's file."""
    constant(keys, "PRIVATE_BITS", 0)


for _role in SIDES:
    broken(f"{_role}-forgets-the-overhead", {f"{_role}/security/longest-frame": "10.2.3"})(forgets_the_overhead)
    broken(f"{_role}-uses-any-secret", {f"{_role}/security/secret-that-others-read": "10.2.5"})(uses_any_secret)


def keeps_its_socket() -> None:
    """Gives a connection that is not welcomed no end, so that libzmq never knocks again."""
    around(links, "PeerSession", lambda original, hello, number, now_s: original(hello, number, now_s + 1e9))


for _role in PEERS:
    broken(f"{_role}-keeps-its-socket", {f"{_role}/security/kept-out-and-let-in": "10.5.2"})(keeps_its_socket)


# --- who binds --------------------------------------------------------------------------------------------------------


def admits_everybody() -> None:
    """Lets every key in, and does not look whether it does."""
    constant(zap, "answer", lambda frames, _: [b"", b"1.0", frames[2], b"200", b"", b"anyone", b""])
    around(curve, "prove_closed", _never)


broken("controller-admits-everybody", {"controller/security/unknown-key": "10.3.1"})(admits_everybody)
broken("radio-admits-everybody", {"radio/security/strangers-on-the-air": "10.3.2"})(admits_everybody)


def reads_its_list_once() -> None:
    """Never looks at its list again."""
    around(AllowList, "refresh", lambda _original, _self: False)


broken(
    "controller-reads-its-list-once",
    {
        "controller/security/revoked-session": "10.4.2",
        "controller/security/list-that-is-gone": "10.4.5",
        "controller/security/enrolled-later": "10.4.3",
    },
)(reads_its_list_once)
broken(
    "radio-reads-its-list-once",
    {"radio/security/revoked-on-the-air": "10.4.1", "radio/security/enrolled-later": "10.4.3"},
)(reads_its_list_once)


def keeps_the_last_good_list() -> None:
    """Goes on with what its list said before it was spoilt."""

    def refresh(original: Any, self: AllowList) -> bool:
        before = self._by_key
        changed: bool = original(self)
        if self.complaint is not None:
            self._by_key, changed = before, False
        return changed

    around(AllowList, "refresh", refresh)


broken("controller-keeps-the-last-good-list", {"controller/security/list-that-cannot-be-read": "10.4.5"})(
    keeps_the_last_good_list
)
broken("radio-keeps-the-last-good-list", {"radio/security/list-that-cannot-be-read": "10.4.5"})(
    keeps_the_last_good_list
)


def waits_for_ever() -> None:
    """Keeps connections that say nothing."""
    options = transport._common_options
    constant(
        transport,
        "_common_options",
        lambda limit: [pair for pair in options(limit) if pair[0] != zmq.HANDSHAKE_IVL] + [(zmq.HANDSHAKE_IVL, 60_000)],
    )


broken("controller-waits-for-keys-for-ever", {"controller/security/silent-connection": "10.6.1"})(waits_for_ever)
broken("radio-waits-for-keys-for-ever", {"radio/security/silent-on-the-air": "10.6.1"})(waits_for_ever)


@broken(
    "controller-believes-names",
    {"controller/security/another-name": "10.3.6", "controller/security/another-role": "10.3.6"},
)
def believes_names() -> None:
    """Takes peers for whom they say they are."""
    constant(SessionTable, "_require_key_of", staticmethod(lambda hello, sender: None))


@broken("controller-keeps-revoked-sessions", {"controller/security/revoked-session": "10.4.2"})
def keeps_revoked_sessions() -> None:
    """Looks at keys at hello alone."""
    around(SessionTable, "_require_same_key", _never)
    around(SessionTable, "retain", lambda _original, _self, _enrolled: HubOutcome())


@broken("radio-answers-any-antenna", {"radio/security/other-antenna": "10.3.7"})
def answers_any_antenna() -> None:
    """Answers an enrolled UE about every antenna."""
    around(RadioServer, "listen", lambda original, self, message, _enrolled: original(self, message))


@broken("radio-looks-at-connections-alone", {"radio/security/revoked-on-the-air": "10.4.1"})
def looks_at_connections_alone() -> None:
    """Answers whoever was enrolled when he connected."""

    def on_air(original: Any, self: EmulatorProcess, *given: Any) -> None:
        self._air_is_keyed = False
        original(self, *given)

    around(EmulatorProcess, "_on_air", on_air)


@broken("radio-admits-radios-to-the-air", {"radio/security/strangers-on-the-air": "10.3.2"})
def admits_radios_to_the_air() -> None:
    """Lets every enrolled key listen."""
    around(emulator_process, "server_keys", lambda original, *given: original(*given[:-1], list(Role)))
