"""An uplink array that hears UEs in their slots, as a program of others may stand behind a radio's socket."""

import threading
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import zmq

from sdr_backend.counted_answers import WIRE, counted_answer
from sdr_backend.sounding import Rounds, Train
from tests.oracles import filtered_round

ComplexArray = npt.NDArray[np.complex128]
BLOCK = 200


def heard_round(rounds: Rounds, snapshots: Mapping[str, ComplexArray], delay_samples: int) -> ComplexArray:
    """One round as the antennas hear it again and again, ``(antenna, sample)``, so much later than without a time of flight."""
    antennas = len(next(iter(snapshots.values())))
    heard: ComplexArray = np.zeros((antennas, rounds.samples), dtype=np.complex128)
    for ue, snapshot in snapshots.items():
        sent = np.zeros(rounds.samples, dtype=np.complex128)
        burst = Train(rounds, ue).samples(1, 1)
        sent[rounds.burst_at(ue, 0) :][: burst.size] = burst
        heard += filtered_round(snapshot, sent, delay_samples)
    return heard


class SoundedArray:
    """Answers with the samples of one round after another and faint noise, items of all antennas, numbered."""

    def __init__(self, endpoint: str, heard: ComplexArray, noise_rms: float) -> None:
        self._items, self._noise_rms = np.ascontiguousarray(heard.T), noise_rms
        self._rng = np.random.default_rng(1)
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.REP)
        self._socket.bind(endpoint)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        index = 0
        while True:
            try:
                self._socket.recv()
            except zmq.ContextTerminated:
                self._socket.close(linger=0)
                return
            items = self._items[np.arange(index, index + BLOCK) % len(self._items)]
            noise = self._rng.standard_normal((*items.shape, 2)).view(np.complex128)[..., 0] / np.sqrt(2)
            self._socket.send(counted_answer(index, (items + self._noise_rms * noise).astype(WIRE).tobytes()))
            index += BLOCK

    def close(self) -> None:
        self._context.term()
        self._thread.join()
