"""Bursts that passed two settings, or are cut in two, are none."""

import numpy as np
import numpy.typing as npt
import pytest

from sdr_backend.channel import SampleChannel
from sdr_backend.demodulation import Demodulator
from sdr_backend.ofdm import FrameLayout, Modulator
from sdr_backend.steadiness import changes, scattering_subcarriers, variance_ratio_limit
from sdr_backend.synchronisation import BurstDetector
from sdr_backend.tag import Tag

ComplexArray = npt.NDArray[np.complex128]

LAYOUT = FrameLayout.of(256)
COUNT, PREFIX = LAYOUT.subcarriers, LAYOUT.cyclic_prefix
UNIT = np.ones(1, dtype=np.complex128)


def beam(seed: int) -> ComplexArray:
    """Taps of a response as long as a quarter of the prefix, of unit power."""
    rng = np.random.default_rng(seed)
    taps = rng.standard_normal((PREFIX // 4, 2)) @ (1, 1j)
    return np.asarray(taps / np.linalg.norm(taps))


def heard_with_a_change(at: int, snr_db: float) -> list[ComplexArray]:
    """Channels of the bursts that are read when a new beam comes up at this sample of the burst, in two runs of a stream."""
    channel, noise_rms = SampleChannel(1), LAYOUT.amplitude * 10 ** (-snr_db / 20)
    burst = Modulator(LAYOUT).frame(Tag.of(1, 0, 1))
    samples = np.concatenate([np.zeros(500, np.complex64), burst, np.zeros(2 * COUNT, np.complex64)])
    channel.change(beam(1), UNIT, noise_rms, 0.0)
    first = channel.passed(samples[: 500 + at])
    channel.change(beam(2), UNIT, noise_rms, 0.0)
    detector = BurstDetector(LAYOUT)
    bursts = detector.heard(np.concatenate([first, channel.passed(samples[500 + at :])]), 0)
    return [found.channel for found in bursts + detector.finish()]


def distance(channel: ComplexArray, taps: ComplexArray) -> float:
    """How far a channel is from that of taps, whatever its delay and phase, as a share of it."""
    expected = np.fft.fft(taps, COUNT)
    product = np.abs(np.fft.ifft(channel * expected.conj())).max() * COUNT
    return float(1 - (product / (np.linalg.norm(channel) * np.linalg.norm(expected))) ** 2)


@pytest.mark.parametrize("snr_db", [10.0, 100.0])
def test_a_burst_that_two_settings_filtered_is_never_read_as_a_mixture(snr_db: float) -> None:
    read = 0
    for at in range(-PREFIX, LAYOUT.burst_samples + PREFIX, 23):
        for channel in heard_with_a_change(at, snr_db):
            read += 1
            # 28 dB for the mean of what may pass, 7 dB above the ratio of one symbol, three times each for the draws of noise
            allowed = 3 * (10**-2.8 + 10 ** (-(snr_db + 7) / 10))
            assert min(distance(channel, beam(1)), distance(channel, beam(2))) < allowed, f"changed at sample {at}"
    assert read > 0  # where the change is beside the burst it is read


@pytest.mark.parametrize("cut", range(PREFIX, LAYOUT.burst_samples - PREFIX, 97))
def test_a_burst_that_ends_in_zeros_is_none(cut: int) -> None:
    burst = Modulator(LAYOUT).frame(Tag.of(1, 0, 1))
    burst[cut:] = 0
    assert Demodulator(LAYOUT).demodulate(np.pad(burst, 300), 300 + PREFIX) is None


def test_symbols_in_white_noise_are_one_channel_as_often_as_promised() -> None:
    rng, trials, false_alarm = np.random.default_rng(3), 1000, 1e-2
    symbols = rng.standard_normal((trials, 5, COUNT, 2)) @ (1, 1j) + 3.0
    limit = variance_ratio_limit(5, COUNT, false_alarm)
    exceeded = sum(changes(one)[1][1] > limit for one in symbols)
    # a count of 10 on the average, five deviations around it
    assert abs(exceeded - trials * false_alarm) <= 5 * np.sqrt(trials * false_alarm)


def test_only_subcarriers_that_scatter_are_counted() -> None:
    rng = np.random.default_rng(4)
    white: ComplexArray = rng.standard_normal((5, COUNT, 2)) @ np.array([1, 1j])
    some = white * np.where(np.arange(COUNT) < 20, 100, 1)
    # the power of each has eight degrees, so that the ratio of sums over 256 errs by some 5 %
    assert scattering_subcarriers(3.0 + white) == pytest.approx(COUNT, rel=0.2)
    assert scattering_subcarriers(some) == pytest.approx(20, rel=0.4)
    assert scattering_subcarriers(np.ones((5, COUNT), dtype=np.complex128)) == COUNT
