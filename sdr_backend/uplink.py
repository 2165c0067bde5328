"""The uplink array's receiver: a thread that hears one UE's sounding after another, as they are asked for (shell).

Samples are read only while a sounding is wanted. What a chain of programs held before is thrown away: the air may have changed.
An air of samples is told first who is listened to.
"""

import logging
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Protocol

import numpy as np
import numpy.typing as npt

from protocol.testbed import TestbedFacts
from sdr_backend.array_calibration import corrections
from sdr_backend.array_radio import ArrayRadio
from sdr_backend.config import UplinkReceiverSection
from sdr_backend.radio import opened_radio
from sdr_backend.server import Hear
from sdr_backend.sounding import Rounds, SlotListener, Sounding, longest_flight_samples

logger = logging.getLogger(__name__)

ComplexArray = npt.NDArray[np.complex128]
BLOCK_SAMPLES = 1024  # of each antenna
WITHIN_S = 0.05  # how long a read may last before it is seen that it is to end


class SoundedAir(Protocol):
    """An air of samples that has to know who is listened to."""

    def captured(self, ue: str, epoch: int) -> None:
        """Return when the air is that of this UE's sounding, or nobody will ever say so."""


class UplinkReceiver:
    """Hears soundings by one radio.

    `on_heard` is called with a command and the array's snapshot ``(element, subcarrier)``, or with the reason why there is
    none; `on_failed` when the device is lost for good; both from the receiver's own thread.

    Raises
    ------
    LookupError, ValueError
        If there is no such driver, or options or calibration do not fit.
    RadioError
        If the device cannot be had.
    """

    def __init__(
        self,
        section: UplinkReceiverSection,
        shared: TestbedFacts,
        slots: tuple[str, ...],
        air: SoundedAir | None,
        *,
        on_heard: Callable[[Hear, ComplexArray | str], object],
        on_failed: Callable[[Exception], object],
    ) -> None:
        self.counters: Counter[str] = Counter()
        self._section, self._air = section, air
        antennas, subcarriers = shared.uplink.array.elements, shared.uplink.grid.count
        self._corrections = corrections(section.calibration, antennas, subcarriers)
        self._on_heard, self._on_failed = on_heard, on_failed
        rounds, longest = Rounds.of(subcarriers, slots), longest_flight_samples(shared)
        self._listener = SlotListener(rounds, section.delay_samples, longest)
        self._commands: queue.SimpleQueue[Hear | None] = queue.SimpleQueue()
        self._given_up = threading.Event()
        self._closing = threading.Event()
        self._array = ArrayRadio(opened_radio(section.radio.driver, section.radio.options), antennas)
        self._thread = threading.Thread(target=self._run, name="uplink receiver", daemon=True)
        self._thread.start()

    def hear(self, command: Hear) -> None:
        """Hear a UE after those that were asked for before."""
        self._commands.put(command)

    def forget(self) -> None:
        """Hear nobody any more who was asked for before."""
        while not self._commands.empty():
            self._commands.get()
        self._given_up.set()

    def close(self) -> None:
        """End the thread and release the device."""
        self._closing.set()
        self._given_up.set()
        self._commands.put(None)
        self._thread.join()
        self._array.close()

    def _run(self) -> None:
        try:
            while (command := self._commands.get()) is not None and not self._closing.is_set():
                self._given_up.clear()
                began_s = time.monotonic()
                sounding = self._heard(command)
                self._tell(command, sounding, time.monotonic() - began_s)
        except Exception as error:  # a driver may raise anything, and nobody else would see that the array is deaf
            self._on_failed(error)

    def _heard(self, command: Hear) -> Sounding | None:
        """Return the next sounding of a UE, or none if there is none in time."""
        until_s = time.monotonic() + self._section.patience_s
        if self._air is not None:
            self._air.captured(command.ue, command.epoch)
        self._array.flush()
        self._listener.begin(command.ue)
        to_flush = self._section.flush_samples
        while time.monotonic() < until_s and not self._given_up.is_set():
            block = self._array.receive(BLOCK_SAMPLES, WITHIN_S)
            if to_flush > 0:
                to_flush -= block.samples.shape[1]
            elif (sounding := self._listener.heard(block)) is not None:
                return sounding
        return None

    def _tell(self, command: Hear, sounding: Sounding | None, took_s: float) -> None:
        if sounding is None:
            self.counters["unheard"] += 1
            text = (
                f"expected a sounding of {command.ue} within {took_s:.3g} s, heard none "
                f"(since the start {self._listener.unread} slots unread, {self._listener.untimely} bursts untimely)"
            )
            self._on_heard(command, text)
            return
        self.counters["heard"] += 1
        logger.debug(
            "%s: sounding %d after %.0f ms, %.3f samples late, carrier %.4f spacings off",
            command.ue,
            sounding.number,
            1000 * took_s,
            sounding.delay_samples,
            sounding.carrier_offset_spacings,
        )
        self._on_heard(command, sounding.samples * self._corrections)
