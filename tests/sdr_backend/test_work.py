"""How much work bursts and samples take, counted rather than timed."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.fft

from sdr_backend import synchronisation
from sdr_backend.demodulation import Demodulator
from sdr_backend.ofdm import FrameLayout, Modulator
from sdr_backend.synchronisation import BurstDetector
from sdr_backend.tag import Tag

LAYOUT = FrameLayout.of(256)
Kernel = Callable[..., Any]


def counted(kernel: Kernel, sizes: list[int]) -> Kernel:
    """Return the kernel, which also writes down how many numbers it was given."""

    def kernel_that_counts(values: Any, *arguments: Any, **options: Any) -> Any:
        sizes.append(np.size(values))
        return kernel(values, *arguments, **options)

    return kernel_that_counts


def test_a_burst_takes_eleven_transforms(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = np.concatenate([np.zeros(100, np.complex64), Modulator(LAYOUT).burst(Tag.of(1, 0, 1))])
    demodulator, sizes = Demodulator(LAYOUT), list[int]()
    monkeypatch.setattr(scipy.fft, "fft", counted(scipy.fft.fft, sizes))
    monkeypatch.setattr(scipy.fft, "ifft", counted(scipy.fft.ifft, sizes))
    assert demodulator.demodulate(samples, 100 + LAYOUT.cyclic_prefix) is not None
    # two each way to place the window, one for each symbol, two to limit the channel to the prefix
    assert sum(sizes) == 11 * LAYOUT.subcarriers


@pytest.mark.parametrize("block", [50, 5000])
def test_each_sample_is_scored_twice_whatever_the_blocks(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    sizes = list[int]()
    monkeypatch.setattr(synchronisation, "coherence", counted(synchronisation.coherence, sizes))
    stream = np.tile(Modulator(LAYOUT).frame(Tag.of(1, 0, 1)), 20)
    detector = BurstDetector(LAYOUT)
    found = [burst for k in range(0, stream.size, block) for burst in detector.heard(stream[k : k + block], k)]
    assert len(found + detector.finish()) == 20
    # chunks of two symbols with two more behind them, of which the last chunk has less
    assert sum(sizes) <= 2 * stream.size


def test_what_was_searched_is_forgotten() -> None:
    detector, rng = BurstDetector(LAYOUT), np.random.default_rng(1)
    for k in range(300):
        noise = rng.standard_normal((LAYOUT.subcarriers, 2)).astype(np.float32).view(np.complex64)[:, 0]
        detector.heard(noise, k * LAYOUT.subcarriers)
        # two symbols behind the search, a chunk of two and the two that it looks ahead
        assert detector.held_samples <= 8 * LAYOUT.subcarriers
