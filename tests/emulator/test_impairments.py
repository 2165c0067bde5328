import numpy as np
import numpy.typing as npt
import pytest

from emulator.config import FrontEndSection, LinkBudget, Noise, NoNoise, PerSubcarrier, SweepMean
from emulator.impairments import (
    carrier_phase_rad,
    circular_noise,
    element_alive,
    element_amplitude,
    element_delay_error_s,
    element_phase_error_rad,
    flat_sigma2_w,
    link_budget_sigma2_w,
    noisy,
    phase_noise_rad,
    quantised,
    timing_jitter_s,
    with_pilot_phase,
    with_timing_offset,
)
from protocol.testbed import SPEED_OF_LIGHT_M_S, Setting, default_facts
from tests.oracles import dense_sweep

Floats = npt.NDArray[np.float64]
ComplexArray = npt.NDArray[np.complex128]

DRAWS = 100_000
# |noise|^2 is exponential: the mean over n draws deviates by 1/sqrt(n) of itself; five deviations never fail by chance.
FIVE_SIGMA = 5 / np.sqrt(DRAWS)
# The rounding of a sum and a difference of numbers of order one.
ROUNDING = 1e-12
SPACING_HZ = 480e3


def grid() -> ComplexArray:
    """Two subcarriers, the second with 100 times the power, seen by many elements."""
    return np.tile(np.array([0.1 + 0j, 1j]), (DRAWS, 1))


def noise_power_w(received: ComplexArray, noise: Noise, amplitude: float = 1.0) -> npt.NDArray[np.float64]:
    samples = noisy(received, noise, np.random.default_rng(7), spacing_hz=SPACING_HZ)
    return np.asarray(np.mean(np.abs(samples - amplitude * received) ** 2, axis=0))


def test_circular_noise_has_its_variance_half_in_each_part_and_no_pseudo_variance() -> None:
    noise = circular_noise(np.random.default_rng(3), 2.0, (DRAWS,))
    # the square of one real part deviates by sqrt(2/n), and so does the pseudo-variance at most
    bound = np.sqrt(2) * FIVE_SIGMA
    assert np.mean(noise.real**2) == pytest.approx(1.0, rel=bound)
    assert np.mean(noise.imag**2) == pytest.approx(1.0, rel=bound)
    assert abs(np.mean(noise**2)) <= 2 * bound
    assert abs(np.mean(noise)) <= np.sqrt(2) * FIVE_SIGMA


def test_sweep_mean_noise_is_flat_and_refers_to_the_mean_power() -> None:
    expected_w = (0.01 + 1) / 2 / 10
    np.testing.assert_allclose(noise_power_w(grid(), SweepMean(snr_db=10)), expected_w, rtol=FIVE_SIGMA)


def test_per_subcarrier_noise_follows_each_subcarriers_power() -> None:
    power_w = noise_power_w(grid(), PerSubcarrier(snr_db=20))
    np.testing.assert_allclose(power_w, [1e-4, 1e-2], rtol=FIVE_SIGMA)


def test_link_budget_noise_is_thermal_and_the_power_is_split_equally() -> None:
    noise = LinkBudget(transmit_power_dbm=-60, noise_figure_db=7)
    amplitude = np.sqrt(1e-9 / 2)
    # -173.98 dBm/Hz + 56.81 dB(Hz) + 7 dB at 290 K, added by hand to 0.01 dB
    expected_dbm = -110.17
    assert 10 * np.log10(link_budget_sigma2_w(noise, SPACING_HZ)) + 30 == pytest.approx(expected_dbm, abs=0.01)
    expected_w = link_budget_sigma2_w(noise, SPACING_HZ)
    np.testing.assert_allclose(noise_power_w(grid(), noise, amplitude), expected_w, rtol=FIVE_SIGMA)


def test_link_budget_without_noise_worth_mentioning_shows_the_transmit_power() -> None:
    noise = LinkBudget(transmit_power_dbm=30, noise_figure_db=0, temperature_k=1e-9)
    samples = noisy(np.ones(4, dtype=np.complex128), noise, np.random.default_rng(1), spacing_hz=1.0)
    assert np.sum(np.abs(samples) ** 2) == pytest.approx(1.0, rel=ROUNDING)  # 30 dBm is 1 W


def test_no_noise_returns_a_copy_of_the_grid() -> None:
    received = grid()
    samples = noisy(received, NoNoise(), np.random.default_rng(1), spacing_hz=SPACING_HZ)
    assert samples is not received
    np.testing.assert_array_equal(samples, received)


def test_same_seed_gives_the_same_noise() -> None:
    first, second = (
        noisy(grid(), SweepMean(snr_db=0), np.random.default_rng(11), spacing_hz=SPACING_HZ) for _ in range(2)
    )
    np.testing.assert_array_equal(first, second)


def setting() -> Setting:
    rng = np.random.default_rng(2)
    return Setting(phase_cycles=rng.uniform(-2e4, 2e4, (3, 64)), delay_s=rng.uniform(0, 74e-9, (3, 64)))


def test_continuous_front_end_applies_what_it_is_asked_for() -> None:
    applied, phase_deviation_cycles, delay_deviation_s = quantised(setting(), FrontEndSection().limits(64))
    np.testing.assert_array_equal(applied.phase_cycles, setting().phase_cycles)
    np.testing.assert_array_equal(applied.delay_s, setting().delay_s)
    assert phase_deviation_cycles == delay_deviation_s == 0


@pytest.mark.parametrize("bits", [1, 4, 10])
def test_phase_goes_to_the_nearest_of_its_values(bits: int) -> None:
    limits = FrontEndSection(phase_bits=bits).limits(64)
    applied, deviation_cycles, _ = quantised(setting(), limits)
    levels = applied.phase_cycles * 2**bits
    np.testing.assert_array_equal(levels, np.rint(levels))  # exact: powers of two
    assert 0 <= applied.phase_cycles.min() <= applied.phase_cycles.max() < 1
    turn = applied.phase_cycles - setting().phase_cycles
    # phases of 2e4 cycles are known to 4e-12; 192 uniform phases come within a few per cent of the bound
    assert np.abs(turn - np.rint(turn)).max() == pytest.approx(deviation_cycles, abs=1e-11)
    assert 0.9 * 2.0 ** -(bits + 1) <= deviation_cycles <= 2.0 ** -(bits + 1) + 1e-11


def test_delay_goes_to_the_nearest_step() -> None:
    applied, _, deviation_s = quantised(setting(), FrontEndSection(delay_step_s=3e-12).limits(64))
    steps = applied.delay_s / 3e-12
    # 25 000 steps of rounding 1e-16
    np.testing.assert_allclose(steps, np.rint(steps), rtol=0, atol=1e-10)
    assert 1.4e-12 <= deviation_s <= 1.5e-12 * (1 + 1e-9)


@pytest.mark.parametrize("step_s", [0.0, 1e-10])
def test_delay_beyond_the_lines_ends_stays_at_the_end_and_shows(step_s: float) -> None:
    asked = Setting(phase_cycles=np.zeros((1, 3)), delay_s=np.array([[-1e-9, 50e-9, 130e-9]]))
    applied, _, deviation_s = quantised(asked, FrontEndSection(delay_step_s=step_s).limits(3))
    np.testing.assert_allclose(applied.delay_s, [[0, 50e-9, 100e-9]], rtol=ROUNDING)
    assert deviation_s == pytest.approx(30e-9, rel=ROUNDING)


def test_setting_for_another_array_is_refused() -> None:
    with pytest.raises(ValueError, match="128 elements expected, got 64"):
        quantised(setting(), FrontEndSection().limits(128))


# --- errors of an array's elements -----------------------------------------------------------------------------------


def assert_normal(values: Floats, rms: float) -> None:
    """Mean, rms and the share within one rms are those of a normal variable, each within five standard deviations."""
    n = values.size
    assert abs(np.mean(values)) <= 5 * rms / np.sqrt(n)
    assert np.std(values) == pytest.approx(rms, rel=5 / np.sqrt(2 * n))
    assert np.mean(np.abs(values) <= rms) == pytest.approx(0.6827, abs=5 * np.sqrt(0.6827 * 0.3173 / n))


def test_element_levels_are_normal_in_decibels() -> None:
    amplitude = element_amplitude(np.random.default_rng(21), DRAWS, 0.8)
    assert_normal(20 * np.log10(amplitude), 0.8)


def test_element_phase_errors_are_normal() -> None:
    assert_normal(element_phase_error_rad(np.random.default_rng(22), DRAWS, 0.1), 0.1)


def test_delay_errors_are_normal() -> None:
    assert_normal(element_delay_error_s(np.random.default_rng(23), DRAWS, 2e-12), 2e-12)


@pytest.mark.parametrize(("fraction", "dead"), [(0.0, 0), (0.01, 5), (0.25, 128), (1.0, 512)])
def test_as_many_elements_are_dead_as_the_fraction_says(fraction: float, dead: int) -> None:
    alive = element_alive(np.random.default_rng(24), 512, fraction)
    assert set(alive.tolist()) <= {0.0, 1.0}
    assert np.count_nonzero(alive == 0) == dead


def test_every_element_is_equally_likely_to_be_dead() -> None:
    rng, runs = np.random.default_rng(25), 20_000
    died = np.mean([element_alive(rng, 8, 0.25) == 0 for _ in range(runs)], axis=0)
    # five standard deviations of a binomial share
    np.testing.assert_allclose(died, 0.25, atol=5 * np.sqrt(0.25 * 0.75 / runs))


# --- errors of a UE's clock ------------------------------------------------------------------------------------------


def test_phase_noise_is_normal_and_each_pilot_has_its_own() -> None:
    phase_rad = phase_noise_rad(np.random.default_rng(26), DRAWS, 0.05)
    assert_normal(phase_rad, 0.05)
    # products of independent pilots deviate by rms^2 / sqrt(n) from zero
    assert abs(np.mean(phase_rad[1:] * phase_rad[:-1])) <= 0.05**2 * FIVE_SIGMA


def test_timing_jitter_is_normal() -> None:
    rng = np.random.default_rng(27)
    assert_normal(np.array([timing_jitter_s(rng, 20e-12) for _ in range(DRAWS)]), 20e-12)


def test_carrier_offset_of_a_kilohertz_turns_a_quarter_in_a_quarter_of_a_millisecond() -> None:
    phase_rad = carrier_phase_rad(1e3, np.array([0.0, 0.25e-3, 1e-3]))
    np.testing.assert_allclose(phase_rad, [0.0, np.pi / 2, 2 * np.pi], rtol=ROUNDING)


@pytest.mark.parametrize(("offset_spacings", "stated_db"), [(0.01, -34), (0.001, -54)])
def test_what_a_carrier_offset_leaks_is_below_what_is_stated(offset_spacings: float, stated_db: float) -> None:
    """One OFDM symbol in the time domain, turned sample by sample, against the common phase alone."""
    rng, n = np.random.default_rng(28), 512
    sent = np.exp(2j * np.pi * rng.random(n))
    turning = np.exp(2j * np.pi * offset_spacings * np.arange(n) / n)
    received = np.fft.fft(np.fft.ifft(sent) * turning)
    common = np.vdot(sent, received) / abs(np.vdot(sent, received))
    leaked = np.mean(np.abs(received - common * sent) ** 2)
    assert 10 * np.log10(leaked) <= stated_db
    # the formula is exact to second order; unit-power pilots of random phase leak on average, 1/sqrt(512) of it
    assert leaked == pytest.approx((np.pi * offset_spacings) ** 2 / 3, rel=0.2)


def test_each_pilot_turns_its_own_subcarriers_and_the_last_may_have_fewer() -> None:
    turned = with_pilot_phase(np.ones(5, dtype=np.complex128), np.array([0.0, np.pi / 2, np.pi]), 2)
    np.testing.assert_allclose(turned, [1, 1, 1j, 1j, -1], atol=ROUNDING)


@pytest.mark.parametrize("late_s", [1e-9, -0.3e-9])
def test_late_pilot_is_that_of_a_front_end_whose_delays_are_all_shorter(late_s: float) -> None:
    downlink = default_facts(subcarriers=64, elements=16).downlink
    rng = np.random.default_rng(29)
    phase_cycles, delay_s = rng.random((1, 16)), rng.uniform(0, 5e-9, (1, 16))
    swept = [
        dense_sweep(
            downlink,
            Setting(phase_cycles=phase_cycles, delay_s=delay_s - shift_s),
            9.0,
            0.3,
            np.ones(16),
            SPEED_OF_LIGHT_M_S,
        )
        for shift_s in (0.0, late_s)
    ]
    late = with_timing_offset(swept[0], late_s, downlink.grid.spacing_hz)
    assert np.linalg.norm(late - swept[1]) <= ROUNDING * np.linalg.norm(swept[1])


def test_late_pilot_turns_as_one_from_farther_away_does() -> None:
    """Phase slopes over the subcarriers: 1 ns is 0.2998 m at the same amplitude."""
    grid = default_facts(subcarriers=64, elements=16).downlink.grid
    tone = np.ones(64, dtype=np.complex128)
    farther = np.exp(2j * np.pi * grid.offset_hz * 0.299792458 / SPEED_OF_LIGHT_M_S)
    np.testing.assert_allclose(with_timing_offset(tone, 1e-9, grid.spacing_hz), farther, atol=ROUNDING)


@pytest.mark.parametrize(
    ("noise", "amplitude"),
    [(SweepMean(snr_db=3.0), 1.0), (LinkBudget(transmit_power_dbm=-90.0, noise_figure_db=5.0), np.sqrt(1e-12 / 2))],
)
def test_flat_noise_power_is_what_is_added_to_pilots_of_one_watt(noise: Noise, amplitude: float) -> None:
    stated_w = flat_sigma2_w(grid(), noise, spacing_hz=SPACING_HZ)
    added_w = noise_power_w(grid(), noise, amplitude) / amplitude**2
    assert stated_w is not None
    np.testing.assert_allclose(added_w, stated_w, rtol=FIVE_SIGMA)


@pytest.mark.parametrize("noise", [PerSubcarrier(snr_db=3.0), NoNoise()])
def test_noise_that_is_not_flat_has_no_flat_power(noise: Noise) -> None:
    assert flat_sigma2_w(grid(), noise, spacing_hz=SPACING_HZ) is None
