"""What the cases of radios and UEs rest on: bounds from below, a window counted from what was acknowledged, raw ZMTP."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import zmq

from protocol.codec import Envelope, encode
from protocol.conformance.case import InconclusiveError, NonconformityError
from protocol.conformance.drivers.peer import PeerUnderTest
from protocol.conformance.headers import frames_of, header, parsed
from protocol.conformance.raw_listener import identity_in
from protocol.conformance.referee import UE_SAYS, SessionWatch
from protocol.conformance.sockets import Pump
from protocol.conformance.timing import EchoMeter
from protocol.conformance.wire_log import WireLog
from tests.protocol.examples import hello


@pytest.mark.parametrize(
    ("late_s", "measured_s", "expected"),
    [(0.01, 0.085, None), (0.01, 0.05, NonconformityError), (0.06, -0.1, InconclusiveError)],
)
def test_bound_from_below_is_narrowed_by_the_lateness_of_the_machine(
    monkeypatch: pytest.MonkeyPatch, late_s: float, measured_s: float, expected: type[Exception] | None
) -> None:
    meter = EchoMeter()
    meter.close()
    monkeypatch.setattr(meter, "_worst_s", late_s)
    if expected is None:
        meter.require_no_earlier(measured_s, 0.1, "an answer")
    else:
        with pytest.raises(expected):
            meter.require_no_earlier(measured_s, 0.1, "an answer")


def test_window_is_counted_from_what_the_kit_has_acknowledged() -> None:
    watch = SessionWatch(session=7, may_say=UE_SAYS)

    def report(sequence: int) -> None:
        values = header("peak_report", {"epoch": 1, "subcarrier": 0}, session=7, sequence=sequence)
        watch.check(parsed(frames_of(values, {}), at_s=0.0))

    for sequence in range(1, 65):
        report(sequence)
    with pytest.raises(NonconformityError) as caught:
        report(65)
    assert caught.value.clause == "4.8.1"
    watch.acknowledges(1, at_s=0.0)
    report(65)


def test_routing_id_is_read_from_a_ready_command_of_any_order() -> None:
    kind = b"\x0bSocket-Type" + (6).to_bytes(4, "big") + b"DEALER"
    identity = b"\x08Identity" + (4).to_bytes(4, "big") + b"ue-1"
    nobody = b"\x08identity" + bytes(4)
    assert identity_in(b"\x05READY" + kind + identity) == b"ue-1"
    assert identity_in(b"\x05READY" + identity + kind) == b"ue-1"
    assert identity_in(b"\x05READY" + nobody + kind) == b""


def test_hello_said_again_as_the_next_case_begins_is_the_same_hello(tmp_path: Path) -> None:
    testee = SimpleNamespace(ensure_running=lambda: False, ended=lambda: None)
    control = f"ipc://{tmp_path}/control"
    rig: Any = SimpleNamespace(
        pump=Pump(WireLog()), control=control, largest_frame_bytes=8192, ring=None, testee=testee
    )
    peer = PeerUnderTest(rig, UE_SAYS)
    with zmq.Context() as context, context.socket(zmq.DEALER) as dealer:
        dealer.connect(control)
        for numbers in ([5], [5, 5, 6]):
            for number in numbers:
                dealer.send_multipart(encode(Envelope(session=number, message=hello())))
            peer.begin()
        assert peer.session == 6
    rig.pump.close()
