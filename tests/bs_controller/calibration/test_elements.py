"""Elements from coded pilots: injected errors come back, exactly without noise and as near as the bound allows with it."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from bs_controller.calibration.elements import ElementErrors, element_errors
from bs_controller.calibration.pilots import HeardCodes
from tests.bs_controller.calibration.front_ends import CODES, FACTS, PLACE, Erring, Turned, heard, with_noise

Floats = npt.NDArray[np.float64]

STEADY = Turned(phase_rad=np.zeros(2 * CODES), late_s=np.zeros(2 * CODES))


def misses(found: ElementErrors, erring: Erring) -> tuple[Floats, Floats, Floats]:
    """Return how far levels, phases and delays of living elements are off, all of them without their mean."""
    alive = erring.amplitude > 0
    gain_db = found.gain_db[alive] - 20 * np.log10(erring.amplitude[alive])
    turn = np.exp(1j * (found.phase_rad - erring.phase_rad)[alive])
    phase_rad = np.angle(turn * np.conj(turn.mean()))
    delay_s = (found.delay_s - erring.delay_s)[alive]
    # a delay of the mean element turns the phase of all others on the first subcarrier by nothing: it belongs to the path
    return gain_db - gain_db.mean(), phase_rad, delay_s - delay_s.mean()


@pytest.mark.parametrize("codes", [4, 16])
def test_errors_come_back_exactly_from_noise_free_pilots_turned_and_late_at_random(codes: int) -> None:
    erring = Erring.drawn(1)
    found = element_errors(heard(erring, Turned.drawn(2, 2 * codes, late_s=0.3e-9), codes), FACTS)
    gain_db, phase_rad, delay_s = misses(found.errors, erring)
    # eight turns leave what they have not yet converged by; noise leaves a thousand times more at 40 dB
    assert np.abs(gain_db).max() < 1e-4
    assert np.abs(phase_rad).max() < 1e-4
    assert np.abs(delay_s).max() < 1e-15


def test_gauge_gives_elements_means_of_zero_and_the_path_what_is_common() -> None:
    erring = Erring.drawn(3)
    common = replace(erring, amplitude=0.5 * erring.amplitude, delay_s=erring.delay_s + 40e-12)
    found, other = (element_errors(heard(one, STEADY), FACTS) for one in (erring, common))
    for one in (found, other):
        assert abs(one.errors.gain_db.mean()) < 1e-9
        assert abs(one.errors.delay_s.mean()) < 1e-21
        assert abs(np.angle(np.exp(1j * one.errors.phase_rad).sum())) < 1e-9
    np.testing.assert_allclose(other.errors.delay_s, found.errors.delay_s, atol=1e-16)
    assert other.path.gain_db - found.path.gain_db == pytest.approx(20 * np.log10(0.5), abs=1e-3)
    # lines that are late make the wave arrive as if from nearer: weights have the sign of h, samples that of its conjugate
    assert other.path.delay_s - found.path.delay_s == pytest.approx(-40e-12, abs=1e-15)


@pytest.mark.parametrize("late_s", [-0.4e-9, 0.7e-9])
def test_late_clock_is_the_delay_of_the_path(late_s: float) -> None:
    erring = Erring.drawn(4)
    late = Turned(phase_rad=STEADY.phase_rad, late_s=np.full(2 * CODES, late_s))
    found, on_time = (element_errors(heard(erring, one), FACTS) for one in (late, STEADY))
    assert found.path.delay_s - on_time.path.delay_s == pytest.approx(late_s, abs=1e-15)
    np.testing.assert_allclose(found.errors.delay_s, on_time.errors.delay_s, atol=1e-15)


def test_unsteadiness_of_pilots_is_told() -> None:
    turned = Turned.drawn(5, 2 * CODES, jitter_s=20e-12)
    turned = replace(turned, phase_rad=0.2 * np.random.default_rng(6).standard_normal(2 * CODES))
    path = element_errors(heard(Erring.drawn(4), turned), FACTS).path
    assert path.timing_rms_s == pytest.approx(float(turned.late_s.std()), rel=1e-3)
    middle_rad = turned.phase_rad + 2 * np.pi * turned.late_s * FACTS.downlink.grid.offset_hz.mean()
    # of normal turns on the circle; of the 32 drawn here the two rms differ by some per cent
    assert path.phase_rms_rad == pytest.approx(float(middle_rad.std()), rel=0.1)


def test_dead_elements_are_found_and_left_out_of_the_means() -> None:
    erring = Erring.drawn(7, dead=(0, 9))
    pilots, _ = with_noise(heard(erring, STEADY), 20.0, 8)
    errors = element_errors(pilots, FACTS).errors
    np.testing.assert_array_equal(errors.alive, erring.amplitude > 0)
    assert not errors.phase_rad[[0, 9]].any()
    assert np.isinf(errors.delay_error_s[[0, 9]]).all()


def test_user_who_hears_something_else_is_refused() -> None:
    pilots = heard(Erring.drawn(9), STEADY)
    rng = np.random.default_rng(10)
    noise = rng.standard_normal(pilots.samples.shape) + 1j * rng.standard_normal(pilots.samples.shape)
    with pytest.raises(ValueError, match=r"expected pilots of which elements at 6 m explain"):
        element_errors(replace(pilots, samples=noise), FACTS)
    with pytest.raises(ValueError, match="expected pilots with power, got zeros"):
        element_errors(replace(pilots, samples=0 * noise), FACTS)


def test_elements_too_close_in_delay_to_tell_from_clocks_are_refused_rather_than_told_wrongly() -> None:
    """A hundredth of the band's resolution apart: a clock's turn looks like errors of elements."""
    pilots = heard(Erring.drawn(9), Turned.drawn(10, 2 * CODES), delay_span_s=0.03e-9)
    noisy, _ = with_noise(pilots, 20.0, 11)
    with pytest.raises(ValueError, match=r"spread elements over more of the delay lines|explain 10% of the power"):
        element_errors(noisy, FACTS)


# --- the bound -------------------------------------------------------------------------------------------------------


def bound(pilots: HeardCodes, erring: Erring, turned: Turned, noise_w: float) -> tuple[Floats, Floats, Floats]:
    """Return Cramer-Rao bounds of levels, phases and delays in the gauge, with all clocks unknown: differences, then a pinv."""
    elements, rows = erring.amplitude.size, turned.phase_rad.size
    steps = {"level": 1e-5, "phase": 1e-5, "delay": 1e-16}

    def at(what: str, n: int, step: float) -> Floats:
        changed, clocks = erring, turned
        if what == "level":
            changed = replace(erring, amplitude=erring.amplitude * np.exp(step * (np.arange(elements) == n)))
        elif what == "phase":
            changed = replace(erring, phase_rad=erring.phase_rad + step * (np.arange(elements) == n))
        elif what == "delay":
            changed = replace(erring, delay_s=erring.delay_s + step * (np.arange(elements) == n))
        elif what == "turn":
            clocks = replace(turned, phase_rad=turned.phase_rad + step * (np.arange(rows) == n))
        else:
            clocks = replace(turned, late_s=turned.late_s + step * (np.arange(rows) == n))
        samples = heard(changed, clocks, pilots.codes).samples.ravel()
        return np.concatenate([samples.real, samples.imag])

    scale = {"level": 1.0, "phase": 1.0, "delay": 1e-9, "turn": 1.0, "late": 1e-9}
    columns = []
    for what, count in (("level", elements), ("phase", elements), ("delay", elements), ("turn", rows), ("late", rows)):
        step = steps.get(what, 1e-5 if what == "turn" else 1e-16)
        columns += [(at(what, n, step) - at(what, n, -step)) / (2 * step) * scale[what] for n in range(count)]
    jacobian = np.stack(columns, axis=1)
    covariance = np.linalg.pinv(jacobian.T @ jacobian * 2 / noise_w, rcond=1e-10)
    centred = np.eye(elements) - 1 / elements
    parts = [covariance[i * elements : (i + 1) * elements, i * elements : (i + 1) * elements] for i in range(3)]
    level, phase, delay = (np.sqrt(np.diag(centred @ part @ centred)) for part in parts)
    return level * 20 / np.log(10), phase, delay * 1e-9


def test_standard_errors_are_the_cramer_rao_bound_with_unknown_clocks() -> None:
    erring, turned = Erring.drawn(11), Turned.drawn(12, 2 * 8)
    pilots, noise_w = with_noise(heard(erring, turned, 8), 20.0, 13)
    errors = element_errors(pilots, FACTS).errors
    stated = errors.gain_error_db, errors.phase_error_rad, errors.delay_error_s
    for mine, least in zip(stated, bound(pilots, erring, turned, noise_w), strict=True):
        # stated as if other elements and clocks were known and without the gauge: both are worth a few per cent
        assert float(np.sqrt(np.mean(mine**2) / np.mean(least**2))) == pytest.approx(1.0, abs=0.15)


def test_errors_come_back_within_their_standard_errors() -> None:
    normalised: list[Floats] = []
    for seed in range(12):
        erring = Erring.drawn(100 + seed)
        pilots, _ = with_noise(heard(erring, Turned.drawn(200 + seed, 2 * CODES)), 10.0, 300 + seed)
        errors = element_errors(pilots, FACTS).errors
        stated = errors.gain_error_db, errors.phase_error_rad, errors.delay_error_s
        normalised.append(np.stack([miss / error for miss, error in zip(misses(errors, erring), stated, strict=True)]))
    rms = np.sqrt(np.mean(np.concatenate(normalised, axis=1) ** 2, axis=1))
    # 192 of each: 1 with a deviation of 0.05, a few per cent of clocks above
    assert np.abs(rms - 1).max() < 0.2, rms


def test_place_is_what_elements_are_told_from() -> None:
    """A survey that is off is taken for errors of the elements: in angle it tilts their phases."""
    pilots = heard(Erring(amplitude=np.ones(16), phase_rad=np.zeros(16), delay_s=np.zeros(16)), STEADY)
    off_rad = 1e-3
    moved = replace(pilots, place=replace(PLACE, angle_rad=PLACE.angle_rad + off_rad))
    slope = np.polyfit(FACTS.downlink.array.element_x_m, element_errors(moved, FACTS).errors.phase_rad, 1)[0]
    first_rad_m = 2 * np.pi * FACTS.downlink.grid.first_hz / FACTS.speed_of_light_m_s
    assert slope == pytest.approx(first_rad_m * off_rad * np.cos(PLACE.angle_rad), rel=0.05)
