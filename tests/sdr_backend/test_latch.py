"""Settings that change under way: whatever a chain of programs holds, no burst is taken for one of another setting."""

import itertools
import queue
import random
import threading
from pathlib import Path

import numpy as np
import zmq

from protocol.testbed import Setting
from sdr_backend.front_end import FrontEndContext, PilotSetting, opened_front_end, pilots_from_setting
from sdr_backend.ofdm import FrameLayout, Modulator
from sdr_backend.receiver import BurstListener, OfdmOptions
from sdr_backend.server import Apply
from sdr_backend.transmitter import Transmitter
from sdr_backend.zmq_iq import ZmqIq
from sdr_backend.zmq_streams import ZmqStreams
from tests.sdr_backend.keeping import Keep

LAYOUT = FrameLayout.of(64)
FRAME = LAYOUT.frame_samples
HELD = 3 * FRAME  # samples before the filter, and as many behind it
PATIENCE_S = 60.0


EPOCHS, SETTINGS = (
    3,
    42,
)  # a session has so few epochs here that what is left of the one before has the wanted one's number


def epoch_of(number: int) -> int:
    """The epoch of a setting, counted anew in each session."""
    return 1 + number % EPOCHS


def gain(number: int) -> float:
    """What a setting makes of samples; no two are the same."""
    return 1.0 + number / SETTINGS


class GreedyChain:
    """A channel that asks for all it can hold, as buffered programs do, and applies a new gain to all it holds at once."""

    def __init__(self, source: str, sink: str) -> None:
        self.gain = 0j
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._source, self._sink = self._context.socket(zmq.REQ), self._context.socket(zmq.REP)
        for socket in (self._source, self._sink):
            socket.linger = 0
        self._source.connect(source)
        self._sink.bind(sink)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        before, after = np.zeros(0, np.complex64), np.zeros(0, np.complex64)
        asked = False
        while not self._over.is_set():
            if not asked and before.size < HELD:
                self._source.send(b"\0")
                asked = True
            if asked and self._source.poll(1):
                before = np.append(before, np.frombuffer(self._source.recv(), "<c8"))
                asked = False
            if before.size >= HELD and after.size < HELD:  # nothing leaves the first buffer before it is full
                taken, before = np.split(before, [FRAME // 3])
                after = np.append(after, (self.gain * taken).astype(np.complex64))
            if after.size and self._sink.poll(0):
                self._sink.recv()
                self._sink.send(after.tobytes())
                after = after[:0]
        self._context.destroy(linger=0)

    def close(self) -> None:
        self._over.set()
        self._thread.join()


class Hook:
    """Changes all chains at once, setting by setting."""

    def __init__(self, chains: list[GreedyChain]) -> None:
        self._chains = chains
        self._settings = itertools.count()

    def latched(self, pilot: PilotSetting, at: int) -> None:
        number = next(self._settings)
        assert pilot.epoch == epoch_of(number), f"one latch for each setting expected, got another at {at}"
        for chain in self._chains:
            chain.gain = gain(number)


class Ue:
    """One receiver that reads when it is told to."""

    def __init__(self, sink: str, kept: Keep) -> None:
        self._radio = kept(ZmqIq({"receive": sink}))
        # an answer may hold more than the second buffer's bound, by the third of a frame that went in last
        self._ear = BurstListener(LAYOUT, OfdmOptions(radio="zmq-iq", flush_samples=2 * HELD + 3 * FRAME))

    def begin(self) -> None:
        """Read again after a pause."""
        self._radio.flush()
        self._ear.resume()

    def read(self) -> tuple[int, int] | None:
        """Read a block; return the epoch of the burst that it completes, and the number of the setting that filtered it."""
        found = self._ear.heard(self._radio.receive(FRAME // 2, 0.05), 1)
        if found is None:
            return None
        # the response is one tap, on a sample: but for rounding of cf32 the gain is exact
        number = (float(np.mean(np.abs(found[1]))) - 1.0) * SETTINGS
        assert abs(number - round(number)) < 1e-3
        return found[0], round(number)


class Bed:
    """A transmitter, and behind it two UEs."""

    def __init__(self, folder: Path, patience_s: float, kept: Keep) -> None:
        names = ("first", "second")
        chains = [kept(GreedyChain(f"ipc://{folder}/{name}.sent", f"ipc://{folder}/{name}.heard")) for name in names]
        self.ues = [Ue(f"ipc://{folder}/{name}.heard", kept) for name in names]
        transmit = " ".join(f"ipc://{folder}/{name}.sent" for name in names)
        options = {"stride": FRAME, "guard": HELD + 2 * FRAME, "block": 500, "patience_s": patience_s}
        radio = ZmqStreams({"transmit": transmit, **options})
        self._front_end = opened_front_end("ideal", FrontEndContext(elements=2, options={}, hook=Hook(chains)))
        self.applied: queue.Queue[Apply] = queue.Queue()
        self.failed: queue.Queue[Exception] = queue.Queue()
        modulator = Modulator(LAYOUT)
        self._sender = kept(
            Transmitter(radio, self._front_end, modulator, lambda done, _: self.applied.put(done), self.failed.put)
        )

    def apply(self, number: int) -> None:
        """Have a setting sent; a session's first comes after silence."""
        if epoch_of(number) == 1:
            self._sender.silence()
        setting = Setting(phase_cycles=np.zeros((1, 2)), delay_s=np.zeros((1, 2)))
        pilots = pilots_from_setting(setting, self._front_end.limits, epoch_of(number))
        self._sender.apply(Apply(epoch=epoch_of(number), pilots=tuple(pilots)))

    def is_applied(self, number: int) -> bool:
        """Return whether a setting is on the air now."""
        assert self.failed.empty()
        if self.applied.empty():
            return False
        assert self.applied.get().epoch == epoch_of(number)
        return True


def test_a_burst_that_comes_late_still_comes_through_its_own_setting(tmp_path: Path, kept: Keep) -> None:
    bed = Bed(tmp_path, 1000.0, kept)
    for number in range(SETTINGS):
        bed.apply(number)
        for more in itertools.count():
            for ue in bed.ues:
                if (found := ue.read()) is not None:
                    assert found[0] == epoch_of(found[1]), f"a burst of epoch {found[0]} passed setting {found[1]}"
            # a few blocks of a setting, so that the next one comes at any place of its bursts
            if more > number % 7 and bed.is_applied(number):
                break


def test_whoever_paused_hears_only_the_setting_that_is_on_the_air(tmp_path: Path, kept: Keep) -> None:
    bed, rng = Bed(tmp_path, 0.01, kept), random.Random(1)
    for number in range(SETTINGS):
        bed.apply(number)
        assert bed.applied.get(timeout=PATIENCE_S).epoch == epoch_of(number)
        for ue in [ue for ue, share in zip(bed.ues, (0.9, 0.3), strict=True) if rng.random() < share]:
            ue.begin()
            for _ in range(rng.randrange(60)):  # and leaves in the middle of something
                found = ue.read()
                assert found in {None, (epoch_of(number), number)}, f"setting {number} is on the air, heard {found}"
