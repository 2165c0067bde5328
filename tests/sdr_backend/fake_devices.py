"""A radio and a front end that note what they are told, and wait where a test has them wait."""

import queue
import threading

import numpy as np
import numpy.typing as npt

from protocol.testbed import FrontEndLimits
from sdr_backend.front_end import PilotSetting
from sdr_backend.radio import Block, LateError

PATIENCE_S = 20.0
Event = tuple[str, int]  # what was called, and the pilot or index that it was about


class FakeRadio:
    """Bursts leave one by one, as the test says."""

    rate_hz = 1e6
    received = 0
    stretch = 0

    def __init__(self, events: "queue.Queue[Event]") -> None:
        self.transmitted, self.late, self.failure = 0, 0, ""
        self._events = events
        self._leave = threading.Semaphore(0)

    def transmit(self, samples: npt.NDArray[np.complex64], at: int | None = None) -> int:
        assert at is not None
        if self.failure:
            raise OSError(self.failure)
        if self.late:
            self.late -= 1
            raise LateError(at, at + 1)
        self.transmitted = at + samples.size
        self._events.put(("transmit", at))
        return at

    def let_leave(self) -> None:
        self._leave.release()

    def drain(self, within_s: float) -> bool:
        left = self._leave.acquire(timeout=within_s)
        if left:
            self._events.put(("left", self.transmitted))
        return left

    def receive(self, count: int, within_s: float) -> Block:
        raise NotImplementedError

    def flush(self) -> None:
        self._leave.release()  # the next wait ends at once: nothing is left to leave

    def close(self) -> None:
        self._events.put(("radio closed", 0))


class FakeFrontEnd:
    def __init__(self, events: "queue.Queue[Event]", limits: FrontEndLimits) -> None:
        self.limits, self._events = limits, events

    def load(self, pilot: PilotSetting) -> PilotSetting:
        self._events.put(("load", pilot.first_group))
        return pilot

    def latch(self, at: int) -> None:
        self._events.put(("latch", at))

    def close(self) -> None:
        self._events.put(("front end closed", 0))
