import numpy as np
import numpy.typing as npt
import pytest

from emulator.config import ClocksSection, ElementErrorsSection, FrontEndErrorsSection, FrontEndSection
from emulator.downlink import DownlinkEmulator
from emulator.hardware import Clock, ElementErrors, FrontEndErrors, PilotLayout
from emulator.scene import Position
from protocol.testbed import SPEED_OF_LIGHT_M_S, Setting, default_facts
from tests.oracles import linear_distance_m

Floats = npt.NDArray[np.float64]
ComplexArray = npt.NDArray[np.complex128]

FACTS = default_facts(subcarriers=64, elements=16, uplink_subcarriers=6)
DOWNLINK, GRID, C_M_S = FACTS.downlink, FACTS.downlink.grid, SPEED_OF_LIGHT_M_S
ALL = FrontEndErrorsSection(gain_rms_db=2.0, phase_rms_deg=30.0, dead_fraction=0.25, delay_rms_s=50e-12)
# The emulator's transform is asked for 1e-10, and errors add up over the bins.
SWEEP_ERROR = 1e-8
# A few roundings of numbers of order one.
ROUNDING = 1e-12


def front_end(section: FrontEndErrorsSection, seed: int = 1) -> FrontEndErrors:
    return FrontEndErrors.drawn(section, 16, np.random.default_rng(seed))


def setting(groups: int = 1, groups_per_pilot: int = 1) -> Setting:
    rng = np.random.default_rng(4)
    return Setting(
        phase_cycles=rng.random((groups, 16)),
        delay_s=rng.uniform(0, 5e-9, (groups, 16)),
        groups_per_pilot=groups_per_pilot,
    )


# --- arrays ----------------------------------------------------------------------------------------------------------


def test_sweep_of_an_erring_front_end_is_the_dense_sum_of_its_erring_elements() -> None:
    errors, asked, user = front_end(ALL), setting(), Position(range_m=7.0, angle_rad=0.4)
    emulator = DownlinkEmulator(DOWNLINK, C_M_S, errors.element.amplitude)
    ours = emulator.received(errors.sent(asked), user, np.ones(16))
    distance_m = linear_distance_m(DOWNLINK.array.element_x_m, 7.0, 0.4)
    expected = np.zeros(64, dtype=np.complex128)
    for n in range(16):
        own = errors.element.amplitude[n] * np.exp(1j * errors.element.phase_rad[n])
        late_s = asked.delay_s[0, n] + errors.delay_s[n]
        for m, f_hz in enumerate(GRID.frequency_hz):
            w = own * np.exp(-2j * np.pi * (asked.phase_cycles[0, n] + m * GRID.spacing_hz * late_s)) / 4
            h = C_M_S / (4 * np.pi * f_hz * 7.0) * np.exp(-2j * np.pi * f_hz * distance_m[n] / C_M_S)
            expected[m] += np.conj(h) * w
    assert np.linalg.norm(ours - expected) <= SWEEP_ERROR * np.linalg.norm(expected)


def test_front_end_without_errors_sends_what_is_applied() -> None:
    errors = front_end(FrontEndErrorsSection())
    sent = errors.sent(setting())
    np.testing.assert_array_equal(sent.phase_cycles, setting().phase_cycles)
    np.testing.assert_array_equal(sent.delay_s, setting().delay_s)
    np.testing.assert_array_equal(errors.element.amplitude, np.ones(16))


@pytest.mark.parametrize("field", ["gain_rms_db", "phase_rms_deg", "dead_fraction", "delay_rms_s"])
def test_error_switched_on_alone_is_drawn_as_among_the_others(field: str) -> None:
    together, alone = front_end(ALL), front_end(FrontEndErrorsSection(**{field: getattr(ALL, field)}))
    dead = front_end(FrontEndErrorsSection(dead_fraction=ALL.dead_fraction)).element.amplitude == 0
    parts: dict[str, tuple[Floats, Floats]] = {
        "gain_rms_db": (together.element.amplitude[~dead], alone.element.amplitude[~dead]),
        "dead_fraction": (together.element.amplitude == 0, alone.element.amplitude == 0),
        "phase_rms_deg": (together.element.phase_rad, alone.element.phase_rad),
        "delay_rms_s": (together.delay_s, alone.delay_s),
    }
    for name, (one, other) in parts.items():
        assert np.array_equal(one, other) == (name == field)


def test_erring_array_receives_each_element_by_its_own_weight() -> None:
    section = ElementErrorsSection(gain_rms_db=1.0, phase_rms_deg=20.0, dead_fraction=0.5)
    errors = ElementErrors.drawn(section, 4, np.random.default_rng(2))
    samples = np.arange(1, 13, dtype=np.complex128).reshape(4, 3)
    received = errors.received(samples)
    for n in range(4):
        weight = errors.amplitude[n] * (np.cos(errors.phase_rad[n]) + 1j * np.sin(errors.phase_rad[n]))
        np.testing.assert_allclose(received[n], weight * samples[n], rtol=ROUNDING)
    assert np.count_nonzero(np.abs(received).sum(axis=1)) == 2


# --- pilots ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("groups", "per_pilot", "held", "pilots", "subcarriers"),
    [(1, 1, 1, 1, 64), (8, 8, 8, 1, 64), (8, 8, 1, 8, 8), (8, 3, 8, 3, 24), (8, 5, 2, 4, 16)],
)
def test_layout_counts_the_pilots_that_ready_charges(
    groups: int, per_pilot: int, held: int, pilots: int, subcarriers: int
) -> None:
    layout = PilotLayout.of(setting(groups, per_pilot), FrontEndSection(groups=held).limits(16), GRID)
    assert (layout.pilots, layout.subcarriers_per_pilot) == (pilots, subcarriers)


def test_pilots_follow_each_other_by_a_symbol_and_the_settling() -> None:
    limits = FrontEndSection(settle_s=1e-3).limits(16)
    assert PilotLayout.of(setting(), limits, GRID).interval_s == pytest.approx(1e-3 + 63 / 6e9, rel=ROUNDING)


# --- clocks ----------------------------------------------------------------------------------------------------------

ONE_PILOT = PilotLayout(pilots=1, subcarriers_per_pilot=64, interval_s=1e-3)
TWO_PILOTS = PilotLayout(pilots=2, subcarriers_per_pilot=32, interval_s=1e-3)


def seen(clock: Clock, layout: PilotLayout = ONE_PILOT, start_s: float = 0.0) -> ComplexArray:
    samples = np.ones(64, dtype=np.complex128)
    return clock.received(samples, layout, np.random.default_rng(6), start_s=start_s, spacing_hz=GRID.spacing_hz)


def test_perfect_clock_leaves_the_samples_alone() -> None:
    np.testing.assert_array_equal(seen(Clock(unsteady=ClocksSection())), np.ones(64))


def test_carrier_offset_turns_consecutive_pilots_by_their_interval() -> None:
    samples = seen(Clock(carrier_offset_hz=100.0, unsteady=ClocksSection()), TWO_PILOTS, start_s=2.5e-3)
    # a tenth of a turn per millisecond, from a quarter of a turn on
    expected = np.exp(2j * np.pi * np.repeat([0.25, 0.35], 32))
    np.testing.assert_allclose(samples, expected, atol=ROUNDING)


def test_carrier_offset_that_would_leak_is_refused() -> None:
    with pytest.raises(ValueError, match="carrier_offset_hz must lie within"):
        seen(Clock(carrier_offset_hz=0.0101 * GRID.spacing_hz, unsteady=ClocksSection()))


def test_steady_timing_offset_and_jitter_add_up() -> None:
    unsteady = ClocksSection(timing_jitter_rms_s=20e-12)
    both = seen(Clock(timing_offset_s=1e-9, unsteady=unsteady))
    product = seen(Clock(timing_offset_s=1e-9, unsteady=ClocksSection())) * seen(Clock(unsteady=unsteady))
    np.testing.assert_allclose(both, product, atol=ROUNDING)


def test_phase_noise_turns_a_pilot_as_a_whole_and_the_next_by_another_angle() -> None:
    samples = seen(Clock(unsteady=ClocksSection(phase_noise_rms_deg=10.0)), TWO_PILOTS)
    np.testing.assert_allclose(samples, np.repeat(samples[[0, 32]], 32), atol=ROUNDING)
    assert abs(samples[0] - samples[32]) > 1e-3
