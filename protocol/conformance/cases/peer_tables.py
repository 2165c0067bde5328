"""What radios and UEs hear in an open session that is not in their table: one case of each type of message."""

from collections.abc import Mapping

import numpy as np

from protocol.conformance.case import Case, registered
from protocol.conformance.drivers.peer import PeerUnderTest
from protocol.conformance.headers import UNSEQUENCED, Array, frames_of

ROW, GRID = np.zeros((1, 4)), np.zeros((4, 4), dtype=np.complex64)
LINE = np.zeros(4)
SOUND: Mapping[str, tuple[dict[str, object], dict[str, Array]]] = {
    "declined": ({"epoch": 1, "clause": "7.1", "text": "none"}, {}),
    "ready": ({"epoch": 1, "pilots": 1, "phase_deviation_cycles": 0.0, "delay_deviation_s": 0.0}, {}),
    "snapshot": ({"epoch": 1}, {"samples": GRID}),
    "peak_report": ({"epoch": 1, "subcarrier": 0}, {}),
    "group_report": ({"epoch": 1, "group": 0}, {}),
    "power_report": ({"epoch": 1}, {"power_w": LINE}),
    "complex_report": ({"epoch": 1}, {"samples": LINE.astype(np.complex64)}),
    "listen": ({"ue": "ue-1", "epoch": 1}, {}),
    "grid": ({"epoch": 1}, {"samples": LINE.astype(np.complex128)}),
    "silence": ({"epoch": 1, "text": "none"}, {}),
}
FOR_RADIOS: Mapping[str, tuple[dict[str, object], dict[str, Array]]] = {
    "configure": ({"epoch": 1, "groups_per_pilot": 1}, {"phase_cycles": ROW, "delay_s": ROW}),
    "capture": ({"epoch": 1, "ue": "ue-1"}, {}),
}
FOR_UES: Mapping[str, tuple[dict[str, object], dict[str, Array]]] = {
    "measure": ({"epoch": 1, "kind": "peak", "groups": 1}, {}),
}


def _says(kind: str, fields: dict[str, object], arrays: dict[str, Array], peer: PeerUnderTest) -> None:
    peer.open_session()
    sequence = 0 if kind in UNSEQUENCED else peer.watch.number()
    peer.say_frames(frames_of(peer.header(kind, fields, sequence=sequence), arrays), sequence=sequence)
    peer.expect_refusal("4.14")
    if sequence:
        peer.expect_acknowledged(sequence)
    peer.request(2)
    peer.expect_reply(2)


def _says_hello(peer: PeerUnderTest) -> None:
    assert peer.hello is not None  # noqa: S101 - a case begins with it
    _says("hello", peer.hello.fields, {}, peer)


def _register(role: str, kind: str, fields: dict[str, object], arrays: dict[str, Array]) -> None:
    registered(
        Case(
            id=f"{role}/session/no-place-for-{kind.replace('_', '-')}",
            clause="4.14.1",
            also=("4.14.2", "9.1.2"),
            description=f"The controller says {kind} in an open session, which nobody says to a {role}.",
            expectation="a refusal by 4.14, its number counted as received, and the session goes on",
            check=(lambda peer: _says(kind, fields, arrays, peer)) if kind != "hello" else _says_hello,
        )
    )


for _role, _others in (("ue", FOR_RADIOS), ("radio", FOR_UES)):
    for _kind, (_fields, _arrays) in {**SOUND, **_others, "hello": ({}, {})}.items():
        _register(_role, _kind, _fields, _arrays)
