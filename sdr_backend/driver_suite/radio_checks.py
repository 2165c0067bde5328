"""What every radio driver must do."""

import threading
import time

import numpy as np
import pytest

from sdr_backend.driver_suite.bench import PART, PATIENCE_S, Ear, RadioBench, noise
from sdr_backend.radio import Block, LateError, Radio, RadioError, opened_radio

LATE_BY_S = 2.0  # what a wait may last longer than it should, on a machine that is busy
# From one end to the other; what comes later than the flush is heard, and rightly so.
LATENCIES_S = (0.02, 0.1, 0.5, 2.0)
AHEAD, AHEAD_S = 50_000, 0.2  # far enough for a radio that sends on while the test computes


def can_receive(radio: Radio) -> bool:
    """Return whether the radio was opened with a receiver."""
    try:
        radio.receive(1, 0.0)
    except RadioError:
        return False
    return True


def require_receiver(bench: RadioBench, radio: Radio) -> None:
    """Skip the check for a radio that only transmits."""
    if not can_receive(radio):
        pytest.skip(f"{bench.driver} was opened without a receiver")


def require_loopback(bench: RadioBench) -> None:
    """Skip the check where nothing that is sent comes back."""
    if not bench.loopback:
        pytest.skip(f"what {bench.driver} transmits does not come back to it (--radio-loopback)")


def is_flushed(bench: RadioBench, radio: Radio, latency_s: float) -> bool:
    """Return whether samples that came back within the latency, and were not read, are gone after a flush."""
    before = noise(5)
    radio.transmit(before)
    radio.drain(latency_s)
    threading.Event().wait(latency_s)  # nothing but reading tells that samples have come, and they are not to be read
    radio.flush()
    return Ear(radio, bench.tolerance).hears(before, 0.3) is None


class RadioChecks:
    """Derive from it and define the fixture ``bench``."""

    def test_rate_is_a_positive_number_of_hertz(self, bench: RadioBench) -> None:
        """The rate of what was opened is known from the beginning."""
        with bench.opened() as radio:
            assert radio.rate_hz > 0

    def test_samples_come_out_as_they_went_in(self, bench: RadioBench) -> None:
        """Nothing is left out, put in, swapped or conjugated."""
        require_loopback(bench)
        with bench.opened() as radio:
            sent = noise(1)
            radio.transmit(sent)
            assert Ear(radio, bench.tolerance).hears(sent) is not None

    def test_bursts_come_as_far_apart_as_they_were_sent(self, bench: RadioBench) -> None:
        """Indices of the transmitter are time: what is sent at an index is as late as the index says."""
        require_loopback(bench)
        with bench.opened() as radio:
            first, second, apart = noise(2), noise(3), 7001
            at = radio.transmit(first, radio.transmitted + AHEAD + int(AHEAD_S * radio.rate_hz))
            assert radio.transmit(second, at + apart) == at + apart
            ear = Ear(radio, bench.tolerance)
            came = ear.hears(first)
            assert came is not None
            assert ear.hears(second) == came + apart

    def test_index_that_has_passed_is_refused(self, bench: RadioBench) -> None:
        """A burst that is too late is not sent at another time."""
        require_loopback(bench)
        with bench.opened() as radio:
            sent = noise(4)
            at = radio.transmit(sent)
            Ear(radio, bench.tolerance).hears(sent)
            assert radio.drain(PATIENCE_S)
            passed = radio.transmitted
            assert passed >= at + sent.size
            with pytest.raises(LateError, match=str(passed - sent.size)):
                radio.transmit(sent, passed - sent.size)

    def test_counters_only_grow_and_count_lost_samples(self, bench: RadioBench) -> None:
        """Blocks follow each other; between them lies what the second one says was lost."""
        with bench.opened() as radio:
            require_receiver(bench, radio)
            end = radio.received
            for _ in range(20):
                block = radio.receive(PART, 0.05)
                assert block.first_index == end + block.overrun
                end = block.first_index + block.samples.size
                assert radio.received == end
                require_block(block, PART)

    def test_wait_for_more_than_comes_ends_in_time_with_what_there_is(self, bench: RadioBench) -> None:
        """A receiver that hears too little says so when its time is up."""
        with bench.opened() as radio:
            require_receiver(bench, radio)
            count, within_s = int(1000 * radio.rate_hz), 0.3
            began_s = time.monotonic()
            block = radio.receive(count, within_s)
            assert within_s * 0.9 <= time.monotonic() - began_s <= within_s + LATE_BY_S
            require_block(block, count)

    def test_flushed_samples_are_never_heard(self, bench: RadioBench) -> None:
        """What was sent before, and what came and was not read, is gone; what is sent afterwards comes."""
        require_loopback(bench)
        with bench.opened() as radio:
            assert any(is_flushed(bench, radio, latency_s) for latency_s in LATENCIES_S)
            after = noise(6)
            radio.transmit(after)
            assert Ear(radio, bench.tolerance).hears(after) is not None

    def test_samples_of_a_wrong_shape_or_without_value_are_refused(self, bench: RadioBench) -> None:
        """What is no signal does not reach the device."""
        require_loopback(bench)
        with bench.opened() as radio:
            with pytest.raises(ValueError, match="axis"):
                radio.transmit(np.zeros((2, 3), dtype=np.complex64))
            with pytest.raises(ValueError, match="finite"):
                radio.transmit(np.full(3, np.nan, dtype=np.complex64))

    def test_closed_radio_can_be_opened_again_and_says_that_it_is_closed(self, bench: RadioBench) -> None:
        """Closing releases what was opened, at once; closing twice is as closing once."""
        with bench.opened() as radio:
            receives = can_receive(radio)
        radio.close()
        if receives:
            with pytest.raises(RadioError):
                radio.receive(1, 0.1)
        with bench.opened() as again:
            assert again.rate_hz > 0

    def test_unknown_option_is_refused_by_name(self, bench: RadioBench) -> None:
        """A text names the driver and the option that it does not have."""
        with pytest.raises(ValueError, match=r"no_such_option") as refusal:
            opened_radio(bench.driver, {**bench.options, "no_such_option": 1})
        assert bench.driver in str(refusal.value)

    def test_other_side_may_be_killed_and_come_back(self, bench: RadioBench) -> None:
        """Meanwhile waits end in time; afterwards samples come again, with a gap of unknown length before them."""
        if bench.restart is None:
            pytest.skip(f"nobody says how to restart the other side of {bench.driver} (--radio-restart)")
        with bench.opened() as radio:
            require_receiver(bench, radio)
            require_some(radio)
            bench.restart()
            end, lost = radio.received, False
            until_s = time.monotonic() + PATIENCE_S
            while not lost and time.monotonic() < until_s:
                block = radio.receive(PART, 0.1)
                assert block.first_index == end + block.overrun
                end, lost = block.first_index + block.samples.size, block.broken
            assert lost
            require_some(radio)
            assert not bench.loopback or hears_itself(bench, radio)


def hears_itself(bench: RadioBench, radio: Radio) -> bool:
    """Send again and again until it comes back, which a radio that has lost its other side may not do at once."""
    until_s = time.monotonic() + PATIENCE_S
    sent, ear = noise(7), Ear(radio, bench.tolerance)
    while time.monotonic() < until_s:
        radio.transmit(sent)
        if ear.hears(sent, 1.0) is not None:
            return True
    return False


def require_some(radio: Radio) -> None:
    """Require that samples come at all."""
    until_s = time.monotonic() + PATIENCE_S
    while not radio.receive(PART, 0.2).samples.size:
        assert time.monotonic() < until_s, f"no samples within {PATIENCE_S:g} s"


def require_block(block: Block, most: int) -> None:
    """Require samples as the seam has them."""
    assert block.samples.dtype == np.complex64
    assert block.samples.ndim == 1
    assert block.samples.size <= most
    assert block.overrun >= 0
    assert np.isfinite(block.samples).all()
