import numpy as np
import pytest
from scipy.stats import ncx2

from sdr_backend.curves import CHANNELS, CurveRow, curve
from sdr_backend.ofdm import FrameLayout, preamble_spectrum
from sdr_backend.synchronisation import FALSE_ALARM, coherence, coherence_threshold

LAYOUT = FrameLayout.of(2048)
SENT = 150


def row(channel: str, snr_db: float) -> CurveRow:
    return next(curve(LAYOUT, channel, [snr_db], SENT, np.random.default_rng(17)))


def share_in_repetitions(channel: str, snr_db: float, draws: int) -> float:
    """Share of noisy repetitions of the preamble whose coherence is above the threshold."""
    rng, above, power = np.random.default_rng(23), 0, 10 ** (-snr_db / 10)
    threshold = coherence_threshold(LAYOUT.subcarriers, FALSE_ALARM)
    for _ in range(draws):
        taps = CHANNELS[channel](rng, LAYOUT)
        spectrum = preamble_spectrum(LAYOUT.subcarriers) * np.fft.fft(taps, LAYOUT.subcarriers)
        twice = np.tile(np.fft.ifft(spectrum, norm="ortho"), 2)
        noise = np.sqrt(power / 2) * rng.standard_normal((twice.size, 2)).view(np.complex128)[:, 0]
        above += bool(coherence((twice + noise).astype(np.complex64), LAYOUT.subcarriers)[0] > threshold)
    return above / draws


def expected_share(snr_db: float) -> float:
    """Probability that the correlation of two noisy repetitions exceeds the threshold, for energies at their mean.

    The sum of ``M`` products has the mean ``M S`` and the variance ``M (N^2 + 2 S N)``, half of it in each part.
    """
    count, signal = LAYOUT.subcarriers, 10 ** (snr_db / 10)
    deviation2 = count * (1 + 2 * signal) / 2
    threshold = coherence_threshold(count, FALSE_ALARM) * (count * (1 + signal)) ** 2
    return float(ncx2.sf(threshold / deviation2, 2, (count * signal) ** 2 / deviation2))


@pytest.mark.parametrize("channel", ["flat", "rainbow"])
@pytest.mark.parametrize("snr_db", [-11.0, -9.5, -8.0])
def test_repetitions_are_found_as_often_as_their_energy_allows_whatever_the_channel(
    channel: str, snr_db: float
) -> None:
    draws, expected = 400, expected_share(snr_db)
    # energies deviate by 2 % from their mean and move the threshold by as much: 3 % of the share at most
    bound = 0.03 + 5 * np.sqrt(expected * (1 - expected) / draws)
    assert share_in_repetitions(channel, snr_db, draws) == pytest.approx(expected, abs=bound)


@pytest.mark.parametrize("channel", sorted(CHANNELS))
def test_at_minus_six_decibel_99_of_100_bursts_are_read_and_none_is_misread(channel: str) -> None:
    measured = row(channel, -6.0)
    assert measured.read >= 0.99 * SENT - 5 * np.sqrt(SENT * 0.99 * 0.01)
    assert measured.misread == 0


@pytest.mark.parametrize("channel", sorted(CHANNELS))
def test_far_below_the_noise_nothing_is_read_and_nothing_misread(channel: str) -> None:
    measured = row(channel, -16.0)
    assert (measured.read, measured.misread) == (0, 0)


@pytest.mark.parametrize("channel", sorted(CHANNELS))
def test_errors_above_the_noise_are_those_of_theory(channel: str) -> None:
    measured = row(channel, 10.0)
    assert measured.read == SENT
    # each of 150 x 2048 errors is exponential in power: 0.2 % rms; what the common phase adds is less still
    assert measured.channel_rms == pytest.approx(measured.channel_theory, rel=0.01)
    # an rms of 150 draws deviates by 1/sqrt(300) of itself
    assert measured.carrier_rms_spacings == pytest.approx(measured.carrier_theory_spacings, rel=5 / np.sqrt(2 * SENT))


def test_a_rainbow_beam_is_read_while_it_is_found() -> None:
    # four of five bursts, of which nearly all are found at this ratio; less five deviations of the count
    assert row("rainbow", -9.0).read >= 0.8 * SENT - 5 * np.sqrt(SENT * 0.8 * 0.2)


def test_the_one_path_of_a_flat_channel_is_placed_to_the_sample() -> None:
    # noise that stands out of itself weighs 3e-4 of a path
    assert row("flat", -6.0).timing_rms_samples < 0.5
