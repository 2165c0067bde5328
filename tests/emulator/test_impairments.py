import numpy as np
import numpy.typing as npt
import pytest

from emulator.config import FrontEndSection, LinkBudget, Noise, NoNoise, PerSubcarrier, SweepMean
from emulator.impairments import circular_noise, link_budget_sigma2_w, noisy, quantised
from protocol.testbed import Setting

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
