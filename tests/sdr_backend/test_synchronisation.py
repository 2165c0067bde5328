from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdr_backend.ofdm import FrameLayout, Modulator
from sdr_backend.synchronisation import Burst, BurstDetector, coherence, coherence_threshold
from sdr_backend.tag import Tag
from tests.oracles import repetition_coherence, through_paths

ComplexArray = npt.NDArray[np.complex128]
Samples = npt.NDArray[np.complex64]

SMALL = FrameLayout.of(256)
TIGHT = FrameLayout(subcarriers=256, cyclic_prefix=128, frame_samples=SMALL.burst_samples, amplitude=0.2)


def noise(rng: np.random.Generator, count: int, power: float) -> ComplexArray:
    samples: ComplexArray = np.sqrt(power / 2) * rng.standard_normal((count, 2)).view(np.complex128)[:, 0]
    return samples


def frames(layout: FrameLayout, count: int) -> Samples:
    """So many pilots of one setting, one behind the other."""
    modulator = Modulator(layout)
    return np.concatenate([modulator.frame(Tag.of(9, pilot, count)) for pilot in range(count)])


def heard(detector: BurstDetector, samples: npt.NDArray[np.complexfloating], block: int = 1000) -> list[Burst]:
    found = [burst for k in range(0, samples.size, block) for burst in detector.heard(samples[k : k + block], k)]
    return found + detector.finish()


def pilots(bursts: Iterable[Burst]) -> list[int]:
    return [burst.tag.pilot for burst in bursts]


# --- the law of the coherence ----------------------------------------------------------------------------------------


def test_coherence_is_the_correlation_coefficient_of_neighbouring_symbols() -> None:
    samples = noise(np.random.default_rng(1), 100, 1.0)
    samples[50:70] += 30
    expected = [repetition_coherence(samples, place, 16) for place in range(100 - 2 * 16 + 1)]
    # products of cf32 are rounded to 6e-8 of the largest sample's power, 30 times the rms of others
    np.testing.assert_allclose(coherence(samples.astype(np.complex64), 16), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("false_alarm", [0.1, 1e-2, 1e-3])
def test_white_noise_exceeds_the_threshold_with_the_probability_stated(false_alarm: float) -> None:
    symbol, draws = 64, 20_000
    samples = noise(np.random.default_rng(8), draws * 2 * symbol, 3.0).astype(np.complex64)
    independent = coherence(samples, symbol)[:: 2 * symbol]
    exceeded = np.count_nonzero(independent > coherence_threshold(symbol, false_alarm))
    # a binomial count deviates by its root; five deviations
    assert exceeded == pytest.approx(draws * false_alarm, abs=5 * np.sqrt(draws * false_alarm))


def test_what_rounding_leaves_of_silence_is_not_coherent_with_itself_after_a_loud_burst() -> None:
    rest = noise(np.random.default_rng(2), 2000, 1e-15)  # 136 dB below the burst: the last digits of its energy
    samples = np.concatenate([frames(SMALL, 1)[: SMALL.burst_samples], rest]).astype(np.complex64)
    assert not coherence(samples, 256)[SMALL.burst_samples :].any()


# --- finding bursts --------------------------------------------------------------------------------------------------


def test_bursts_back_to_back_are_all_found_where_they_were_sent() -> None:
    bursts = heard(BurstDetector(TIGHT), np.concatenate([np.zeros(321), frames(TIGHT, 9)]))
    assert pilots(bursts) == list(range(9))
    assert [burst.first_index for burst in bursts] == [321 + k * TIGHT.frame_samples for k in range(9)]


def test_each_burst_of_a_stream_is_told_with_its_own_beam_and_the_common_offset() -> None:
    sent = frames(TIGHT, 6).reshape(6, -1)
    received = np.zeros(7 * TIGHT.frame_samples, dtype=np.complex128)
    for k, samples in enumerate(sent):
        beam = through_paths(samples.astype(np.complex128), [(0, 1.0), (3 * k, 0.5j), (20 * k, 0.3 * (-1) ** k)], 0.0)
        received[k * TIGHT.frame_samples :][: beam.size] += beam
    received *= np.exp(2j * np.pi * 0.4 / 256 * np.arange(received.size))
    bursts = heard(BurstDetector(TIGHT), received)
    assert pilots(bursts) == list(range(6))
    assert {burst.first_index % TIGHT.frame_samples for burst in bursts} == {0}
    m = np.arange(256)
    for k, burst in enumerate(bursts):
        response = (
            1 + 0.5j * np.exp(-2j * np.pi * m * 3 * k / 256) + 0.3 * (-1) ** k * np.exp(-2j * np.pi * m * 20 * k / 256)
        )
        phase = np.exp(2j * np.pi * 0.4 / 256 * burst.first_index)
        # the rounding of cf32 over the sum of three paths; see the demodulator's tests
        np.testing.assert_allclose(burst.channel, phase * response, rtol=0, atol=1e-6)
        assert burst.carrier_offset_spacings == pytest.approx(0.4, abs=1e-7)


def cut(samples: Samples, lengths: Sequence[int]) -> Iterable[tuple[int, Samples]]:
    """Blocks of these lengths, again and again."""
    start, turn = 0, 0
    while start < samples.size:
        yield start, samples[start : start + lengths[turn % len(lengths)]]
        start, turn = start + lengths[turn % len(lengths)], turn + 1


def noisy_stream() -> Samples:
    rng = np.random.default_rng(12)
    sent = np.concatenate(
        [np.zeros(700), frames(TIGHT, 2), np.zeros(TIGHT.frame_samples), frames(SMALL, 2), np.zeros(2000)]
    )
    received = through_paths(sent, [(0, 1.0), (45, 0.7)], 0.2 / 256)
    return (received + noise(rng, received.size, 0.2**2 / 4)).astype(np.complex64)


STREAM = noisy_stream()
WHOLE = heard(BurstDetector(TIGHT), STREAM, STREAM.size)


@given(st.lists(st.integers(1, 5000), min_size=1, max_size=6))
def test_the_borders_of_blocks_change_nothing(lengths: list[int]) -> None:
    detector = BurstDetector(TIGHT)
    bursts = [burst for first, block in cut(STREAM, lengths) for burst in detector.heard(block, first)]
    bursts += detector.finish()
    assert len(bursts) == len(WHOLE) == 4
    for burst, whole in zip(bursts, WHOLE, strict=True):
        assert (burst.first_index, burst.tag, burst.lock) == (whole.first_index, whole.tag, whole.lock)
        assert burst.carrier_offset_spacings == whole.carrier_offset_spacings
        np.testing.assert_array_equal(burst.channel, whole.channel)


def test_a_burst_is_told_as_soon_as_half_a_symbol_and_a_prefix_have_followed_it() -> None:
    samples = np.concatenate([frames(SMALL, 1)[: SMALL.burst_samples], np.zeros(256)])
    assert pilots(BurstDetector(SMALL).heard(samples, 0)) == [0]


@given(st.integers(0, 5 * TIGHT.frame_samples - 1), st.integers(1, 3 * TIGHT.frame_samples))
def test_lost_samples_cost_the_bursts_that_they_cut_and_no_others(start: int, lost: int) -> None:
    samples, detector, frame = frames(TIGHT, 5), BurstDetector(TIGHT), TIGHT.frame_samples
    after = start + lost
    bursts = detector.heard(samples[:start], 0)
    if after < samples.size:
        bursts += detector.heard(samples[after:], after)
    bursts += detector.finish()
    whole = [k for k in range(5) if (k + 1) * frame <= start or k * frame >= after]
    assert set(whole) <= set(pilots(bursts))
    # windows begin in the middle of prefixes of 128, so that half of the first or last may be missing
    others = set(pilots(bursts)) - set(whole)
    assert all((k + 1) * frame - 64 <= start or k * frame + 64 >= after for k in others)
    assert all(burst.first_index == burst.tag.pilot * frame for burst in bursts)
    assert detector.lost_samples == (lost if after < samples.size else 0)


def test_a_driver_may_read_into_the_same_buffer_again() -> None:
    samples, detector = frames(SMALL, 2), BurstDetector(SMALL)
    buffer, bursts = np.zeros(64, np.complex64), list[Burst]()
    for first in range(0, samples.size, 64):
        buffer[:] = samples[first : first + 64]
        bursts += detector.heard(buffer, first)
    assert pilots(bursts + detector.finish()) == [0, 1]


def test_a_block_that_overlaps_the_one_before_is_refused() -> None:
    detector = BurstDetector(SMALL)
    detector.heard(np.zeros(100), 50)
    with pytest.raises(ValueError, match="from sample 150 on expected, got one from 149"):
        detector.heard(np.zeros(100), 149)


def test_noise_alone_gives_no_burst() -> None:
    detector = BurstDetector(SMALL, false_alarm=1e-4)
    bursts = heard(detector, noise(np.random.default_rng(3), 400_000, 1.0), 4096)
    # some ten places above the threshold, of which one in 2^17 passes
    assert not bursts
    assert 0 < detector.refused < 60


def test_a_tone_ten_decibel_below_the_bursts_hides_none_of_them() -> None:
    samples = frames(SMALL, 5).astype(np.complex128)
    # half a turn ahead after each symbol, which counts against the bursts' coherence most
    samples += 0.2 * 10 ** (-10 / 20) * np.exp(2j * np.pi * 12.5 / 256 * np.arange(samples.size))
    assert pilots(heard(BurstDetector(SMALL), samples)) == list(range(5))


# --- frame phase -----------------------------------------------------------------------------------------------------


def stream_over(paths: Sequence[tuple[int, complex]]) -> ComplexArray:
    """One frame after the other, each over one path of its own."""
    received = np.zeros((len(paths) + 1) * SMALL.frame_samples, dtype=np.complex128)
    for k, (burst, path) in enumerate(zip(frames(SMALL, len(paths)).reshape(len(paths), -1), paths, strict=True)):
        late = through_paths(burst.astype(np.complex128), [path], 0.0)
        received[k * SMALL.frame_samples :][: late.size] += late
    return received


def test_beams_with_other_delays_share_the_frame_phase_of_the_first() -> None:
    bursts = heard(BurstDetector(SMALL), stream_over([(40, 1), (0, 1), (128, 1), (100, 1)]))
    assert [burst.first_index % SMALL.frame_samples for burst in bursts] == [40, 40, 40, 40]
    assert [round(burst.delay_samples) for burst in bursts] == [0, -40, 88, 60]
    assert [burst.lock for burst in bursts] == [1, 1, 1, 1]
    m = np.arange(256)
    for burst in bursts:
        expected = np.exp(-2j * np.pi * m * round(burst.delay_samples) / 256)
        np.testing.assert_allclose(burst.channel, expected, rtol=0, atol=4e-7)  # as in the demodulator's tests


def test_two_bursts_further_off_than_a_prefix_are_locked_to_anew() -> None:
    bursts = heard(BurstDetector(SMALL), stream_over([(0, 1), (128, 1), (129, 1), (130, 1), (260, 1)]))
    assert [(burst.tag.pilot, burst.lock, round(burst.delay_samples)) for burst in bursts] == [
        (0, 1, 0),
        (1, 1, 128),
        (3, 2, 0),
    ]


def test_a_stray_burst_is_not_told_and_does_not_move_the_phase() -> None:
    detector = BurstDetector(SMALL)
    # the frames behind the strays, on which these would lie, are silent
    bursts = heard(detector, stream_over([(0, 1), (300, 1), (0, 0), (1, 1), (301, 1), (0, 0), (0, 1)]))
    assert [(burst.tag.pilot, burst.lock, round(burst.delay_samples)) for burst in bursts] == [
        (0, 1, 0),
        (3, 1, 1),
        (6, 1, 0),
    ]
    assert detector.strays == 2


def test_delays_count_from_a_frame_that_is_known() -> None:
    detector = BurstDetector(SMALL)
    detector.phase.lock_to(5 * SMALL.frame_samples)
    bursts = heard(detector, stream_over([(40, 1), (3, 1)]))
    assert [(burst.lock, round(burst.delay_samples)) for burst in bursts] == [(1, 40), (1, 3)]


def test_a_phase_that_was_forgotten_is_locked_to_anew() -> None:
    detector, samples = BurstDetector(SMALL), stream_over([(0, 1), (3, 1)])
    half = SMALL.frame_samples
    first = detector.heard(samples[:half], 0)
    detector.phase.forget()
    second = detector.heard(samples[half:], half)
    assert [(burst.lock, round(burst.delay_samples)) for burst in first + second] == [(1, 0), (2, 0)]
