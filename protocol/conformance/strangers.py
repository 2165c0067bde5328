"""Connections that show no key, at whatever end binds (SPEC 10): what cases of controllers and of radios share."""

from collections.abc import Callable, Sequence
from contextlib import suppress

from protocol.conformance.case import NonconformityError
from protocol.conformance.raw_zmtp import CURVE_GREETING, GREETING_BYTES, HANDSHAKE, GoneError, RawZmtp, message
from protocol.conformance.rig import Rig
from protocol.conformance.sockets import now_s

SHOWN_WITHIN_S = 2.0  # SPEC 10.6.1
TIMERS_S = 0.2
GIVEN_UP_S = 5.0
ANSWERED_WITHIN_S = 0.5
VERSION_AT = 11  # the rest of a greeting may wait until the other's version is known
MECHANISM = slice(12, 32)


def require_dropped(endpoint: str, rig: Rig, meanwhile: Callable[[], None]) -> None:
    """Check that a silent connection is dropped in time, and one that only greets."""
    silent, greeting = RawZmtp(endpoint, rig.log, "silent"), RawZmtp(endpoint, rig.log, "greeting")
    began_s = now_s()
    greeting.write(CURVE_GREETING)
    there = [silent, greeting]
    try:
        while there and now_s() - began_s < GIVEN_UP_S:
            there = [one for one in there if not one.is_closed_within(0.01)]
            meanwhile()
        rig.meter.require(now_s() - began_s, SHOWN_WITHIN_S + TIMERS_S, "that connections without a key are dropped")
    finally:
        silent.close()
        greeting.close()


def require_null_kept_out(endpoint: str, rig: Rig, frames: Sequence[bytes]) -> None:
    """Check that who says a message with the mechanism NULL is greeted with CURVE, and hears nothing more."""
    connection = RawZmtp(endpoint, rig.log)
    try:
        connection.write(HANDSHAKE[:VERSION_AT])
        greeting = connection.read_exactly(GREETING_BYTES)
        if greeting[MECHANISM].rstrip(b"\0") != b"CURVE":
            raise NonconformityError(f"expected the mechanism CURVE in the greeting, got {greeting[MECHANISM]!r}")
        with suppress(GoneError):
            connection.write(HANDSHAKE[VERSION_AT:] + message(frames))
            while (heard := connection.next_frame(ANSWERED_WITHIN_S)) is not None:
                if heard.command != b"ERROR":
                    raise NonconformityError(f"expected nothing for who has no keys, got {heard}")
    finally:
        connection.close()
