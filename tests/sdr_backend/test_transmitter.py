"""What is on the air: each pilot's burst through its own beam, at the beginning of a frame, again and again."""

import itertools
import queue
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import numpy as np
import pytest

from protocol.testbed import Setting
from sdr_backend.front_end import FrontEndContext, PilotSetting, opened_front_end, pilots_from_setting
from sdr_backend.ofdm import FrameLayout, Modulator
from sdr_backend.server import Apply
from sdr_backend.soapy import SoapyRadio
from sdr_backend.synchronisation import Burst, BurstDetector
from sdr_backend.transmitter import LEAD, Transmitter
from sdr_backend.zmq_iq import ZmqIq
from tests.sdr_backend.fake_devices import PATIENCE_S, Event, FakeFrontEnd, FakeRadio
from tests.sdr_backend.keeping import Keep
from tests.sdr_backend.processes import running
from tests.sdr_backend.settings import LIMITS

LAYOUT = FrameLayout.of(64)


def command(epoch: int, *, groups: int = 1) -> Apply:
    """Return two groups in a pilot, each group with a phase of its own."""
    phase_cycles = np.repeat(np.arange(groups)[:, np.newaxis] / 8, LIMITS.elements, axis=1)
    setting = Setting(phase_cycles=phase_cycles, delay_s=np.zeros_like(phase_cycles), groups_per_pilot=2)
    return Apply(epoch=epoch, pilots=tuple(pilots_from_setting(setting, LIMITS)))


class Bed:
    """A transmitter over fakes, and the order of what they were told."""

    def __init__(self, settle_s: float = 0.0) -> None:
        self.events: queue.Queue[Event] = queue.Queue()
        self.radio = FakeRadio(self.events)
        front_end = FakeFrontEnd(self.events, msgspec.structs.replace(LIMITS, settle_s=settle_s))
        self.applied: queue.Queue[Apply] = queue.Queue()
        self.failed: queue.Queue[Exception] = queue.Queue()
        self.transmitter = Transmitter(
            self.radio, front_end, Modulator(LAYOUT), lambda done, _: self.applied.put(done), self.failed.put
        )

    def next(self, *names: str) -> list[Event]:
        """Return the next events, which must have these names."""
        events = [self.events.get(timeout=PATIENCE_S) for _ in names]
        assert tuple(name for name, _ in events) == names
        return events

    def close(self) -> None:
        self.transmitter.close()


def test_each_pilot_is_loaded_and_latched_after_the_one_before_has_left(kept: Keep) -> None:
    bed = kept(Bed())
    bed.transmitter.apply(command(1, groups=4))
    bed.next("left")  # nothing, before the first setting
    assert bed.next("load", "load") == [("load", 0), ("load", 2)]  # once for the answer
    for pilot in (0, 2, 0):
        load, latch, transmit = bed.next("load", "latch", "transmit")
        assert load[1] == pilot
        assert latch[1] == transmit[1]
        assert transmit[1] % LAYOUT.frame_samples == 0
        bed.radio.let_leave()
        bed.next("left")


def test_single_pilot_is_latched_once_and_sent_again_and_again(kept: Keep) -> None:
    bed = kept(Bed())
    bed.transmitter.apply(command(1))
    bed.next("left", "load", "load", "latch", "transmit")
    for _ in range(3):
        bed.radio.let_leave()
        bed.next("left", "transmit")


def test_burst_comes_no_earlier_than_the_front_end_has_settled(kept: Keep) -> None:
    bed = kept(Bed(settle_s=0.1))
    bed.transmitter.apply(command(1))
    *_, transmit = bed.next("left", "load", "load", "latch", "transmit")
    assert transmit[1] >= 0.1 * bed.radio.rate_hz + LEAD


def test_late_burst_is_sent_in_a_later_frame_and_counted(kept: Keep) -> None:
    bed = kept(Bed())
    bed.radio.late = 2
    bed.transmitter.apply(command(1))
    bed.next("left", "load", "load", "latch")
    for _ in range(2):
        bed.radio.let_leave()
        bed.next("left")
    ((_, at),) = bed.next("transmit")
    assert at >= 4 * LEAD  # twice doubled
    assert bed.transmitter.counters["late_bursts"] == 2


def test_the_lead_that_lateness_made_longer_is_shorter_again_after_many_bursts(kept: Keep) -> None:
    bed = kept(Bed())
    bed.radio.late = 5
    bed.transmitter.apply(command(1))
    bed.next("left", "load", "load", "latch")
    for _ in range(5):
        bed.radio.let_leave()
        bed.next("left")
    bed.next("transmit")
    for _ in range(80):  # (15/16)^80 of 32 is less than one
        bed.radio.let_leave()
        before, (_, at) = bed.next("left", "transmit")
    # the frame that the lead ends in may have begun with it
    assert at - before[1] < LEAD + 16 + LAYOUT.frame_samples


def test_new_setting_is_begun_at_once_and_told_in_order(kept: Keep) -> None:
    bed = kept(Bed())
    commands = [command(epoch, groups=4) for epoch in (1, 2, 3)]
    for each in commands:
        bed.transmitter.apply(each)
    assert [bed.applied.get(timeout=PATIENCE_S) for _ in commands] == commands


def test_new_setting_begins_with_its_first_pilot(kept: Keep) -> None:
    bed = kept(Bed())
    bed.transmitter.apply(command(1, groups=4))
    bed.next("left", "load", "load", "load", "latch", "transmit")
    bed.transmitter.apply(command(2, groups=4))
    names = ("left", "load", "load", "load", "latch", "transmit")
    assert [about for name, about in bed.next(*names) if name == "load"] == [0, 2, 0]


def test_device_that_is_lost_is_told_once_and_both_are_released(kept: Keep) -> None:
    bed = kept(Bed())
    bed.radio.failure = "unplugged"
    bed.transmitter.apply(command(1))
    assert str(bed.failed.get(timeout=PATIENCE_S)) == "unplugged"
    bed.transmitter.close()
    names = [bed.events.get_nowait()[0] for _ in range(bed.events.qsize())]
    assert names[-2:] == ["radio closed", "front end closed"]


class Air:
    """A transmitter that hears itself, and is told of its beams."""

    def __init__(self, endpoint: str) -> None:
        self.radio = ZmqIq({"transmit": endpoint, "receive": endpoint, "paced": False})
        self.beams: list[tuple[int, PilotSetting]] = []
        context = FrontEndContext(elements=LIMITS.elements, options={"groups": 2, "settle_s": 0.0}, hook=self)
        front_end = opened_front_end("simulated", context)
        self.transmitter = Transmitter(self.radio, front_end, Modulator(LAYOUT), _nobody, _nobody)
        self._detector = BurstDetector(LAYOUT)

    def latched(self, pilot: PilotSetting, at: int) -> None:
        self.beams.append((at, pilot))

    def heard(self) -> Iterator[Burst]:
        """Yield bursts as they come; the test's time limit bounds it."""
        while True:
            block = self.radio.receive(1024, 1.0)
            if block.samples.size:
                yield from self._detector.heard(block.samples, block.first_index)

    def beam(self, burst: Burst) -> PilotSetting:
        return [pilot for at, pilot in self.beams if at <= burst.first_index][-1]

    def close(self) -> None:
        self.transmitter.close()


def _nobody(*_: object) -> None:
    pass


@pytest.fixture
def air(tmp_path: Path, kept: Keep) -> Air:
    return kept(Air(f"ipc://{tmp_path}/iq"))


@pytest.mark.clause("6.2")
def test_bursts_on_the_air_carry_their_pilot_through_its_own_beam(air: Air) -> None:
    air.transmitter.apply(command(70_000, groups=6))
    heard = air.heard()
    bursts = [next(heard) for _ in range(7)]
    assert [burst.tag.pilot for burst in bursts] == [0, 1, 2, 0, 1, 2, 0]
    for burst in bursts:
        assert burst.tag.epoch_nearest(70_001) == 70_000
        assert burst.first_index % LAYOUT.frame_samples == 0
        assert air.beam(burst).first_group == 2 * burst.tag.pilot
        np.testing.assert_allclose(burst.channel, 1, atol=1e-4)  # complex64 costs 1e-6, the carrier estimate more


def test_nothing_of_the_last_setting_is_heard_after_the_new_one(air: Air) -> None:
    heard = air.heard()
    air.transmitter.apply(command(1, groups=4))
    assert next(heard).tag.epoch == 1
    air.transmitter.apply(command(2))
    tags: Sequence[int] = [next(heard).tag.epoch for _ in range(40)]
    assert tags == sorted(tags)
    assert tags[-1] == 2


def test_silent_transmitter_sends_zeros(air: Air) -> None:
    air.transmitter.apply(command(1))
    next(air.heard())
    air.transmitter.silence()
    quiet = 0
    while quiet < 20 * LAYOUT.frame_samples:
        samples = air.radio.receive(1000, 1.0).samples
        quiet = quiet + samples.size if not samples.any() else 0


@pytest.mark.clause("6.2")
@pytest.mark.usefixtures("red_pitaya_module")
def test_bursts_pass_through_the_module_of_somebody_else_in_step_with_their_frames(kept: Keep) -> None:
    with running("sdr_backend.peers.red_pitaya", "--port", "0") as device:
        args = f"driver=redpitaya,addr=127.0.0.1,port={device.line}"
        radio = SoapyRadio({"args": args, "rate_hz": 1.25e6, "frequency_hz": 1e7})
        context = FrontEndContext(elements=LIMITS.elements, options={"groups": 2, "settle_s": 0.0})
        front_end = opened_front_end("simulated", context)
        transmitter = kept(Transmitter(radio, front_end, Modulator(LAYOUT), _nobody, _nobody))
        transmitter.apply(command(5, groups=6))
        detector, bursts = BurstDetector(LAYOUT), list[Burst]()
        while not in_step(bursts):  # a busy machine may let the device run empty, and the test begin anew
            block = radio.receive(4096, 1.0)
            if block.samples.size:
                bursts += detector.heard(block.samples, block.first_index)


def in_step(bursts: Sequence[Burst]) -> bool:
    """Return whether the last seven bursts are the pilots in turn, whole frames apart."""
    last = bursts[-7:]
    turns = [(later.tag.pilot - burst.tag.pilot) % 3 for burst, later in itertools.pairwise(last)]
    frames = {burst.first_index % LAYOUT.frame_samples for burst in last}
    return len(last) == 7 and len({burst.lock for burst in last}) == 1 and set(turns) == {1} and len(frames) == 1
