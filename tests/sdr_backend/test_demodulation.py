import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdr_backend.demodulation import Demodulated, Demodulator
from sdr_backend.ofdm import FrameLayout, Modulator
from sdr_backend.tag import Tag
from tests.oracles import response_of_paths, through_paths

ComplexArray = npt.NDArray[np.complex128]
Paths = list[tuple[int, complex]]

LAYOUT = FrameLayout.of(256)
COUNT, PREFIX, AMPLITUDE = LAYOUT.subcarriers, LAYOUT.cyclic_prefix, LAYOUT.amplitude
TAG = Tag(epoch=4711, pilot=2, pilots=7)
BEFORE = 300
MIDDLES = (np.array(LAYOUT.symbol_starts) + (COUNT - 1) / 2) / COUNT  # of symbols, in their own length
# Sums of 256 samples that cf32 rounded to 2^-24 of themselves, up to five times the rms, by an orthonormal transform: the
# errors add up in power to 4e-8 rms of a channel of unit power; ten times that is never exceeded by chance.
CF32 = 4e-7


def burst_over(paths: Paths, spacings: float, demodulator: Demodulator, repeats: int) -> Demodulated | None:
    """What is read of a burst that the transmitter started at `BEFORE`; the carrier's phase is zero at sample 0."""
    sent = np.concatenate([np.zeros(BEFORE), Modulator(LAYOUT).burst(TAG), np.zeros(COUNT)]).astype(np.complex128)
    return demodulator.demodulate(through_paths(sent, paths, spacings / COUNT).astype(np.complex64), repeats)


def found(paths: Paths, spacings: float = 0.0, repeats: int = BEFORE + PREFIX) -> Demodulated:
    burst = burst_over(paths, spacings, Demodulator(LAYOUT), repeats)
    assert burst is not None
    return burst


def test_a_unit_channel_gives_ones() -> None:
    burst = found([(0, 1.0)])
    np.testing.assert_allclose(burst.channel_from(BEFORE), 1.0, rtol=0, atol=CF32)
    assert burst.tag == TAG
    assert burst.arrival == pytest.approx(BEFORE, abs=128 * CF32)


DELAYS = st.lists(st.integers(0, PREFIX), min_size=1, max_size=4, unique=True)


@given(DELAYS, st.lists(st.floats(0.1, 1.0), min_size=4, max_size=4), st.floats(-0.4, 0.4), st.data())
def test_any_paths_within_the_prefix_and_any_offset_are_read_exactly(
    delays: list[int], sizes: list[float], spacings: float, data: st.DataObject
) -> None:
    paths = [(delay, size * np.exp(1j * delay)) for delay, size in zip(delays, sizes, strict=False)]
    repeats = data.draw(st.integers(BEFORE + max(delays), BEFORE + PREFIX + min(delays)))
    burst = found(paths, spacings, repeats)
    phase = np.exp(2j * np.pi * spacings * BEFORE / COUNT)
    size = sum(abs(gain) for _, gain in paths)
    np.testing.assert_allclose(
        burst.channel_from(BEFORE), phase * response_of_paths(paths, COUNT), rtol=0, atol=size * CF32
    )
    # the phase of 256 such samples over the three symbols between preamble and pilot
    assert burst.carrier_offset_spacings == pytest.approx(spacings, abs=CF32 / 10)


def test_the_channel_of_a_later_start_is_turned_by_delay_and_carrier() -> None:
    paths: Paths = [(10, 0.5), (60, 0.5j)]
    burst = found(paths, 0.3)
    earlier = [(delay - 17, gain) for delay, gain in paths]
    expected = np.exp(2j * np.pi * 0.3 * (BEFORE + 17) / COUNT) * response_of_paths(earlier, COUNT)
    np.testing.assert_allclose(burst.channel_from(BEFORE + 17), expected, rtol=0, atol=CF32)


def test_the_arrival_is_that_of_the_average_path_by_power() -> None:
    power = np.array([0.4, 0.9, 0.5]) ** 2
    expected = BEFORE + power @ [0, 33, 128] / power.sum()
    # powers are as exact as the channel, and delays are 128 at most
    assert found([(0, 0.4), (33, 0.9j), (128, 0.5)]).arrival == pytest.approx(expected, abs=128 * CF32)


def test_a_burst_that_is_not_all_there_is_none() -> None:
    samples = np.concatenate([np.zeros(BEFORE), Modulator(LAYOUT).burst(TAG)]).astype(np.complex64)
    demodulator = Demodulator(LAYOUT)
    assert demodulator.demodulate(samples, BEFORE + PREFIX) is not None
    assert demodulator.demodulate(samples[: -PREFIX // 2 - 1], BEFORE + PREFIX) is None
    assert demodulator.demodulate(samples[BEFORE + PREFIX :], 0) is None


def test_noise_is_no_burst() -> None:
    rng, demodulator = np.random.default_rng(4), Demodulator(LAYOUT)
    noise = rng.standard_normal((4 * LAYOUT.burst_samples, 2)).astype(np.float32).view(np.complex64)[:, 0]
    # check sums pass once in 2^17 tries
    assert all(demodulator.demodulate(noise, place) is None for place in range(300, 1500, 10))


def noisy_bursts(snr_db: float, count: int, paths: Paths, spacings: float) -> list[Demodulated]:
    """Bursts in white noise, ``snr_db`` below the power of the samples sent."""
    rng, demodulator = np.random.default_rng(6), Demodulator(LAYOUT)
    sent = np.concatenate([np.zeros(BEFORE), Modulator(LAYOUT).burst(TAG), np.zeros(COUNT)]).astype(np.complex128)
    clean = through_paths(sent, paths, spacings / COUNT)
    scale = AMPLITUDE * 10 ** (-snr_db / 20) / np.sqrt(2)
    bursts = []
    for _ in range(count):
        noise = scale * rng.standard_normal((clean.size, 2)).view(np.complex128)[:, 0]
        burst = demodulator.demodulate((clean + noise).astype(np.complex64), BEFORE + PREFIX)
        if burst is not None:
            bursts.append(burst)
    return bursts


@pytest.mark.parametrize("snr_db", [3.0, 10.0, 30.0])
def test_the_variance_of_the_channel_is_a_fifth_of_the_noise_and_is_told(snr_db: float) -> None:
    paths: Paths = [(0, 0.8), (100, 0.6j)]  # unit power
    bursts = noisy_bursts(snr_db, 400, paths, 0.3)
    assert len(bursts) == 400
    truth = np.exp(2j * np.pi * 0.3 * BEFORE / COUNT) * response_of_paths(paths, COUNT)
    errors = np.array([burst.channel_from(BEFORE) for burst in bursts]) - truth
    # five symbols are averaged; their common phase is taken back to the burst's start by an offset that is known no better
    # than their spread allows, which adds a little
    distance2, spread = MIDDLES.mean() ** 2, np.sum((MIDDLES - MIDDLES.mean()) ** 2)
    theory = 10 ** (-snr_db / 10) * (1 / 5 + distance2 / spread / (2 * COUNT))
    # |error|^2 is exponential: 400 x 256 of them deviate by 0.3 % rms; five times that, and what is common to a burst,
    # 1 % times sqrt(2/400) five times
    assert np.mean(np.abs(errors) ** 2) == pytest.approx(theory, rel=0.02)
    assert np.mean([burst.noise_variance for burst in bursts]) == pytest.approx(10 ** (-snr_db / 10) / 5, rel=0.02)


def test_the_carrier_offset_reaches_its_cramer_rao_bound() -> None:
    bursts = noisy_bursts(3.0, 1200, [(0, 1.0)], -0.35)
    errors = np.array([burst.carrier_offset_spacings + 0.35 for burst in bursts])
    spread = np.sum((MIDDLES - MIDDLES.mean()) ** 2)
    # five symbols of one unknown channel: information 2 M snr (2 pi)^2 per squared symbol apart
    bound = 1 / (2 * COUNT * 2 * (2 * np.pi) ** 2 * spread)
    # what is not known of the channel costs 1/(5 snr); a variance from 1200 draws deviates by sqrt(2/1200) of itself
    assert np.mean(errors**2) == pytest.approx(bound * (1 + 1 / 10), rel=5 * np.sqrt(2 / 1200))


def test_noise_does_not_move_the_arrival_of_a_lonely_path() -> None:
    # its tap has 1280 times the power of noise at 3 dB, of which one tap in 3000 passes, by its own power
    arrivals = np.array([burst.arrival for burst in noisy_bursts(3.0, 100, [(20, 1.0)], 0.1)])
    assert {round(arrival) for arrival in arrivals} == {BEFORE + 20}
