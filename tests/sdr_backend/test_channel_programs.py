"""What a channel program must do, whoever it is by: the one in numpy, and GNU Radio where there is one."""

import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from xmlrpc.client import Binary, ServerProxy

import numpy as np
import numpy.typing as npt
import pytest

from deploy.children import absence, channel_command
from protocol.config import EchoSection, SdrSection, UplinkAirSection
from sdr_backend.array_radio import ArrayRadio
from sdr_backend.channel import ArrayChannel, SampleChannel
from sdr_backend.driver_suite.bench import noise
from sdr_backend.drivers import OptionValue
from sdr_backend.radio import Samples
from sdr_backend.zmq_iq import ZmqIq
from sdr_backend.zmq_streams import ZmqStreams
from tests.sdr_backend.keeping import Keep

ComplexArray = npt.NDArray[np.complex128]
TAPS, STRIDE = 2048, 15360
ECHO = EchoSection(delay_samples=9, gain_db=-6.0)
UES = ("a", "b")
ANTENNAS, UPLINK_TAPS, ROUND = 3, 146, 1000
SOUNDER: Mapping[str, OptionValue] = {"stride": ROUND, "block": 1024, "patience_s": 1000.0}
PATIENCE_S = 30.0
#: Of GNU Radio's resampler, which the testbed file's `frame_delay_samples` holds.
DELAY = -3
#: What the testbed file allows a program to hold.
GUARD, FLUSH = 24576, 65536
UPLINK_FLUSH = 7168


class Bench:
    """A transmitter and two receivers with a channel program between them."""

    def __init__(self, section: SdrSection, kept: Keep, process: "subprocess.Popen[str]") -> None:
        streams = [section.stream_of(ue) for ue in UES]
        endpoints = " ".join(sent for sent, _ in streams)
        self.sender = kept(ZmqStreams({"transmit": endpoints, "stride": STRIDE, "guard": GUARD, "patience_s": 1000.0}))
        self.ears = [kept(ZmqIq({"receive": heard, "counted": STRIDE})) for _, heard in streams]
        self.sounders = [kept(ZmqStreams({"transmit": sounder(section, ue), **SOUNDER})) for ue in UES]
        assert section.uplink is not None
        options: dict[str, OptionValue] = {"receive": section.uplink.receive, "counted": ROUND, "width": ANTENNAS}
        self.array = kept(ArrayRadio(ZmqIq(options), ANTENNAS))
        self.process = process
        self._calls = ServerProxy(f"http://127.0.0.1:{section.channel_port}")
        self.echoes = np.zeros(1 + ECHO.delay_samples, dtype=np.complex64)
        self.echoes[[0, -1]] = 1.0, 10 ** (ECHO.gain_db / 20)

    def instance(self) -> str:
        """The name of the program's start; waits until it can be asked."""
        until_s = time.monotonic() + PATIENCE_S
        while True:
            try:
                return str(self._calls.instance())
            except OSError:
                assert time.monotonic() < until_s
                time.sleep(0.02)

    def change(self, taps: ComplexArray, *, session: str = "1", noise_rms: float = 0.0, offset: float = 0.0) -> str:
        padded = np.zeros(TAPS, dtype=np.complex64)
        padded[: taps.size] = taps
        blobs: dict[str, Any] = {ue: Binary(padded.tobytes()) for ue in UES}
        return str(
            self._calls.change(session, blobs, dict.fromkeys(UES, noise_rms), offset, Binary(self.echoes.tobytes()))
        )

    def change_uplink(self, rows: Mapping[str, ComplexArray], *, noise_rms: float = 0.0, offset: float = 0.0) -> str:
        blobs: dict[str, Any] = {ue: Binary(taps.astype(np.complex64).tobytes()) for ue, taps in rows.items()}
        return str(self._calls.change_uplink(blobs, noise_rms, offset))

    def heard_by_array(self, count: int) -> Samples:
        """So many samples of each antenna without a gap, ``(antenna, sample)``."""
        parts: list[Samples] = []
        until_s = time.monotonic() + PATIENCE_S
        while sum(part.shape[1] for part in parts) < count:
            assert time.monotonic() < until_s
            parts.append(self.array.receive(count, 0.2).samples)
        return np.concatenate(parts, axis=1)[:, :count]

    def heard(self, count: int, ear: int = 0) -> Samples:
        """So many samples without a gap, and none lost before them."""
        parts: list[Samples] = []
        until_s = time.monotonic() + PATIENCE_S
        while sum(part.size for part in parts) < count:
            assert time.monotonic() < until_s
            block = self.ears[ear].receive(count, 0.2)
            assert block.overrun == 0
            parts.append(block.samples)
        return np.concatenate(parts)[:count]


def sounder(section: SdrSection, ue: str) -> str:
    assert section.uplink is not None
    return section.uplink.transmit.replace("{ue}", ue)


def place_of(heard: Samples) -> int:
    """Where a burst begins that was sent at a multiple of the stride; streams that nobody has read yet skip some."""
    first = int(np.flatnonzero(np.abs(heard) > 1e-3)[0])
    return round((first - DELAY) / STRIDE) * STRIDE


@contextmanager
def bench_of(program: str, folder: Path, port: int) -> Iterator[Bench]:
    section = SdrSection(
        program=program,  # type: ignore[arg-type]
        settings=f"ipc://{folder}/s",
        channel_port=port,
        transmit=f"ipc://{folder}/{{ue}}.sent",
        receive=f"ipc://{folder}/{{ue}}.heard",
        echoes=(ECHO,),
        uplink=UplinkAirSection(transmit=f"ipc://{folder}/{{ue}}.sounded", receive=f"ipc://{folder}/array"),
    )
    words = ["--array", f"ipc://{folder}/array", "--antennas", str(ANTENNAS), "--uplink-taps", str(UPLINK_TAPS)]
    for ue in UES:
        words += ["--sounder", ue, sounder(section, ue)]
    if (reason := absence(section)) is not None:
        pytest.skip(reason)
    process = subprocess.Popen(channel_command(section, TAPS, UES, tuple(words)), stdout=subprocess.PIPE, text=True)
    try:
        with ExitStack() as stack:
            yield Bench(section, Keep(stack), process)
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(params=["numpy", "gnuradio"])
def program(request: pytest.FixtureRequest) -> str:
    name = request.param
    assert isinstance(name, str)
    return name


@pytest.fixture
def bench(program: str, tmp_path: Path, free_port: int) -> Iterator[Bench]:
    with bench_of(program, tmp_path, free_port) as made:
        made.instance()
        yield made


def taps(seed: int) -> ComplexArray:
    parts = np.random.default_rng(seed).standard_normal((1500, 2))
    filled: ComplexArray = parts.view(np.complex128)[:, 0] / 50
    return filled


def expected(bench: Bench, sent: Samples, filtered_by: ComplexArray, lengths: Sequence[int], offset: float) -> Samples:
    reference = SampleChannel(1)
    reference.change(filtered_by, bench.echoes.astype(np.complex128), 0.0, offset)
    before, after = lengths
    return reference.passed(np.concatenate([np.zeros(before), sent, np.zeros(after)]).astype(np.complex64))


def test_samples_pass_taps_and_echo_with_a_delay_that_is_always_the_same(bench: Bench) -> None:
    bench.change(taps(1))
    sent, at = noise(1, 4000), 8 * STRIDE
    bench.sender.transmit(sent, at)
    heard = bench.heard(at + 10_000)
    at = place_of(heard)
    heard = heard[: at + 10_000]
    whole = expected(bench, sent, taps(1), (at + DELAY, 6000 - DELAY), 0.0)
    # cf32 transforms of 4096 samples of size 1: 2^-24 of them, a few times over
    np.testing.assert_allclose(heard, whole, rtol=0, atol=2e-5)


def test_a_carrier_that_is_off_turns_from_one_sample_to_the_next_by_as_much(bench: Bench) -> None:
    offset = 0.05 / TAPS
    bench.change(np.ones(1, dtype=np.complex128), offset=offset)
    sent, at = noise(2, 8000), 8 * STRIDE
    bench.sender.transmit(sent, at)
    heard = bench.heard(at + 9000)
    at = place_of(heard)
    heard = heard[: at + 9000]
    whole = expected(bench, sent, np.ones(1, dtype=np.complex128), (at + DELAY, 1000 - DELAY), offset)
    turn = np.vdot(whole, heard)  # the phase at the first sample is nobody's
    # an oscillator of fixed-point phase: 1e-6 of a turn in 8000 samples
    np.testing.assert_allclose(heard, whole * turn / abs(turn), rtol=0, atol=1e-4)


def test_noise_has_the_power_that_it_is_told(bench: Bench) -> None:
    bench.change(np.ones(1, dtype=np.complex128), noise_rms=0.3)
    bench.heard(60_000)  # what was held before
    power = np.mean(np.abs(bench.heard(60_000)) ** 2)
    # the mean of so many exponential powers, five deviations, and as much for tables of noise that repeat
    assert power == pytest.approx(0.09, rel=10 / np.sqrt(60_000))


def test_nothing_is_heard_before_there_are_taps(bench: Bench) -> None:
    bench.sender.transmit(noise(3, 4000), 8 * STRIDE)
    assert not bench.heard(10 * STRIDE).any()


def test_new_taps_hold_for_all_samples_that_come_after_the_guard(bench: Bench) -> None:
    bench.change(taps(1))
    bench.sender.transmit(noise(4, 4000), 8 * STRIDE)
    bench.heard(8 * STRIDE + 4000 + GUARD)
    bench.change(taps(2))
    sent, first = noise(5, 4000), bench.ears[0].received
    bench.sender.transmit(sent, (bench.sender.transmitted // STRIDE + 2) * STRIDE)
    heard = bench.heard(8 * STRIDE)
    at = place_of(np.concatenate([np.zeros(first, np.complex64), heard])) - first
    whole = expected(bench, sent, taps(2), (at + DELAY, heard.size - at - DELAY - 4000), 0.0)
    np.testing.assert_allclose(heard[at - 100 :], whole[at - 100 :], rtol=0, atol=2e-5)


def test_a_ue_that_does_not_read_holds_up_nobody_and_little_is_held_for_it(bench: Bench) -> None:
    bench.change(np.ones(1, dtype=np.complex128))
    assert bench.heard(2 * STRIDE, ear=1).size == 2 * STRIDE
    bench.heard(20 * STRIDE)
    until_s = time.monotonic() + 0.5  # until the program has asked for all that it can hold
    while time.monotonic() < until_s:
        time.sleep(0.05)
    assert bench.sender.transmitted - bench.ears[0].received <= FLUSH


def array_taps(seed: int) -> dict[str, ComplexArray]:
    """Of each UE to each antenna, ``(antenna, tap)``."""
    parts = np.random.default_rng(seed).standard_normal((len(UES), ANTENNAS, UPLINK_TAPS, 2)) / 20
    return dict(zip(UES, parts.view(np.complex128)[..., 0], strict=True))


def test_an_array_hears_the_sum_of_all_ues_behind_filters_of_each_antenna_and_a_carrier(bench: Bench) -> None:
    offset = 0.05 / 100
    bench.change_uplink(array_taps(6), offset=offset)
    bench.heard_by_array(ROUND)  # streams that nobody has read yet would skip some
    at = (max(radio.transmitted for radio in bench.sounders) // ROUND + 2) * ROUND
    sent = {ue: noise(seed, 3000) for seed, ue in enumerate(UES, 7)}
    for radio, samples in zip(bench.sounders, sent.values(), strict=True):
        radio.transmit(samples, at)
    heard = bench.heard_by_array(at + 3 * ROUND)
    before = np.zeros(at - ROUND, np.complex64)
    silence = np.zeros(3000, np.complex64)
    of_each = []
    for ue in UES:
        reference = ArrayChannel(UES, ANTENNAS, UPLINK_TAPS, 1)
        reference.change(array_taps(6), 0.0, offset)
        parts = {other: sent[ue] if other == ue else silence for other in UES}
        of_each.append(
            reference.passed({o: np.concatenate([before, part, before[:ROUND]]) for o, part in parts.items()}).T
        )
    # each UE's oscillator has a phase at the first sample that is nobody's, the same for all antennas
    turns = np.linalg.lstsq(np.stack([one.ravel() for one in of_each], axis=1), heard.ravel())[0]
    # an oscillator of fixed-point phase, 1e-6 of a turn in thousands of samples, of sums up to 5
    np.testing.assert_allclose(np.abs(turns), 1.0, rtol=0, atol=1e-5)
    np.testing.assert_allclose(heard, np.tensordot(turns, of_each, 1), rtol=0, atol=1e-4)


def test_noise_of_antennas_has_its_power_and_little_is_held_for_an_array_that_does_not_read(bench: Bench) -> None:
    bench.change_uplink({}, noise_rms=0.3)
    bench.heard_by_array(UPLINK_FLUSH)
    heard = bench.heard_by_array(20_000)
    share = heard @ heard.conj().T / heard.shape[1]
    # as for one UE's; that of each antenna has nothing to do with the others'
    np.testing.assert_allclose(share, 0.09 * np.eye(ANTENNAS), rtol=0, atol=0.09 * 10 / np.sqrt(heard.shape[1]))
    until_s = time.monotonic() + 0.5
    while time.monotonic() < until_s:
        time.sleep(0.05)
    read = UPLINK_FLUSH + 20_000
    assert max(sounder.transmitted for sounder in bench.sounders) - read <= UPLINK_FLUSH


def test_another_transmitter_makes_the_program_begin_anew_with_empty_streams(bench: Bench) -> None:
    first = bench.change(np.ones(1, dtype=np.complex128))
    assert first == bench.instance()
    bench.heard(1000)
    bench.ears[0].flush()
    assert bench.change(np.ones(1, dtype=np.complex128), session="2") == ""
    until_s = time.monotonic() + PATIENCE_S
    while bench.instance() == first:
        assert time.monotonic() < until_s
        time.sleep(0.02)
    assert bench.change(np.ones(1, dtype=np.complex128), session="2")
    block = bench.ears[0].receive(1000, PATIENCE_S)
    assert block.first_index % STRIDE == 0  # its count begins again, at a frame
    assert block.overrun > 0


def test_the_program_stops_with_status_0(bench: Bench) -> None:
    bench.process.terminate()
    assert bench.process.wait(PATIENCE_S) in {0, -15}
