"""Figures of section 10 of SPEC.md are those of the code."""

import zmq

from protocol import curve, transport
from tests.protocol.test_spec import clause_text


def test_overhead_of_a_frame_is_that_of_the_code() -> None:
    assert f"MUST add {curve.OVERHEAD_BYTES} bytes" in clause_text("10.2")


def test_list_is_read_often_enough_to_be_seen_in_time() -> None:
    assert "MUST see within 2 s" in clause_text("10.4")
    assert curve.LOOK_AGAIN_S <= 1.0, "and a second for what a loaded machine takes"


def test_time_for_a_handshake_is_that_of_the_code() -> None:
    handshake_ms = dict(transport._common_options(0))[zmq.HANDSHAKE_IVL]
    assert f"within {handshake_ms / 1000:g} s (`HANDSHAKE_IVL`)" in clause_text("10.6")
