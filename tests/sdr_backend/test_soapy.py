"""The driver `soapy` on a device of the test's own: short reads and writes, overflows, silence, and no binding at all."""

import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from sdr_backend import soapy_device
from sdr_backend.radio import LateError, RadioError
from sdr_backend.soapy import SoapyRadio
from sdr_backend.soapy_binding import soapy_binding
from sdr_backend.soapy_feeder import JUMP
from tests.sdr_backend.fake_soapy import NOT_SUPPORTED, OVERFLOW, FakeDevice, FakeSoapy
from tests.sdr_backend.keeping import Keep

PATIENCE_S = 20.0


@pytest.fixture
def binding(monkeypatch: pytest.MonkeyPatch) -> FakeSoapy:
    fake = FakeSoapy()
    monkeypatch.setattr(soapy_device, "soapy_binding", lambda: fake)
    return fake


def opened(**more: str | float | bool) -> SoapyRadio:
    return SoapyRadio({"args": "driver=fake", "rate_hz": 1e6, "frequency_hz": 1e7, "patience_s": 0.05, **more})


def test_reads_that_find_too_little_are_halved_until_everything_has_come(binding: FakeSoapy, kept: Keep) -> None:
    radio = kept(opened())
    binding.there.append(5)  # of all-or-nothing reads only those of 4 and 1 get something
    block = radio.receive(2000, 0.5)
    np.testing.assert_array_equal(block.samples, np.arange(5))
    asked = binding.devices[0].asked
    assert asked[:9] == [1024, 512, 256, 128, 64, 32, 16, 8, 4]
    assert max(asked[9:]) <= 8


def test_reads_grow_again_while_samples_come(binding: FakeSoapy, kept: Keep) -> None:
    radio = kept(opened())
    binding.there.append(5)
    radio.receive(5, PATIENCE_S)
    binding.there.append(10_000)
    asked = len(binding.devices[0].asked)
    radio.receive(10_000, PATIENCE_S)
    assert max(binding.devices[0].asked[asked:]) == 1024


def test_overflow_is_a_gap_before_the_next_block(binding: FakeSoapy, kept: Keep) -> None:
    radio = kept(opened())
    binding.there.extend([1000, OVERFLOW, OVERFLOW, 1000])
    first, second = radio.receive(2000, PATIENCE_S), radio.receive(1000, PATIENCE_S)
    assert (first.samples.size, first.overrun) == (1000, 0)
    assert (second.overrun, second.first_index, second.broken) == (2, 1002, True)  # each of unknown length


def test_device_that_falls_silent_is_opened_anew_and_heard_after_a_gap(binding: FakeSoapy, kept: Keep) -> None:
    radio = kept(opened())
    binding.there.append(8)
    radio.receive(8, PATIENCE_S)
    while len(binding.devices) == 1:
        radio.receive(8, 0.05)
    assert binding.devices[0].closed == 2
    binding.there.append(8)
    block = radio.receive(8, PATIENCE_S)
    assert (block.samples.size, block.overrun) == (8, 1)


def test_device_that_does_not_return_is_tried_again_and_meanwhile_nothing_comes(
    binding: FakeSoapy, kept: Keep, caplog: pytest.LogCaptureFixture
) -> None:
    radio = kept(opened())
    binding.refuse = "no such device"
    while caplog.text.count("no such device: driver=fake") < 2:
        assert radio.receive(8, 0.05).samples.size == 0
    binding.refuse = ""
    binding.there.append(8)
    assert radio.receive(8, PATIENCE_S).samples.size == 8


def test_device_that_breaks_while_it_is_opened_is_not_given_out_again(binding: FakeSoapy, kept: Keep) -> None:
    binding.broken = "sendCommand failed"
    with pytest.raises(RadioError, match="sendCommand failed") as refusal:
        opened()
    binding.broken = ""
    kept(opened())
    assert [device.alive for device in binding.devices] == [False, True], refusal  # whose frames refer to the first one


def test_error_of_a_read_counts_as_silence(binding: FakeSoapy, kept: Keep) -> None:
    radio = kept(opened())
    binding.there.extend([NOT_SUPPORTED] * 10_000)
    while len(binding.devices) == 1:
        assert radio.receive(8, 0.02).samples.size == 0


def test_short_writes_are_gone_on_with_and_a_burst_stands_at_its_index(binding: FakeSoapy, kept: Keep) -> None:
    radio = kept(opened(receive=False))
    sent = np.arange(1, 2501).astype(np.complex64)
    stretch, at = -1, 0
    while stretch != radio.stretch:  # a busy machine may be too late, and what was to be sent is not
        stretch = radio.stretch
        with suppress(LateError):
            at = radio.transmit(sent, radio.transmitted + 250_000)  # a quarter of a second
        assert radio.drain(PATIENCE_S)
    written = np.concatenate(binding.devices[0].written)
    first = at % JUMP  # what lies between two stretches is not written
    np.testing.assert_array_equal(written[first : first + sent.size], sent)
    with pytest.raises(LateError):
        radio.transmit(sent, at)


def test_flush_throws_away_what_has_waited_however_much(binding: FakeSoapy, kept: Keep) -> None:
    binding.rate_hz = 1e5  # which this thread outruns on a busy machine too
    radio = kept(opened())
    binding.there.extend([1024] * 3000)
    radio.flush()
    assert sum(binding.there) < 100 * 1024
    while radio.receive(1024, 0.0).samples.size:
        continue
    binding.there.append(8)
    assert radio.receive(8, PATIENCE_S).samples.size == 8


def test_device_is_fed_without_end_but_not_far_ahead_of_time(binding: FakeSoapy, kept: Keep) -> None:
    began_s = time.monotonic()
    radio = kept(opened(ahead_s=0.02, receive=False))
    while (handed_on := radio.transmitted % JUMP) < 200_000:
        lasted_s = time.monotonic() - began_s
        # read before the clock, so that a pause in between makes it laxer; a block is handed on at once
        assert handed_on - 2 * 1024 <= (lasted_s + 0.02 + 0.05) * 1e6
        radio.drain(0.0)
        threading.Event().wait(0.001)


def test_device_that_takes_nothing_is_opened_anew_and_fed_again(binding: FakeSoapy, kept: Keep) -> None:
    radio = kept(opened(receive=False))
    binding.devices[0].largest_write = 0
    sent = np.ones(10, dtype=np.complex64)
    deadline_s = time.monotonic() + PATIENCE_S
    while len(binding.devices) == 1 or not any(part.any() for part in binding.devices[1].written):
        radio.transmit(sent)
        radio.drain(0.05)
        assert time.monotonic() < deadline_s


def test_device_that_cannot_be_had_is_refused_with_its_arguments(binding: FakeSoapy) -> None:
    binding.refuse = "nothing found"
    with pytest.raises(RadioError, match="soapy: cannot open 'driver=fake': nothing found"):
        opened()


def test_radio_that_only_receives_opens_no_stream_to_transmit(binding: FakeSoapy) -> None:
    radio = opened(transmit=False)
    with pytest.raises(RadioError, match="transmit: true"):
        radio.transmit(np.ones(1, dtype=np.complex64))
    radio.close()
    assert binding.devices[0].closed == 1


def test_absent_binding_is_refused_with_how_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "SoapySDR", None)
    monkeypatch.delitem(sys.modules, "SoapySDR")
    monkeypatch.setattr(sys, "path", [path for path in sys.path if "dist-packages" not in path])
    with pytest.raises(RadioError, match=f"{tmp_path}; install it with: apt-get install python3-soapysdr"):
        soapy_binding((str(tmp_path),))


def test_binding_of_another_interpreter_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "SoapySDR", raising=False)
    for name in ("SoapySDR.py", "_SoapySDR.cpython-39-x86_64-linux-gnu.so"):
        (tmp_path / name).touch()
    with pytest.raises(RadioError, match="for Python 3"):
        soapy_binding((str(tmp_path),))


@pytest.mark.usefixtures("red_pitaya_module")
def test_binding_of_the_system_leaves_numpy_as_it_is() -> None:
    assert "dist-packages" not in str(np.__file__)
    assert not any("dist-packages" in path for path in sys.path)


def held_up(device: FakeDevice) -> None:
    """Have calls of the device last longer than it is fed ahead and holds what it receives."""
    device.flows.clear()
    threading.Event().wait(0.3)
    device.flows.set()


def test_device_that_was_fed_too_late_begins_a_new_stretch_and_sends_no_burst_as_a_whole(
    binding: FakeSoapy, kept: Keep
) -> None:
    radio = kept(opened(receive=False, patience_s=5.0))
    binding.devices[0].flows.clear()
    before, at = radio.stretch, radio.transmit(np.ones(2000, np.complex64))
    held_up(binding.devices[0])
    until_s = time.monotonic() + PATIENCE_S
    while radio.stretch == before:
        assert time.monotonic() < until_s
        radio.drain(0.01)
    with pytest.raises(LateError):
        radio.transmit(np.ones(1, np.complex64), at)
    assert np.count_nonzero(np.concatenate(binding.devices[0].written)) < 2000


def test_stretches_are_told_apart_when_a_process_begins_again(
    binding: FakeSoapy, monkeypatch: pytest.MonkeyPatch
) -> None:
    stretches = []
    for began_s in (1000.0, 1003.0):
        monkeypatch.setattr(time, "time", lambda began_s=began_s: began_s)
        radio = opened(receive=False, ahead_s=5.0)
        stretches.append(radio.stretch)
        radio.close()
    assert stretches[0] != stretches[1]
    assert 0 not in stretches


def test_device_that_was_not_read_for_longer_than_it_holds_has_lost_nobody_knows_what(
    binding: FakeSoapy, kept: Keep
) -> None:
    radio = kept(opened(transmit=False, holds_s=0.1, patience_s=5.0))
    held_up(binding.devices[0])
    binding.there.append(8)
    block = radio.receive(8, PATIENCE_S)
    assert (block.samples.size, block.broken) == (8, True)


def test_device_whose_streams_begin_with_a_trigger_is_opened_anew_for_a_loss_and_counted_from_there(
    binding: FakeSoapy, kept: Keep
) -> None:
    radio = kept(opened(transmit=False, counted=1000, patience_s=5.0))
    binding.there.append(8)
    radio.receive(8, PATIENCE_S)
    binding.there.append(OVERFLOW)
    while len(binding.devices) == 1:
        radio.receive(8, 0.05)
    binding.there.append(8)
    block = radio.receive(8, PATIENCE_S)
    assert (block.first_index, block.broken) == (1000, True)
