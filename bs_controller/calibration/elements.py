"""From coded pilots to each element's gain, phase and delay, with their standard errors, and what is common to all: the path.

Least squares by turns: elements with the pilots' clocks held, clocks with the elements held; delays by Gauss and Newton. The
gauge: means over the elements that are alive of level in decibels, of phase (on the circle) and of delay are zero, and the
path has them. What no pilot of one user tells apart is in the path too: transmit power, cables, converters, clocks. An
error of the survey is taken for one of the elements: in angle it tilts phases and delays, in range it bends phases. Pure.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bs_controller.calibration.codes import element_column
from bs_controller.calibration.pilots import Clocks, HeardCodes, code_matrix, first_clocks, templates
from protocol.testbed import TestbedFacts

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
ComplexArray = npt.NDArray[np.complex128]

#: A fit that has settled explains hardly more by another turn: this share of what it leaves, or of all where it leaves nothing.
#: Elements 0.6 resolutions of the band apart in delay settle in 7 turns, 0.25 apart in 17, 0.12 apart not in 30.
SETTLED, SETTLED_OF_ALL = 5e-5, 1e-12
MOST_TURNS = 30
#: Against the median: no element that works is so weak, and one that is dead is not so strong by leakage or noise.
DEAD_DB = -20.0
#: Of the power of pilots. A fit of noise alone explains a hundredth and less.
LEAST_EXPLAINED = 0.1
NEPER_DB = 20 / np.log(10)


@dataclass(frozen=True, slots=True, kw_only=True)
class ElementErrors:
    """What elements do beside their settings, ``(element,)`` each, with standard errors; of dead ones zero, infinite errors."""

    gain_db: Floats
    phase_rad: Floats
    delay_s: Floats
    gain_error_db: Floats
    phase_error_rad: Floats
    delay_error_s: Floats
    alive: Flags


@dataclass(frozen=True, slots=True, kw_only=True)
class Path:
    """What is common to all elements on the way to one user: level against free space, delay, and how steady pilots were.

    ``noise_w`` is what the fit leaves per sample, ``snr_db`` the mean power of pilots over it.
    """

    gain_db: float
    delay_s: float
    delay_error_s: float
    phase_rms_rad: float
    timing_rms_s: float
    noise_w: float
    snr_db: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Solved:
    """What one user's pilots say."""

    errors: ElementErrors
    path: Path


@dataclass(slots=True)
class _State:
    """The estimate under way: complex gains at the band's middle and delays of elements, and the pilots' clocks."""

    gain: ComplexArray  # (element,)
    delay_s: Floats  # (element,)
    clocks: Clocks


def element_errors(heard: HeardCodes, facts: TestbedFacts) -> Solved:
    """Return what one user's pilots say of each element and of the path.

    Raises
    ------
    ValueError
        If the user heard nothing, or not what elements would send, or if elements are too close in delay.
    """
    if not heard.samples.any():
        raise ValueError("expected pilots with power, got zeros throughout")
    tones = templates(heard, facts)
    matrix = code_matrix(heard.codes)
    elements = tones.shape[1]
    column = element_column(elements, heard.codes)
    grid = facts.downlink.grid
    offset_hz = grid.offset_hz - grid.offset_hz.mean()
    state = _State(gain=np.ones(elements, complex), delay_s=np.zeros(elements), clocks=first_clocks(heard, facts))
    before_w = left_w = all_w = float(np.sum(np.abs(heard.samples) ** 2))
    for _ in range(MOST_TURNS):
        decoded = np.einsum("kc,akm->acm", matrix, _steadied(heard.samples, state.clocks, offset_hz)) / heard.codes
        _fit_elements(state, decoded, tones, column, offset_hz)
        expected = _expected(state, tones, column, matrix, offset_hz)
        left_w = float(np.sum(np.abs(_steadied(heard.samples, state.clocks, offset_hz) - expected) ** 2))
        if abs(before_w - left_w) < max(SETTLED * left_w, SETTLED_OF_ALL * all_w):
            break
        before_w = left_w
        state.clocks = _fitted_clocks(heard.samples, expected, state.clocks, offset_hz)
    else:
        _require_explained(heard, 1 - left_w / all_w)
        raise ValueError(_unsettled(heard))
    _require_explained(heard, 1 - left_w / all_w)
    return _solved(state, heard, tones, expected, facts)


def _require_explained(heard: HeardCodes, explained: float) -> None:
    if explained < LEAST_EXPLAINED:
        raise ValueError(
            f"expected pilots of which elements at {heard.place.range_m:g} m explain {LEAST_EXPLAINED:.0%} of the power, got "
            f"{explained:.0%}: noise, an echo, another place, or a clock that is late by a quarter of a symbol or more"
        )


def _unsettled(heard: HeardCodes) -> str:
    span_s = float(np.ptp(heard.delay_s))
    return (
        f"expected pilots that tell elements from clocks, got a fit that has not settled after {MOST_TURNS} turns with delays "
        f"over {1e9 * span_s:g} ns: spread elements over more of the delay lines"
    )


def _turn(clocks: Clocks, offset_hz: Floats) -> ComplexArray:
    """Return how clocks turn pilots, ``(arrangement, row, subcarrier)``."""
    turned: ComplexArray = np.exp(
        1j * (clocks.phase_rad[..., np.newaxis] + 2 * np.pi * clocks.delay_s[..., np.newaxis] * offset_hz)
    )
    return turned


def _steadied(samples: ComplexArray, clocks: Clocks, offset_hz: Floats) -> ComplexArray:
    steadied: ComplexArray = samples * np.conj(_turn(clocks, offset_hz))
    return steadied


def _late(tones: ComplexArray, delay_s: Floats, offset_hz: Floats) -> ComplexArray:
    """Return tones of elements whose lines are late, ``(arrangement, element, subcarrier)``."""
    late: ComplexArray = tones * np.exp(-2j * np.pi * delay_s[:, np.newaxis] * offset_hz)
    return late


def _fit_elements(
    state: _State, decoded: ComplexArray, tones: ComplexArray, column: npt.NDArray[np.intp], offset_hz: Floats
) -> None:
    """Fit gains and delays to the decoded columns, ``(arrangement, column, subcarrier)``, all elements of one together."""
    rms_hz = float(np.sqrt(np.mean(offset_hz**2)))
    late = _late(tones, state.delay_s, offset_hz)
    for each in range(decoded.shape[1]):
        members = np.flatnonzero(column == each)
        rows = late[:, members]
        basis = np.concatenate([rows, rows * (offset_hz / rms_hz)], axis=1)  # values, then slopes
        flat = np.moveaxis(basis, 1, -1).reshape(-1, basis.shape[1])
        found = np.linalg.lstsq(flat, decoded[:, each].reshape(-1), rcond=None)[0]
        value, slope = np.split(found, 2)
        state.gain[members] = value
        with np.errstate(divide="ignore", invalid="ignore"):
            step = -np.imag(slope / value) / (2 * np.pi * rms_hz)
        state.delay_s[members] += np.where(np.isfinite(step), step, 0.0)


def _expected(
    state: _State, tones: ComplexArray, column: npt.NDArray[np.intp], matrix: Floats, offset_hz: Floats
) -> ComplexArray:
    """Return pilots as the elements found would send them, clocks left out, ``(arrangement, row, subcarrier)``."""
    late = state.gain[:, np.newaxis] * _late(tones, state.delay_s, offset_hz)
    columns = np.zeros((late.shape[0], matrix.shape[1], late.shape[2]), complex)
    for element, each in enumerate(column):
        columns[:, each] += late[:, element]
    pilots: ComplexArray = np.einsum("kc,acm->akm", matrix, columns)
    return pilots


def _fitted_clocks(samples: ComplexArray, expected: ComplexArray, clocks: Clocks, offset_hz: Floats) -> Clocks:
    """Return clocks by which the pilots expected are most like those heard, one step of Newton from where they are."""
    product = _steadied(samples, clocks, offset_hz) * np.conj(expected)
    power = np.abs(expected) ** 2
    turn = np.angle(product.sum(axis=-1))
    straight = product * np.exp(-1j * turn)[..., np.newaxis]
    middle_hz = (power @ offset_hz) / power.sum(axis=-1)
    lever_hz = offset_hz - middle_hz[..., np.newaxis]
    slope = (lever_hz * straight.imag).sum(axis=-1) / (lever_hz**2 * power).sum(axis=-1)
    return Clocks(phase_rad=clocks.phase_rad + turn - slope * middle_hz, delay_s=clocks.delay_s + slope / (2 * np.pi))


def _solved(
    state: _State, heard: HeardCodes, tones: ComplexArray, expected: ComplexArray, facts: TestbedFacts
) -> Solved:
    """Return the estimate in the gauge."""
    middle_hz = facts.downlink.grid.offset_hz.mean()
    offset_hz = facts.downlink.grid.offset_hz - middle_hz
    left = _steadied(heard.samples, state.clocks, offset_hz) - expected
    unknowns = 1.5 * state.gain.size + state.clocks.phase_rad.size  # in complex numbers
    noise_w = float(np.sum(np.abs(left) ** 2) / (left.size - unknowns))
    level_db = NEPER_DB * np.log(np.maximum(np.abs(state.gain), 1e-12))
    alive = level_db > np.median(level_db) + DEAD_DB
    energy = heard.codes * np.sum(np.abs(tones) ** 2, axis=(0, 2)) * np.abs(state.gain) ** 2  # (element,)
    angle_error = np.sqrt(noise_w / (2 * energy))
    delay_error_s = angle_error / (2 * np.pi * np.sqrt(np.mean(offset_hz**2)))
    gain_db, delay_s = level_db[alive].mean(), state.delay_s[alive].mean()
    at_first = state.gain * np.exp(2j * np.pi * middle_hz * (state.delay_s - delay_s))
    common = np.sum((at_first / np.abs(at_first))[alive])
    errors = ElementErrors(
        gain_db=np.where(alive, level_db - gain_db, 0.0),
        phase_rad=np.where(alive, np.angle(at_first * np.conj(common)), 0.0),
        delay_s=np.where(alive, state.delay_s - delay_s, 0.0),
        gain_error_db=np.where(alive, NEPER_DB * angle_error, np.inf),
        phase_error_rad=np.where(alive, np.hypot(angle_error, 2 * np.pi * middle_hz * delay_error_s), np.inf),
        delay_error_s=np.where(alive, delay_error_s, np.inf),
        alive=alive,
    )
    power_w = float(np.mean(np.abs(heard.samples) ** 2))
    mean_error_s = float(np.sqrt(np.mean(delay_error_s[alive] ** 2) / np.count_nonzero(alive)))
    path = _path(state.clocks, float(gain_db), float(delay_s), mean_error_s, (power_w, noise_w))
    return Solved(errors=errors, path=path)


def _path(
    clocks: Clocks, gain_db: float, delay_s: float, mean_error_s: float, power_and_noise_w: tuple[float, float]
) -> Path:
    """Return the path of elements whose mean has this level and delay, known with this error, beside the clocks'."""
    power_w, noise_w = power_and_noise_w
    late_s = clocks.delay_s
    timing_rms_s = float(np.std(late_s))
    steady = float(np.clip(np.abs(np.exp(1j * clocks.phase_rad).mean()), 1e-9, 1.0))
    return Path(
        gain_db=gain_db,
        delay_s=float(late_s.mean()) - delay_s,
        delay_error_s=float(np.hypot(mean_error_s, timing_rms_s / np.sqrt(late_s.size))),
        phase_rms_rad=float(np.sqrt(-2 * np.log(steady))),  # of turns that are normal on the circle
        timing_rms_s=timing_rms_s,
        noise_w=noise_w,
        snr_db=10 * float(np.log10(max(power_w - noise_w, 1e-300) / max(noise_w, 1e-300))),
    )
