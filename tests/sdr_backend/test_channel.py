"""The channel in numpy against dense sums, whatever the blocks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdr_backend.channel import ArrayChannel, SampleChannel
from tests.oracles import through_paths

RNG = np.random.default_rng(1)
SENT = (RNG.standard_normal((900, 2)) @ (1, 1j)).astype(np.complex64)
SENT[200:600] = 0
PATHS = [(0, 0.5 + 0j), (7, 0.3j), (40, -0.2 + 0j)]
NO_ECHO = np.ones(1, dtype=np.complex128)


def taps() -> np.ndarray:
    filled = np.zeros(41, dtype=np.complex128)
    for delay, value in PATHS:
        filled[delay] = value
    return filled


@given(st.lists(st.integers(1, 300), min_size=1, max_size=10))
def test_samples_in_blocks_of_any_size_pass_paths_and_offset(sizes: list[int]) -> None:
    channel = SampleChannel(1)
    channel.change(taps(), NO_ECHO, 0.0, 0.01)
    borders = [border for border in np.cumsum(sizes) if border < SENT.size]
    passed = np.concatenate([channel.passed(block) for block in np.split(SENT, borders)])
    expected = through_paths(SENT.astype(np.complex128), PATHS, 0.01)[: SENT.size]
    np.testing.assert_allclose(passed, expected, rtol=0, atol=1e-6)  # cf32 of values up to 5


def test_echoes_stand_behind_the_taps() -> None:
    channel, whole = SampleChannel(1), SampleChannel(1)
    echoes = np.array([1.0, 0, 0, 0.1j])
    channel.change(taps(), echoes, 0.0, 0.0)
    whole.change(np.convolve(taps(), echoes), NO_ECHO, 0.0, 0.0)
    np.testing.assert_array_equal(channel.passed(SENT), whole.passed(SENT))


@pytest.mark.parametrize("sent", [SENT[:600] * 0, SENT[:200]])
def test_noise_has_the_power_that_it_is_told(sent: np.ndarray) -> None:
    quiet, noisy = SampleChannel(1), SampleChannel(2)
    quiet.change(taps(), NO_ECHO, 0.0, 0.0)
    noisy.change(taps(), NO_ECHO, 0.3, 0.0)
    noise = noisy.passed(sent) - quiet.passed(sent)
    # a mean of so many exponential powers, five deviations around it
    assert np.mean(np.abs(noise) ** 2) == pytest.approx(0.09, rel=5 / np.sqrt(sent.size))


def test_nothing_is_heard_before_there_are_taps() -> None:
    assert not SampleChannel(1).passed(SENT).any()


def test_new_taps_hold_for_samples_that_come_later_and_for_no_others() -> None:
    channel = SampleChannel(1)
    channel.change(taps(), NO_ECHO, 0.0, 0.0)
    channel.passed(SENT[:100])
    channel.change(2 * NO_ECHO, NO_ECHO, 0.0, 0.0)
    np.testing.assert_allclose(channel.passed(SENT[100:]), 2 * SENT[100:], rtol=0, atol=1e-6)


ARRAY_TAPS = {
    ue: (RNG.standard_normal((3, 41, 2)) @ (1, 1j)).astype(np.complex128) for ue in ("first", "second")
}  # (antenna, tap)
SENT_BY = {"first": SENT, "second": np.roll(SENT, 450)}


def heard_by_the_array() -> np.ndarray:
    """What each antenna hears of both, ``(sample, antenna)``."""
    sums = [
        sum(
            through_paths(SENT_BY[ue].astype(np.complex128), list(enumerate(rows[antenna])), 0.0)
            for ue, rows in ARRAY_TAPS.items()
        )
        for antenna in range(3)
    ]
    return np.stack(sums, axis=1)[: SENT.size]


@given(st.lists(st.integers(1, 300), min_size=1, max_size=10))
def test_every_antenna_hears_the_sum_of_all_ues_behind_taps_of_its_own(sizes: list[int]) -> None:
    channel = ArrayChannel(tuple(SENT_BY), 3, 41, 1)
    channel.change(ARRAY_TAPS, 0.0, 0.0)
    borders = [border for border in np.cumsum(sizes) if border < SENT.size]
    blocks = zip(*(np.split(sent, borders) for sent in SENT_BY.values()), strict=True)
    passed = np.concatenate([channel.passed(dict(zip(SENT_BY, block, strict=True))) for block in blocks])
    np.testing.assert_allclose(passed, heard_by_the_array(), rtol=0, atol=2e-5)  # cf32 of values up to 100


def test_carriers_of_ues_are_off_before_the_array_and_go_on_from_block_to_block() -> None:
    channel = ArrayChannel(("first",), 1, 1, 1)
    channel.change({"first": np.ones((1, 1), dtype=np.complex128)}, 0.0, 0.01)
    passed = np.concatenate([channel.passed({"first": block})[:, 0] for block in np.split(SENT, [100, 250])])
    turned = SENT * np.exp(2j * np.pi * 0.01 * np.arange(SENT.size))
    np.testing.assert_allclose(passed, turned, rtol=0, atol=1e-6)


def test_noise_of_antennas_has_the_power_that_it_is_told_and_nothing_in_common() -> None:
    channel = ArrayChannel(("first",), 2, 41, 1)
    channel.change({}, 0.3, 0.0)  # who has no taps is not heard
    noise = channel.passed({"first": SENT})
    share = noise.conj().T @ noise / len(noise)
    np.testing.assert_allclose(share, 0.09 * np.eye(2), rtol=0, atol=0.09 * 5 / np.sqrt(len(noise)))
