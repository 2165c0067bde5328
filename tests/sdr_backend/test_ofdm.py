import math

import numpy as np
import pytest

from sdr_backend.ofdm import FrameLayout, Modulator, pilot_spectrum, preamble_spectrum
from sdr_backend.tag import Tag, modulation_from_tag
from tests.oracles import ofdm_symbol, zadoff_chu

# cf32 rounds each sample to 2^-24 of its size at most
CF32 = 2**-24
TAG = Tag(epoch=4711, pilot=2, pilots=7)


@pytest.mark.parametrize("subcarriers", [16, 100, 255])
def test_a_burst_is_preamble_twice_tag_and_pilot_summed_tone_by_tone(subcarriers: int) -> None:
    layout = FrameLayout(subcarriers=subcarriers, cyclic_prefix=13, frame_samples=2000, amplitude=0.3)
    root = next(r for r in range(math.isqrt(subcarriers), subcarriers) if math.gcd(r, subcarriers) == 1)
    preamble = ofdm_symbol(zadoff_chu(root, subcarriers), 13)
    known = zadoff_chu(root, subcarriers).conj()
    tag = [ofdm_symbol(turned * known, 13) for turned in modulation_from_tag(TAG, subcarriers)]
    expected = 0.3 * np.concatenate([preamble, preamble[13:], *tag, ofdm_symbol(known, 13)])
    # no sample is larger than sqrt(M) amplitudes; the oracle's own phases are good to 1e-12
    tolerance = 0.3 * math.sqrt(subcarriers) * CF32
    np.testing.assert_allclose(Modulator(layout).burst(TAG), expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("subcarriers", [64, 255, 2048, 65536])
def test_known_symbols_have_the_same_power_on_all_subcarriers_and_at_all_samples(subcarriers: int) -> None:
    for spectrum in (preamble_spectrum(subcarriers), pilot_spectrum(subcarriers)):
        np.testing.assert_allclose(np.abs(spectrum), 1, rtol=0, atol=1e-15)  # one rounding
        samples = np.fft.ifft(spectrum, norm="ortho")
        np.testing.assert_allclose(np.abs(samples), 1, rtol=0, atol=1e-12)  # rounding of a transform of 65536


def test_samples_stay_below_full_scale_whatever_the_tag() -> None:
    modulator, rng = Modulator(FrameLayout.of(2048)), np.random.default_rng(2)
    for _ in range(300):
        samples = modulator.burst(Tag.of(int(rng.integers(1, 2**62)), int(rng.integers(100)), 100))
        assert np.abs(samples).max() < 1


def test_the_default_frame_holds_a_burst_and_a_prefix_of_silence() -> None:
    layout = FrameLayout.of(2048)
    frame = Modulator(layout).frame(TAG)
    assert (layout.cyclic_prefix, layout.burst_samples, frame.size) == (1024, 14336, 15360)
    np.testing.assert_array_equal(frame[:14336], Modulator(layout).burst(TAG))
    assert not frame[14336:].any()


@pytest.mark.parametrize(
    "change",
    [{"subcarriers": 15}, {"cyclic_prefix": 0}, {"cyclic_prefix": 65}, {"frame_samples": 447}, {"amplitude": 1.1}],
)
def test_a_layout_that_cannot_be_is_refused(change: dict[str, float]) -> None:
    lengths = {"subcarriers": 64, "cyclic_prefix": 32, "frame_samples": 448, "amplitude": 0.2}
    FrameLayout(**lengths)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="got"):
        FrameLayout(**(lengths | change))  # type: ignore[arg-type]
