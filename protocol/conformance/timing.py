"""How slow this machine is at the moment, so that no testee is blamed for it.

A thread sends itself a message every few milliseconds, from before the first case to the last. What its worst round trip
and its worst sleep were late during a case, the testee may have been late as well, once in sending and once in being heard.
"""

import threading

from protocol.conformance.case import InconclusiveError, NonconformityError
from protocol.conformance.sockets import EchoPair, now_s

PERIOD_S = 0.01
WIDEST_S = 0.15  # beyond it a bound says nothing
VOID_S = 0.05  # a machine as slow as that acquits


class EchoMeter:
    """The thread, and the worst that it has seen since it was last reset."""

    def __init__(self) -> None:
        self._worst_s = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._measure, name="echo", daemon=True)
        self._thread.start()

    def _measure(self) -> None:
        pair = EchoPair()
        pair.round_trip_s()  # the first one connects
        while not self._stop.is_set():
            began_s = now_s()
            self._stop.wait(PERIOD_S)
            pair.round_trip_s()
            self._worst_s = max(self._worst_s, now_s() - began_s - PERIOD_S)
        pair.close()

    def reset(self) -> None:
        """Begin a case."""
        self._worst_s = 0.0

    @property
    def worst_s(self) -> float:
        """Return the worst lateness since the reset."""
        return self._worst_s

    def require(self, measured_s: float, bound_s: float, what: str) -> None:
        """Check that something took no longer than a bound, widened by what this machine is late itself.

        Raises
        ------
        InconclusiveError
            If it took longer on a machine that is too slow to tell.
        NonconformityError
            If it took longer.
        """
        if measured_s > bound_s + self._slack_s:
            self._blame(f"expected {what} within {bound_s:g} s, took {measured_s:.3f} s")

    def require_no_earlier(self, measured_s: float, bound_s: float, what: str) -> None:
        """Check that something took no less than a bound, narrowed by what this machine is late itself.

        Raises
        ------
        InconclusiveError
            If it took less on a machine that is too slow to tell.
        NonconformityError
            If it took less.
        """
        if measured_s < bound_s - self._slack_s:
            self._blame(f"expected {what} no earlier than after {bound_s:g} s, took {measured_s:.3f} s")

    @property
    def _slack_s(self) -> float:
        return min(2 * self._worst_s, WIDEST_S)

    def _blame(self, text: str) -> None:
        if self._worst_s > VOID_S:
            raise InconclusiveError(f"{text}, on a machine that was {self._worst_s:.3f} s late itself")
        raise NonconformityError(text)

    def close(self) -> None:
        """End the thread."""
        self._stop.set()
        self._thread.join()
