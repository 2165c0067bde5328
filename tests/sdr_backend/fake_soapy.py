"""A stand-in for SoapySDR's Python binding whose device is a list of what each read gives."""

import threading
from collections import deque
from types import SimpleNamespace
from typing import Any

import numpy as np

HELD_S = 3.0  # at most, so that a test that failed ends
TIMEOUT, OVERFLOW, NOT_SUPPORTED = -1, -4, -5


class FakeDevice:
    """Gives samples in all-or-nothing reads: `there` are to be had, or a code is."""

    def __init__(self, there: "deque[int]") -> None:
        self.there = there  # how many samples may be read at once; below zero a code
        self.asked: list[int] = []
        self.written: list[Any] = []
        self.largest_write = 100
        self.closed = 0  # streams
        self.flows = threading.Event()  # calls of streams return
        self.flows.set()
        self.alive, self.broken, self.rate_hz = True, "", 1e6
        self._next = 0

    def setSampleRate(self, *_: object) -> None:
        if self.broken:
            raise RuntimeError(self.broken)

    def setFrequency(self, *_: object) -> None: ...

    def getSampleRate(self, *_: object) -> float:
        return self.rate_hz

    def setupStream(self, direction: int, *_: object) -> int:
        return direction

    def activateStream(self, _: int) -> int:
        return 0

    def deactivateStream(self, _: int) -> None: ...

    def close(self) -> None:
        self.alive = False

    def closeStream(self, _: int) -> None:
        self.closed += 1

    def readStream(self, _stream: int, buffers: list[Any], size: int, _flags: int, _timeout_us: int) -> Any:
        self.flows.wait(HELD_S)
        self.asked.append(size)
        if not self.there:
            return SimpleNamespace(ret=TIMEOUT)
        if self.there[0] < 0:
            return SimpleNamespace(ret=self.there.popleft())
        if self.there[0] < size:
            return SimpleNamespace(ret=TIMEOUT)
        self.there[0] -= size
        if not self.there[0]:
            self.there.popleft()
        buffers[0][:] = np.arange(self._next, self._next + size)
        self._next += size
        return SimpleNamespace(ret=size)

    def writeStream(self, _stream: int, buffers: list[Any], size: int, *_: int) -> Any:
        self.flows.wait(HELD_S)
        taken = min(size, self.largest_write)
        self.written.append(buffers[0][:taken].copy())
        return SimpleNamespace(ret=taken)


class FakeSoapy:
    SOAPY_SDR_RX, SOAPY_SDR_TX, SOAPY_SDR_CF32, SOAPY_SDR_ERROR = 1, 0, "CF32", 3
    SOAPY_SDR_TIMEOUT, SOAPY_SDR_OVERFLOW = TIMEOUT, OVERFLOW

    def __init__(self) -> None:
        self.devices: list[FakeDevice] = []
        self.there: deque[int] = deque()
        self.refuse = self.broken = ""
        self.rate_hz = 1e6

    def Device(self, args: str) -> FakeDevice:
        if self.refuse:
            raise RuntimeError(f"{self.refuse}: {args}")
        if self.devices and self.devices[-1].alive:  # as SoapySDR does with a device that anything still refers to
            return self.devices[-1]
        self.devices.append(FakeDevice(self.there))
        self.devices[-1].broken, self.devices[-1].rate_hz = self.broken, self.rate_hz
        return self.devices[-1]

    def setLogLevel(self, _: int) -> None: ...

    def errToStr(self, code: int) -> str:
        return {TIMEOUT: "TIMEOUT", OVERFLOW: "OVERFLOW"}.get(code, str(code))
