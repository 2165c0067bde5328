"""The uplink receiver between a radio's socket and the rules: what is heard, what is not, and who is told."""

import queue
import threading
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt
import pytest

from protocol.testbed import default_facts
from sdr_backend.array_radio import ArrayRadio
from sdr_backend.config import UplinkReceiverSection
from sdr_backend.drivers import DriverSection, OptionValue
from sdr_backend.server import Hear
from sdr_backend.sounder import OfdmSounder
from sdr_backend.sounding import Rounds, SlotListener
from sdr_backend.uplink import UplinkReceiver
from sdr_backend.zmq_iq import ZmqIq
from tests.oracles import dense_snapshot
from tests.sdr_backend.keeping import Keep
from tests.sdr_backend.settings import UPLINK
from tests.sdr_backend.sounded_array import SoundedArray, heard_round
from ue_agent.sounder import SounderContext

ComplexArray = npt.NDArray[np.complex128]
WITHIN_S = 30.0
C_M_S = 299_792_458.0
FACTS = msgspec.structs.replace(default_facts(), uplink=UPLINK)
ROUNDS = Rounds.of(UPLINK.grid.count, ("near", "away", "far"))
SNAPSHOTS = {
    "near": dense_snapshot(UPLINK, [(1.0, 6.0, 0.4, 0.0)], C_M_S),
    "far": dense_snapshot(UPLINK, [(0.3, 18.5, -0.7, 0.0)], C_M_S),
}
DELAY, NOISE_RMS = 41, 1e-3
ANTENNAS = UPLINK.array.elements


class Air:
    """An air of samples that keeps whom it was told of."""

    def __init__(self) -> None:
        self.told: list[tuple[str, int]] = []
        self.asked = threading.Event()

    def captured(self, ue: str, epoch: int) -> None:
        self.told.append((ue, epoch))
        self.asked.set()


class Bench:
    """A receiver, what it says, and its array, which may be away."""

    def __init__(self, folder: Path, kept: Keep, patience_s: float) -> None:
        self.endpoint = f"ipc://{folder}/array"
        self.air = Air()
        self.told: queue.Queue[tuple[Hear, ComplexArray | str]] = queue.Queue()
        options: dict[str, OptionValue] = {"receive": self.endpoint, "counted": ROUNDS.samples, "width": ANTENNAS}
        section = UplinkReceiverSection(
            radio=DriverSection(driver="zmq-iq", options=options), delay_samples=DELAY, patience_s=patience_s
        )
        self.receiver = kept(
            UplinkReceiver(
                section,
                FACTS,
                ROUNDS.slots,
                self.air,
                on_heard=lambda command, samples: self.told.put((command, samples)),
                on_failed=lambda error: self.told.put((Hear(epoch=1, ue="failed"), str(error))),
            )
        )

    def array(self) -> SoundedArray:
        return SoundedArray(self.endpoint, heard_round(ROUNDS, SNAPSHOTS, DELAY), NOISE_RMS)

    def answer(self) -> tuple[Hear, ComplexArray | str]:
        return self.told.get(timeout=WITHIN_S)


@pytest.fixture
def bench_of(tmp_path: Path, kept: Keep) -> Callable[[float], Bench]:
    return lambda patience_s: Bench(tmp_path, kept, patience_s)


def difference(samples: ComplexArray | str, ue: str) -> float:
    """How far a snapshot is off, rms, but for its phase."""
    assert not isinstance(samples, str), samples
    turn = np.vdot(samples, SNAPSHOTS[ue])
    return float(np.sqrt(np.mean(abs(samples * turn / abs(turn) - SNAPSHOTS[ue]) ** 2)))


#: Noise of one symbol against the amplitude sent, in the mean of five; an rms of hundreds of samples errs by little.
NOISE = 1.5 * NOISE_RMS / ROUNDS.layout.amplitude / np.sqrt(5)


@pytest.mark.clause("6.4")
def test_soundings_are_heard_in_the_order_in_which_they_are_asked_for(
    bench_of: Callable[[float], Bench], kept: Keep
) -> None:
    bench = bench_of(WITHIN_S)
    kept(bench.array())
    wanted = [Hear(epoch=epoch, ue=ue) for epoch, ue in enumerate(["far", "near", "near", "far"], 1)]
    for command in wanted:
        bench.receiver.hear(command)
    for command in wanted:
        heard, samples = bench.answer()
        assert heard is command
        assert difference(samples, command.ue) < NOISE
    assert bench.air.told == [(command.ue, command.epoch) for command in wanted]


def test_a_ue_that_is_not_heard_in_time_is_given_up_with_a_reason(
    bench_of: Callable[[float], Bench], kept: Keep
) -> None:
    bench = bench_of(0.5)
    kept(bench.array())
    bench.receiver.hear(Hear(epoch=1, ue="away"))
    _, reason = bench.answer()
    assert isinstance(reason, str)
    assert "sounding of away" in reason


def test_what_is_forgotten_holds_up_nobody(bench_of: Callable[[float], Bench], kept: Keep) -> None:
    bench = bench_of(1000.0)
    kept(bench.array())
    for epoch in (1, 2):
        bench.receiver.hear(Hear(epoch=epoch, ue="away"))
    assert bench.air.asked.wait(WITHIN_S)
    bench.receiver.forget()
    bench.receiver.hear(Hear(epoch=3, ue="near"))
    answers = {heard.epoch: samples for heard, samples in (bench.answer() for _ in range(2))}
    assert isinstance(answers[1], str)
    assert difference(answers[3], "near") < NOISE


def test_an_array_that_begins_anew_is_heard_again_in_step(bench_of: Callable[[float], Bench], kept: Keep) -> None:
    bench = bench_of(WITHIN_S)
    first = bench.array()
    bench.receiver.hear(Hear(epoch=1, ue="near"))
    assert difference(bench.answer()[1], "near") < NOISE
    first.close()
    bench.receiver.hear(Hear(epoch=2, ue="far"))  # waits for the next one
    kept(bench.array())
    assert difference(bench.answer()[1], "far") < NOISE


@pytest.fixture
def sounder(tmp_path: Path, kept: Keep) -> str:
    endpoint = f"ipc://{tmp_path}/{{ue}}"
    options: dict[str, OptionValue] = {
        "radio": "zmq-iq-streams",
        "transmit": endpoint,
        "stride": ROUNDS.samples,
        "block": 777,
    }
    kept(OfdmSounder(SounderContext(ue="far", slots=ROUNDS.slots, facts=FACTS, options=options)))
    return endpoint.replace("{ue}", "far")


def test_a_sounder_has_a_burst_in_its_own_slot_of_one_round_after_another(sounder: str, kept: Keep) -> None:
    array = ArrayRadio(kept(ZmqIq({"receive": sounder})), 1)
    listener = SlotListener(ROUNDS, 0, 1.0)
    listener.begin("far")
    numbers: list[int] = []
    while len(numbers) < 20:  # more than are sent at once
        sounding = listener.heard(array.receive(ROUNDS.layout.frame_samples, WITHIN_S))
        if sounding is not None:
            np.testing.assert_allclose(sounding.samples, 1.0, rtol=0, atol=4e-7)  # as in test_sounding
            numbers.append(sounding.number)
    assert numbers == sorted(set(numbers))


def test_a_sounder_without_its_radio_is_an_error_that_says_so() -> None:
    context = SounderContext(ue="far", slots=ROUNDS.slots, facts=default_facts(), options={"radio": "zmq-iq", "x": 1})
    with pytest.raises(LookupError, match=r"sounder ofdm: driver zmq-iq: .*`?x`?"):
        OfdmSounder(context)
