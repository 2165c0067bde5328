"""Connections that show no key, and bounds of SPEC 10 at whatever end binds: what cases of controllers and of radios share."""

from collections.abc import Callable, Sequence
from contextlib import suppress

from protocol.conformance.case import NonconformityError
from protocol.conformance.raw_zmtp import CURVE_GREETING, GREETING_BYTES, HANDSHAKE, GoneError, RawZmtp, message
from protocol.conformance.rig import Rig
from protocol.conformance.sockets import now_s

SHOWN_WITHIN_S = 2.0  # SPEC 10.6.1
CHANGE_S = 2.0  # SPEC 10.4.3
NEVER_S = 2 * CHANGE_S  # no machine is so late that this long would be in time
TIMERS_S = 0.2
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
        while there and now_s() - began_s < NEVER_S:
            there = [one for one in there if not one.is_closed_within(0.01)]
            meanwhile()
        require_soon(rig, now_s() - began_s, SHOWN_WITHIN_S + TIMERS_S, "that connections without a key are dropped")
    finally:
        silent.close()
        greeting.close()


def require_soon(rig: Rig, took_s: float, bound_s: float, what: str) -> None:
    """Check a bound of some seconds; what has not come by `NEVER_S` is missing, however late the machine is.

    Raises
    ------
    InconclusiveError
        If it came late on a machine that is too slow to tell.
    NonconformityError
        If it came late, or never.
    """
    if took_s >= NEVER_S:
        raise NonconformityError(f"expected {what} within {bound_s:g} s, it was not so after {NEVER_S:g} s")
    rig.meter.require(took_s, bound_s, what)


def require_null_kept_out(endpoint: str, rig: Rig, frames: Sequence[bytes]) -> None:
    """Check that who says a message with the mechanism NULL is greeted with CURVE, and hears nothing more."""
    connection = RawZmtp(endpoint, rig.log)
    try:
        require_curve_alone(connection, message(frames))
    finally:
        connection.close()


def require_curve_alone(connection: RawZmtp, said_next: bytes = b"") -> None:
    """Speak NULL, and check that the other end greets with CURVE and says nothing more."""
    connection.write(HANDSHAKE[:VERSION_AT])
    greeting = connection.read_exactly(GREETING_BYTES)
    if greeting[MECHANISM].rstrip(b"\0") != b"CURVE":
        raise NonconformityError(f"expected the mechanism CURVE in the greeting, got {greeting[MECHANISM]!r}")
    with suppress(GoneError):
        connection.write(HANDSHAKE[VERSION_AT:] + said_next)
        while (heard := connection.next_frame(ANSWERED_WITHIN_S)) is not None:
            if heard.command != b"ERROR":
                raise NonconformityError(f"expected nothing for who has no keys, got {heard}")
